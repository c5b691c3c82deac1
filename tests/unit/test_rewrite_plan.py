"""Planning: what the golden messages cannot show well."""

import json
import quopri
import random
import re
from dataclasses import replace

import pytest

from engagement.links.keys import Key, KeyStatus
from engagement.links.model import Identity, Kind, Link
from engagement.links.token import open_token
from engagement.links.urls import read_url
from smtpapi.model.edit import Edit, splice
from smtpapi.model.outcome import HeaderChange, Leave, Plan, Skip, Why
from smtpapi.request.decision import Decision
from smtpapi.rewrite import raw_message
from smtpapi.rewrite.copy_links import LONG_LINK, MAX_LINK, CopyLinks
from smtpapi.rewrite.plan import plan
from smtpapi.rewrite.rules import RewritingRules

KEY = Key(1, KeyStatus.SIGNING, 0, bytes(range(32)))
DECISION = Decision(True, True, False, "https", "https", "track.example.net", 31_536_000)
IDENTITY = Identity(bytes(16), 7, "reader@example.test", 1_790_000_000, 1_821_536_000)
HTML = b"Content-Type: text/html\r\n\r\n"


class OneKey:
    """A ring of one key."""

    def get(self, key_id: int) -> Key | None:
        return KEY if key_id == KEY.id else None


def links(identity: Identity = IDENTITY, decision: Decision = DECISION) -> CopyLinks:
    return CopyLinks.build(KEY, identity, decision)


def planned(raw: bytes, rules: RewritingRules | None = None, decision: Decision = DECISION) -> Plan | Leave:
    return plan(
        raw_message.split(raw).message,
        decision,
        links(decision=decision),
        rules or RewritingRules(),
        lambda: 0.0,
    )


def opened(url: bytes) -> tuple[Kind, Identity, Link | None]:
    requested = read_url(url)
    assert requested is not None
    token = open_token(requested.token, OneKey())  # type: ignore[arg-type] # all of a ring that is asked for
    return token.kind, token.identity, token.link


def test_each_link_opens_to_its_target_and_name() -> None:
    raw = HTML + b'<a data-msys-linkname="n" href="https://www.example.com/?a&amp;b">x</a>'
    found = planned(raw)
    assert isinstance(found, Plan)
    link = next(edit for edit in found.edits if edit.kind == "link")
    kind, identity, target = opened(link.new)
    assert (kind, identity.recipient) == (Kind.CLICK, "reader@example.test")
    assert target is not None
    assert target.target == b"https://www.example.com/?a&b"
    assert target.name == link.name == "n"


def test_kinds_of_an_amp_part_are_its_own() -> None:
    copy = links()
    assert opened(copy.click(Link(b"https://x.example/", "", False, 0, "amp")) or b"")[0] is Kind.AMP_CLICK
    assert opened(copy.pixel(initial=False, amp=True) or b"")[0] is Kind.AMP_OPEN
    assert opened(copy.pixel(initial=True, amp=True) or b"")[0] is Kind.AMP_INITIAL_OPEN
    assert opened(copy.pixel(initial=True, amp=False) or b"")[0] is Kind.INITIAL_OPEN


def test_long_link_goes_without_its_metadata() -> None:
    metadata = '{"note":"' + "".join(chr(97 + (n * n) % 26) for n in range(900)) + '"}'
    copy = links(replace(IDENTITY, metadata=metadata))
    short = copy.click(Link(b"https://x.example/"))
    assert short is not None
    long = copy.click(Link(b"https://x.example/?" + bytes(range(97, 123)) * 25))
    assert long is not None
    assert len(long) > LONG_LINK or opened(long)[1].metadata == ""
    assert opened(long)[1].metadata == ""


def noise(size: int) -> str:
    """Metadata of about size bytes that deflating does not shorten much."""
    return json.dumps({"note": random.Random(7).randbytes(size).hex()[:size]})


@pytest.mark.parametrize("size", [1200, 8150])
@pytest.mark.parametrize(("initial", "amp"), [(False, False), (True, False), (False, True), (True, True)])
def test_long_pixel_goes_without_its_metadata(size: int, initial: bool, amp: bool) -> None:
    pixel = links(replace(IDENTITY, metadata=noise(size))).pixel(initial=initial, amp=amp)
    assert pixel is not None
    assert len(pixel) <= LONG_LINK
    assert opened(pixel)[1].metadata == ""
    assert opened(pixel)[1].recipient == IDENTITY.recipient


