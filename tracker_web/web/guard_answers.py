"""The guard's own answers: the form to sign in, and short refusals that repeat nothing of a request."""

import base64
import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from tracker_web.links.responses import Headers

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

HTML: Final = "text/html; charset=utf-8"
NOT_FOUND: Final = b"Not Found\n"
SLOWER: Final = b"Too many wrong tries; wait a little.\n"
NO_REGISTRY: Final = b"Who may sign in cannot be read just now; try again.\n"
# In the page, as nothing else is served to who did not sign in; the policy names its hash.
_STYLE: Final = (
    b":root{color-scheme:light dark;--ground:#fbfaf8;--card:#fff;--line:#8a857b;--ink:#1d1c1a;--soft:#615d56;"
    b"--accent:#1f4f9c}\n"
    b"@media(prefers-color-scheme:dark){:root{--ground:#151513;--card:#1e1e1b;--line:#77736a;--ink:#ecebe6;"
    b"--soft:#aaa69c;--accent:#8db8ff}}\n"
    b"*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);"
    b"font:1rem/1.5 system-ui,sans-serif}\n"
    b"main{max-width:24rem;margin:10vh auto;padding:0 1rem}h1{font-size:1.4rem}\n"
    b"h2{font-size:1rem;margin-top:2.5rem}p{color:var(--soft)}label{display:block}\n"
    b"input,button{display:block;width:100%;font:inherit;padding:.5rem .7rem;border-radius:.4rem;"
    b"border:1px solid var(--line);background:var(--card);color:var(--ink)}\n"
    b"button{background:var(--accent);border-color:var(--accent);color:var(--ground);font-weight:600;"
    b"margin-top:.8rem}\n"
    b":focus-visible{outline:2px solid var(--accent);outline-offset:2px}code{overflow-wrap:anywhere}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE).digest()).decode()
FORM: Final = (
    b'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Sign in</title>\n'
    b'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    b"<style>" + _STYLE + b"</style></head><body>\n<main><h1>Sign in</h1>\n"
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
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'",
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
