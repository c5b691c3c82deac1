"""The sample file and the reference page are those that the declarations give."""

import dataclasses
import re
from pathlib import Path

import pytest

from engagement.settings import Settings, Where, load_file, load_text
from engagement.settings.explain import main, reference, sample
from engagement.settings.option import options_of
from engagement.settings.schema import SCOPED, STANZAS, CassandraClientStanza

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "etc" / "smtpapi.conf"
REFERENCE = ROOT / "docs" / "settings.md"


def test_committed_sample_is_the_generated_one() -> None:
    """If it is not: python -m engagement.settings.explain sample > etc/smtpapi.conf."""
    assert SAMPLE.read_text("utf-8") == sample()


def test_committed_reference_is_the_generated_one() -> None:
    """If it is not: python -m engagement.settings.explain reference > docs/settings.md."""
    assert REFERENCE.read_text("utf-8") == reference()


def test_sample_as_it_stands_tracks_nothing_and_says_nothing() -> None:
    settings = load_file(SAMPLE)
    assert settings.active
    assert (settings.warnings, settings.notices) == ((), ())
    assert settings.scoped(Where()).values == load_text("").scoped(Where()).values


def test_sample_with_every_option_switched_on_means_the_same() -> None:
    """So every commented line is of the language, in its place, and shows the real default."""
    text = re.sub(r"^( *)#(?=\S)", r"\1", SAMPLE.read_text("utf-8"), flags=re.MULTILINE)
    settings = load_text(text)
    for name in STANZAS:
        expected = (
            CassandraClientStanza() if name == "cassandra_client" else getattr(load_text("smtpapi { }"), name)
        )
        assert getattr(settings, name) == expected
    values, defaults = settings.scoped(Where()).values, load_text("").scoped(Where()).values
    assert {name: value.value for name, value in values.items()} == {
        name: value.value for name, value in defaults.items()
    }
    assert {name for name, value in values.items() if value.line} == set(SCOPED)
    assert len(settings.origins) == sum(len(list(options_of(stanza))) for stanza in STANZAS.values())


def test_example_scopes_of_the_sample_are_valid() -> None:
    text = SAMPLE.read_text("utf-8").split("# Narrower scopes", 1)[1].split("#\n", 1)[1]
    uncommented = re.sub(r"^# ?", "", text, flags=re.MULTILINE)
    settings = load_text(re.sub(r"^include .*", "", uncommented, flags=re.MULTILINE) + "smtpapi { }")
    assert settings.warnings == ()
    assert settings.tracking_domains() == {"track.example.com"}


def test_syntax_sample_of_the_reference_is_valid() -> None:
    block = REFERENCE.read_text("utf-8").split("```ecelerity\n")[1].split("```")[0]
    settings = load_text(re.sub(r'^include "smtpapi.d".*', "", block, flags=re.MULTILINE))
    assert (settings.warnings, settings.notices) == ((), ())
    assert settings.active


@pytest.mark.parametrize("page", [SAMPLE, REFERENCE], ids=lambda page: page.name)
def test_every_option_is_on_the_page(page: Path) -> None:
    text = page.read_text("utf-8")
    for option in [*SCOPED.values(), *(each for stanza in STANZAS.values() for each in options_of(stanza))]:
        assert re.search(rf"\b{option.title}\b", text)


def test_settings_have_an_attribute_for_each_stanza() -> None:
    names = {each.name for each in dataclasses.fields(Settings)}
    assert names - set(STANZAS) == {"notices", "warnings", "origins", "table", "scripts", "datasources"}


@pytest.mark.parametrize("what", ["sample", "reference"])
def test_module_prints_both(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([what]) == 0
    assert capsys.readouterr().out == {"sample": sample, "reference": reference}[what]()


def test_module_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
