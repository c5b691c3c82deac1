import logging
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from smtpapi.model.edit import Edit
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.outcome import HeaderChange, Leave, Outcome, Plan, Refuse, Why
from smtpapi.telemetry import maillog

_ENVELOPE = Envelope(Client(), "a@s.test", ("b@r.test",), "4bXyZ")
_WHO = "4bXyZ: from=<a@s.test>, to=<b@r.test>, size=10, ms=1.5, "


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Leave(Why.UNTRUSTED), "status=untouched, reason=untrusted"),
        (Leave(Why.INTERNAL_ERROR, "KeyError"), "status=untouched, reason=internal-error, note=KeyError"),
        (Refuse("550", "5.6.0", "no"), "status=refused, reply=550 5.6.0 no"),
        (
            Plan((HeaderChange("X-MSYS-API", 1, None),), why=Why.NO_LINK),
            "status=untouched, reason=no-link, headers=1, edits=0",
        ),
        (
            Plan(edits=(Edit(0, 9, b"", "reencoded", inner=(Edit(0, 1, b"", "link"),)),)),
            "status=tracked, edits=1, links=1, skipped=0",
        ),
    ],
)
def test_a_message_has_one_line(caplog: pytest.LogCaptureFixture, outcome: Outcome, text: str) -> None:
    with caplog.at_level(logging.INFO, "smtpapi.milter"):
        maillog.message(_ENVELOPE, outcome, 10, 0.0015)
    assert caplog.messages == [_WHO + text]


def test_what_strangers_send_cannot_make_a_line_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    envelope = Envelope(Client(), "a\nstatus=tracked@s.test", ("b\x1b[31m@r.test", "c@r.test"), "")
    with caplog.at_level(logging.INFO, "smtpapi.milter"):
        maillog.message(envelope, Leave(Why.UNTRUSTED), 1, 0)
    (line,) = caplog.messages
    assert line.startswith(
        r"NOQUEUE: from=<a\x0astatus=tracked@s.test>, to=<b\x1b[31m@r.test>, nrcpt=2, size=1"
    )


@pytest.mark.parametrize(
    ("level", "shown"), [("DEBUG", True), ("1", True), ("info", True), ("ERROR", False), ("4", False)]
)
def test_debug_level_governs_details(level: str, shown: bool) -> None:
    maillog.set_level(level)
    assert logging.getLogger("smtpapi.details").isEnabledFor(logging.INFO) is shown


@pytest.mark.parametrize(
    ("names", "level"),
    [
        (("DEBUG", "debug", "0"), 10),
        (("INFO", "1"), 20),
        (("NOTICE", "2"), 25),
        (("WARNING", "3"), 30),
        (("ERROR", "4", "", "other"), 40),
        (("CRITICAL", "5"), 50),
    ],
)
def test_each_debug_level_has_a_name_and_a_number(names: tuple[str, ...], level: int) -> None:
    for name in names:
        maillog.set_level(name)
        assert logging.getLogger("smtpapi.details").level == level, name


@pytest.fixture(autouse=True)
def restored_loggers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All loggers are as before afterwards."""
    loggers = [logging.getLogger(name) for name in ("smtpapi", "engagement")]
    before = [(each, each.handlers[:], each.propagate) for each in loggers]
    levels = [(each, each.level) for each in map(logging.getLogger, ("smtpapi.milter", "smtpapi.details"))]
    monkeypatch.setattr(maillog, "_lines", None)
    yield
    for logger, handlers, propagate in before:
        logger.handlers[:], logger.propagate = handlers, propagate
    for logger, level in levels:
        logger.setLevel(level)
    logging.logThreads = logging.logMultiprocessing = True


@pytest.mark.parametrize("journal", [True, False])
def test_all_lines_have_one_shape(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, journal: bool
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    if journal:
        monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    maillog.setup("INFO")
    maillog.message(_ENVELOPE, Leave(Why.UNTRUSTED), 10, 0.0015)
    maillog.stopped()
    maillog.ring_trouble("x")
    try:
        raise KeyError("k")
    except KeyError:
        maillog.failed_before_change(_ENVELOPE)
    head = "" if journal else r"[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d smtpapi/milter\[\d+\]: "
    first, second, third, fourth, *trace = capsys.readouterr().err.splitlines()
    assert re.fullmatch(head + "INFO: " + re.escape(_WHO) + "status=untouched, reason=untrusted", first)
    assert re.fullmatch(head + "INFO: stopped", second)
    assert re.fullmatch(head + "ERROR: x; the keys read before stay in use", third)
    assert re.match(head + "ERROR: 4bXyZ: from=<a@s.test>", fourth)
    assert (trace[0], trace[-1]) == ("Traceback (most recent call last):", "KeyError: 'k'")


def test_a_line_that_the_pipe_takes_in_pieces_is_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    real = os.write
    with (tmp_path / "log").open("w", encoding="ascii") as log:
        monkeypatch.setattr(sys, "stderr", log)
        monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:7]))
        maillog.setup("INFO")
        maillog.message(replace(_ENVELOPE, sender="ä@s.test"), Leave(Why.UNTRUSTED), 10, 0.0015)
        maillog.stopped()
    line = "INFO: " + _WHO.replace("<a@", r"<\xe4@") + "status=untouched, reason=untrusted"
    assert (tmp_path / "log").read_text().splitlines() == [line, "INFO: stopped"]


def test_a_forked_process_signs_its_own_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    with (tmp_path / "log").open("w") as log:
        monkeypatch.setattr(sys, "stderr", log)
        maillog.setup("INFO")
        maillog.message(_ENVELOPE, Leave(Why.UNTRUSTED), 10, 0.0015)
        if (child := os.fork()) == 0:
            maillog.message(_ENVELOPE, Leave(Why.UNTRUSTED), 10, 0.0015)
            os._exit(0)
        os.waitpid(child, 0)
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line.partition("[")[2].partition("]")[0] for line in lines] == [str(os.getpid()), str(child)]


def test_h28_a_failed_change_says_why(caplog: pytest.LogCaptureFixture) -> None:
    """As the session does it: the failure is a value by then, no exception under way."""
    try:
        raise OSError(32, "Broken pipe")
    except OSError as error:
        failure = error
    with caplog.at_level(logging.INFO, "smtpapi.milter"):
        maillog.failed_in_change(_ENVELOPE, failure)
    assert "reason=change-failed" in caplog.text
    assert "Broken pipe" in caplog.text
    assert "test_h28_a_failed_change_says_why" in caplog.text, "the traceback names the place"
    assert "NoneType: None" not in caplog.text
