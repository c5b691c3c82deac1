"""Each line of the filter's log: its logger, level and words (smtpapi.telemetry.maillog)."""

import inspect
import logging
from collections.abc import Callable
from typing import Any

import pytest

from smtpapi.model.edit import Edit
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.outcome import Discard, HeaderChange, Outcome, Plan, Refuse, Skip, Skipped, Why
from smtpapi.telemetry import maillog

MAIL = Envelope(Client(), "a@s.test", ("b@r.test",), "4bXyZ")
NONE_YET = Envelope(Client(), "a@s.test", ("b@r.test",), "")
WHO = "4bXyZ: from=<a@s.test>, to=<b@r.test>"
MILTER, DETAILS = "smtpapi.milter", "smtpapi.details"

LINES: list[tuple[Callable[..., None], tuple[Any, ...], list[tuple[str, int, str]]]] = [
    (
        maillog.refused_at_rcpt,
        (MAIL, Refuse("554", "5.7.1", "on the list")),
        [(MILTER, 20, f"{WHO}, status=refused, reply=554 5.7.1 on the list")],
    ),
    (
        maillog.failed_before_change,
        (MAIL,),
        [(MILTER, 40, f"{WHO}: status=untouched, reason=internal-error, traceback follows")],
    ),
    (
        maillog.failed_in_change,
        (MAIL, OSError()),
        [(MILTER, 40, f"{WHO}: status=deferred, reason=change-failed, traceback follows")],
    ),
    (
        maillog.lost_callback,
        (OSError(),),
        [(MILTER, 40, "a callback of libmilter failed, traceback follows")],
    ),
    (
        maillog.not_utf8,
        (b"X-\xfc\n",),
        [(MILTER, 30, "octets that are no UTF-8 in a name or command: X-\xfc\\x0a")],
    ),
    (
        maillog.not_granted,
        ("CHGBODY",),
        [
            (
                MILTER,
                30,
                "the MTA does not grant CHGBODY: mail that needs it goes on without links (docs/postfix.md)",
            )
        ],
    ),
    (
        maillog.event_lost,
        (MAIL,),
        [(MILTER, 40, f"{WHO}: warning: injection event not recorded, the mail goes on")],
    ),
    (maillog.detail, (MAIL, "a\nb"), [(DETAILS, 30, "4bXyZ: a\\x0ab")]),
    (maillog.detail, (NONE_YET, "a"), [(DETAILS, 30, "NOQUEUE: a")]),
    (maillog.remark, (MAIL, "a\nb"), [(DETAILS, 10, "4bXyZ: a\\x0ab")]),
    (maillog.remark, (NONE_YET, "a"), [(DETAILS, 10, "NOQUEUE: a")]),
    (maillog.printed, (NONE_YET, -1, "a\nb"), [(MILTER, 50, "NOQUEUE: policy: a\\x0ab")]),
    *(
        (maillog.printed, (MAIL, number, "a"), [(MILTER, level, "4bXyZ: policy: a")])
        for number, level in enumerate((50, 50, 50, 40, 30, 20, 20, 10, 10))
    ),
    (
        maillog.context_refused,
        ("192.0.2.1", "XSETCONTEXT", "no name"),
        [(DETAILS, 20, "192.0.2.1: XSETCONTEXT not taken: no name")],
    ),
    (
        maillog.context,
        ("192.0.2.1", {"b": "2", "a": "1\n"}),
        [
            (DETAILS, 20, "192.0.2.1: XDUMPCONTEXT: 2 variables of the connection"),
            (DETAILS, 20, "192.0.2.1: [connection] a 1\\x0a"),
            (DETAILS, 20, "192.0.2.1: [connection] b 2"),
        ],
    ),
    (maillog.ring_trouble, ("keys: no", ), [(MILTER, 40, "keys: no; the keys read before stay in use")]),
    (maillog.worker_failed, (), [(MILTER, 40, "worker stops, traceback follows")]),
    (maillog.ready, ("unix:/s", 2), [(MILTER, 20, "ready: listening on unix:/s with 2 workers")]),
    (maillog.notice, ("f:1: old",), [(MILTER, 30, "f:1: old")]),
    (
        maillog.never_returned,
        (),
        [(MILTER, 30, "libmilter did not return when it was stopped; its sessions are cut")],
    ),
    (
        maillog.worker_died,
        (7, "was killed", 1.25),
        [(MILTER, 40, "worker 7 was killed; a new one starts in 1.2 s")],
    ),
    (maillog.worker_not_started, ("no memory", 2.0), [(MILTER, 40, "no memory; tried again in 2.0 s")]),
    (
        maillog.cut_short,
        (3,),
        [
            (
                MILTER,
                30,
                "3 workers of earlier reloads do not wait for their sessions any longer: "
                "their clients get 451",
            )
        ],
    ),
    (
        maillog.reconfigured,
        (),
        [(MILTER, 20, "Reconfigured: new workers serve, the old ones finish what they have")],
    ),
    (
        maillog.reconfigure_failed,
        ("f:1: a\nf:2: b",),
        [
            (MILTER, 40, "Reconfigure failed. The old configuration stays in use:"),
            (MILTER, 40, "f:1: a"),
            (MILTER, 40, "f:2: b"),
        ],
    ),
    (
        maillog.needs_restart,
        ("milter { socket }",),
        [(MILTER, 30, "milter { socket } was changed: restart to use it; the old value stays in use")],
    ),
    (maillog.stopping, (), [(MILTER, 20, "stopping: messages under way are finished")]),
    (maillog.stopped, (), [(MILTER, 20, "stopped")]),
    (
        maillog.killed,
        (7,),
        [(MILTER, 40, "worker 7 did not finish in time and was killed; its clients get 451")],
    ),
]  # fmt: skip
ELSEWHERE = {maillog.setup, maillog.set_level, maillog.message}  # in test_maillog.py and below


