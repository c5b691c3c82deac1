"""docs/spec/contract.md agrees with the code: options, variables, limits, fields, answers."""

import re
from functools import cache
from pathlib import Path

from engagement.events.agents import with_agent
from engagement.events.classify import ReaderClass
from engagement.events.fields import ALL_TYPES, to_fields
from engagement.links.model import Kind
from engagement.links.payload import MAX_TARGET
from engagement.settings.schema import SCOPED, STANZAS, TRACKING_SCOPES
from smtpapi.request import labels, x_msys_api
from smtpapi.rewrite.copy_links import LONG_LINK, MAX_LINK
from tracker_web.links import responses
from unit.event_samples import hit, identity, injection

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/spec/contract.md").read_text("utf-8")


@cache
def section(number: str) -> str:
    found = re.search(rf"^##+ {re.escape(number)}\.? .+?(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[0]


def prose(number: str) -> str:
    """The section on one line, so that it does not matter where lines break."""
    return " ".join(section(number).split())


def table(number: str, heading: str) -> list[list[str]]:
    """Cells of the table whose head begins with heading."""
    _, _, behind = section(number).partition(f"\n| {heading} |")
    lines = behind.split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def _names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_the_six_options_have_their_defaults_and_scopes() -> None:
    rows = {_names(row[0])[0]: row for row in table("1.1", "option")}
    assert len(rows) == 6
    assert {name: _names(row[2])[0] for name, row in rows.items()} == {
        name: _word(SCOPED[name].default) for name in rows
    }
    assert set(_names(prose("1.1").partition("exactly five scopes:")[2].partition("**")[0])) == set(
        TRACKING_SCOPES
    )


def test_each_option_s_variable_is_one_of_policy() -> None:
    variables = {name for row in table("4.1", "variable") for name in _names(row[0])}
    assert {_names(row[3])[0] for row in table("1.1", "option")} < variables


def test_default_of_metadata_is_the_code_s() -> None:
    default = STANZAS["engagement_tracker"]().max_metadata_len
    assert f"| `engagement_tracker.max_metadata_len` | integer, bytes | `{default}` |" in section("1.5")


def test_limits_of_the_header_are_the_code_s() -> None:
    fields = prose("3.2")
    assert f"| `campaign_id` | string | {labels.MAX_CAMPAIGN} bytes of UTF-8 |" in fields
    assert f"| {labels.MAX_TAGS} a recipient;" in fields
    assert f"| {x_msys_api.MAX_COPIES} entries over the three |" in fields
    assert f"A tag has at most {labels.MAX_TAG} bytes" in fields
    assert f"{x_msys_api.MAX_HEADER // 1024} KiB after unfolding" in prose("3.1")


def test_limits_of_links_are_the_code_s() -> None:
    text = prose("5.2")
    assert f"tracked URL would have more than {LONG_LINK} bytes goes without metadata" in text
    assert f"more than {MAX_LINK} bytes, or its target more than {MAX_TARGET}, the link stays" in text


def test_answers_of_the_tracker_are_the_code_s() -> None:
    text = section("6.2")
    assert f"GIF of {len(responses.PIXEL)} bytes" in text
    assert f"`405` with `Allow: {responses.ALLOW[1]}`" in text
    for name, value in (("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer")):
        assert (name, value) in responses.redirect_headers(b"https://shop.example/")
        assert f"`{name}: {value}`" in text


def test_fields_said_to_be_here_are_those_that_events_have() -> None:
    here = {name for row in table("7.2", "field") if row[5].startswith("yes") for name in _names(row[0])}
    parsed = next(row[5] for row in table("7.2", "field") if row[0] == "`user_agent_parsed`")
    samples = [to_fields(hit(kind, whose=identity(rcpt_type="cc")), injection()) for kind in Kind]
    samples.append(to_fields(injection()))
    made = {name for fields in samples for name in fields if not name.startswith(("x_", "cust_"))}
    assert here - {"cust_*"} == made
    phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    assert set(_names(parsed)) == set(with_agent(to_fields(hit(user_agent=phone)))["user_agent_parsed"])


def test_types_and_classes_are_the_code_s() -> None:
    assert set(ALL_TYPES) <= set(_names(section("7.1")))
    named = prose("7.5").partition("Its class is one of")[2].partition("with the rule")[0]
    assert set(_names(named)) == {client.value for client in ReaderClass}


def test_no_event_has_a_hash_of_its_recipient_yet() -> None:
    row = next(row for row in table("7.2", "field") if row[0] == "`rcpt_hash`")
    assert row[5].startswith("no") == ("rcpt_hash" not in to_fields(hit()))


def test_what_the_header_may_hold_is_what_is_read() -> None:
    """Each option of the table is one whose type is checked, but for those said to be ignored."""
    for row in table("3.2", "field"):
        ignored = "; ignored" in row[4]
        for name in _names(row[0]):
            if name.startswith("options."):
                short = name.removeprefix("options.")
                refused = x_msys_api.parse([f'{{"options": {{"{short}": []}}}}'.encode()])
                assert isinstance(refused, x_msys_api.Refuse) is not ignored, name
