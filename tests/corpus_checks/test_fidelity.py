"""Real mail and real documents: nothing changes but links and pixels, and no link is missed.

The corpus lies next to the checkout where there is one; without it these tests have nothing to read and say
so. All of it: `python tests/fidelity.py --all`, or the tests marked `long`.
"""

import itertools

import pytest

import fidelity

needs_corpus = pytest.mark.skipif(not fidelity.CORPUS.is_dir(), reason=f"no corpus at {fidelity.CORPUS}")
SAMPLE = 4  # every fourth mail, every sixteenth wrapping


@needs_corpus
def test_sample_of_real_mail_is_faithful() -> None:
    cases = list(itertools.islice(fidelity.mails(), 0, None, SAMPLE))
    outcomes, faults = fidelity.judge(cases, fidelity.COMMAND, readers=True)
    assert faults == []
    assert outcomes["rewritten"] > len(cases) // 4


@needs_corpus
def test_sample_of_wrapped_documents_is_faithful() -> None:
    cases = list(itertools.islice(fidelity.wrapped(), 0, None, SAMPLE * 4 + 1))
    outcomes, faults = fidelity.judge(cases, fidelity.COMMAND)
    assert faults == []
    assert outcomes["rewritten"] == len(cases)


@pytest.mark.long
@pytest.mark.timeout(1200)
@needs_corpus
def test_all_real_mail_and_documents_are_faithful() -> None:
    _, faults = fidelity.judge([*fidelity.mails(), *fidelity.wrapped()], fidelity.COMMAND, readers=True)
    assert faults == []


def mail(body: bytes) -> bytes:
    return b"Subject: s\r\nContent-Type: text/html\r\n\r\n" + body


EDIT = {"part": "1", "type": "text/html", "kind": "link", "start": 48, "end": 70, "length": 52, "name": ""}
BEFORE = mail(b'<a href="https://example.com/?a">x</a>')


def faults(after: bytes, **changed: object) -> list[str]:
    edit = EDIT | {"target": "https://example.com/?a"} | changed
    report = {"action": "rewritten", "reason": "", "edits": [edit], "skipped": []}
    return fidelity.check(BEFORE, after, report)


GOOD = mail(b'<a href="https://track.example.net/f/a/AAAAAAAAAAAAAAAAAAAAAA">x</a>')


def test_judge_accepts_what_is_right() -> None:
    assert BEFORE[48:70] == b"https://example.com/?a"
    assert faults(GOOD) == []


@pytest.mark.parametrize(
    ("after", "changed"),
    [
        (GOOD.replace(b">x<", b">y<"), {}),
        (GOOD + b"\r\n", {}),
        (GOOD, {"target": "https://example.com/?b"}),
        (GOOD, {"start": 47}),
        (GOOD, {"kind": "pixel"}),
        (GOOD.replace(b'AAAA">', b'AAA-">'), {}),
        (BEFORE, {"end": 48, "length": 0}),
    ],
)
def test_judge_finds_what_is_wrong(after: bytes, changed: dict[str, object]) -> None:
    assert faults(after, **changed) != []


def test_judge_misses_no_link() -> None:
    before = mail(b'<a href="http://a.example/">x</a><map><AREA HREF=http://b.example/?x&amp;y>')
    report = {"action": "untouched", "reason": "no-link", "edits": [], "skipped": []}
    assert len(list(fidelity.links(before, report))) >= 2


def test_judge_compares_untouched_mail() -> None:
    report = {"action": "untouched", "reason": "signed", "edits": [], "skipped": []}
    assert fidelity.check(BEFORE, BEFORE, report) == []
    assert fidelity.check(BEFORE, GOOD, report) != []
