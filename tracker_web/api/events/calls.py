"""The calls `/events/message` and the older `/message-events`: one search, two ways to name the next page.

`links` is an object for the one (Java's client, SparkPost's own page) and a list for the other (Go's and
node's clients).
"""

import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, ClassVar, Final

from marshmallow import ValidationError, validate, validates_schema

from engagement.events import described
from engagement.events.api_event import api_event
from engagement.events.fields import ALL_TYPES
from engagement.stores.port import MAX_LIMIT, UnsupportedQueryError
from tracker_web.api.access import needs, the_key
from tracker_web.api.blueprint import ApiBlueprint
from tracker_web.api.errors import fail
from tracker_web.api.events.filters import Filters
from tracker_web.api.events.paging import CursorError, Page, packed, page, unpacked
from tracker_web.api.moments import Moment, Zone, unix_ms
from tracker_web.api.parsing import Many, Number, Parameters, Switch, Text
from tracker_web.web.sources import Sources

_DAY_MS: Final = 86_400_000
_SETTLED_MS: Final = 60_000  # what is younger may still come in (contract.md 8.3)
_SIZE: Final = 1000  # events of a page, SparkPost's default
_KEYWORDS: Final = "; whole words of it"
# Filters by what mail handed in over SMTP does not have: whoever uses one finds nothing.
_NEVER: Final = (
    *("templates", "ip_pools", "mailbox_providers", "mailbox_provider_regions", "ab_tests"),
    "ab_test_versions",
)


def _many(text: str) -> Many:
    return Many(metadata={"description": text})


class Search(Parameters):
    """The parameters of a search."""

    aliases: ClassVar[Mapping[str, str]] = {
        "campaign_ids": "campaigns",
        "friendly_froms": "from_addresses",
        "message_id_header": "x_message_id_headers",
        "message_id_headers": "x_message_id_headers",
        "message_ids": "messages",
        "reason": "reasons",
        "subject": "subjects",
        "tags": "x_tags",
        "template_ids": "templates",
        "transmission_ids": "transmissions",
    }
    since = Moment(data_key="from", metadata={"description": "from then on; 24 hours ago if not given"})
    to = Moment(metadata={"description": "before then; a minute ago if not given"})
    timezone = Zone(load_default="UTC", metadata={"description": "of times that name none"})
    cursor = Text(load_default="initial", metadata={"description": "of the next page; holds all else"})
    per_page = Number(
        load_default=_SIZE,
        validate=validate.Range(1, MAX_LIMIT, error="must be from {min} to {max}"),
        metadata={"description": "events of a page"},
    )
    page = Number(
        load_default=1,
        validate=validate.Equal(1, error="counts no pages; follow links, or send a cursor"),
        metadata={"description": "only 1: the next page is in links"},
    )
    delimiter = Text(metadata={"description": "what parts the values of a list, instead of a comma"})
    events = _many("types of events")
    event_ids = _many("ids of events")
    recipients = _many("addresses")
    recipient_domains = _many(f"domains of addresses{_KEYWORDS}")
    from_addresses = _many("addresses of the From field")
    sending_domains = _many(f"domains of the From field{_KEYWORDS}")
    subjects = _many(f"subjects{_KEYWORDS}")
    bounce_classes = Many(
        Number(validate=validate.Range(0, 1000)), metadata={"description": "classes of bounces"}
    )
    reasons = _many(f"what the other side said{_KEYWORDS}")
    campaigns = _many(f"campaigns{_KEYWORDS}")
    messages = _many("message ids")
    transmissions = _many("transmission ids")
    sending_ips = _many("addresses that mail was sent from")
    subaccounts = _many("0 alone is the one there is")
    templates = _many("finds nothing: mail over SMTP has none")
    ip_pools = _many("finds nothing: mail over SMTP has none")
    mailbox_providers = _many("finds nothing: not known here")
    mailbox_provider_regions = _many("finds nothing: not known here")
    ab_tests = _many("finds nothing: mail over SMTP has none")
    ab_test_versions = _many("needs ab_tests")
    x_tags = _many("tags")
    x_classes = _many("human, proxy, prefetch, scanner, unknown or probe")
    x_message_id_headers = _many("Message-ID fields as they came")
    x_expired = Switch(load_default=False, metadata={"description": "also hits on links that had expired"})

    @validates_schema
    def check(self, data: dict[str, Any], **_more: Any) -> None:
        """Check what two parameters say together. Raises ValidationError."""
        if data.get("ab_test_versions") and not data.get("ab_tests"):
            raise ValidationError("needs ab_tests", "ab_test_versions")
        if "since" in data and "to" in data:
            zone = data["timezone"]
            if unix_ms(data["since"], zone) > unix_ms(data["to"], zone):
                raise ValidationError("must not be after to", "from")


class _Samples(Parameters):
    """Which samples."""

    events = Many(load_default=(), metadata={"description": "types of events; all if not given"})


