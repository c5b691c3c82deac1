"""Carry out a plan for Postfix: on a copy of its files, with its own postconf(1).

Not what has to change (`postfix_plan`). Invariant: main.cf and master.cf are replaced as wholes, and only by
what postconf(1) has read back without a complaint that it did not have before.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from engagement.settings import Settings
from smtpapi.setup import postfix_config
from smtpapi.setup.postfix_plan import HOP_MAP as HOP_MAP
from smtpapi.setup.postfix_plan import Plan, plan

_FILES: Final = ("main.cf", "master.cf")


def changed(folder: Path, settings: Settings) -> tuple[dict[Path, bytes], Plan]:
    """Return the files that setup changes, with their new contents, and the plan behind them.

    Raises Unreadable for a configuration that postconf(1) does not take, Unfit, OSError.
    """
    config = postfix_config.read(folder)
    planned = plan(config, settings)
    if not any((planned.parameters, planned.service_options, planned.services, planned.files)):
        return {}, planned
    with tempfile.TemporaryDirectory(prefix="smtpapi-setup-") as name:
        copy = Path(name)
        for each in _FILES:
            shutil.copyfile(folder / each, copy / each)
        for arguments in _edits(planned):
            _age(copy)
            postfix_config.run(copy, *arguments)
        _age(copy)
        _, complaints = postfix_config.run(copy, "-n")
        known = {each.replace(str(folder), name) for each in config.complaints}
        if new := [each for each in complaints if each not in known]:
            raise postfix_config.Unreadable("; ".join(new).replace(name, str(folder)))
        files = {folder / each: (copy / each).read_bytes() for each in _FILES}
    files = {path: content for path, content in files.items() if path.read_bytes() != content}
    return {folder / each: text for each, text in planned.files.items()} | files, planned


def _age(copy: Path) -> None:
    """Make the files look an hour old: Postfix waits a second or two for one that just changed."""
    for each in _FILES:
        moment = (copy / each).stat().st_mtime - 3600
        os.utime(copy / each, (moment, moment))


def _edits(planned: Plan) -> Iterator[list[str]]:
    """Yield arguments of postconf(1): services first, so that no parameter counts as unused in between."""
    for place, entry in planned.services.items():
        yield ["-M", f"{place}={entry}"]
    if planned.parameters:
        yield ["-e", *(f"{parameter}={value}" for parameter, value in planned.parameters.items())]
    for place, value in planned.service_options.items():
        yield ["-P", f"{place}={value}"]


def reload(folder: Path) -> str:
    """Let a running Postfix read its configuration anew; return what happened, in words."""
    postfix = "/usr/sbin/postfix"
    try:
        if _run(postfix, "-c", str(folder), "status").returncode != 0:
            return "Postfix does not run: it takes the change when it starts"
        done = _run(postfix, "-c", str(folder), "reload")
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"Postfix was not reloaded: {error}"
    return "Postfix reloaded" if done.returncode == 0 else f"Postfix was not reloaded: {done.stderr.strip()}"


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - fixed programs
