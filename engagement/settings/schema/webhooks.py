"""Declaration of the stanza of `smtpapi webhooks`, which sends events on to those who asked for them."""

from dataclasses import dataclass

from engagement.settings import option_types
from engagement.settings.option import declared

_DAY = 86400


@dataclass(frozen=True, slots=True)
class WebhooksStanza:
    """The program that sends events to webhooks (docs/webhooks.md)."""

    allow_targets: tuple[str, ...] = declared(
        option_types.hosts(),
        (),
        "Hosts of targets that may be inside the network, and at other ports than 80 and 443: host for any "
        "port, host:port for that one. All other targets inside are refused, whatever their names lead to.",
        example=("hooks.internal.example.com", "127.0.0.1:9000"),
    )
    ca_file: str = declared(
        option_types.path(),
        "",
        "Certificates (PEM) of authorities that targets are checked by. Empty: the system's.",
        example="/etc/ssl/certs/site.pem",
    )
    timeout: int = declared(
        option_types.integer(1, 60, "seconds"),
        10,
        "The most that one request may take, from its first octet to the answer's end (SparkPost: 10).",
    )
    batch_events: int = declared(
        option_types.integer(1, 10_000), 500, "Most events of a batch; Momentum's are of 10,000 at most."
    )
    batch_size: int = declared(
        option_types.integer(1024, 700 * 1024, "bytes"),
        512 * 1024,
        "Most octets of a batch; one larger event goes alone.",
    )
    batch_time: int = declared(
        option_types.integer(0, 3600, "seconds"),
        30,
        "The longest that an event waits for others of its batch. 0: it waits for none.",
    )
    retry_after: int = declared(
        option_types.integer(1, 3600, "seconds"),
        60,
        "From the first try of a batch to the second. The distances grow as 1, 2, 4, 8, 16, 32, 64, 64, 96, "
        "96, 97; with 60 s that is 12 tries in 8 hours.",
    )
    pause_after: int = declared(
        option_types.integer(60, 60 * _DAY, "seconds"),
        3 * _DAY,
        "A webhook that only fails for so long is paused. Nothing is thrown away; a test that succeeds, or "
        "`smtpapi webhook resume`, has it sent what it missed. Keep it below store.retention.",
    )
    keep_delivered: int = declared(
        option_types.integer(60, 90 * _DAY, "seconds"),
        3 * _DAY,
        "How long delivered batches can be sent again: a weekend.",
    )
    takeover: int = declared(
        option_types.integer(2, 600, "seconds"),
        30,
        "After so long without a sign of life from a program its webhooks are another's.",
    )
