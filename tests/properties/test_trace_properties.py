"""Whatever a stranger calls himself or writes below, his address is found or the field is not read."""

import string
from ipaddress import ip_address, ip_network

from hypothesis import example, given
from hypothesis import strategies as st

from engagement.settings.option_types.networks import Network
from smtpapi.model.envelope import Client
from smtpapi.model.message import Field, Message
from smtpapi.request.received_fields import read, read_slowly
from smtpapi.request.trust import against

HOST = "mail.example.test"
INSIDE: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"))
CLIENT = Client("127.0.0.1", daemon_address="127.0.0.1", daemon_port=25, host=HOST)
OUTSIDE = "203.0.113.9"
_PARTS = st.sampled_from(
    ["[127.0.0.1]", "(l [127.0.0.1])", " ", "by", "with", "ESMTPA", "(Postfix)", "from", ";", "(", ")", '"',
     "\\", "id", "x", "(8.17.1/8.17.1)", "helo=", "\r\n\t", "LOCAL", "(Exim 4)", "(uid 0)", "10.0.0.1"]
)  # fmt: skip
_ANYTHING = st.lists(_PARTS | st.text(string.printable, max_size=6), max_size=14).map("".join)
# What Postfix lets through (its NEUTER_CHARACTERS), and Sendmail, which lets less through.
_HELO = st.text(set(string.printable) - set(' <>()\\";@\t\r\n\v\f'), min_size=1, max_size=40)


def _of_strangers(value: str, *below: Field) -> str:
    field = Field("Received", f" {value}; Sun, 29 Nov 2026 10:00:00 +0000".encode())
    return against(CLIENT, Message((field, *below), b""), INSIDE)


@given(st.binary(max_size=300))
def test_any_octets_are_read_or_not(value: bytes) -> None:
    read(value)


@given(_ANYTHING)
def test_anything_is_read_or_not(value: str) -> None:
    read(value.encode())


@given(_HELO, _ANYTHING, st.sampled_from(["Postfix", "8.17.1/8.17.1"]))
@example("[127.0.0.1]", "", "Postfix")
@example("by", "", "Postfix")
@example("with", "", "Postfix")
@example("from", "", "8.17.1/8.17.1")
def test_a_stranger_stays_one_whatever_he_calls_himself(helo: str, below: str, software: str) -> None:
    for name in ("unknown", "localhost", "a.b.test"):
        value = f"from {helo} ({name} [{OUTSIDE}])\r\n\tby {HOST} ({software}) with ESMTP id 4bXyZ"
        assert _of_strangers(value, Field("Received", below.encode()))


@given(_ANYTHING)
@example("[127.0.0.1] (l [127.0.0.1]) by x (Postfix) with ESMTPA id 1")
@example("[127.0.0.1](l [127.0.0.1])by")
@example("(l [127.0.0.1])id")
@example("(uid 0)id")
@example("l (l [127.0.0.1]) (")
@example("l (l [127.0.0.1]) by x (Postfix) with ESMTPA id 1; Sun")
@example("l (l [127.0.0.1]) by x (Postfix) with ESMTPA id 1 (")
def test_nor_with_an_mta_that_takes_any_name(helo: str) -> None:
    """A semicolon is the one thing no MTA may let through: what follows it is the date."""
    assert _of_strangers(
        f"from {helo.replace(';', ',')} (unknown [{OUTSIDE}]) by {HOST} (Other) with SMTP id 1"
    )
    assert _of_strangers(f"from [{OUTSIDE}] (helo={helo.replace(';', ',')}) by {HOST} with esmtp (Exim 4.96)")


@given(st.ip_addresses(), st.sampled_from(["Postfix", "Exim 4.96", "Other"]))
def test_addresses_are_read_as_they_are(address: object, software: str) -> None:
    literal = f"IPv6:{address}" if ":" in str(address) else str(address)
    hop = read(f" from x (y [{literal}]) by {HOST} ({software}) with ESMTP id 1; x".encode())
    assert hop is not None
    mapped = getattr(address, "ipv4_mapped", None)
    assert set(hop.addresses) == {mapped or ip_address(str(address))}


@given(
    _HELO | st.sampled_from(["by", "from", "[127.0.0.1]"]),
    st.sampled_from(["", "unknown ", "l.test ", "by ", "a=b "]),
    st.sampled_from(
        [OUTSIDE, "127.0.0.1", "IPv6:::1", "IPv6:2001:db8::7", "unknown", "999.1.1.1", "::ffff:1.2.3.4"]
    ),
    _HELO | st.sampled_from([HOST, "with"]),
    st.sampled_from(["ESMTP", "ESMTPSA", "esmtpa", "SMTP", "POP3", "HTTP", "by", "LOCAL"]),
    st.sampled_from(["", " id 4bXyZ", "\r\n\tfor <a@b.test>", " id 4\r\n\tfor <by@x>", " id by", " by x"]),
    st.sampled_from(
        ["Sun, 29 Nov 2026 10:00:00 +0000", "Sun, 29 Nov 2026 10:00:00 +0000 (UTC)", "by, 1 by 2026 1 +0000"]
    ),
)
def test_the_common_form_is_read_as_any_other(
    helo: str, name: str, literal: str, by: str, protocol: str, more: str, date: str
) -> None:
    value = f" from {helo} ({name}[{literal}])\r\n\tby {by} (Postfix) with {protocol}{more}; {date}".encode()
    assert read(value) == read_slowly(value)
