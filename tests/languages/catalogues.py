"""Brings the catalogues in step with the sources: `make languages`.

New texts come in without a translation, those that are gone go, translations stay. A test compares.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po

from engagement.events.outcomes import UNTOUCHED
from engagement.figures.definitions import FIGURES, RATES
from tracker_web.pages.content.figure_tables import link_table, machine_table, mail_table
from tracker_web.pages.content.figures import needed
from tracker_web.pages.content.tables import Column

ROOT: Final = Path(__file__).parents[2]
LANGUAGES: Final = ROOT / "tracker_web" / "languages"
_WEB: Final = ROOT / "tracker_web"
# What is read for each domain: folders and files below tracker_web.
SOURCES: Final = {
    "pages": ("pages", "web"),
    "readers": ("links",),
}
_KEYWORDS: Final = {
    "_": None,
    "gettext": None,
    "N_": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
}
_JINJA: Final = {"trimmed": "true", "newstyle_gettext": "true", "silent": "false"}
_WIDTH: Final = 110
_HEADER: Final = r"""# `make languages` brings this file in step with the sources; msgstr are written by hand.
msgid ""
msgstr ""
"Language: {code}\n"
"Plural-Forms: {forms}\n"
"MIME-Version: 1.0\n"
"Content-Type: text/plain; charset=utf-8\n"
"Content-Transfer-Encoding: 8bit\n"

"""
_TABLES: Final = (mail_table("", Column("", ""), ()), link_table(()), machine_table(()))


def texts(domain: str) -> Catalog:
    """Return what the sources of a domain say, in their order."""
    found = Catalog(fuzzy=False)
    for path in files(domain, "py", "html"):
        method = "jinja2.ext:babel_extract" if path.suffix == ".html" else "python"
        options = _JINJA if path.suffix == ".html" else {}
        with path.open("rb") as file:
            for _, message, comments, context in extract(
                method, file, _KEYWORDS, ("for translators:",), options
            ):
                if message:
                    place = (path.relative_to(ROOT).as_posix(), 0)
                    found.add(message, locations=(place,), auto_comments=comments, context=context)
    if domain == "pages":
        for name, text in _meanings():
            found.add(text, locations=((name, 0),))
    return found


def in_step(path: Path) -> bytes:
    """Return a catalogue as it would be in step with the sources."""
    with path.open("rb") as file:
        existing = read_po(
            file, locale=path.parent.name.replace("-", "_"), domain=path.stem, abort_invalid=True
        )
    existing.update(texts(path.stem), no_fuzzy_matching=True, update_creation_date=False)
    existing.obsolete.clear()
    written = io.BytesIO()
    # Without the header's times and names, which would change with each run.
    write_po(written, existing, width=_WIDTH, include_lineno=False, ignore_obsolete=True, omit_header=True)
    return (
        _HEADER.format(code=path.parent.name, forms=existing.plural_forms).encode("ascii")
        + written.getvalue()
    )


def ours() -> list[Path]:
    """Return the catalogues that come with the package."""
    return sorted(LANGUAGES.glob("*/*.po"))


def files(domain: str, *endings: str) -> list[Path]:
    """Return the sources of a domain, folder by folder."""
    places = [(_WEB / folder, ending) for folder in SOURCES[domain] for ending in endings]
    return [path for folder, ending in places for path in sorted(folder.rglob(f"*.{ending}"))]


def _meanings() -> Iterator[tuple[str, str]]:
    """Return texts that are written down elsewhere, for other readers as well."""
    shown = {column.name for table in _TABLES for column in table.columns} | set(needed())
    meanings = {each.name: each.meaning for each in FIGURES.values()}
    meanings |= {each.name: each.meaning for each in RATES.values()}
    for name, text in meanings.items():
        if name in shown:
            yield "engagement/figures/definitions.py", text
    for text in UNTOUCHED.values():
        yield "engagement/events/outcomes.py", text


if __name__ == "__main__":
    for each in ours():
        each.write_bytes(in_step(each))
