"""Whole messages of any shape: never an exception, and always the output that the report describes."""

import itertools
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engagement.links.keys import Key, KeyStatus
from engagement.links.model import Identity
from fidelity import check
from smtpapi.mime.locate import MAX_DEPTH, locate
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import Leave, Plan, Why
from smtpapi.request.decision import Decision
from smtpapi.rewrite import raw_message
from smtpapi.rewrite.copy_links import CopyLinks
from smtpapi.rewrite.plan import plan
from smtpapi.rewrite.rules import RewritingRules

modest = settings(max_examples=100, deadline=None)

DECISION = Decision(True, True, True, "https", "https", "track.example.net", 31_536_000)
IDENTITY = Identity(bytes(16), 7, "reader@example.test", 1_790_000_000, 1_821_536_000)
LINKS = CopyLinks.build(Key(1, KeyStatus.SIGNING, 0, bytes(range(32))), IDENTITY, DECISION)
RULES = RewritingRules(own_hosts=frozenset({b"track.example.net"}))

FRAGMENTS = st.sampled_from(
    [
        b"Content-Type: text/html; charset=utf-8",
        b"Content-Type: text/plain; format=flowed; delsp=yes",
        b"Content-Type: text/x-amp-html",
        b"Content-Type: multipart/alternative; boundary=b",
        b'Content-Type: multipart/mixed; boundary="c d"',
        b"Content-Type: multipart/signed; boundary=s",
        b"Content-Type: message/rfc822",
        b"Content-Transfer-Encoding: quoted-printable",
        b"Content-Transfer-Encoding: base64",
        b"Content-Transfer-Encoding: 8bit",
        b"Content-Disposition: attachment",
        b"Subject : x\r\n\tfolded",
        b"",
        b"",
        b"",
        b"--b",
        b"--b--",
        b"--c d",
        b"--c d--",
        b"--s",
        b"-- ",
        b"<html><body class=x>",
        b'<a href="https://www.example.com/?a=3D1&amp;b=3D2">x</a>',
        b'<a href=3D"https://www.exam=',
        b'ple.com/">y</a>',
        b"<A HREF=http://www.example.org/x/>z",
        b'https://www.example.com/text[[data-msys-unsubscribe="1"]]',
        b"PGEgaHJlZj0iaHR0cHM6Ly93d3cuZXhhbXBsZS5jb20vIj54PC9hPg==",
        b"</body></html>",
        b"<!-- ",
        b"{{opening_single_curly()}}",
        b"word " * 250,
        b"\0\xff\xfe=",
        b".",
    ]
)
MAILS = st.tuples(st.lists(FRAGMENTS, max_size=25), st.sampled_from([b"\r\n", b"\n"])).map(
    lambda drawn: b"From: a@example.com" + drawn[1] + drawn[1].join(drawn[0])
)


def rewritten(raw: bytes, rules: RewritingRules = RULES) -> tuple[bytes, dict[str, Any]]:
    ticks = itertools.count()
    message = raw_message.split(raw)
    outcome = plan(message.message, DECISION, LINKS, rules, lambda: next(ticks) * 1e-6)
    out = message.apply(outcome) if isinstance(outcome, Plan) else raw
    return out, message.report(outcome, "x")


@modest
@given(MAILS)
def test_any_mail_comes_out_as_its_report_says(raw: bytes) -> None:
    out, report = rewritten(raw)
    # In such debris two parsers may see different top parts: targets are judged elsewhere.
    assert [fault for fault in check(raw, out, report, clicks=False) if "the author wrote" not in fault] == []


@modest
@given(MAILS)
def test_rewriting_again_adds_no_second_wrapping(raw: bytes) -> None:
    once, report = rewritten(raw)
    _, again = rewritten(once)
    first = [edit for edit in report["edits"] if edit["kind"] == "link"]
    second = [edit for edit in again["edits"] if edit["kind"] == "link"]
    targets = [edit["target"] for edit in second]
    assert not [target for target in targets if "track.example.net" in target]
    assert len(second) <= len(first) + 1


@modest
@given(st.binary(max_size=400))
def test_any_bytes_pass_or_are_reported(raw: bytes) -> None:
    out, report = rewritten(raw)
    assert check(raw, out, report, clicks=False) == []


@modest
@given(st.binary(max_size=300))
def test_splitting_loses_nothing(raw: bytes) -> None:
    message = raw_message.split(raw)
    assert raw.endswith(message.message.body)
    assert message.raw[message.body_start :] == message.message.body


def multipart(rng: random.Random, depth: int, path: str, leaves: list[str]) -> bytes:
    """A random tree of parts; the leaves' section numbers as a mail program counts them."""
    boundary = f"=_{path}x{rng.randrange(10**9)}="
    pieces = [f'Content-Type: multipart/mixed; boundary="{boundary}"\r\n\r\npreamble\r\n'.encode()]
    for number in range(1, rng.randint(2, 4)):
        section = f"{path}.{number}" if path else str(number)
        if depth and rng.random() < 0.5:
            inner = multipart(rng, depth - 1, section, leaves)
        else:
            leaves.append(section)
            inner = f"Content-Type: text/x-{section}\r\n\r\nbody of {section}".encode()
        pieces.append(f"--{boundary}\r\n".encode() + inner + b"\r\n")
    return b"".join(pieces) + f"--{boundary}--\r\nepilogue\r\n".encode()


@pytest.mark.parametrize("seed", range(40))
def test_every_leaf_of_a_tree_is_located(seed: int) -> None:
    leaves: list[str] = []
    raw = multipart(random.Random(seed), 4, "", leaves)
    message = raw_message.split(raw).message
    parts = locate(message)
    assert not isinstance(parts, Leave)
    assert [part.section for part in parts] == leaves
    for part in parts:
        assert message.body[part.start : part.stop] == f"body of {part.section}".encode()


def test_a_hundred_thousand_parts_are_too_many_and_quickly_so() -> None:
    body = b"--b\r\n\r\nx\r\n" * 100_000
    message = Message((Field("Content-Type", b" multipart/mixed; boundary=b"),), body)
    found = locate(message)
    assert isinstance(found, Leave)
    assert found.why is Why.TOO_MANY_PARTS
    parts = locate(message, max_parts=100_000)
    assert not isinstance(parts, Leave)
    assert len(parts) == 100_000


def test_depth_is_bounded_without_recursion() -> None:
    levels = 5000
    body = b"".join(
        b"--%05d.\r\nContent-Type: multipart/mixed; boundary=%05d.\r\n\r\n" % (n, n + 1)
        for n in range(levels)
    )
    message = Message((Field("Content-Type", b" multipart/mixed; boundary=00000."),), body)
    found = locate(message)
    assert isinstance(found, Leave)
    assert str(MAX_DEPTH) in found.note
