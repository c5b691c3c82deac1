"""Hostile mail stays inside the budgets: untouched with a reason, or done in time linear in its size."""

import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from functools import cache

import pytest
from mta_site import Filter

from engagement.links.keys import Ring
from engagement.settings import load_text
from milter_client import MilterClient
from smtpapi.envelope import Client, Envelope
from smtpapi.message import Field, Message
from smtpapi.outcome import Leave, Plan, Refuse, Why
from smtpapi.transaction import Considered, Site, consider

_BUDGET = 2.0  # limits.time_budget's default, in seconds
_SLACK = 6.0  # a busy machine; a quadratic trap of these sizes takes minutes
_CONFIG = """smtpapi { }
ESMTP_Listener { Listen ":25" { }
  click_tracking_enabled = true open_tracking_enabled = true tracking_domain = "t.example.net" }"""
_CLIENT = Client("127.0.0.1", "localhost", "", "127.0.0.1", 25, "smtpd", "x")


def _html(body: bytes, kind: str = "text/html", encoding: str = "8bit") -> Message:
    return Message(
        (
            Field("Content-Type", b" " + kind.encode()),
            Field("Content-Transfer-Encoding", b" " + encoding.encode()),
            Field("Message-ID", b" <h@example.org>"),
        ),
        body,
    )


def _parts(count: int) -> Message:
    part = b"--b\r\nContent-Type: text/html\r\n\r\n<a href=http://x.example/>x</a>\r\n"
    return _html(part * count + b"--b--\r\n", 'multipart/mixed; boundary="b"')


def _nested(depth: int) -> Message:
    head = b"".join(
        b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (n, n + 1) for n in range(depth)
    )
    return _html(head + b"<p>" * 10, "multipart/mixed; boundary=b0")


