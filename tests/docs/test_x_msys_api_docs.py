"""docs/x-msys-api.md names each reply that a header can get, and each field that is read."""

import json
import re
from pathlib import Path

import pytest

from smtpapi.model.outcome import Refuse
from smtpapi.pipeline.fallback import NO_COPIES_NOW
from smtpapi.pipeline.several_recipients import COPIES_NOT_ENABLED
from smtpapi.request.x_msys_api import parse

PAGE = (Path(__file__).parents[2] / "docs" / "x-msys-api.md").read_text("utf-8")


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": []},
        {"campaign_id": "x" * 65},
        {"campaign_id": "a\nb"},
        {"cc": ["x"]},
        {"cc": ["a@b\0"]},
        {"bcc": ["a@example.net"] * 1001},
    ],
)
def test_the_page_has_the_words_of_the_reply(fields: dict[str, object]) -> None:
    refusal = parse([json.dumps(fields).encode()])
    assert isinstance(refusal, Refuse)
    assert f"| `{refusal.text}` |" in PAGE
    assert f"`{refusal.code} {refusal.status} `" in PAGE


def test_the_page_has_the_words_for_copies_that_cannot_be_made() -> None:
    later = NO_COPIES_NOW
    assert f"| `{COPIES_NOT_ENABLED}` |" in PAGE
    assert f"`{later.code} {later.status} {later.text}`" in PAGE


def test_the_page_s_example_is_read_without_a_word() -> None:
    found = re.search(r"^X-MSYS-API:(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    directive = parse([found[1].encode()])
    assert not isinstance(directive, Refuse)
    assert directive.warnings == ()
    assert (directive.campaign, directive.tags, directive.clicks) == ("spring", ("letter", "nl"), False)
