"""The variables that Momentum itself sets, and the macros that stand for them in text (msys.expandMacro)."""

import re

from smtpapi.policy.core import VCTX_CONN, VCTX_MESS
from smtpapi.policy.hooks import HookCall
from smtpapi.policy.lua.library.texts import split_address

_MACRO = re.compile(r"%\{([^{}%]{1,200})\}")


def predefined(call: HookCall, name: str, *, connection: bool) -> str | None:
    """Return a variable that nobody set but Momentum itself would, None for any other."""
    if connection:
        return _of_connection(call, name)
    address = None
    if name.startswith("mailfrom_"):
        address = call.msg.sender
    elif name.startswith("rcptto_"):
        address = current_recipient(call)
    if address is not None:
        local, domain = (part.decode("utf-8", "surrogateescape") for part in split_address(address))
        return {"localpart": local, "domain": domain, "string": address}.get(name.partition("_")[2])
    if name == "rfc2822_date_missing":
        return None if call.msg.current.count("Date") else "1"
    return None


def current_recipient(call: HookCall) -> str:
    """Return the recipient that a hook is about, as a policy left them; the first where it is about none."""
    return call.msg.recipient or call.recipient or next(iter(call.msg.recipients), "")


def _of_connection(call: HookCall, name: str) -> str | None:
    ac = call.ac
    match name:
        case "ehlo_string":
            return f"EHLO {ac.ehlo}" if ac.ehlo else None
        case "ehlo_domain":
            return ac.ehlo or None
        case "auth_user" | "auth_name":
            return ac.login or None
        case "auth_status":
            return "pass" if ac.login else None
        case "can_relay":
            return "true"  # mail of others meets no policy
        case "message_rcpt_count":
            return str(len(call.msg.recipients))
        case _:
            return None


def socket_text(address: str, port: str, flag: str) -> str:
    """Return an address as Momentum shows it. flag: ip, port, or all for both (IPv6: a dot between)."""
    if flag == "ip":
        return address
    if flag == "port":
        return port
    if not port:
        return address
    return f"{address}.{port}" if ":" in address else f"{address}:{port}"


def expand(call: HookCall | None, text: str) -> tuple[str, list[str]]:
    """Return a text with its macros replaced, and the names that are not known, which stay."""
    unknown: list[str] = []

    def value(found: "re.Match[str]") -> str:
        expansion = _value(call, found[1]) if call is not None else None
        if expansion is None:
            unknown.append(found[1])
            return found[0]
        return expansion

    return _MACRO.sub(value, text), unknown


def _value(call: HookCall, name: str) -> str | None:
    kind, colon, key = name.partition(":")
    if colon and kind in ("vctx_conn", "vctx_mess"):
        scope = VCTX_CONN if kind == "vctx_conn" else VCTX_MESS
        found = call.vctx.get(scope, key)
        return found or predefined(call, key, connection=kind == "vctx_conn") or ""
    if colon and kind != "spfv1":
        return None
    letter = key if colon else name
    local, domain = (part.decode("utf-8", "surrogateescape") for part in split_address(call.msg.sender))
    return {
        "i": call.ac.remote_addr,
        "s": call.msg.sender,
        "l": local,
        "o": domain,
        "d": domain,
        "h": call.ac.ehlo,
        "v": "ip6" if ":" in call.ac.remote_addr else "in-addr",
    }.get(letter)
