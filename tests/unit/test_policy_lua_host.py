"""What a Lua policy's calls say and do, one by one (smtpapi.policy.lua.host, macros)."""

import re
from importlib import resources
from pathlib import Path

import pytest

from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.message import Field, Message
from smtpapi.policy.hooks import PolicyFailed
from smtpapi.policy.lua import host
from smtpapi.policy.lua.library.cidr import NetworkLists
from smtpapi.policy.lua.library.datasource import DataSources
from smtpapi.policy.lua.library.functions import Shared
from smtpapi.policy.lua.state import Script
from smtpapi.policy.views import PolicyMessage
from unit.lua_runs import ENVELOPE, MESSAGE, load, logged, run

_LOGIN = Envelope(
    Client("2001:db8::7", "c.test", "ann", "2001:db8::1", 25, "", "me.test"), "", ("b@r.test",), "Q2"
)
_PARTS = Message(
    (Field("Content-Type", b" multipart/mixed; boundary=x"), Field("To", b" b@r.test")),
    b"--x\r\nContent-Type: text/plain; charset=utf-8\r\nX-P: \xc3\xbc\r\nX-To: Bob <p@r.test>\r\n\r\none\r\n"
    b"--x\r\nContent-Type: text/html\r\n\r\n<p>two</p>\r\n--x--\r\n",
)


@pytest.fixture
def alone() -> host.Host:
    """The functions of a state that serves no message, as while a script is loaded."""

    def module(name: str) -> Script:
        raise LookupError(name)

    return host.Host(Shared(frozenset(), NetworkLists(), DataSources({}), module, Path()))


def test_what_the_lua_side_calls_is_there_and_all_that_is_there_is_called(alone: host.Host) -> None:
    folder = resources.files("smtpapi.policy.lua") / "prelude"
    text = "".join(each.read_text("utf-8") for each in folder.iterdir() if each.name.endswith(".lua"))
    assert set(re.findall(r"\bH\.([a-z_]+)", text)) - {"late"} == set(alone.functions())


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("get", (1, b"x"), None),
        ("set", (1, b"x", b"y"), b"there is no message here"),
        ("delete", (1, b"x"), False),
        ("set_code", (550, b"x"), b"there is no message here"),
        ("code", (), (0, b"")),
        ("discard", (b"x",), None),
        ("header", (0, b"To"), ()),
        ("header", (1, b"To"), ()),
        ("remove_header", (b"To",), (None, b"there is no message here")),
        ("add_header", (b"X", b"y", b"append"), b"there is no message here"),
        ("addresses", (0, b"To", b"all"), ()),
        ("addresses", (1, b"To", b"all"), ()),
        ("sender", (), b""),
        ("recipient", (), b""),
        ("recipients", (), ()),
        ("add_recipient", (b"a@b.test",), b"there is no message here"),
        ("remove_recipient", (b"a@b.test",), b"there is no message here"),
        ("listener", (b"all",), b""),
        ("peer", (b"all",), b""),
        ("remote", (), (b":0", 2)),
        ("id", (b"message",), b""),
        ("id", (b"connection",), b""),
        ("size", (), 0),
        ("body", (), b""),
        ("raw", (), b""),
        ("texts", (0,), (False, b"the message is too large for a policy")),
        ("match_in", (b"text", 0, b"x"), (None, b"the message is too large for a policy")),
        ("expand", (b"%{i} %{vctx_mess:x}",), b"%{i} %{vctx_mess:x}"),
    ],
)
def test_without_a_message_a_call_says_so_or_nothing(
    alone: host.Host, name: str, arguments: tuple[object, ...], expected: object
) -> None:
    assert alone.functions()[name](*arguments) == expected


def test_what_a_script_prints_while_it_loads_is_told_to_the_operator() -> None:
    assert load("", head="print('hello') print(msys.expandMacro('%{zz}')) ").notices == (
        "hello",
        "msys.expandMacro: %{zz} is not known and stays",
        "%{zz}",
    )


