"""`smtpapi config upgrade`: write an earlier configuration as today's, shown first, and undone exactly."""

import sys
from pathlib import Path

import click

from engagement.settings import SettingsError
from engagement.settings.files import FileReader
from engagement.settings.schema.earlier import Change, upgraded
from smtpapi.commands.options import config_option, exit_on_error, say
from smtpapi.setup import undoing

_TROUBLE = (undoing.CannotUndo, OSError, ValueError)


@click.group()
def command() -> None:
    """Care for the configuration's files."""


@command.command("upgrade")
@config_option
@click.option("--diff", "mode", flag_value="diff", default=True, help="Show the change (default).")
@click.option("--apply", "mode", flag_value="apply", help="Change the files.")
@click.option("--undo", "mode", flag_value="undo", help="Write back what was there before --apply.")
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("/var/lib/smtpapi/setup"),
    show_default=True,
    help="Folder that keeps what was there before, for --undo.",
)
def upgrade(config: Path, mode: str, state: Path) -> None:
    """Write what an earlier configuration says as it is said today, in the file and all it includes.

    Names that changed, options that went (they become comments), Cassandra's port of before, typographic
    quotes, files that are not UTF-8. Comments and layout stay, and what is in force is the same. Programs
    read the earlier words for ever, so there is no hurry. Exit status: 1 where a file cannot be changed or
    undone, 2 for a configuration that cannot be parsed; nothing was changed then.
    """
    config = config.absolute()
    record = state / "config.json"
    try:
        if mode == "undo":
            _undo(record)
            return
        files, changes = _upgraded(config)
        for change in changes:
            say(f"{change.place}: {change.what}", err=True)
        if not files:
            say("Nothing to change.")
        for path, content in files.items() if mode == "diff" else ():
            say(undoing.difference(path, path.read_bytes(), content), nl=False)
        if mode == "apply" and files:
            undoing.apply(record, files)
            for path in files:
                say(f"changed {path}")
            say(f"what was there is kept in {record}, for --undo")
            say("now: smtpapi check-config && systemctl reload smtpapi.target")
    except _TROUBLE as error:
        say(f"smtpapi config upgrade: {error}. Nothing was changed.", err=True)
        sys.exit(1)


def _upgraded(config: Path) -> tuple[dict[Path, bytes], list[Change]]:
    """Return the files that change, as they will be, and what changes. Exits for files that are wrong."""
    reader = FileReader()
    files: dict[Path, bytes] = {}
    changes: list[Change] = []
    with exit_on_error():
        reader.read(config)
        if reader.problems:
            raise SettingsError(reader.problems)
    for path in reader.paths:
        content = path.read_bytes()
        found = upgraded(content, str(path))
        changes += found.changes
        if found.content != content:
            files[path] = found.content
    return files, changes


def _undo(record: Path) -> None:
    """Write back what was there."""
    files = undoing.undone(record)
    undoing.forget(record, files)
    for path in files:
        say(f"restored {path}")
    if not files:
        say("Nothing to undo.")
