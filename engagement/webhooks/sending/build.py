"""Makes what sends from the settings, for `smtpapi webhooks`, the API and the command line alike."""

import socket
import uuid

from engagement.registry.port import Registry
from engagement.settings import Settings
from engagement.stores.port import EventStore
from engagement.webhooks.documents import Documents
from engagement.webhooks.sending.connect import HttpClient
from engagement.webhooks.sending.delivery import Sender
from engagement.webhooks.sending.tools import Tools
from engagement.webhooks.service import WebhookService


def sender_of(settings: Settings) -> Sender:
    """Return what sends batches. Raises OSError for certificates that cannot be read."""
    options = settings.webhooks
    try:
        return Sender(HttpClient(options.allow_targets, options.timeout, options.ca_file))
    except OSError as error:
        raise OSError(f"webhooks.ca_file: {options.ca_file}: {error}") from error


def tools_of(settings: Settings, registry: Registry, store: EventStore) -> Tools:
    """Return what the program's threads share. Raises OSError."""
    return Tools(
        Documents(registry),
        store,
        sender_of(settings),
        settings.webhooks,
        settings.store.retention,
        settings.classify.again_within,
    )


def service_of(settings: Settings, registry: Registry, store: EventStore) -> WebhookService:
    """Return what API and command line use. Raises OSError."""
    return WebhookService(
        Documents(registry),
        sender_of(settings),
        lambda: store.arrivals("").mark,
        settings.webhooks.allow_targets,
        retention=settings.webhooks.keep_delivered,
    )


def owner_name() -> str:
    """Return a name for this run of the program, which no other has."""
    return f"{socket.gethostname()[:100]}-{uuid.uuid4().hex[:12]}"
