"""A trusted client's mail that came in from outside before is a stranger's (docs/decisions/0016)."""

from ipaddress import ip_network
from timeit import timeit

import pytest

from engagement.settings.option_types.networks import Network
from smtpapi.model.envelope import Client
from smtpapi.model.message import Field, Message
from smtpapi.request.trust import against

HOST = "mail.example.test"
LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
SITE: tuple[Network, ...] = (*LOOPBACK, ip_network("10.0.0.0/8"), ip_network("2001:db8:7::/48"))
LOCAL = Client("127.0.0.1", daemon_address="127.0.0.1", daemon_port=25, host=HOST)
LOGIN = Client("198.51.100.4", login="ida", host=HOST)
STDIN = Client("127.0.0.1", daemon_address="127.0.0.1", daemon_port=0, host=HOST)  # sendmail(1) in Postfix


def received(address: str, by: str = HOST, how: str = "ESMTP", software: str = "Postfix") -> Field:
    literal = f"IPv6:{address}" if ":" in address else address
    return Field(
        "Received",
        f" from helo.test (name.test [{literal}])\r\n\tby {by} ({software}) with {how} id 4bXyZ"
        "\r\n\tfor <a@b.test>; Sun, 29 Nov 2026 10:00:00 +0000 (UTC)".encode(),
    )


SENDMAIL_1 = Field("Received", f" by {HOST} (Postfix, from userid 33)\r\n\tid 4b; Sun, 29 Nov 2026".encode())
STRANGER = received("203.0.113.9")
AMAVIS = received("127.0.0.1", "localhost", "ESMTP", "amavisd-new, port 10024")
LOGGED_IN = received("198.51.100.4", how="ESMTPSA")


def reason(
    *fields: Field, client: Client = LOCAL, hosts: tuple[Network, ...] = LOOPBACK, local: bool = True
) -> str:
    message = Message((*fields, Field("Subject", b" x")), b"")
    return against(client, message, hosts, local=local)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ([STRANGER], "came in from 203.0.113.9 before"),
        ([received("2001:db8:9::1")], "came in from 2001:db8:9::1 before"),
        ([AMAVIS, STRANGER], "came in from 203.0.113.9 before"),
        ([SENDMAIL_1, STRANGER], "came in from 203.0.113.9 before"),
        ([received("10.1.2.3")], "came in from 10.1.2.3 before"),
        # what a stranger writes stands below what was written of him
        ([STRANGER, LOGGED_IN], "came in from 203.0.113.9 before"),
        ([STRANGER, received("127.0.0.1")], "came in from 203.0.113.9 before"),
        ([LOGGED_IN, STRANGER], "came in from 203.0.113.9 before"),  # our own MTA's word below a login
        ([Field("Received", b" nonsense")], "has a Received field that cannot be read"),
        ([Field("Received", b" from \xe9 (x [127.0.0.1]) by m (Postfix) with ESMTP")],
         "has a Received field that cannot be read"),
        ([Field("RECEIVED", STRANGER.value)], "came in from 203.0.113.9 before"),
        ([Field("Received", b" from m by m with LMTP id 1; x")], "came in from an unknown place before"),
        ([Field("Received", b" from pop ([127.0.0.1]) by l with POP3; x")], "was fetched from a mailbox"),
        ([Field("Received", b" (from daemon@localhost) by m (8.17.1/8.17.1/Submit) id 4; x")],
         "was handed in by the account daemon, which delivers mail"),
        ([received("127.0.0.1")] * 101, "has 101 Received fields"),
    ],
)  # fmt: skip
def test_mail_that_came_in_from_outside(fields: list[Field], why: str) -> None:
    assert reason(*fields) == why


