"""Statements of the pages that readers rely on, each held against what the program does.

Those of one page alone stand beside it (test_reasons, test_x_msys_api_docs); here are those once false.
"""

import configparser
import inspect
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from engagement.events.fields import to_fields
from engagement.events.rows import rows
from engagement.settings import load_file
from engagement.stores import open_store
from smtpapi.commands import main
from smtpapi.model.edit import Edit
from unit.event_samples import hit, injection

ROOT = Path(__file__).parents[2]


def page(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_h32_page_of_changes_lists_every_kind_of_edit() -> None:
    documented = set(re.findall(r'"([a-z]+)"', inspect.getdoc(Edit) or "")) - {"1"}
    listed = {
        kind
        for row in re.findall(r"^\| (`.+?`)? ?\| .*$", page("docs/changes.md"), re.MULTILINE)
        for kind in re.findall(r"`(\w+)`", row)
    }
    assert documented - listed == {"header"}  # named in the row of the part that is encoded anew
    assert "`header`" in page("docs/changes.md")


def test_h32_reports_of_weaknesses_go_to_no_address_that_is_not_there() -> None:
    metadata = configparser.ConfigParser(interpolation=None)
    metadata.read(ROOT / "setup.cfg", "utf-8")
    has_address = bool({"author_email", "maintainer_email"} & set(metadata["metadata"]))
    assert has_address or "package metadata" not in page("SECURITY.md")


def test_h32_transactional_is_the_one_switch_that_is_text() -> None:
    fields = {**to_fields(hit(), injection()), **to_fields(injection())}
    assert fields["transactional"] in ("0", "1")
    assert "(but for `transactional`" in page("docs/events.md")


def test_h32_rcpt_hash_is_written_by_nobody_and_its_row_says_so() -> None:
    assert all("rcpt_hash" not in row.fields for event in (hit(), injection()) for row in rows(event))
    assert re.search(
        r"^\| `rcpt_hash` \| none yet \| .*\*\*not written\*\*", page("docs/events.md"), re.MULTILINE
    )


def test_h32_events_are_found_by_their_tags(tmp_path: Path) -> None:
    config = tmp_path / "smtpapi.conf"
    config.write_text(f'smtpapi {{ }}\nstore {{ path = "{tmp_path}/events.db" }}\n')
    store = open_store(load_file(config), writing=True)
    store.add([row for event in (injection(1), injection(2, tags=("other",))) for row in rows(event)])
    store.close()
    found = CliRunner().invoke(main, ["events", "--config", str(config), "--tag", "letter", "--json"])
    assert found.output.count("\n") == 1, found.output
    assert '"letter"' in found.output


@pytest.mark.parametrize("unit", sorted((ROOT / "etc/systemd").glob("*.service")), ids=lambda unit: unit.name)
def test_h32_units_name_no_file_that_no_step_installs(unit: Path) -> None:
    named = re.findall(r"^Documentation=file:(\S+)", unit.read_text("utf-8"), re.MULTILINE)
    installed = page("docs/postfix.md")
    assert [path for path in named if path not in installed] == []


def test_h32_nothing_configures_a_tenant_and_only_keys_users_and_the_suppression_list_name_one() -> None:
    commands = re.split(r"^(?=##)", page("docs/commands.md"), flags=re.MULTILINE)
    asking = [text.split("\n")[0] for text in commands if "--tenant" in text]
    assert [name for name in asking if not name.startswith("### smtpapi suppress ")] == [
        "### smtpapi apikey add",
        "### smtpapi user add",
    ]
    assert "nothing can be set up with more than one yet" in " ".join(page("docs/links.md").split())


@pytest.mark.parametrize("guide", ["docs/postfix.md", "docs/sendmail.md"])
def test_h19_guides_configure_before_they_start(guide: str) -> None:
    text = page(guide)
    reloads = {"docs/postfix.md": "postfix reload", "docs/sendmail.md": "systemctl restart sendmail"}[guide]
    starts = text.index(reloads)
    assert text.index("```ecelerity") < text.index("smtpapi check-config", 0, starts) < starts


def test_h19_a_changed_configuration_is_told_to_the_tracker_before_the_filter() -> None:
    assert "smtpapi check-config && systemctl reload smtpapi.target" in page("docs/postfix.md")
