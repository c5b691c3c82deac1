"""`smtpapi bounce`: bounces, complaints and mail to unsubscribe, from a pipe or a Maildir to the spool."""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import click

from engagement.bounces.returned import Returned, read
from engagement.bounces.unsubscribe_mail import token_in, wish_of_token
from engagement.events.record import encode
from engagement.links.keys import RingError
from engagement.links.ring_file import load_ring
from engagement.settings import Settings, SettingsError, load_file
from engagement.spool.write import SpoolWriter
from smtpapi.commands.options import config_option, say
from smtpapi.commands.services.follow import node_name

# Octets of a mail that are read; Postfix takes 10,240,000 by default (message_size_limit).
_MOST = 64 * 1024 * 1024
_FOLLOWED = 7 * 86_400  # seconds; a log that was not read for so long is not followed


@click.command()
@config_option
@click.option(
    "--maildir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Read the new mails of this Maildir, and put each that was taken into cur, marked as seen.",
)
def command(config: Path, maildir: Path | None) -> None:
    """Take a bounce (RFC 3464) or a complaint (RFC 5965) from standard input, and tell it as an event.

    So with a mail to the address of `list_unsubscribe_mailto`; for that the key ring is read.

    For a pipe transport of the MTA. Exit status as in sysexits.h: 0 also for mail of another kind, which is
    left alone; 75 where the spool takes nothing or the configuration is broken, so that the MTA tries again.
    """
    try:
        settings = load_file(config)
    except (SettingsError, OSError) as error:
        say(str(error), err=True)
        sys.exit(os.EX_TEMPFAIL)
    # Each mail is safe on the disk before the MTA, or the Maildir, forgets it.
    spool = SpoolWriter(
        Path(settings.spool.directory),
        sync="always",
        segment_size=settings.spool.segment_size,
        max_size=settings.spool.max_size,
        max_share=settings.spool.max_share,
    )
    try:
        if maildir is not None:
            _take_all(maildir, spool, settings)
        elif not _take("standard input", sys.stdin.buffer.read(_MOST), spool, settings):
            sys.exit(os.EX_TEMPFAIL)
    finally:
        spool.close()


def _take_all(maildir: Path, spool: SpoolWriter, settings: Settings) -> None:
    """Take the new mails; each goes to cur once it is in the spool. Exits with 75 where the spool fails."""
    try:
        (maildir / "cur").mkdir(exist_ok=True)
        files = sorted(path for path in (maildir / "new").iterdir() if path.is_file())
        for path in files:
            with path.open("rb") as file:
                data = file.read(_MOST)
            if not _take(path.name, data, spool, settings):
                sys.exit(os.EX_TEMPFAIL)
            path.rename(maildir / "cur" / f"{path.name}:2,S")
    except OSError as error:
        say(f"{error.filename or maildir}: {error.strerror}", err=True)
        sys.exit(os.EX_TEMPFAIL)


def _take(name: str, data: bytes, spool: SpoolWriter, settings: Settings) -> bool:
    """Record what a mail says; return False where the spool takes nothing."""
    now_ms = int(time.time() * 1000)
    returned: Returned = read(data, now_ms)
    if not returned.events and (token := token_in(data)):
        return _take_wish(name, token, Path(settings.keys.ring), now_ms, spool)
    if returned.events and _is_followed(returned.reporter, settings):
        say(f"{name}: left alone: a report of {returned.reporter}, whose log is followed and tells it")
        return True
    for event in returned.events:
        if not spool.append(encode(event), 0):
            say(f"{name}: the spool takes no events; try again", err=True)
            return False
    if returned.events:
        kinds = ", ".join(sorted({event.type for event in returned.events}))
        say(f"{name}: {len(returned.events)} event(s): {kinds}")
    else:
        say(f"{name}: left alone: {returned.why}")
    return True


def _is_followed(reporter: str, settings: Settings) -> bool:
    """Return whether the MTA that made a report is the one whose log the follower reads.

    Each failure is a `bounce` by that log; as an `out_of_band` too it would count twice.
    """
    return (
        bool(reporter) and _is_used(Path(settings.follow.state)) and reporter == node_name(settings).lower()
    )


def _is_used(state: Path) -> bool:
    """Return whether the follower wrote what it remembers not long ago, into SQLite's file or its log."""
    for path in (state, state.with_name(f"{state.name}-wal")):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime < _FOLLOWED:
                return True
    return False


def _take_wish(name: str, token: bytes, ring: Path, now_ms: int, spool: SpoolWriter) -> bool:
    """Record that a reader wants no more mail; return False where spool or key ring fail."""
    try:
        wish = wish_of_token(token, load_ring(ring), now_ms)
    except RingError as error:
        say(f"{name}: a mail to unsubscribe cannot be read: {error}", err=True)
        return False
    if wish is None:
        say(f"{name}: left alone: its subject is that of a mail to unsubscribe, and names no link of ours")
        return True
    if not spool.append(encode(wish), 0):
        say(f"{name}: the spool takes no events; try again", err=True)
        return False
    say(f"{name}: 1 event(s): list_unsubscribe")
    return True
