"""What a Received field says, whoever wrote it (RFC 5321 4.4)."""

import pytest

from smtpapi.request.received_fields import ReceivedHop, read

_D = "; Sun, 29 Nov 2026 10:00:00 +0000 (UTC)"
_TLS = (
    "\r\n\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)\r\n\t key-exchange X25519)"
    "\r\n\t(No client certificate requested)"
)
_STRANGER, _HERE, _APP = "203.0.113.9", "127.0.0.1", "10.0.0.5"


def hop(field: str) -> ReceivedHop:
    found = read((field + _D).encode("latin-1"))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        # Postfix and Sendmail: what the client calls itself is not its address
        (f"from x (y [{_STRANGER}])\r\n\tby m (Postfix) with ESMTP id 4", [_STRANGER]),
        (f"from [{_HERE}] (unknown [{_STRANGER}]) by m (Postfix) with ESMTP id 4", [_STRANGER]),
        (f"from [192.0.2.1] (localhost [{_HERE}]) by m (Postfix) with ESMTP id 4", [_HERE]),
        (f"from [{_HERE}] (x [IPv6:2001:db8::7]){_TLS} by m (Postfix) with ESMTPS id 4", ["2001:db8::7"]),
        (f"from x (x [IPv6:::1]){_TLS} by m (Postfix) with ESMTPS id 4", ["::1"]),
        (f"from x (localhost [{_HERE}]) by m (Postfix, from userid 33) with ESMTP id 4", [_HERE]),
        (f"from x (y [{_STRANGER}] (may be forged)) by m (8.17.1/8.17.1) with ESMTP id 4", [_STRANGER]),
        (f"from x (me@y [{_STRANGER}]) by m (8.17.1.9/8.17.1.9/Debian-2) with ESMTP id 4", [_STRANGER]),
        (f"from x ([{_STRANGER}]) by m (8.17.1/8.17.1) with ESMTP id 4", [_STRANGER]),
        (f"from x (y [::ffff:{_APP}]) by m (Postfix) with ESMTP id 4", [_APP]),
        # others: every address counts
        (f"from [{_APP}] (helo=x) by m with esmtp (Exim 4.96) (envelope-from <a@b>) id 1", [_APP]),
        (f"from x ([{_APP}]:4321 helo=[{_HERE}]) by m with esmtp (Exim 4.96) id 1", [_HERE, _APP]),
        (f"from [{_STRANGER}] (helo=[{_HERE}]) by m with esmtp (Exim 4.96) id 1", [_HERE, _STRANGER]),
        (f"from unknown (HELO [{_HERE}]) ({_STRANGER}) by m with SMTP", [_HERE, _STRANGER]),
        (f"from [{_STRANGER}] (HELO [{_HERE}]) by m (CommuniGate Pro) with ESMTP", [_HERE, _STRANGER]),
        (f"from E1 ({_APP}) by E2 (10.0.0.6) with Microsoft SMTP Server (version=TLS1_2) id 15", [_APP]),
        (f"from m ([{_HERE}]) by localhost (m [{_HERE}]) (amavisd-new, port 10024) with LMTP id 1", [_HERE]),
        (f"from x (y [{_STRANGER}]) by m (Other 1.0) with SMTP", [_STRANGER]),
        (f"from x ({_STRANGER}:5432) by m with SMTP", [_STRANGER]),
        (f"from a (b [{_HERE}]) (x [{_STRANGER}]) by m (8.17.1/8.17.1) with ESMTP", [_HERE, _STRANGER]),
        (f"from (b [{_HERE}]) (x [{_STRANGER}]) by m (Postfix) with ESMTP", [_HERE, _STRANGER]),
        (f"from (b) (x [{_STRANGER}]) by m (Postfix) with ESMTP", [_STRANGER]),
        # an address that the client may have given itself is none
        (f"from [{_HERE}] by m with SMTP", []),
        (f"from {_HERE} by m with SMTP", []),
        ("from mail.example by mail.example with LMTP id x (envelope-from <a>) for <b>", []),
        ("by 10.1.2.3 with SMTP id x", []),
    ],
)  # fmt: skip
def test_addresses_of_the_client(field: str, expected: list[str]) -> None:
    assert sorted({str(each) for each in hop(field).addresses}) == sorted(expected)
    assert not hop(field).local


