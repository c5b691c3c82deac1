"""Which of the found links are tracked, and the edits this makes in one part's text.

Works on a part's decoded bytes (`mime.charset.Reading.text`): offsets are into those. Finding is
`smtpapi.find`'s task, putting the edits back under the part's encoding `plan`'s.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

from engagement.links.fast_seal import origin
from engagement.links.model import Link
from engagement.links.payload import MAX_TARGET
from engagement.links.urls import refusal
from smtpapi.find import amp, html, macros, text
from smtpapi.find.model import Anchor, TextLink
from smtpapi.mime.deadline import CheckTime, OverTimeError, in_turns, paced
from smtpapi.model.edit import Edit
from smtpapi.model.outcome import Skip
from smtpapi.request.decision import Decision
from smtpapi.rewrite import pixels, places
from smtpapi.rewrite.copy_links import CopyLinks
from smtpapi.rewrite.rules import RewritingRules

# A page may hold so many anchors, or need so many edits, for each link that may be tracked. A guess.
_UNTRACKED = 10
_CHECK_LINKS = 64  # links handled between two checks of the time; a guess, as in `deadline`
_MOST_ORIGINS = 4096  # remembered for a set of own hosts: under 1 MB
_LONGEST_ORIGIN = 100  # bytes; a longer one is checked each time
_MACRO_SIZE = 30  # bytes of a brace macro for each that it becomes, and some: more cannot make a fit target
_SPAN = itemgetter(0, 1)
_SAYS = slice(Anchor._fields.index("name"), Anchor._fields.index("conditional"))
_NOTHING = Anchor(0, 0, b"", b"")[_SAYS]
_text_says = itemgetter(
    *map(
        TextLink._fields.index,
        ("unsubscribe", "clicktrack", "sublink", "quoted", "broken", "sublink_ignored"),
    )
)
_TEXT_NOTHING = _text_says(TextLink(0, 0, b""))
_NEW = tuple.__new__  # of the class and its nine values: half the time of the class's own
_ORIGIN = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)


class LeftLink(NamedTuple):
    """A link that stays; offset in the part's text."""

    offset: int
    url: bytes
    reason: Skip


class TooManyLinksError(Exception):
    """More links than the rules allow, or edits than so many links can need (contract.md 5.2)."""


