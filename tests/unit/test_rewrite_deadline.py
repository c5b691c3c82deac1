"""The time budget holds: between two looks at the clock only so much is done, whatever the mail.

Not measured in seconds, which a busy machine has too few of: in lines of Python run. What one call of C does
with a whole body is linear in its size (`test_find_linear`); bench/hostile.py measures both.
"""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from engagement.links.keys import Key, KeyStatus
from engagement.links.model import Identity
from hostile_mail import HOSTILE, html
from smtpapi.find.html import scan
from smtpapi.find.html_syntax.entities import decode
from smtpapi.mime.quoted_printable import encode_quoted_printable
from smtpapi.model.message import Message
from smtpapi.model.outcome import Leave, Plan, Why
from smtpapi.request.decision import Decision
from smtpapi.rewrite.copy_links import CopyLinks
from smtpapi.rewrite.plan import plan
from smtpapi.rewrite.rules import RewritingRules

SIZE = 300_000
MOST = 60_000  # lines; a hundredth of a second or two
KEY = Key(1, KeyStatus.SIGNING, 0, bytes(range(32)))
DECISION = Decision(True, True, False, "https", "https", "track.example.net", 31_536_000)
IDENTITY = Identity(bytes(16), 7, "reader@example.test", 1_790_000_000, 1_821_536_000)
RULES = RewritingRules(vml_links=True, skip_url_text=True, time_budget=2.0)


def planned(message: Message, tick: Callable[[], float]) -> Plan | Leave:
    return plan(message, DECISION, CopyLinks.build(KEY, IDENTITY, DECISION), RULES, tick)


def most_lines_between_looks(message: Message) -> int:
    lines = most = 0

    def line(_frame: FrameType, _event: str, _arg: Any) -> Any:
        nonlocal lines
        lines += 1
        return line

    def called(frame: FrameType, _event: str, _arg: Any) -> Any:
        return line if "smtpapi" in frame.f_code.co_filename else None

    def tick() -> float:
        nonlocal lines, most
        most = max(most, lines)
        lines = 0
        return 0.0

    before = sys.gettrace()
    sys.settrace(called)
    try:
        planned(message, tick)
        tick()
    finally:
        sys.settrace(before)
    return most


@pytest.mark.parametrize("kind", HOSTILE)
def test_little_is_done_between_two_looks_at_the_clock(kind: str) -> None:
    assert most_lines_between_looks(HOSTILE[kind](SIZE)) < MOST


@pytest.mark.parametrize("kind", HOSTILE)
def test_the_first_late_look_ends_it(kind: str) -> None:
    """Whichever look comes too late: none is swallowed, none follows it."""
    message = HOSTILE[kind](60_000)
    looks = 0

    def counting(late: int) -> Callable[[], float]:
        def tick() -> float:
            nonlocal looks
            looks += 1
            return 3.0 if looks >= late else 0.0

        return tick

    planned(message, counting(sys.maxsize))
    needed, step = looks, max(1, looks // 20)
    for late in range(2, needed + 1, step):
        looks = 0
        found = planned(message, counting(late))
        assert looks == late
        assert isinstance(found, Leave)
        assert found.why is Why.OVER_TIME


def test_common_mail_hardly_looks() -> None:
    looks = 0

    def tick() -> float:
        nonlocal looks
        looks += 1
        return 0.0

    page = b'<p style="x">text</p><a href="https://www.example.com/">x</a>' * 20
    assert isinstance(planned(html(page + b"x" * 30_000), tick), Plan)
    assert looks < 25


def test_a_tag_of_many_attributes_is_read_like_one_of_few() -> None:
    for count in (39, 40, 41, 999, 1000, 1001, 2500):
        for attribute in (b' x="1"', b" x=1", b" x", b"/x='<a>'"):
            raw = (
                b"<a"
                + attribute * count
                + b' href="https://www.example.com/"'
                + attribute * count
                + b">x</a>"
            )
            (anchor,) = scan(raw, check_time=lambda: None).anchors
            assert raw[anchor.start : anchor.stop] == b"https://www.example.com/"


def test_a_long_value_is_decoded_like_a_short_one() -> None:
    unit = b"&amp;&ampx&lt=&lt;&#x41;&#66;&nosuch;&"
    for count in (1, 500, 5000):
        assert decode(unit * count) == decode(unit) * count


def test_a_long_line_is_encoded_like_a_short_one() -> None:
    long = encode_quoted_printable(b"a\xff\t=" * 9000 + b" ", b"\r\n")
    assert long.endswith(b"=20")
    assert long.replace(b"=\r\n", b"") == b"a=FF\t=3D" * 9000 + b"=20"


def test_more_edits_than_links_can_need_leave_the_mail() -> None:
    for kind in ("attributes of ours", "brace macros"):
        found = planned(HOSTILE[kind](1_000_000), lambda: 0.0)
        assert isinstance(found, Leave)
        assert found.why is Why.TOO_MANY_LINKS
