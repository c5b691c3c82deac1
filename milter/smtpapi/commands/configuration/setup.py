"""`smtpapi setup`: connect Postfix, Sendmail and nginx with this program, shown first, and undone exactly."""

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import click

from engagement.settings import Settings, load_file
from engagement.settings.schema import SeveralRecipients
from smtpapi.commands.options import config_option, exit_on_error, say
from smtpapi.setup import link_names, nginx, postfix, sendmail, undoing
from smtpapi.setup.postfix_config import Unreadable
from smtpapi.setup.postfix_plan import Unfit

_TROUBLE = (Unreadable, Unfit, sendmail.Unfit, undoing.CannotUndo, OSError, ValueError)
_CERTBOT = Path("/etc/letsencrypt/live")  # a folder for each certificate


def _mode_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--undo", "mode", flag_value="undo", help="Take out what --apply put in."),
        click.option("--apply", "mode", flag_value="apply", help="Change the files."),
        click.option("--diff", "mode", flag_value="diff", default=True, help="Show the change (default)."),
        click.option(
            "--state",
            type=click.Path(path_type=Path, file_okay=False),
            default=Path("/var/lib/smtpapi/setup"),
            show_default=True,
            help="Folder that keeps what was there before, for --undo.",
        ),
        click.option("--no-reload", is_flag=True, help="Do not let a running server read the change."),
        config_option,
    ):
        command = option(command)
    return command


@click.group()
def command() -> None:
    """Connect an MTA or a web server with this program: show the change, make it, undo it.

    Each shows by default what it would change. Done twice, it changes nothing the second time. Exit status:
    1 where a file cannot be changed or undone, 2 for a broken configuration; nothing was changed then.
    """


@command.command("postfix")
@_mode_options
@click.option(
    "--postfix",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("/etc/postfix"),
    show_default=True,
    help="Postfix's configuration folder.",
)
def of_postfix(config: Path, folder: Path, mode: str, state: Path, no_reload: bool) -> None:
    """Add the filter to main.cf and master.cf, before milters that sign.

    What is there stays; it is edited by postconf(1). With `several_recipients = split` the hop of
    docs/postfix.md is added too. A configuration that postconf(1) does not take is left alone.
    """
    settings = _settings(config)
    record = state / f"postfix{str(folder.resolve()).replace('/', '-')}.json"
    with _explained("postfix"):
        if mode == "undo":
            gone = _undo(record, None if no_reload else lambda: postfix.reload(folder))
            if any(path.name == postfix.HOP_MAP for path in gone):
                say(
                    "note: mail that waits for the hop stays in the queue without it (mailq). If there is "
                    "some, "
                    "apply again, say several_recipients = untracked, reload, and undo once the queue is "
                    "empty",
                    err=True,
                )
            return
        files, plan = postfix.changed(folder, settings)
        _show(files, mode)
        for note in plan.notes:
            say(f"note: {note}", err=True)
        if mode == "apply" and files:
            undoing.apply(record, files)
            _say_done(files, record, "" if no_reload else postfix.reload(folder))
    if settings.rewriting.several_recipients is SeveralRecipients.UNTRACKED:
        say(
            "note: mail to several recipients passes without links. For a copy each say in "
            f'{config}: rewriting {{ several_recipients = split split_listener = "127.0.0.1:10026" }}',
            err=True,
        )
    _advise(settings)


@command.command("sendmail")
@_mode_options
@click.option(
    "--sendmail",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("/etc/mail"),
    show_default=True,
    help="Sendmail's folder, with sendmail.mc.",
)
@click.option(
    "--programs",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("/"),
    show_default=True,
    help="Below which Sendmail and its m4 files are installed.",
)
def of_sendmail(config: Path, folder: Path, programs: Path, mode: str, state: Path, no_reload: bool) -> None:
    """Include smtpapi.mc in sendmail.mc, and put filters that sign behind it.

    What m4 makes of it is tried before anything is written. sendmail.cf is made and read by
    `make -C /etc/mail` and a restart, which are left to you.
    """
    settings = _settings(config)
    record = state / "sendmail.json"
    build = f"now: make -C {folder} && systemctl restart sendmail"
    with _explained("sendmail"):
        if mode == "undo":
            _undo(record, None if no_reload else lambda: build)
            return
        files = sendmail.changed(folder, settings, programs)
        _show(files, mode)
        if mode == "apply" and files:
            undoing.apply(record, files)
            _say_done(files, record, build)
    _advise(settings)


