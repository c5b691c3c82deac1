"""`smtpapi keys`: list, make and change the key ring. Never prints a secret.

The running programs follow the file; none of these commands needs a restart.
"""

import grp
import os
import pwd
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engagement.links.keys import LAST_ID, SECRET_SIZE, KeyStatus, Ring, RingError
from engagement.links.ring_file import SHARED_MODE, edit_ring, load_ring, save_ring
from engagement.terminal import json_line, lines
from smtpapi.commands.options import CONFIG_VARIABLE, DEFAULT_CONFIG, say

if TYPE_CHECKING:
    from engagement.settings import Settings


class Failed(click.ClickException):
    """An error for the person at the terminal; exit status 2."""

    exit_code = 2

    def format_message(self) -> str:
        """Return the text without the control sequences of terminals."""
        return lines(self.message)


def ring_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --ring and --config to a command, which must pass both to `ring_path`. Users give one of them."""
    for option in (
        click.option("--ring", type=click.Path(path_type=Path), help="The key ring's file."),
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            envvar=CONFIG_VARIABLE,
            help=f"The configuration that names the ring; without it {DEFAULT_CONFIG}.",
        ),
    ):
        function = option(function)
    return function


def ring_path(ring: Path | None, config: Path | None) -> Path:
    """Return the ring's file, without either option that of the installed configuration.

    Raises Failed where there is none, and for a broken configuration.
    """
    if ring is not None:
        return ring
    if config is None and not DEFAULT_CONFIG.exists():
        raise Failed("which key ring? Say --ring FILE, or --config FILE to take the one named there.")
    from engagement.settings import SettingsError, load_file

    try:
        return Path(load_file(config or DEFAULT_CONFIG).keys.ring)
    except SettingsError as error:
        raise Failed(str(error)) from None


@contextmanager
def reporting_ring_errors() -> Iterator[None]:
    """Turn a RingError into an error message. Raises Failed, with the same text, for it."""
    try:
        yield
    except RingError as error:
        raise Failed(str(error)) from None


@click.group()
def command() -> None:
    """List, begin, rotate and revoke the keys of tracked links."""


@command.command("list")
@ring_options
@click.option("--json", "as_json", is_flag=True, help="One JSON line a key.")
def list_keys(ring: Path | None, config: Path | None, as_json: bool) -> None:
    """Print id, status, creation and note of each key."""
    with reporting_ring_errors():
        keys = load_ring(ring_path(ring, config)).keys
    if not as_json:
        click.echo(f"{'id':>5}  {'status':<8}  created")
    for key in keys:
        created = datetime.fromtimestamp(key.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if as_json:
            fields = {"id": key.id, "status": str(key.status), "created": created, "note": key.note}
            click.echo(json_line(fields))
        else:
            say(f"{key.id:>5}  {key.status:<8}  {created}  {key.note}".rstrip())


@command.command("init")
@ring_options
@click.option("--owner", help="The user that filter and tracker run as; only root can give files away.")
@click.option("--group", help="The group that may read it (mode 0640), where the file is root's.")
def init(ring: Path | None, config: Path | None, owner: str | None, group: str | None) -> None:
    """Make a ring with one fresh key. Refuses when the file is there."""
    path = ring_path(ring, config)
    uid, gid = _user(owner) if owner else (-1, -1)
    gid = _group(group) if group else gid
    with reporting_ring_errors():
        save_ring(path, Ring().rotated(secrets.token_bytes(SECRET_SIZE), int(time.time())), new=True)
    try:
        os.chown(path, uid, gid)
        if group:
            os.chmod(path, SHARED_MODE)
    except OSError as error:
        who = owner or f"group {group}"
        raise Failed(f"{path}: made, but it cannot be given to {who}: {error.strerror}") from None
    click.echo(f"{path}: key 1 signs. Back this file up: links in sent mail need it.")


def _user(name: str) -> tuple[int, int]:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise Failed(f"there is no user {name} on this machine") from None
    return entry.pw_uid, entry.pw_gid


def _group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise Failed(f"there is no group {name} on this machine") from None


@command.command("add")
@ring_options
def add(ring: Path | None, config: Path | None) -> None:
    """Add a fresh key that opens links and does not sign yet.

    The first step of two where several hosts answer links: add it, copy the ring to all hosts, then
    `smtpapi keys use ID` on each that makes links. In a cluster it comes to all hosts by itself; then `use`
    it on one.
    """
    path = ring_path(ring, config)
    new: list[int] = []

    def change(old: Ring) -> Ring:
        secret, now, key_id = _new_key(old)
        new[:] = [key_id]
        return old.added(secret, now, key_id)

    with reporting_ring_errors():
        edit_ring(path, change)
    if _clustered(config) is not None:
        say(f"{path}: key {new[0]} opens links, soon on all hosts; then `smtpapi keys use {new[0]}` here.")
        return
    say(f"{path}: key {new[0]} opens links. Copy this file to all hosts, then `smtpapi keys use {new[0]}`.")


@command.command("use")
@click.argument("key_id", metavar="ID", type=int)
@ring_options
@click.option("--force", is_flag=True, help="In a cluster: also where hosts do not have the key yet.")
def use(key_id: int, ring: Path | None, config: Path | None, force: bool) -> None:
    """Let key ID sign from now on; links already sent stay good.

    In a cluster it is refused until every live host has the key; the other hosts follow.
    """
    path = ring_path(ring, config)
    with reporting_ring_errors():
        if (settings := _clustered(config)) is not None and not force:
            _refuse_where_it_is_missing(settings, load_ring(path), key_id)
        edit_ring(path, lambda old: old.used(key_id))
    say(f"{path}: key {key_id} signs.")


def _new_key(ring: Ring) -> tuple[bytes, int, int]:
    """Return a random secret, its time, and a random id, so that two hosts do not choose the same one.

    Raises RingError where all ids are used up.
    """
    taken = {key.id for key in ring.keys}
    free = [number for number in range(1, LAST_ID + 1) if number not in taken]
    if not free:
        raise RingError(f"all {LAST_ID} key ids are used up")
    return secrets.token_bytes(SECRET_SIZE), int(time.time()), secrets.choice(free)


def _loaded(config: Path | None) -> "Settings | None":
    """Return the configuration, None without one. Raises Failed for a broken one."""
    if config is None:
        return None
    from engagement.settings import SettingsError, load_file

    try:
        return load_file(config)
    except SettingsError as error:
        raise Failed(str(error)) from None


def _clustered(config: Path | None) -> "Settings | None":
    """Return the configuration of a host in a cluster, None for any other. Raises Failed for a broken one."""
    settings = _loaded(config)
    return settings if settings is not None and settings.smtpapi_cluster.name else None


def _refuse_where_it_is_missing(settings: "Settings", ring: Ring, key_id: int, wait: float = 0.0) -> None:
    """Raise Failed unless every live host of the cluster has the key. wait: seconds for them to get it."""
    from smtpapi.commands.configuration import cluster_keys

    try:
        found = cluster_keys.waiting_for(settings, ring, key_id, until=time.monotonic() + wait)
    except cluster_keys.UnknownError as error:
        raise Failed(
            f"key {key_id}: nobody can tell whether the other hosts have it: {error} "
            "(--force: use it all the same)"
        ) from None
    if why := cluster_keys.refusal(found, key_id):
        raise Failed(why)
    if warning := cluster_keys.warning(found, key_id):
        say(warning, err=True)


def _refuse_where_others_use_it(config: Path | None) -> None:
    """Raise Failed where several hosts use copies of the ring, by the configuration."""
    settings = _loaded(config)
    hosts = settings.keys.hosts if settings is not None else 1
    if hosts > 1:
        raise Failed(
            f"{hosts} hosts use copies of this ring (keys.hosts): a key that signs at once would be unknown "
            "to the others, and its links dead there. `smtpapi keys add` here, copy the ring to all hosts, "
            "then `smtpapi keys use ID` on each."
        )


@command.command("rotate")
@ring_options
@click.option(
    "--wait", type=click.IntRange(0, 3600), default=60, show_default=True, metavar="SECONDS",
    help="In a cluster: how long to wait until every live host has the key.",
)  # fmt: skip
def rotate(ring: Path | None, config: Path | None, wait: int) -> None:
    """Let a fresh key sign; links already sent stay good.

    In a cluster the key is added first, and signs once every live host has it. Where hosts share copies of
    the ring otherwise it is refused: `keys add`.
    """
    path = ring_path(ring, config)
    if (settings := _clustered(config)) is not None:
        _rotate_together(settings, path, wait)
        return
    _refuse_where_others_use_it(config)
    with reporting_ring_errors():
        changed = edit_ring(path, lambda old: old.rotated(*_new_key(old)))
    opening = ", ".join(str(key.id) for key in changed.keys if key.status is KeyStatus.ACCEPTED)
    click.echo(f"{path}: key {changed.signing.id} signs; links of {opening} still open. Back this file up.")


def _rotate_together(settings: "Settings", path: Path, wait: int) -> None:
    """Add a key, wait for the other hosts, and use it."""
    with reporting_ring_errors():
        before = {key.id for key in load_ring(path).keys}
        added = edit_ring(path, lambda old: old.added(*_new_key(old)))
        (key_id,) = {key.id for key in added.keys} - before
        say(f"{path}: key {key_id} opens links; waiting until every host has it")
        _refuse_where_it_is_missing(settings, added, key_id, wait)
        edit_ring(path, lambda old: old.used(key_id))
    say(f"{path}: key {key_id} signs here, and on the other hosts within seconds. Back this file up.")


@command.command("revoke")
@click.argument("key_id", metavar="ID", type=int)
@ring_options
def revoke(key_id: int, ring: Path | None, config: Path | None) -> None:
    """Let key ID open nothing any more: all links sealed with it die. For keys that strangers got hold of."""
    path = ring_path(ring, config)
    with reporting_ring_errors():
        edit_ring(path, lambda old: old.revoked(key_id))
    click.echo(f"{path}: key {key_id} is revoked; links sealed with it are answered with 404 from now on.")
