"""What each hook of a Lua policy is called with."""

from pathlib import Path

import pytest

from smtpapi.policy.hooks import HookCall
from smtpapi.policy.lua.calls import HOOKS
from smtpapi.policy.lua.policy import LuaPolicy, LuaSource
from smtpapi.policy.vctx import ValidationContext
from smtpapi.policy.views import Accept, PolicyMessage
from unit.lua_runs import ENVELOPE, MESSAGE, SMALL, load, run

# What a hook prints of an argument, by its letter, and what that is.
SHOWN = {
    "m": ("each:mailfrom()", "a@s.test"),
    "a": ("each.remote_addr", "192.0.2.7:0"),
    "v": ("each:get(msys.core.VCTX_MESS, 'none') == ''", "true"),
    "l": ("#each", "2"),
}
NAMES = {
    "validate_ehlo": "EHLO word",
    "validate_mailfrom": "MAIL FROM:<word>",
    "validate_rcptto": "RCPT TO:<word>",
}


@pytest.mark.parametrize("hook", [name for name in HOOKS if HOOKS[name]])
def test_a_hook_is_called_with_what_its_phase_knows_and_no_more(hook: str) -> None:
    shape = HOOKS[hook]
    shown = [SHOWN.get(letter, ("tostring(each)", NAMES.get(hook, ""))) for letter in shape]
    script = f"local mod = {{}} function mod:{hook}(...)\nprint(select('#', ...)) local each\n"
    for number, (calls, _) in enumerate(shown, 1):
        script += f"each = select({number}, ...) print(tostring({calls}))\n"
    script += "return msys.core.VALIDATE_CONT end msys.registerModule('t', mod)"
    policy = LuaPolicy([LuaSource(Path("p.lua"), script.encode())], Path.read_bytes, limits=SMALL)
    message = PolicyMessage(ENVELOPE, MESSAGE)
    call = HookCall(Accept.of(ENVELOPE.client), message, ValidationContext({}), word="word")
    try:
        policy.call(hook, call)
    finally:
        message.close()
    assert [text for _, text in message.lines] == [str(len(shape)), *(text for _, text in shown)]


@pytest.mark.parametrize("name", ["httpsrv", "curl", "xml"])
def test_a_module_that_is_refused_may_be_ignored(name: str) -> None:
    body = f"local ok, said = pcall(require, '{name}') print(ok, said)"
    (refused,) = [text for _, text in run(load(body))[1].lines]
    (ignored,) = [text for _, text in run(load(body, ignored=frozenset({name})))[1].lines]
    assert refused.startswith(f"false\trequire {name}: a milter cannot do this")
    assert ignored.startswith(f"false\tmodule '{name}' is not offered here")


OFFERED_NAMES = (
    *("msys", "json", "thread", "strict", "msys.core", "msys.extended.message", "msys.extended.vctx"),
    *("msys.extended.ac", "msys.extended.message_routing", "msys.extended.ec_message", "msys.dumper"),
)


@pytest.mark.parametrize("name", OFFERED_NAMES)
def test_a_module_that_is_offered_can_be_required(name: str) -> None:
    body = f"local ok, found = pcall(require, '{name}') print(ok, type(found))"
    (line,) = [text for _, text in run(load(body))[1].lines]
    assert line.startswith("true\t")
