"""Which links are tracked: what was judged before never sways a later judgement."""

import re
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engagement.links.keys import Key, KeyStatus, Ring
from engagement.links.model import Identity, Link
from engagement.links.token import open_token
from engagement.links.urls import read_url
from smtpapi.find import html
from smtpapi.find.html import _STOPS
from smtpapi.find.html_syntax import markup
from smtpapi.model.edit import Edit
from smtpapi.request.decision import Decision
from smtpapi.rewrite.copy_links import CopyLinks
from smtpapi.rewrite.part import _LONGEST_ORIGIN, _MOST_ORIGINS, PartEdits, TooManyLinksError, harmless
from smtpapi.rewrite.rules import RewritingRules

DECISION = Decision(True, False, False, "http", "https", "own.example", 31_536_000, "", ())
KEY = Key(1, KeyStatus.SIGNING, 0, bytes(32))
LINKS = CopyLinks.build(KEY, Identity(bytes(16), 1, "", 0, 1), DECISION)

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


def says(url: bytes) -> Link | None:
    """What a tracked URL holds, None for what is none."""
    requested = read_url(url)
    return None if requested is None else open_token(requested.token, Ring((KEY,))).link


def chooser(rules: RewritingRules | None = None) -> PartEdits:
    own = frozenset({b"own.example"})
    return PartEdits(
        DECISION, LINKS, rules or RewritingRules(own_hosts=own), time.monotonic, float("inf"), own
    )


def verdicts(chooser: PartEdits, targets: list[bytes]) -> list[object]:
    page = b"".join(b'<a href="%b">x</a>' % target for target in targets)
    changed: dict[int, object] = {change.start: change.target for change in chooser.html(page)}
    return [
        found for _, found in sorted((changed | {one.offset: one.reason for one in chooser.passed}).items())
    ]


