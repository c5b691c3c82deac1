"""From a message and a decision to all its edits; nothing is changed here.

A part that cannot be decoded exactly is skipped with a reason, the others are done (`plan_builder`). What
makes the whole message untouchable is a `Leave`.
"""

from collections.abc import Callable
from functools import lru_cache

from smtpapi.mime.deadline import OverTimeError
from smtpapi.mime.locate import locate
from smtpapi.mime.parts import Part, shown_texts, top_parts
from smtpapi.model.message import Message
from smtpapi.model.outcome import Leave, Plan, Why
from smtpapi.request.decision import Decision
from smtpapi.rewrite.copy_links import CopyLinks
from smtpapi.rewrite.part import PartEdits, TooManyLinksError, harmless
from smtpapi.rewrite.plan_builder import PlanBuilder, UntouchableError
from smtpapi.rewrite.rules import RewritingRules


def plan(
    message: Message, decision: Decision, links: CopyLinks, rules: RewritingRules, tick: Callable[[], float]
) -> Plan | Leave:
    """Return all edits of the message for one copy.

    tick: seconds on any steady clock, for `rules.time_budget`.

    A `Plan` without edits says in `why` that nothing was found to change. Source: contract.md 5.
    """
    deadline = tick() + rules.time_budget
    located = _located(message, rules, lambda: tick() > deadline)
    if isinstance(located, Leave):
        return located
    parts = top_parts(located)
    if not parts:
        return Leave(Why.NO_PART)
    own_hosts = _own_hosts(rules.own_hosts, decision.domain)
    known = harmless(rules, own_hosts)
    builder = PlanBuilder(message, PartEdits(decision, links, rules, tick, deadline, own_hosts, known))
    try:
        for part in parts:
            builder.part(part)
            builder.chooser.check_time()
        if rules.brace_macros:
            builder.macros_beside(parts, shown_texts(located))
        builder.finish()
    except TooManyLinksError:
        return Leave(Why.TOO_MANY_LINKS, f"over {rules.max_links} links")
    except OverTimeError:
        return Leave(Why.OVER_TIME, f"over {rules.time_budget} seconds")
    except UntouchableError as found:
        return found.left
    why = None
    if not builder.edits and not builder.headers:
        why = Why.NO_LINK if builder.readable else Why.NO_PART
    edits = tuple(builder.edits)
    return Plan(tuple(builder.headers), edits, tuple(builder.skipped), why, builder.note(), parts=len(parts))


def editable(
    message: Message, rules: RewritingRules, late: Callable[[], bool] = lambda: False
) -> tuple[Part, ...] | Leave:
    """Return the parts that a plan edits, or why there can be none, whoever the recipient is.

    late: is the message's time used up?
    """
    located = _located(message, rules, late)
    return located if isinstance(located, Leave) else top_parts(located) or Leave(Why.NO_PART)


def _located(message: Message, rules: RewritingRules, late: Callable[[], bool]) -> tuple[Part, ...] | Leave:
    if message.body_size > rules.max_message_size:
        return Leave(Why.TOO_LARGE, f"body over {rules.max_message_size} bytes")
    return locate(message, rules.max_parts, late)


@lru_cache(maxsize=256)
def _own_hosts(of_site: frozenset[bytes], domain: str) -> frozenset[bytes]:
    return of_site | {domain.lower().encode("ascii", "replace")}
