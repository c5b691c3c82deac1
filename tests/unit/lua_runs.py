"""A Lua policy of one hook and the message that it is run for."""

from pathlib import Path

from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.message import Field, Message
from smtpapi.policy.hooks import HookCall
from smtpapi.policy.lua.policy import LuaPolicy, LuaSource
from smtpapi.policy.lua.state import Limits
from smtpapi.policy.vctx import ValidationContext
from smtpapi.policy.views import Accept, PolicyMessage

SMALL = Limits(2_000_000, 8 * 1024 * 1024, 0.5)
ENVELOPE = Envelope(
    Client("192.0.2.7", "c.test", "", "198.51.100.1", 25, "", "me.test"),
    "a@s.test",
    ("b+x@r.test", "c@r.test"),
    "Q1",
)
MESSAGE = Message(
    (
        Field("Subject", b" =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\t folded"),
        Field("To", b" Bob <b+x@r.test>, c@r.test"),
        Field("X-A", b" 1"),
        Field("x-a", b" 2"),
    ),
    b"Hello\r\n",
)


def load(
    body: str, limits: Limits = SMALL, ignored: frozenset[str] = frozenset(), head: str = ""
) -> LuaPolicy:
    """Return a policy whose validate_data is the body. head: what the script does before it."""
    begin = f"{head}local mod = {{}} function mod:validate_data(msg, ac, vctx)"
    hook = f"{begin}\n{body}\nreturn msys.core.VALIDATE_CONT end"
    source = LuaSource(Path("p.lua"), f"{hook}\nmsys.registerModule('t', mod)".encode())
    return LuaPolicy([source], Path.read_bytes, limits=limits, ignored=ignored)


def run(
    policy: LuaPolicy, envelope: Envelope = ENVELOPE, mail: Message = MESSAGE
) -> tuple[ValidationContext, PolicyMessage]:
    """Run the hook for a message."""
    vctx, message = ValidationContext({}), PolicyMessage(envelope, mail)
    try:
        policy.call("validate_data", HookCall(Accept.of(envelope.client), message, vctx))
    finally:
        message.close()
    return vctx, message


def logged(body: str, envelope: Envelope = ENVELOPE, mail: Message = MESSAGE) -> list[str]:
    """Return the lines that a hook logs."""
    return [text for _, text in run(load(body), envelope, mail)[1].lines]
