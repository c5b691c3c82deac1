"""Faults that were put into the question whose mail it is on purpose, and that no other test noticed."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from hop_mail import CLIENT, HOP, STRANGER, site
from smtpapi.model.envelope import Client
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import Why
from smtpapi.pipeline.pass_through import known_to_pass
from smtpapi.request import received_fields
from smtpapi.request.trust import against

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"))


def received(address: str, by: str, how: str = "ESMTP") -> Field:
    clause_text = (
        f" from h.test (n.test [{address}])\r\n\tby {by} (Postfix) with {how} id 4bXyZ; Sun, 29 Nov 2026"
    )
    return Field("Received", f"{clause_text} 10:00:00 +0000".encode())


@pytest.mark.parametrize("login_by", ["mx1.site.test", "mx2.site.test"])
@pytest.mark.parametrize("below", ["mx1.site.test", "mx2.site.test", "mail.site.test"])
def test_below_a_login_each_mta_that_the_mail_has_passed_here_is_ours(login_by: str, below: str) -> None:
    client = Client("127.0.0.1", daemon_address="127.0.0.1", daemon_port=25, host="mail.site.test")
    passed = [received("10.0.0.7", "mx1.site.test"), received("10.0.0.8", "mx2.site.test")]
    fields = (*passed, received("198.51.100.4", login_by, "ESMTPSA"), received("203.0.113.9", below))
    assert against(client, Message(fields, b""), LOOPBACK, local=True) == "came in from 203.0.113.9 before"


# passing.py


def test_bodies_are_kept_for_clients_whose_mail_may_be_changed_and_for_the_hop_alone() -> None:
    where = site(options='Relay_Hosts = ("10.0.0.0/8")')
    for client, why in (
        (STRANGER, Why.UNTRUSTED),
        (CLIENT, Why.UNTRUSTED),
        (replace(STRANGER, login="ida"), None),
        (replace(STRANGER, address="10.0.0.7"), None),
        (HOP, None),
        (replace(HOP, address="192.0.2.7"), None),
    ):
        assert known_to_pass(where, client, "") is why


# trace.py


def test_a_clause_before_the_one_that_names_who_wrote_it_makes_a_field_ambiguous() -> None:
    for clause in ("via TCP", "with ESMTP", "id 1", "for <a@b.test>"):
        clause_text = f" from h.test ([10.0.0.7]) {clause} by mail.site.test; Sun, 29 Nov 2026 10:00:00 +0000"
        known = received_fields.read(clause_text.encode())
        assert known is None or clause == "id 1"
