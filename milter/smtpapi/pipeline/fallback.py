"""The result for a message that a fault of ours kept from being decided.

The message goes on as it came, without the fields that must not leave the building (design rule 10). Faults
are caught in `transaction` and `smtpapi.mta.session`, not here.

Invariants: untrusted mail is not changed; mail that may ask for copies is not accepted without them.
"""

import traceback
from collections.abc import Mapping

from smtpapi.hop import split_header
from smtpapi.hop.resume import is_at
from smtpapi.model.envelope import Envelope
from smtpapi.model.message import Message
from smtpapi.model.outcome import HeaderChange, Leave, Outcome, Plan, Refuse, Why, removal
from smtpapi.pipeline.site import MessageResult, Site
from smtpapi.request import vendor_headers, x_msys_api

NO_COPIES_NOW = Refuse("451", "4.3.0", "Copies cannot be made now, try again later")


def removable(site: Site, envelope: Envelope, message: Message) -> tuple[HeaderChange, ...]:
    """Return the changes that take X-MSYS-API, its like and split headers out of mail that was not decided.

    Untrusted mail keeps both. On the hop's listener split headers go from any mail: it was trusted once.
    """
    split_headers = removal(message, split_header.HEADER)
    client = envelope.client
    terms = site.terms(client)
    if site.untrusted(terms, client, message) is None:
        vendors = vendor_headers.removals(terms.vendors, message) if site.settings.active else ()
        return removal(message, x_msys_api.NAME) + vendors + split_headers
    return split_headers if site.hop is not None and is_at(envelope.client, site.hop) else ()


def failed_result(
    error: Exception,
    removals: tuple[HeaderChange, ...],
    connection_context: Mapping[str, str],
    *,
    copies_promised: bool,
) -> MessageResult:
    """Return the result for a message whose decision raised an exception.

    The note for the log names the exception's type and place, not its text, which may quote the mail.
    copies_promised: whether the mail asks for copies; then it is put off with 451.
    """
    place = "an unknown place"
    for frame, line in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        place = f"{code.co_name} ({code.co_filename.rpartition('/')[2]}:{line})"
    note = f"{type(error).__name__} in {place}"
    why = Why.INTERNAL_ERROR
    outcome: Outcome = Plan(removals, why=why, note=note) if removals else Leave(why, note)
    if copies_promised:
        return MessageResult(NO_COPIES_NOW, connection_context=connection_context, notes=(note,))
    return MessageResult(outcome, connection_context=connection_context)
