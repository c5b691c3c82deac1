"""Declaration of the stanza that says where each program shows its metrics."""

from dataclasses import dataclass

from engagement.settings import option_types
from engagement.settings.option import declared


def _listen(program: str, example: str) -> str:
    return declared(
        option_types.metrics_listen(),
        "",
        f"Where `smtpapi {program}` answers GET /metrics: an address and port of loopback or a closed "
        "network, as it asks for no password, or a unix socket. Empty: nowhere.",
        example=example,
    )


@dataclass(frozen=True, slots=True)
class MetricsStanza:
    """Where each program shows its counts for Prometheus (docs/metrics.md)."""

    milter: str = _listen("milter", "127.0.0.1:9471")
    tracker: str = _listen("tracker", "127.0.0.1:9472")
    shipper: str = _listen("ship", "127.0.0.1:9473")
    follower: str = _listen("follow", "127.0.0.1:9474")
    web: str = _listen("web", "127.0.0.1:9475")
    webhooks: str = _listen("webhooks", "127.0.0.1:9476")
