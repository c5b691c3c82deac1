"""Faults that were put into the code on purpose, and that no other test noticed."""

from email.header import decode_header, make_header

import pytest

from engagement.classify.shipped import classify
from engagement.events.classify import ReaderClass
from engagement.links.keys import Key, KeyStatus
from engagement.links.model import Identity, Kind
from smtpapi.find import html, text
from smtpapi.model.edit import Edit, splice
from smtpapi.model.outcome import Plan, Skip
from smtpapi.request.copies import mailbox
from smtpapi.request.decision import Decision
from smtpapi.request.x_msys_api import Copy, is_address
from smtpapi.rewrite import raw_message
from smtpapi.rewrite.copy_links import CopyLinks
from smtpapi.rewrite.part import PartEdits, TooManyLinksError
from smtpapi.rewrite.plan import plan
from smtpapi.rewrite.rules import RewritingRules as Rewriting
from smtpapi.rewrite.verify import _relinked, same_but_for
from unit.event_samples import hit

DECISION = Decision(True, True, False, "https", "https", "t.example", 31_536_000)
DECISION_REST = (False, "https", "https", "t.example", 31_536_000)
LINKS = CopyLinks.build(Key(1, KeyStatus.SIGNING, 0, bytes(32)), Identity(bytes(16), 1, "", 0, 1), DECISION)


# find/text.py


def test_a_url_of_another_scheme_with_text_behind_it_is_none() -> None:
    for end in (b"", b"\n", b"\r\n", b"\n\n", b" \n"):
        assert text.scan(b"get it at ftp://a.example/x now." + end) == ()
    (link,) = text.scan(b"ftp://a.example/x or http://b.example/y now.\n")
    assert (link.start, link.target) == (21, b"http://b.example/y")


def test_a_text_that_begins_with_the_signs_behind_a_scheme_is_read_on() -> None:
    assert [link.target for link in text.scan(b"://a.example/ http://b.example/")] == [b"http://b.example/"]


SIGNS = (
    "\xa0«»\u2003\u2009\u200b\u202f\u3000\u2013\u2014\u2018\u2019\u201a\u201c\u201d\u201e\u2026\u2039\u203a\u3001\u3002"
    "\u3008\u3009\u300a\u300b\u300c\u300d\u300e\u300f\u3010\u3011\uff01\uff08\uff09\uff0c\uff0e\uff1a\uff1b\uff1f\uff5c"
)


@pytest.mark.parametrize("sign", SIGNS)
def test_signs_end_a_url_in_every_reader(sign: str) -> None:
    (link,) = text.scan(f"https://a.example/x{sign}ä".encode())
    assert (link.target, link.broken) == (b"https://a.example/x", False)


# find/foreign.py and find/html.py


@pytest.mark.parametrize(("attribute", "links"), [("face", 0), ("color", 0), ("size", 0), ("id", 1)])
def test_font_leaves_svg_with_the_attributes_of_html(attribute: str, links: int) -> None:
    page = html.scan(b'<svg><font %s=x><title><a href="http://a.example/"></title>' % attribute.encode())
    assert len(page.anchors) == links


def test_an_unclosed_tag_in_an_outlook_comment_ends_with_it() -> None:
    data = (
        b'<style></style><a href="http://a.example/">a</a><!--[if mso]><v:rect href="http://b.example/"></v:rect>'
        b'<style class="x<![endif]--><a href="http://c.example/">c</a>'
    )
    found = [(anchor.target, anchor.conditional) for anchor in html.scan(data, vml=True, most=20).anchors]
    assert found == [
        (b"http://a.example/", False),
        (b"http://b.example/", True),
        (b"http://c.example/", False),
    ]


# rewrite/choose.py


def test_macros_before_between_and_behind_links_all_become_braces() -> None:
    macro, link = b"{{opening_single_curly()}}", b'<a href="http://a.example/">a</a>'
    data = macro + link + macro + link + macro
    chooser = PartEdits(Decision(True, False, *DECISION_REST), LINKS, Rewriting(), lambda: 0.0, 1.0)
    changes = chooser.html(data)
    assert [change.kind for change in changes] == ["macro", "link", "macro", "link", "macro"]
    assert splice(data, changes).count(b"{") == 3


