"""Lua calls that change a mail's envelope and body: what they return, refuse and limit."""

from pathlib import Path

import pytest

from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.message import Field, Message
from smtpapi.policy import phases
from smtpapi.policy.hooks import PolicyFailed
from smtpapi.policy.lua.policy import LuaPolicy, LuaSource
from smtpapi.policy.vctx import ValidationContext
from smtpapi.policy.views import Changes, PolicyMessage
from unit.lua_runs import SMALL, load, logged, run

_ENVELOPE = Envelope(Client("192.0.2.7"), "a@s.test", ("b@r.test",), "Q")
_RCPTTO = r"msg:rcptto\(address\): the recipient can be changed in the hooks for each recipient"
_MAIL = Message((Field("Subject", b" x"),), b"one two\r\nthree\r\n")


def _all_phases(**hooks: str) -> PolicyMessage:
    """Run a policy with these hooks for one recipient's copy; return the copy."""
    arguments = {
        "validate_mailfrom": "str, ac, vctx",
        "validate_rcptto": "msg, str, ac, vctx",
        "validate_set_binding": "msg",
    }
    functions = "\n".join(
        f"function mod:{name}({arguments.get(name, 'msg, ac, vctx')}) {body} return 0 end"
        for name, body in hooks.items()
    )
    text = f"local mod = {{}} {functions}\nmsys.registerModule('t', mod)"
    policy = LuaPolicy([LuaSource(Path("p.lua"), text.encode())], Path.read_bytes, limits=SMALL)
    mail, vctx = PolicyMessage(_ENVELOPE, _MAIL), ValidationContext({})
    try:
        phases.message(policy, _ENVELOPE, mail, vctx)
        copy = mail.for_recipient("b@r.test")
        phases.each(policy, _ENVELOPE, copy, vctx)
    finally:
        mail.close()
    return copy


def test_the_sender_is_set_and_then_read() -> None:
    lines = "print(msg:mailfrom('n@s.test')) print(msg:mailfrom()) print(msys.policyeditor.get_mailfrom())"
    other = "print(vctx:get(1, 'mailfrom_string')) print(msg:mailfrom('') == '', msys.expandMacro('%{s}'))"
    copy = _all_phases(validate_rcptto=lines, validate_data_spool_each_rcpt=other)
    assert [text for _, text in copy.lines] == ["n@s.test", "n@s.test", "n@s.test", "n@s.test", "true\t"]
    assert copy.changes == Changes(sender="")


def test_the_recipient_is_set_and_then_read() -> None:
    lines = "print(msg:rcptto('n@r.test')) print(msg:rcptto()) print(vctx:get(1, 'rcptto_localpart'))"
    later = (
        "local n = msys.core.string_new local l, d = n(), n() msg:get_envelope2(2, l, d) print(l .. ' ' .. d)"
    )
    copy = _all_phases(validate_data_spool_each_rcpt=lines, validate_set_binding=later)
    assert [text for _, text in copy.lines] == ["n@r.test", "n@r.test", "n", "n r.test"]
    assert copy.recipient == "n@r.test"


