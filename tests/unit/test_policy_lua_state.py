"""The states that Lua policies run in: limits, globals, what a call returns, threads."""

import threading
from pathlib import Path

import pytest

from smtpapi.model.envelope import Client, Envelope
from smtpapi.policy.hooks import HookCall, PolicyFailed
from smtpapi.policy.lua.policy import LuaPolicy, LuaSource
from smtpapi.policy.vctx import ValidationContext
from smtpapi.policy.views import Accept, PolicyMessage
from unit.lua_runs import ENVELOPE, MESSAGE, load, run


def test_the_memory_of_a_script_ends_where_its_limit_is() -> None:
    body = "local t = {} for i = 1, 24 do t[i] = ('x'):rep(1048576) .. i msg:header('X-A') end"
    with pytest.raises(PolicyFailed, match="memory limit reached"):
        run(load(body))
    run(load(body.replace("24", "3")))


def test_what_a_script_keeps_in_globals_lasts_while_its_state_serves() -> None:
    policy = load("count = (count or 0) + 1 print(count) if tostring(msg.id) == 'bad' then error('x') end")
    assert [run(policy)[1].lines[0][1] for _ in range(3)] == ["1", "2", "3"]
    with pytest.raises(PolicyFailed):
        run(policy, Envelope(Client("192.0.2.7"), "a@s.test", ("b@r.test",), "bad"))
    assert run(policy)[1].lines[0][1] == "5"  # an error is no limit


def test_a_state_that_met_a_limit_serves_nobody_any_more() -> None:
    policy = load("count = (count or 0) + 1 print(count) while tostring(msg.id) == 'bad' do end")
    run(policy)
    with pytest.raises(PolicyFailed, match="limit reached"):
        run(policy, Envelope(Client("192.0.2.7"), "a@s.test", ("b@r.test",), "bad"))
    assert run(policy)[1].lines[0][1] == "1"


@pytest.mark.parametrize(("result", "ends"), [("VALIDATE_DONE", True), ("VALIDATE_CONT", False)])
def test_a_call_tells_whether_the_phase_ended(result: str, ends: bool) -> None:
    text = (
        f"local m = {{}} function m:validate_data(msg, ac, vctx) return msys.core.{result} end"
        " msys.registerModule('m', m)"
    )
    policy = LuaPolicy([LuaSource(Path("p.lua"), text.encode())], Path.read_bytes)
    message = PolicyMessage(ENVELOPE, MESSAGE)
    call = HookCall(Accept.of(ENVELOPE.client), message, ValidationContext({}))
    assert policy.call("validate_data", call) is ends
    assert policy.call("validate_ehlo", call) is False
    message.close()


def test_a_call_runs_in_a_thread_of_its_own_and_raises_there_what_it_raises() -> None:
    policy = load("")
    seen: list[object] = []

    def work() -> None:
        policy.within(lambda: seen.append(threading.current_thread().name))
        policy.within(lambda: policy.within(lambda: seen.append(threading.current_thread().name)))
        try:
            policy.within(lambda: [][0])
        except IndexError as error:
            seen.append(type(error))

    outer = threading.Thread(target=work, daemon=True)
    outer.start()
    outer.join(60)
    assert seen == ["lua", "lua", IndexError]
    policy.within(lambda: seen.append(threading.current_thread() is threading.main_thread()))
    assert seen[-1] is True
