"""The calls that carry orders out, in their order, with nothing between them.

Not what is changed (`orders`), nor what becomes of the message when a call fails (`session`).
"""

from typing import Protocol

from smtpapi.mta.modifications import Modifications


class ModificationCalls(Protocol):
    """What of `Milter.Base` changes a message."""

    def chgheader(self, field: str, idx: int, value: str) -> object:
        """Replace the idx-th field of a name; an empty value removes it."""

    def addheader(self, field: str, value: str) -> object:
        """Add a field at the end of the header."""

    def delrcpt(self, rcpt: str) -> object:
        """Take a recipient out of the envelope."""

    def addrcpt(self, rcpt: str, params: str | None = None) -> object:
        """Add a recipient to the envelope, with ESMTP parameters."""

    def replacebody(self, body: bytes) -> object:
        """Put another body in the place of the message's."""


def apply_modifications(orders: Modifications, mta: ModificationCalls) -> Exception | None:
    """Ask the MTA for the changes. What went wrong, None for nothing: half of it may have been done then."""
    try:
        for name, index in orders.deletions:
            mta.chgheader(name, index, "")
        for name, index, value in orders.replacements:
            mta.chgheader(name, index, value)
        for name, value in orders.additions:
            mta.addheader(name, value)
        _change_recipients(orders, mta)
        if orders.body is not None:
            mta.replacebody(orders.body)
    except Exception as error:  # noqa: BLE001 - the caller answers 451
        return error
    return None


def _change_recipients(orders: Modifications, mta: ModificationCalls) -> None:
    for address in orders.leaving:
        mta.delrcpt(f"<{address}>")
    if orders.through:
        mta.addrcpt(f"<{orders.through}>")
    for address, parameters in orders.joining:
        mta.addrcpt(f"<{address}>", parameters or None)
    if orders.through:
        mta.delrcpt(f"<{orders.through}>")
