"""Milter clients of others' making, over each version of the protocol and with each action withheld in turn.

Both speak 2 to 6. 5 was never an MTA's: to go-milter it is 4 under another number, and so it is offered to
miltertest. miltertest sends DATA over 2 and 3, too, which know no such step, and the filter bears it.
"""

from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import pytest

from milter_client import Answer, MilterClient, parsed
from mta.foreign_clients import Mail, Offer, Peer, offer, through_go, through_miltertest
from mta.mta_site import Filter, until

_RAW = (
    b"Message-ID: <1@s.test>\r\nDate: Sun, 29 Nov 2026 02:00:00 +0000\r\nSubject: x\r\nX-MSYS-API: {}\r\n"
    b"Content-Type: text/html\r\n\r\n<a href=https://shop.example/>x</a>\r\n"
)
_WITHOUT_HEADER = _RAW.replace(b"X-MSYS-API: {}\r\n", b"")
_SEVERAL = ("b@r.test", "c@r.test")
_STRANGER = "192.0.2.9"
_HOP_PORT = "2526"
_EACH_MAIL = ("CHGBODY", "ADDHDRS", "CHGHDRS")
_FOR_SPLIT = (*_EACH_MAIL, "ADDRCPT")
_FOR_READDRESS = (*_FOR_SPLIT, "DELRCPT", "ADDRCPT_PAR")

Client = Callable[[Path, Offer, Peer, bytes], Answer]


def _go(socket: Path, what: Offer, peer: Peer, expected: bytes) -> Answer:
    (answer,) = through_go(socket, what, peer)
    assert not expected or answer.body in (expected, parsed(peer.mails[0].raw)[1])
    return answer


clients = pytest.mark.parametrize("client", [_go, through_miltertest], ids=["go", "miltertest"])
versions = pytest.mark.parametrize("version", [2, 3, 4, 5, 6])
withheld_in_turn = pytest.mark.parametrize(
    "withheld",
    ["", "CHGBODY", "ADDHDRS", "CHGHDRS", "ADDRCPT", "DELRCPT", "ADDRCPT_PAR"],
    ids=lambda name: name or "none",
)


def _site(folder: Path, mode: str = "untracked") -> Filter:
    more = f'rewriting {{ several_recipients = {mode} split_listener = "127.0.0.1:{_HOP_PORT}" }}'
    return Filter(folder, more=more)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filter]:
    with _site(tmp_path_factory.mktemp("alone")) as running:
        yield running


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filter]:
    with _site(tmp_path_factory.mktemp("split"), "split") as running:
        yield running


@pytest.fixture(scope="module")
def readdress(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filter]:
    with _site(tmp_path_factory.mktemp("readdress"), "readdress") as running:
        yield running


@pytest.fixture(scope="module")
def bodies(site: Filter) -> dict[bytes, bytes]:
    """The tracked bodies, as our own client gets them: the same mail has the same links each time."""
    client = MilterClient(site.socket)
    client.connect()
    found = {raw: client.message(b"a@s.test", [b"b@r.test"], raw).body for raw in (_RAW, _WITHOUT_HEADER)}
    assert all(len(site.links(body)) == 2 for body in found.values())
    return found


def _logged_once(site: Filter, what: Offer, needed: tuple[str, ...]) -> None:
    """The log names what is missing once, whatever client, version or number of mails it was."""
    marker = "the MTA does not grant "
    lines = [line for line in site.log_text().splitlines() if "WARNING" in line and marker in line]
    logged = [line.partition(marker)[2].partition(":")[0] for line in lines]
    assert len(logged) == len(set(logged)), logged
    missing = ", ".join(name for name in needed if name not in what.granted)
    assert not missing or missing in logged
    assert not [each for each in logged if not set(each.split(", ")) <= set(needed)]


def _no_failure(site: Filter) -> None:
    counts = site.counts()
    assert (counts["failed-before-change"], counts["failed-in-change"]) == (0, 0), site.log_text()


def _of_recipients(answer: Answer) -> list[tuple[str, ...]]:
    return [one for one in answer.changes if one[0].endswith("recipient")]


def _unchanged(answer: Answer, raw: bytes) -> bool:
    return (answer.verdict, answer.changes, (answer.fields, answer.body)) == ("accept", [], parsed(raw))