@pytest.mark.parametrize("level", [1, 2])
def test_a_variable_is_set_seen_and_deleted(level: int) -> None:
    body = (
        f"vctx:set({level}, 'n', 'v') print(vctx:get({level}, 'n'), vctx:exists({level}, 'n'),"
        f" vctx:exists_and_get({level}, 'n')) print(vctx:get({3 - level}, 'n') == '')"
        f" print(vctx:delete({level}, 'n'), vctx:delete({level}, 'n'), vctx:get({level}, 'n') == '')"
    )
    assert logged(body) == ["v\t1\t1\tv", "true", "1\t0\ttrue"]


def test_no_name_names_no_variable() -> None:
    assert logged("print(vctx:get(1, nil) == '', vctx:exists(1, nil), vctx:delete(1, nil))") == ["true\t0\t0"]


@pytest.mark.parametrize("what", ["{}, 'x'", "nil, 'x'", "'n', nil", "'n', {}"])
def test_what_is_no_text_names_and_sets_no_variable(what: str) -> None:
    vctx, message = run(load(f"vctx:set(1, {what})"))
    assert vctx.effective() == {}
    assert message.lines == [(4, "p.lua:2: Attempt to set null key or value in context")]


def test_an_error_in_our_own_lua_is_told_without_its_place_there() -> None:
    with pytest.raises(PolicyFailed, match=r"^p.lua:2: msg:get_envelope2: the flags are no number"):
        run(load("msg:get_envelope2('x')"))
    with pytest.raises(PolicyFailed, match=r"^p.lua:2: invalid order function for sorting"):
        run(load("local t = {} for i = 1, 1e5 do t[i] = i % 7 end table.sort(t, function() return true end)"))


def test_a_variable_of_the_session_is_no_variable_of_the_message() -> None:
    vctx, _ = run(load("vctx:set(1, 'm', '1') vctx:set(2, 's', '2')"))
    assert (vctx.message(), vctx.session()) == ({"m": "1"}, {"s": "2"})


@pytest.mark.parametrize(
    ("envelope", "name", "expected"),
    [
        (ENVELOPE, "mailfrom_localpart", "a"),
        (ENVELOPE, "mailfrom_domain", "s.test"),
        (ENVELOPE, "mailfrom_string", "a@s.test"),
        (ENVELOPE, "mailfrom_other", None),
        (ENVELOPE, "rcptto_localpart", "b+x"),
        (ENVELOPE, "rcptto_domain", "r.test"),
        (ENVELOPE, "rcptto_string", "b+x@r.test"),
        (ENVELOPE, "rcptto_other", None),
        (_LOGIN, "mailfrom_string", ""),
        (ENVELOPE, "rfc2822_date_missing", "1"),
        (ENVELOPE, "other", None),
    ],
)
def test_variables_of_a_message_that_nobody_set(envelope: Envelope, name: str, expected: str | None) -> None:
    shown = "1\t" + expected if expected is not None else "0\tnil"
    assert logged(f"print(vctx:exists_and_get(1, '{name}'))", envelope) == [shown]
    assert logged(f"print(vctx:exists(2, '{name}'))", envelope) == ["0"]
    assert logged(f"vctx:set(1, '{name}', 'own') print(vctx:get(1, '{name}'))", envelope) == ["own"]


def test_a_message_with_a_date_lacks_none() -> None:
    mail = Message((Field("Date", b" today"),), b"")
    assert logged("print(vctx:exists(1, 'rfc2822_date_missing'))", mail=mail) == ["0"]


_NOBODY = Envelope(Client("192.0.2.7"), "a@s.test", ("b@r.test",), "Q3")