@command.command("nginx")
@_mode_options
@click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("/etc/nginx/conf.d/smtpapi.conf"),
    show_default=True,
    help="The file to write.",
)
@click.option(
    "--nginx-conf",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("/etc/nginx/nginx.conf"),
    show_default=True,
    help="nginx's own file, by which the change is tried.",
)
@click.option("--nginx", "program", default="/usr/sbin/nginx", show_default=True, help="The program.")
@click.option(
    "--certificate",
    type=(click.Path(path_type=Path, exists=True), click.Path(path_type=Path, exists=True)),
    metavar="CHAIN KEY",
    help="Certificate chain and key. Without it, those that certbot keeps for a host of links.",
)
@click.option("--http-only", is_flag=True, help="Port 80 alone, whatever certificates there are.")
def of_nginx(
    config: Path,
    file: Path,
    nginx_conf: Path,
    program: str,
    certificate: tuple[Path, Path] | None,
    http_only: bool,
    mode: str,
    state: Path,
    no_reload: bool,
) -> None:
    """Write nginx's file for the hosts of links, with TLS where there is a certificate.

    It is tried by `nginx -t`; where nginx does not take it, everything is as before.
    """
    settings = _settings(config)
    record = state / "nginx.json"
    with _explained("nginx"):
        if mode == "undo":
            _undo(record, None if no_reload else lambda: nginx.reload(program, nginx_conf))
            return
        hosts = link_names.link_hosts(settings)
        if not hosts:
            raise ValueError(
                f'{config} names no host for links: say tracking_domain = "track.example.com" in '
                "ESMTP_Listener"
            )
        found = None if http_only else certificate or nginx.certificate_of(hosts, _CERTBOT)
        unnamed = nginx.not_named(found[0], hosts) if found is not None else ()
        if found is not None and unnamed:
            names = " ".join(f"-d {name}" for name in hosts)
            say(f"note: {found[0]} is not for {', '.join(unnamed)}: certbot certonly … {names}", err=True)
        text = nginx.configured(hosts, settings.tracker.listen, found, nginx.version_of(program)).encode()
        files = {} if file.exists() and file.read_bytes() == text else {file: text}
        _show(files, mode)
        if mode == "apply" and files:
            take_back = undoing.apply(record, files)
            if trouble := nginx.complaint(program, nginx_conf):
                take_back()
                raise ValueError(f"nginx does not take it, so everything is as before: {trouble}")
            _say_done(files, record, "" if no_reload else nginx.reload(program, nginx_conf))
    _advise(settings, certificate or ())


def _settings(config: Path) -> Settings:
    with exit_on_error():
        return load_file(config)


class _explained:  # noqa: N801 - used as a verb
    """Says what went wrong in one line, and ends with status 1."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _TROUBLE):
            _end(self._what, str(error))


def _end(what: str, error: str) -> NoReturn:
    say(f"smtpapi setup {what}: {error}. Nothing was changed.", err=True)
    sys.exit(1)


def _show(files: Mapping[Path, bytes], mode: str) -> None:
    if not files:
        say("Nothing to change.")
    for path, content in files.items() if mode == "diff" else ():
        say(undoing.difference(path, path.read_bytes() if path.exists() else None, content), nl=False)


def _say_done(files: Iterable[Path], record: Path, then: str) -> None:
    for path in files:
        say(f"changed {path}")
    say(f"what was there is kept in {record}, for --undo")
    if then:
        say(then)


def _undo(record: Path, then: Callable[[], str] | None) -> Iterable[Path]:
    """Write back what was there; return the files."""
    files = undoing.undone(record)
    undoing.forget(record, files)
    for path, before in files.items():
        say(f"{'restored' if before is not None else 'removed'} {path}")
    if not files:
        say("Nothing to undo.")
    elif then is not None:
        say(then())
    return tuple(files)


def _advise(settings: Settings, given: tuple[Path, ...] = ()) -> None:
    """Say what names and certificates the world must know. given: other certificates than certbot's."""
    secure = any(
        block.values[option].value == "https"
        for block in settings.table.top.walk()
        for option in ("click_tracking_scheme", "open_tracking_scheme")
        if option in block.values
    )
    hosts = link_names.link_hosts(settings)
    chains = [*_CERTBOT.glob("*/fullchain.pem"), *given]
    for line in link_names.advice(hosts, nginx.uncertified(hosts, chains) if secure else ()):
        say(line)
