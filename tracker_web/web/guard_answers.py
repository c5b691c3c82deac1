"""The guard's own answers: the form to sign in, and short refusals that repeat nothing of a request."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from tracker_web.links.responses import Headers

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

HTML: Final = "text/html; charset=utf-8"
NOT_FOUND: Final = b"Not Found\n"
SLOWER: Final = b"Too many wrong tries; wait a little.\n"
NO_REGISTRY: Final = b"Who may sign in cannot be read just now; try again.\n"
FORM: Final = (
    b'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Sign in</title>\n'
    b'<meta name="viewport" content="width=device-width"></head><body>\n<main><h1>Sign in</h1>\n'
    b'<form method="post" action="/sign-in">\n'
    b'<p><label>Name <input name="name" autocomplete="username" required></label></p>\n'
    b'<p><label>Password <input type="password" name="password" autocomplete="current-password" required>'
    b"</label></p>\n<p><button>Sign in</button></p>\n</form>\n"
    b"<h2>With the token</h2>\n"
    b"<p>On the machine that runs this, <code>smtpapi web --url</code> prints an address that opens "
    b"the page, with the token in it. <code>smtpapi user add NAME</code> makes a user there.</p>\n"
    b'<form method="post" action="/sign-in"><p><label>Token <input type="password" name="token" required '
    b'autocomplete="off"></label> <button>Sign in</button></p></form>\n</main></body></html>\n'
)
_PLAIN: Final = (
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("X-Robots-Tag", "noindex"),
    (
        "Content-Security-Policy",
        "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
)


def unknown(start: "StartResponse") -> Iterable[bytes]:
    """Answer a request of who did not sign in: the form, and nothing of the pages (RFC 9110 15.5.2)."""
    asks = ("WWW-Authenticate", 'Bearer realm="smtpapi web"')
    return answer(start, "401 Unauthorized", FORM, asks, media_type=HTML)


def answer(
    start: "StartResponse",
    status: str,
    body: bytes,
    *more: tuple[str, str],
    media_type: str = "text/plain; charset=utf-8",
) -> Iterable[bytes]:
    """Answer with a short text."""
    headers: Headers = [("Content-Type", media_type), ("Content-Length", str(len(body))), *_PLAIN, *more]
    start(status, headers)
    return [body]