@clients
@versions
@withheld_in_turn
def test_h29_one_recipient_with_each_action_withheld(
    site: Filter, bodies: dict[bytes, bytes], client: Client, version: int, withheld: str
) -> None:
    what, before = offer(version, withheld), site.counts()
    answers = [client(site.socket, what, Peer((Mail(_RAW),)), bodies[_RAW]) for _ in range(2)]
    for answer in answers:
        assert answer.verdict == "accept"
        assert (answer.body == bodies[_RAW]) == (withheld not in _EACH_MAIL)
        assert ("X-MSYS-API" in dict(answer.fields)) == (withheld == "CHGHDRS")
        assert ("X-Smtpapi-Id" in dict(answer.fields)) == (withheld not in _EACH_MAIL)
        assert not _of_recipients(answer)
        if withheld in _EACH_MAIL:
            assert answer.body == parsed(_RAW)[1]
    baseline = client(site.socket, what, Peer((Mail(_WITHOUT_HEADER),)), bodies[_WITHOUT_HEADER])
    if withheld in ("CHGBODY", "ADDHDRS"):
        assert _unchanged(baseline, _WITHOUT_HEADER)
    else:  # nothing has to be taken out of it
        assert baseline.body == bodies[_WITHOUT_HEADER]
    untracked = {"CHGBODY": 3, "ADDHDRS": 3, "CHGHDRS": 2}.get(withheld, 0)
    until(lambda: site.counts()["sessions"] == before["sessions"] + 3, what="the count of sessions")
    until(lambda: site.counts()["why-not-granted"] == before["why-not-granted"] + untracked, what="the count")
    _logged_once(site, what, _EACH_MAIL)
    _no_failure(site)


@clients
@versions
@withheld_in_turn
def test_h29_several_recipients_over_postfix_hop(
    split: Filter, client: Client, version: int, withheld: str
) -> None:
    what, before = offer(version, withheld), split.counts()
    answer = client(split.socket, what, Peer((Mail(_WITHOUT_HEADER, _SEVERAL),)), b"")
    if withheld in ("ADDHDRS", "CHGHDRS", "ADDRCPT"):
        assert _unchanged(answer, _WITHOUT_HEADER)
        until(lambda: split.counts()["why-several-recipients"] == before["why-several-recipients"] + 1)
        assert f"the MTA does not grant {withheld}" in split.log_text()
    else:  # only the copies that come back have their bodies changed
        assert (answer.verdict, answer.body) == ("accept", parsed(_WITHOUT_HEADER)[1])
        assert answer.changes == [("add", "X-Smtpapi-Split")]
    _logged_once(split, what, _FOR_SPLIT)
    _no_failure(split)


@clients
@versions
@withheld_in_turn
def test_h29_one_recipient_over_postfix_hop(
    split: Filter, client: Client, version: int, withheld: str
) -> None:
    """Whom Postfix adds to it would have this recipient's links: no hop, no links."""
    what, before = offer(version, withheld), split.counts()
    answer = client(split.socket, what, Peer((Mail(_WITHOUT_HEADER),)), b"")
    if withheld in ("ADDHDRS", "CHGHDRS", "ADDRCPT"):
        assert _unchanged(answer, _WITHOUT_HEADER)
        until(lambda: split.counts()["why-not-granted"] == before["why-not-granted"] + 1, what="the count")
    else:
        assert (answer.verdict, answer.changes) == ("accept", [("add", "X-Smtpapi-Split")])
    _logged_once(split, what, _FOR_SPLIT)
    _no_failure(split)


@clients
@versions
@withheld_in_turn
def test_h29_several_recipients_over_sendmail_hop(
    readdress: Filter, client: Client, version: int, withheld: str
) -> None:
    """It adds recipients with parameters, which only version 6 can."""
    what, before = offer(version, withheld), readdress.counts()
    answer = client(readdress.socket, what, Peer((Mail(_WITHOUT_HEADER, _SEVERAL),)), b"")
    if version == 6 and withheld in ("", "CHGBODY"):
        assert answer.verdict == "accept"
        assert answer.changes[0] == ("add", "X-Smtpapi-Split")
        leaving = [("remove recipient", f"<{each}>") for each in _SEVERAL]
        assert _of_recipients(answer)[:2] == leaving
    else:
        assert _unchanged(answer, _WITHOUT_HEADER)
        until(lambda: readdress.counts()["why-several-recipients"] == before["why-several-recipients"] + 1)
    _logged_once(readdress, what, _FOR_READDRESS)
    _no_failure(readdress)


@clients
@versions
@pytest.mark.parametrize("withheld", ["ADDHDRS", "CHGHDRS", "ADDRCPT"])
def test_h29_copies_that_cannot_be_made_are_refused_and_never_put_off(
    split: Filter, client: Client, version: int, withheld: str
) -> None:
    raw = _RAW.replace(b"{}", b'{"bcc": [{"email": "d@r.test"}]}')
    ours = MilterClient(split.socket, actions=offer(6, "ADDRCPT").actions)
    ours.connect()
    refused = ours.message(b"a@s.test", [b"b@r.test"], raw).verdict
    assert refused.startswith("550 ")
    answer = client(split.socket, offer(version, withheld), Peer((Mail(raw),)), refused.encode())
    assert answer.verdict == refused
    _no_failure(split)


