"""Print docs/commands.md from the commands themselves: `python -m smtpapi.commands.configuration.reference`.

Not a command of the program. A test compares the committed page with what this prints.
"""

import inspect
from collections.abc import Iterator

import click

from smtpapi.commands import main

_HEAD = """\
# Commands

Written by `make docs` from the commands' own declarations. Every command exits with 0 when it did what was
asked and 2 for wrong usage or a configuration, key ring or file that cannot be used, with one line on
standard error that says what to do; other statuses are named below.
"""


def page() -> str:
    """Return the whole page, as Markdown."""
    context = click.Context(main, info_name="smtpapi")
    lines = [_HEAD]
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        lines += _section(command, click.Context(command, parent=context, info_name=name), "##")
    return "\n".join(lines)


def _section(command: click.Command, context: click.Context, level: str) -> Iterator[str]:
    yield f"{level} {context.command_path}\n"
    yield f"    {' '.join([context.command_path, *command.collect_usage_pieces(context)])}\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    options = [p for p in command.params if isinstance(p, click.Option)]
    if options:
        yield "| option | what it does |"
        yield "| --- | --- |"
        for option in options:
            record = option.get_help_record(context)
            if record is not None:
                yield f"| `{_cell(record[0])}` | {_cell(record[1])} |"
        yield ""
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _section(inner, click.Context(inner, parent=context, info_name=name), level + "#")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    click.echo(page(), nl=False)
