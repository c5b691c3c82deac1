"""What pages that readers of mail see are made of: their frame, style and header fields. Not what they say.

They work without a script and load nothing. Names and addresses come from a genuine token and are escaped.
"""

import re
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from typing import Final

from tracker_web.languages.catalogues import Language
from tracker_web.links.responses import Headers, typed_headers

_STYLE: Final = (
    "body{max-width:34em;margin:3em auto;padding:0 1em;font:1.1em/1.5 system-ui,sans-serif}"
    ":root{color-scheme:light dark}bdi{overflow-wrap:anywhere}"
    "button{font:inherit;padding:.6em 1.2em;margin:.3em 0;width:100%;text-align:left}"
)
# Nothing but this style and the page's own forms (CSP 3); no site may put it into a frame to catch clicks.
_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_BRACES: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Shown:
    """What a page names. list_name: "" for no list. target: the author's own page, "" for none."""

    recipient: str
    sender: str
    list_name: str = ""
    target: str = ""


class ReaderPage:
    """Pages for one link in one language."""

    def __init__(self, shown: Shown, language: Language) -> None:
        self.language = language
        self._given = {
            "recipient": name(shown.recipient),
            "sender": name(shown.sender) if shown.sender else language.gettext("this sender"),
            "list": name(shown.list_name),
        }

    def put(self, text: str) -> str:
        """Return a translated text with its braces filled. It has no markup, what is put in is escaped."""
        return _BRACES.sub(lambda found: self._given.get(found[1], ""), text)

    def paragraph(self, text: str) -> str:
        """Return a translated text as a paragraph."""
        return f"<p>{self.put(text)}</p>\n"

    def whole(self, title: str, *parts: str) -> bytes:
        """Return a page. title: translated. parts: HTML."""
        title = self.put(title)
        head = (
            f'<!DOCTYPE html>\n<html lang="{self.language.code}"><head><meta charset="utf-8">\n'
            f'<title>{title}</title><meta name="viewport" content="width=device-width">\n'
            f"<style>{_STYLE}</style></head>\n"
        )
        text = f"{head}<body><main><h1>{title}</h1>\n{''.join(parts)}</main></body></html>\n"
        return text.encode("utf-8", "replace")


def headers(body: bytes) -> Headers:
    """Return the header list of a page."""
    more = (
        ("Cache-Control", "no-store"),
        ("Referrer-Policy", "no-referrer"),
        ("Vary", "Accept-Language"),
        ("Content-Security-Policy", _POLICY),
    )
    return typed_headers(body, "text/html; charset=utf-8", *more)


def name(text: str) -> str:
    """Return a name escaped, in its own direction of writing, so that it turns no text around it."""
    return f"<bdi>{escape(text)}</bdi>"


def form(query: str, label: str) -> str:
    """Return a button that posts a query to the link itself. label: translated, its braces filled."""
    return f'<form method="post" action="?{escape(query)}"><button>{label}</button></form>\n'