@pytest.mark.parametrize(
    ("envelope", "name", "expected"),
    [
        (ENVELOPE, "ehlo_string", "EHLO me.test"),
        (ENVELOPE, "ehlo_domain", "me.test"),
        (_NOBODY, "ehlo_string", None),
        (_NOBODY, "ehlo_domain", None),
        (_LOGIN, "auth_user", "ann"),
        (_LOGIN, "auth_name", "ann"),
        (_LOGIN, "auth_status", "pass"),
        (ENVELOPE, "auth_user", None),
        (ENVELOPE, "auth_name", None),
        (ENVELOPE, "auth_status", None),
        (ENVELOPE, "can_relay", "true"),
        (ENVELOPE, "message_rcpt_count", "2"),
        (ENVELOPE, "other", None),
    ],
)
def test_variables_of_a_session_that_nobody_set(envelope: Envelope, name: str, expected: str | None) -> None:
    shown = "1\t" + expected if expected is not None else "0\tnil"
    assert logged(f"print(vctx:exists_and_get(2, '{name}'))", envelope) == [shown]
    assert logged(f"print(vctx:exists(1, '{name}'))", envelope) == ["0"]


@pytest.mark.parametrize(
    ("envelope", "macro", "expected"),
    [
        (ENVELOPE, "i", "192.0.2.7"),
        (ENVELOPE, "s", "a@s.test"),
        (ENVELOPE, "l", "a"),
        (ENVELOPE, "o", "s.test"),
        (ENVELOPE, "d", "s.test"),
        (ENVELOPE, "h", "me.test"),
        (ENVELOPE, "v", "in-addr"),
        (_LOGIN, "v", "ip6"),
        (ENVELOPE, "spfv1:i", "192.0.2.7"),
        (ENVELOPE, "vctx_conn:ehlo_domain", "me.test"),
        (ENVELOPE, "vctx_mess:mailfrom_domain", "s.test"),
        (ENVELOPE, "vctx_mess:none", ""),
        (ENVELOPE, "vctx_mess:own", "mine"),
        (ENVELOPE, "vctx_conn:own", "yours"),
    ],
)
def test_macros_stand_for_what_they_name(envelope: Envelope, macro: str, expected: str) -> None:
    body = f"vctx:set(1, 'own', 'mine') vctx:set(2, 'own', 'yours') print(msys.expandMacro('<%{{{macro}}}>'))"
    assert logged(body, envelope) == [f"<{expected}>"]


def test_macros_that_nobody_knows_stay_and_are_told_of_once() -> None:
    policy = load("print(msys.expandMacro('%{zz} %{other:i} %{zz}'))")
    assert [text for _, text in run(policy)[1].lines] == [
        "msys.expandMacro: %{zz} is not known and stays",
        "msys.expandMacro: %{other:i} is not known and stays",
        "%{zz} %{other:i} %{zz}",
    ]
    assert len(run(policy)[1].lines) == 1


@pytest.mark.parametrize(
    ("body", "printed"),
    [
        ("print(msg:listener_addr(), msg:listener_addr('ip'), msg:listener_addr('port'))",
         "2001:db8::1.25\t2001:db8::1\t25"),
        ("print(msg:reception_peer(), msg:reception_peer('ip'))", "2001:db8::7\t2001:db8::7"),
        ("print(ac.remote_addr, msys.core.ec_sockaddr_family(ac.remote_addr) == msys.core.AF_INET6)",
         "2001:db8::7.0\ttrue"),
        ("print(msg.id, msg.batch_id, msg.conn_id, ac.conn_id)",
         "Q2\tQ2\t2001:db8::7/Q2\t2001:db8::7/Q2"),
        ("print(msg:rcptto(), msg:mailfrom() == '')", "b@r.test\ttrue"),
    ],
)  # fmt: skip
def test_where_a_message_came_in(body: str, printed: str) -> None:
    assert logged(body, _LOGIN) == [printed]


def test_a_listener_without_a_port_is_told_of_unless_the_address_is_enough() -> None:
    warning = "the MTA does not tell its port, {daemon_port}"
    assert logged("print(msg:listener_addr('port') == '')", _NOBODY) == [warning, "true"]
    assert logged("print(msg:listener_addr('ip') == '')", _NOBODY) == ["true"]
    assert logged("print(msg:listener_addr('port'))", ENVELOPE) == ["25"]


