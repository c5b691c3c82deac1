"""Which language a request gets, what an operator's files add, and that a faulty one costs nothing."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker_web.languages.catalogues import ENGLISH, PAGES, READERS, load
from tracker_web.languages.choice import best

HEAD = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n"Plural-Forms: {}\\n"\n\n'
ROMANCE = HEAD.format("nplurals=2; plural=(n > 1);")


def written(folder: Path, code: str, text: str, domain: str = PAGES) -> str:
    (folder / code).mkdir(exist_ok=True)
    (folder / code / f"{domain}.po").write_text(text, "utf-8")
    return str(folder)


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        *(("", "en"), ("de", "de"), ("de-AT,de;q=0.9,en;q=0.8", "de"), ("en-GB,de;q=0.5", "en")),
        *(("fr,de;q=0.2", "de"), ("de;q=x", "en"), ("de;q=0", "en"), ("*", "en"), (",;=", "en")),
        *(("pt", "pt-BR"), ("pt-PT;q=0.9,de;q=0.1", "de"), ("PT-br", "pt-BR"), ("x" * 9999, "en")),
    ],
)
def test_what_a_browser_asks_for(accepted: str, language: str) -> None:
    assert best(accepted, ("en", "de", "pt-BR"), "en") == language


@settings(deadline=None)
@given(st.text(max_size=200))
def test_whatever_is_asked_for_there_is_a_language(accepted: str) -> None:
    assert best(accepted, ("en", "de"), "de") in ("en", "de")


def test_a_choice_goes_before_what_the_browser_asks_for() -> None:
    languages = load(PAGES)
    assert languages.of("de").code == "de"
    assert languages.of("de", "en").code == "en"
    assert languages.of("de", "../../etc").code == "de"


def test_a_language_is_added_by_a_file_and_fills_up_with_english(tmp_path: Path) -> None:
    text = ROMANCE + 'msgid "Overview"\nmsgstr "Sommaire"\n'
    languages = load(PAGES, written(tmp_path, "fr", text), "fr")
    assert languages.troubles == ()
    french = languages.of("sv")
    assert french.code == "fr"
    assert (french.gettext("Overview"), french.gettext("Campaigns")) == ("Sommaire", "Campaigns")


def test_an_operators_words_go_before_ours(tmp_path: Path) -> None:
    text = HEAD.format("nplurals=2; plural=(n != 1);") + 'msgid "Recipients"\nmsgstr "Leser"\n'
    german = load(PAGES, written(tmp_path, "de", text)).of("de")
    assert (german.gettext("Recipients"), german.gettext("Campaigns")) == ("Leser", "Kampagnen")
    assert load(PAGES).of("de").gettext("Recipients") == "Empfänger"  # ours is as it was


@pytest.mark.parametrize(
    "entry",
    [
        'msgid "signed in: %(user)s"\nmsgstr "là: %(usr)s"\n',
        'msgid "signed in: %(user)s"\nmsgstr "là"\n',
        'msgid "signed in: %(user)s"\nmsgstr "<b>là</b>: %(user)s"\n',
    ],
)
def test_a_translation_with_other_placeholders_or_tags_is_left_out(tmp_path: Path, entry: str) -> None:
    languages = load(PAGES, written(tmp_path, "fr", ROMANCE + entry))
    assert languages.of("fr").gettext("signed in: %(user)s") == "signed in: %(user)s"
    assert [each for each in languages.troubles if "signed in" in each]


@pytest.mark.parametrize("text", ["msgid ", "\udcff", 'msgid "a"\nmsgstr "b"\nnonsense\n', "\0"])
def test_a_file_that_is_no_catalogue_costs_its_words_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "de").mkdir()
    (tmp_path / "de" / f"{READERS}.po").write_bytes(text.encode("utf-8", "surrogateescape"))
    languages = load(READERS, str(tmp_path))
    assert languages.of("de").gettext("Unsubscribe") == "Abmelden"
    assert len(languages.troubles) == 1


def test_a_default_or_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    languages = load(PAGES, str(tmp_path / "none"), "sv")
    assert languages.default is ENGLISH
    assert len(languages.troubles) == 2
