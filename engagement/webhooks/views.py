"""Webhooks and batches as the API shows them (contract.md 8.2). Fields of our own begin with `x_`."""

from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from engagement.webhooks.definition import shown
from engagement.webhooks.model import Batch, State, Webhook
from engagement.webhooks.schedule import Answer

_FAULT_MS: Final = 6 * 3600 * 1000  # failing for so long is shown as a fault


def webhook_view(webhook: Webhook, state: State, zone: tzinfo, now_ms: int) -> dict[str, Any]:
    """Return a webhook with its state. What has no value is left out; secrets are masked."""
    view: dict[str, Any] = {
        "id": webhook.id,
        "name": webhook.name,
        "events": list(webhook.events),
        "active": webhook.active and not state.paused,
        **shown(webhook.endpoint),
    }
    others = {
        "exception_subaccounts": list(webhook.exception_subaccounts),
        "last_successful": _local(state.last_successful_ms, zone),
        "last_failure": _local(state.last_failure_ms, zone),
        "x_tenant": webhook.tenant,
        "x_corrections": webhook.corrections,
        "x_paused": state.paused,
        "x_failing_since": _local(state.failing_since_ms, zone),
        "x_last_error": state.last_error,
        "x_fault": bool(state.failing_since_ms and now_ms - state.failing_since_ms >= _FAULT_MS),
    }
    return view | {name: value for name, value in others.items() if value}


def batch_status_view(batch: Batch) -> dict[str, Any]:
    """Return a batch as `batch-status` lists it; codes are text, as Go's client reads them."""
    view: dict[str, Any] = {
        "batch_id": batch.id,
        "ts": _iso(batch.created_ms),
        "attempts": batch.failed,
        "latency": batch.latency_ms,
    }
    codes = {"response_code": batch.response_code, "failure_code": batch.failure_code}
    return view | {name: code for name, code in codes.items() if code}


def batch_view(batch: Batch) -> dict[str, Any]:
    """Return a batch as our own list has it."""
    more = {"state": batch.state, "events": batch.count, "replays": batch.replays, "number": batch.number}
    return batch_status_view(batch) | more


def response_view(answer: Answer) -> dict[str, Any]:
    """Return what a target said to a test; status 0 and the reason in `body` where it said nothing."""
    body = answer.body if answer.status else str(answer)
    return {"status": answer.status, "headers": dict(answer.headers), "body": body}


def _iso(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def _local(ms: int, zone: tzinfo) -> str:
    """Return a moment as `YYYY-MM-DD hh:mm:ss`, "" for none."""
    return f"{datetime.fromtimestamp(ms / 1000, zone):%Y-%m-%d %H:%M:%S}" if ms else ""
