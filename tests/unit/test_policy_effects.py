"""What a policy does to mail besides its variables: refuses, drops, changes header and recipients."""

from pathlib import Path
from typing import Any

import pytest

from engagement.links.keys import SECRET_SIZE, Ring
from engagement.settings import SettingsError, load_file, load_text
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.granted_actions import GrantedActions
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import Discard, HeaderChange, Leave, Plan, Recipient, Refuse, Why
from smtpapi.pipeline.site import MessageResult, Site
from smtpapi.pipeline.transaction import consider
from smtpapi.policy.files import load_named
from smtpapi.policy.hooks import PolicyError, parse
from smtpapi.policy.lua.policy import LuaPolicy
from unit.lua_runs import run

_RING = Ring().rotated(bytes(range(SECRET_SIZE)), 1)
_CONFIG = (
    "smtpapi {{ }} ESMTP_Listener {{ click_tracking_enabled = true }} rewriting {{ several_recipients = {} }}"
)
_FIELDS = (
    Field("Message-ID", b" <1@s.test>"),
    Field("Date", b" Tue, 24 Nov 2026 10:00:00 +0000"),
    Field("X-Campaign", b" spring"),
    Field("Cc", b" d@r.test"),
    Field("Content-Type", b" text/html"),
)
_BODY = b'<a href="https://shop.example/">x</a>\r\n'


def _consider(
    source: str, *recipients: str, mode: str = "split", fields: tuple[Field, ...] = _FIELDS, **more: Any
) -> MessageResult:
    policy = parse("from smtpapi.policy import core\n" + source, "p.py")
    site = Site.build(
        load_text(_CONFIG.format(mode) + " rewriting { added_recipients = shared }"), _RING, policy
    )
    envelope = Envelope(Client("127.0.0.1"), "a@s.test", recipients or ("b@r.test",), "Q")
    message = Message(fields, _BODY)
    return consider(site, envelope, message, now=1_795_514_400.0, tick=lambda: 0.0, **more)


_EACH = "def validate_data_spool_each_rcpt(msg, ac, vctx): "
_SPOOL = "def validate_data_spool(msg, ac, vctx): "


@pytest.mark.parametrize(
    "head", [_EACH, _SPOOL, "def validate_connect(ac, vctx): ", "def validate_rcptto(msg, r, ac, vctx): "]
)
def test_a_reply_refuses_the_whole_message(head: str) -> None:
    refused = Refuse("550", "5.7.1", "not here")
    assert _consider(head + "vctx.set_code(550, '5.7.1 not here')").outcome == refused
    assert _consider(head + "vctx.set_code(550, '5.7.1 not here')", "b@r.test", "c@r.test").outcome == refused


def test_what_refuses_one_recipient_refuses_all() -> None:
    source = _EACH + "vctx.set_code(451, 'later') if msg.recipient == 'c@r.test' else None"
    assert _consider(source, "b@r.test", "c@r.test").outcome == Refuse("451", "", "later")


def test_a_session_refused_at_its_begin_is_refused_for_each_message() -> None:
    source = "def validate_connect(ac, vctx): vctx.set_code(554, 'no')"
    first = _consider(source)
    second = _consider(source, connection_context=first.connection_context)
    assert first.outcome == second.outcome == Refuse("554", "", "no")


def test_dropping_is_for_the_message_or_for_one_copy() -> None:
    assert _consider(_SPOOL + "vctx.discard('x')").outcome == Discard("x")
    assert _consider(_EACH + "vctx.discard('x')").outcome == Discard("x")
    source = _EACH + "vctx.discard() if msg.recipient == 'c@r.test' else None"
    outcome = _consider(source, "b@r.test", "c@r.test").outcome
    assert isinstance(outcome, Plan)
    assert (outcome.leaving, outcome.why) == (("c@r.test",), None)


@pytest.mark.parametrize("mode", ["untracked", "split"])
def test_a_recipient_that_policy_adds_and_then_drops_gets_nothing(mode: str) -> None:
    source = (
        f"{_SPOOL}msg.add_recipient('x@r.test')\n{_EACH}vctx.discard() if msg.recipient[0] == 'x' else None"
    )
    outcome = _consider(source, "b@r.test", "c@r.test", mode=mode).outcome
    assert isinstance(outcome, Plan | Leave)
    assert isinstance(outcome, Leave) or (outcome.recipients, outcome.leaving) == ((), ())


