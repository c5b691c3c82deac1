"""Webhooks: whether somebody sends for them, and how each is."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC
from typing import Final

from engagement.registry.port import Registry
from engagement.settings import Settings
from engagement.webhooks.documents import SENDER, Documents
from engagement.webhooks.model import PAUSED_BY_PERSON, State, Webhook
from engagement.webhooks.schedule import CIRCUIT
from engagement.webhooks.views import webhook_view
from smtpapi.doctor.finding import Finding, Level
from smtpapi.doctor.host.registry import TROUBLES, opened

CHECK: Final = "webhooks"
_SPARE: Final = 30.0  # seconds beside `webhooks.takeover`: clocks of hosts may differ by so much


@dataclass(frozen=True, slots=True)
class WebhooksFacts:
    """Webhooks with their states, and the newest sign of life of who sends.

    signed: Unix seconds, None for never. allowed: seconds that a sign counts. keep: seconds that events are
    kept. runs: the program runs on this host. trouble: why the registry cannot be read.
    """

    webhooks: tuple[tuple[Webhook, State], ...] = ()
    signed: float | None = None
    allowed: float = 60.0
    keep: int = 0
    runs: bool = False
    trouble: str = ""


def read(settings: Settings, *, runs: bool) -> WebhooksFacts:
    """Return what is so of webhooks. runs: whether `smtpapi webhooks` runs on this host."""
    allowed, keep = settings.webhooks.takeover + _SPARE, settings.store.retention
    try:
        registry = opened(settings)
        if registry is None:
            return WebhooksFacts(allowed=allowed, keep=keep, runs=runs)
        with closing(registry):
            documents = Documents(registry)
            found = [
                (each, documents.state(each.id)[0]) for each in documents.webhooks() if not each.deleted_ms
            ]
            return WebhooksFacts(tuple(found), _signed(registry), allowed, keep, runs)
    except TROUBLES as error:
        return WebhooksFacts(trouble=str(error))


def _signed(registry: Registry) -> float | None:
    return max((each.changed_ms / 1000 for each in registry.find(SENDER)), default=None)


def check(facts: WebhooksFacts, now: float) -> Iterator[Finding]:
    """Yield what is wrong with webhooks. now: Unix seconds."""
    if facts.trouble:
        change = "smtpapi doctor --only registry"
        yield Finding(CHECK, Level.SKIPPED, f"the registry cannot be read: {facts.trouble}", change=change)
        return
    found = [*_check_sender(facts, now)]
    for webhook, state in facts.webhooks:
        found += _check_one(webhook, state, facts.keep, now)
    yield from found
    if not any(each.level in (Level.ERROR, Level.WARNING) for each in found):
        count = len(facts.webhooks)
        yield Finding(
            CHECK, Level.OK, f"{count} webhook(s), which are well" if count else "there is no webhook"
        )


def _check_sender(facts: WebhooksFacts, now: float) -> Iterator[Finding]:
    # One that was added just now has not been seen by anybody yet; a person's pause needs no program.
    wants = [
        webhook
        for webhook, state in facts.webhooks
        if webhook.active and not state.paused and now - webhook.created_ms / 1000 > facts.allowed
    ]
    if not wants or (facts.signed is not None and now - facts.signed <= facts.allowed):
        return
    last = (
        "no program has ever sent"
        if facts.signed is None
        else f"the last sign of life is {_age(now - facts.signed)} old"
    )
    runs = (
        "; `smtpapi webhooks` runs here and gives none"
        if facts.runs
        else "; `smtpapi webhooks` does not run here"
    )
    yield Finding(
        CHECK,
        Level.ERROR,
        f"nobody sends for {len(wants)} webhook(s): {last}{runs}",
        f"Their targets get no events. They wait in the store, for {facts.keep // 86_400} days.",
        "journalctl -u smtpapi-webhooks; systemctl restart smtpapi-webhooks"
        if facts.runs
        else "systemctl enable --now smtpapi-webhooks",
    )


def _check_one(webhook: Webhook, state: State, keep: int, now: float) -> Iterator[Finding]:
    view = webhook_view(webhook, state, UTC, int(now * 1000))
    name = f"webhook {webhook.name} ({webhook.id})"
    if state.paused and state.paused != PAUSED_BY_PERSON:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"{name} is paused: {state.paused}",
            f"It gets nothing until it is resumed. Events wait in the store, for {keep // 86_400} days.",
            f"Mend the target, then smtpapi webhook resume {webhook.id}",
        )
    elif state.paused or not webhook.active:
        yield Finding(
            CHECK,
            Level.NOTE,
            f"{name} is {state.paused or 'off (active is false)'}",
            f"Events wait for it in the store, for {keep // 86_400} days.",
            f"smtpapi webhook resume {webhook.id}",
        )
    elif since := view.get("x_failing_since"):
        fault = ", x_fault" if view.get("x_fault") else ""
        level = Level.ERROR if fault else Level.WARNING if state.failures >= CIRCUIT else Level.NOTE
        yield Finding(
            CHECK,
            level,
            f"{name} is failing since {since} UTC ({state.failures} tries{fault}): {state.last_error}",
            "Events wait in the store. After webhooks.pause_after of nothing but failures it is paused.",
            f"smtpapi webhook test {webhook.id}; then mend its target",
        )


def _age(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 600
        else f"{seconds / 60:.0f} min"
        if seconds < 36_000
        else f"{seconds / 3600:.0f} h"
    )
