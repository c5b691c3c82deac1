"""Make the calls that change a message, in their order, with nothing in between.

Not what is changed (`modifications`), nor what becomes of the message when a call fails (`message_end`).
"""

import Milter

from smtpapi.mta.modifications import Modifications


def apply_modifications(modifications: Modifications, mta: Milter.Base) -> Exception | None:
    """Request the changes from the MTA. Return None, or the exception after which some may have been made.

    Header fields come first, then sender and recipients, then the body in one call.
    """
    try:
        for name, index in modifications.deletions:
            mta.chgheader(name, index, "")
        for name, index, value in modifications.replacements:
            mta.chgheader(name, index, value)
        for name, value, first in modifications.additions:
            mta.addheader(name, value, 0 if first else -1)
        if modifications.sender is not None:
            mta.chgfrom(f"<{modifications.sender}>")
        _change_recipients(modifications, mta)
        if modifications.body is not None:
            mta.replacebody(modifications.body)
    except Exception as error:  # noqa: BLE001 - the caller answers 451
        return error
    return None


def _change_recipients(modifications: Modifications, mta: Milter.Base) -> None:
    for address in modifications.leaving:
        mta.delrcpt(f"<{address}>")
    if modifications.through:
        mta.addrcpt(f"<{modifications.through}>")
    for address, parameters in modifications.joining:
        mta.addrcpt(f"<{address}>", parameters or None)
    if modifications.through:
        mta.delrcpt(f"<{modifications.through}>")
