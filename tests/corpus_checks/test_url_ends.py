"""URLs in plain text end where readers end them, or are left with `unclear-end`.

Three readers: linkify-it (of markdown-it, in its port to Python), and the rules of two more as facts, each an
expression for what it makes a link of and the signs it then takes off the end. Gmail's takes all up to a
blank, a bracket of a tag or a double quote; Thunderbird's plain text view ends at more.
"""

import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from linkify_it import LinkifyIt

from engagement.links.urls import read_path
from smtpapi.find import text
from smtpapi.find.model import TextLink

TOKEN = "A" * 40
TRACKED = f"https://t.example/f/a/{TOKEN}"


def by_rule(link: str, trailing: str) -> Callable[[str], dict[int, str]]:
    expression = re.compile(link, re.IGNORECASE)
    return lambda source: {found.start(): found[0].rstrip(trailing) for found in expression.finditer(source)}


def by_linkify_it(source: str) -> dict[int, str]:
    matches: Any = LinkifyIt().match(source) or ()
    return {match.index: source[match.index : match.last_index] for match in matches if match.schema}


READERS = {
    "linkify-it": by_linkify_it,
    "gmail": by_rule(r"https?://[^\s<>\"]+", ".,:;!?')]}"),
    "thunderbird": by_rule(r"https?://[^\s<>\"`{}\[\]|]+", ".,:;!?-')"),
}

# What a reader takes along beyond the URL without harm: a sentence's punctuation, signs that no URL holds, a
# bulletin board's end tag, what looks like our notation (contract.md 5.3), the partner of what stands before
# the URL, and emphasis.
BEYOND = re.compile(
    r"[.,:;!?|^'\")\]}*_~\\]+\Z|[.,:;!?|^'\")\]}*_~\\]*(?:[^\x00-\x7f]|\[/[A-Za-z]+|\[\[|`)", re.DOTALL
)
PAIRS = {"(": ")", "[": "]", "{": "}", "'": "'", "*": "*", "_": "_", "~": "~", "=": "]"}


def links(source: str) -> tuple[list[TextLink], str, dict[int, str]]:
    """Those that are tracked, the text with them, and where each stands in the text before."""
    data = source.encode()
    found = [link for link in text.scan(data) if not link.broken]
    places = {len(data[: link.start].decode()): link.target.decode() for link in found}
    for link in reversed(found):
        data = data[: link.start] + TRACKED.encode() + data[link.stop :]
    return found, data.decode(), places


def faults(source: str) -> list[str]:
    problems = []
    _, after, places = links(source)
    for name, reader in READERS.items():
        before, behind = reader(source), reader(after)
        for place, target in places.items():
            seen = before.get(place, target)
            rest = seen[len(target) :] if seen.startswith(target) else ""
            partner = PAIRS.get(source[place - 1 : place], "") if place else ""
            if rest and not BEYOND.match(rest) and not (partner and rest.startswith(partner)):
                problems.append(f"{name}: {seen!r} was tracked as {target!r}")
        for seen in behind.values():
            if seen.lower().startswith("https://t.example/"):
                read = read_path(seen[len("https://t.example") :].encode())
                if read is None or read.token != TOKEN.encode():
                    problems.append(f"{name}: {seen!r} is no link of ours any more")
    return problems