@pytest.mark.parametrize(
    ("field", "user"),
    [
        ("by m (Postfix, from userid 33)\r\n\tid 4", ""),
        ("by m (Postfix) id 4", ""),
        ("(from cron@localhost) by m (8.17.1/8.17.1/Submit) id 4", "cron"),
        ("from x (root@localhost) by m (8.17.1/8.17.1) with ESMTP id 4", ""),
        ("from root by m with local (Exim 4.96) (envelope-from <root@m>) id 1", ""),
        ("(qmail 12 invoked by uid 1000)", ""),
        ("(nullmailer pid 12 invoked by uid 0)", ""),
        ("from root (uid 0) (envelope-from root@m) id 1 by m (DragonFly Mail Agent v0.13 on m)", ""),
        ("from mail pickup service by m with Microsoft SMTPSVC", ""),
        ("by m (sSMTP sendmail emulation)", ""),
    ],
)
def test_mail_that_was_handed_in_on_a_machine(field: str, user: str) -> None:
    found = hop(field)
    assert (found.local, found.addresses, found.user) == (True, (), user)


@pytest.mark.parametrize("protocol", ["ESMTPA", "ESMTPSA", "esmtpsa", "UTF8SMTPSA", "LMTPA", "HTTP", "mapi"])
def test_logins(protocol: str) -> None:
    comments = f"{_TLS}\r\n\t(Authenticated sender: CORP\\bob)"
    found = hop(f"from x (y [{_STRANGER}]){comments}\r\n\tby M.x (Postfix) with {protocol} id 4")
    assert (found.login, found.by) == (True, "m.x")


@pytest.mark.parametrize("protocol", ["SMTP", "ESMTP", "ESMTPS", "UTF8SMTP", "LMTP", "SMTPSVC", "XESMTPA"])
def test_no_logins(protocol: str) -> None:
    assert not hop(f"from x (y [{_STRANGER}]) by m (Postfix) with {protocol} id 4").login


def test_what_was_fetched_from_a_mailbox() -> None:
    assert hop(f"from pop.x [{_HERE}] by localhost with POP3 (fetchmail-6.4)").fetched
    assert hop(f"from pop.x ([{_HERE}]) by localhost with IMAP (fetchmail-6.4)").fetched


@pytest.mark.parametrize(
    "field",
    [
        "hello world",
        f"x from y (z [{_HERE}]) by m (Postfix) with ESMTP",
        f"from caf\xe9 (x [{_HERE}]) by m (Postfix) with ESMTP",
        f"from x (y [{_HERE}]) by m (Postfix) with ESMTP\x00",
        f"from x (y [{_HERE}]) by m (Postfix) with ESMTP \x7f",
        f"from x (y [{_HERE}]\\) by m (Postfix) with ESMTP",
        f"from x (y [{_HERE}]) by m (Postfix with ESMTP",
        f"from x (y [{_HERE}])) by m (Postfix) with ESMTP",
        f'from x" (y [{_HERE}]) by m (Postfix) with ESMTP',
        "from x (y [unknown]) by m (Postfix) with ESMTP",
        "from x (y [999.1.1.1]) by m (Postfix) with ESMTP",
        f"from x (y [1.2.3]) (z [{_HERE}]) by m with ESMTP",
        # a client's name that makes a whole field: what the MTA writes behind it gives it away
        f"from l (l [{_HERE}]) by m (Postfix) with ESMTPA id 1 (y [{_STRANGER}]) by m (X) with SMTP",
        f"from l (l [{_HERE}]) by m (Postfix) with ESMTPA id 1 ( (y [{_STRANGER}]) by m (X) with SMTP",
        f"from x (y [{_HERE}]) from z by m with ESMTP",
        f"from x (y [{_HERE}]) by m with ESMTP with ESMTPA",
        f"from x (y [{_HERE}]) by m (Postfix) with ESMTP id " + "4" * 5000,
    ],
)
def test_what_cannot_be_read_without_a_doubt(field: str) -> None:
    assert read((field + _D).encode("latin-1")) is None


@pytest.mark.parametrize("field", ["", "   ", ";", "from", "by", "from by", "with ESMTP"])
def test_an_empty_field_tells_of_nobody(field: str) -> None:
    found = read(field.encode())
    assert found is None or (found.addresses, found.login) == ((), False)
    assert found is None or not found.local


def test_a_semicolon_before_the_date_makes_no_field_of_a_name() -> None:
    assert read(b"from x (y [127.0.0.1]) by m with ESMTPA; x (z [192.0.2.1]) by m with SMTP; Sun") is None
    assert hop("from x (y [127.0.0.1]) by m with ESMTP; Sun (envelope-from <a@b>)").addresses
