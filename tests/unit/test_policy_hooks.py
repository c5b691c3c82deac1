"""The policy file: loading, hooks, the context's levels, faults (contract.md 4)."""

from pathlib import Path

import pytest

from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.message import Field, Message
from smtpapi.policy import Policy, PolicyError, PolicyFailed, core, load
from smtpapi.policy.hooks import HOOKS, parse
from smtpapi.policy.vctx import ValidationContext
from smtpapi.policy.views import Accept, PolicyMessage


def test_hooks_take_momentum_s_arguments_in_momentum_s_order() -> None:
    assert dict(HOOKS) == {
        "validate_connect": ("ac", "vctx"),
        "validate_ehlo": ("ehlo", "ac", "vctx"),
        "validate_mailfrom": ("sender", "ac", "vctx"),
        "validate_rcptto": ("msg", "recipient", "ac", "vctx"),
        "validate_data": ("msg", "ac", "vctx"),
        "validate_data_spool": ("msg", "ac", "vctx"),
        "validate_data_spool_each_rcpt": ("msg", "ac", "vctx"),
    }


def test_a_hook_is_called_with_what_it_is_given() -> None:
    policy = parse(
        "seen = []\ndef validate_connect(ac, vctx):\n    seen.append((ac, vctx))\n    return seen", "p.py"
    )
    assert policy.hooks == {"validate_connect"}
    policy.run("validate_connect", "ac", "vctx")
    policy.run("validate_data", 1, 2, 3)  # not defined: nothing happens


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("def validate_connect(ac, vctx)\n    pass", "p.py:1: expected ':'"),
        ("x = 1\nimport no_such_module_anywhere", "p.py:2: ModuleNotFoundError: No module named"),
        ("\n\n1 / 0", "p.py:3: ZeroDivisionError: division by zero"),
        ("raise SystemExit(1)", "p.py:1: SystemExit: 1"),
        ("x = 1", "p.py:1: no hook is defined; expected one of validate_connect, "),
        (
            "\ndef validate_data_spol(msg, ac, vctx): pass",
            "p.py:2: no hook is named validate_data_spol; did you mean validate_data_spool?",
        ),
        ("def validate_zzz(): pass", "p.py:1: no hook is named validate_zzz; "),
        ("def validate_data(msg, vctx): pass", "p.py:1: validate_data must take (msg, ac, vctx)"),
        ("def validate_connect(a, b, c): pass", "p.py:1: validate_connect must take (ac, vctx)"),
        ("async def validate_connect(ac, vctx): pass", "p.py:1: validate_connect is async; "),
        (b"# \xff", "p.py:1: "),
        (b"x = '\0'", "p.py:1: "),
    ],
)
def test_a_file_that_does_not_load_says_where_and_what(source: str | bytes, error: str) -> None:
    with pytest.raises(PolicyError) as raised:
        parse(source, "p.py")
    assert str(raised.value).startswith(error)
    assert "\n" not in str(raised.value)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"none\.py: cannot read the policy file: No such file"):
        load(tmp_path / "none.py")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ValueError('no\\nway')", "ValueError: no way"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("vctx.set(core.VCTX_MESS, 'a', 1)", "TypeError: context variable 'a': names and values are strings"),
        ("vctx.set('message', 'a', 'b')", "TypeError: the scope is core.VCTX_CONN"),
        ("vctx.set(core.VCTX_MESS, 'a', '\\ud800')", "UnicodeEncodeError: "),
        ("vctx.set(core.VCTX_MESS, 'a', 'x' * 70000)", "ValueError: context variable 'a': longer than 65536"),
        ("f = lambda: f(); f()", "RecursionError: "),
        ("vctx.set_code(99, 'no')", "ValueError: 99 is no reply code of SMTP"),
        ("raise KeyError", "KeyError"),
    ],
)
def test_a_hook_that_raises_is_told_with_the_policy_s_own_line(body: str, message: str) -> None:
    source = f"from smtpapi.policy import core\n\ndef validate_connect(ac, vctx):\n    {body}\n"
    with pytest.raises(PolicyFailed) as raised:
        parse(source, "/etc/p.py").run("validate_connect", None, ValidationContext({}))
    assert str(raised.value).startswith(f"/etc/p.py:4: validate_connect: {message}")
    assert "\n" not in str(raised.value)