def test_a_macro_that_touches_a_link_on_either_side_becomes_a_brace() -> None:
    macro = b"{{closing_double_curly()}}"
    data = b"<a href=http://a.example/>x</a>" + macro
    chooser = PartEdits(Decision(True, False, *DECISION_REST), LINKS, Rewriting(), lambda: 0.0, 1.0)
    assert splice(data, chooser.html(data)).endswith(b"</a>}}")
    data = b"%s http://a.example/ %s" % (macro, macro)
    after = splice(data, chooser.text(data, flowed=False, delsp=False))
    assert after.startswith(b"}} https://t.example/f/a/")
    assert after.endswith(b" }}")


def test_macros_that_touch_a_pixel_on_either_side_become_braces() -> None:
    macro = b"{{opening_single_curly()}}"
    data = b"<html><body>" + macro + b"text" + macro + b"</body></html>"
    chooser = PartEdits(Decision(False, True, True, *DECISION_REST[1:]), LINKS, Rewriting(), lambda: 0.0, 1.0)
    changes = chooser.html(data)
    assert [change.kind for change in changes] == ["pixel", "macro", "macro", "pixel"]
    assert b"{text{<img" in splice(data, changes)


def test_a_page_has_ten_macros_for_each_link_that_may_be_tracked() -> None:
    macro = b"{{opening_single_curly()}} "

    def changed(macros: int) -> int:
        rules = Rewriting(max_links=20)
        chooser = PartEdits(Decision(True, False, *DECISION_REST), LINKS, rules, lambda: 0.0, 1.0)
        return len(chooser.html(macro * macros))

    assert [changed(number) for number in (31, 200)] == [31, 200]
    with pytest.raises(TooManyLinksError):
        changed(201)


@pytest.mark.parametrize("kind", ["html", "amp", "text"])
def test_a_part_has_ten_links_for_each_that_may_be_tracked_where_none_is(kind: str) -> None:
    one = b"http://a.example/ " if kind == "text" else b"<a href=http://a.example/>x</a>"

    def changed(number: int) -> int:
        rules = Rewriting(max_links=20)
        part = PartEdits(Decision(False, False, *DECISION_REST), LINKS, rules, lambda: 0.0, 1.0)
        if kind == "text":
            return len(part.text(one * number, flowed=False, delsp=False))
        return len(part.html(one * number) if kind == "html" else part.amp(one * number))

    assert [changed(number) for number in (31, 200)] == [0, 0]
    with pytest.raises(TooManyLinksError):
        changed(201)


# rewrite/plan.py


def test_only_the_part_concerned_says_that_its_pixel_is_too_long() -> None:
    raw = (
        b"Content-Type: multipart/alternative; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/html\r\n\r\n<p>x</p>\r\n"
        b"--b\r\nContent-Type: text/plain\r\n\r\nhttp://a.example/ http://b\xc3\xa4.example/\r\n--b--\r\n"
    )

    class NoPixel(CopyLinks):
        def pixel(self, initial: bool, amp: bool) -> bytes | None:
            return None

    links = NoPixel.build(Key(1, KeyStatus.SIGNING, 0, bytes(32)), Identity(bytes(16), 1, "", 0, 1), DECISION)
    found = plan(raw_message.split(raw).message, DECISION, links, Rewriting(), lambda: 0.0)
    assert isinstance(found, Plan)
    assert [(skipped.part, skipped.reason) for skipped in found.skipped] == [
        ("1", Skip.PIXEL_TOO_LONG),
        ("2", Skip.NON_ASCII),
    ]


# rewrite/verify.py


def test_the_second_opinion_on_what_its_parser_makes_nothing_of() -> None:
    pixel = Edit(0, 0, b'<img src="https://t.example/q/A">', "pixel")
    link = Edit(0, 0, b"https://t.example/f/a/A", "link", b"http://a.example/")
    assert same_but_for(b" ", [pixel])
    assert not same_but_for(b" ", [pixel, link])


def test_the_second_opinion_on_another_element_or_link() -> None:
    data = b'<a href="http://a.example/">'
    new = b"https://t.example/f/a/A"
    links = {new.decode(): Edit(9, 26, new, "link", b"http://a.example/")}
    old = ("a", {"href": "http://a.example/"})
    assert _relinked(old, ("a", {"href": new.decode()}), links, data)
    assert not _relinked(old, ("area", {"href": new.decode()}), links, data)
    assert not _relinked(old, ("a", {"href": "http://b.example/"}), links, data)
    assert not _relinked(old, ("a", {"href": new.decode(), "id": "x"}), links, data)


