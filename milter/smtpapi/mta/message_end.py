"""The end of one message: the result is computed, carried out, recorded, counted and logged, in that order.

Nothing is decided here: the worker passes in `transaction.consider`, which decides.

Invariants (design rule 1):
- Everything is computed before the first change is requested. After an exception up to that point, the
  message goes on untouched and is counted. Only fields that must not leave the site are removed, as far as
  they are known (`fallback`).
- Then the changes follow each other with nothing in between (`modification_calls`). After an exception there
  the answer is 451, since the MTA may hold half of them.
- Only then the injection record is written. If that fails, the mail is accepted all the same.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import Milter

from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.granted_actions import GrantedActions
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import Discard, Leave, Outcome, Plan, Refuse, Why
from smtpapi.mta.incoming_message import IncomingMessage
from smtpapi.mta.modification_calls import apply_modifications
from smtpapi.mta.modifications import Modifications, modifications_of
from smtpapi.mta.services import SessionServices
from smtpapi.pipeline.site import MessageResult
from smtpapi.policy.traffic import TRAFFIC
from smtpapi.request import copies, x_msys_api
from smtpapi.telemetry import maillog

TRY_AGAIN = Refuse("451", "4.3.0", "Temporary failure of the tracking filter, try again")
# For an MTA this means the same as ACCEPT. But after ACCEPT libmilter would not notice that the session of
# the next client begins on this connection (SMFIC_QUIT_NC, docs/quirks.md).
_GOES_ON = Milter.CONTINUE


@dataclass(slots=True)
class MessageEnd:
    """One message at its end.

    client_fault: why the client is not known. exact: the MTA takes header values octet by octet. context: the
    session's context variables; after `answer`, those for its next message.
    """

    services: SessionServices
    incoming: IncomingMessage
    client: Client
    client_fault: Exception | None
    rights: GrantedActions
    exact: bool
    context: Mapping[str, str]
    _result: MessageResult | None = field(init=False, default=None)
    _message: Message | None = field(init=False, default=None)

    def answer(
        self, mta: Milter.Base, read_envelope: Callable[[], Envelope], refuse: Callable[[Refuse], int]
    ) -> int:
        """Carry out everything at the end of the message, and return the answer for libmilter.

        read_envelope: may raise; then the message passes untouched. refuse: sets the SMTP reply and returns
        the answer for libmilter.
        """
        services = self.services
        began = services.tick()
        envelope = None
        outcome: Outcome
        try:
            envelope = read_envelope()
            outcome, changes = self._compute(envelope)
        except Exception as error:  # noqa: BLE001 - nothing was changed yet, so the mail must go on
            services.counters.add("failed-before-change")
            if envelope is None:
                envelope = Envelope(self.client, self.incoming.sender, tuple(self.incoming.recipients))
            maillog.failed_before_change(envelope)
            outcome, changes = self._after_failure(envelope, type(error).__name__)
        if isinstance(outcome, Refuse):
            answer = refuse(outcome)
        elif isinstance(outcome, Discard):
            answer = Milter.DISCARD
        elif changes is None or (failure := apply_modifications(changes, mta)) is None:
            answer = _GOES_ON
        else:
            services.counters.add("failed-in-change")
            maillog.failed_in_change(envelope, failure)
            return refuse(TRY_AGAIN)
        if self._result is not None and (answer == _GOES_ON or self._result.suppressed):
            try:
                services.record(self._result)
            except Exception:  # noqa: BLE001 - losing an event must not cost a mail (design.md 7)
                services.counters.add("events-dropped")
                maillog.event_lost(envelope)
        if self._result is not None and services.keep is not None and answer == _GOES_ON and self._message:
            with contextlib.suppress(Exception):  # a copy for the click map must cost no mail
                services.keep(self._result, self._message)
        with contextlib.suppress(Exception):  # a fault in logging must not change the answer
            if TRAFFIC.noting and services.counts(self.client):
                TRAFFIC.answered(self.client.address, began, accepted=not isinstance(outcome, Refuse))
            self._count_and_log(envelope, outcome, services.tick() - began)
        return answer

    def _compute(self, envelope: Envelope) -> tuple[Outcome, Modifications | None]:
        """Return the outcome of the message, and the changes for it. Raises whatever went wrong."""
        incoming = self.incoming
        if (fault := incoming.fault or self.client_fault) is not None:
            raise fault
        outcome: Outcome
        if incoming.passing is not None:
            return Leave(incoming.passing), None
        if not incoming.take_for_answer():
            header = incoming.header()
            outcome = self.services.without_room(envelope, header, self.rights)
            return outcome, modifications_of(outcome, header)
        self._message = message = incoming.message()
        self._result = result = self.services.consider(envelope, message, self.context, self.rights)
        outcome = result.outcome
        self.context = result.connection_context
        changes = modifications_of(outcome, message, incoming.recipients, incoming.options, exact=self.exact)
        if changes is not None and changes.body is not None and incoming.body_size != len(message.body):
            raise ValueError("edits in a body that was not kept whole")
        return outcome, changes

    def _after_failure(self, envelope: Envelope, note: str) -> tuple[Outcome, Modifications | None]:
        """Return the outcome of a message after an exception of ours, and the changes for it.

        It goes on as it came, without the fields that must not leave the site. Where copies that its sender
        asked for would be lost, the answer is a temporary failure.
        """
        result, incoming = self._result, self.incoming
        if result is not None and isinstance(result.outcome, Plan) and result.outcome.recipients:
            return TRY_AGAIN, None
        lost = (Field(name, b"") for name in incoming.lost_fields)  # deletions go by the fields' numbers
        header = Message((*incoming.fields, *lost), b"")
        at_risk = copies.may_be_requested(header) or x_msys_api.NAME.lower() in map(
            str.lower, incoming.lost_fields
        )
        outcome: Outcome = Leave(Why.INTERNAL_ERROR, note)
        changes = None
        try:
            headers = self.rights.allowed(self.services.removable(envelope, header))
            at_risk = at_risk and any(change.name == x_msys_api.NAME for change in headers)
            if headers:
                without = Plan(headers, why=Why.INTERNAL_ERROR, note=note)
                outcome, changes = without, modifications_of(without, header)
        except Exception:  # noqa: BLE001 - the fields to remove are not known: the mail passes as it came
            maillog.failed_before_change(envelope)
        return (TRY_AGAIN, None) if at_risk and result is None else (outcome, changes)

    def _count_and_log(self, envelope: Envelope, outcome: Outcome, seconds: float) -> None:
        counters = self.services.counters
        message = self._message
        header_size = self.incoming.header_size if message is None else message.header_size
        counters.add_outcome(outcome, seconds)
        if self._result is not None:
            for name in self._result.counts:
                counters.add(name)
            for note in self._result.notes:
                maillog.detail(envelope, note)
            for remark in self._result.remarks:
                maillog.remark(envelope, remark)
            for level, text in self._result.printed:
                maillog.printed(envelope, level, text)
        maillog.message(envelope, outcome, header_size + self.incoming.body_size, seconds)
