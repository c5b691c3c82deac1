"""Policy and decision for each recipient of one message.

Not what follows from it. Invariants: each recipient's hook runs once; what it sets on the message stays with
that recipient.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from engagement.settings.scopes import Scoped
from smtpapi.model.envelope import Envelope
from smtpapi.model.outcome import Refuse, Why
from smtpapi.pipeline.site import Site, where_of
from smtpapi.policy import phases
from smtpapi.policy.hooks import PolicyFailed
from smtpapi.policy.vctx import ValidationContext
from smtpapi.policy.views import PolicyMessage
from smtpapi.request.decision import Decision, OptionDecision, bypassed, decide
from smtpapi.request.x_msys_api import XMsysApi


class RecipientDecision(NamedTuple):
    """What was decided for one recipient. why: the first reason to make no links, note: more about it."""

    recipient: str
    decision: Decision | None
    why: Why | None
    note: str = ""

    @property
    def reason(self) -> tuple[Why | None, str]:
        """why and note."""
        return self.why, self.note


def by_configuration(
    decided: OptionDecision, recipients: list[str], reason: Callable[[Decision], Why | None]
) -> list[RecipientDecision]:
    """Return what `RecipientDecisions.all` does where the configuration alone has a word (`ScopeTerms`)."""
    why = reason(decided.decision)
    return [RecipientDecision(recipient, decided.decision, why) for recipient in recipients]


class RecipientDecisions:
    """One message's recipients. reason: why a decision makes no links (`making.Making.reason`).

    settled: the last one's decision, and what should be told about it.
    """

    def __init__(
        self,
        site: Site,
        envelope: Envelope,
        scoped: Scoped,
        vctx: ValidationContext,
        seen: PolicyMessage,
        reason: Callable[[Decision], Why | None],
    ) -> None:
        self._site = site
        self._envelope = envelope
        self._scoped = scoped
        self._vctx = vctx
        self._seen = seen
        self._reason = reason
        policy = site.policy
        self._policy = policy if policy is not None and phases.EACH in policy.hooks else None
        self._contexts: dict[str, tuple[Scoped, Mapping[str, str]] | str] = {}
        self.notes: list[str] = []
        self.settled: OptionDecision | None = None

    def all_bypassed(self, recipients: tuple[str, ...]) -> bool:
        """Whether policy switched the module off for every recipient: then not even the header is read."""
        return all(
            not isinstance(found := self._context(recipient), str) and bypassed(found[1])
            for recipient in recipients
        )

    def all(self, asked: XMsysApi, recipients: list[str]) -> list[RecipientDecision] | Refuse:
        """A judgement for each, or what refuses them all."""
        same: RecipientDecision | None = None
        judged = []
        for recipient in recipients:
            one = same if same is not None else self._judge(asked, recipient)
            if isinstance(one, Refuse):
                return one
            if self._policy is None:  # nothing tells one from another
                same = one
            judged.append(one if one.recipient == recipient else one._replace(recipient=recipient))
        return judged

    def _judge(self, asked: XMsysApi, recipient: str) -> RecipientDecision | Refuse:
        found = self._context(recipient)
        if isinstance(found, str):
            return RecipientDecision(recipient, None, Why.POLICY_FAILED, found)
        scoped, context = found
        if bypassed(context):
            return RecipientDecision(recipient, None, Why.BYPASSED)
        settled = decide(scoped, self._site.wide, asked, context)
        if isinstance(settled, Refuse):
            return settled
        self.settled = settled
        self.notes += settled.warnings
        return RecipientDecision(recipient, settled.decision, self._reason(settled.decision))

    def _context(self, recipient: str) -> tuple[Scoped, Mapping[str, str]] | str:
        """Scope and variables of one recipient's copy, or the words of a policy that failed there."""
        key = recipient if self._policy else ""
        if key not in self._contexts:
            self._contexts[key] = self._ask(recipient)
        return self._contexts[key]

    def _ask(self, recipient: str) -> tuple[Scoped, Mapping[str, str]] | str:
        vctx = self._vctx.for_recipient()
        if self._policy is not None:
            try:
                phases.each(self._policy, self._envelope, self._seen, recipient, vctx)
            except PolicyFailed as failed:
                return str(failed)
        scoped = self._scoped
        pathway = vctx.lookup("pathway")
        if pathway and pathway != scoped.pathway:
            scoped = self._site.settings.scoped(where_of(self._envelope.client, pathway))
            vctx.configured = scoped.context
        return scoped, vctx.effective()
