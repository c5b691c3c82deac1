"""The parts in C: which there are, and doing without them.

Each is used where it was built, by the module beside it, whose Python does the same in more time. With
SMTPAPI_NATIVE=off in its environment a program does without all of them: for the night in which one is under
suspicion (docs/decisions/0015-native-rewriting.md).

Not a switch at run time: the programs look at it before they import what uses them.
"""

import os
import sys
from importlib import import_module
from typing import Final

NAMES: Final = (
    "engagement.links._open",
    "engagement.links._seal",
    "smtpapi.find._walk",
    "smtpapi.mime._quoted_printable",
)
VARIABLE: Final = "SMTPAPI_NATIVE"


def is_off() -> bool:
    """Whether the environment says to do without."""
    return os.environ.get(VARIABLE, "").strip().lower() in ("off", "no", "0", "false")


def leave_out_if_off() -> None:
    """Let importing any of them fail as if it had not been built, where the environment says so."""
    if is_off():
        for name in NAMES:
            sys.modules.setdefault(name, None)  # type: ignore[arg-type] # with None there, importing it fails


def notice(program: str) -> str:
    """A line for the log of a program ("smtpapi", "tracker_web") that does without some of them; "" else."""
    mine = [name for name in NAMES if name.startswith(("engagement.", f"{program}."))]
    missing = [name for name in mine if not _is_there(name)]
    if not missing:
        return ""
    why = f"{VARIABLE}=off" if is_off() else "not built; with a C compiler, install again"
    return f"without the parts in C, so slower ({why}): {', '.join(missing)}"


def _is_there(name: str) -> bool:
    try:
        import_module(name)
    except ImportError:
        return False
    return True
