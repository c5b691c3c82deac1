"""Several recipients over the milter protocol: what the MTA is asked, and what it is told at RCPT TO."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from milter_client import Answer, MilterClient
from mta.mta_site import Filter, until
from smtpapi.request import copies

RAW = b"""Message-ID: <m@sender.test>\r
Date: Tue, 24 Nov 2026 06:30:00 +0000\r
Content-Type: text/html\r
X-MSYS-API: {"campaign_id": "c", "bcc": ["hidden@rcpt.test"]}\r
\r
<a href="https://shop.example/">x</a>\r
"""
WITHOUT_BCC = RAW.replace(b', "bcc": ["hidden@rcpt.test"]', b"")
TO = (b"ann@rcpt.test", b"bob@rcpt.test")
HOP = {"{daemon_port}": "10026"}


def site(folder: Path, mode: str) -> Filter:
    return Filter(folder, more=f"rewriting {{ several_recipients = {mode} }}")


@pytest.fixture(scope="module", params=["split", "readdress"])
def hop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filter]:
    with site(tmp_path_factory.mktemp("hop"), request.param) as running:
        yield running


def recipients(answer: Answer) -> list[tuple[str, ...]]:
    return [one for one in answer.changes if one[0].endswith("recipient")]


def first_pass(where: Filter, raw: bytes = RAW, options: tuple[bytes, ...] = (b"", b"")) -> Answer:
    client = MilterClient(where.socket)
    client.connect("127.0.0.1")
    client.step("M", b"<news@sender.test>\0")
    for address, option in zip(TO, options, strict=True):
        there = {"{rcpt_mailer}": "esmtp", "{rcpt_host}": "rcpt.test.", "{rcpt_addr}": address.decode()}
        client.step("R", b"<" + address + b">\0" + option, there)
    head, _, body = raw.partition(b"\r\n\r\n")
    fields = [
        (name.decode(), b" " + value) for name, value in (x.split(b": ", 1) for x in head.split(b"\r\n"))
    ]
    client.content(fields, body)
    return client.end(fields, body)


def test_copies_are_asked_of_the_mta_after_the_header(hop: Filter) -> None:
    answer = first_pass(hop)
    assert answer.verdict == "accept"
    kinds = list(dict.fromkeys(one[0] for one in answer.changes))
    assert kinds[:2] == ["delete", "add"]
    assert "body" not in kinds
    assert [name for name, _ in answer.fields] == ["Message-ID", "Date", "Content-Type", "X-Smtpapi-Split"]
    assert recipients(answer)[-1][:2] in {
        ("add recipient", "<hidden@rcpt.test>"),
        ("remove recipient", f"<{copies.HOP}>"),
    }


def test_sendmail_s_recipients_keep_their_dsn_options(tmp_path: Path) -> None:
    with site(tmp_path, "readdress") as where:
        answer = first_pass(
            where, WITHOUT_BCC, (b"NOTIFY=NEVER\0ORCPT=rfc822;x+2B1@rcpt.test\0", b"BODY=x\0")
        )
        assert recipients(answer) == [
            ("remove recipient", "<ann@rcpt.test>"),
            ("remove recipient", "<bob@rcpt.test>"),
            ("add recipient", f"<{copies.HOP}>"),
            ("add recipient", "<ann@rcpt.test>", "NOTIFY=NEVER ORCPT=rfc822;x+2B1@rcpt.test"),
            ("add recipient", "<bob@rcpt.test>"),
            ("remove recipient", f"<{copies.HOP}>"),
        ]


def test_a_copy_comes_back_and_is_made(hop: Filter) -> None:
    marked = first_pass(hop)
    for recipient in ("ann@rcpt.test", "hidden@rcpt.test"):
        client = MilterClient(hop.socket)
        client.connect("127.0.0.1", HOP)
        client.envelope(b"news@sender.test", [recipient.encode()])
        client.content(marked.fields, marked.body)
        copy = client.end(marked.fields, marked.body)
        assert {one.identity.recipient for one in hop.links(copy.body)} == {recipient}
        assert ("Bcc" in [name for name, _ in copy.fields]) is (recipient == "hidden@rcpt.test")
        assert "X-Smtpapi-Split" not in [name for name, _ in copy.fields]


def test_a_copy_s_alias_is_told_by_orcpt(hop: Filter) -> None:
    marked = first_pass(hop)
    client = MilterClient(hop.socket)
    client.connect("127.0.0.1", HOP)
    client.step("M", b"<news@sender.test>\0")
    client.step("R", b"<box@inside.test>\0ORCPT=rfc822;hidden@rcpt.test\0")
    client.content(marked.fields, marked.body)
    copy = client.end(marked.fields, marked.body)
    assert ("Bcc", b" hidden@rcpt.test") in copy.fields


def test_a_mark_that_does_not_count_is_counted(hop: Filter) -> None:
    before = hop.counts()["marks-refused"]
    marked = first_pass(hop)
    client = MilterClient(hop.socket)
    client.connect("127.0.0.1", HOP)
    client.envelope(b"news@sender.test", [b"ann@rcpt.test"])
    client.content(marked.fields, marked.body + b"more\r\n")
    answer = client.end(marked.fields, marked.body + b"more\r\n")
    assert [one[0] for one in answer.changes] == ["delete"]
    until(lambda: hop.counts()["marks-refused"] == before + 1, 5, "the count")


def test_defer_takes_one_recipient_a_transaction(tmp_path: Path) -> None:
    with site(tmp_path, "defer") as where:
        client = MilterClient(where.socket)
        client.connect("127.0.0.1")
        assert not client.protocol & 0x8000  # no-reply at RCPT
        replies = client.envelope(b"news@sender.test", [*TO, b"eve@rcpt.test"])
        later = "452 4.5.3 One recipient a transaction here, send this one again"
        assert replies[1:] == ["c", later, later]
        head, _, body = WITHOUT_BCC.partition(b"\r\n\r\n")
        fields = [
            (name.decode(), b" " + value) for name, value in (x.split(b": ", 1) for x in head.split(b"\r\n"))
        ]
        client.content(fields, body)
        answer = client.end(fields, body)
        assert {one.identity.recipient for one in where.links(answer.body)} == {"ann@rcpt.test"}
        # The same session's next transaction, and a stranger's, who is not asked to.
        assert client.envelope(b"news@sender.test", TO[1:])[1:] == ["c"]
        stranger = MilterClient(where.socket)
        stranger.connect("192.0.2.7")
        assert stranger.envelope(b"news@sender.test", TO)[1:] == ["c", "c"]
        for each in (client, stranger):
            each.quit()


def test_without_defer_no_answer_is_waited_for_at_rcpt(hop: Filter) -> None:
    assert MilterClient(hop.socket).protocol & 0x8000
