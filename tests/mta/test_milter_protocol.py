"""MTAs that speak less of the milter protocol, grant fewer actions, or tell less of their clients."""

import re
import struct
from collections.abc import Iterator

import pytest

from milter_client import ACTIONS, PROTOCOL, Answer, MilterClient, parsed
from mta.mta_site import Filter, until

ADDHDRS, CHGBODY, ADDRCPT, DELRCPT, CHGHDRS, ADDRCPT_PAR, SETSYMLIST = 0x1, 0x2, 0x4, 0x8, 0x10, 0x80, 0x100
V2_ACTIONS, V2_PROTOCOL = 0x3F, 0x7F
_MAIL = (
    b"Message-ID: <1@s.test>\r\nDate: Sun, 29 Nov 2026 02:00:00 +0000\r\nSubject: x\r\n"
    b"X-MSYS-API: {}\r\nContent-Type: text/html\r\n\r\n<a href=https://shop.example/>x</a>\r\n"
)
_WITHOUT_HEADER = _MAIL.replace(b"X-MSYS-API: {}\r\n", b"")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filter]:
    with Filter(tmp_path_factory.mktemp("protocol"), milter='user = "root"') as running:
        yield running


@pytest.fixture(scope="module")
def hop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filter]:
    more = 'rewriting { several_recipients = readdress split_listener = "127.0.0.1:2526" }'
    with Filter(tmp_path_factory.mktemp("hop"), more=more) as running:
        yield running


def _send(client: MilterClient, raw: bytes = _MAIL, recipients: tuple[bytes, ...] = (b"b@r.test",)) -> Answer:
    return client.message(b"a@s.test", recipients, raw)


def _unchanged(answer: Answer, raw: bytes) -> bool:
    return (answer.fields, answer.body) == parsed(raw) and not answer.changes


def test_an_mta_that_grants_everything_gets_links(site: Filter) -> None:
    client = MilterClient(site.socket)
    client.connect()
    assert len(site.links(_send(client).body)) > 1


@pytest.mark.parametrize("version", [2, 6])
@pytest.mark.parametrize(
    ("withheld", "name"),
    [(CHGBODY, "CHGBODY"), (ADDHDRS, "ADDHDRS"), (CHGHDRS, "CHGHDRS")],
    ids=["CHGBODY", "ADDHDRS", "CHGHDRS"],
)
def test_h29_without_an_action_mail_goes_on_without_links_and_the_log_says_once_which(
    site: Filter, withheld: int, name: str, version: int
) -> None:
    before = site.counts()
    offered = (V2_ACTIONS, V2_PROTOCOL) if version == 2 else (ACTIONS, PROTOCOL)
    client = MilterClient(site.socket, version=version, actions=offered[0] & ~withheld, protocol=offered[1])
    client.connect()
    for _ in range(2):
        answer = _send(client)
        assert answer.verdict == "accept"
        assert answer.body == parsed(_MAIL)[1]
        with_header = "X-MSYS-API" in dict(answer.fields)
        assert with_header == (
            withheld == CHGHDRS
        )  # what the MTA lets us take out does not leave the building
    if withheld == CHGHDRS:  # nothing to take out: nothing needs the action
        assert len(site.links(_send(client, _WITHOUT_HEADER).body)) > 1
    until(lambda: site.counts()["why-not-granted"] == before["why-not-granted"] + 2, what="the count")
    assert site.counts()["failed-in-change"] == before["failed-in-change"]
    warnings = [
        line
        for line in site.log_text().splitlines()
        if "WARNING" in line and f"does not grant {name}:" in line
    ]
    assert len(warnings) == 1, warnings


@pytest.mark.parametrize("withheld", [ADDRCPT, DELRCPT, ADDRCPT_PAR, ADDHDRS, CHGHDRS])
def test_h29_without_an_action_that_the_hop_needs_several_recipients_go_untracked(
    hop: Filter, withheld: int
) -> None:
    client = MilterClient(hop.socket, actions=ACTIONS & ~withheld)
    client.connect()
    answer = _send(client, _WITHOUT_HEADER, (b"b@r.test", b"c@r.test"))
    assert answer.verdict == "accept"
    assert not [one for one in answer.changes if "recipient" in one[0]]
    assert answer.body == parsed(_WITHOUT_HEADER)[1]
    copies = _MAIL.replace(b"{}", b'{"bcc": [{"email": "d@r.test"}]}')
    assert _send(client, copies).verdict.startswith("550")


def test_an_mta_that_takes_no_list_of_macros_is_served_in_full(site: Filter) -> None:
    client = MilterClient(site.socket, actions=ACTIONS & ~SETSYMLIST)
    client.connect()
    assert len(site.links(_send(client).body)) > 1