@pytest.mark.parametrize(("write", "values", "lines"), LINES, ids=lambda each: getattr(each, "__name__", ""))
def test_a_line_has_its_logger_its_level_and_its_words(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[..., None],
    values: tuple[Any, ...],
    lines: list[tuple[str, int, str]],
) -> None:
    monkeypatch.setattr(maillog, "_lines", None)
    with caplog.at_level(logging.DEBUG, MILTER), caplog.at_level(logging.DEBUG, DETAILS):
        try:
            raise KeyError("under way")
        except KeyError:
            write(*values)
    assert caplog.record_tuples == lines
    for record in caplog.records:
        assert bool(record.exc_info) is record.getMessage().endswith(
            ("traceback follows", "the mail goes on")
        )


def test_there_is_a_case_for_each_function_that_logs() -> None:
    functions = {each for name, each in inspect.getmembers(maillog, inspect.isfunction) if name[0] != "_"}
    assert functions == {write for write, _, _ in LINES} | ELSEWHERE


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Discard(""), "status=discarded"),
        (Discard("a\nb"), "status=discarded, note=a\\x0ab"),
        (Plan(why=Why.SPLIT, note="2\n"), "status=split, note=2\\x0a"),
        (Plan(why=Why.NO_LINK), "status=untouched, reason=no-link"),
        (Plan(why=Why.NO_LINK, note="a"), "status=untouched, reason=no-link, note=a"),
        (
            Plan((), (Edit(0, 1, b"", "macro"),), why=Why.NO_LINK),
            "status=untouched, reason=no-link, headers=0, edits=1",
        ),
        (
            Plan((HeaderChange("X-MSYS-API", 1, None),), why=Why.NO_LINK, note="a"),
            "status=untouched, reason=no-link, note=a, headers=1, edits=0",
        ),
        (
            Plan(
                (),
                (
                    Edit(0, 1, b"", "link"),
                    Edit(1, 2, b"", "pixel"),
                    Edit(2, 9, b"", "reencoded", inner=(Edit(0, 1, b"", "link"), Edit(2, 3, b"", "link"))),
                ),
                skipped=(Skipped("1", 0, "", Skip.PART_CHARSET),),
            ),
            "status=tracked, edits=3, links=3, skipped=1",
        ),
    ],
)
def test_what_became_of_a_message(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, outcome: Outcome, text: str
) -> None:
    monkeypatch.setattr(maillog, "_lines", None)
    with caplog.at_level(logging.INFO, MILTER):
        maillog.message(MAIL, outcome, 10, 0.0015)
    assert caplog.messages == [f"{WHO}, size=10, ms=1.5, {text}"]


@pytest.mark.parametrize("size", [499, 500, 501, 5000])
def test_a_text_from_outside_is_cut(caplog: pytest.LogCaptureFixture, size: int) -> None:
    with caplog.at_level(logging.INFO, DETAILS):
        maillog.detail(MAIL, "x" * size)
    assert caplog.messages == ["4bXyZ: " + "x" * min(size, 500)]


@pytest.mark.parametrize(
    ("count", "expected"), [(0, "to=<>, nrcpt=0"), (1, "to=<0@r.test>"), (3, "to=<0@r.test>, nrcpt=3")]
)
def test_the_number_of_recipients_is_told_unless_it_is_one(
    caplog: pytest.LogCaptureFixture, count: int, expected: str
) -> None:
    envelope = Envelope(Client(), "a@s.test", tuple(f"{number}@r.test" for number in range(count)), "4bXyZ")
    with caplog.at_level(logging.INFO, MILTER):
        maillog.refused_at_rcpt(envelope, Refuse("554", "5.7.1", "x"))
    assert caplog.messages == [f"4bXyZ: from=<a@s.test>, {expected}, status=refused, reply=554 5.7.1 x"]