@dataclass(slots=True)
class PartEdits:
    """What holds for all parts of a copy. own_hosts: lower-case host[:port]; deadline: on `tick`'s clock."""

    decision: Decision
    links: CopyLinks
    rules: RewritingRules
    tick: Callable[[], float]
    deadline: float
    own_hosts: frozenset[bytes] = frozenset()
    harmless: set[bytes] = field(default_factory=set)  # as `harmless` gives it, or one's own
    origins: dict[bytes, bool] = field(default_factory=dict)
    tracked: int = 0
    ordinals: Counter[str] = field(default_factory=Counter)  # of the next link, by "html", "text" and "amp"
    sublinks_ignored: int = 0
    passed: list[LeftLink] = field(default_factory=list)
    pixels_passed: list[Skip] = field(default_factory=list)  # why a part is without a pixel

    def html(self, data: bytes) -> list[Edit]:
        """Return the edits of a text/html part. Raises TooManyLinksError and OverTimeError."""
        decision = self.decision
        rules = self.rules
        most = _UNTRACKED * rules.max_links
        page = html.scan(
            data, vml=rules.vml_links, most=most, check_text=rules.skip_url_text, check_time=self.check_time
        )
        if len(page.anchors) > most:
            raise TooManyLinksError
        edits = self._anchors(page.anchors, "html") if decision.clicks else []
        if decision.opens and data and not data.isspace():
            if decision.initial_opens and page.has_html and page.body_open >= 0:
                edits += self._pixel(
                    places.first(data, page, self.check_time), pixels.html, initial=True, amp=False
                )
            edits += self._pixel(
                places.last(data, page, self.check_time), pixels.html, initial=False, amp=False
            )
        return self._finished(data, edits)

    def amp(self, data: bytes) -> list[Edit]:
        """Return the edits of a text/x-amp-html part, for https alone (contract.md 5.6).

        Raises TooManyLinksError and OverTimeError.
        """
        decision = self.decision
        most = _UNTRACKED * self.rules.max_links
        page = amp.scan(data, most=most, check_text=self.rules.skip_url_text, check_time=self.check_time)
        if len(page.anchors) > most:
            raise TooManyLinksError
        clicks = decision.clicks and decision.click_scheme == "https"
        opens = decision.opens and decision.open_scheme == "https"
        edits = self._anchors(page.anchors, "amp") if clicks else []
        if opens and data.strip():
            if decision.initial_opens and page.has_html and page.body_open >= 0:
                edits += self._pixel(page.body_open, pixels.amp, initial=True, amp=True)
            edits += self._pixel(
                places.last(data, page, self.check_time), pixels.amp, initial=False, amp=True
            )
        return self._finished(data, edits)

    def text(self, data: bytes, *, flowed: bool, delsp: bool, charset: str = "") -> list[Edit]:
        """Return the edits of a text/plain part. Raises TooManyLinksError and OverTimeError.

        The [[…]] notation is removed whether or not anything is tracked.
        """
        edits: list[Edit] = []
        tracks = self.decision.clicks and self.rules.text_links
        most = _UNTRACKED * self.rules.max_links
        check_time = self.check_time
        links = text.scan(data, flowed=flowed, delsp=delsp, charset=charset, most=most, check_time=check_time)
        if len(links) > most:
            raise TooManyLinksError
        for some in in_turns(links, self.check_time, _CHECK_LINKS):
            if tracks:
                targets = [link.target if _text_says(link) == _TEXT_NOTHING else None for link in some]
                self._some_links(some, targets, "text", edits)
            edits += [Edit(*link.notation, b"", "attribute") for link in some if link.notation is not None]
        return self._finished(data, edits)

    def macros(self, data: bytes) -> list[Edit]:
        """Return the edits of the brace macros alone. Raises as `html`."""
        return self._finished(data, [])

    def _anchors(self, anchors: Sequence[Anchor], part: str) -> list[Edit]:
        edits: list[Edit] = []
        for some in in_turns(anchors, self.check_time, _CHECK_LINKS):
            targets = [anchor.target if anchor[_SAYS] == _NOTHING else None for anchor in some]
            self._some_links(some, targets, part, edits)
        return edits

    def _some_links(
        self,
        links: Sequence[Anchor | TextLink],
        targets: list[bytes | None],
        part: str,
        edits: list[Edit],
    ) -> None:
        """Add the edits of a few links, without a check of the time.

        targets: where they lead, None for a link that says more. Two links to one place have URLs of their
        own.
        """
        while targets:
            urls = self.links.common_clicks(targets, self.harmless, self.ordinals[part], part)
            if urls:
                self._count(len(urls))
                self.ordinals[part] += len(urls)
                edits += [
                    _NEW(Edit, (link.start, link.stop, url, "link", link.target, "", "", "", ()))
                    for link, url in zip(links, urls, strict=False)
                ]
            count = len(urls)
            if count == len(targets):
                return
            self._add_link(links[count], part, edits)
            links, targets = links[count + 1 :], targets[count + 1 :]

    def _add_link(self, link: Anchor | TextLink, part: str, edits: list[Edit]) -> None:
        """Decide about one link, and add its edits unless it stays."""
        name, attributes = (link.name, link.attributes) if isinstance(link, Anchor) else ("", ())
        tracked = self._tracked_url(link, name, part)
        if tracked is None:
            return
        edits.append(Edit(link.start, link.stop, tracked[0], "link", tracked[1], name))
        if attributes:
            if len(edits) + len(attributes) > _UNTRACKED * self.rules.max_links:
                raise TooManyLinksError
            edits += [Edit(*span, b"", "attribute") for span in attributes]

    def _pixel(
        self, place: int, markup: Callable[[bytes], bytes], *, initial: bool, amp: bool
    ) -> tuple[Edit, ...]:
        """The pixel's edit; none if its address would be too long, or it has no place."""
        address = self.links.pixel(initial, amp) if place >= 0 else None
        if address is None:
            self.pixels_passed.append(Skip.PIXEL_TOO_LONG if place >= 0 else Skip.PIXEL_WITHOUT_PLACE)
            return ()
        return (Edit(place, place, markup(address), "pixel"),)

    def _tracked_url(self, link: Anchor | TextLink, name: str, part: str) -> tuple[bytes, bytes] | None:
        """(tracked URL, target) of a link, or None once it was noted why it stays."""
        target = link.target
        if b"{{" in target and self.rules.brace_macros and len(target) <= _MACRO_SIZE * MAX_TARGET:
            target = _with_braces(target, self.check_time)
        reason = self._reason(link, target)
        if reason is None:
            self._count()
            if link.sublink_ignored:
                self.sublinks_ignored += 1
            tracked = Link(target, name, link.unsubscribe, self.ordinals[part], part)
            new = self.links.click(tracked, link.sublink)
            if new is not None:
                self.ordinals[part] += 1
                return new, target
            reason = Skip.LINK_TOO_LONG
        self.passed.append(LeftLink(link.start, link.target, reason))
        return None

    def _reason(self, link: Anchor | TextLink, target: bytes) -> Skip | None:
        """Why the link stays as it is, or None (contract.md 5.2, 5.3)."""
        refused = refusal(target)
        if refused == Skip.NOT_HTTP or (refused and link.clicktrack):
            return Skip(refused)
        if not link.clicktrack:
            return Skip.CLICKTRACK_OFF
        if isinstance(link, Anchor) and link.opt_out and self.rules.foreign_opt_outs:
            return Skip.CLICKTRACK_OFF
        if isinstance(link, TextLink):
            if link.broken:
                return Skip.UNCLEAR_END
            if link.quoted:
                return Skip.QUOTED_REPLY
        elif link.text_is_url and self.rules.skip_url_text:
            return Skip.TEXT_IS_URL
        if self._is_ours(target):
            return Skip.OWN_HOST
        if not self.rules.skip_patterns:  # else each target has to be searched
            if (before := origin(target)) is not None and len(before) <= _LONGEST_ORIGIN:
                if len(self.harmless) >= _MOST_ORIGINS:
                    self.harmless.clear()
                self.harmless.add(before)
            return None
        if any(pattern.search(target) for pattern in self.rules.skip_patterns):
            return Skip.PATTERN
        return None

    def _is_ours(self, target: bytes) -> bool:
        found = _ORIGIN.match(target)
        assert found is not None
        known = self.origins.get(found[0])
        if known is None:
            known = self.origins[found[0]] = _host(found[0]) in self.own_hosts
        return known

    def _count(self, more: int = 1) -> None:
        self.tracked += more
        if self.tracked > self.rules.max_links:
            raise TooManyLinksError

    def check_time(self) -> None:
        """Check the clock. Raises OverTimeError once the deadline is passed."""
        if self.tick() > self.deadline:
            raise OverTimeError

    def _finished(self, data: bytes, edits: list[Edit]) -> list[Edit]:
        """In order; with the part's brace macros, whether or not anything else changes (contract.md 5.4)."""
        if self.rules.brace_macros:
            most = _UNTRACKED * self.rules.max_links
            found = macros.scan(data, most + 1, self.check_time)
            if len(edits) + len(found) > most:
                raise TooManyLinksError
            if found:
                edits += _outside(edits, paced(found, self.check_time))
        edits.sort(key=_SPAN)
        return edits


