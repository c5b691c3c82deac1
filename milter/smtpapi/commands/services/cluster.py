"""`smtpapi cluster`: let several hosts answer as one; the program that does it, and commands around it."""

import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path

import click

from engagement.cluster import hosts, sealing
from engagement.cluster.documents import Documents
from engagement.cluster.entries import values
from engagement.cluster.hosts import HostReport
from engagement.cluster.program import ClusterProgram, host_name, keys_of
from engagement.cluster.sealing import SealError
from engagement.cluster.shared.ring import put_together
from engagement.cluster.state import StateError
from engagement.links.keys import RingError
from engagement.links.ring_file import edit_ring
from engagement.registry import open_registry
from engagement.settings import Settings, load_file
from engagement.systemd import Heartbeat, notify
from engagement.terminal import printable
from smtpapi.commands.options import config_option, exit_on_error, say
from smtpapi.commands.services.stopping import stopped_by_signal

_BACKUP = ".before-cluster"


@click.group()
def command() -> None:
    """Let several hosts that share a registry answer as one (docs/cluster.md).

    Exit status: 1 when it could not be done, 2 for a broken configuration, or one that names no cluster.
    """


@contextmanager
def _settings(config: Path) -> Iterator[Settings]:
    with exit_on_error():
        settings = load_file(config)
        if not settings.smtpapi_cluster.name:
            say(f'{config}: this host is in no cluster; name one: smtpapi_cluster {{ name = "…" }}', err=True)
            sys.exit(2)
        try:
            yield settings
        except (SealError, StateError, RingError) as error:
            say(str(error), err=True)
            sys.exit(1)


@command.command()
@config_option
def run(config: Path) -> None:
    """Exchange keys, stopped links, objections, rules and hosts of links until told to stop.

    By SIGTERM or SIGINT. One program a host; `smtpapi cluster status` says what it did.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    stop = stopped_by_signal()
    with _settings(config) as settings:
        program = ClusterProgram(settings)
        click.echo(f"{program.exchange.host} in the cluster {settings.smtpapi_cluster.name}", err=True)
        notify("READY=1")
        program.run(stop, Heartbeat().beat)
        notify("STOPPING=1")


@command.command()
@config_option
def init(config: Path) -> None:
    """Make the cluster's key, on its first host. Copy the file to the others, by a way nobody reads along."""
    with _settings(config) as settings:
        path = Path(settings.smtpapi_cluster.key_file)
        try:
            sealing.make(path)
        except FileExistsError:
            say(f"{path}: there is a key already; what is in the registry is sealed with it", err=True)
            sys.exit(1)
        try:
            shutil.chown(path, group="smtpapi-cluster")
        except (LookupError, PermissionError):
            say(f"{path}: give it to the group that `smtpapi cluster run` runs under", err=True)
        name = settings.smtpapi_cluster.name
        say(f"{path}: made. Copy it to each host of {name}; back it up with the key ring.")


@command.command()
@config_option
@click.option(
    "--take-ring",
    is_flag=True,
    help="Put this host's key ring aside and take the cluster's. Links that were made with it are dead then.",
)
def join(config: Path, take_ring: bool) -> None:
    """Tell whether this host can be one of the cluster; with --take-ring make it so, its filter stopped."""
    with _settings(config) as settings, closing(open_registry(settings)) as registry:
        documents = Documents(registry, keys_of(settings))
        documents.pull()
        if why := documents.shut("ring"):
            raise SealError(why)
        found = values(documents.of("ring"))
        if not found:
            say("There is no key ring in the cluster yet: that of the first host that runs will be its ring.")
            return
        ring, path = put_together(found), Path(settings.keys.ring)
        ids = ", ".join(str(key.id) for key in ring.keys)
        if not take_ring:
            say(
                f"The ring of the cluster has the keys {ids}; {ring.signing.id} signs. This host can open it."
            )
            return
        if path.exists():
            aside = path.with_name(path.name + _BACKUP)
            shutil.copy2(path, aside)
            old = path.stat()
            os.chown(aside, old.st_uid, old.st_gid)
            edit_ring(path, lambda _: ring)
            say(f"{path}: has the keys {ids} now; the ring before is in {aside}")
            return
        say(f"{path}: is not there; `smtpapi cluster run` writes it")


@command.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON line a host.")
def status(config: Path, as_json: bool) -> None:
    """Print the hosts: when each was heard last, its keys, and in what it differs from this one."""
    with _settings(config) as settings, closing(open_registry(settings)) as registry:
        reports, wrong = hosts.heard(registry, keys_of(settings))
    for text in wrong:
        say(text, err=True)
    now, host = time.time(), host_name(settings)
    own = next((report for report in reports if report.host == host), None)
    for report in reports:
        dead = report.age(now) > settings.smtpapi_cluster.dead_after
        if as_json:
            fields = asdict(report) | {
                "age": round(report.age(now), 1),
                "dead": dead,
                "here": report.host == host,
            }
            click.echo(json.dumps(fields))
        else:
            say(printable(_line(report, own, now, dead=dead)))
            for sort, text in report.trouble.items():
                say(printable(f"    {sort}: {text}"))
    if own is None:
        say(f"{host}: this host has said nothing yet; does `smtpapi cluster run` run here?", err=True)


def _line(report: HostReport, own: HostReport | None, now: float, *, dead: bool) -> str:
    keys = " ".join(sorted(report.keys, key=int))
    text = f"{report.host:<24} {'dead, ' if dead else ''}{report.age(now):.0f} s ago  {report.program}"
    text += f"  keys {keys or 'none'}, {report.signing} signs"
    if own is not None and report.host != own.host:
        differs = sorted(name for name in own.sorts if report.sorts.get(name) != own.sorts[name])
        text += f"  differs: {', '.join(differs)}" if differs else "  same as here"
    return text + ("  here" if own is not None and report.host == own.host else "")


@command.command()
@config_option
@click.argument("host")
def forget(config: Path, host: str) -> None:
    """Take HOST off the list: one that is gone for good. One that runs comes back by itself."""
    with _settings(config) as settings, closing(open_registry(settings)) as registry:
        if not hosts.forget(registry, keys_of(settings), host):
            say(f"there is no host {host} in {settings.smtpapi_cluster.name}", err=True)
            sys.exit(1)
        say(f"forgotten: {host}")
