"""`smtpapi events`: print what is in the store, or follow what comes in."""

import csv
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import click

from engagement.events.agents import with_agent
from engagement.events.fields import ALL_TYPES, INJECTION, MESSAGE_TYPES, Fields
from engagement.settings import load_file
from engagement.spreadsheet import cell
from engagement.stores import open_store
from engagement.stores.port import MAX_LIMIT, EventStore, Query, StoreError, cursor_of
from engagement.terminal import json_line, printable
from smtpapi.commands.options import config_option, exit_on_error, say

_POLL_SECONDS = 0.2  # soon for a person who waits for an event, and few questions to the store
_LAST_MS = 253_370_764_800_000  # 9999-01-01: what is later has no year that Python writes
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_COLUMNS = (
    *("timestamp", "type", "event_id", "raw_rcpt_to", "campaign_id", "target_link_name", "target_link_url"),
    *("subject", "friendly_from", "msg_from", "message_id", "transmission_id", "ip_address", "user_agent"),
    *("x_client_class", "x_client_reason", "x_repeat", "x_expired", "x_spoiled", "rcpt_tags", "rcpt_meta"),
    *("x_hits", "x_client_certain", "bounce_class", "error_code", "x_enhanced_code", "reason", "num_retries"),
    "queue_time",
)


class Since(click.ParamType[int]):
    """A span back from now ("90s", "10m", "2h", "7d") or a moment in ISO 8601, as Unix milliseconds."""

    name = "since"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the moment; fail the option for what is none."""
        text = str(value)
        span = re.fullmatch(r"([0-9]{1,9})([smhdw])", text, re.ASCII)
        if span:
            return max(0, int((time.time() - int(span[1]) * _UNITS[span[2]]) * 1000))
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(
                f"{text!r}: say how far back (90s, 10m, 2h, 7d) or a moment (2026-11-01T08:00)", param, ctx
            )
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return min(max(0, int(moment.timestamp() * 1000)), _LAST_MS)


@click.command()
@config_option
@click.option("--follow", is_flag=True, help="Show events as they come in, until interrupted.")
@click.option("--recipient", "recipients", multiple=True, help="Of this recipient; may be given again.")
@click.option("--campaign", "campaigns", multiple=True, help="Of this campaign; may be given again.")
@click.option("--tag", "tags", multiple=True, help="With this tag; may be given again.")
@click.option(
    "--message-id-header",
    "headers",
    multiple=True,
    help="Of the mail with this Message-ID field, angle brackets included; may be given again.",
)
@click.option(
    "--type", "types", multiple=True, type=click.Choice(ALL_TYPES), help="Of this type; may be given again."
)
@click.option("--since", type=Since(), help="Not older: 90s, 10m, 2h, 7d, or a moment in ISO 8601 (UTC).")
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Most events shown."
)
@click.option("--expired", is_flag=True, help="Also fetches of links whose time was over.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, all fields.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV with a head line.")
def command(
    config: Path,
    follow: bool,
    recipients: tuple[str, ...],
    campaigns: tuple[str, ...],
    tags: tuple[str, ...],
    headers: tuple[str, ...],
    types: tuple[str, ...],
    since: int | None,
    limit: int,
    expired: bool,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Show events, oldest first; the newest --limit of them.

    With --follow: what comes in from now on (with --since: what is there already, too).
    """
    if as_json and as_csv:
        raise click.UsageError("--json or --csv, not both")
    query = Query(
        from_ms=since,
        types=types,
        recipients=recipients,
        campaigns=campaigns,
        tags=tags,
        message_id_headers=headers,
        expired=expired,
        limit=limit,
    )
    show = _csv_printer() if as_csv else _print_json if as_json else _print_line
    try:
        with exit_on_error(), closing(open_store(load_file(config))) as store:
            if follow:
                _follow(store, query, show, past=since is not None)
            else:
                show(_past(store, query))
    except BrokenPipeError:
        # The reader of our output is gone. Python would report that once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _past(store: EventStore, query: Query) -> list[Fields]:
    """Return the newest query.limit events, oldest first. A store returns at most MAX_LIMIT at once."""
    found: list[Fields] = []
    cursor = ""
    while len(found) < query.limit:
        page_size = min(query.limit - len(found), MAX_LIMIT)
        page = list(store.find(replace(query, limit=page_size, cursor=cursor)))
        found += page
        if len(page) < page_size:
            break
        cursor = cursor_of(page[-1])
    return found[::-1]


