"""Which links are tracked: what was judged before never sways a later judgement."""

import re
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engagement.links.keys import Key, Status
from engagement.links.types import Identity
from smtpapi.decide import Decision
from smtpapi.find import markup
from smtpapi.find.html import _STOPS
from smtpapi.rewrite.choose import Chooser, TooManyLinksError
from smtpapi.rewrite.links import CopyLinks
from smtpapi.rewrite.rules import Rules

DECISION = Decision(True, False, False, "http", "https", "own.example", 31_536_000, "", ())
LINKS = CopyLinks.build(Key(1, Status.SIGNING, 0, bytes(32)), Identity(bytes(16), 1, "", 0, 1), DECISION)

STARTS = [b"http://", b"https://", b"HTTPS://", b"mailto:", b"https:/", b"https:///"]
HOSTS = [
    b"own.example",
    b"OWN.example.",
    b"own.example:443",
    b"own.examplex",
    b"x.example",
    b"u@x.example",
    b"_",
    b"x.example:99999",
    b"own.example?x",
    b"x.example#own.example",
    b"",
]
RESTS = [
    b"",
    b"/",
    b"/a/b",
    b"?q=1",
    b"/ b",
    b"/\\",
    b"/\xc3\xa9",
    b"/\x01",
    b"/" + b"p" * 4096,
    b"#/x",
    b"/@own.example",
]

targets = st.tuples(*map(st.sampled_from, (STARTS, HOSTS, RESTS))).map(b"".join)


def chooser(rules: Rules | None = None) -> Chooser:
    own = frozenset({b"own.example"})
    return Chooser(DECISION, LINKS, rules or Rules(own_hosts=own), time.monotonic, float("inf"), own)


def verdicts(chooser: Chooser, targets: list[bytes]) -> list[object]:
    page = b"".join(b'<a href="%b">x</a>' % target for target in targets)
    changed: dict[int, object] = {change.start: change.target for change in chooser.html(page)}
    return [
        found for _, found in sorted((changed | {one.offset: one.reason for one in chooser.passed}).items())
    ]


@given(st.lists(targets, min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_no_link_is_judged_by_another(found: list[bytes]) -> None:
    assert verdicts(chooser(), found) == [one for target in found for one in verdicts(chooser(), [target])]


def test_a_longer_host_does_not_vouch_for_ours() -> None:
    found = [b"https://own.examplex", b"https://own.example/"]
    assert verdicts(chooser(), found) == [b"https://own.examplex", "own-host"]


@pytest.mark.parametrize(
    "run",
    [
        lambda one: one.html(b'<a href="#">x</a>' * 21),
        lambda one: one.text(b"https://own.example/ " * 21, flowed=False, delsp=False),
    ],
    ids=["html", "text"],
)
def test_links_that_stay_are_bounded_as_well(run: Callable[[Chooser], object]) -> None:
    with pytest.raises(TooManyLinksError):
        run(chooser(Rules(max_links=2)))


def test_amp_links_that_stay_are_bounded_as_well() -> None:
    one = chooser(Rules(max_links=2))
    one.decision = Decision(True, True, False, "https", "https", "own.example", 31_536_000, "", ())
    with pytest.raises(TooManyLinksError):
        one.amp(b'<a href="#">x</a>' * 21)


def test_the_short_way_past_usual_tags_is_for_none_that_matters() -> None:
    usual = re.compile(markup._USUAL_TAG, re.IGNORECASE)
    assert not [name for name in _STOPS if usual.match(name + b">") or usual.match(name + b' x="">')]
    assert usual.match(b'td class="x" width=""  nowrap>')


def test_an_ignored_sublink_is_counted() -> None:
    one = chooser()
    one.html(b'<a href="http://x.example/" data-msys-sublink="a/b">x</a>')
    assert one.sublinks_ignored == 1
