"""The parts that a host may do without, and what to say where one of them is wanted and missing.

A tracker needs no libmilter, and a filter no web server: each part's libraries are an extra of the package
(`options.extras_require` in setup.cfg) and are imported only where they are used.
"""

from importlib import import_module
from typing import Final, Literal

Extra = Literal["milter", "tracker", "webhooks", "cassandra", "asn", "metrics", "doctor"]

_BEFORE: Final = {"milter": "apt-get install libmilter-dev gcc python3-dev, then "}  # pymilter is built there


class NotInstalledError(Exception):
    """A part that was asked for is not installed; the text says how it is, in one line."""


def need(extra: Extra, *modules: str) -> None:
    """Import the modules of an extra. Raises NotInstalledError for the first that cannot be imported."""
    for name in modules:
        try:
            import_module(name)
        except ImportError as error:
            before = _BEFORE.get(extra, "")
            command = f"{before}pip install 'smtpapi-engagement[{extra}]'"
            raise NotInstalledError(f"{name} cannot be imported: {command}") from error
