"""What loading a Lua policy refuses or warns of, by its text (smtpapi.policy.lua.scan, dialect)."""

from pathlib import Path

import pytest

from smtpapi.policy.hooks import PolicyError
from smtpapi.policy.lua.dialect import DialectError, translate
from smtpapi.policy.lua.policy import LuaPolicy, LuaSource
from smtpapi.policy.lua.scan import Finding, findings

_CANNOT = "a milter cannot do this"


def found(text: str, ignored: frozenset[str] = frozenset()) -> list[Finding]:
    return list(findings(translate(text.encode())[1], ignored))


def names(text: str) -> list[tuple[str, bool]]:
    """Names of what is found, and whether the policy does not load so."""
    return [(each.name, each.fatal) for each in found(text)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("msg:binding('b')", "msg:binding"),
        ("msg.binding(msg, 'b')", "msg:binding"),
        ("message.binding(message, 'b')", "msg:binding"),
        ("msg:raw('x')", "msg:raw(text)"),
        ("msg:text('x')", "msg:text(text)"),
        ("msg:text({})", "msg:text(text)"),
        ("part:header('X', 'y')", "part:header(name,value)"),
        ("part:header(f(1, 2), 'y')", "part:header(name,value)"),
        ("msys.timer('x')", "msys.timer"),
        ("local a = msys.timer", "msys.timer"),
        ("debug.sethook()", "debug.sethook"),
        ("msys.http.request('x')", "msys.http"),
        ("os.execute('x')", "os.execute"),
        ("if os.execute then x() end", "os.execute"),
        ("io.open('x')", "io"),
        ("load('x')", "load"),
        ("load 'x'", "load"),
        ('load "x"', "load"),
        ("load {}", "load"),
        ("require 'curl'", "curl"),
        ("require('curl')", "curl"),
    ],
)
def test_a_call_that_a_milter_cannot_do_is_refused(text: str, name: str) -> None:
    assert [(each.name, each.fatal, each.line) for each in found(f"\n{text}")] == [(name, True, 2)]
    assert _CANNOT in found(text)[0].what
    assert found(text, frozenset({name})) == []


@pytest.mark.parametrize(
    "text",
    [
        "if load then x() end",  # whether it is there
        "local t = {load = 1}",
        "t.load('x')",
        "t:load('x')",
        "function load(x) return x end load(1)",
        "x = 1 function load(x) return x end load(1)",
        "local load load(1)",
        "local io, x = f() io.open('x')",
        "part:header('X')",
        "part:header(f(1, 2))",
        "part:header({1, 2})",
        "part:header(t[f(1, 2)])",
        "msg:body()",
        "msg:body('x')",
        "msg:rcptto(a)",
        "msg:mailfrom('')",
        "msg:mime(false)",
        "msg:mime(true)",
        "msg:mime()",
        "msg.x = 1",
        "require 'msys.pcre'",
        "require 'own.module'",
        "require(name)",
        "x = require",
        "x = msys",
        "x = msg",
    ],
)
def test_what_a_milter_can_do_is_not_refused(text: str) -> None:
    assert names(text) == []


def test_a_name_that_is_only_given_a_value_is_still_the_global_one() -> None:
    assert names("local io = 1 io.open('x')") == [("io", True)]


@pytest.mark.parametrize("call", ["('x')", "'x'", '"x"', "{1}", "()"])
def test_a_call_that_nobody_knows_is_told_of_however_it_is_written(call: str) -> None:
    assert names(f"\nmsg:no_such{call}") == [("msg:no_such", False)]
    assert names(f"\nmsys.no.such{call}") == [("msys.no.such", False)]
    assert [each.line for each in found(f"\nmsg:no_such{call}")] == [2]


@pytest.mark.parametrize("text", ["msg.no_such", "msg:header 'X'", "msys.no.such", "x.no_such('x')", "msg"])
def test_what_is_no_call_or_a_known_one_is_not_told_of(text: str) -> None:
    assert names(f"y = {text}") == []


@pytest.mark.parametrize(
    "text", ["x = msys.", "x = msys", "x = msg:", "x = msg", "require", "require(", "io"]
)
def test_a_text_that_ends_early_is_lua_s_own_to_refuse(text: str) -> None:
    assert names(text) == []
    with pytest.raises(PolicyError, match=r"p.lua:1: "):
        LuaPolicy([LuaSource(Path("p.lua"), text.encode())], Path.read_bytes)


