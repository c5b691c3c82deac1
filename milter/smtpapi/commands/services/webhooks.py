"""`smtpapi webhooks`: send events to webhooks, in the foreground."""

import logging
import sys
import threading
from contextlib import closing
from pathlib import Path

import click

from engagement.extras import need
from engagement.metrics.show import shown
from engagement.registry import open_registry
from engagement.registry.port import Registry, RegistryError
from engagement.settings import Settings, load_file
from engagement.stores import open_store
from engagement.stores.port import EventStore, StoreError
from engagement.systemd import Heartbeat, notify
from smtpapi.commands.options import config_option, exit_on_error
from smtpapi.commands.services.stopping import stopped_by_signal

_log = logging.getLogger("engagement.metrics")

FIRST_WAIT = 0.2  # seconds after a failure; doubled each time
LONGEST_WAIT = 10.0  # as the shipper waits, so that webhooks go on soon after what failed is back


@click.command()
@config_option
def command(config: Path) -> None:
    """Send events to webhooks, in batches and at least once, until told to stop (SIGTERM, SIGINT).

    `smtpapi webhook` adds and tests them. On several hosts one program sends for a webhook, and another
    takes over when it is gone. Exit status: 2 for a broken configuration.
    """
    need("webhooks", "urllib3")
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    stop = stopped_by_signal()
    with exit_on_error():
        settings = load_file(config)
        opened = _opened(settings, stop)
        if opened is None:
            return
        registry, store = opened
        with closing(registry), closing(store):
            _send(settings, registry, store, stop)


def _send(settings: Settings, registry: Registry, store: EventStore, stop: threading.Event) -> None:
    from engagement.webhooks.sending.build import owner_name, tools_of
    from engagement.webhooks.sending.loop import Sending

    def ready() -> None:
        click.echo("sending to webhooks", err=True)
        notify("READY=1")

    sending = Sending(tools_of(settings, registry, store), owner_name())
    with shown(settings.metrics.webhooks, sending.readings, _log.error):
        sending.run(stop, ready, Heartbeat().beat)
    notify("STOPPING=1")


def _opened(settings: Settings, stop: threading.Event) -> tuple[Registry, EventStore] | None:
    """Open registry and store, and wait until that works: a database may come up later. None: stopped."""
    wait, printed = FIRST_WAIT, ""
    while not stop.is_set():
        try:
            registry = open_registry(settings)
            try:
                return registry, open_store(settings)
            except BaseException:
                registry.close()
                raise
        except (RegistryError, StoreError) as error:
            if str(error) != printed:
                printed = str(error)
                click.echo(printed, err=True)
        stop.wait(wait)
        wait = min(wait * 2, LONGEST_WAIT)
    return None
