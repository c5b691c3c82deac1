"""Lua policies: the dialect, the limits, what a failing script costs, what the calls return."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpapi.model.message import Message
from smtpapi.model.outcome import Discard, Refuse
from smtpapi.policy.hooks import HookCall, PolicyError, PolicyFailed
from smtpapi.policy.lua.dialect import DialectError, translate
from smtpapi.policy.lua.policy import LuaPolicy, LuaSource
from smtpapi.policy.lua.state import Limits
from smtpapi.policy.vctx import ValidationContext
from smtpapi.policy.views import Accept, PolicyMessage
from unit.lua_runs import ENVELOPE, SMALL, load, logged, run


@pytest.mark.parametrize(
    "body",
    [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "while true do coroutine.wrap(function() while true do end end)() end",
        "while true do local c = coroutine.create(function() end) coroutine.resume(c) end",
        "xpcall(function() while true do end end, function() while true do end end)",
        "table.sort({3, 2, 1}, function(a, b) while true do end end)",
        "local t = setmetatable({}, {__tostring = function() while true do end end}) print(t)",
        "local s = 'x' while true do s = s .. s end",
        "local s = 'x' while true do pcall(function() s = s .. s end) end",
        "local t = {} while true do t[#t + 1] = {} end",
        "while true do msys.sleep(1) end",
        "while true do msg:header('X-A') end",
    ],
)
def test_a_runaway_script_ends_at_its_limit_and_the_next_message_is_served(body: str) -> None:
    policy = load(f"if msg:header('Subject')[1] then {body} end")
    with pytest.raises(PolicyFailed, match=r"limit reached"):
        run(policy)
    vctx = ValidationContext({})
    other = PolicyMessage(ENVELOPE, Message((), b""))
    policy.call("validate_data", HookCall(Accept.of(ENVELOPE.client), other, vctx))


def test_a_pattern_that_could_take_for_ever_is_not_begun() -> None:
    with pytest.raises(PolicyFailed, match=r"p.lua:2: pattern too costly for a text of 40000 bytes"):
        run(load("string.find(('a'):rep(40000), '.-.-.-.-b')"))
    assert logged("print(('x=1 '):rep(2000):gsub('(%w+)=(%w+)', '%2') ~= nil)") == ["true"]


@pytest.mark.parametrize("pattern", ["https?://[%w%.%-]+/?", "href=[\"']?([^\"'> ]+)", "(https?://%S+)"])
def test_ordinary_patterns_go_through_a_large_part_in_base64(pattern: str) -> None:
    text = "(('QUJD'):rep(19) .. '\\n'):rep(14000) .. ' href=https://example.org/ '"
    policy = load(f"print(({text}):find([==[{pattern}]==]) ~= nil)", Limits(seconds=20.0))
    assert [line for _, line in run(policy)[1].lines] == ["true"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("('a'):rep(40000):find('a.-.-.-b')", "pattern too costly"),
        ("('ab'):rep(400000):find('a[ab]+[ab]+c')", "pattern too costly"),
        ("('a'):rep(32):find(('a*'):rep(50) .. 'b')", "pattern too costly for a text of 32 bytes"),
        ("('a'):rep(30):find(('a?'):rep(30) .. ('a'):rep(30) .. 'b')", "pattern too costly"),
        ("('a'):rep(8):match(('a-'):rep(190) .. 'b')", "pattern too costly for a text of 8 bytes"),
        ("('a'):find(('a*'):rep(20000))", "pattern with more than 200 repeated items"),
        ("('a'):rep(800000):find(('a'):rep(400000) .. 'b', 1, true)", "pattern too costly"),
        ("('a'):rep(800000):find(('[ab]'):rep(1000) .. 'c')", "pattern too costly"),
        ("local s = ('a'):rep(1000000) while true do s = s:gsub('.', '%0%0') end", "time limit reached"),
        (
            "local s, t = ('a'):rep(1000000), {} for i = 1, 9000 do t[i] = s end table.sort(t)",
            "too much text",
        ),
    ],
)
def test_what_no_limit_could_interrupt_is_not_begun(body: str, message: str) -> None:
    with pytest.raises(PolicyFailed, match=rf"^p.lua:2: (table.sort: )?{message}"):
        run(load(body))


def test_time_is_kept_between_searches_that_are_just_affordable() -> None:
    policy = load("while true do pcall(string.find, ('a'):rep(32), ('a*'):rep(6) .. 'b') end")
    before = time.process_time()
    with pytest.raises(PolicyFailed, match=r"time limit reached"):
        run(policy)
    assert time.process_time() - before < 2  # the limit is half a second; it took ten


def test_what_is_ordinary_is_begun_all_the_same() -> None:
    text = "('<a href=\"http://a.test/?a=1\">x</a> '):rep(200)"
    assert logged(f"print({text}:match('href=\"(.-)\"'))") == ["http://a.test/?a=1"]
    assert logged(f"print(select(2, {text}:gsub('https?://[^/]+/?', '')))") == ["200"]
    assert logged("print(('2026-11-30 12:00:05'):match('^(%d+)-(%d+)-(%d+) (%d+):(%d+):(%d+)$'))") == [
        "2026\t11\t30\t12\t00\t05"
    ]
    assert logged("print(#(''):rep(2 ^ 31 - 1), ('ab'):rep(2), string.rep(5, 2))") == ["0\tabab\t55"]
    assert logged("local t = {'b', 'a', 'c'} table.sort(t) print(table.concat(t))") == ["abc"]


def test_a_perl_pattern_that_takes_for_ever_ends() -> None:
    printed = logged("print(select(2, msys.pcre.match(('a'):rep(3000), '(a|aa)+(a|aa)+b')) or 'none')")
    assert printed in (["the pattern takes too long on this text"], ["none"])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("error('no')", "p.lua:2: no (validate_data)"),
        ("local x = nil print(x.y)", "p.lua:2: attempt to index local 'x' (a nil value) (validate_data)"),
        ("error({})", "p.lua:2: error value of type table (validate_data)"),
        (
            "msg:header('X', 'a\\r\\nb')",
            "p.lua:2: header field X: a line break or NUL in its value (validate_data)",
        ),
        ("vctx:set_code(99, 'x')", "p.lua:2: 99 is no reply code of SMTP"),
        ("local f = msg['build'] f(msg)", "p.lua:2: msg:build: a milter cannot do this (docs/policy-lua.md)"),
        (
            "return msys.core.VALIDATE_AGAIN end function mod:x()",
            "validate_data of module t returned VALIDATE_AGAIN",
        ),
    ],
)
def test_a_hook_that_fails_is_told_with_file_and_line(body: str, message: str) -> None:
    with pytest.raises(PolicyFailed) as failed:
        run(load(body))
    assert message in str(failed.value)


def test_a_hook_that_returns_nothing_goes_on_with_a_warning() -> None:
    _, message = run(load("do return end"))
    assert message.lines == [
        (4, "validate_data of module t returned neither VALIDATE_CONT nor VALIDATE_DONE")
    ]


def test_nothing_of_the_host_can_be_reached() -> None:
    seen = logged(
        "print(_G['python'], package.loaded['io'], getmetatable(msg), os['execute'] ~= nil)"
        " print(debug.getinfo(1).func, debug.getinfo(1, 'f').func, debug.getinfo(print).func)"
        " for _, name in ipairs({'load', 'io', 'dofile'}) do"
        " print((select(2, pcall(function() return _G[name].open() end)))) end"
        " for _, name in ipairs({'getregistry', 'sethook', 'getupvalue', 'setmetatable'}) do"
        " print((select(2, pcall(function() return debug[name]() end)))) end"
    )
    assert seen[:2] == ["nil\tnil\tmsg\ttrue", "nil\tnil\tnil"]
    assert [re.sub(r"^p\.lua:\d+: ", "", line).partition(":")[0] for line in seen[2:]] == [
        *("load.open", "io.open", "dofile.open"),
        *("debug.getregistry", "debug.sethook", "debug.getupvalue", "debug.setmetatable"),
    ]
    assert all("a milter cannot do this" in line for line in seen[2:])


@pytest.mark.parametrize(
    ("body", "printed"),
    [
        ("print(1 | 2, 7 & 3, 6 ^^ 3, 1 << 4, 256 >> 4, ~0, 7 \\ 2)", "3\t3\t5\t16\t16\t4294967295\t3"),
        ("print(1 != 2, !true, !nil)", "true\tfalse\ttrue"),
        ("print('a != b', [[!x]]) -- != !", "a != b\t!x"),
        ("print(#msg:header('x-a'), msg:header('X-A')[2], msg:header('subject')[1])", "2\t2\tGrüße folded"),
        ("print(unpack(msg:address_header('To', 'user')))", "b\tc"),
        (
            "print(vctx:get(1, 'none') == '', vctx:exists(1, 'none'), msg:context_delete(1, 'none'))",
            "true\t0\t0",
        ),
        ("vctx:set(1, 'n', 7) vctx:set(1, 'h', 7.5) print(vctx:get(1, 'n'), vctx:get(1, 'h'))", "7\t7.5"),
        (
            "print(ac.remote_addr, msg:listener_addr(), msg:listener_addr('port') == '25', msg.id)",
            "192.0.2.7:0\t198.51.100.1:25\ttrue\tQ1",
        ),
        (
            "local l, d = msys.core.string_new(), msys.core.string_new()"
            " msg:get_envelope2(2, l, d) print(l, d, #l)",
            "b+x\tr.test\t3",
        ),
        (
            "print(table.concat(vctx:recipient_list(), ','), vctx:recipient_list()[0] == '')",
            "b+x@r.test,c@r.test\ttrue",
        ),
        (
            'local o = json.decode(\'{"a": [1, {"b": null}], "c": true}\') print(o.a[1], o.c, tostring(o))',
            '1\ttrue\t{"a":[1,{}],"c":true}',
        ),
        ("print(json.decode('{'))", None),
        ("print(tostring(json.encode({'x', 'y'})), tostring(json.encode({a = 1})))", '["x","y"]\t{"a":1}'),
        (
            "local m = msys.pcre.match('Ab1', '(?i)(?P<w>b)(\\\\d)?') print(m[0], m[1], m.w, m[2])",
            "b1\tb\tb\t1",
        ),
        ("print(msys.pcre.replace('a.b', '\\\\.', '[$0]'), #msys.pcre.split('a,b,c', ','))", "a[.]b\t3"),
        (
            "print(msys.base64.encode('hi'), msys.base64.decode('aGk='), msys.idn.to_idn('bücher.test'))",
            "aGk=\thi\txn--bcher-kva.test",
        ),
        ("print(msys.expandMacro('%{vctx_conn:ehlo_string} %{i} %{zz}'))", "EHLO me.test 192.0.2.7 %{zz}"),
        ("print(msys.dumper.Dumper({code = '550', 1}))", 'return {1, code="550"}'),
        ("print(pcall(msys.runInPool, 'io', function() return 1 end))", "true\ttrue\t1"),
        (
            "print(msg:text() == 'Hello\\r\\n', msg:text_match('l+')[0], msg:text_match('z'))",
            "true\tll\tfalse",
        ),
        ("local p = msg:mime() print(p:content_type().mimetype, p.thread)", "text/plain\tnil"),
        ("print(string.find(ac.remote_addr, '192', 1, true), ac.remote_addr .. '!')", "1\t192.0.2.7:0!"),
    ],
)
def test_calls_return_what_momentum_s_do(body: str, printed: str | None) -> None:
    seen = [text for level, text in run(load(body))[1].lines if level == 6]
    assert (seen == [printed]) if printed is not None else seen[0].startswith("nil\t1\t")


def test_replies_and_drops_are_taken_over() -> None:
    vctx, _ = run(load("vctx:set_code('550', '5.7.1 go away, 100%')"))
    assert vctx.answer == Refuse("550", "5.7.1", "go away, 100%")
    vctx, _ = run(load("vctx:set_code(550, 'x') vctx:set_code(250, 'fine')"))
    assert vctx.answer is None
    vctx, _ = run(load("msg:discard('550 no')"))
    assert vctx.answer == Discard("550 no")
    vctx, _ = run(load("msg:code(0, '451 4.3.0 later')"))
    assert vctx.answer == Refuse("451", "4.3.0", "later")


def test_header_changes_are_numbered_as_the_mta_has_them() -> None:
    _, message = run(
        load("msg:header('x-a', '') msg:header('X-B', 'b', 'append') msg:header('X-C', 'c', 'prepend')")
    )
    assert message.edits is not None
    changes = message.edits.changes(())
    assert [(each.name, each.index, each.value, each.first) for each in changes] == [
        ("X-A", 1, None, False),
        ("x-a", 2, None, False),
        ("X-C", 0, " c", True),
        ("X-B", 0, " b", False),
    ]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("local x = ", "p.lua:1: "),
        ("x = 'abc", "p.lua:1: a string does not end on its line"),
        ("\n--[[ x", "p.lua:2: unfinished long comment"),
        ("\n\nx = 1 @ 2", "p.lua:3: unexpected character '@'"),
        ("x = 1 | 2 & 3", "p.lua:1: | and & without parentheses"),
        ("\x1bLua", "p.lua:1: unexpected character '\\x1b'"),
        ("x = 1", "p.lua:1: no module with a hook is registered"),
        (
            "local m = {} function m:init() return 0 end msys.registerModule('a', m)",
            "init of module a returned 0",
        ),
        ("require('curl')", "p.lua:1: curl: a milter cannot do this"),
        ("require('no.such')", "p.lua:1: module 'no.such' is not offered here"),
        (
            "local m = {}\nfunction m:validate_dat(msg) end",
            "p.lua:2: no hook is named validate_dat; did you mean",
        ),
        ("while true do end", "p.lua:1: instruction limit reached"),
    ],
)
def test_a_script_that_does_not_load_says_where_and_what(source: str, message: str) -> None:
    with pytest.raises(PolicyError) as refused:
        LuaPolicy([LuaSource(Path("p.lua"), source.encode())], Path.read_bytes, limits=SMALL)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_the_operator_ignores_does_nothing_and_is_logged_once() -> None:
    policy = load("msg:binding('b') msg:binding('c')", ignored=frozenset({"msg:binding"}))
    _, message = run(policy)
    assert [text for _, text in message.lines] == [
        "p.lua:2: msg:binding has no effect here (docs/policy-lua.md)"
    ]
    assert run(policy)[1].lines == []


def test_scripts_run_in_their_order_and_done_ends_the_phase() -> None:
    def script(name: str, result: str) -> LuaSource:
        text = (
            f"local m = {{}} function m:validate_data(msg, ac, vctx) vctx:set(1, '{name}', '1')"
            f" return msys.core.{result} end msys.registerModule('{name}', m)"
        )
        return LuaSource(Path(f"{name}.lua"), text.encode())

    sources = [script("a", "VALIDATE_CONT"), script("b", "VALIDATE_DONE"), script("c", "VALIDATE_CONT")]
    vctx, _ = run(LuaPolicy(sources, Path.read_bytes))
    assert vctx.effective() == {"a": "1", "b": "1"}


_PIECES = st.sampled_from(
    [
        "!",
        "!=",
        "~=",
        "~",
        "|",
        "x",
        "1",
        ".5",
        '"a!=b"',
        "[[!]]",
        "[==[ ]] ]==]",
        "--[[!]]",
        "-- !\n",
        "\n",
        " ",
        "=",
        "(",
        ")",
        "..",
        "...",
        "'\\''",
        "and",
        "not",
        "{",
        "}",
        ";",
        ",",
    ]
)


@given(st.lists(_PIECES, max_size=30).map(" ".join))
def test_translating_keeps_lines_strings_and_comments(source: str) -> None:
    try:
        text, tokens = translate(source.encode())
    except DialectError:
        return
    assert text.count(b"\n") == source.encode().count(b"\n")
    literals = re.findall(r'"a!=b"|\[\[!\]\]|\[==\[ \]\] \]==\]|--\[\[!\]\]', source)
    assert [word for word in literals if word.encode() not in text] == []
    assert all(1 <= token.line <= 1 + source.count("\n") for token in tokens)


@given(st.binary(max_size=200))
def test_translating_octets_returns_or_raises_its_error(source: bytes) -> None:
    line = 1
    try:
        translate(source)
    except DialectError as error:
        line = error.line
    assert 1 <= line <= 1 + source.count(b"\n")


def test_an_interpreter_that_cannot_begin_any_more_fails_the_mail_and_not_the_filter(tmp_path: Path) -> None:
    """As where a list that `init` reads is gone after another interpreter met its limit."""
    (tmp_path / "nets").write_text("192.0.2.0/24\n")
    text = (
        f"local m = {{}} function m:init() msys.cidr.define('n', {{source = '{tmp_path}/nets', refresh = 1}})"
        " if not msys.readfile('nets') then error('no list') end return true end"
        " function m:validate_data(msg, ac, vctx) while msg:header('Subject')[1] do end"
        " return msys.core.VALIDATE_CONT end msys.registerModule('m', m)"
    )
    policy = LuaPolicy([LuaSource(tmp_path / "p.lua", text.encode())], Path.read_bytes, limits=SMALL)
    with pytest.raises(PolicyFailed, match="limit reached"):
        run(policy)
    (tmp_path / "nets").unlink()
    with pytest.raises(PolicyFailed, match=r"p.lua:1: no list"):
        run(policy)
