"""Faults that were put into the question whose mail it is on purpose, and that no other test noticed."""

from ipaddress import ip_network

import pytest

from smtpapi.envelope import Client
from smtpapi.message import Field, Message
from smtpapi.trust import against

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"))


def received(address: str, by: str, how: str = "ESMTP") -> Field:
    said = f" from h.test (n.test [{address}])\r\n\tby {by} (Postfix) with {how} id 4bXyZ; Sun, 29 Nov 2026"
    return Field("Received", f"{said} 10:00:00 +0000".encode())


@pytest.mark.parametrize("login_by", ["mx1.site.test", "mx2.site.test"])
@pytest.mark.parametrize("below", ["mx1.site.test", "mx2.site.test", "mail.site.test"])
def test_below_a_login_each_mta_that_the_mail_has_passed_here_is_ours(login_by: str, below: str) -> None:
    client = Client("127.0.0.1", daemon_address="127.0.0.1", daemon_port=25, host="mail.site.test")
    passed = [received("10.0.0.7", "mx1.site.test"), received("10.0.0.8", "mx2.site.test")]
    fields = (*passed, received("198.51.100.4", login_by, "ESMTPSA"), received("203.0.113.9", below))
    assert against(client, Message(fields, b""), LOOPBACK, local=True) == "came in from 203.0.113.9 before"
