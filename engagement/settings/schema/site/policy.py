"""The operator's policy, and what a Lua policy may take."""

from dataclasses import dataclass

from engagement.settings import option_types
from engagement.settings.option import declared

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class PolicyStanza:
    """Site policy in Python or Lua, with Momentum's hook names; Lua also stands in scriptlet { }."""

    file: str = declared(
        option_types.path(), "",
        "The policy file, in Lua where its name ends in .lua. Empty: none. It runs before the scripts of "
        "scriptlet { }.",
        example="/etc/smtpapi/policy.py",
    )  # fmt: skip
    ignore: tuple[str, ...] = declared(
        option_types.text_list("a list of names of calls and hooks"), (),
        "Calls and hooks of Lua that a milter cannot do and that shall do nothing, instead of keeping the "
        "policy from loading.",
        example=("msg:binding", "core_log_delivery_v1"),
    )  # fmt: skip
    binding_header: str = declared(
        option_types.header_name(), "",
        "Header field that tells the MTA the binding and routing domain that a Lua policy chooses. Empty: a "
        "policy that chooses one does not load.",
        example="X-Binding",
    )  # fmt: skip
    lua_instructions: int = declared(
        option_types.integer(10_000, 10**10),
        20_000_000,
        "Most instructions of one call of a Lua hook; about a quarter of a second.",
    )
    lua_memory: int = declared(
        option_types.integer(_MIB, 1024 * _MIB, "bytes"),
        32 * _MIB,
        "Most memory of one Lua interpreter. Each message under way has one.",
    )
    lua_time: int = declared(
        option_types.integer(10, 300_000, "milliseconds"),
        2000,
        "Longest time of one call of a Lua hook; below the MTA's time-out for milters.",
    )
