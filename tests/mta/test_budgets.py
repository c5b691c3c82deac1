"""Hostile mail stays inside the budgets: untouched with a reason, or done in time linear in its size."""

import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from engagement.links.keys import Ring
from engagement.settings import load_text
from hostile_mail import HOSTILE
from milter_client import MilterClient
from mta.mta_site import Filter
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import Leave, Plan, Refuse, Why
from smtpapi.pipeline.transaction import MessageResult, Site, consider

_BUDGET = 2.0  # limits.time_budget's default, in seconds
_SLACK = 2.0  # one call of C over 10 MB, on a busy machine; a quadratic trap takes minutes
_CONFIG = """smtpapi { }
ESMTP_Listener { Listen ":25" { }
  click_tracking_enabled = true open_tracking_enabled = true tracking_domain = "t.example.net" }"""
_CLIENT = Client("127.0.0.1", "localhost", "", "127.0.0.1", 25, "smtpd", "x")


def _json(text: bytes) -> Message:
    return Message((Field("Content-Type", b" text/html"), Field("X-MSYS-API", text)), b"<p>x</p>\r\n")


_MB = 1_000_000
_HEADERS: dict[str, Callable[[], Message]] = {
    "JSON nested 20,000 deep": lambda: _json(b'{"metadata":' * 5000 + b"{}" + b"}" * 5000),
    "JSON of 60,000 brackets": lambda: _json(b"[" * 60_000),
    "a JSON number of 60,000 digits": lambda: _json(b'{"metadata": {"a": ' + b"9" * 59_000 + b"}}"),
}


@cache
def _site() -> Site:
    return Site.build(load_text(_CONFIG), Ring().rotated(b"k" * 32, 1))


def _judge(message: Message) -> tuple[MessageResult, float]:
    began = time.process_time()
    considered = consider(
        _site(),
        Envelope(_CLIENT, "a@s.test", ("b@r.test",)),
        message,
        now=1_795_501_800.0,
        tick=time.monotonic,
    )
    return considered, time.process_time() - began


def _assert_inside_the_budget(message: Message) -> None:
    considered, seconds = _judge(message)
    outcome = considered.outcome
    assert seconds < _BUDGET + _SLACK
    if isinstance(outcome, Leave | Plan):
        assert outcome.why is not Why.INTERNAL_ERROR, outcome.note
        assert isinstance(outcome, Plan) or outcome.note or outcome.why
    else:
        assert isinstance(outcome, Refuse)


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_mail_stays_inside_the_time_budget(kind: str) -> None:
    _assert_inside_the_budget(HOSTILE[kind](10 * _MB))


@pytest.mark.parametrize("name", _HEADERS)
def test_hostile_header_stays_inside_the_time_budget(name: str) -> None:
    _assert_inside_the_budget(_HEADERS[name]())


@pytest.mark.parametrize("kind", HOSTILE)
def test_time_grows_with_the_size_and_not_with_its_square(kind: str) -> None:
    """Ten times the mail: about ten times the time. A quadratic step would show as a hundred."""
    small, large = HOSTILE[kind](100_000), HOSTILE[kind](1_000_000)

    def best(message: Message) -> float:
        return min(_judge(message)[1] for _ in range(2))

    assert best(large) < 35 * max(best(small), 0.002)


def test_memory_is_bounded_by_the_size_of_the_mail() -> None:
    """Peak growth while five hostile mails of 10 MB are judged, in a process of its own."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            for kind in ("<", "links", "parts", "entities", "<a"):
                _judge(HOSTILE[kind](10 * _MB))
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # kB
            status = 0 if grown < 600_000 else 2
            print(f"grown by {grown / 1000:.0f} MB", file=sys.stderr)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_hostile_mail_does_not_keep_others_waiting(tmp_path: Path) -> None:
    """Python runs one thread at a time in a worker, but hands over in the middle of a judgement."""
    with Filter(tmp_path, workers=1) as site:
        evil = MilterClient(site.socket, timeout=60)
        evil.connect()
        hostile = b"Content-Type: text/html\r\n\r\n" + b"<a href=http://x.example/1>x</a>" * 300_000 + b"\r\n"
        answers = []
        sender = threading.Thread(
            target=lambda: answers.append(evil.message(b"e@s.test", [b"b@r.test"], hostile).verdict)
        )
        sender.start()
        client = MilterClient(site.socket, timeout=60)
        client.connect()
        mail = b"Subject: x\r\nContent-Type: text/html\r\n\r\n<a href=https://shop.example/>x</a>\r\n"
        for _ in range(5):
            assert client.message(b"a@s.test", [b"b@r.test"], mail).verdict == "accept"
        sender.join()
        assert answers == ["accept"]
        assert site.counts()["failed-before-change"] == 0