def harmless(rules: RewritingRules, own_hosts: frozenset[bytes]) -> set[bytes]:
    """Return the origins whose targets may be tracked: a `PartEdits` looks there, and adds to them.

    They are remembered from one message to the next, as newsletters lead to the same few hosts. It only saves
    time.
    """
    return set() if rules.skip_patterns else _harmless(own_hosts)


@lru_cache(maxsize=64)
def _harmless(_own_hosts: frozenset[bytes]) -> set[bytes]:
    return set()


def _outside(edits: list[Edit], found: Iterable[tuple[int, int, bytes]]) -> list[Edit]:
    """The macros that lie in no edit's span."""
    spans = sorted((edit.start, edit.stop) for edit in edits)
    remaining = []
    at = 0
    for start, stop, new in found:
        while at < len(spans) and spans[at][1] <= start:
            at += 1
        if at == len(spans) or spans[at][0] >= stop:
            remaining.append(Edit(start, stop, new, "macro"))
    return remaining


def _with_braces(target: bytes, check_time: CheckTime) -> bytes:
    pieces: list[bytes] = []
    position = 0
    for start, stop, new in paced(macros.scan(target, check_time=check_time), check_time):
        pieces += target[position:start], new
        position = stop
    return b"".join(pieces) + target[position:]


def _host(origin: bytes) -> bytes:
    """Lower-case host[:port] of scheme://host[:port], without the scheme's own port and the root's dot."""
    scheme, _, authority = origin.lower().partition(b"://")
    host, colon, port = authority.rpartition(b":")
    if not colon or port.endswith(b"]"):
        host, port = authority, b""
    if port == (b"443" if scheme == b"https" else b"80"):
        port = b""
    host = host.removesuffix(b".")
    return host + b":" + port if port else host