def _follow(store: EventStore, query: Query, show: Callable[[Iterable[Fields]], None], *, past: bool) -> None:
    stop = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    mark = store.arrivals("").mark  # before what is there: an event between the two comes twice, not never
    printed: set[str] = set()
    if past:
        shown = _past(store, query)
        printed = {event["event_id"] for event in shown}
        show(shown)
    else:
        show([])
    trouble = ""
    while not stop.is_set():
        try:
            arrivals = store.arrivals(mark, expired=query.expired)
        except StoreError as error:
            if str(error) != trouble:
                trouble = str(error)
                say(trouble, err=True)
            stop.wait(1)
            continue
        mark, trouble = arrivals.mark, ""
        show(
            [
                event
                for event in arrivals.events
                if event["event_id"] not in printed and _matches(event, query)
            ]
        )
        if not arrivals.events:
            stop.wait(_POLL_SECONDS)


def _matches(event: Fields, query: Query) -> bool:
    return (
        (not query.types or event["type"] in query.types)
        and (not query.recipients or event.get("rcpt_to") in [name.lower() for name in query.recipients])
        and (not query.campaigns or event.get("campaign_id") in query.campaigns)
        and (not (headers := query.message_id_headers) or event.get("x_message_id_header") in headers)
        and (not query.tags or not set(query.tags).isdisjoint(event.get("rcpt_tags", ())))
    )


def _print_json(events: Iterable[Fields]) -> None:
    for event in events:
        sys.stdout.write(json_line(with_agent(event)) + "\n")
    sys.stdout.flush()


def _print_line(events: Iterable[Fields]) -> None:
    for event in events:
        sys.stdout.write(line(event) + "\n")
    sys.stdout.flush()


def line(event: Fields) -> str:
    """Return an event as a person reads it: time, type, recipient, campaign, what of it, remarks.

    What: the subject of an injection; of a link its name and target; of a delivery or bounce code and reason.
    """
    moment = datetime.fromisoformat(event["timestamp"]).astimezone()
    remarks = [
        *([_client(event)] if event.get("x_client_class", "human") != "human" else []),
        *(word for word in ("repeat", "expired", "spoiled") if event.get(f"x_{word}")),
        *([event["x_outcome"]] if event.get("x_outcome") else []),
    ]
    columns = [
        f"{moment:%Y-%m-%d %H:%M:%S}",
        f"{event['type']:<16}",
        event.get("raw_rcpt_to", "-"),
        event.get("campaign_id", "-"),
    ]
    if event["type"] == INJECTION:
        columns.append(event.get("subject", "-"))
    elif event["type"] in MESSAGE_TYPES:
        code = event.get("x_enhanced_code") or event.get("error_code") or event.get("fbtype", "-")
        columns += [code, event.get("reason", "-")]
    elif "target_link_url" in event:
        columns += [event["target_link_name"], event["target_link_url"]]
    if remarks:
        columns.append(f"({', '.join(remarks)})")
    return "  ".join(printable(word) for word in columns)


def _client(event: Fields) -> str:
    """Return the class of a hit's client, with a question mark where it is no more than probable."""
    return str(event["x_client_class"]) + ("?" if event.get("x_client_certain") is False else "")


def _csv_printer() -> Callable[[Iterable[Fields]], None]:
    writer = csv.writer(sys.stdout, lineterminator="\r\n")  # RFC 4180 2 (1)
    started: list[bool] = []

    def show(events: Iterable[Fields]) -> None:
        if not started:
            started.append(True)
            writer.writerow(_COLUMNS)
        for event in events:
            writer.writerow([cell(event.get(name, "")) for name in _COLUMNS])
        sys.stdout.flush()

    return show
