"""The pages on which a reader leaves a list: what they say, in English and German. Not what a request does.

They work without a script and load nothing. Names and addresses come from a genuine token and are escaped.
"""

from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from typing import Final

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


@dataclass(frozen=True, slots=True)
class Shown:
    """What a page names. list_name: "" for no list. target: the author's own page, "" for none."""

    recipient: str
    sender: str
    list_name: str = ""
    target: str = ""


@dataclass(frozen=True, slots=True)
class _Words:
    """The texts of one language. In braces: what is put in, escaped."""

    title: str
    ask: str
    this_list: str
    list_button: str
    all_button: str
    only_button: str
    stays: str
    done: str
    done_list: str
    done_all: str
    undo: str
    undo_button: str
    undone: str
    undone_text: str
    late: str
    late_text: str
    busy: str
    busy_text: str
    onward: str
    this_sender: str


_ENGLISH: Final = _Words(
    title="Unsubscribe",
    ask="Shall {recipient} get no more of this mail?",
    this_list="The list: {list}",
    list_button="Unsubscribe from this list only",
    all_button="Unsubscribe from all mail of {sender}",
    only_button="Unsubscribe from mail of {sender}",
    stays="Mail that you ask for yourself, such as about an order or a password, still comes.",
    done="You are unsubscribed",
    done_list="{recipient} gets no more mail of the list {list}.",
    done_all="{recipient} gets no more mail of {sender}, but for mail that you ask for yourself.",
    undo="Was it a mistake? For ten minutes you can take it back here.",
    undo_button="Stay subscribed",
    undone="You stay subscribed",
    undone_text="{recipient} gets mail as before.",
    late="This cannot be taken back here any more",
    late_text="The ten minutes are over. Ask {sender} if you want the mail again.",
    busy="That did not work",
    busy_text="Nothing was changed. Please try again in some minutes.",
    onward="Go on to the page of {sender}",
    this_sender="this sender",
)
_GERMAN: Final = _Words(
    title="Abmelden",
    ask="Soll {recipient} diese E-Mails nicht mehr bekommen?",
    this_list="Die Liste: {list}",
    list_button="Nur von dieser Liste abmelden",
    all_button="Von allen E-Mails von {sender} abmelden",
    only_button="Von E-Mails von {sender} abmelden",
    stays="Was Sie selbst anfordern, etwa zu einer Bestellung oder einem Passwort, kommt weiterhin.",
    done="Sie sind abgemeldet",
    done_list="{recipient} bekommt keine E-Mails der Liste {list} mehr.",
    done_all="{recipient} bekommt keine E-Mails von {sender} mehr, außer was Sie selbst anfordern.",
    undo="War das ein Versehen? Zehn Minuten lang können Sie es hier zurücknehmen.",
    undo_button="Angemeldet bleiben",
    undone="Sie bleiben angemeldet",
    undone_text="{recipient} bekommt E-Mails wie bisher.",
    late="Das lässt sich hier nicht mehr zurücknehmen",
    late_text="Die zehn Minuten sind vorbei. Fragen Sie {sender}, wenn Sie die E-Mails wieder wollen.",
    busy="Das hat nicht geklappt",
    busy_text="Es wurde nichts geändert. Bitte versuchen Sie es in einigen Minuten noch einmal.",
    onward="Weiter zur Seite von {sender}",
    this_sender="diesem Absender",
)
_LANGUAGES: Final = {"en": _ENGLISH, "de": _GERMAN}


def language_of(accepted: str) -> str:
    """Return "de" where Accept-Language (RFC 9110 12.5.4) wants that rather than English, else "en"."""
    weights = {"de": 0.0, "en": 0.0}
    for each in accepted[:200].lower().split(","):
        tag, _, parameter = each.partition(";")
        name = tag.strip().partition("-")[0]
        if name in weights:
            weights[name] = max(weights[name], _weight(parameter))
    return "de" if weights["de"] > weights["en"] else "en"


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


class UnsubscribePage:
    """The pages for one link in one language."""

    def __init__(self, shown: Shown, language: str) -> None:
        self._words = words = _LANGUAGES[language]
        self._language = language
        self._target = shown.target
        self._list = bool(shown.list_name)
        self._given = {
            "recipient": _name(shown.recipient),
            "sender": _name(shown.sender) if shown.sender else words.this_sender,
            "list": _name(shown.list_name),
        }

    def asking(self) -> bytes:
        """Return the page that asks, with a button for each choice."""
        words = self._words
        forms = _form("all", self._put(words.all_button if self._list else words.only_button))
        if self._list:
            forms = self._said(words.this_list) + _form("list", self._put(words.list_button)) + forms
        return self._page(words.title, self._said(words.ask), forms, self._said(words.stays), self._onward())

    def done(self, of_list: bool, undo: str) -> bytes:
        """Return the page behind it. of_list: that list alone was left. undo: the query that undoes it."""
        words = self._words
        text = words.done_list if of_list else words.done_all
        form = self._said(words.undo), _form(undo, words.undo_button)
        return self._page(words.done, self._said(text), *form, self._onward())

    def undone(self) -> bytes:
        """Return the page that says that nothing is changed any more."""
        return self._page(self._words.undone, self._said(self._words.undone_text))

    def late(self) -> bytes:
        """Return the page for an undo that comes too late."""
        return self._page(self._words.late, self._said(self._words.late_text))

    def busy(self) -> bytes:
        """Return the page for a wish that could not be recorded."""
        return self._page(self._words.busy, self._said(self._words.busy_text))

    def _put(self, text: str) -> str:
        """Return a text with its braces filled. The text has no markup, what is put in is escaped."""
        return text.format_map(self._given)

    def _said(self, text: str) -> str:
        return f"<p>{self._put(text)}</p>\n"

    def _onward(self) -> str:
        if not self._target:
            return ""
        target = escape(self._target)
        return f'<p><a href="{target}" rel="noreferrer">{self._put(self._words.onward)}</a></p>\n'

    def _page(self, title: str, *parts: str) -> bytes:
        head = (
            f'<!DOCTYPE html>\n<html lang="{self._language}"><head><meta charset="utf-8">\n'
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


def _name(text: str) -> str:
    """Return a name escaped, in its own direction of writing, so that it turns no text around it."""
    return f"<bdi>{escape(text)}</bdi>"


def _form(query: str, label: str) -> str:
    return f'<form method="post" action="?{escape(query)}"><button>{label}</button></form>\n'