@given(st.lists(targets, min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_no_link_is_judged_by_another(found: list[bytes]) -> None:
    assert verdicts(chooser(), found) == [one for target in found for one in verdicts(chooser(), [target])]


@given(st.lists(targets, min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_no_link_is_judged_by_another_message(found: list[bytes]) -> None:
    rules = RewritingRules(own_hosts=frozenset({b"own.example"}))
    origins = harmless(rules, rules.own_hosts)
    assert origins is harmless(RewritingRules(), rules.own_hosts)
    for target in found:
        again = chooser(rules)
        again.harmless = origins
        assert verdicts(again, [target]) == verdicts(chooser(), [target])


def test_origins_of_other_own_hosts_do_not_count() -> None:
    one, other = (
        harmless(RewritingRules(), frozenset({host})) for host in (b"one.example", b"other.example")
    )
    one.add(b"https://other.example")
    assert not other


def test_a_pattern_is_searched_for_whatever_was_judged_before() -> None:
    found = [b"https://x.example/a", b"https://x.example/stop", b"https://x.example/a"]
    own = frozenset({b"own.example"})
    assert verdicts(chooser(), found) == found
    harmless(RewritingRules(), own).add(b"https://x.example")
    rules = RewritingRules(own_hosts=own, skip_patterns=(re.compile(rb"stop"),))
    picky = chooser(rules)
    picky.harmless = harmless(rules, own)
    assert verdicts(picky, found) == [found[0], "pattern", found[2]]
    assert not harmless(rules, own)


def test_origins_are_remembered_up_to_a_bound() -> None:
    page = [b"https://h%d.example/" % number for number in range(_MOST_ORIGINS + 10)]
    many = chooser(RewritingRules(max_links=10_000))
    assert verdicts(many, [*page, b"https://" + b"h" * 60 + b"." + b"h" * 60 + b".example/"])
    assert 0 < len(many.harmless) <= _MOST_ORIGINS
    assert max(map(len, many.harmless)) <= _LONGEST_ORIGIN


def test_each_link_has_its_place_whichever_way_it_was_judged() -> None:
    """Decided first, common, seen before, with a name. Two links to one place can differ."""
    first, common = b"https://x.example/", b"https://x.example/a"
    names = b' data-msys-linkname="n"'
    page = b"".join(
        b'<a href="%b"%b>x</a>' % found
        for found in ((first, b""), (common, b""), (first, b""), (common, names), (common, b""))
    )
    links = [change for change in chooser().html(page) if change.kind == "link"]
    assert [change.new for change in links] == [
        LINKS.click(Link(change.target, change.name, False, place, "html"))
        for place, change in enumerate(links)
    ]
    assert [change.name for change in links] == ["", "", "", "n", ""]
    assert len({change.new for change in links}) == 5


def test_links_that_stay_have_no_place_and_each_part_counts_from_0() -> None:
    page = (
        b'<a href="https://x.example/1">x</a><a href="https://own.example/">x</a>'
        b'<a href="https://x.example/2">x</a>'
    )
    one = chooser()
    one.decision = replace(DECISION, click_scheme="https")
    text = one.text(b"https://x.example/1 https://x.example/2", flowed=False, delsp=False)
    for edits, part in ((one.html(page), "html"), (text, "text"), (one.amp(page), "amp")):
        links = [says(change.new) for change in edits if change.kind == "link"]
        assert [(link.ordinal, link.part) for link in links if link] == [(0, part), (1, part)]


def test_links_in_text_are_judged_the_same_alone_and_among_others() -> None:
    lines = [
        b"https://x.example/",
        b"https://x.example/a",
        b"https://x.example/a",
        b"> https://x.example/quoted",
        b"https://x.example/b[[data-msys-unsubscribe=1]]",
        b"https://x.example/c[[data-msys-clicktrack=0]]",
        b"https://x.example/d[[data-msys-sublink=d]]",
        b"https://x.example/e[[data-msys-sublink=/]]",
        b"https://own.example/",
        b"https://x.example/\xc3\xa9",
        b"https://u@x.example/",
        b"https://x.example/{{opening_single_curly()}}",
        b"https://x.example/a",
    ]
    expected: list[object] = []
    for line in lines:
        alone = chooser()
        expected += [without_places(change) for change in alone.text(line, flowed=False, delsp=False)]
        expected += [one[1:] for one in alone.passed]
    together = chooser()
    found = [
        without_places(change) for change in together.text(b"\r\n".join(lines), flowed=False, delsp=False)
    ]
    assert sorted(map(repr, [*found, *(one[1:] for one in together.passed)])) == sorted(map(repr, expected))
    assert together.tracked == 8
    assert together.sublinks_ignored == 1
    assert [change.new for change in together.text(lines[1], flowed=False, delsp=False)] == [
        LINKS.click(Link(lines[1], "", False, 8, "text"))
    ]


def without_places(change: Edit) -> object:
    """All of an edit but the places: of the edit in the text, and of the link."""
    link = says(change.new)
    return (link and link[:3], *change[3:])


@pytest.mark.parametrize("count", [1, 63, 64, 65, 128, 200])
def test_the_clock_is_looked_at_after_each_64_links(count: int) -> None:
    anchors = html.scan(b'<a href="https://x.example/%d">x</a>' * count % tuple(range(count))).anchors
    looks: list[int] = []
    counting = chooser()
    counting.tick = lambda: float(looks.append(1) or 0)
    assert len(counting._anchors(anchors, "html")) == count
    assert len(looks) == count // 64


def test_links_are_counted_whichever_way_they_are_judged() -> None:
    page = b'<a href="https://x.example/">x</a>' * 5 + b'<a href="https://x.example/a">x</a>' * 5
    assert len(chooser(RewritingRules(max_links=10)).html(page)) == 10
    with pytest.raises(TooManyLinksError):
        chooser(RewritingRules(max_links=9)).html(page)


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
def test_links_that_stay_are_bounded_as_well(run: Callable[[PartEdits], object]) -> None:
    with pytest.raises(TooManyLinksError):
        run(chooser(RewritingRules(max_links=2)))


def test_amp_links_that_stay_are_bounded_as_well() -> None:
    one = chooser(RewritingRules(max_links=2))
    one.decision = Decision(True, True, False, "https", "https", "own.example", 31_536_000, "", ())
    with pytest.raises(TooManyLinksError):
        one.amp(b'<a href="#">x</a>' * 21)


def test_the_short_way_past_common_tags_is_for_none_that_matters() -> None:
    common = re.compile(markup._COMMON_TAG, re.IGNORECASE)
    assert not [name for name in _STOPS if common.match(name + b">") or common.match(name + b' x="">')]
    assert common.match(b'td class="x" width=""  nowrap>')


def test_an_ignored_sublink_is_counted() -> None:
    one = chooser()
    one.html(b'<a href="http://x.example/" data-msys-sublink="a/b">x</a>')
    assert one.sublinks_ignored == 1
