"""Declaration of the stanza of `POST /api/v1/transmissions`, which takes mail from applications."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from engagement.settings import option_types
from engagement.settings.option import declared


@dataclass(frozen=True, slots=True)
class TransmissionsStanza:
    """Mail that applications hand in over the HTTP API of `smtpapi web`."""

    enabled: bool = declared(
        option_types.boolean(),
        False,
        "Whether POST /api/v1/transmissions is answered. Whoever has a key with the scope "
        "transmissions/modify can then send mail in any name that the MTA lets pass.",
    )
    relay: str = declared(
        option_types.http_listen(),
        "127.0.0.1:25",
        "Address and port of the MTA that takes this mail over SMTP: one with the filter, that trusts this "
        "machine.",
    )
    tenant_relays: Mapping[str, str] = declared(
        option_types.relays(), MappingProxyType({}),
        "For each tenant of API keys the address and port that its mail goes to, whose listener gives it the "
        "tenant's mo_customer_id. Keys of other tenants may not send.",
        example={"17": "127.0.0.1:2617"},
    )  # fmt: skip
    max_recipients: int = declared(
        option_types.integer(1, 10_000), 1000, "How many recipients one call may name."
    )
    max_size: int = declared(
        option_types.integer(1024, 104_857_600, "bytes"),
        20_971_520,
        "How large the body of one call may be (20 MiB, as SparkPost's), attachments in base64 included.",
    )
