"""Webhooks: made, changed, tested, removed, their batches listed and sent again (contract.md 8.2).

What a call does is `engagement.webhooks.service`; `smtpapi webhooks` is the program that sends.
"""

from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from typing import Any, Final, TypeVar

from flask import request
from marshmallow import fields, validate

from engagement.webhooks import documentation
from engagement.webhooks.documents import Documents
from engagement.webhooks.sending.build import sender_of
from engagement.webhooks.sending.delivery import Sender
from engagement.webhooks.service import MOST_STATUS, WebhookError, WebhookService
from tracker_web.api.access import needs, open_to_all, the_key
from tracker_web.api.blueprint import ApiBlueprint
from tracker_web.api.errors import fail
from tracker_web.api.parsing import Body, Many, Number, Parameters, Text, read_json
from tracker_web.web.sources import Sources

T = TypeVar("T")

_RESULTS: Final = {"type": "object", "required": ["results"], "properties": {"results": {}}}
_STATES: Final = ("pending", "delivered", "failed")


def _any(text: str) -> Any:
    """Return a member that the service checks, so that API and command line say the same of it."""
    return fields.Raw(allow_none=True, metadata={"description": text})


class _Webhook(Body):
    """A webhook, or what may change of one."""

    name = _any("its name")
    target = _any("URL that batches are posted to")
    events = _any("array of types of events")
    active = _any("whether it is sent to")
    custom_headers = _any("object of at most five header fields")
    auth_type = _any("none, basic or oauth2")
    auth_credentials = _any("object of username and password, with basic")
    auth_request_details = _any("object of url and body, with oauth2")
    auth_token = _any("sent as X-MessageSystems-Webhook-Token")
    exception_subaccounts = _any("array of 1 to 10 integers; without effect")
    x_sign = _any("whether a secret is made that batches are signed with")
    x_signing_secrets = _any("array of at most three secrets that batches are signed with")
    x_corrections = _any("whether hits that are judged anew are sent again, with x_corrects")


class _Replay(Body):
    """Which batches are sent again."""

    since = fields.Raw(data_key="from", metadata={"description": "batches made from then on"})
    to = fields.Raw(metadata={"description": "and before then"})
    batch_ids = fields.Raw(metadata={"description": "array of ids of batches"})


class _Zone(Parameters):
    """How times are shown."""

    timezone = Text(load_default="UTC", metadata={"description": "of last_successful and last_failure"})


class _Most(Parameters):
    """How many."""

    limit = Number(
        load_default=MOST_STATUS,
        validate=validate.Range(1, MOST_STATUS, error="must be from {min} to {max}"),
        metadata={"description": "batches at most, newest first"},
    )


class _Batches(_Most):
    """Which batches."""

    state = Text(
        load_default="",
        validate=validate.OneOf(("", *_STATES), error=f"must be one of {', '.join(_STATES)}"),
        metadata={"description": "pending, delivered or failed; any if not given"},
    )


class _Samples(Parameters):
    """Which samples."""

    events = Many(load_default=(), metadata={"description": "types of events; all if not given"})


def blueprint(sources: Sources) -> ApiBlueprint:
    """Return the calls for webhooks."""
    topic = ApiBlueprint("webhooks", "Events sent on to programs of yours.")

    @cache
    def sender() -> Sender:
        return sender_of(sources.settings)

    def service() -> WebhookService:
        return WebhookService(
            Documents(sources.registry()),
            sender(),
            lambda: sources.store().arrivals("").mark,
            sources.settings.webhooks.allow_targets,
        )

    @topic.get("/webhooks")
    @needs("webhooks/view")
    @topic.arguments(_Zone, location="query")
    @topic.response(HTTPStatus.OK, _RESULTS)
    @topic.alt_response(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.UNPROCESSABLE_ENTITY.name)
    def every(arguments: dict[str, Any]) -> Any:
        """Return the webhooks."""
        return _done(lambda: service().listed(the_key().tenant, arguments["timezone"]))

    @topic.post("/webhooks")
    @needs("webhooks/modify")
    @topic.arguments(_Webhook)
    @topic.response(HTTPStatus.OK, _RESULTS)
    def add(arguments: dict[str, Any]) -> Any:
        """Make a webhook, once its target has answered an empty ping with 200."""
        return _done(lambda: service().create(arguments, the_key().tenant))

    _add_documentation(topic)
    _add_one(topic, service)
    _add_batches(topic, service)
    return topic


