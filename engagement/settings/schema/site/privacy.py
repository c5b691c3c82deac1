"""The ceiling of privacy for all mail."""

from dataclasses import dataclass

from engagement.settings import option_types
from engagement.settings.option import declared
from engagement.settings.schema.modes import Pixel, PrivacyMode


@dataclass(frozen=True, slots=True)
class PrivacyStanza:
    """A ceiling for all mail, which no header and no policy can lift."""

    mode: PrivacyMode = declared(
        option_types.member(PrivacyMode),
        PrivacyMode.FULL,
        "full: per recipient, as configured; aggregate: counts, no recipient in links and no reader in "
        "events; hygiene: opens alone, by day, under a pseudonym; off: no tracking.",
    )
    truncate_addresses: bool = declared(
        option_types.boolean(),
        False,
        "Whether client addresses are kept only to /24 (IPv4) and /48 (IPv6). Modes other than full keep "
        "none.",
    )
    pixel: Pixel = declared(
        option_types.member(Pixel),
        Pixel.MESSAGE,
        "message: each copy has a pixel of its own; shared: all mail of a campaign and customer, sent on one "
        "day, has the same one: it counts opens and tells nobody's. Holds for mail already sent as well.",
    )
    require_consent: bool = declared(
        option_types.boolean(),
        False,
        "Whether only mail that says consent = true gets a pixel of its own; other mail gets the shared one.",
    )
    objections: str = declared(
        option_types.path(), "",
        "File of readers who objected, an address or @domain a line: no open or click of "
        "theirs is recorded, also of mail sent before. Followed while it changes. Empty: no list.",
        example="/etc/smtpapi/objections",
    )  # fmt: skip
