"""The parts in C: which there are, and running without them.

Each is used where it was built, by the module beside it, whose Python does the same in more time. With
SMTPAPI_NATIVE=off in its environment a program runs without all of them, for the case that one is suspected
of a fault (docs/decisions/0015-native-rewriting.md).

Not a switch at run time: a program reads the variable before it imports what uses them.
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
    """Return whether the environment says to run without them."""
    return os.environ.get(VARIABLE, "").strip().lower() in ("off", "no", "0", "false")


def leave_out_if_off() -> None:
    """Make each of their imports fail, as if they had not been built, where the environment says so."""
    if is_off():
        for name in NAMES:
            sys.modules.setdefault(name, None)  # type: ignore[arg-type] # with None there, importing it fails


def notice(program: str) -> str:
    """Return a line for the log of a program that runs without some of them, "" if it has all.

    program: "smtpapi" or "tracker_web".
    """
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
