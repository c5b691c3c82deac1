"""The tracker's answers, prepared once: statuses, header lists, the pixel's bytes (contract.md 6.2).

No answer holds anything of the request. A redirect's target is the only text that comes from a token.
"""

from html import escape
from typing import Final

from tracker_web.languages.catalogues import ENGLISH, Language

Headers = list[tuple[str, str]]

# A transparent pixel: GIF89a, 1x1, index 0 of two colours transparent. 43 bytes, always the same.
PIXEL: Final = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00"
    b"!\xf9\x04\x01\x00\x00\x00\x00"
    b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)

# A 302 is not cached by default; no-store forbids it to every cache. 301 and 308 would be cached for good.
FOUND: Final = "302 Found"
_REDIRECT: Final = (
    ("Content-Length", "0"),
    ("Content-Type", "text/plain"),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Robots-Tag", "noindex"),
)

OK: Final = "200 OK"
PIXEL_HEADERS: Final = (
    ("Content-Type", "image/gif"),
    ("Content-Length", str(len(PIXEL))),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Robots-Tag", "noindex"),
)

NOT_FOUND: Final = "404 Not Found"

# What somebody sees who opens the bare name of a tracking host, or a link that was stopped: no data.
_PAGE: Final = """<!DOCTYPE html>
<html lang="{code}"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"></head>
<body><main>{body}</main></body></html>
"""
GONE: Final = "410 Gone"

NOT_ALLOWED: Final = "405 Method Not Allowed"
NOT_ALLOWED_BODY: Final = b"Only GET and HEAD are answered here.\n"

NOT_ALLOWED_HERE_BODY: Final = b"Only GET, HEAD and POST are answered here.\n"
UNAVAILABLE: Final = "503 Service Unavailable"
RETRY: Final = ("Retry-After", "120")  # seconds; a spool without room is emptied within minutes

NO_CONTENT: Final = "204 No Content"
ALLOW: Final = ("Allow", "GET, HEAD, OPTIONS")
ALLOW_POST: Final = ("Allow", "GET, HEAD, OPTIONS, POST")

ROBOTS_BODY: Final = b"User-Agent: *\nDisallow: /\n"


def not_found(language: Language) -> bytes:
    """Return what is said of a link that nothing proves to be ours."""
    _ = language.gettext
    return (_("This link is not known here.") + "\n").encode()


def redirect_headers(target: bytes) -> Headers:
    """Return the header list of a redirect to `target`, whose bytes stand in Location as they are.

    target: ASCII, checked by `engagement.links.urls.refusal`.
    """
    return [("Location", target.decode("latin-1")), *_REDIRECT]


def gone(sender: str, language: Language = ENGLISH) -> tuple[Headers, bytes]:
    """Return the header list and the body for a link that was stopped.

    sender: any text; it is escaped. "" for who is not known.
    """
    _ = language.gettext
    title = _("This link was switched off")
    who = escape(sender) if sender else _("The sender of the mail")
    first = _(
        "{sender} has switched off the link that you followed. It was in a mail that may have been sent by "
        "mistake, or by somebody who had no right to. Nothing was opened, and there is nothing you need to "
        "do."
    ).replace("{sender}", who)
    second = (
        _("If you have questions, ask {sender} in a way you already know, not by an answer to that mail.")
        if sender
        else _("If you have questions, ask in a way you already know, not by an answer to that mail.")
    ).replace("{sender}", who)
    return _page(language, title, f"<h1>{title}</h1>\n<p>{first}</p>\n<p>{second}</p>")


def text_headers(body: bytes, *more: tuple[str, str]) -> Headers:
    """Return the header list of a short text."""
    return typed_headers(body, "text/plain; charset=utf-8", ("Cache-Control", "no-store"), *more)


def front_page(sender: str, language: Language = ENGLISH) -> tuple[Headers, bytes]:
    """Return the header list and the body of the page at a tracking host's bare name.

    sender: who sends, any text, which is escaped; "" where that is not said.
    """
    _ = language.gettext
    first = (
        _("Links and images of e-mail from {sender} lead through this address. Nothing else is here to see.")
        if sender
        else _("Links and images of e-mail lead through this address. Nothing else is here to see.")
    ).replace("{sender}", escape(sender))
    second = _("If a link brought you here, its address was cut: open it from the e-mail again.")
    return _page(language, _("Links of e-mail"), f"<p>{first}</p>\n<p>{second}</p>")


def _page(language: Language, title: str, content: str) -> tuple[Headers, bytes]:
    text = _PAGE.replace("{code}", language.code).replace("{title}", title).replace("{body}", content)
    body = text.encode("utf-8", "replace")
    more = (
        ("Cache-Control", "no-store"),
        ("Referrer-Policy", "no-referrer"),
        ("Vary", "Accept-Language"),
        ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    )
    return typed_headers(body, "text/html; charset=utf-8", *more), body


def typed_headers(body: bytes, media_type: str, *more: tuple[str, str]) -> Headers:
    """Return the header list of a body of any type."""
    return [
        ("Content-Type", media_type),
        ("Content-Length", str(len(body))),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Robots-Tag", "noindex"),
        *more,
    ]