@pytest.mark.parametrize(
    ("hook", "call", "error"),
    [
        ("validate_data", "msg:rcptto('n@r.test')", _RCPTTO),
        ("validate_rcptto", "msg:rcptto('n@r.test')", _RCPTTO),
        ("validate_mailfrom", "local c = msys.core m = c.accept_construct_get_message_construct(ac).message "
         "m:mailfrom('n@s.test')", r"msg:mailfrom\(address\): the sender can be changed from"),
        ("validate_data", "msg:mailfrom('x')", r"msg:mailfrom\(address\): not an address"),
        ("validate_data", "msg:mailfrom(nil)", "msg:mailfrom: the address is a nil, not text"),
        ("validate_data", "msg:body({})", "msg:body: the text is a table, not text"),
        ("validate_data", "msg:body_replace('(', '')", "msg:body_replace: missing \\)"),
        ("validate_data", "msg:body(('a'):rep(5000) .. 'b') msg:body_replace('(a|aa)+$', '')",
         "(msg:body_replace: the pattern takes too long|time limit reached)"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_an_error_with_its_call_and_phase(hook: str, call: str, error: str) -> None:
    with pytest.raises(PolicyFailed, match=rf"^p.lua:1: {error}.* \({hook}\)$"):
        _all_phases(**{hook: call})


@pytest.mark.parametrize(
    ("given", "body"),
    [
        ("x", b"x\r\n"),
        ("x\\r\\n", b"x\r\n"),
        ("x\\r\\n.\\r\\n", b"x\r\n"),
        ("x\\r\\n.\\r\\n.\\r\\n", b"x\r\n.\r\n"),
        ("x\\n.\\n", b"x\r\n"),
        ("x\\n\\ny\\rz", b"x\r\n\r\ny\r\nz\r\n"),
        ("\\r\\n.\\r\\n", b"\r\n"),
        ("x.\\r\\n", b"x.\r\n"),
        ("", b""),
        ("\\255", b"\xff\r\n"),
    ],
)
def test_a_body_is_set_without_its_end_mark_and_in_lines_of_smtp(given: str, body: bytes) -> None:
    message = run(load(f"assert(msg:body('{given}') == msg:body())"), mail=_MAIL)[1]
    assert (message.body, message.changes) == (body, Changes(body=body))


def test_what_is_set_is_what_is_read_after_it() -> None:
    html = "Content-Type: text/html"
    lines = f"""
    print(msg:text()) print(#msg:raw())
    msg:body('new') print(msg:text()) print(#msg:raw(), msg:get_message_size())
    msg:header('Content-Type', 'text/html') msg:body('<p>x</p>')
    print(msg:mime(false):content_type().mimetype)
    msg:body_replace('x', 'y') print(msg:text_match('y')[0])
    print(select(2, msg:raw():find('{html}', 1, true)) ~= nil)
    """
    assert logged(lines, mail=_MAIL)[:2] == ["one two\r\nthree\r\n", "30"]
    assert logged(lines, mail=_MAIL)[2:] == ["new\r\n", "19\t19", "text/html", "y", "true"]


def test_matches_are_replaced_and_the_first_is_returned() -> None:
    lines = "local m = msg:body_replace('(?<w>t\\\\w+)', '[$1]') print(m[0], m[1], m.w) print(msg:body())"
    assert logged(lines, mail=_MAIL) == ["two\ttwo\ttwo", "one [two]\r\n[three]\r\n"]
    lines = "print(msg:body_replace('four', 'x')) print(msg:body())"
    assert logged(lines, mail=_MAIL) == ["false", "one two\r\nthree\r\n"]


def test_a_replaced_body_keeps_a_line_that_looks_like_an_end_mark() -> None:
    mail = Message((), b"one\r\n.\r\n")
    assert run(load("msg:body_replace('one', 'two')"), mail=mail)[1].body == b"two\r\n.\r\n"


def test_a_runaway_that_changed_its_mail_changed_nothing() -> None:
    with pytest.raises(PolicyFailed):
        _all_phases(validate_data_spool_each_rcpt="msg:mailfrom('n@s.test') while true do end")


@pytest.mark.parametrize(
    "call", ["p:text()", "p:header('X')", "p:content_type()", "p.thread", "p:text_match('x')"]
)
def test_a_part_of_the_body_before_is_gone(call: str) -> None:
    with pytest.raises(PolicyFailed, match=r"^p.lua:2: this part is gone: the body was changed since"):
        run(load(f"local p = msg:mime() msg:body('x') local x = {call}"), mail=_MAIL)
    assert logged("msg:mime() msg:body('x') print(msg:mime():text(), msg:text_match('x')[0])") == ["x\r\n\tx"]
