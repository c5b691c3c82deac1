"""The command line, one module a command."""

from importlib import import_module
from typing import Any

import click

from engagement import extensions, terminal
from engagement.extras import NotInstalledError

extensions.leave_out_if_off()  # before any command's module is imported

_COMMANDS = {
    "apikey": "configuration.apikey",
    "bounce": "mail.bounce",
    "check-config": "configuration.check_config",
    "classify": "data.classify",
    "config": "configuration.config",
    "cluster": "services.cluster",
    "decode": "data.decode",
    "doctor": "services.doctor",
    "events": "data.events",
    "follow": "services.follow",
    "keys": "configuration.keys",
    "links": "data.links",
    "milter": "services.milter",
    "preview": "mail.preview",
    "recipient": "data.recipient",
    "rewrite": "mail.rewrite",
    "send": "mail.send",
    "setup": "configuration.setup",
    "ship": "services.ship",
    "stats": "data.stats",
    "store": "data.store",
    "suppress": "data.suppress",
    "tracker": "services.tracker",
    "user": "configuration.user",
    "web": "services.web",
    "webhook": "data.webhook",
    "webhooks": "services.webhooks",
}


class _Lazy(click.Group):
    """Imports a command's module only when that command runs: `rewrite` need not load the web's libraries."""

    def main(self, *arguments: Any, **named: Any) -> Any:
        """Run, with control sequences taken out of all that a terminal gets, click's own errors included."""
        terminal.guard()
        return super().main(*arguments, **named)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; where a part of the program is not installed, say so in one line: status 2."""
        try:
            return super().invoke(ctx)
        except NotInstalledError as error:
            click.echo(f"smtpapi {ctx.invoked_subcommand}: {error}", err=True)
            ctx.exit(2)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = import_module(f"{__name__}.{_COMMANDS[cmd_name]}").command
        assert isinstance(command, click.Command)
        _summarize(command)
        return command


def _summarize(command: click.Command) -> None:
    """Have lists of commands show the whole first sentence, over two lines where need be; click cuts it."""
    command.short_help = command.get_short_help_str(1000)
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        _summarize(inner)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="smtpapi-engagement", prog_name="smtpapi")
def main() -> None:
    """SMTP engagement tracking for Postfix and Sendmail."""
