"""What becomes of a message that a fault of ours kept from being judged.

It goes on as it came, but for the fields that must not leave the building. Not the faults themselves.
Invariants: mail of the untrusted is not changed; mail that may ask for copies is not accepted without them.
"""

import traceback
from collections.abc import Mapping

from smtpapi.hop import split_header
from smtpapi.hop.resume import is_at
from smtpapi.model.envelope import Envelope
from smtpapi.model.message import Message
from smtpapi.model.outcome import HeaderChange, Leave, Outcome, Plan, Refuse, Why, removal
from smtpapi.pipeline.site import MessageResult, Site
from smtpapi.request import x_msys_api

NO_COPIES_NOW = Refuse("451", "4.3.0", "Copies cannot be made now, try again later")


def removable(site: Site, envelope: Envelope, message: Message) -> tuple[HeaderChange, ...]:
    """The fields to take out of mail that could not even be looked at; none of an untrusted client's.

    On the hop's listener marks go whoever is trusted: what comes in there was trusted once.
    """
    marks = removal(message, split_header.HEADER)
    client = envelope.client
    if site.untrusted(site.terms(client), client, message) is None:
        return removal(message, x_msys_api.NAME) + marks
    return marks if site.hop is not None and is_at(envelope.client, site.hop) else ()


def failed_result(
    error: Exception,
    removals: tuple[HeaderChange, ...],
    connection_context: Mapping[str, str],
    *,
    owing: bool,
) -> MessageResult:
    """A judgement that failed: the place for the log, not the text of the error, which may quote the mail.

    owing: copies were promised, so the mail is put off.
    """
    place = "an unknown place"
    for frame, line in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        place = f"{code.co_name} ({code.co_filename.rpartition('/')[2]}:{line})"
    note = f"{type(error).__name__} in {place}"
    why = Why.INTERNAL_ERROR
    outcome: Outcome = Plan(removals, why=why, note=note) if removals else Leave(why, note)
    if owing:
        return MessageResult(NO_COPIES_NOW, connection_context=connection_context, notes=(note,))
    return MessageResult(outcome, connection_context=connection_context)
