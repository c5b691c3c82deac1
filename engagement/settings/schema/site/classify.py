"""The rules by which hits are classified."""

from dataclasses import dataclass

from engagement.settings import option_types
from engagement.settings.option import declared

_DAY = 86400


@dataclass(frozen=True, slots=True)
class ClassifyStanza:
    """How people are told from machines (docs/classify.md)."""

    rules: str = declared(
        option_types.path(), "",
        "Folder of rules of this site, read beside those that come with the program; a file takes the place "
        "of one with its name. Followed while it changes. Empty: those of the program alone.",
        example="/etc/smtpapi/classify",
    )  # fmt: skip
    as_database: str = declared(
        option_types.path(), "",
        "Database of autonomous systems in MaxMind's format, for rules with as_number. Followed while it "
        "changes. Empty: such rules hold for nothing.",
        example="/var/lib/GeoIP/GeoLite2-ASN.mmdb",
    )  # fmt: skip
    again_within: int = declared(
        option_types.integer(0, 7 * _DAY, "seconds"),
        3600,
        "How old a hit may be to be judged anew by what came in later: other hits of its message, its "
        "delivery, changed rules. 0: never.",
    )
