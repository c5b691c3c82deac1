"""Texts in the language of the page that is being made.

The language belongs to the thread, or task, that makes the page (`contextvars`); English where none was set.
Templates call the same functions, there named `_` and `ngettext`.
"""

from contextvars import ContextVar
from typing import Final

from tracker_web.languages.catalogues import ENGLISH, Language

_current: Final[ContextVar[Language]] = ContextVar("language", default=ENGLISH)


def use(language: Language) -> None:
    """Say which language the page that is made now has."""
    _current.set(language)


def current() -> Language:
    """Return the language of the page that is made now."""
    return _current.get()


def gettext(text: str, **values: object) -> str:
    """Return a text in the page's language. values: for its placeholders, `%(name)s`."""
    found = _current.get().texts.gettext(text)
    return found % values if values else found


def pgettext(context: str, text: str, **values: object) -> str:
    """Return a text whose English means several things. context: says which."""
    found = _current.get().texts.pgettext(context, text)
    return found % values if values else found


def ngettext(one: str, many: str, number: int, **values: object) -> str:
    """Return a text for a number of things. `%(num)s` is the number, if `values` has no other form of it."""
    return _current.get().texts.ngettext(one, many, number) % {"num": number, **values}


def N_(text: str) -> str:  # noqa: N802 - the name that gettext's tools and translators know
    """Return the text as it is: marked for catalogues here, translated where it is shown."""
    return text
