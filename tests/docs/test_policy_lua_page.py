"""docs/policy-lua.md's tables of hooks and calls are what the code does."""

import re
from pathlib import Path

import pytest

from smtpapi.policy.hooks import PolicyError
from smtpapi.policy.lua.calls import CALLS, HOOKS, LIFE_CYCLE, NO_HOOKS, Runs
from smtpapi.policy.lua.policy import LuaPolicy, LuaSource

PAGE = (Path(__file__).parents[2] / "docs" / "policy-lua.md").read_text("utf-8")
_ROW = re.compile(r"^\| `([^`]+)` \| (runs|runs with a difference|refused) \|(?: (.*))? \|$", re.MULTILINE)
_HOOKS, _CALLS = PAGE.split("\n## Calls\n")
_OBJECTS = {"msg": "msg", "vctx": "vctx", "ac": "ac", "part": "msg:mime()"}
_NOT_METHODS = {
    "msg.id",
    "msg.conn_id",
    "msg.batch_id",
    "msg.recv_method",
    "ac.conn_id",
    "ac.remote_addr",
    "ac.protocol",
    "msg.priority",
}


def _policy(body: str, more: str = "") -> str:
    return (
        "local mod = {}\nfunction mod:validate_data(msg, ac, vctx)\n"
        f"{body}\nreturn msys.core.VALIDATE_CONT end\n{more}\nmsys.registerModule('x', mod)"
    )


def _load(text: str) -> LuaPolicy:
    return LuaPolicy([LuaSource(Path("x.lua"), text.encode())], Path.read_bytes)


def test_every_call_has_its_row_and_no_other() -> None:
    rows = {name.replace(", ", ","): runs for name, runs, _ in _ROW.findall(_CALLS)}
    assert rows == {name: str(runs) for name, runs in CALLS.items()}


def test_every_difference_is_told() -> None:
    assert [name for name, runs, note in _ROW.findall(_CALLS) if runs == Runs.DIFFERENT and not note] == []


def test_every_hook_has_its_row() -> None:
    rows = {re.split(r"\(", name)[0]: runs for name, runs, _ in _ROW.findall(_HOOKS)}
    ours = dict.fromkeys((*HOOKS, *LIFE_CYCLE), "runs") | dict.fromkeys(NO_HOOKS, "refused")
    assert {name: runs for name, runs in rows.items() if "…" not in name} == ours


@pytest.mark.parametrize("name", [name for name, runs in CALLS.items() if runs is not Runs.NO])
def test_what_runs_is_there(name: str) -> None:
    kind, sign, word = name.partition("(")[0].partition(":")
    if name in _NOT_METHODS:
        body = f"local there = {name}"
    elif sign:
        body = f"local o = {_OBJECTS[kind]} if o then assert(type(o.{word}) == 'function', '{name}') end"
    else:
        body = f"assert(type({name}) == 'function', '{name}')"
    _run(body)


@pytest.mark.parametrize("name", [name for name, runs in CALLS.items() if runs is Runs.NO])
def test_what_is_refused_is_refused_when_it_loads(name: str) -> None:
    kind, sign, word = name.partition(":")
    if sign:
        start = "local part = msg:mime() " if kind == "part" else ""
        given = word.replace("address", "1").replace("text)", "1)").replace("name,value", "1, 2")
        body = f"{start}{kind}:{given}"
        body += "" if "(" in word else "()"
    else:
        body = f"local f = {name}()"
    with pytest.raises(PolicyError) as refused:
        _load(_policy(body))
    assert re.match(r"x\.lua:3: \S+.*: a milter cannot do this \(docs/policy-lua\.md\)", str(refused.value))


@pytest.mark.parametrize("hook", sorted(NO_HOOKS))
def test_a_hook_that_a_milter_never_comes_to_is_refused(hook: str) -> None:
    with pytest.raises(PolicyError, match=f"x.lua:2: {hook}: a milter cannot do this"):
        _load(f"local mod = {{}}\nfunction mod:{hook}() end\nmsys.registerModule('x', mod)")


def _run(body: str) -> None:
    from smtpapi.model.envelope import Client, Envelope
    from smtpapi.model.message import Message
    from smtpapi.policy.hooks import HookCall
    from smtpapi.policy.vctx import ValidationContext
    from smtpapi.policy.views import Accept, PolicyMessage

    envelope = Envelope(Client("192.0.2.1"), "a@s.test", ("b@r.test",), "Q")
    message = PolicyMessage(envelope, Message((), b""))
    call = HookCall(Accept.of(envelope.client), message, ValidationContext({}))
    _load(_policy(body)).call("validate_data", call)
