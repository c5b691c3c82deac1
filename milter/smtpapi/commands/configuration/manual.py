"""Write the manual pages from the commands themselves: `python -m smtpapi.commands.configuration.manual DIR`.

Not a command of the program: `make packages` calls it. One page a command, its subcommands in it, one of the
program, and smtpapi.conf(5) from the page of settings. The source is groff's man(7) language.
"""

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from engagement.settings import explain
from smtpapi.commands import main

_FILES = """\
.SH FILES
.TP
.I /etc/smtpapi/smtpapi.conf
The configuration; the environment variable SMTPAPI_CONFIG names another.
.TP
.I /etc/smtpapi/keys
The key ring. Links in mail already sent need it: back it up.
.SH "EXIT STATUS"
0 when it did what was asked; 2 for wrong usage or a configuration, key ring or file that cannot be used, with
one line on standard error that says what to do; others are named above."""


def pages(version: str) -> dict[str, str]:
    """Return the text of each page, by file name. version: of the program, for the foot of each page."""
    context = click.Context(main, info_name="smtpapi")
    commands = [(name, _command(main, context, name)) for name in main.list_commands(context)]
    made = {"smtpapi.1": "\n".join(_program(context, commands, version)) + "\n"}
    for name, command in commands:
        inner = click.Context(command, parent=context, info_name=name)
        made[f"smtpapi-{name}.1"] = "\n".join(_page(command, inner, version)) + "\n"
    made["smtpapi.conf.5"] = "\n".join(_settings(version)) + "\n"
    return made


def _command(group: click.Group, context: click.Context, name: str) -> click.Command:
    command = group.get_command(context, name)
    assert command is not None
    return command


def _head(name: str, version: str, summary: str, section: int = 1) -> Iterator[str]:
    yield f'.TH {_text(name.upper())} {section} "" "smtpapi {version}" "smtpapi"'
    yield ".SH NAME"
    yield f"{_text(name)} \\- {_text(summary)}"


def _program(
    context: click.Context, commands: list[tuple[str, click.Command]], version: str
) -> Iterator[str]:
    yield from _head("smtpapi", version, "click and open tracking for Postfix and Sendmail")
    yield ".SH SYNOPSIS"
    yield from _synopsis(main, context)
    yield ".SH DESCRIPTION"
    yield _text(inspect.cleandoc(main.help or ""))
    yield ".SH COMMANDS"
    for name, command in commands:
        yield ".TP"
        yield f"\\fBsmtpapi\\-{_text(name)}\\fR(1)"
        yield _text(_summary(command))
    yield from _options(main, context)
    yield _FILES
    yield ".SH SEE ALSO"
    yield ", ".join(f"\\fBsmtpapi\\-{_text(name)}\\fR(1)" for name, _ in commands)


def _page(command: click.Command, context: click.Context, version: str) -> Iterator[str]:
    yield from _head(context.command_path.replace(" ", "-"), version, _summary(command).rstrip("."))
    yield ".SH SYNOPSIS"
    yield from _synopsis(command, context)
    yield ".SH DESCRIPTION"
    yield from _paragraphs(command.help or "")
    yield from _options(command, context)
    if isinstance(command, click.Group):
        yield ".SH COMMANDS"
        yield from _inner(command, context)
    yield _FILES
    yield ".SH SEE ALSO"
    yield "\\fBsmtpapi\\fR(1)"


def _settings(version: str) -> Iterator[str]:
    """Yield the page of settings in man(7). Its Markdown has headings, lists, code and paragraphs only."""
    yield from _head("smtpapi.conf", version, "configuration of smtpapi", 5)
    yield ".SH DESCRIPTION"
    code = False
    for line in explain.reference().splitlines()[1:]:
        if line.startswith("```"):
            code = not code
            yield ".PP\n.nf" if code else ".fi"
        elif code:
            yield _text(line)
        elif heading := re.match(r"(##+) (.*)", line):
            yield f"{'.SH' if heading[1] == '##' else '.SS'} {_text(heading[2])}"
        elif item := re.match(r"\* (.*)|\d+\. (.*)", line):
            yield f".IP - 2\n{_bold(item[1] or item[2])}"
        elif not line.strip():
            yield ".PP"
        elif not line.startswith("<!--"):
            yield _bold(line.strip())


def _bold(text: str) -> str:
    """Return a line with what stands in backquotes in bold."""
    parts = re.split(r"(?<!`)`([^`]*)`", text)
    return _text("".join(f"\0{part}\1" if at % 2 else part for at, part in enumerate(parts))).translate(
        {0: "\\fB", 1: "\\fR"}
    )


def _inner(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = _command(group, context, name)
        inner = click.Context(command, parent=context, info_name=name)
        yield f".SS {_text(inner.command_path)}"
        yield from _synopsis(command, inner)
        yield ".PP"
        yield from _paragraphs(command.help or "")
        yield from _listed(command, inner)
        if isinstance(command, click.Group):
            yield from _inner(command, inner)


def _synopsis(command: click.Command, context: click.Context) -> Iterator[str]:
    pieces = " ".join(command.collect_usage_pieces(context))
    yield f"\\fB{_text(context.command_path)}\\fR {_text(pieces)}".rstrip()


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    lines = list(_listed(command, context))
    if lines:
        yield ".SH OPTIONS"
        yield from lines


def _listed(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None:
            yield ".TP"
            yield f"\\fB{_text(record[0])}\\fR"
            yield _text(" ".join(record[1].split())) or "."


def _paragraphs(help_text: str) -> Iterator[str]:
    for number, paragraph in enumerate(re.split(r"\n\s*\n", inspect.cleandoc(help_text))):
        if number:
            yield ".PP"
        verbatim = paragraph.startswith("\b")  # click's sign for lines that stay as they are
        lines = paragraph.removeprefix("\b").strip("\n").splitlines()
        yield from [".nf", *map(_text, lines), ".fi"] if verbatim else map(_text, lines)


def _summary(command: click.Command) -> str:
    return " ".join(inspect.cleandoc(command.help or "").partition("\n\n")[0].split())


def _text(text: str) -> str:
    """Return text as groff prints it: no character of it is an instruction."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in escaped.split("\n"))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for file_name, source in pages(sys.argv[2]).items():
        (folder / file_name).write_text(source, encoding="utf-8")
