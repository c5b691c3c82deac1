"""Policy and decision for each recipient of one message.

What follows from the decisions is in `transaction` and `tracking`.

Invariants: the hook for each recipient runs once for each of them; what it sets on the message holds for that
recipient only.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from engagement.settings.schema import SCOPED
from engagement.settings.scopes import Scoped
from smtpapi.model.envelope import Envelope, same
from smtpapi.model.outcome import Discard, Refuse, Why
from smtpapi.pipeline.site import Site, where_of
from smtpapi.policy import phases
from smtpapi.policy.hooks import PolicyFailed
from smtpapi.policy.vctx import ValidationContext
from smtpapi.policy.views import Changes, PolicyMessage
from smtpapi.request.decision import Decision, OptionDecision, bypassed
from smtpapi.request.x_msys_api import XMsysApi


class RecipientDecision(NamedTuple):
    """What was decided for one recipient.

    recipient: who gets the mail. decision: None where policy failed or switched the module off. why: the
    first reason to make no links, None where links are made. note: more about the reason, for the log. named:
    in whose place policy put the recipient, "" where they are the one that the mail came for.
    """

    recipient: str
    decision: Decision | None
    why: Why | None
    note: str = ""
    named: str = ""

    @property
    def came_for(self) -> str:
        """Whom the mail came for; of them its ids are made."""
        return self.named or self.recipient

    @property
    def reason(self) -> tuple[Why | None, str]:
        """The pair (why, note)."""
        return self.why, self.note


def by_configuration(
    decided: OptionDecision, recipients: list[str], reason: Callable[[Decision], Why | None]
) -> list[RecipientDecision]:
    """Return what `RecipientDecisions.decide_all` would return where the configuration alone decides.

    decided: the default decision of the client's scope (`ScopeTerms`).
    """
    why = reason(decided.decision)
    return [RecipientDecision(recipient, decided.decision, why) for recipient in recipients]


class RecipientDecisions:
    """The decisions for one message's recipients.

    reason: says why a decision makes no links (`CopyTracking.reason`). notes: warnings for the log. last: the
    decision made last, with its warnings. moved: whom policy puts in a recipient's place, by that one's
    `same`.
    """

    def __init__(
        self,
        site: Site,
        envelope: Envelope,
        scoped: Scoped,
        vctx: ValidationContext,
        policy_message: PolicyMessage,
        reason: Callable[[Decision], Why | None],
    ) -> None:
        self._site = site
        self._envelope = envelope
        self._scoped = scoped
        self._vctx = vctx
        self._policy_message = policy_message
        self._reason = reason
        policy = site.policy
        self._policy = policy if policy is not None and phases.is_for_each(policy) else None
        self._contexts: dict[str, tuple[Scoped, Mapping[str, str]] | str] = {}
        self._answers: dict[str, Refuse | Discard] = {}
        self._changes: dict[str, Changes] = {}
        self._bodies: dict[bytes, bytes] = {}
        self.moved: dict[str, str] = {}
        self.notes: list[str] = []
        self.last: OptionDecision | None = None

    def answer(self, recipients: tuple[str, ...]) -> Refuse | Discard | None:
        """Run the hooks for these recipients, and return what policy answers to the whole message.

        What refuses one recipient refuses all: nothing of the mail may be queued (contract.md 3.4). A message
        that is dropped for each of them is dropped.
        """
        if self._policy is None:
            return None
        for recipient in recipients:
            self._context(recipient)
        answers = [self._answers.get(recipient) for recipient in recipients]
        refusal = next((each for each in answers if isinstance(each, Refuse)), None)
        return refusal if refusal is not None or None in answers else answers[0]

    def dropped(self, recipients: tuple[str, ...]) -> tuple[str, ...]:
        """Return those recipients for whom policy drops the message."""
        return tuple(each for each in recipients if isinstance(self._answers.get(each), Discard))

    def changes(self, recipients: tuple[str, ...]) -> list[Changes]:
        """Return what the hooks for each recipient left of the mail for these; none where none has run."""
        return [self._changes[recipient] for recipient in recipients] if self._policy is not None else []

    def all_bypassed(self, recipients: tuple[str, ...]) -> bool:
        """Return whether policy switched the module off for every recipient; then X-MSYS-API is not read."""
        return all(
            not isinstance(found := self._context(recipient), str) and bypassed(found[1])
            for recipient in recipients
        )

    def decide_all(self, directive: XMsysApi, recipients: list[str]) -> list[RecipientDecision] | Refuse:
        """Return a decision for each recipient, or the first reply that refuses the message."""
        shared: RecipientDecision | None = None
        decisions = []
        for recipient in recipients:
            one = shared if shared is not None else self._decide(directive, recipient)
            if isinstance(one, Refuse):
                return one
            if self._policy is None:  # without a policy the decision is the same for all
                shared = one
            if moved := self.moved.get(same(recipient)):
                decisions.append(one._replace(recipient=moved, named=recipient))
            else:
                decisions.append(one if one.recipient == recipient else one._replace(recipient=recipient))
        return decisions

    def _decide(self, directive: XMsysApi, recipient: str) -> RecipientDecision | Refuse:
        found = self._context(recipient)
        if isinstance(found, str):
            return RecipientDecision(recipient, None, Why.POLICY_FAILED, found)
        scoped, context = found
        if bypassed(context):
            return RecipientDecision(recipient, None, Why.BYPASSED)
        decided = self._site.decisions.decide(scoped.options, directive, context)
        if isinstance(decided, Refuse):
            return decided
        self.last = decided
        self.notes += decided.warnings
        return RecipientDecision(recipient, decided.decision, self._reason(decided.decision))

    def _context(self, recipient: str) -> tuple[Scoped, Mapping[str, str]] | str:
        """Return scope and variables of one recipient's copy, or the error text of a policy that failed."""
        key = recipient if self._policy else ""
        if key not in self._contexts:
            self._contexts[key] = self._run_hook(recipient)
        return self._contexts[key]

    def _run_hook(self, recipient: str) -> tuple[Scoped, Mapping[str, str]] | str:
        vctx = self._vctx.for_recipient()
        if self._policy is not None:
            seen = self._policy_message.for_recipient(recipient)
            self._changes[recipient] = self._policy_message.changes  # its own do not count if the hook fails
            try:
                phases.each(self._policy, self._envelope, seen, vctx)
            except PolicyFailed as failed:
                return str(failed)
            changes = seen.changes
            if changes.body is not None:  # one for all, as often, is kept once
                changes = changes._replace(body=self._bodies.setdefault(changes.body, changes.body))
            self._changes[recipient] = changes
            if seen.recipient != recipient:
                self.moved[same(recipient)] = seen.recipient
            if vctx.answer is not None:
                self._answers[recipient] = vctx.answer
        scoped = self._scoped
        pathway = vctx.lookup("pathway")
        if pathway:
            table = self._site.settings.table
            if pathway not in table.pathways() and pathway != SCOPED["pathway"].default:
                self.notes.append("context variable pathway names none that the configuration has")
            scoped = self._site.settings.scoped(where_of(self._envelope.client, pathway))
            vctx.configured = scoped.options.context
        return scoped, vctx.effective()
