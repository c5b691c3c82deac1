"""The calls `/metrics` and everything below it."""

import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, ClassVar, Final

from engagement.events.fields import Fields
from engagement.stores.port import MAX_LIMIT, FigureQuery, FigureRow, Query, UnsupportedQueryError
from tracker_web.api.access import needs, the_key
from tracker_web.api.blueprint import ApiBlueprint
from tracker_web.api.errors import fail
from tracker_web.api.metrics import rows
from tracker_web.api.metrics.window import Groups, Window, is_nothing, query_of
from tracker_web.api.moments import Moment, Zone, unix_ms, zone_of
from tracker_web.api.parsing import Number, Parameters, Text
from tracker_web.web.sources import Sources

SCOPE: Final = "metrics/view"
_CLICKS: Final = ("count_clicked", "count_raw_clicked")
# Groups that mail over SMTP does not have, or that figures are not kept by; the key of each in a result.
_WITHOUT: Final = (
    *("sending-domain", "template", "sending-ip", "ip-pool", "subaccount", "mailbox-provider"),
    *("watched-domain", "tag", "rejection-reason", "rejection-reason/domain"),
)
_LISTS: Final = ("sending-domains", "templates", "subaccounts", "ip-pools", "sending-ips")
_BOUNCES: Final = ("bounce", "out_of_band", "expiration")
_CALLS: Final = (
    *("campaigns", "domains", "deliverability", "deliverability/time-series", "deliverability/domain"),
    *("deliverability/campaign", "deliverability/link-name", "deliverability/bounce-reason"),
)
_SEEN: Final = ("count_injected", "x_count_recorded_rendered", "x_count_recorded_clicked")


class Names(Parameters):
    """The parameters of a call that lists names."""

    aliases: ClassVar[Mapping[str, str]] = {}
    since = Moment(data_key="from", metadata={"description": "seen from then on; ever if not given"})
    to = Moment(metadata={"description": "seen before then"})
    timezone = Zone(load_default="UTC", metadata={"description": "of times that name none"})
    match = Text(load_default="", metadata={"description": "a part of the name, in any letter case"})
    limit = Number(load_default=1000, metadata={"description": "most names"})


def _list(name: str) -> dict[str, Any]:
    inner = {name: {"type": "array", "items": {"type": "string"}}}
    return {
        "type": "object",
        "required": ["results"],
        "properties": {"results": {"type": "object", "properties": inner}},
    }


_ROWS: Final = {
    "type": "object",
    "required": ["results"],
    "properties": {"results": {"type": "array", "items": {"type": "object"}}},
}


def blueprint(sources: Sources, clock: Callable[[], float] = time.time) -> ApiBlueprint:
    """Return the calls for figures. clock: returns Unix seconds."""
    topic = ApiBlueprint("metrics", "Figures of mail, opens and clicks.")
    _add_lists(topic, sources)
    _add_figures(topic, sources, clock)
    _add_reasons(topic, sources, clock)

    @topic.get("/metrics")
    @needs(SCOPE)
    @topic.response(HTTPStatus.OK, {"type": "object", "required": ["results", "links"]})
    def index() -> Any:
        """Return which calls there are."""
        return {"results": {}, "links": _links()}

    return topic


def _links() -> list[dict[str, Any]]:
    base = "/api/v1/metrics/"
    return [{"href": base + name, "rel": name.rpartition("/")[2], "method": "GET"} for name in _CALLS]