def _fields(answer: Answer, name: str) -> list[bytes]:
    return [value for other, value in answer.fields if other.lower() == name.lower()]


@pytest.mark.parametrize("versions", [(2, 6), (6, 2), (2, 2), (6, 6)])
def test_h30_a_mark_made_over_one_protocol_is_known_over_another(
    site: Filter, versions: tuple[int, int]
) -> None:
    """Below version 6 the MTA takes a blank from each value and puts it before what is added."""
    first, second = versions
    answers = []
    raw = _WITHOUT_HEADER
    for version in (first, second):
        offered = (V2_ACTIONS, V2_PROTOCOL) if version == 2 else (ACTIONS, PROTOCOL)
        client = MilterClient(site.socket, version=version, actions=offered[0], protocol=offered[1])
        client.connect()
        answer = _send(client, raw)
        answers.append(answer)
        raw = b"".join(name.encode() + b":" + value + b"\r\n" for name, value in answer.fields)
        raw += b"\r\n" + answer.body
        client.quit()
    (mark,) = _fields(answers[0], "X-Smtpapi-Id")
    assert re.match(rb" \S", mark)
    assert not answers[1].changes, answers[1]
    assert answers[1].body == answers[0].body


# -- who the client is


def test_h29_an_unknown_family_without_an_address_is_nobody(site: Filter) -> None:
    client = MilterClient(site.socket)
    client.connect_as(b"U")
    assert _unchanged(_send(client), _MAIL)


def test_a_unix_socket_is_local_submission(site: Filter) -> None:
    client = MilterClient(site.socket)
    client.connect_as(b"L", struct.pack("!H", 0) + b"/run/mail\0")
    assert site.links(_send(client).body)


def test_h29_without_a_connect_event_the_client_is_nobody(site: Filter) -> None:
    client = MilterClient(site.socket)
    assert _unchanged(_send(client), _MAIL)


def test_h29_a_second_connect_on_a_kept_connection_is_nobody(site: Filter) -> None:
    client = MilterClient(site.socket)
    client.connect()
    assert site.links(_send(client).body)
    client.quit_for_another()
    client.connect()
    answer = _send(client)
    assert answer.verdict == "accept"
    assert _unchanged(answer, _MAIL)


def test_another_address_told_with_a_connection_that_libmilter_missed_is_nobody(site: Filter) -> None:
    """It ignores SMFIC_QUIT_NC and the connection that follows, where no message was accepted before."""
    client = MilterClient(site.socket)
    client.connect(macros={"{client_addr}": "127.0.0.1"})
    client.quit_for_another()
    client.connect("192.0.2.9", macros={"{client_addr}": "192.0.2.9"})
    assert _unchanged(_send(client), _MAIL)


def test_no_connect_after_a_kept_connection_is_nobody_either(site: Filter) -> None:
    client = MilterClient(site.socket)
    client.connect()
    assert site.links(_send(client).body)
    client.quit_for_another()
    answer = _send(client)
    assert answer.verdict == "accept"
    assert _unchanged(answer, _MAIL)


# -- octets that pymilter cannot hand over


@pytest.mark.parametrize("protocol", [PROTOCOL, V2_PROTOCOL], ids=["no-reply", "each-answered"])
@pytest.mark.parametrize("name", [b"X-\xff", b"Caf\xc3\xa9"], ids=["no-utf8", "utf8"])
def test_h30_a_header_name_beyond_ascii_is_answered_and_leaves_the_text_alone(
    site: Filter, name: bytes, protocol: int
) -> None:
    """Programs differ in whether such a line ends the header."""
    before = site.counts()
    raw = _MAIL.replace(b"Subject: x", name + b": y\r\nSubject: x")
    client = MilterClient(site.socket, 5, protocol=protocol)
    client.connect()
    answer = _send(client, raw)
    assert answer.verdict == "accept"
    assert answer.changes == [("delete", "X-MSYS-API", "1")]
    assert answer.body == parsed(raw)[1]
    until(lambda: site.counts()["why-ambiguous-mime"] == before["why-ambiguous-mime"] + 1, what="the count")
    assert site.links(_send(client).body)  # the next message is as ever


def test_a_host_name_that_is_no_utf8_is_nobodys(site: Filter) -> None:
    client = MilterClient(site.socket, 5)
    client.connect_as(b"4", struct.pack("!H", 25) + b"127.0.0.1\0", b"caf\xe9.example")
    assert _unchanged(_send(client), _MAIL)


def test_a_helo_and_a_command_that_are_no_utf8_end_nothing(site: Filter) -> None:
    client = MilterClient(site.socket, 5)
    client.connect()
    client.step("H", b"caf\xe9\0")
    client.unknown(b"XCAF\xe9 1")
    assert site.links(_send(client).body)
