"""What the HTTP API and `smtpapi webhook` do with webhooks: create, change, test, show, send again.

Each method takes and gives JSON's values, as contract.md 8.2 has them under `results`. Not HTTP: neither keys
nor scopes are looked at here. tenant: "" for whoever may see all of them.
"""

import json
import secrets
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from engagement.webhooks.batches import PING
from engagement.webhooks.definition import FieldError, changed, made
from engagement.webhooks.documents import Documents
from engagement.webhooks.model import PAUSED_BY_PERSON, Endpoint, State, Webhook
from engagement.webhooks.schedule import Answer, replayed, restarted
from engagement.webhooks.sending.delivery import NoTokenError, Sender
from engagement.webhooks.signature import LEAST, new_secret
from engagement.webhooks.views import batch_status_view, batch_view, response_view, webhook_view

MOST_WEBHOOKS: Final = 100  # each has a thread and reads the store by itself
MOST_STATUS: Final = 1000  # contract.md 8.2
_STATUS_MS: Final = 24 * 3600 * 1000  # the same
_VIEW: Final = "urn.msys.webhooks.webhook"
_BASE: Final = "/api/v1/webhooks"


class WebhookError(Exception):
    """The request cannot be done. status: of HTTP. errors: as the API answers them."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.errors: list[dict[str, Any]] = [{"message": message, **more}]


class WebhookService:
    """Webhooks for clients.

    mark: returns the store's mark of now. allowed: webhooks.allow_targets. now: returns Unix seconds.
    retention: webhooks.keep_delivered.
    """

    def __init__(
        self,
        documents: Documents,
        sender: Sender,
        mark: Callable[[], str],
        allowed: Sequence[str] = (),
        now: Callable[[], float] = time.time,
        retention: int = 3 * 86400,
    ) -> None:
        self._documents = documents
        self._sender = sender
        self._mark = mark
        self._allowed = tuple(allowed)
        self._retention_ms = retention * 1000
        self._now = now

    def create(self, data: Mapping[str, Any], tenant: str = "") -> dict[str, Any]:
        """Create a webhook, once its target has answered a test POST with 200. Raises WebhookError.

        `x_sign: true` makes a secret, and answers with it this once.
        """
        if sum(1 for each in self._documents.webhooks() if not each.deleted_ms) >= MOST_WEBHOOKS:
            raise WebhookError(422, f"there are {MOST_WEBHOOKS} webhooks already; remove one")
        fields = dict(data)
        secret = new_secret(secrets.token_bytes(LEAST + 8)) if fields.pop("x_sign", False) is True else ""
        if secret:
            fields["x_signing_secrets"] = [secret]
        webhook = self._checked(lambda: made(str(uuid.uuid4()), fields, self._allowed, self._now_ms))
        webhook = replace(webhook, tenant=tenant)
        self._test(webhook.endpoint, PING)
        self._documents.put_webhook(webhook, State(mark=self._mark()))
        link = {"href": f"{_BASE}/{webhook.id}", "rel": _VIEW, "method": ["GET", "PUT"]}
        results: dict[str, Any] = {"id": webhook.id, "links": [link]}
        return results | {"x_signing_secrets": [secret]} if secret else results

    def listed(self, tenant: str = "", timezone: str = "UTC") -> list[dict[str, Any]]:
        """Return all webhooks. Raises WebhookError for a timezone that is none."""
        found = [each for each in self._documents.webhooks() if _is_seen(each, tenant)]
        links = {"rel": _VIEW, "method": ["GET", "PUT"]}
        return [
            self._viewed(each, timezone) | {"links": [{"href": f"{_BASE}/{each.id}", **links}]}
            for each in sorted(found, key=lambda each: (each.created_ms, each.id))
        ]

    def detail(self, webhook_id: str, tenant: str = "", timezone: str = "UTC") -> dict[str, Any]:
        """Return a webhook. Raises WebhookError."""
        webhook = self._known(webhook_id, tenant)
        links = [
            {"href": f"{_BASE}/{webhook_id}/{path}", "rel": f"urn.msys.webhooks.{name}", "method": [method]}
            for path, name, method in (("validate", "validate", "POST"), ("batch-status", "batches", "GET"))
        ]
        return self._viewed(webhook, timezone) | {"links": links}

    def update(self, webhook_id: str, data: Mapping[str, Any], tenant: str = "") -> dict[str, Any]:
        """Change a webhook, once a new target has answered a test POST with 200. Raises WebhookError."""
        before = self._known(webhook_id, tenant)
        after = self._checked(lambda: changed(before, data, self._allowed))
        if _is_other(before.endpoint, after.endpoint):
            self._test(after.endpoint, PING)
        try:
            self._documents.change_webhook(webhook_id, lambda now: changed(now, data, self._allowed))
        except FieldError as error:  # what the mask stood for was changed meanwhile
            raise WebhookError(409, str(error)) from error
        if after.endpoint != before.endpoint or data.get("active") is True:
            self._documents.change_state(webhook_id, restarted)
        link = {"href": f"{_BASE}/{webhook_id}/validate", "rel": "urn.msys.webhooks.validate"}
        return {"id": webhook_id, "links": [link | {"method": ["POST"]}]}

    def delete(self, webhook_id: str, tenant: str = "") -> None:
        """Remove a webhook; batches in its queue are still sent. Raises WebhookError."""
        self._known(webhook_id, tenant)
        now_ms = self._now_ms
        self._documents.change_webhook(webhook_id, lambda each: replace(each, deleted_ms=now_ms))

    def validate(self, webhook_id: str, body: Any = None, tenant: str = "") -> dict[str, Any]:
        """Send a batch as a test; a paused webhook goes on if it succeeds. Raises WebhookError.

        body: an array of events, `{"message": …}` as node's client sends it, or nothing for an empty ping.
        """
        webhook = self._known(webhook_id, tenant)
        answer = self._test(webhook.endpoint, _test_batch(body))
        if self._documents.state(webhook_id)[0].paused:
            self._documents.change_state(webhook_id, restarted)
        message = "Test POST to endpoint succeeded"
        return {"msg": message, "message": message, "response": response_view(answer)}

    def pause(self, webhook_id: str, tenant: str = "") -> None:
        """Let a webhook wait; what comes in meanwhile is sent later. Raises WebhookError."""
        self._known(webhook_id, tenant)
        self._documents.change_state(webhook_id, lambda state: replace(state, paused=PAUSED_BY_PERSON))

    def resume(self, webhook_id: str, tenant: str = "", *, skip: bool = False) -> None:
        """Let a webhook go on with what it missed; skip: without that. Raises WebhookError."""
        webhook = self._known(webhook_id, tenant)
        if skip:
            self._skip(webhook_id)
        if not webhook.active:
            self._documents.change_webhook(webhook_id, lambda each: replace(each, active=True))
        self._documents.change_state(webhook_id, restarted)

    def batch_status(
        self, webhook_id: str, limit: int = MOST_STATUS, tenant: str = ""
    ) -> list[dict[str, Any]]:
        """Return the batches of the last 24 hours that failed at least once, newest first."""
        self._known(webhook_id, tenant)
        since_ms = self._now_ms - _STATUS_MS
        found = [
            each.batch
            for each in self._documents.batches(webhook_id)
            if each.batch.failed and each.batch.created_ms >= since_ms
        ]
        return [batch_status_view(batch) for batch in reversed(found)][: max(0, min(limit, MOST_STATUS))]

    def batches(
        self, webhook_id: str, state: str = "", limit: int = MOST_STATUS, tenant: str = ""
    ) -> list[dict[str, Any]]:
        """Return the batches that are kept, newest first. state: "" for any. Raises WebhookError."""
        self._known(webhook_id, tenant)
        found = [
            each.batch for each in self._documents.batches(webhook_id) if state in ("", each.batch.state)
        ]
        return [batch_view(batch) for batch in reversed(found)][: max(0, min(limit, MOST_STATUS))]

    def replay(self, webhook_id: str, data: Mapping[str, Any], tenant: str = "") -> dict[str, Any]:
        """Send batches again, under their ids: `batch_ids`, or those made `from` … `to`. Raises WebhookError.

        They go to the target of today, signed with the secrets of today. Of the time whose delivered batches
        are kept no more the events are read from the store, and sent in new batches.
        """
        webhook = self._known(webhook_id, tenant)
        ids = data.get("batch_ids", [])
        if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
            raise WebhookError(422, "'batch_ids' must be an array of strings", param="batch_ids")
        if bool(ids) == ("from" in data):
            raise WebhookError(422, "'from' or 'batch_ids' is required, and not both", param="from")
        begin = 0 if ids else _moment("from", data["from"])
        end = _moment("to", data["to"]) if "to" in data else self._now_ms + 1
        requested = set(ids)
        matching = [
            each
            for each in self._documents.batches(webhook_id)
            if (each.batch.id in requested if requested else begin <= each.batch.created_ms < end)
        ]
        missing = requested - {each.batch.id for each in matching}
        if missing:
            raise WebhookError(404, f"no batch {min(missing)[:40]} is kept", param="batch_ids")
        done = [
            each.batch.id
            for each in matching
            if self._documents.change_batch(webhook_id, each.batch.number, replayed)
        ]
        before = min(end, self._now_ms - self._retention_ms)
        since = max(begin, webhook.created_ms)
        if not ids and since < before:
            self._read_again(webhook_id, since, before)
            return {"count": len(done), "batch_ids": done, "x_from_store": [_iso(since), _iso(before)]}
        self._documents.change_state(webhook_id, lambda state: state)  # so that the sender looks again
        return {"count": len(done), "batch_ids": done}

    def _read_again(self, webhook_id: str, since: int, before: int) -> None:
        """Have the sender send events of a time from the store. Raises WebhookError."""

        def with_span(state: State) -> State:
            if state.again_to_ms:
                raise WebhookError(
                    409, "events of an earlier time are being sent from the store; wait for that"
                )
            return replace(state, again_from_ms=since, again_to_ms=before, again_after="")

        self._documents.change_state(webhook_id, with_span)

    # --- parts ---

    @property
    def _now_ms(self) -> int:
        return int(self._now() * 1000)

    def _skip(self, webhook_id: str) -> None:
        mark = self._mark()
        number = 0
        for stored in self._documents.batches(webhook_id):
            number = stored.batch.number
        self._documents.change_state(
            webhook_id, lambda state: replace(state, mark=mark, number=max(number, state.number))
        )

    def _viewed(self, webhook: Webhook, timezone: str) -> dict[str, Any]:
        try:
            zone = ZoneInfo(timezone)
        except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
            raise WebhookError(422, f"'timezone' {timezone[:40]!a} is not known", param="timezone") from None
        return webhook_view(webhook, self._documents.state(webhook.id)[0], zone, self._now_ms)

    def _known(self, webhook_id: str, tenant: str) -> Webhook:
        webhook = self._documents.webhook(webhook_id) if webhook_id and len(webhook_id) < 100 else None
        if webhook is None or not _is_seen(webhook, tenant):
            raise WebhookError(404, "webhook not found")
        return webhook

    def _checked(self, make: Callable[[], Webhook]) -> Webhook:
        try:
            return make()
        except FieldError as error:
            raise WebhookError(422, error.message, param=error.param) from error

    def _test(self, endpoint: Endpoint, body: bytes) -> Answer:
        """Send a test; only 200 is good (contract.md 8.2). Raises WebhookError."""
        try:
            answer = self._sender.send(endpoint, str(uuid.uuid4()), body)
        except NoTokenError as error:
            raise WebhookError(
                400, "POST to webhook tokens URL failed", code="400", response=response_view(error.answer)
            ) from error
        if answer.failure == "EACCES":
            raise WebhookError(422, answer.reason, param="target")
        if answer.status != 200:
            raise WebhookError(
                400, "POST to webhook target URL failed", code="400", response=response_view(answer)
            )
        return answer


def _is_seen(webhook: Webhook, tenant: str) -> bool:
    return not webhook.deleted_ms and tenant in ("", webhook.tenant)


def _is_other(before: Endpoint, after: Endpoint) -> bool:
    """Return whether an endpoint must be tested: anything but its signatures is another."""
    return replace(before, secrets=()) != replace(after, secrets=())


def _test_batch(body: Any) -> bytes:
    if isinstance(body, Mapping):
        body = body.get("message", [])
    events = [body] if isinstance(body, Mapping) else body
    if not events:
        return PING
    if not isinstance(events, list) or not all(isinstance(each, Mapping) for each in events):
        raise WebhookError(422, "'message' must be an object or an array of objects", param="message")
    return json.dumps(events, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _iso(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _moment(name: str, value: Any) -> int:
    """Return Unix milliseconds of a time with or without seconds and zone (UTC then), or in Unix seconds."""
    text = str(value)
    if text.isascii() and text.isdigit() and len(text) < 12:
        return int(text) * 1000
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise WebhookError(422, f"'{name}' must be a time such as 2026-11-01T08:00", param=name) from None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
