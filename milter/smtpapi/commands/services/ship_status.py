"""`smtpapi ship --status`: what waits in the spool, and what the shipper did last."""

import json
import time
from pathlib import Path

import click

from engagement.events.record import BadRecord, decode
from engagement.shipper import status as shipper_status
from engagement.shipper.lock import is_held
from engagement.spool.names import unknown_keys
from engagement.spool.read import Backlog, SpoolReader


def print_status(directory: Path, as_json: bool) -> None:
    """Print the status of a spool and its shipper, as lines for people or as one JSON line."""
    waiting = SpoolReader(directory).backlog()
    last = shipper_status.load(directory)
    now = time.time()
    ages = [now - at for at in map(_at, waiting.firsts) if at is not None]
    if as_json:
        click.echo(json.dumps(_state(directory, waiting, last, max(ages) if ages else None)))
        return
    if not directory.is_dir():
        click.echo(
            f"spool     {directory} is not there: it was removed, with what waited in it, or nothing was "
            "recorded yet. The programs make it with their next event."
        )
    click.echo(f"shipper   {'active' if is_held(directory) else 'not running'}")
    click.echo(f"waiting   {waiting.records} record(s), {waiting.size} bytes, {waiting.segments} segment(s)")
    if ages:
        click.echo(f"oldest    {max(ages):.1f} s")
    if unknown := unknown_keys(directory):
        names = {key: "others" if key == "0" else f"key {key}" for key in unknown}
        counts = ", ".join(f"{count} of {names[key]}" for key, count in unknown.items())
        click.echo(f"unknown   links of keys that the ring here lacks, answered with 404: {counts}")
    if last is not None:
        _print_last(directory, last, now)


def _state(
    directory: Path, waiting: Backlog, last: shipper_status.ShipperStatus | None, oldest: float | None
) -> dict[str, object]:
    return {
        "active": is_held(directory),
        "backlog_bytes": waiting.size,
        "backlog_records": waiting.records,
        "oldest_seconds": round(oldest, 1) if oldest is not None else None,
        "carried": last.carried if last else None,
        "rate": round(last.rate, 1) if last else None,
        "set_aside": last.set_aside if last else None,
        "outdated": last.outdated if last else None,
        "trouble": last.trouble if last else "",
        "last_error": last.last_error if last else "",
        "last_error_at": last.last_error_at if last and last.last_error else None,
        "failing": last.failing if last else False,
        "unknown_keys": unknown_keys(directory),
    }


def _print_last(directory: Path, last: shipper_status.ShipperStatus, now: float) -> None:
    click.echo(f"carried   {last.carried} since it began, {last.rate:.1f} a second lately")
    if last.set_aside:
        click.echo(f"set aside {last.set_aside}, see {directory / 'corrupt'}")
    if last.outdated:
        click.echo(f"outdated  {last.outdated} removed unshipped, older than store.retention")
    if last.trouble:
        click.echo(f"trouble   {last.trouble}")
    if last.last_error:
        since = "now" if last.failing else f"{now - last.last_error_at:.0f} s ago"
        click.echo(f"error     {since}: {last.last_error}")


def _at(record: bytes) -> float | None:
    try:
        return decode(record).at_ms / 1000
    except BadRecord:
        return None
