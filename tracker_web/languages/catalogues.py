"""Reads catalogues of gettext: ours, and those that an operator adds or lays over them.

A catalogue is `CODE/DOMAIN.po` or `CODE/DOMAIN.mo`, in this folder or in that of `languages { folder }`.
Domain `pages` is what the pages of `smtpapi web` say, `readers` what readers of mail see. English needs none,
as it is what the sources say.

Invariants: no catalogue fails a page. A file that cannot be read, or a translation that lacks or adds a
placeholder, is left out and reported; what is not translated stays English.
"""

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import TYPE_CHECKING, Final

from babel import Locale, UnknownLocaleError
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po

from tracker_web.languages.choice import best, cookie

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

COOKIE: Final = "smtpapi_language"  # a reader's, or user's, own choice: the code of one
PAGES: Final = "pages"
READERS: Final = "readers"
_OURS: Final = Path(__file__).parent
_CODE: Final = re.compile(r"[a-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*\Z")  # RFC 5646 2.1, as far as folders need
_PLACEHOLDER: Final = re.compile(r"%\(\w+\)[a-z]|\{\w+\}|%%|<[^>]*>")


@dataclass(frozen=True, slots=True, eq=False)
class Language:
    """One language. code: as HTML's `lang` has it (RFC 5646 2.1). texts: its catalogue."""

    code: str
    texts: NullTranslations = field(default_factory=NullTranslations)

    def gettext(self, text: str) -> str:
        """Return a text in this language."""
        return self.texts.gettext(text)

    def ngettext(self, one: str, many: str, number: int) -> str:
        """Return a text for a number of things in this language."""
        return self.texts.ngettext(one, many, number)


ENGLISH: Final = Language("en")


@dataclass(frozen=True, slots=True)
class Languages:
    """All languages of a domain. default: for who wants none. troubles: what was left out, and why."""

    every: Mapping[str, Language]
    default: Language = ENGLISH
    troubles: tuple[str, ...] = ()

    def of(self, accepted: str, chosen: str = "") -> Language:
        """Return the language of a request. accepted: Accept-Language. chosen: a choice's code, or ""."""
        found = self.every.get(chosen)
        return found or self.every[best(accepted, tuple(self.every), self.default.code)]

    def of_request(self, environ: "WSGIEnvironment") -> Language:
        """Return the language of a request to the pages: what was chosen there, else Accept-Language's."""
        chosen = cookie(environ.get("HTTP_COOKIE", ""), COOKIE)
        return self.of(environ.get("HTTP_ACCEPT_LANGUAGE", ""), chosen)


def load(domain: str, folder: str = "", default: str = "en") -> Languages:
    """Return the languages of a domain: ours, and those of an operator's folder, whose words go first.

    default: a code; one that is not there counts as English, and is reported.
    """
    every, troubles = {ENGLISH.code: ENGLISH, **_ours(domain)}, []
    if folder:
        for code, path in _files(Path(folder), domain):
            texts, found = _read(path)
            troubles += found
            if texts is None:
                continue
            before = every.get(code)
            if before is not None:
                texts.add_fallback(before.texts)
            every[code] = Language(code, texts)
        if not Path(folder).is_dir():
            troubles.append(f"{folder}: is no folder: languages {{ folder }} names one of CODE/{domain}.po")
    if default not in every:
        troubles.append(f"languages {{ default }} is {default}, which has no {domain}.po: English is taken")
    return Languages(every, every.get(default, ENGLISH), tuple(troubles))


def mismatched(message: Message) -> bool:
    """Return whether a translation lacks, or adds, a placeholder or a tag of its English text."""
    allowed = [sorted(_PLACEHOLDER.findall(text)) for text in _forms(message.id)]
    return any(sorted(_PLACEHOLDER.findall(text)) not in allowed for text in _forms(message.string) if text)


def _forms(text: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text or ())


def named(language: Language) -> str:
    """Return a language's name in itself, its code where it has none."""
    try:
        return Locale.parse(language.code.replace("-", "_")).get_display_name() or language.code
    except (UnknownLocaleError, ValueError):
        return language.code


@cache
def _ours(domain: str) -> dict[str, Language]:
    found = {}
    for code, path in _files(_OURS, domain):
        texts, _ = _read(path)
        if texts is not None:
            found[code] = Language(code, texts)
    return found


def _files(folder: Path, domain: str) -> Iterator[tuple[str, Path]]:
    """Return each language's code and file; of .po and .mo the .po, which is what people edit."""
    for ending in (".mo", ".po"):
        for path in sorted(folder.glob(f"*/{domain}{ending}")):
            name = path.parent.name
            if _CODE.match(name) and (ending == ".po" or not path.with_suffix(".po").exists()):
                yield name.replace("_", "-"), path


def _read(path: Path) -> tuple[NullTranslations | None, list[str]]:
    try:
        with path.open("rb") as file:
            catalogue = read_mo(file) if path.suffix == ".mo" else read_po(file, abort_invalid=True)
    except Exception as error:  # noqa: BLE001 - neither reader says what it raises, and a page must come
        return None, [f"{path}: cannot be read as a catalogue, and is left out: {error}"]
    wrong = [message for message in catalogue if message.id and mismatched(message)]
    problems = [f"{path}: placeholders or tags differ, left out: {message.id!r}" for message in wrong]
    for message in wrong:
        message.string = ""
    return _compiled(catalogue), problems


def _compiled(catalogue: Catalog) -> NullTranslations:
    written = io.BytesIO()
    write_mo(written, catalogue)
    written.seek(0)
    return GNUTranslations(written)