# events/classify.py: what each name stands for, by whole headers as they come

AGENTS = [
    (ReaderClass.HUMAN, "Mozilla/5.0 (Windows NT 10.0; ms-office) Bot/1.0"),
    (ReaderClass.HUMAN, "Microsoft Outlook 16.0.5 curl/8"),
    (ReaderClass.HUMAN, "Microsoft Office/16.0 (MSOffice 16.0) crawler"),
    (ReaderClass.HUMAN, "Mozilla/5.0 (X11; Linux) Thunderbird/128.0 bot;"),
    (ReaderClass.PROXY, "Mozilla/5.0 (Windows; U) Firefox/11.0 (via ggpht.com GoogleImageProxy)"),
    (ReaderClass.PROXY, "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"),
    (ReaderClass.PROXY, "DuckDuckGo-Image-Proxy/1.0"),
    (ReaderClass.PROXY, "Mozilla/5.0 (Fastmail proxy)"),
    (ReaderClass.SCANNER, "BarracudaCentral"),
    (ReaderClass.SCANNER, "Mozilla/5.0 (compatible; Google-Safety)"),
    (ReaderClass.SCANNER, "Proofpoint URL Defense"),
    (ReaderClass.SCANNER, "Mimecast URL Protect"),
    (ReaderClass.SCANNER, "Mozilla/5.0 SafeLinks"),
    (ReaderClass.SCANNER, "Mozilla/5.0 UrlDefense"),
    (ReaderClass.SCANNER, "Mozilla/5.0 TrendMicro"),
    (ReaderClass.SCANNER, "Mozilla/5.0 (compatible; Googlebot/2.1)"),
    (ReaderClass.SCANNER, "Mozilla/5.0 (compatible; MailBot; +https://bot.example/)"),
    (ReaderClass.SCANNER, "Example Crawler 3"),
    (ReaderClass.SCANNER, "Baiduspider"),
    (ReaderClass.SCANNER, "curl/8.5.0"),
    (ReaderClass.SCANNER, "Wget/1.21"),
    (ReaderClass.SCANNER, "python-requests/2.31"),
    (ReaderClass.SCANNER, "Python-urllib/3.11"),
    (ReaderClass.SCANNER, "python-httpx/0.27"),
    (ReaderClass.SCANNER, "Go-http-client/1.1"),
    (ReaderClass.SCANNER, "Java/17.0.2"),
    (ReaderClass.SCANNER, "libwww-perl/6.67"),
    (ReaderClass.SCANNER, "Mozilla/5.0 (X11) HeadlessChrome/120.0"),
    (ReaderClass.SCANNER, "Mozilla/5.0 PhantomJS"),
    (ReaderClass.SCANNER, "facebookexternalhit/1.1"),
    (ReaderClass.PREFETCH, "Mozilla/5.0"),
    (ReaderClass.HUMAN, "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0"),
]


@pytest.mark.parametrize(("client", "agent"), AGENTS)
def test_agents_are_what_they_say(client: ReaderClass, agent: str) -> None:
    assert classify(hit(Kind.OPEN, user_agent=agent)).client is client


# directive.py


def test_an_address_of_254_bytes_is_one_and_of_255_is_none() -> None:
    domain = ".".join(("d" * 63, "e" * 63, "f" * 62))
    longest = "l" * (254 - len(domain) - 1) + "@" + domain
    assert len(longest) == 254
    assert is_address(longest)
    assert not is_address("l" + longest)


# copies.py


@pytest.mark.parametrize(
    "name", ["\N{GRINNING FACE}" * 30, "é" * 60, "漢" * 40, "a\N{GRINNING FACE}é漢" * 15]
)
def test_long_names_beyond_ascii_give_lines_of_76_characters_at_most(name: str) -> None:
    """RFC 2047 2: no line with an encoded word is longer."""
    lines = mailbox(Copy("ann@example.net", name)).split("\n")
    assert max(map(len, lines)) <= 76
    assert str(make_header(decode_header("\n".join(lines).partition(" <")[0]))).rstrip() == name