# The text, what is tracked; "" where nothing may be. Traits of linkify-it's own cases among them.
FACTS = [
    ("My http://example.com/ site", "http://example.com/"),
    ("http://example.com:8080/a?foo=bar#foo=bar", "http://example.com:8080/a?foo=bar#foo=bar"),
    ("http://example.com?foo=bar", "http://example.com?foo=bar"),
    ("HTTP://EXAMPLE.COM", "HTTP://EXAMPLE.COM"),
    ("http://host-name http://inner2", "http://host-name http://inner2"),
    (">>http://example.com", "http://example.com"),
    ("text:http://example.com/", "http://example.com/"),
    ("test.example@http://example.com", "http://example.com"),
    ("(Scoped http://example.com/foo_bar)", "http://example.com/foo_bar"),
    ("http://example.com/foo_bar_(wiki)", "http://example.com/foo_bar_(wiki)"),
    ("http://example.com/blah_[other]", "http://example.com/blah_[other]"),
    ("http://example.com/blah_{I'm_king}", "http://example.com/blah_{I'm_king}"),
    ("http://example.com/bestway-10'-x-30inch/p-004", "http://example.com/bestway-10'-x-30inch/p-004"),
    ('http://example.com/blah_"doublequoted"', ""),
    ('"Quoted like http://example.com/foo_bar"', "http://example.com/foo_bar"),
    ("'Quoted like http://example.com/foo_bar'", "http://example.com/foo_bar"),
    ("[Scoped like http://example.com/foo_bar]", "http://example.com/foo_bar"),
    ("{Scoped like http://example.com/foo_bar}", "http://example.com/foo_bar"),
    ("http://example.com/foo_bar.jpg.", "http://example.com/foo_bar.jpg"),
    ("http://example.com/foo_bar...", "http://example.com/foo_bar"),
    ("http://example.com/compare/360b...f580", "http://example.com/compare/360b...f580"),
    ("http://example.com/#../0529/slides.pdf", "http://example.com/#../0529/slides.pdf"),
    ("http://example.com/@59.93,30.31,15z?hl=ru", "http://example.com/@59.93,30.31,15z?hl=ru"),
    ("http://example.com/article/0,,9065-24,00.html", "http://example.com/article/0,,9065-24,00.html"),
    ("http://example.com/123!", "http://example.com/123"),
    (
        "http://example.com/foo--bar http://example.com/inc-",
        "http://example.com/foo--bar http://example.com/inc-",
    ),
    ("<http://example.com/foo>.", "http://example.com/foo"),
    ("http://example.com/s(d(a.n),%221%22)&t=N", "http://example.com/s(d(a.n),%221%22)&t=N"),
    ("http://example.com/foo-(with-(parens)).", "http://example.com/foo-(with-(parens))"),
    ("http://example.com/(foo) (bar)", "http://example.com/(foo)"),
    ("\uff5chttp://example.com\uff5cbar", "http://example.com"),
    ("http://example.com/(foo", ""),
    ("[https](https://www.example.com)[mailto](mailto:someone@example.com)", "https://www.example.com"),
    ("_http://example.com", ""),
    ("http:// http://# http://? http://..", ""),
    # those of our own
    ("[url]https://a.example/7[/url]", "https://a.example/7"),
    ("[url=https://a.example/7]seven[/url]", "https://a.example/7"),
    ("<https://a.example/7|seven words>", ""),
    ("|https://a.example/7| seven |", "https://a.example/7"),
    ("| https://a.example/7 | seven |", "https://a.example/7"),
    ("a;https://a.example/7;https://a.example/8;b", ""),
    ("https://a.example/7,https://a.example/8", ""),
    ("https://a.example/7|https://a.example/8", ""),
    (
        "https://a.example/7, https://a.example/8; https://a.example/9",
        "https://a.example/7 https://a.example/8 https://a.example/9",
    ),
    ("https://a.example/7;jsessionid=1?a=1,2", "https://a.example/7;jsessionid=1?a=1,2"),
    ("https://a.example/r?u=https://b.example/", "https://a.example/r?u=https://b.example/"),
    ('https://a.example/?q="a+b"&c=d', ""),
    ('a="https://a.example/7";b', "https://a.example/7"),
    ("https://a.example/7`b", ""),
    ("„https://a.example/7“ und »https://a.example/8«", "https://a.example/7 https://a.example/8"),
    ("https://a.example/7\u200e.", "https://a.example/7"),
    ("\u2067https://a.example/7\u2069\u200f ok", "https://a.example/7"),
    ("\ufeffhttps://a.example/7\ufeff", "https://a.example/7"),
    ("https://a.example/7\u2060b", ""),
    ("https://a.example/7\u200d8", ""),
    ("https://a.example/7。https://a.example/8、", "https://a.example/7 https://a.example/8"),
    ("x" * 40 + " https://a.example/0123456789\n0123456789", ""),
    ("x" * 40 + " https://a.example/0123456789\r\nabcdef\r\n", ""),
    ("x" * 40 + " https://a.example/0123456789?\nabc=d\n", ""),
    ("x" * 40 + " https://a.example/0123456789.\nabcdef\n", "https://a.example/0123456789"),
    ("x" * 40 + " https://a.example/0123456789\nabc def\n", "https://a.example/0123456789"),
    ("x" * 40 + " https://a.example/0123456789\nRegards,\n", "https://a.example/0123456789"),
    ("x" * 40 + " https://a.example/0123456789\n-----\n", "https://a.example/0123456789"),
    ("x" * 40 + " https://a.example/0123456789\n\nabcdef\n", "https://a.example/0123456789"),
    ("short https://a.example/0123456789\nabcdef\n", "https://a.example/0123456789"),
    (
        f"https://a.example/{'a' * 50}\nhttps://b.example/\n",
        f"https://a.example/{'a' * 50} https://b.example/",
    ),
]


@pytest.mark.parametrize(("source", "tracked"), FACTS)
def test_h15_a_url_ends_where_every_reader_ends_it_or_stays(source: str, tracked: str) -> None:
    assert " ".join(link.target.decode() for link in links(source)[0]) == tracked
    assert faults(source) == []


@pytest.mark.parametrize("charset", ["windows-1252", "iso-8859-1"])
def test_h15_quotation_marks_of_the_parts_own_charset_end_a_url(charset: str) -> None:
    data = b"\x93https://a.example/7\x94 \x84https://a.example/8\x93 https://a.example/stra\xdfe\x85"
    found = text.scan(data, charset=charset)
    assert [(link.target, link.broken) for link in found] == [
        (b"https://a.example/7", False),
        (b"https://a.example/8", False),
        (b"https://a.example/stra\xdfe\x85", True),
    ]
    assert all(link.broken for link in text.scan(data, charset="koi8-r"))
    assert all(link.broken for link in text.scan(data, charset="no-such"))


def test_h15_quotation_marks_of_a_charset_of_two_bytes_end_a_url() -> None:
    data = "「https://a.example/7」 https://a.example/八".encode("euc-jp")
    assert [link.broken for link in text.scan(data, charset="euc-jp")] == [False, True]


PIECES = (
    *(
        "https://a.example/7",
        "http://b.example",
        "https://c.example/?q=1&r=2",
        "https://d.example/x_(y)",
        "https://e.example/{i}",
    ),
    *(
        " ",
        " ",
        "\n",
        "\r\n",
        "(",
        ")",
        "[",
        "]",
        "<",
        ">",
        '"',
        "'",
        "`",
        ",",
        ";",
        "|",
        ".",
        "!",
        "?",
        ":",
        "*",
        "_",
        "~",
    ),
    *(
        "[url]",
        "[/url]",
        "[url=",
        "label",
        "7",
        "=",
        "&",
        "/",
        "“",
        "”",
        "…",
        "\u200e",
        "\u2069",
        "\ufeff",
        "。",
        "ä",
        "-",
        "\\",
        "^",
    ),
)


def test_h15_no_reader_loses_a_link_to_another_end() -> None:
    chance = random.Random(15)
    found: dict[str, list[str]] = {}
    for _ in range(4000):
        source = "".join(chance.choices(PIECES, k=chance.randint(2, 7)))
        if problems := faults(source):
            found[source] = problems
    assert found == {}
