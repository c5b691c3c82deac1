"""`smtpapi suppress`: show and change the suppression list (docs/suppression.md)."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TextIO

import click

from engagement.registry import open_registry
from engagement.registry.port import Registry
from engagement.settings import load_file
from engagement.settings.option_types.mail import is_list_id
from engagement.suppression import book
from engagement.suppression.book import ComplianceError, Search
from engagement.suppression.model import BadEntryError, Entry, MailKind, Source, checked
from engagement.suppression.reading import read_csv, shown, write_csv
from engagement.terminal import json_line
from smtpapi.commands.data.events import Since
from smtpapi.commands.options import config_option, exit_on_error, say

_BOTH = "both"
_SHOWN_FAULTS = 20  # lines of a file that are named; of the others only how many they are
_PORTION = 1000  # entries written at once, and lines between two moves of the bar; bounds the memory


def _list_id(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    if text and not is_list_id(text):
        raise click.BadParameter(f"{text!r}: letters, digits, '-', '_' and '.', no '.' at an end and no '..'")
    return text


_tenant = click.option("--tenant", default="", help="Of this customer's mail only; without it, of all mail.")
_type = click.option(
    "--type",
    "kind",
    type=click.Choice((*(kind.value for kind in MailKind), _BOTH)),
    default=MailKind.NON_TRANSACTIONAL.value,
    show_default=True,
    help="The type of mail that is suppressed.",
)


@click.group()
def command() -> None:
    """Show and change the suppression list: who gets no more mail of a type.

    Exit status: 1 when it could not be done, 2 for a broken configuration.
    """


@command.command()
@config_option
@_type
@_tenant
@click.option("--list-id", default="", callback=_list_id, help="Mail of this list only (its List-Id).")
@click.option("--description", default="", help="Why, for people.")
@click.argument("addresses", nargs=-1, required=True)
def add(
    config: Path, kind: str, tenant: str, list_id: str, description: str, addresses: tuple[str, ...]
) -> None:
    """Put ADDRESSES on the list, or change their entries."""
    with _registry(config) as registry:
        entries = [
            Entry(each, one, Source.MANUALLY_ADDED, description, list_id, tenant)
            for each in addresses
            for one in _kinds(kind)
        ]
        _checked(entries)
        for entry in entries:
            book.add(registry, entry)
        say(f"{len(addresses)} recipient(s) suppressed")


@command.command()
@config_option
@click.option(
    "--type",
    "kind",
    type=click.Choice((*(kind.value for kind in MailKind), _BOTH)),
    default=_BOTH,
    show_default=True,
    help="Entries of this type.",
)
@_tenant
@click.option("--list-id", callback=_list_id, help="Entries of this list only; '' for those of no list.")
@click.argument("addresses", nargs=-1, required=True)
def remove(config: Path, kind: str, tenant: str, list_id: str | None, addresses: tuple[str, ...]) -> None:
    """Take ADDRESSES off the list. One that is not on it makes the exit status 1."""
    with _registry(config) as registry:
        missing = False
        for each in addresses:
            count = book.remove(registry, each, types=_kinds(kind), list_id=list_id, tenant=tenant)
            say(f"{each}: {count} entries removed" if count else f"{each}: not on the list", err=not count)
            missing = missing or not count
    if missing:
        sys.exit(1)


@command.command("list")
@config_option
@click.option("--type", "types", multiple=True, type=click.Choice([each.value for each in MailKind]))
@click.option("--source", "sources", multiple=True, type=click.Choice([each.value for each in Source]))
@click.option("--domain", default="", help="Of recipients at this domain.")
@click.option("--description", default="", help="With this text in the description.")
@click.option("--list-id", callback=_list_id, help="Of this list; '' for those of no list.")
@click.option("--since", type=Since(), help="Changed from here on: 2h, 7d, or a moment in ISO 8601 (UTC).")
@click.option("--until", type=Since(), help="Changed up to here, not included.")
@_tenant
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.argument("address", required=False)
def show(
    config: Path,
    types: tuple[str, ...],
    sources: tuple[str, ...],
    domain: str,
    description: str,
    list_id: str | None,
    since: int | None,
    until: int | None,
    tenant: str,
    as_json: bool,
    address: str | None,
) -> None:
    """Print the entries that fit, by recipient; those of ADDRESS alone if it is given."""
    search = Search(
        tenant,
        frozenset(map(MailKind, types)),
        frozenset(map(Source, sources)),
        domain,
        description,
        list_id=list_id,
        from_ms=since,
        to_ms=until,
    )
    with _registry(config) as registry:
        entries = (
            _found(registry, search)
            if address is None
            else filter(search.fits, book.get(registry, address, tenant))
        )
        for entry in entries:
            say(json_line(shown(entry)) if as_json else _line(entry))


@command.command("import")
@config_option
@_type
@_tenant
@click.option("--list-id", default="", callback=_list_id, help="Of lines that name none.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
def import_(config: Path, kind: str, tenant: str, list_id: str, file: Path) -> None:
    """Put the recipients of FILE (CSV, - for standard input) on the list.

    The first line may name the columns: recipient (or email), type (or transactional and non_transactional),
    description, list_id, source. Without it the first column is the recipient. --type is for lines that name
    no type. Lines that hold no recipient are named, the others are taken; the exit status is then 1.
    """
    faults = count = 0
    with _registry(config) as registry, _opened(file) as (stream, bar):
        waiting: list[Entry] = []
        lines = _watched(stream, bar)
        for line in read_csv(lines, tenant=tenant, default=_kinds(kind), default_list=list_id):
            if line.fault:
                faults += 1
                if faults <= _SHOWN_FAULTS:
                    say(f"{file}:{line.number}: {line.fault}", err=True)
            waiting += line.entries
            if len(waiting) >= _PORTION:
                count += book.add_many(registry, waiting)
                waiting = []
        count += book.add_many(registry, waiting)
    if faults > _SHOWN_FAULTS:
        say(f"{file}: and {faults - _SHOWN_FAULTS} more", err=True)
    say(f"{count} entries taken" + (f", {faults} line(s) left out" if faults else ""))
    if faults:
        sys.exit(1)


@command.command()
@config_option
@_tenant
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path), default="-")
def export(config: Path, tenant: str, file: Path) -> None:
    """Write all entries to FILE (- for standard output) as CSV, which `import` reads again.

    No cell begins as a spreadsheet's formula does: an apostrophe is put before it.
    """
    with _registry(config) as registry:
        entries = _found(registry, Search(tenant))
        if str(file) == "-":
            write_csv(entries, sys.stdout)
            return
        with file.open("w", encoding="utf-8", newline="") as stream:
            count = write_csv(entries, stream)
    say(f"{count} entries written to {file}")


def _found(registry: Registry, search: Search) -> Iterator[Entry]:
    cursor = ""
    while True:
        page = book.find(registry, search, cursor)
        yield from page.entries
        if not (cursor := page.cursor):
            return


def _line(entry: Entry) -> str:
    """Return an entry in one line, the recipient first and what people wrote last."""
    of_list = f" list={entry.list_id}" if entry.list_id else ""
    description = f": {entry.description}" if entry.description else ""
    moment = shown(entry)["updated"]
    return f"{entry.recipient} {entry.type.value}{of_list} {moment} {entry.source.value}{description}"


def _kinds(kind: str) -> tuple[MailKind, ...]:
    return tuple(MailKind) if kind == _BOTH else (MailKind(kind),)


def _checked(entries: list[Entry]) -> None:
    """Refuse all where one is none, before anything is written."""
    for entry in entries:
        try:
            checked(entry)
        except BadEntryError as error:
            say(f"{entry.recipient}: {error}", err=True)
            sys.exit(1)


@contextmanager
def _opened(file: Path) -> Iterator[tuple[TextIO, "click._termui_impl.ProgressBar[int] | None"]]:
    """Open a file of text; with a progress bar where a person watches and its length is known."""
    if str(file) == "-":
        yield sys.stdin, None
        return
    with file.open(encoding="utf-8", errors="replace", newline="") as stream:
        size = file.stat().st_size
        bar = click.progressbar(length=size, label="Importing", file=sys.stderr)
        with bar if sys.stderr.isatty() else nullcontext() as shown_bar:
            yield stream, shown_bar


def _watched(stream: TextIO, bar: "click._termui_impl.ProgressBar[int] | None") -> Iterator[str]:
    done = 0
    for number, line in enumerate(stream, 1):
        done += len(line.encode("utf-8", "replace"))
        if bar is not None and number % _PORTION == 0:
            bar.update(done)
            done = 0
        yield line
    if bar is not None:
        bar.update(done)


@contextmanager
def _registry(config: Path) -> Iterator[Registry]:
    with exit_on_error(), closing(open_registry(load_file(config))) as registry:
        try:
            yield registry
        except ComplianceError as error:
            say(str(error), err=True)
            sys.exit(1)