def _boundaries(size: int) -> Message:
    """Lines that are almost the boundary, of a boundary of the longest length, with long runs of blanks."""
    boundary = b"-" * 70
    line = b"--" + boundary + b" " * 200 + b"x\r\n"
    return _html(line * (size // len(line)), f'multipart/mixed; boundary="{boundary.decode()}"')


def _folds(count: int) -> Message:
    value = b" multipart/mixed;" + b"\n " * count + b' boundary="b"'
    return Message(
        (Field("Content-Type", value), Field("X-MSYS-API", b"\n " * count + b"{}")), b"--b\r\n\r\nx\r\n"
    )


def _json(text: bytes) -> Message:
    return Message((Field("Content-Type", b" text/html"), Field("X-MSYS-API", text)), b"<p>x</p>\r\n")


_MB = 1_000_000
_HOSTILE: dict[str, Callable[[], Message]] = {
    "100,000 parts": lambda: _parts(100_000),
    "parts nested 5,000 deep": lambda: _nested(5000),
    "parts nested 100,000 deep": lambda: _nested(100_000),
    "almost boundaries": lambda: _boundaries(10 * _MB),
    "dashes alone": lambda: _html(b"-" * (10 * _MB), 'multipart/mixed; boundary="-"'),
    "60,000 folds": lambda: _folds(60_000),
    "10 MB of <": lambda: _html(b"<" * (10 * _MB)),
    "10 MB of <a": lambda: _html(b"<a " * (10 * _MB // 3)),
    "10 MB of <a href=": lambda: _html(b"<a href=" * (10 * _MB // 8)),
    '10 MB of <a href="': lambda: _html(b'<a href="' * (10 * _MB // 9)),
    "10 MB of comments begun": lambda: _html(b"<!--" * (10 * _MB // 4)),
    "10 MB of comments almost closed": lambda: _html(b"<!-- --!" * (10 * _MB // 8)),
    "10 MB of conditional comments": lambda: _html(b"<!--[if mso]><a href=http://x/>" * (10 * _MB // 31)),
    "10 MB of <![CDATA[": lambda: _html(b"<svg><![CDATA[" * (10 * _MB // 14)),
    "10 MB of <script>": lambda: _html(b"<script>" * (10 * _MB // 8)),
    "10 MB of <script><!--<script>": lambda: _html(b"<script><!--<script>" * (10 * _MB // 20)),
    "10 MB of </title": lambda: _html(b"<title>" + b"</titl" * (10 * _MB // 6)),
    "10 MB of attributes": lambda: _html(b"<a " + b"x=1 " * (10 * _MB // 4) + b"href=http://x.example/>"),
    "10 MB of entities": lambda: _html(b'<a href="http://x/?' + b"&amp" * (10 * _MB // 4) + b'">x</a>'),
    "10 MB of blanks in a tag": lambda: _html(b"<a" + b" " * (10 * _MB) + b"href=x>"),
    "elements nested a million deep": lambda: _html(b"<div>" * _MB + b"<a href=http://x.example/>x</a>"),
    "a million links": lambda: _html(b"<a href=http://x.example/1>x</a>" * _MB),
    "a million links in text": lambda: _html(b"http://x.example/1 " * _MB, "text/plain"),
    "10 MB of http:// in text": lambda: _html(b"http://" * (10 * _MB // 7), "text/plain"),
    "10 MB of brackets in text": lambda: _html(b"http://x.example/" + b"(" * (10 * _MB), "text/plain"),
    "10 MB of notation in text": lambda: _html(b"http://x.example/[[" * (10 * _MB // 19), "text/plain"),
    "10 MB of braces": lambda: _html(b"{{ " * (10 * _MB // 3)),
    "10 MB in one base64 line": lambda: _html(b"PGEg" * (10 * _MB // 4), encoding="base64"),
    "10 MB of base64 padding": lambda: _html(b"PA==" * (10 * _MB // 4), encoding="base64"),
    "10 MB in one quoted-printable line": lambda: _html(
        b"=3Ca" * (10 * _MB // 4), encoding="quoted-printable"
    ),
    "10 MB of soft breaks": lambda: _html(b"=\r\n" * (10 * _MB // 3), encoding="quoted-printable"),
    "soft breaks in every place": lambda: _html(
        b"<=\r\na=\r\n =\r\nh=\r\nr=\r\ne=\r\nf=\r\n=\r\n=3D=\r\nh=\r\nt=\r\nt=\r\np:=\r\n//x>" * 100_000,
        encoding="quoted-printable",
    ),
    "10 MB of = in quoted-printable": lambda: _html(b"=" * (10 * _MB), encoding="quoted-printable"),
    "10 MB of UTF-16": lambda: _html(b"<\0" * (5 * _MB), "text/html; charset=utf-16le"),
    "10 MB of ISO-2022-JP": lambda: _html(
        b"\x1b$B\x1b(B" * (10 * _MB // 6), "text/html; charset=iso-2022-jp"
    ),
    "10 MB of AMP": lambda: _html(b"<amp-img src=" * (10 * _MB // 13), "text/x-amp-html"),
    "10 MB of conditional VML": lambda: _html(b"<v:roundrect href='http://x" * (10 * _MB // 27)),
    "JSON nested 20,000 deep": lambda: _json(b'{"metadata":' * 5000 + b"{}" + b"}" * 5000),
    "JSON of 60,000 brackets": lambda: _json(b"[" * 60_000),
    "a JSON number of 60,000 digits": lambda: _json(b'{"metadata": {"a": ' + b"9" * 59_000 + b"}}"),
    "10 MB of inline PGP": lambda: _html(b"-----BEGIN PGP MESSAGE----\r\n" * (10 * _MB // 28), "text/plain"),
}


@cache
def _site() -> Site:
    return Site.build(load_text(_CONFIG), Ring().rotated(b"k" * 32, 1))


def _judge(message: Message) -> tuple[Considered, float]:
    began = time.process_time()
    considered = consider(
        _site(),
        Envelope(_CLIENT, "a@s.test", ("b@r.test",)),
        message,
        now=1_795_501_800.0,
        tick=time.monotonic,
    )
    return considered, time.process_time() - began


@pytest.mark.parametrize("name", _HOSTILE)
def test_hostile_mail_stays_inside_the_time_budget(name: str) -> None:
    considered, seconds = _judge(_HOSTILE[name]())
    outcome = considered.outcome
    assert seconds < _BUDGET + _SLACK
    if isinstance(outcome, Leave | Plan):
        assert outcome.why is not Why.INTERNAL_ERROR, outcome.note
        assert isinstance(outcome, Plan) or outcome.note or outcome.why
    else:
        assert isinstance(outcome, Refuse)


_GROWING: dict[str, Callable[[int], Message]] = {
    "parts": lambda n: _parts(n // 100),
    "boundaries": _boundaries,
    "nested parts": lambda n: _nested(n // 60),
    "folds": lambda n: _folds(n // 20),
    "<": lambda n: _html(b"<" * n),
    '<a href="': lambda n: _html(b'<a href="' * (n // 9)),
    "comments": lambda n: _html(b"<!-- --!" * (n // 8)),
    "script": lambda n: _html(b"<script><!--<script>" * (n // 20)),
    "brackets": lambda n: _html(b"http://x.example/" + b"(" * n, "text/plain"),
    "text links": lambda n: _html(b"http://" * (n // 7), "text/plain"),
    "soft breaks": lambda n: _html(b"=\r\n" * (n // 3), encoding="quoted-printable"),
    "attributes": lambda n: _html(b"<a " + b"x=1 " * (n // 4) + b"href=http://x.example/>x</a>"),
}


@pytest.mark.parametrize("name", _GROWING)
def test_time_grows_with_the_size_and_not_with_its_square(name: str) -> None:
    """Ten times the mail: about ten times the time. A quadratic step would show as a hundred."""
    make = _GROWING[name]
    small, large = make(100_000), make(1_000_000)

    def best(message: Message) -> float:
        return min(_judge(message)[1] for _ in range(3))

    assert best(large) < 35 * max(best(small), 0.002)


def test_memory_is_bounded_by_the_size_of_the_mail() -> None:
    """Peak growth while ten hostile mails of 10 MB are judged, in a process of its own."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            for name in (
                "10 MB of <",
                "a million links",
                "100,000 parts",
                "10 MB of entities",
                "10 MB of <a",
            ):
                _judge(_HOSTILE[name]())
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # kB
            status = 0 if grown < 600_000 else 2
            print(f"grown by {grown / 1000:.0f} MB", file=sys.stderr)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_hostile_mail_does_not_keep_others_waiting(tmp_path) -> None:  # type: ignore[no-untyped-def]
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
