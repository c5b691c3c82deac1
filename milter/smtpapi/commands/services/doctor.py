"""`smtpapi doctor`: look at a whole installation, from the DNS to the store, and say what to change."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from engagement.extras import need
from engagement.settings import Settings, load_file
from engagement.settings.schema import SeveralRecipients
from engagement.terminal import json_line
from smtpapi.commands.configuration import config_warnings
from smtpapi.commands.options import config_option, exit_on_error, say
from smtpapi.doctor.finding import Finding, Level, status

if TYPE_CHECKING:
    from smtpapi.doctor.site import Site

_COLOURS: Final = {Level.ERROR: "red", Level.WARNING: "yellow", Level.OK: "green"}
_NAMES: Final = (
    *("config", "versions", "clock", "keys", "processes", "spool", "store", "registry", "suppression"),
    *("domains", "webhooks", "cluster", "follow", "milters", "socket", "signer", "hop", "trust", "dns"),
    *("certificate", "proxy", "probe"),
)


def _only(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    selected = [name for text in given for name in text.replace(",", " ").split()]
    unknown = sorted(set(selected) - set(_NAMES))
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}: the checks are {', '.join(_NAMES)}")
    return tuple(name for name in _NAMES if name in selected) or _NAMES


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.option("--only", multiple=True, callback=_only, metavar="CHECK[,CHECK]...", help="These checks alone.")
@click.option(
    "--elsewhere",
    multiple=True,
    type=click.Choice(["milter", "tracker", "ship", "follow", "web"]),
    help="A program that runs on another host, and is not missed here; repeatable.",
)
@click.option(
    "--postfix",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("/etc/postfix"),
    show_default=True,
    help="Postfix's configuration folder.",
)
@click.option(
    "--sendmail",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("/etc/mail"),
    show_default=True,
    help="Sendmail's folder, where there is no Postfix.",
)
@click.option(
    "--resolver",
    "resolvers",
    multiple=True,
    metavar="ADDRESS[:PORT]",
    help="A name server to ask, instead of the system's; repeatable. Those of the zone are asked as well.",
)
@click.option("--source", default="", metavar="ADDRESS", help="Ask the proxy from this address of this host.")
@click.option(
    "--probe", "recipients", multiple=True, metavar="ADDRESS", help="Send a mail to this address; repeatable."
)
@click.option(
    "--mailbox",
    "mailboxes",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="With --probe: a Maildir or mbox file where its copies arrive; repeatable.",
)
@click.option(
    "--sender", default="", metavar="ADDRESS", help="With --probe: its sender, else the first address."
)
@click.option(
    "--server", default="127.0.0.1:25", show_default=True, metavar="HOST:PORT", help="With --probe."
)
@click.option("--seconds", default=30.0, show_default=True, help="With --probe: how long to wait for copies.")
@click.option("--authoritative-port", default=53, hidden=True)
def command(
    config: Path,
    as_json: bool,
    only: tuple[str, ...],
    elsewhere: tuple[str, ...],
    postfix: Path,
    sendmail: Path,
    resolvers: tuple[str, ...],
    source: str,
    recipients: tuple[str, ...],
    mailboxes: tuple[Path, ...],
    sender: str,
    server: str,
    seconds: float,
    authoritative_port: int,
) -> None:
    """Check the whole installation, and say for each fault what, why it matters, and the line to change.

    Nothing is changed. Names, certificates and the proxy are asked from outside in, as readers do. With
    --probe a mail goes through the MTA, and its copies are looked at. Run it as root: only then is the socket
    tried as Postfix's user, in its chroot.

    Exit status: 0 nothing to do, 1 errors, 3 warnings alone, 2 a broken configuration or command line.
    """
    need("doctor", "dns.resolver", "dkim")
    from smtpapi.doctor.site import Site
    from smtpapi.doctor.web.names import Server

    with exit_on_error():
        settings = load_file(config)
    site = Site(
        config,
        settings,
        postfix if (postfix / "main.cf").exists() else None,
        sendmail if (sendmail / "sendmail.cf").exists() else None,
        tuple(Server(*_address(each, 53)) for each in resolvers),
        authoritative_port,
        source,
        frozenset(elsewhere),
    )
    found: list[Finding] = []
    probe = _Probe(recipients, mailboxes, sender, _address(server, 25), seconds)
    for finding in _findings(site, only, probe):
        found.append(finding)
        if not as_json:
            _print(finding)
    result = status(found)
    if as_json:
        click.echo(json_line({"status": result, "findings": [asdict(each) for each in found]}))
    else:
        _print_summary(found)
    sys.exit(result)


class _Probe:
    """What --probe was given."""

    def __init__(
        self,
        recipients: tuple[str, ...],
        mailboxes: tuple[Path, ...],
        sender: str,
        server: tuple[str, int],
        seconds: float,
    ) -> None:
        self.recipients, self.mailboxes, self.sender = recipients, mailboxes, sender
        self.server, self.seconds = server, seconds


def _address(text: str, port: int) -> tuple[str, int]:
    if text.count(":") > 1 and not text.startswith("["):
        return text, port
    host, colon, number = text.rpartition(":")
    if not colon or text.endswith("]"):
        return text.strip("[]"), port
    if not number.isdigit():
        raise click.BadParameter(f"{text}: expected ADDRESS or ADDRESS:PORT")
    return host.strip("[]"), int(number)


def _findings(site: "Site", names: Iterable[str], probe: _Probe) -> Iterator[Finding]:
    from smtpapi.doctor import examination

    for name in names:
        if name == "config":
            yield from _of_configuration(site.config, site.settings)
        elif name == "probe":
            yield from _of_probe(site, probe)
        else:
            yield from examination.run(name, site)


def _of_configuration(config: Path, settings: Settings) -> Iterator[Finding]:
    """Yield what `smtpapi check-config` warns of."""
    warnings = (
        *settings.warnings,
        *config_warnings.of_files(config, settings),
        *config_warnings.of_domains(settings),
    )
    for warning in warnings:
        yield Finding("config", Level.WARNING, warning, "smtpapi check-config says the same.")
    if not settings.active:
        yield Finding(
            "config",
            Level.ERROR,
            f"{config} has no smtpapi {{ }} stanza that is on: nothing is tracked",
            "Mail passes untouched.",
            "smtpapi { } in " + str(config),
        )
    elif not warnings:
        yield Finding("config", Level.OK, f"{config} is valid")


def _of_probe(site: "Site", given: _Probe) -> Iterator[Finding]:
    import uuid

    from dns.exception import DNSException

    from smtpapi.doctor.mta import mailboxes, probe
    from smtpapi.doctor.web.names import text_record

    if not given.recipients or not given.mailboxes:
        yield Finding(
            probe.CHECK,
            Level.SKIPPED,
            "no probe mail was sent",
            change="smtpapi doctor --probe root@$(hostname -f) --mailbox /var/mail/root",
        )
        return

    def lookup(name: bytes | str, timeout: int = 5) -> bytes | None:
        try:
            return text_record(name.decode() if isinstance(name, bytes) else name, site.servers[0], timeout)
        except (DNSException, OSError):
            return None

    request = probe.Request(
        given.sender or given.recipients[0],
        given.recipients,
        f"{uuid.uuid4()}@smtpapi-doctor.invalid",
        given.server,
    )
    if refused := probe.send(request):
        yield Finding(
            probe.CHECK,
            Level.ERROR,
            f"the MTA does not take the probe: {refused}",
            "Clients of this host are told the same.",
            "smtpapi doctor --only socket,milters; then the mail log",
        )
        return
    with exit_on_error():
        found = mailboxes.wait(
            lambda: mailboxes.copies(given.mailboxes, request.id), len(given.recipients), given.seconds
        )
    try:
        decided = probe.reasons(Path(site.settings.spool.directory), request.id)
    except OSError:
        decided = []
    mode = site.settings.rewriting.several_recipients
    own = mode in (SeveralRecipients.SPLIT, SeveralRecipients.READDRESS)
    yield from probe.check(request, found, decided, site.usable_ring, lookup, each_own=own)


def _print(finding: Finding) -> None:
    say(
        f"{finding.level.value:<8}",
        nl=False,
        fg=_COLOURS.get(finding.level),
        bold=finding.level is Level.ERROR,
    )
    say(f"{finding.check:<12}{finding.what}")
    if finding.why:
        say(f"{'':<20}{finding.why}")
    if finding.change:
        say(f"{'':<20}-> {finding.change}")


def _print_summary(found: list[Finding]) -> None:
    counts = {level: sum(each.level is level for each in found) for level in Level}
    say()
    say(
        f"{counts[Level.ERROR]} error(s), {counts[Level.WARNING]} warning(s), {counts[Level.NOTE]} note(s), "
        f"{counts[Level.SKIPPED]} not checked, {counts[Level.OK]} well"
    )