def test_what_loads_once_is_kept_when_the_file_breaks_later(tmp_path: Path) -> None:
    """A reload builds a new policy or none; the old one does not change under its user."""
    file = tmp_path / "p.py"
    file.write_text("def validate_connect(ac, vctx): vctx.append('old')")
    policy = load(file)
    file.write_text("def validate_connect(ac vctx)")
    with pytest.raises(PolicyError):
        load(file)
    seen: list[str] = []
    policy.run("validate_connect", None, seen)
    assert seen == ["old"]


def test_what_a_policy_imports_is_no_hook_of_its() -> None:
    source = """
from ipaddress import ip_address as validate_address
validate_limit = 7
def validate_data(msg, ac, vctx): pass
"""
    assert parse(source, "p.py").hooks == {"validate_data"}


# --- levels


def test_the_narrowest_level_that_is_set_wins() -> None:
    vctx = ValidationContext(
        {"a": "configured", "b": "configured", "c": "configured", "d": "configured"}, {"b": "session"}
    )
    vctx.set(core.VCTX_MESS, "c", "message")
    vctx.set(core.VCTX_MESS, "d", "message")
    vctx.set(core.VCTX_RCPT, "d", "recipient")
    assert vctx.effective() == {"a": "configured", "b": "session", "c": "message", "d": "recipient"}
    assert [vctx.lookup(name) for name in "abcde"] == ["configured", "session", "message", "recipient", ""]


def test_an_empty_value_lets_the_wider_level_show() -> None:
    vctx = ValidationContext({"a": "configured", "b": ""})
    vctx.set(core.VCTX_CONN, "a", "")
    vctx.set(core.VCTX_MESS, "a", "")
    assert vctx.effective() == {"a": "configured"}
    assert vctx.lookup("a") == "configured"


def test_get_asks_one_level_alone() -> None:
    vctx = ValidationContext({"a": "configured"}, {"b": "session"})
    vctx.set(core.VCTX_MESS, "c", "message")
    assert vctx.get(core.VCTX_CONN, "a") == "configured"
    assert vctx.get(core.VCTX_CONN, "b") == "session"
    assert vctx.get(core.VCTX_CONN, "c") is None
    assert vctx.get(core.VCTX_MESS, "a") is None
    assert vctx.get(core.VCTX_MESS, "c") == "message"
    assert vctx.get(core.VCTX_RCPT, "c") is None


def test_only_the_connection_level_outlives_the_message() -> None:
    vctx = ValidationContext({"a": "configured"}, {"b": "session"})
    for scope in core.ContextScope:
        vctx.set(scope, f"of {scope}", "x")
    assert vctx.session() == {"b": "session", "of connection": "x"}


def test_scopes_have_momentum_s_names() -> None:
    assert core.VCTX_CONN is core.ECMESS_CTX_CONN
    assert core.VCTX_MESS is core.ECMESS_CTX_MESS


# --- views


def test_a_hook_sees_connection_and_message() -> None:
    client = Client("192.0.2.7", "mx.example.org", "ida", "192.0.2.1", 587, "submission", "helo.example.org")
    ac = Accept.of(client)
    assert (ac.remote_addr, ac.remote_name, ac.login, ac.ehlo) == (
        "192.0.2.7",
        "mx.example.org",
        "ida",
        "helo.example.org",
    )
    assert (ac.local_addr, ac.local_port, ac.listener) == ("192.0.2.1", 587, "submission")
    message = Message(
        (Field("Subject", b" two\r\n lines"), Field("X-A", b" \xff"), Field("x-a", b"2")), b"body\r\n"
    )
    msg = PolicyMessage(Envelope(client, "a@b.example", ("c@d.example",), "Q1"), message)
    assert (msg.mailfrom, msg.sender, msg.recipients, msg.queue_id) == (
        "a@b.example",
        "a@b.example",
        ("c@d.example",),
        "Q1",
    )
    assert msg.header("SUBJECT") == ("two lines",)
    assert msg.header("X-A") == ("\ufffd", "2")
    assert msg.header("none") == ()
    assert msg.headers[0] == ("Subject", "two lines")
    assert msg.body == b"body\r\n"
    assert msg.size == len(b"Subject: two\r\n lines\r\nX-A: \xff\r\nx-a:2\r\n\r\nbody\r\n")


@pytest.mark.parametrize("name", ["body", "sender", "headers"])
def test_a_hook_cannot_change_the_mail(name: str) -> None:
    msg = PolicyMessage(Envelope(Client(), "", ()), Message((), b""))
    with pytest.raises(AttributeError):
        setattr(msg, name, b"x")


def test_a_policy_without_that_hook_does_nothing() -> None:
    Policy("p.py", {}).run("validate_connect")
