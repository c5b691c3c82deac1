"""The second opinion agrees with honest edits and with no other."""

import pytest

from smtpapi.model.edit import Edit
from smtpapi.rewrite.verify import same_but_for

PAGE = (
    b'<html><body><a href="https://a.example/?x&amp;y">x</a> <a href="https://b.example/">y</a> text'
    b"</body></html>"
)
NEW = b"https://track.example.net/f/a/AAAA"


def link(target: bytes, new: bytes = NEW, source: bytes | None = None) -> Edit:
    start = PAGE.index(source or target)
    return Edit(start, start + len(source or target), new, "link", target)


def pixel(at: int, new: bytes = b'<img src="https://track.example.net/q/AAAA" width="1">') -> Edit:
    return Edit(at, at, new, "pixel")


END = PAGE.index(b"</body>")


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [link(b"https://b.example/")],
        [
            link(b"https://a.example/?x&y", NEW + b"B", b"https://a.example/?x&amp;y"),
            link(b"https://b.example/"),
            pixel(END),
        ],
        [pixel(END)],
    ],
)
def test_links_and_pixels_are_all_that_differs(changes: list[Edit]) -> None:
    assert same_but_for(PAGE, changes)


@pytest.mark.parametrize(
    "changes",
    [
        [link(b"https://b.example/", b'x"><b>')],
        [link(b"https://wrong.example/", source=b"https://b.example/")],
        [pixel(END, b"<b>")],
        [pixel(END, b"words")],
        [Edit(PAGE.index(b"text"), PAGE.index(b"text") + 4, b"", "attribute")],
        [pixel(PAGE.index(b"href"))],
    ],
)
def test_anything_else_is_seen(changes: list[Edit]) -> None:
    assert not same_but_for(PAGE, changes)


def test_nothing_to_parse_is_no_difference() -> None:
    assert same_but_for(b"", [])
    assert same_but_for(b"<!-- -->", [])
