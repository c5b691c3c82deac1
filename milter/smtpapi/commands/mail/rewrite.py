"""`smtpapi rewrite`: change whole messages as the milter would, by the same functions.

Standard input to standard output, or files and folders into an output folder, with one report line a message.
"""

import json
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

import click

from engagement.extras import need
from engagement.links.keys import SECRET_SIZE, Ring, RingError
from engagement.links.ring_file import load_ring
from engagement.settings import Settings, SettingsError, load_file, load_text
from engagement.settings.schema import AddedRecipients
from engagement.settings.scopes import listen_of
from engagement.terminal import printable
from engagement.tracking_domains.copy_file import CopyFile
from smtpapi.commands.configuration.keys import Failed
from smtpapi.commands.mail.output_folder import write_below
from smtpapi.commands.options import optional_config_option, say
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.outcome import Discard, Leave, Outcome, Plan, Refuse
from smtpapi.pipeline.site import with_entered
from smtpapi.pipeline.transaction import Site, consider
from smtpapi.policy import hooks
from smtpapi.policy.files import load_named
from smtpapi.rewrite import raw_message
from smtpapi.rewrite.raw_message import RawMessage

EXAMPLE = (
    "smtpapi { }\nESMTP_Listener {\n  click_tracking_enabled = true\n  open_tracking_enabled = true\n}\n"
)
SENDER = "sender@example.test"
RECIPIENT = "recipient@example.test"
_TRUSTED = "127.0.0.1"
_STRANGER = "192.0.2.1"  # RFC 5737: nobody's


class Job(NamedTuple):
    """One message to rewrite. source: None for standard input. path: its name in the report."""

    source: Path | None
    path: str


def listener(_context: click.Context, _parameter: click.Parameter, text: str) -> tuple[str, int | None]:
    """Return the address and port that --listen names, for `Client`. Raises BadParameter."""
    if not text:
        return "", None
    listen = listen_of(text)
    if listen is None or listen.port is None or listen.address == "[*]":
        raise click.BadParameter("expected ADDRESS:PORT or [IPv6]:PORT")
    return str(listen.address), listen.port


LISTEN = click.option(
    "--listen",
    metavar="ADDRESS:PORT",
    default="",
    callback=listener,
    help="As mail that came in there, by the options of that Listen.",
)


def load_site(config: Path | None) -> Site:
    """Return the site of a configuration; without one, tracking is on, with a key of this process alone.

    Raises Failed for a configuration, key ring or policy that cannot be used.
    """
    if config is None:
        click.echo(
            "smtpapi: no --config: clicks and opens are tracked for localhost:8080 with a key that is"
            " thrown away at the end, so these links will never work",
            err=True,
        )
        ring = Ring(()).rotated(secrets.token_bytes(SECRET_SIZE), int(time.time()))
        return replace(Site.build(load_text(EXAMPLE, "built-in example"), ring), first_hand=True)
    try:
        settings = load_file(config)
        # There is no MTA here that brings mail for one recipient back over the hop. Its links are the same
        # when they are made at once.
        rewriting = replace(settings.rewriting, added_recipients=AddedRecipients.SHARED)
        settings = replace(settings, rewriting=rewriting)
        if rewriting.verify:
            need("milter", "lxml.html")
        site = Site.build(settings, _ring(settings), load_named(config, settings))
        if settings.entered_domains.enabled:
            path = Path(settings.entered_domains.snapshot)
            site = with_entered(site, CopyFile(path, partial(click.echo, err=True)).current())
        return replace(site, first_hand=True)
    except (SettingsError, RingError, hooks.PolicyError) as error:
        raise Failed(str(error)) from None


def _ring(settings: Settings) -> Ring | None:
    return load_ring(Path(settings.keys.ring)) if settings.active else None


def consider_raw(site: Site, raw: bytes, envelope: Envelope) -> tuple[RawMessage, Outcome]:
    """Return a raw message, split into its parts, and what the milter would do with it."""
    message = raw_message.split(raw)
    outcome = consider(site, envelope, message.message, now=time.time(), tick=time.monotonic).outcome
    return message, outcome


def apply_outcome(message: RawMessage, outcome: Outcome) -> bytes:
    """Return the message as it goes on; a refused one as it came."""
    return message.apply(outcome) if isinstance(outcome, Plan) else message.raw