def _add_documentation(topic: ApiBlueprint) -> None:
    @topic.get("/webhooks/events/documentation")
    @open_to_all
    @topic.response(HTTPStatus.OK, _RESULTS)
    def documented() -> Any:
        """Return the groups of events, their types, and the fields of each."""
        return {"results": documentation.event_documentation()}

    @topic.get("/webhooks/events/samples")
    @open_to_all
    @topic.arguments(_Samples, location="query")
    @topic.response(HTTPStatus.OK, _RESULTS)
    def samples(arguments: dict[str, Any]) -> Any:
        """Return an invented event of each type, as a webhook sends it."""
        return {"results": documentation.samples(arguments["events"])}


def _add_one(topic: ApiBlueprint, service: Callable[[], WebhookService]) -> None:
    @topic.get("/webhooks/<webhook>")
    @needs("webhooks/view")
    @topic.arguments(_Zone, location="query")
    @topic.response(HTTPStatus.OK, _RESULTS)
    @topic.alt_response(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND.name)
    @topic.alt_response(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.UNPROCESSABLE_ENTITY.name)
    def one(arguments: dict[str, Any], webhook: str) -> Any:
        """Return one webhook. Secrets are masked."""
        return _done(lambda: service().detail(webhook, the_key().tenant, arguments["timezone"]))

    @topic.put("/webhooks/<webhook>")
    @needs("webhooks/modify")
    @topic.arguments(_Webhook)
    @topic.response(HTTPStatus.OK, _RESULTS)
    @topic.alt_response(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND.name)
    @topic.alt_response(HTTPStatus.CONFLICT, HTTPStatus.CONFLICT.name)
    def change(arguments: dict[str, Any], webhook: str) -> Any:
        """Change a webhook. A new target must answer an empty ping with 200, else nothing changes."""
        return _done(lambda: service().update(webhook, arguments, the_key().tenant))

    @topic.delete("/webhooks/<webhook>")
    @needs("webhooks/modify")
    @topic.response(HTTPStatus.NO_CONTENT)
    @topic.alt_response(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND.name)
    def remove(webhook: str) -> Any:
        """Remove a webhook. Batches in its queue are still sent."""
        _done(lambda: service().delete(webhook, the_key().tenant))

    @topic.post("/webhooks/<webhook>/validate")
    @needs("webhooks/modify")
    @topic.response(HTTPStatus.OK, _RESULTS)
    @topic.alt_response(HTTPStatus.BAD_REQUEST, HTTPStatus.BAD_REQUEST.name)
    @topic.alt_response(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND.name)
    @topic.doc(requestBody={"content": {"application/json": {"schema": {}}}})
    def test(webhook: str) -> Any:
        """Post a test: the body's batch, `{"message": …}`, or an empty ping. A paused webhook goes on."""
        raw = request.get_data()
        body = read_json(raw) if raw.strip() else None
        return _done(lambda: service().validate(webhook, body, the_key().tenant))


def _add_batches(topic: ApiBlueprint, service: Callable[[], WebhookService]) -> None:
    @topic.get("/webhooks/<webhook>/batch-status")
    @needs("webhooks/view")
    @topic.arguments(_Most, location="query")
    @topic.response(HTTPStatus.OK, _RESULTS)
    @topic.alt_response(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND.name)
    def status(arguments: dict[str, Any], webhook: str) -> Any:
        """Return the batches of the last 24 hours that failed at least once."""
        return _done(lambda: service().batch_status(webhook, arguments["limit"], the_key().tenant))

    @topic.get("/webhooks/<webhook>/batches")
    @needs("webhooks/view")
    @topic.arguments(_Batches, location="query")
    @topic.response(HTTPStatus.OK, _RESULTS)
    @topic.alt_response(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND.name)
    def batches(arguments: dict[str, Any], webhook: str) -> Any:
        """Return the batches that are kept."""
        return _done(
            lambda: service().batches(webhook, arguments["state"], arguments["limit"], the_key().tenant)
        )

    @topic.post("/webhooks/<webhook>/replay")
    @needs("webhooks/modify")
    @topic.arguments(_Replay)
    @topic.response(HTTPStatus.OK, _RESULTS)
    @topic.alt_response(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND.name)
    def replay(arguments: dict[str, Any], webhook: str) -> Any:
        """Send batches again, under the same ids: those made in a time, or some by their ids."""
        named = {"from" if name == "since" else name: value for name, value in arguments.items()}
        return _done(lambda: service().replay(webhook, named, the_key().tenant))


def _done(work: Callable[[], T]) -> dict[str, T]:
    """Return what the service returns as `results`. Raises ApiError for what it refuses."""
    try:
        return {"results": work()}
    except WebhookError as error:
        entry = dict(error.errors[0])
        fail(error.status, entry.pop("message"), **entry)
