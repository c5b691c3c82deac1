"""What Momentum's manual shows loads, or errs with what to do; nothing is lost in silence.

All of its fragments are run by `python tests/config/manual_fragments.py GITDIR`.
"""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from config.manual_fragments import Outcome, lost, outcome
from engagement.settings import SettingsError, load_text
from engagement.settings.syntax import parse

FACTS: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "fragments.toml").read_text("utf-8"))[
    "fragment"
]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: str(fact["page"]))
def test_what_the_manual_shows_has_its_effect_or_is_told(fact: dict[str, Any]) -> None:
    text = fact["text"]
    if "error" not in fact:
        settings = load_text(text)
        reported = "\n".join((*settings.notices, *settings.warnings))
        assert [name for name in fact["told"] if name not in reported] == []
        assert outcome(text) == Outcome("", ())
        return
    with pytest.raises(SettingsError) as caught:
        load_text(text)
    assert fact["error"] in str(caught.value)
    if "acknowledge" in fact:
        acknowledged = f"{text}\nmomentum {{ ignore = ({fact['acknowledge']}) }}"
        notices = "\n".join(load_text(acknowledged).notices)
        assert fact["error"] in notices or "ignored, as momentum" in notices


def test_a_name_that_nothing_tells_of_would_be_found() -> None:
    assert outcome("Unheard_Of = 1 smtpapi { }") == Outcome("", ())
    items = parse("smtpapi { } Unheard_Of = 1 Listener { }", "<text>").items
    assert list(lost(items, "global", load_text("smtpapi { }"))) == ["Unheard_Of", "Listener"]
