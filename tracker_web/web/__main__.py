"""Serve the pages in the foreground: `python -m tracker_web.web --config FILE`.

SIGTERM or Ctrl-C stop it cleanly; at SIGHUP a new worker reads the configuration. Exit status 2 for what must
be corrected in the configuration.
"""

import sys
from pathlib import Path

import click

from engagement.extras import NotInstalledError
from engagement.settings import SettingsError, load_file
from engagement.stores import need_driver
from tracker_web.server.build import CONFIG_VARIABLE, DEFAULT_CONFIG
from tracker_web.server.listening import CannotServe
from tracker_web.web import log
from tracker_web.web.app import listen_of
from tracker_web.web.serve import prepare, serve
from tracker_web.web.token_file import TokenError, token_of, write_token


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=Path(DEFAULT_CONFIG),
    envvar=CONFIG_VARIABLE,
    show_default=True,
    help="The configuration file.",
)
@click.option("--url", is_flag=True, help="Print the URL that opens the page signed in, and end.")
@click.option("--new-token", is_flag=True, help="Replace the token, and end.")
def main(config: Path, url: bool, new_token: bool) -> None:
    """Show the events, in the foreground."""
    try:
        if url or new_token:
            _about_the_token(config, url, new_token)
            return
        log.to_stderr()
        settings = prepare(config)
        need_driver(settings)
    except (SettingsError, TokenError, CannotServe, NotInstalledError) as error:
        click.echo(f"smtpapi web: {error}", err=True)
        sys.exit(2)
    serve(settings, config.resolve())


def _about_the_token(config: Path, url: bool, new_token: bool) -> None:
    settings = load_file(config)
    path = Path(settings.web.token_file)
    if new_token:
        write_token(path)
        click.echo(f"{path}: a new token; `systemctl restart smtpapi-web` ends the sessions of the old one")
    if url:
        listen = listen_of(settings)
        host = "localhost" if listen.local else str(listen).rpartition(":")[0]
        click.echo(f"http://{host}:{listen.port}/?token={token_of(path)}")


if __name__ == "__main__":
    main(prog_name="smtpapi web")
