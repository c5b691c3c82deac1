"""`smtpapi stats`: print figures, as docs/figures.md defines them, or count days again."""

import csv
import difflib
import os
import sys
from contextlib import closing
from pathlib import Path

import click

from engagement.figures.definitions import FIGURES, RATES
from engagement.figures.increments import LIFE, PRECISIONS
from engagement.figures.query import GROUPS
from engagement.settings import load_file
from engagement.spreadsheet import cell
from engagement.stores import open_store
from engagement.stores.port import FigureQuery, FigureRow, UnsupportedQueryError
from engagement.terminal import json_line
from smtpapi.commands.data.events import Since
from smtpapi.commands.data.stats_table import record, table
from smtpapi.commands.data.stats_verify import verify as counted_again
from smtpapi.commands.options import config_option, exit_on_error, say

# What the groups are ordered by where nothing else is said.
_FIRST = {
    "campaign": "count_injected",
    "domain": "count_injected",
    "link": "count_clicked",
    "machine": "x_count_recorded_rendered",
}


def _names(_context: click.Context, _parameter: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return names of figures and rates. Refuse others, with the nearest one."""
    for name in names:
        if name not in FIGURES and name not in RATES:
            near = difflib.get_close_matches(name, [*FIGURES, *RATES], 1)
            hint = f"; is it {near[0]}?" if near else ""
            raise click.BadParameter(f"{name!r} is no figure (docs/figures.md lists them){hint}")
    return names


@click.command()
@config_option
@click.option("--campaign", "campaigns", multiple=True, help="Of this campaign; may be given again.")
@click.option("--domain", "domains", multiple=True, help="To recipients at this domain; may be given again.")
@click.option("--since", type=Since(), help="From here on: 2h, 7d, or a moment in ISO 8601 (UTC).")
@click.option("--until", type=Since(), help="Up to here, not included: 1h, or a moment in ISO 8601 (UTC).")
@click.option(
    "--by",
    multiple=True,
    type=click.Choice((*GROUPS, *PRECISIONS)),
    help="A line for each; one of the first four and one of the times may be given together.",
)
@click.option(
    "--precision",
    type=click.Choice((*PRECISIONS, LIFE)),
    help="Within what a message is unique: up to 15min a minute, up to 12hr an hour, else a day; "
    "with life, once in a campaign. Times are rounded outwards to it. If not given, as --by says, "
    "life for campaigns as a whole, else day.",
)
@click.option("--figure", "figures", multiple=True, callback=_names, help="Only this; may be given again.")
@click.option("--order", callback=lambda c, p, v: _names(c, p, (v,) if v else ()), help="Most of this first.")
@click.option("--limit", type=click.IntRange(min=1), default=1000, show_default=True, help="Most groups.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with every figure and rate.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV with a head line, the same columns.")
@click.option(
    "--verify",
    is_flag=True,
    help="Count the days from --since to --until (yesterday and today) again from their events, say what "
    "differs, and put it right. Days some of whose events are erased or too old are left as they are.",
)
def command(
    config: Path,
    campaigns: tuple[str, ...],
    domains: tuple[str, ...],
    since: int | None,
    until: int | None,
    by: tuple[str, ...],
    precision: str | None,
    figures: tuple[str, ...],
    order: tuple[str, ...],
    limit: int,
    as_json: bool,
    as_csv: bool,
    verify: bool,
) -> None:
    """Show figures: deliveries, opens and clicks, by people, by machines and unsure, side by side.

    docs/figures.md says what each means. A rate is `-` where nothing was tracked or delivered.
    Exit status: 1 when the store fails, or with --verify when a figure was wrong; it is right then.
    """
    if as_json and as_csv:
        raise click.UsageError("--json or --csv, not both")
    if since is not None and until is not None and until <= since:
        raise click.UsageError("--until is not after --since")
    if verify:
        if campaigns or domains or by or precision or figures or order or as_json or as_csv:
            raise click.UsageError("--verify counts whole days of all mail; beside it go --since and --until")
        with exit_on_error(), closing(open_store(load_file(config), writing=True)) as store:
            sys.exit(counted_again(store, since, until))
    group = _group(by)
    whole = since is None and until is None and not domains and (group == "campaign" or bool(campaigns))
    query = FigureQuery(
        from_ms=since,
        to_ms=until,
        precision=_precision(by, precision, LIFE if whole and group in ("", "campaign") else "day"),
        series=any(word in PRECISIONS for word in by),
        by=group,
        metrics=_needed(figures),
        campaigns=campaigns,
        domains=tuple(domain.lower() for domain in domains),
        limit=limit,
        order_by=_order(order) or _FIRST.get(group, ""),
    )
    try:
        with exit_on_error(), closing(open_store(load_file(config))) as store:
            rows = store.figures(query)
        _print(rows, query, figures, as_json=as_json, as_csv=as_csv)
    except UnsupportedQueryError as error:
        raise click.UsageError(str(error)) from error
    except BrokenPipeError:
        # The reader of our output is gone. Python would report that once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _precision(by: tuple[str, ...], precision: str | None, otherwise: str) -> str:
    times = [word for word in by if word in PRECISIONS]
    if len(times) > 1 or (times and precision and precision != times[0]):
        raise click.UsageError("one time at most: in --by, or as --precision where lines are not by time")
    return precision or (times[0] if times else otherwise)


def _group(by: tuple[str, ...]) -> str:
    groups = [word for word in by if word in GROUPS]
    if len(groups) > 1:
        raise click.UsageError(f"--by {groups[0]} or --by {groups[1]}; together they are not kept")
    return groups[0] if groups else ""


def _needed(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the figures that figures and rates are made from."""
    found: list[str] = []
    for name in names:
        if name in RATES:
            each = RATES[name]
            found += [each.numerator, each.denominator, *([each.tracked] if each.tracked else [])]
        else:
            found.append(name)
    return tuple(dict.fromkeys(found))


def _order(order: tuple[str, ...]) -> str:
    if order and order[0] in RATES:
        raise click.UsageError("--order takes a figure; rates are not added up")
    return order[0] if order else ""


def _print(
    rows: tuple[FigureRow, ...], query: FigureQuery, names: tuple[str, ...], *, as_json: bool, as_csv: bool
) -> None:
    if not rows:
        say("nothing found", err=True)
        return
    if as_json:
        for row in rows:
            sys.stdout.write(json_line(record(row, query, names)) + "\n")
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\r\n")  # RFC 4180 2 (1)
        records = [record(row, query, names) for row in rows]
        writer.writerow(records[0])
        for each in records:
            writer.writerow(["" if value is None else cell(value) for value in each.values()])
    else:
        sys.stdout.write(table(rows, query, names))
    sys.stdout.flush()
