"""The guard's own answers: the form to sign in, and short refusals that repeat nothing of a request."""

import base64
import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from tracker_web.languages.catalogues import Language
from tracker_web.languages.translation import N_
from tracker_web.links.responses import Headers

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

HTML: Final = "text/html; charset=utf-8"
NOT_FOUND: Final = b"Not Found\n"
SLOWER: Final = N_("Too many wrong tries; wait a little.")
NO_REGISTRY: Final = N_("Who may sign in cannot be read just now; try again.")
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
_FORM: Final = (
    '<!DOCTYPE html>\n<html lang="{code}"><head><meta charset="utf-8"><title>{sign_in}</title>\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    "<style>{style}</style></head><body>\n<main><h1>{sign_in}</h1>\n"
    '<form method="post" action="/sign-in">\n'
    '<p><label>{name} <input name="name" autocomplete="username" required></label></p>\n'
    '<p><label>{password} <input type="password" name="password" autocomplete="current-password" required>'
    "</label></p>\n<p><button>{sign_in}</button></p>\n</form>\n"
    "<h2>{with_token}</h2>\n<p>{how}</p>\n"
    '<form method="post" action="/sign-in"><p><label>{token} <input type="password" name="token" required '
    'autocomplete="off"></label> <button>{sign_in}</button></p></form>\n</main></body></html>\n'
)
_HEADERS: Final = (
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


def form(language: Language) -> bytes:
    """Return the form to sign in."""
    text = _FORM.format(
        code=language.code,
        style=_STYLE.decode("ascii"),
        sign_in=language.gettext("Sign in"),
        name=language.gettext("Name"),
        password=language.gettext("Password"),
        with_token=language.gettext("With the token"),
        token=language.gettext("Token"),
        how=language.gettext(
            "On the machine that runs this, <code>smtpapi web --url</code> prints an address that opens the "
            "page, with the token in it. <code>smtpapi user add NAME</code> makes a user there."
        ),
    )
    return text.encode("utf-8")


def unknown(start: "StartResponse", page: bytes) -> Iterable[bytes]:
    """Answer a request of who did not sign in: the form, and nothing of the pages (RFC 9110 15.5.2).

    page: that form.
    """
    asks = ("WWW-Authenticate", 'Bearer realm="smtpapi web"')
    return answer(start, "401 Unauthorized", page, asks, media_type=HTML)


def answer(
    start: "StartResponse",
    status: str,
    body: bytes,
    *more: tuple[str, str],
    media_type: str = "text/plain; charset=utf-8",
) -> Iterable[bytes]:
    """Answer with a short text."""
    headers: Headers = [("Content-Type", media_type), ("Content-Length", str(len(body))), *_HEADERS, *more]
    start(status, headers)
    return [body]
