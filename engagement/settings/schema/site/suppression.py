"""The suppression list, and readers who want no more mail."""

from dataclasses import dataclass

from engagement.settings import option_types
from engagement.settings.option import declared
from engagement.settings.schema.modes import ByLink

_DAY = 86400


@dataclass(frozen=True, slots=True)
class SuppressionStanza:
    """The suppression list: the filter's copy of it, and what fills it (docs/suppression.md)."""

    snapshot: str = declared(
        option_types.path(),
        "/var/spool/smtpapi/suppressed.snapshot",
        "File in which the filter looks recipients up, on each of its hosts. `smtpapi ship` writes it within "
        "5 seconds of a change, where any suppression_action is other than off or this option is set.",
    )
    invalid_recipients: int = declared(
        option_types.integer(0, 20, "bounces"),
        0,
        "After so many bounces of class 10 (Invalid Recipient) within suppression.within the recipient is "
        "put on the list, for both types of mail. 0: never.",
    )
    complaints: int = declared(
        option_types.integer(0, 20, "complaints"),
        0,
        "After so many complaints within suppression.within the recipient is put on the list, for mail of "
        "the type that they complained of. 0: never.",
    )
    within: int = declared(
        option_types.integer(3600, 400 * _DAY, "seconds"),
        30 * _DAY,
        "The time in which bounces and complaints are counted (30 days).",
    )


@dataclass(frozen=True, slots=True)
class UnsubscribeStanza:
    """What readers do who want no more mail (docs/unsubscribe.md)."""

    by_link: ByLink = declared(
        option_types.member(ByLink),
        ByLink.OFF,
        "What a click on a link marked data-msys-unsubscribe does besides its event. off: nothing, the "
        "author's page does it; settled: it suppresses mail as List-Unsubscribe does once it has been judged "
        "a person's for ten minutes; confirm: the tracker asks on a page of its own, with a way on to the "
        "author's.",
    )