@pytest.mark.parametrize(
    ("head", "arguments"),
    [
        ("function m:validate_data(mail, client, values)", {"mail": "msg", "client": "ac"}),
        ("function m.validate_data(self, mail, client, values)", {"mail": "msg", "client": "ac"}),
        ("m.validate_data = function(self, mail, client, values)", {"mail": "msg", "client": "ac"}),
        ("m.validate_data = function(mail, client, values)", {"mail": "msg", "client": "ac"}),
        ("function m:validate_rcptto(mail, line, client, values)", {"mail": "msg", "client": "ac"}),
        ("function m:validate_ehlo(line, client, values)", {"client": "ac"}),
        ("function m:another(mail, client)", {}),
    ],
)
def test_the_arguments_of_a_hook_are_known_by_the_policy_s_own_names(
    head: str, arguments: dict[str, str]
) -> None:
    calls = {"mail": "mail:binding('b')", "client": "client:no_such()"}
    expected = {"mail": "msg:binding", "client": "ac:no_such"}
    body = " ".join(calls.values())
    assert [name for name, _ in names(f"{head} {body} end")] == [expected[name] for name in arguments]


@pytest.mark.parametrize("hook", ["core_final_validation", "core_log_delivery"])
@pytest.mark.parametrize("head", ["function m:{}(msg) end", "m.{} = function(self, msg) end"])
def test_a_hook_that_a_milter_never_comes_to_is_told_of(hook: str, head: str) -> None:
    text = head.format(hook)
    assert [(each.name, each.fatal, each.hook) for each in found(text)] == [(hook, False, True)]
    assert found(text, frozenset({hook})) == []


_RUNS = "function m:validate_data() return msys.core.VALIDATE_CONT end\n"
_LOGS = "\nfunction m:core_log_delivery_v1() end\n"


def registered(body: str, ignored: frozenset[str] = frozenset()) -> LuaPolicy:
    text = f"local m = {{}}\n{body}\nmsys.registerModule('m', m)"
    return LuaPolicy([LuaSource(Path("p.lua"), text.encode())], Path.read_bytes, ignored=ignored)


def test_a_module_with_nothing_but_hooks_that_are_never_called_does_not_load() -> None:
    with pytest.raises(PolicyError) as refused:
        registered(_LOGS)
    assert str(refused.value).startswith(
        "p.lua:3: core_log_delivery_v1: a milter cannot do this (docs/policy-lua.md)"
    )
    with pytest.raises(PolicyError, match=r"p.lua:3: core_log_delivery_v1"):
        registered(f"{_LOGS} function m:init() return true end")
    with pytest.raises(PolicyError, match=r"p.lua:3: core_log_delivery_v1"):
        registered(f"{_LOGS} local n = {{}} {_RUNS.replace('m:', 'n:')} msys.registerModule('n', n)")
    assert registered(_LOGS, frozenset({"core_log_delivery_v1"})).hooks == set()


def test_a_module_in_which_others_run_loads_and_says_so() -> None:
    policy = registered(_RUNS + _LOGS)
    assert policy.hooks == {"validate_data"}
    assert policy.notices == (
        "p.lua:4: core_log_delivery_v1: never called here, since a milter ends before delivery "
        "(docs/policy-lua.md)",
    )


def test_a_hook_that_is_ignored_is_not_run() -> None:
    binding = "function m:validate_set_binding(msg) error('run') end"
    assert registered(binding, frozenset({"validate_set_binding"})).hooks == set()
    assert registered(binding).hooks == {"validate_set_binding"}


def test_a_module_may_have_init_alone() -> None:
    assert registered("function m:init() return true end").hooks == set()
    with pytest.raises(PolicyError, match=r"p.lua:1: no module with a hook is registered"):
        registered("function m:another() end")


@pytest.mark.parametrize("inner", ["f({})", "f{{{}}}", "t[{}]", "({})"])
def test_brackets_part_operators_of_different_ranks(inner: str) -> None:
    translate(f"x = 1 | {inner.format('2 & 3')}".encode())
    translate(f"x = 1 | {inner.format('2 & 3')} | 4".encode())
    with pytest.raises(DialectError, match=r"\| and & without parentheses"):
        translate(f"x = 1 | {inner.format('2')} & 3".encode())


@pytest.mark.parametrize("sign", ["&", "|", "^^", "<<", ">>"])
def test_an_operator_stands_beside_itself_alone(sign: str) -> None:
    for other in ("&", "|", "^^", "<<", ">>"):
        text = f"x = 1 {sign} 2 {other} 3".encode()
        if sign == other and sign not in ("<<", ">>"):
            translate(text)
        else:
            with pytest.raises(DialectError, match="without parentheses"):
                translate(text)


@pytest.mark.parametrize("between", [",", ";", "=", "\n"])
def test_another_expression_begins_anew(between: str) -> None:
    translate(f"x = 1 | 2 {between} y & 3".encode())
