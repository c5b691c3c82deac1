"""The values of options that choose between ways of working, as enumerations.

Not their declarations (`site`). Each member is equal to the text that the configuration file has for it, so
records, pages and messages show that text.
"""

from enum import StrEnum


class PrivacyMode(StrEnum):
    """What may be recorded of a reader, from everything to nothing (docs/privacy.md)."""

    FULL = "full"
    OFF = "off"
    AGGREGATE = "aggregate"
    HYGIENE = "hygiene"


class Pixel(StrEnum):
    """Whose open a pixel tells (docs/privacy.md)."""

    MESSAGE = "message"
    SHARED = "shared"


class SeveralRecipients(StrEnum):
    """What a message to several recipients in one transaction gets (docs/postfix.md, docs/sendmail.md)."""

    UNTRACKED = "untracked"
    SHARED = "shared"
    DEFER = "defer"
    SPLIT = "split"
    READDRESS = "readdress"

    @property
    def needs_hop(self) -> bool:
        """Tell whether copies come back through a second listener, rewriting.split_listener."""
        return self in _OVER_THE_HOP


class AddedRecipients(StrEnum):
    """What recipients get whom the MTA itself adds behind the filter."""

    OWN = "own"
    NONE = "none"
    SHARED = "shared"


_OVER_THE_HOP = frozenset({SeveralRecipients.SPLIT, SeveralRecipients.READDRESS})