@versions
@withheld_in_turn
def test_h29_copies_that_come_back_have_links_of_their_own_or_none(
    split: Filter, version: int, withheld: str
) -> None:
    """The hop's listener may grant less than the one before it, and speak another version."""
    (marked,) = through_go(split.socket, offer(6), Peer((Mail(_WITHOUT_HEADER, _SEVERAL),)))
    head = b"".join(
        name.encode() + b":" + value.replace(b"\n", b"\r\n") + b"\r\n" for name, value in marked.fields
    )
    mails = tuple(Mail(head + b"\r\n" + marked.body, (each,)) for each in _SEVERAL)
    copies = through_go(split.socket, offer(version, withheld), Peer(mails, port=_HOP_PORT))
    for answer, recipient in zip(copies, _SEVERAL, strict=True):
        assert answer.verdict == "accept"
        assert ("X-Smtpapi-Split" in dict(answer.fields)) == (withheld == "CHGHDRS")
        if withheld in _EACH_MAIL:
            assert answer.body == marked.body
        else:
            assert [one.identity.recipient for one in split.links(answer.body)] == [recipient] * 2
    _no_failure(split)


@versions
@pytest.mark.parametrize("mode", ["site", "split", "readdress"])
def test_h29_whatever_is_withheld_no_mail_is_put_off(
    request: pytest.FixtureRequest, mode: str, version: int
) -> None:
    """Every set of actions. That nothing is asked for which was not granted, `through_go` sees to."""
    where: Filter = request.getfixturevalue(mode)
    names = ("CHGBODY", "ADDHDRS", "CHGHDRS", "ADDRCPT", "DELRCPT")
    mails = tuple(Mail(raw, to) for raw in (_RAW, _WITHOUT_HEADER) for to in (("b@r.test",), _SEVERAL))
    for count in range(len(names) + 1):
        for withheld in combinations(names, count):
            answers = through_go(where.socket, offer(version, *withheld), Peer(mails))
            assert [answer.verdict for answer in answers] == ["accept"] * len(mails)
            with_header = ["X-MSYS-API" in dict(answer.fields) for answer in answers]
            assert with_header == [mail.raw == _RAW and "CHGHDRS" in withheld for mail in mails]
            tracked = [bool(where.links(answer.body)) for answer in answers]
            assert not any(tracked) or not {"CHGBODY", "ADDHDRS"} & set(withheld)
    _no_failure(where)


# -- who the client is


@clients
@versions
def test_h29_a_stranger_is_trusted_by_a_login_alone(site: Filter, client: Client, version: int) -> None:
    stranger = Peer((Mail(_RAW),), _STRANGER)
    assert _unchanged(client(site.socket, offer(version), stranger, b""), _RAW)
    known = Peer((Mail(_RAW, login="ann"),), _STRANGER)
    assert ("add", "X-Smtpapi-Id") in client(site.socket, offer(version), known, b"").changes


@clients
@versions
def test_h29_who_has_no_address_is_nobody(site: Filter, client: Client, version: int) -> None:
    peer = Peer((Mail(_RAW),), family="U")
    assert _unchanged(client(site.socket, offer(version), peer, b""), _RAW)


@versions
def test_h29_the_second_client_on_a_kept_connection_is_nobody(site: Filter, version: int) -> None:
    """libmilter heeds SMFIC_QUIT_NC only behind a message that was accepted (docs/quirks.md)."""
    wrong = _RAW.replace(b"{}", b"{")  # which nobody but a client that is trusted is told
    mails = (Mail(wrong), Mail(_RAW))
    reply, known, *others = through_go(site.socket, offer(version), Peer(mails), Peer(mails))
    assert reply.verdict.startswith("550 ")
    assert len(site.links(known.body)) == 2
    assert all(_unchanged(answer, mail.raw) for answer, mail in zip(others, mails, strict=True))


def test_h29_another_client_behind_a_refused_mail_is_nobody(site: Filter) -> None:
    """libmilter misses the change; the filter sees it by the address that the MTA tells.

    Below version 6 the MTA would wait in vain for an answer to the connection.
    """
    refused = Peer((Mail(_RAW.replace(b"{}", b"{")),))
    reply, answer = through_go(site.socket, offer(6), refused, Peer((Mail(_RAW),), _STRANGER))
    assert reply.verdict.startswith("550 ")
    assert _unchanged(answer, _RAW)


@pytest.mark.parametrize(("mode", "withheld"), [("site", "ADDHDRS"), ("split", "ADDRCPT")])
def test_h29_notation_goes_where_links_cannot_be_made(
    request: pytest.FixtureRequest, mode: str, withheld: str
) -> None:
    """No reader is to see it (contract.md 5.3), and the body may be changed."""
    where: Filter = request.getfixturevalue(mode)
    raw = _WITHOUT_HEADER.partition(b"Content-Type")[0]
    raw += b'\r\nSee https://shop.example/1[[data-msys-sublink="one"]] and buy.\r\n'
    (answer,) = through_go(where.socket, offer(6, withheld), Peer((Mail(raw),)))
    assert (answer.verdict, answer.changes) == ("accept", [("body", "")])
    assert answer.body == b"See https://shop.example/1 and buy.\r\n"