def _add_lists(topic: ApiBlueprint, sources: Sources) -> None:
    def names(asked: Mapping[str, Any], by: str) -> list[str]:
        zone = asked["timezone"]
        query = FigureQuery(
            from_ms=unix_ms(asked["since"], zone) if "since" in asked else None,
            to_ms=unix_ms(asked["to"], zone) if "to" in asked else None,
            by=by,
            metrics=_SEEN,
            tenant=the_key().tenant,
            limit=MAX_LIMIT,
        )
        found = [row.group for row in sources.store().figures(query) if row.group]
        part = asked["match"].lower()
        fitting = sorted(name for name in found if part in name.lower())
        return fitting[: max(0, min(asked["limit"], MAX_LIMIT))]

    @topic.get("/metrics/campaigns")
    @needs(SCOPE)
    @topic.arguments(Names, location="query")
    @topic.response(HTTPStatus.OK, _list("campaigns"))
    def campaigns(asked: dict[str, Any]) -> Any:
        """Return the names of campaigns that have events."""
        return {"results": {"campaigns": names(asked, "campaign")}}

    @topic.get("/metrics/domains")
    @needs(SCOPE)
    @topic.arguments(Names, location="query")
    @topic.response(HTTPStatus.OK, _list("domains"))
    def domains(asked: dict[str, Any]) -> Any:
        """Return the domains of recipients that have events."""
        return {"results": {"domains": names(asked, "domain")}}

    for path in _LISTS:
        key = path.replace("-", "_")

        @topic.get(f"/metrics/{path}", endpoint=f"list_{key}")
        @needs(SCOPE)
        @topic.arguments(Names, location="query")
        @topic.response(HTTPStatus.OK, _list(key))
        def nothing(_asked: dict[str, Any], key: str = key) -> Any:
            """Return an empty list: mail over SMTP has none, or figures are not kept by it."""
            return {"results": {key: []}}


def _add_figures(topic: ApiBlueprint, sources: Sources, clock: Callable[[], float]) -> None:
    def found(asked: Mapping[str, Any], **options: Any) -> tuple[FigureQuery, tuple[FigureRow, ...]]:
        """Return the question and its answer. Raises ApiError."""
        try:
            query = query_of(asked, the_key().tenant, int(clock() * 1000), **options)
            return query, () if is_nothing(asked) else sources.store().figures(query)
        except UnsupportedQueryError as error:
            fail(HTTPStatus.BAD_REQUEST, f"this is not offered: {error}")
        except ValueError as error:
            fail(HTTPStatus.BAD_REQUEST, f"'query_filters' {error}", param="query_filters")

    @topic.get("/metrics/deliverability")
    @needs(SCOPE)
    @topic.arguments(Window, location="query")
    @topic.response(HTTPStatus.OK, _ROWS)
    def whole(asked: dict[str, Any]) -> Any:
        """Return figures of all mail in a window."""
        query, answer = found(asked)
        return {"results": [rows.one(answer, query.metrics)]}

    @topic.get("/metrics/deliverability/time-series")
    @needs(SCOPE)
    @topic.arguments(Window, location="query")
    @topic.response(HTTPStatus.OK, _ROWS)
    def series(asked: dict[str, Any]) -> Any:
        """Return figures of each increment of a window, also where nothing happened."""
        query, answer = found(asked, series=True)
        try:
            return {"results": rows.by_time(answer, query, zone_of(asked["timezone"]))}
        except rows.TooManyStepsError as error:
            fail(HTTPStatus.BAD_REQUEST, str(error), param="precision")

    @topic.get("/metrics/deliverability/domain")
    @needs(SCOPE)
    @topic.arguments(Groups, location="query")
    @topic.response(HTTPStatus.OK, _ROWS)
    def by_domain(asked: dict[str, Any]) -> Any:
        """Return figures by the recipient's domain; they are kept by day."""
        query, answer = found(asked, by="domain", daily=True)
        return {"results": rows.by_group(answer, "domain", query.metrics)}

    @topic.get("/metrics/deliverability/campaign")
    @needs(SCOPE)
    @topic.arguments(Groups, location="query")
    @topic.response(HTTPStatus.OK, _ROWS)
    def by_campaign(asked: dict[str, Any]) -> Any:
        """Return figures by campaign."""
        query, answer = found(asked, by="campaign")
        return {"results": rows.by_group(answer, "campaign_id", query.metrics)}

    @topic.get("/metrics/deliverability/link-name")
    @needs(SCOPE)
    @topic.arguments(Groups, location="query")
    @topic.response(HTTPStatus.OK, _ROWS)
    def by_link_name(asked: dict[str, Any]) -> Any:
        """Return clicks by the name of the link; they are kept by day."""
        wrong = [name for name in asked["metrics"] if name not in _CLICKS and "_clicked" not in name]
        if wrong:
            fail(HTTPStatus.BAD_REQUEST, f"'metrics' of links are clicks, not {wrong[0]}", param="metrics")
        query, answer = found({**asked, "limit": MAX_LIMIT}, by="link", daily=True)
        return {"results": rows.by_link_name(answer, query.metrics, asked["limit"], asked["order_by"])}

    @topic.get("/metrics/deliverability/attempt")
    @needs(SCOPE)
    @topic.arguments(Window, location="query")
    @topic.response(HTTPStatus.OK, _ROWS)
    def by_attempt(asked: dict[str, Any]) -> Any:
        """Return deliveries at the first try, and at any later one, which is called the second."""
        metrics = ["count_delivered_first", "count_delivered_subsequent"]
        query, answer = found({**asked, "metrics": metrics})
        first, later = rows.one(answer, query.metrics).values()
        return {
            "results": [{"attempt": 1, "count_delivered": first}, {"attempt": 2, "count_delivered": later}]
        }

    for path in _WITHOUT:

        @topic.get(
            f"/metrics/deliverability/{path}", endpoint=f"by_{path.replace('-', '_').replace('/', '_')}"
        )
        @needs(SCOPE)
        @topic.arguments(Groups, location="query")
        @topic.response(HTTPStatus.OK, _ROWS)
        def none(_asked: dict[str, Any]) -> Any:
            """Return no rows: figures are not kept by it."""
            return {"results": []}


