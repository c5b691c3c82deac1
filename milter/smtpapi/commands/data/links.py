"""`smtpapi links`: stop links in sent mail, let them lead on again, point them elsewhere.

The trackers of this host follow the list within seconds; none of these commands needs a restart.
"""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from engagement.links.stops import Stops, StopsError, edit, load
from engagement.links.urls import refusal
from engagement.settings import load_file
from engagement.terminal import printable
from smtpapi.commands.options import config_option, exit_on_error, say

_MESSAGE = re.compile(r"[0-9a-fA-F]{32}")
_TRANSMISSION = re.compile(r"[0-9]{1,20}")
_Which = tuple[str, str]  # the field of `Stops`, and what is in it


@click.group()
def command() -> None:
    """Stop links, let them lead on again, or point them elsewhere.

    The trackers that share the list (tracker { stop_list }) follow within five seconds. Where several hosts
    answer links, do it on each, or copy the list there.

    Exit status: 1 when it could not be done, 2 for a broken configuration or wrong arguments.
    """


def _which(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--target", metavar="URL", help="All links to URL, exactly as its author wrote it."),
        click.option("--campaign", metavar="NAME", help="All links of a campaign."),
        click.option(
            "--message",
            metavar="ID",
            help="The links of one recipient's copy (message_id of its events, 32 digits), or of all copies "
            "of a message (transmission_id, decimal).",
        ),
    ):
        function = option(function)
    return config_option(function)


def _chosen(message: str | None, campaign: str | None, target: str | None) -> _Which:
    given = [name for name, value in (("m", message), ("c", campaign), ("t", target)) if value]
    if len(given) != 1:
        raise click.UsageError("say one of --message, --campaign and --target")
    if target:
        return "targets", _url("--target", target)
    if campaign:
        return "campaigns", campaign
    assert message is not None
    if _MESSAGE.fullmatch(message):
        return "messages", message.lower()
    if _TRANSMISSION.fullmatch(message):
        return "transmissions", str(int(message))
    raise click.UsageError(
        f"--message: {message!r:.60} is neither a message_id (32 hexadecimal digits) nor a transmission_id; "
        "`smtpapi events --json` shows both"
    )


def _url(option: str, text: str) -> str:
    why = refusal(text.encode("utf-8", "surrogateescape"))
    if why is not None:
        raise click.UsageError(f"{option}: no link can lead there: {why}")
    return text


@command.command()
@_which
@click.option("--sender", default="", metavar="NAME", help="Who readers are told has switched it off.")
def stop(config: Path, message: str | None, campaign: str | None, target: str | None, sender: str) -> None:
    """Stop links: readers get a page that names the sender, and are led nowhere (410).

    Pixels are served as before and hits are recorded. One-click unsubscribing goes on.
    """
    sort, name = _chosen(message, campaign, target)
    with _list(config) as path:
        edit(path, lambda stops: replace(stops, **{sort: {**getattr(stops, sort), name: sender}}))
        say(f"stopped: {_description(sort, name)}")


@command.command()
@_which
def allow(config: Path, message: str | None, campaign: str | None, target: str | None) -> None:
    """Let links lead on again; with --target, to where their author pointed."""
    sort, name = _chosen(message, campaign, target)
    with _list(config) as path:
        known = load(path)
        if name not in getattr(known, sort) and not (sort == "targets" and name in known.points):
            say(f"{path}: {_description(sort, name)} was not stopped; nothing was changed", err=True)
            sys.exit(1)
        edit(path, lambda stops: _without(stops, sort, name))
        say(f"leads on again: {_description(sort, name)}")


def _without(stops: Stops, sort: str, name: str) -> Stops:
    left = {each: other for each, other in getattr(stops, sort).items() if each != name}
    stops = replace(stops, **{sort: left})
    if sort != "targets":
        return stops
    return replace(stops, points={each: other for each, other in stops.points.items() if each != name})


@command.command()
@config_option
@click.option(
    "--target", required=True, metavar="URL", help="Where the links lead, as their author wrote it."
)
@click.option("--to", required=True, metavar="URL", help="Where they shall lead.")
def point(config: Path, target: str, to: str) -> None:
    """Point links elsewhere that were sent with a wrong URL. `allow --target` takes it back.

    Their events keep the URL that the mail was sent with.
    """
    target, to = _url("--target", target), _url("--to", to)
    with _list(config) as path:
        edit(path, lambda stops: replace(stops, points={**stops.points, target: to}))
        say(f"pointed: {target} to {to}")


@command.command("list")
@config_option
def show(config: Path) -> None:
    """Print what is stopped and what is pointed elsewhere, one a line."""
    with _list(config) as path:
        stops = load(path)
    for sort in ("messages", "transmissions", "campaigns", "targets"):
        for name, sender in getattr(stops, sort).items():
            say(printable(f"stopped  {_description(sort, name)}" + (f"  by {sender}" if sender else "")))
    for target, to in stops.points.items():
        say(printable(f"pointed  target {target}  to {to}"))


def _description(sort: str, name: str) -> str:
    return printable(f"{sort.removesuffix('s')} {name}")


@contextmanager
def _list(config: Path) -> Iterator[Path]:
    with exit_on_error():
        path = Path(load_file(config).tracker.stop_list)
        try:
            yield path
        except StopsError as error:
            say(str(error), err=True)
            sys.exit(1)