@click.command()
@optional_config_option
@click.option("--sender", default=SENDER, show_default=True, help='Envelope sender; "" for the null sender.')
@click.option("--recipient", default=RECIPIENT, show_default=True, help="Envelope recipient.")
@LISTEN
@click.option("--untrusted", is_flag=True, help="As mail of a client that is not allowed to be tracked.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help='JSON lines; "-" for stderr.')
@click.option("--output-dir", type=click.Path(file_okay=False, path_type=Path), help="Where the results go.")
@click.argument("paths", nargs=-1, metavar="[FILE|DIR]...", type=click.Path(path_type=Path))
def command(
    config: Path | None,
    sender: str,
    recipient: str,
    listen: tuple[str, int | None],
    untrusted: bool,
    report: Path | None,
    output_dir: Path | None,
    paths: tuple[Path, ...],
) -> None:
    """Rewrite whole messages as the milter would; standard input to standard output without arguments.

    They count as mail of a trusted client's own, also where a Received field says that they came in from
    outside.
    """
    jobs = list(_jobs(paths))
    if output_dir is None and len(jobs) != 1:
        raise click.UsageError("several messages need --output-dir")
    if output_dir is not None:
        _refuse_clashes(jobs)
    site = load_site(config)
    address, port = listen
    client = Client(_STRANGER if untrusted else _TRUSTED, daemon_address=address, daemon_port=port)
    envelope = Envelope(client, sender, (recipient,))
    began, ends = time.monotonic(), Counter[str]()
    with ExitStack() as stack:
        lines = _report_file(report, stack)
        for job in _shown(jobs, stack):
            message, outcome = consider_raw(site, _read(job), envelope)
            _write(job, apply_outcome(message, outcome), output_dir)
            ends[_end(outcome)] += 1
            if lines is not None:
                lines.write(json.dumps(message.report(outcome, job.path)) + "\n")
            elif output_dir is None and not isinstance(outcome, Plan):
                say(f"smtpapi rewrite: left as it is: {_end(outcome)}", err=True)
    if output_dir is not None:
        say(_summary(ends, time.monotonic() - began), err=True)


def _shown(jobs: list[Job], stack: ExitStack) -> Iterable[Job]:
    """Show on a terminal how far the messages are, on standard error."""
    if len(jobs) < 2 or not sys.stderr.isatty():
        return jobs
    return stack.enter_context(click.progressbar(jobs, label="Rewriting", file=sys.stderr))


def _end(outcome: Outcome) -> str:
    """Name what became of a message: "tracked", a reason, or the reply that refuses it."""
    match outcome:
        case Refuse(code, _, text):
            return f"{code} {text}"
        case Discard():
            return "discarded"
        case Plan(why=None):
            return "tracked"
        case Plan(why=why) | Leave(why=why):
            return str(why)


def _summary(ends: Counter[str], seconds: float) -> str:
    """Return one line: how many messages, how long it took, what became of them, the most frequent first."""
    total = ends.total()
    found = ", ".join(f"{count} {end}" for end, count in ends.most_common()) or "nothing to do"
    return f"smtpapi rewrite: {total} message{'' if total == 1 else 's'} in {seconds:.1f} s: {found}"


def _jobs(paths: Iterable[Path]) -> Iterator[Job]:
    """Yield the messages that the arguments name, those of a folder by their names. Raises UsageError."""
    paths = list(paths)
    if not paths:
        yield Job(None, "-")
    for path in paths:
        if path.is_dir():
            for found in sorted(path.rglob("*")):
                if found.is_symlink():
                    say(f"smtpapi rewrite: {found}: a symbolic link, passed over", err=True)
                elif found.is_file():
                    yield Job(found, found.relative_to(path).as_posix())
        elif path.is_file():
            yield Job(path, path.name)
        else:
            raise click.UsageError(f"{path}: no such file or folder")


def _refuse_clashes(jobs: Iterable[Job]) -> None:
    """Raise UsageError where two messages would be written to one place, before any is."""
    by_name: dict[str, Job] = {}
    for job in jobs:
        first = by_name.setdefault(job.path, job)
        if first is not job:
            raise click.UsageError(
                f"{first.source} and {job.source} would both become {printable(job.path)} in --output-dir;"
                " give the folder above them, or rewrite them one after the other"
            )


def _read(job: Job) -> bytes:
    if job.source is None:
        return sys.stdin.buffer.read()
    try:
        return job.source.read_bytes()
    except OSError as error:
        raise Failed(f"{job.source}: cannot be read: {error.strerror}") from None


def _write(job: Job, data: bytes, output_dir: Path | None) -> None:
    if output_dir is None:
        if sys.stdout.isatty():
            say(data.decode("utf-8", "replace"), nl=False)
            return
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    name = job.path if job.source is not None else "stdin.eml"
    try:
        write_below(output_dir, name, data)
    except OSError as error:
        raise Failed(f"{output_dir / name}: cannot be written: {error.strerror}") from None


def _report_file(path: Path | None, stack: ExitStack) -> IO[str] | None:
    if path is None:
        return None
    if str(path) == "-":
        return sys.stderr
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return stack.enter_context(path.open("w", encoding="utf-8"))
    except OSError as error:
        raise Failed(f"{path}: cannot be written: {error.strerror}") from None