def test_pixel_that_is_short_enough_has_its_metadata() -> None:
    metadata = noise(500)
    pixel = links(replace(IDENTITY, metadata=metadata)).pixel(initial=False, amp=False)
    assert pixel is not None
    assert len(pixel) <= LONG_LINK
    assert opened(pixel)[1].metadata == metadata


@pytest.mark.parametrize("tags", [40, 64])  # too long a URL; more than a token holds
def test_pixel_that_cannot_be_short_is_left_out_and_said(tags: int) -> None:
    names = tuple(noise(250)[:200] + str(number) for number in range(tags))
    copy = links(replace(IDENTITY, tags=names))
    assert copy.pixel(initial=False, amp=False) is None
    message = raw_message.split(HTML + b"<html><body><p>Hello</p></body></html>").message
    decision = replace(DECISION, initial_opens=True)
    found = plan(message, decision, copy, RewritingRules(), lambda: 0.0)
    assert isinstance(found, Plan)
    assert found.edits == ()
    assert [skipped.reason for skipped in found.skipped] == [Skip.PIXEL_TOO_LONG]


def test_pixel_of_much_metadata_leaves_a_part_s_encoding_alone() -> None:
    message = raw_message.split(HTML + b"<html><body><p>Hello</p></body></html>").message
    found = plan(
        message, DECISION, links(replace(IDENTITY, metadata=noise(900))), RewritingRules(), lambda: 0.0
    )
    assert isinstance(found, Plan)
    assert found.headers == ()
    assert [edit.kind for edit in found.edits] == ["pixel"]


def test_metadata_stays_out_of_clicks_when_told() -> None:
    decision = replace(DECISION, click_metadata=False)
    copy = links(replace(IDENTITY, metadata='{"a":1}'), decision)
    assert opened(copy.click(Link(b"https://x.example/")) or b"")[1].metadata == ""
    assert opened(copy.pixel(initial=False, amp=False) or b"")[1].metadata == '{"a":1}'


@pytest.mark.parametrize("size", [MAX_LINK, 4097])
def test_too_long_a_link_is_none(size: int) -> None:
    assert links().click(Link(b"https://x.example/" + b"x" * size)) is None


def test_two_recipients_share_no_link() -> None:
    other = links(replace(IDENTITY, message_id=bytes(15) + b"1", recipient="other@example.test"))
    target = Link(b"https://x.example/")
    assert links().click(target) != other.click(target)
    assert links().click(target) == links().click(target)


def test_time_is_watched_within_a_part_with_many_links() -> None:
    raw = HTML + b'<a href="https://www.example.com/">x</a>' * 400
    message = raw_message.split(raw).message

    def looks(decision: Decision) -> int:
        now = iter(range(10**6))
        found = plan(message, decision, links(), RewritingRules(time_budget=10**6), lambda: float(next(now)))
        assert isinstance(found, Plan)
        return next(now)

    looks_at_links = looks(DECISION) - looks(replace(DECISION, clicks=False))
    assert looks_at_links >= 400 // 64
    now = iter(range(10**6))
    found = plan(
        message, DECISION, links(), RewritingRules(time_budget=looks_at_links), lambda: float(next(now))
    )
    assert found == Leave(Why.OVER_TIME, f"over {looks_at_links} seconds")


def test_limits_on_links_count_tracked_ones() -> None:
    raw = HTML + b'<a href="https://www.example.com/">x</a><a href="#a">y</a>' * 3
    assert isinstance(planned(raw, RewritingRules(max_links=3)), Plan)
    found = planned(raw, RewritingRules(max_links=2))
    assert isinstance(found, Leave)
    assert found.why is Why.TOO_MANY_LINKS


def test_skipped_links_say_where_they_stand() -> None:
    raw = HTML + b'<p>=</p><a href="mailto:a@example.com">x</a>'
    found = planned(raw)
    assert isinstance(found, Plan)
    body = raw_message.split(raw).message.body
    assert [(body[s.offset :][:6], s.reason) for s in found.skipped] == [(b"mailto", Skip.NOT_HTTP)]


def test_skipped_links_of_quoted_printable_say_where_they_stand() -> None:
    head = b"Content-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n"
    raw = head + b'=C3=BC <a href=3D"=\nmailto:a">'
    found = planned(raw)
    assert isinstance(found, Plan)
    assert [raw_message.split(raw).message.body[s.offset :][:6] for s in found.skipped] == [b"mailto"]


