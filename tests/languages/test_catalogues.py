"""Catalogues: in step with the sources, whole, with the placeholders of their texts."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from languages.catalogues import SOURCES, files, in_step, ours, texts
from languages.template_texts import untranslated
from tracker_web.languages.catalogues import mismatched

TEMPLATES = Path(__file__).parents[2] / "tracker_web" / "pages" / "templates"
NAMES = {
    "smtpapi",
    "CSV",
    "JSON",
    "UTC",
    "Message-ID",
    "· smtpapi",
    "https://…",
}  # the same in every language
by_name = pytest.mark.parametrize("path", ours(), ids=lambda path: f"{path.parent.name}-{path.stem}")


def complete(translation: str | tuple[str, ...] | list[str] | None) -> bool:
    return bool(translation) and all(translation or ())


@by_name
def test_catalogues_are_in_step_with_the_sources(path: Path) -> None:
    assert path.read_bytes() == in_step(path), "make languages"


@by_name
def test_every_text_is_translated(path: Path) -> None:
    with path.open("rb") as file:
        found = read_po(file, abort_invalid=True)
    missing = [message.id for message in found if message.id and not complete(message.string)]
    assert not missing


@by_name
def test_translations_have_the_placeholders_and_tags_of_their_texts(path: Path) -> None:
    with path.open("rb") as file:
        found = read_po(file, abort_invalid=True)
    assert [message.id for message in found if message.id and mismatched(message)] == []


def spoken(tree: ast.AST) -> Iterator[str]:
    """The first text of each call of gettext's functions, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            place = 1 if called == "pgettext" else 0
            if called in ("_", "gettext", "ngettext", "pgettext", "N_") and len(node.args) > place:
                text = node.args[place]
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    yield text.value


@pytest.mark.parametrize("domain", SOURCES)
def test_no_call_is_overlooked(domain: str) -> None:
    """The reader of sources sees none inside an f-string, for one."""
    known = {text for message in texts(domain) for text in (*message.id,) if message.pluralizable}
    known |= {message.id for message in texts(domain) if isinstance(message.id, str)}
    found = {text for path in files(domain, "py") for text in spoken(ast.parse(path.read_text("utf-8")))}
    assert found - known == set()
    assert len(found) > 20


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.stem)
def test_no_template_says_anything_outside_of_gettext(path: Path) -> None:
    assert [text for text in untranslated(path.read_text("utf-8")) if text not in NAMES] == []


def test_the_look_for_texts_finds_what_is_not_in_gettext() -> None:
    template = (
        '<p title="Seen">A {{ _("b") }} <code>c</code> {{ "one" if x else _("two") }}'
        "{{ grid(x, 'No rows.') }}<b class=\"{{ 'well' if x }}\">{{ x or 'none' }}</b></p>"
    )
    found = " ".join(untranslated(template))
    assert re.findall(r"Seen|A|one|No rows\.|none", found) == ["Seen", "A", "one", "none", "No rows."]
    assert not re.search(r"\bb\b|\bc\b|two|well", found)