def test_header_changes_are_there_for_tracking_and_in_the_answer() -> None:
    source = (
        _SPOOL
        + "msg.set_header('X-MSYS-API', '{\"campaign_id\": \"autumn\"}'); msg.set_header('Cc', 'z@r.test')"
    )
    result = _consider(source)
    assert result.decision is not None
    assert result.decision.campaign == "autumn"
    assert isinstance(result.outcome, Plan)
    assert result.outcome.headers[:2] == (HeaderChange("Cc", 1, None), HeaderChange("Cc", 0, " z@r.test"))
    assert "X-MSYS-API" not in [change.name for change in result.outcome.headers]


def test_header_changes_are_made_in_untracked_mail_too() -> None:
    outcome = _consider(
        _SPOOL + "vctx.set(core.VCTX_MESS, '__bypass_smtpapi', 'true'); msg.remove_header('x-campaign')"
    ).outcome
    assert outcome == Plan((HeaderChange("X-Campaign", 1, None),), why=Why.BYPASSED)


def test_over_the_hop_only_the_message_s_own_changes_are_made() -> None:
    source = f"{_SPOOL}msg.add_header('X-All', '1', first=True)\n{_EACH}msg.remove_header('X-Campaign')"
    outcome = _consider(source, "b@r.test", "c@r.test").outcome
    assert isinstance(outcome, Plan)
    assert outcome.why is Why.SPLIT
    assert [change.name for change in outcome.headers] == ["X-All", "X-Smtpapi-Split"]


def test_without_a_hop_a_change_for_some_recipients_is_left_out() -> None:
    source = _EACH + "msg.remove_header('X-Campaign') if msg.recipient == 'c@r.test' else None"
    assert _consider(source, "b@r.test", "c@r.test", mode="untracked").outcome == Leave(
        Why.SEVERAL_RECIPIENTS
    )
    outcome = _consider(
        _EACH + "msg.remove_header('X-Campaign')", "b@r.test", "c@r.test", mode="untracked"
    ).outcome
    assert outcome == Plan((HeaderChange("X-Campaign", 1, None),), why=Why.SEVERAL_RECIPIENTS)


def test_recipients_come_and_go() -> None:
    source = _SPOOL + "msg.add_recipient('new@r.test'); msg.remove_recipient('c@R.test')"
    result = _consider(source, "b@r.test", "c@r.test")
    assert isinstance(result.outcome, Plan)
    assert (result.outcome.recipients, result.outcome.leaving) == ((Recipient("new@r.test"),), ("c@r.test",))


@pytest.mark.parametrize(
    "call",
    [
        "msg.add_header('X:Y', 'a')",
        "msg.add_header('X', 'a\\nb')",
        "msg.remove_header('X-Smtpapi-Id')",
        "msg.add_recipient('<b>')",
        "msg.remove_recipient('b@r.test')",
        "vctx.set_code(700, 'x')",
    ],
)
def test_what_cannot_be_done_raises_and_nothing_is_changed(call: str) -> None:
    outcome = _consider(_SPOOL + f"msg.add_header('X-New', '1'); {call}").outcome
    assert isinstance(outcome, Leave)
    assert outcome.why is Why.POLICY_FAILED
    assert "p.py:2: validate_data_spool: ValueError" in outcome.note


def test_changes_that_the_mta_does_not_grant_are_left_out() -> None:
    rights = GrantedActions(frozenset({"ADDHDRS", "CHGBODY"}))
    outcome = _consider(
        _SPOOL + "msg.remove_header('X-Campaign'); msg.add_header('X-N', '1')", rights=rights
    ).outcome
    assert isinstance(outcome, Plan)
    assert [change.name for change in outcome.headers][:1] == ["X-N"]
    assert outcome.edits


def _written(folder: Path, text: str) -> Path:
    script = "local m = {} function m:validate_data(msg, ac, vctx) return 0 end msys.registerModule('m', m)"
    (folder / "lua").mkdir()
    (folder / "lua" / "one.lua").write_text(script)
    (folder / "two.lua").write_text(script)
    (folder / "p.py").write_text("def validate_connect(ac, vctx): pass\n")
    path = folder / "smtpapi.conf"
    path.write_text("smtpapi { }\n" + text)
    return path


