"""Each header of the tracker's own pages (tracker_web.links.responses)."""

from tracker_web.languages.catalogues import ENGLISH, READERS, load
from tracker_web.links import responses
from tracker_web.links.reader_page import ReaderPage, Shown

_EVERY = {"X-Content-Type-Options": "nosniff", "X-Robots-Tag": "noindex", "Cache-Control": "no-store"}
_PAGE = {
    "Content-Type": "text/html; charset=utf-8",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Language",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def headers(found: responses.Headers) -> dict[str, str]:
    assert len({name for name, _ in found}) == len(found)
    return dict(found)


def test_the_page_at_a_bare_name() -> None:
    found, body = responses.front_page("<A & B>")
    assert headers(found) == _EVERY | _PAGE | {"Content-Length": str(len(body))}
    assert b"&lt;A &amp; B&gt;" in body


def test_the_page_of_a_link_that_was_stopped() -> None:
    found, body = responses.gone("<A & B>")
    assert headers(found) == _EVERY | _PAGE | {"Content-Length": str(len(body))}
    assert b"&lt;A &amp; B&gt;" in body
    assert b"{sender}" not in body


def test_a_short_text() -> None:
    assert headers(responses.text_headers(b"abc", responses.ALLOW)) == _EVERY | {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": "3",
        "Allow": "GET, HEAD, OPTIONS",
    }


def test_redirects_and_pixels_are_kept_by_nobody() -> None:
    common = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}
    assert headers(responses.redirect_headers(b"http://a.example/")) == common | {
        "Location": "http://a.example/",
        "Content-Length": "0",
        "Content-Type": "text/plain",
    }
    assert headers(list(responses.PIXEL_HEADERS)) == common | {
        "Content-Type": "image/gif",
        "Content-Length": "43",
    }


def test_what_readers_see_is_in_their_language() -> None:
    german = load(READERS).of("de")
    for body, expected in (
        (responses.gone("Fjord & Sons", german)[1], ("abgeschaltet", "Fjord &amp; Sons")),
        (responses.gone("", german)[1], ("Der Absender der E-Mail",)),
        (responses.front_page("", german)[1], ("E-Mails führen",)),
        (responses.not_found(german), ("nicht bekannt",)),
    ):
        text = body.decode()
        assert all(word in text for word in expected)
        assert '<html lang="de">' in text or "<" not in text
        assert "{" not in text


def test_a_page_shows_what_no_encoding_can_hold_as_a_question_mark() -> None:
    page = ReaderPage(Shown("ann\udce9@example.net", "b@example.org"), ENGLISH)
    assert b"<p><bdi>ann?@example.net</bdi></p>" in page.whole("t", page.paragraph("{recipient}"))
