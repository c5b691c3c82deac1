"""Versions of what takes part, against what is known of them."""

import platform
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from engagement import extensions
from smtpapi.doctor.finding import Finding, Level

CHECK: Final = "versions"
_OLDEST_POSTFIX: Final = (3, 5)  # older ones are no longer mended anywhere; tested with 3.7
# gh-106052: a possessive group that fails goes on at the wrong place (docs/quirks.md).
_MENDED_PYTHON: Final = (3, 11, 5)


@dataclass(frozen=True, slots=True)
class Versions:
    """What is installed.

    postfix: "" where there is none. in_python: the notice about parts in C, "" for none.
    """

    program: str
    python: tuple[int, ...]
    sqlite: str
    postfix: str = ""
    in_python: str = ""


def read(postfix: str) -> Versions:
    """Return the versions here. postfix: its mail_version, "" for none."""
    try:
        program = version("smtpapi-engagement")
    except PackageNotFoundError:
        program = "not installed as a package"
    numbers = tuple(int(number) for number in platform.python_version_tuple()[:2])
    patch = platform.python_version_tuple()[2]
    python = (*numbers, int("".join(each for each in patch if each.isdigit()) or 0))
    return Versions(program, python, sqlite3.sqlite_version, postfix, extensions.notice("smtpapi"))


def check(found: Versions) -> Iterator[Finding]:
    """Yield versions that are too old."""
    text = f"smtpapi {found.program}, Python {'.'.join(map(str, found.python))}, SQLite {found.sqlite}"
    yield Finding(CHECK, Level.OK, text + (f", Postfix {found.postfix}" if found.postfix else ""))
    numbers = tuple(int(part) for part in found.postfix.split("-")[0].split(".") if part.isdigit())
    if numbers and numbers < _OLDEST_POSTFIX:
        yield Finding(
            CHECK,
            Level.WARNING,
            f"Postfix {found.postfix} is older than 3.5",
            "It is mended by nobody, and was not tried with this filter.",
            "Update Postfix",
        )
    if found.python < _MENDED_PYTHON:
        yield Finding(
            CHECK,
            Level.NOTE,
            f"Python {'.'.join(map(str, found.python))} has a fault in its regular expressions (before "
            "3.11.5)",
            "The program works around it; site policies with possessive groups do not.",
            "Update Python, or leave possessive groups out of policies (docs/quirks.md)",
        )
    if found.in_python:
        yield Finding(
            CHECK,
            Level.WARNING,
            found.in_python,
            "Mail costs two to three times the processor time.",
            "Install again where there is a C compiler, or unset SMTPAPI_NATIVE",
        )