def test_scriptlet_and_policy_load_together_in_their_order(tmp_path: Path) -> None:
    path = _written(
        tmp_path,
        'scriptlet "scriptlet" { always_gc = true script "boot" { source = "msys.boot" }\n'
        ' script "one" { source = "lua.one" } }\nscriptlet "scriptlet" { script "two" { source = "two" } }\n'
        f'policy {{ file = "{tmp_path}/p.py" }}\n',
    )
    settings = load_file(path)
    assert [Path(each.file).name for each in settings.scripts] == ["one.lua", "two.lua"]
    assert [text for text in settings.notices if "boot" in text] == [
        f"{path}:2:67: script 'boot' is Momentum's own (msys.boot) and does nothing here"
    ]
    policy = load_named(path, settings)
    assert policy is not None
    assert policy.hooks == {"validate_connect", "validate_data"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('scriptlet "a" { } scriptlet "b" { }', "a second scriptlet stanza with another name, 'b'"),
        ('scriptlet "a" { script { source = "x" } }', "script without a name"),
        ('scriptlet "a" { enabled = maybe }', "enabled of scriptlet is no boolean"),
        ('scriptlet "a" { script "x" { } }', "script 'x' without a source"),
        (
            'datasource "d" { uri = ( "pgsql:host=db" ) }',
            "datasource 'd' with engine pgsql: only SQLite is built",
        ),
        ('datasource "d" { uri = "sqlite:/x" max_rows = many }', "max_rows of datasource 'd' is no number"),
    ],
)
def test_stanzas_that_cannot_be_honoured_are_errors(text: str, message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_text(text)
    assert message in str(refused.value)


def test_a_module_that_is_off_runs_no_script_and_says_so(tmp_path: Path) -> None:
    text = 'scriptlet "s" { Enabled = "false" gc_pause = 100 script "one" { source = "lua/one" } }'
    path = _written(tmp_path, text)
    settings = load_file(path)
    assert settings.notices == (
        f"{path}:2:35: option 'gc_pause' in scriptlet {{ }} has no meaning here and is ignored",
        f"{path}:2:17: Enabled = false in scriptlet {{ }}: its scripts are not run",
    )
    assert load_named(path, settings) is None
    path.write_text(path.read_text() + '\nscriptlet "s" { enabled = true }')
    assert load_named(path, load_file(path)) is not None


def test_a_file_that_both_stanzas_name_runs_once(tmp_path: Path) -> None:
    path = _written(
        tmp_path,
        f'scriptlet "s" {{ script "two" {{ source = "two" }} }} policy {{ file = "{tmp_path}/./two.lua" }}',
    )
    (tmp_path / "two.lua").write_text(
        "local m = {} function m:validate_data(msg, ac, vctx) print('ran') return 0 end\n"
        "msys.registerModule('m', m)"
    )
    policy = load_named(path, load_file(path))
    assert isinstance(policy, LuaPolicy)
    _, message = run(policy)
    assert message.lines == [(6, "ran")]


def test_a_datasource_that_no_policy_asks_may_be_gone_without() -> None:
    text = 'datasource "auth" { uri = ( "mysql:host=db" ) } datasource "b" { uri = "ldap://db" }'
    with pytest.raises(SettingsError) as refused:
        load_text(text)
    assert str(refused.value).count('or momentum { ignore = ("datasource") } to go without') == 2
    settings = load_text(f"{text} momentum {{ ignore = ( Datasource ) }}")
    assert (settings.warnings, settings.datasources) == ((), {})
    assert settings.notices == tuple(
        f"<text>:1:{column}: datasource '{name}' with engine {engine}: only SQLite is built; ignored, as "
        "momentum { ignore } says"
        for column, name, engine in ((1, "auth", "mysql"), (49, "b", "ldap"))
    )


def test_a_script_that_is_not_there_says_so(tmp_path: Path) -> None:
    path = _written(tmp_path, 'scriptlet "s" { script "x" { source = "no/such" } }')
    with pytest.raises(PolicyError, match=r"no/such\.lua: cannot read the policy file: No such file"):
        load_named(path, load_file(path))