def _add_reasons(topic: ApiBlueprint, sources: Sources, clock: Callable[[], float]) -> None:
    def events(asked: Mapping[str, Any], types: tuple[str, ...]) -> list[Fields]:
        """Return all events of a window. Raises ApiError where there are more than a page has."""
        if is_nothing(asked):
            return []
        zone = asked["timezone"]
        query = Query(
            from_ms=unix_ms(asked["since"], zone),
            to_ms=unix_ms(asked["to"], zone) if "to" in asked else int(clock() * 1000),
            types=types,
            campaigns=tuple(asked.get("campaigns", ())),
            domains=tuple(domain.lower() for domain in asked.get("domains", ())),
            tenant=the_key().tenant,
            limit=MAX_LIMIT,
        )
        found = list(sources.store().find(query))
        if len(found) == MAX_LIMIT:
            fail(HTTPStatus.BAD_REQUEST, f"{MAX_LIMIT} events or more: ask for less time", param="from")
        return found

    for path, keys in (
        ("bounce-reason", ("reason",)),
        ("bounce-reason/domain", ("reason", "domain")),
        ("bounce-classification", ()),
    ):

        @topic.get(f"/metrics/deliverability/{path}", endpoint=path.replace("-", "_").replace("/", "_"))
        @needs(SCOPE)
        @topic.arguments(Groups, location="query")
        @topic.response(HTTPStatus.OK, _ROWS)
        def bounces(asked: dict[str, Any], keys: tuple[str, ...] = keys) -> Any:
            """Return bounces by what the other side said, most frequent first."""
            return {"results": rows.by_bounce(events(asked, _BOUNCES), keys)[: asked["limit"]]}

    for path, keys in (("delay-reason", ("reason",)), ("delay-reason/domain", ("reason", "domain"))):

        @topic.get(f"/metrics/deliverability/{path}", endpoint=path.replace("-", "_").replace("/", "_"))
        @needs(SCOPE)
        @topic.arguments(Groups, location="query")
        @topic.response(HTTPStatus.OK, _ROWS)
        def delays(asked: dict[str, Any], keys: tuple[str, ...] = keys) -> Any:
            """Return failed tries by what the other side said, most frequent first."""
            return {"results": rows.by_delay(events(asked, ("delay",)), keys)[: asked["limit"]]}