def test_recipients_join_and_leave() -> None:
    _, message = run(load("vctx:remove_recipient('c@R.test')"))
    assert message.recipients == ("b+x@r.test",)
    _, message = run(load("vctx:add_recipient({'d@r.test', 'e@r.test'})"))
    assert message.recipients == ("b+x@r.test", "c@r.test", "d@r.test", "e@r.test")
    _, message = run(load("vctx:remove_recipient('c@r.test') vctx:add_recipient('d@r.test')"))
    assert message.recipients == ("b+x@r.test", "d@r.test")
    assert message.envelope.recipients == ENVELOPE.recipients
    with pytest.raises(PolicyFailed, match=r"p.lua:2: .*not an address"):
        run(load("vctx:add_recipient('nobody here')"))


def test_a_reply_is_seen_by_the_hook_that_gave_it() -> None:
    assert logged("print(msg:code()) vctx:set_code(550, '5.7.1 no') print(msg:code())") == [
        "0\t", "550\t5.7.1 no",
    ]  # fmt: skip


def test_a_header_is_read_in_parts_too() -> None:
    body = (
        "local p = msg:mime().thread"
        " print(p:header('X-P')[1], #p:header('none'), p:address_header('X-To', 'email')[1])"
        " print(p:content_type().mimetype, p:content_type().charset, p:text() == 'one')"
        " print(p.thread:content_type().mimetype, p.thread:body_match('t(w)o')[1], p.thread.thread)"
    )
    first, second, third = logged(body, mail=_PARTS)
    assert first.split("\t") == ["\ufffd\ufffd", "0", "p@r.test"]
    assert second.split("\t")[0] == "text/plain"
    assert third == "text/html\tw\tnil"


def test_matches_are_looked_for_where_they_are_asked_for() -> None:
    body = "print(msg:{}_match('Subject') ~= false, msg:{}_match('H(e)llo')[1])"
    assert logged(body.format("raw", "raw")) == ["true\te"]
    assert logged(body.format("body", "body")) == ["false\te"]
    assert logged(body.format("text", "text")) == ["false\te"]


def test_a_mode_that_is_none_is_refused() -> None:
    with pytest.raises(PolicyFailed, match=r"p.lua:2: msg:header: the mode is replace, append or prepend"):
        run(load("msg:header('X-B', 'b', 'other')"))


@pytest.mark.parametrize(
    ("call", "size"),
    [
        ("msg:body()", len(MESSAGE.body)),
        *((call, None) for call in ("msg:raw()", "msg:text()", "msg:text_match('x')", "msg:raw_match('x')")),
        *((call, None) for call in ("msg:body_match('x')", "msg:mime():text()")),
    ],
)
def test_what_is_larger_than_a_policy_may_have_is_not_given(
    monkeypatch: pytest.MonkeyPatch, call: str, size: int | None
) -> None:
    if size is None:
        size = PolicyMessage(ENVELOPE, MESSAGE).size
    monkeypatch.setattr(host, "LARGEST", size)
    assert logged(f"local x = {call} print('there')") == ["there"]
    monkeypatch.setattr(host, "LARGEST", size - 1)
    with pytest.raises(PolicyFailed, match=r"p.lua:2: .*too large for a policy"):
        run(load(f"local x = {call}"))


def test_a_message_logs_so_many_lines_of_such_a_length() -> None:
    assert len(logged("for i = 1, 101 do print(i) end")) == 100
    assert [len(line) for line in logged("print(('x'):rep(1001))")] == [1000]


def test_warnings_that_are_all_different_end_somewhere() -> None:
    body = "for i = 1, 200 do n = n + 1 msys.expandMacro('%{z' .. n .. '}') end"
    policy = load(body, head="n = 0 ")
    for _ in range(7):
        _, message = run(policy)
    assert message.lines == []


def test_numbers_that_json_does_not_have_are_null() -> None:
    assert logged("print(json.encode({1, 0 / 0, 1 / 0, -1 / 0}))") == ["[1,null,null,null]"]
