"""Options with a fixed list of values, as enumerations.

Not their declarations (`site`). Each member is equal to its text in the configuration file, so records, pages
and messages show that text.
"""

from enum import StrEnum


class PrivacyMode(StrEnum):
    """How much may be recorded about a reader, from everything to nothing (docs/privacy.md)."""

    FULL = "full"
    OFF = "off"
    AGGREGATE = "aggregate"
    HYGIENE = "hygiene"


class Pixel(StrEnum):
    """Whose open a pixel reports (docs/privacy.md)."""

    MESSAGE = "message"
    SHARED = "shared"


class SeveralRecipients(StrEnum):
    """How a message to several recipients in one transaction is sent (docs/postfix.md, docs/sendmail.md)."""

    UNTRACKED = "untracked"
    SHARED = "shared"
    DEFER = "defer"
    SPLIT = "split"
    READDRESS = "readdress"

    @property
    def needs_hop(self) -> bool:
        """Return whether copies come back through a second listener, rewriting.split_listener."""
        return self in _OVER_THE_HOP


class SuppressionAction(StrEnum):
    """What becomes of a recipient who is on the suppression list (docs/suppression.md)."""

    OFF = "off"
    REMOVE = "remove"
    REFUSE = "refuse"
    REFUSE_AT_RCPT = "refuse_at_rcpt"


class AddedRecipients(StrEnum):
    """How recipients are handled that the MTA itself adds after the filter."""

    OWN = "own"
    NONE = "none"
    SHARED = "shared"


class ByLink(StrEnum):
    """What a click on a link marked `data-msys-unsubscribe` does for suppression (docs/unsubscribe.md)."""

    OFF = "off"
    SETTLED = "settled"
    CONFIRM = "confirm"


_OVER_THE_HOP = frozenset({SeveralRecipients.SPLIT, SeveralRecipients.READDRESS})


class SeenBy(StrEnum):
    """The least of the users' roles that sees recipients on pages (docs/tracker.md)."""

    LOOKS = "looks"
    MANAGES = "manages"
    ADMINISTERS = "administers"
