"""docs/commands.md is what the commands say of themselves."""

from pathlib import Path

from smtpapi.commands.configuration.reference import page


def test_committed_page_is_the_generated_one() -> None:
    committed = (Path(__file__).parents[2] / "docs/commands.md").read_text("utf-8")
    assert committed == page(), "write it anew with `make docs`"
