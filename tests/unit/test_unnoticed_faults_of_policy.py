"""Faults of policies, rules and stopped links that no other test noticed when they were put in."""

import time
from pathlib import Path

import pytest

from engagement.classify.read import RulesError, read_rules
from engagement.events.field_values import json_object
from engagement.links.stops import Stops
from hop_mail import NOW, TO, mail
from hop_mail import site as hop_site
from smtpapi.find import text
from smtpapi.model.envelope import Envelope, Resolved
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import HeaderChange, Plan, Refuse, Why
from smtpapi.pipeline.transaction import consider
from smtpapi.policy.edits import HeaderEdits
from smtpapi.policy.lua.library.cidr import NetworkLists
from smtpapi.policy.lua.library.texts import json_tokens
from tracker_web.links.stop_list import StopListFollower
from unit.lua_runs import load, run


def test_a_refusal_of_one_recipient_goes_before_the_drop_of_another() -> None:
    policy = (
        "def validate_data_spool_each_rcpt(msg, ac, vctx):\n"
        f"    vctx.discard('x') if msg.recipient == {TO[0]!r} else vctx.set_code(451, 'later')"
    )
    outcome = mail(hop_site(policy=policy), recipients=TO[:2]).consider().outcome
    assert outcome == Refuse("451", "", "later")


def test_what_a_module_notes_of_a_message_is_gone_with_it() -> None:
    policy = load("vctx:set(msys.core.VCTX_MESS, 'a', tostring(self.noted)) self.noted = 'was'")
    for _ in range(3):
        context, _ = run(policy)
        assert context.lookup("a") == "nil"


def test_a_script_reads_json_with_half_a_surrogate_pair() -> None:
    assert json_tokens(b'["\\ud800", {"\\udfff": 1}]')[:4] == [b"a", 2, b"v", b"\xed\xa0\x80"]


@pytest.mark.parametrize("overlapping", [True, False])
def test_only_a_site_with_overlapping_aliases_fears_them(*, overlapping: bool) -> None:
    where = hop_site("readdress", top=f"rewriting {{ overlapping_aliases = {str(overlapping).lower()} }}")
    local = tuple(Resolved("local", "", each) for each in TO[:2])
    sent = mail(where)
    envelope = Envelope(sent.client, sent.sender, TO[:2], "Q1", (), local)
    outcome = consider(where, envelope, sent.message, {}, now=NOW, tick=time.monotonic).outcome
    assert (isinstance(outcome, Plan) and outcome.why is Why.SPLIT) != overlapping


def test_what_the_mta_changes_by_itself_hides_no_later_change() -> None:
    message = Message((Field("X-A", b" 1"), Field("X-B", b" 2")), b"")
    edits = HeaderEdits(message, message)
    later = (HeaderChange("X-C", 0, "3"), HeaderChange("X-A", 1, None))
    assert set(later) <= set(edits.changes(later))


def test_a_network_of_a_list_has_a_text_without_colons(tmp_path: Path) -> None:
    (tmp_path / "nets").write_text("192.0.2.0/24 a spammer's\n2001:db8::/32 another\n")
    lists = NetworkLists((tmp_path,))
    lists.define("n", "rbldnsd", "nets", "txt", None, 0)
    assert lists.query("n", "192.0.2.1") == b"a spammer's"
    assert lists.query("n", "2001:db8::1") == b"another"


RULES = """version = 1

[[rule]]
name = "unknown"
class = "scanner"
certainty = "probable"
as_number = 64512
reason = "of a system"
source = "us"
"""


def test_a_rule_that_lacks_a_key_is_not_told_by_the_line_of_the_next_one(tmp_path: Path) -> None:
    first = RULES.replace('class = "scanner"\n', "")
    second = RULES.partition("\n\n")[2].replace('"unknown"', '"other"')
    (tmp_path / "05-site.toml").write_text(first + "\n" + second)
    with pytest.raises(RulesError, match=r"05-site\.toml:3: "):
        read_rules(tmp_path)


def test_objects_nested_too_deep_are_no_object() -> None:
    deep = 400
    assert json_object('{"a":' * deep + "1" + "}" * deep) == {}
    assert json_object('{"a":{"b":1}}') == {"a": {"b": 1}}


def test_a_backslash_before_the_end_of_a_line_ends_a_url_as_one_before_a_blank() -> None:
    found = [text.scan(b"see https://x.example/a\\" + after + b"b") for after in (b" ", b"\n", b"\r\n")]
    assert found[0] == found[1] == found[2]


def test_what_was_stopped_stays_so_where_list_and_copy_are_gone(tmp_path: Path) -> None:
    stops = Stops(campaigns={"spring": ""})
    reports: list[str] = []
    follower = StopListFollower(tmp_path / "stopped", reports.append, stops)
    assert follower.stops == stops
    assert "is gone, and its copy" in reports[0]
