"""A program does without its parts in C where it is told to, and says so."""

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from engagement import extensions

ROOT = Path(__file__).parents[2]

LOOK = """
import sys
import {package}
from engagement import extensions
from engagement.links import fast_open, fast_seal, token
used = [fast_open._open, token._seal, fast_seal._seal]
if "{package}" != "tracker_web":
    from smtpapi.find import html
    from smtpapi.mime import quoted_printable
    used += [html._walk, quoted_printable._native]
print({{module is not None for module in used}})
print(extensions.notice("{package}".partition(".")[0]))
"""


def warnings_of(package: str, value: str | None) -> list[str]:
    variables = {name: text for name, text in os.environ.items() if name != extensions.VARIABLE}
    variables["PYTHONPATH"] = f"{ROOT}:{ROOT / 'milter'}"
    if value is not None:
        variables[extensions.VARIABLE] = value
    run = subprocess.run(
        [sys.executable, "-c", LOOK.format(package=package)],
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.splitlines()


@pytest.mark.parametrize("value", ["off", "OFF", "0", "no"])
def test_off_leaves_all_of_them_out(value: str) -> None:
    begin = "without the parts in C, so slower (SMTPAPI_NATIVE=off): "
    assert warnings_of("smtpapi.commands", value) == ["{False}", begin + ", ".join(extensions.NAMES)]
    assert warnings_of("tracker_web", value) == [
        "{False}",
        f"{begin}engagement.links._open, engagement.links._seal",
    ]


@pytest.mark.parametrize("package", ["smtpapi.commands", "tracker_web"])
@pytest.mark.parametrize("value", [None, "", "on", "1"])
def test_else_all_of_them_are_used_and_nothing_is_said(package: str, value: str | None) -> None:
    assert warnings_of(package, value) == ["{True}", ""]


def test_each_extension_that_is_built_has_its_name() -> None:
    built = re.findall(r'"((?:engagement|smtpapi)[\w.]+)"', (ROOT / "setup.py").read_text())
    assert sorted(built) == sorted(extensions.NAMES)


def test_what_was_not_built_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(extensions.VARIABLE, raising=False)
    assert import_module("smtpapi.find._walk")
    monkeypatch.setitem(sys.modules, "smtpapi.find._walk", None)  # as if not built
    assert extensions.notice("smtpapi") == (
        "without the parts in C, so slower (not built; with a C compiler, install again): smtpapi.find._walk"
    )
    assert extensions.notice("tracker_web") == ""