def filters_of(arguments: Mapping[str, Any], now: float) -> Filters:
    """Return the filters that loaded parameters stand for. now: Unix seconds."""
    now_ms, zone = int(now * 1000), arguments["timezone"]
    given = {name: tuple(dict.fromkeys(arguments.get(name, ()))) for name in _LISTS}
    nothing = any(arguments.get(name) for name in _NEVER)
    elsewhere = bool(arguments.get("subaccounts")) and "0" not in arguments["subaccounts"]
    return Filters(
        from_ms=unix_ms(arguments["since"], zone) if "since" in arguments else now_ms - _DAY_MS,
        to_ms=unix_ms(arguments["to"], zone) if "to" in arguments else now_ms - _SETTLED_MS,
        x_expired=arguments["x_expired"],
        none=nothing or elsewhere,
        **given,
    )


_LISTS: Final = tuple(
    name for name in Filters.__struct_fields__ if name in Search().fields and name != "x_expired"
)

_RESULTS: Final = {
    "type": "array",
    "items": {"type": "object", "required": ["type", "event_id", "timestamp"]},
}
_LIST: Final = {"type": "object", "properties": {"results": {"type": "array", "items": {"type": "object"}}}}
_NEXT: Final = {"type": "string", "description": "the path of the next page"}
_AS_OBJECT: Final = {"type": "object", "properties": {"next": _NEXT}}
_AS_LIST: Final = {
    "type": "array",
    "items": {"type": "object", "properties": {"href": _NEXT, "rel": {"type": "string"}}},
}


def _schema(links: Mapping[str, Any]) -> dict[str, Any]:
    total = {"type": "integer", "description": "events in all, counted up to 10,000; left out if unknown"}
    return {
        "type": "object",
        "required": ["results", "links"],
        "properties": {"results": _RESULTS, "links": dict(links), "total_count": total},
    }


def blueprint(sources: Sources, clock: Callable[[], float] = time.time) -> ApiBlueprint:
    """Return the calls that search events. clock: returns Unix seconds."""
    topic = ApiBlueprint("events", "What happened to messages.")

    def found(arguments: Mapping[str, Any]) -> Page:
        """Return the page that a request asks for. Raises ApiError."""
        try:
            after = None if arguments["cursor"] in ("", "initial") else unpacked(arguments["cursor"])
            filters = filters_of(arguments, clock()) if after is None else after.filters
            return page(sources.store(), filters, the_key().tenant, arguments["per_page"], after)
        except CursorError as error:
            fail(HTTPStatus.BAD_REQUEST, f"'cursor' {error}", param="cursor")
        except UnsupportedQueryError as error:
            fail(HTTPStatus.UNPROCESSABLE_ENTITY, f"the store does not answer this: {error}")

    def answer(found: Page, links: Any) -> dict[str, Any]:
        total = {} if found.total < 0 else {"total_count": found.total}
        return {"results": [api_event(event) for event in found.events], **total, "links": links}

    @topic.get("/events/message")
    @needs("events/view")
    @topic.arguments(Search, location="query")
    @topic.response(HTTPStatus.OK, _schema(_AS_OBJECT))
    @topic.alt_response(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.UNPROCESSABLE_ENTITY.name)
    def search(arguments: dict[str, Any]) -> Any:
        """Return events, newest first.

        Values of one parameter are alternatives; all parameters must match. Letter case is ignored.
        """
        shown = found(arguments)
        return answer(shown, {"next": _next("events/message", arguments, shown)} if shown.next else {})

    @topic.get("/message-events")
    @needs("events/view")
    @topic.arguments(Search, location="query")
    @topic.response(HTTPStatus.OK, _schema(_AS_LIST))
    @topic.alt_response(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.UNPROCESSABLE_ENTITY.name)
    def older(arguments: dict[str, Any]) -> Any:
        """Return events, newest first, with links as a list: the call of older clients."""
        shown = found(arguments)
        links = [{"href": _next("message-events", arguments, shown), "rel": "next"}] if shown.next else []
        return answer(shown, links)

    @topic.get("/events/message/documentation")
    @needs("events/view")
    @topic.response(HTTPStatus.OK, _LIST)
    def documentation() -> Any:
        """Return what each type of event is, and its fields with a sample of each."""
        return {"results": [described.documentation(kind) for kind in ALL_TYPES]}

    @topic.get("/events/message/samples")
    @needs("events/view")
    @topic.arguments(_Samples, location="query")
    @topic.response(HTTPStatus.OK, _LIST)
    def samples(arguments: dict[str, Any]) -> Any:
        """Return an invented event of each type."""
        return {"results": [described.sample(kind) for kind in described.chosen(arguments["events"])]}

    @topic.get("/message-events/events/samples")
    @needs("events/view")
    @topic.arguments(_Samples, location="query")
    @topic.response(HTTPStatus.OK, _LIST)
    def older_samples(arguments: dict[str, Any]) -> Any:
        """Return an invented event of each type: the call of older clients."""
        return {"results": [described.sample(kind) for kind in described.chosen(arguments["events"])]}

    return topic


def _next(path: str, arguments: Mapping[str, Any], shown: Page) -> str:
    assert shown.next is not None
    return f"/api/v1/{path}?cursor={packed(shown.next)}&per_page={arguments['per_page']}"