def test_own_host_is_also_the_domain_in_force() -> None:
    raw = HTML + b'<a href="https://Track.Example.net./x">x</a><a href="https://mine.example:8443/">y</a>'
    found = planned(raw, RewritingRules(own_hosts=frozenset({b"mine.example:8443"})))
    assert isinstance(found, Plan)
    assert [skipped.reason for skipped in found.skipped] == [Skip.OWN_HOST] * 2


def test_first_reason_wins_in_a_fixed_order() -> None:
    raw = HTML + b'<a href="https://u@www.example.com/">x</a>'
    found = planned(raw, RewritingRules(skip_patterns=(re.compile(b"example"),)))
    assert isinstance(found, Plan)
    assert [skipped.reason for skipped in found.skipped] == [Skip.USER_INFO]


def test_new_encoding_of_a_whole_message_is_a_header_change() -> None:
    raw = b"MIME-Version: 1.0\r\n" + HTML + b"x" * 960 + b'<a href="https://www.example.com/">x</a>'
    found = planned(raw)
    assert isinstance(found, Plan)
    assert found.headers == (HeaderChange("Content-Transfer-Encoding", 0, "quoted-printable"),)
    assert [edit.kind for edit in found.edits] == ["reencoded"]
    (whole,) = found.edits
    assert [inner.kind for inner in whole.inner] == ["link", "pixel"]
    decoded = raw_message.split(raw).message.body[whole.start : whole.stop]
    assert splice(decoded, whole.inner) == quopri.decodestring(whole.new)  # offsets in the decoded part


def test_pixel_stands_once_where_bodies_are_many() -> None:
    found = planned(HTML + b"<html><body></body></body></html>")
    assert isinstance(found, Plan)
    assert len(found.edits) == 1


@pytest.mark.parametrize(
    "edits",
    [
        (Edit(2, 1, b"", "link"),),
        (Edit(0, 2, b"", "link"), Edit(1, 2, b"", "link")),
        (Edit(0, 9, b"", "link"),),
    ],
)
def test_edits_that_overlap_are_never_applied(edits: tuple[Edit, ...]) -> None:
    with pytest.raises(ValueError, match="edit"):
        splice(b"abcd", edits)


def test_applying_keeps_everything_else() -> None:
    edits = (Edit(0, 0, b">", "pixel"), Edit(1, 2, b"", "attribute"), Edit(4, 4, b"<", "pixel"))
    assert splice(b"abcd", edits) == b">acd<"


@pytest.mark.parametrize(
    ("kind", "body", "left"),
    [
        ("text/plain", b"-----BEGIN PGP MESSAGE-----\r\n", True),
        ("text/plain", b"hello\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\n", True),
        ("text/plain", b"> -----BEGIN PGP MESSAGE-----\r\nhttps://www.example.com/\r\n", False),
        ("text/plain", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\r\nhttps://www.example.com/\r\n", False),
        ("text/html", b"<pre>-----BEGIN PGP MESSAGE-----</pre>", True),
        ("text/html", b"<pre>-----BEGIN PGP PUBLIC KEY BLOCK-----</pre>", False),
    ],
)
def test_pgp_armour_is_that_of_a_message(kind: str, body: bytes, left: bool) -> None:
    found = planned(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    assert (found == Leave(Why.PGP_INLINE)) is left


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("7bit", "{{opening_double_curly()}}"),
        ("quoted-printable", "=7B{opening_double_curly()}}"),
        ("quoted-printable", "=7b{opening_double_curly()}}"),
        ("quoted-printable", "{=7Bopening_double_curly()}}"),
    ],
)
def test_brace_macros_go_from_parts_without_links_however_they_are_written(
    encoding: str, written: str
) -> None:
    raw = (
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n"
        f"Content-Transfer-Encoding: {encoding}\n\n{written}\n--b\nContent-Type: text/html\n\n"
        "<a href=https://a.example/>a</a>\n--b--\n"
    ).encode()
    changed = planned(raw, decision=replace(DECISION, clicks=False, opens=False))
    assert isinstance(changed, Plan)
    body = raw.partition(b"\n\n")[2]
    after = splice(body, changed.edits)
    assert written.encode() not in after
    assert quopri.decodestring(after).count(b"\n{{\n") == 1


def test_a_link_leads_to_what_its_brace_macros_become() -> None:
    macro = b"{{opening_double_curly()}}x{{closing_double_curly()}}"
    raw = b"Content-Type: text/html\n\n<a href='https://a.example/" + macro + b"'>a</a>\n"
    changed = planned(raw)
    assert isinstance(changed, Plan)
    _, _, link = opened(changed.edits[0].new)
    assert link is not None
    assert link.target == b"https://a.example/{{x}}"