@pytest.mark.parametrize(
    "name",
    [
        *("Delivered-To", "X-Original-To", "x-original-to", "X-Delivered-To", "Envelope-To", "X-Envelope-To"),
        *("Delivery-Date", "X-BeenThere", "X-Mailman-Version", "Mailing-List", "X-Sieve"),
        *("X-Sieve-Redirected-From", "Resent-From", "Resent-Sender", "Resent-To", "Resent-Date"),
        "Resent-Message-ID",
    ],
)
def test_mail_that_was_delivered_before_though_its_received_fields_are_gone(name: str) -> None:
    assert reason(Field(name, b" list@rcpt.test")).lower() == f"was delivered before: {name}".lower()
    assert reason(LOGGED_IN, Field(name, b" x"))
    assert reason(Field(name, b" x"), client=LOGIN) == ""


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [received("127.0.0.1")],
        [received("::1")],
        [AMAVIS, received("127.0.0.1")],
        [SENDMAIL_1],
        [received("127.0.0.1"), SENDMAIL_1],
        [LOGGED_IN],
        [AMAVIS, LOGGED_IN],
        [LOGGED_IN, received("203.0.113.9", "branch.test")],  # what the one who logged in brought along
        [Field("Received", b" (from cron@localhost) by m (8.17.1/8.17.1/Submit) id 4; x")],
        # what programs that send write themselves, or a filter of the same pass
        *([Field(name, b" x")] for name in ("Return-Path", "List-Id", "List-Unsubscribe", "Precedence")),
        *([Field(name, b" x")] for name in ("Authentication-Results", "Received-SPF", "X-Spam-Status")),
    ],
)
def test_mail_that_began_here(fields: list[Field]) -> None:
    assert reason(*fields) == ""


def test_application_servers_relay_through_mtas_of_their_own() -> None:
    app = Client("10.0.0.7", daemon_port=25, host=HOST)
    own = Field("Received", b" by app7.test (Postfix, from userid 33) id 4; x")
    relayed = received("10.0.0.7", "relay.test")
    assert reason(relayed, received("127.0.0.1", "app7.test"), own, client=app, hosts=SITE) == ""
    assert reason(received("10.9.0.1", "a", "ESMTP", "Exim"), client=app, hosts=SITE) == ""
    assert reason(received("2001:db8:7::25"), client=app, hosts=SITE) == ""
    assert reason(received("::ffff:10.0.0.9"), client=app, hosts=SITE) == ""
    assert reason(relayed, STRANGER, client=app, hosts=SITE) == "came in from 203.0.113.9 before"
    assert reason(received("2001:db8:8::25"), client=app, hosts=SITE) == "came in from 2001:db8:8::25 before"


def test_a_login_does_not_vouch_for_what_came_in_here() -> None:
    """A list server that logs in, or a user who sends a stranger's mail on."""
    assert reason(STRANGER, client=LOGIN) == "came in from 203.0.113.9 before"
    assert reason(Field("Received", b" from \xe9 by Mail.Example.Test"), client=LOGIN)
    assert reason(received("203.0.113.9", "branch.test"), client=LOGIN) == ""
    branch = received("10.1.2.3", "branch.test")
    assert reason(branch, STRANGER, client=LOGIN) == "came in from 203.0.113.9 before"
    assert reason(received("203.0.113.9", how="ESMTPSA"), client=LOGIN) == ""
    assert reason(Field("Received", b" \xe9\xe9\xe9"), client=LOGIN) == ""


def test_local_submission_has_a_setting_of_its_own() -> None:
    off = "handed in on this machine, and Local_Submission is off"
    by_program = Field("Received", b" (from cron@localhost) by m (8.17.1/8.17.1/Submit) id 4; x")
    for client, fields in ((Client(""), ()), (STDIN, ()), (LOCAL, (by_program,))):
        assert reason(*fields, client=client) == ""
        assert reason(*fields, client=client, local=False) == off
    assert reason(client=LOCAL, local=False) == ""
    assert reason(client=LOGIN, local=False) == ""
    assert reason(client=Client("10.0.0.7", host=HOST), hosts=SITE, local=False) == ""


def test_mail_without_a_trace_costs_next_to_nothing() -> None:
    message = Message(tuple(Field(name, b" x") for name in ("From", "To", "Subject", "Date")), b"")
    seconds = min(timeit(lambda: against(LOCAL, message, LOOPBACK), number=2000) for _ in range(5)) / 2000
    assert seconds < 20e-6  # 1 µs on a machine of its own
