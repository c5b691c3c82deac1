"""The calls `/metrics` and everything below it."""

import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, Protocol

from engagement.stores.port import MAX_LIMIT, FigureQuery, FigureRow, UnsupportedQueryError
from tracker_web.api.access import needs, the_key
from tracker_web.api.blueprint import ApiBlueprint
from tracker_web.api.errors import fail
from tracker_web.api.metrics import rows
from tracker_web.api.metrics.counted import TooManyEventsError, figures
from tracker_web.api.metrics.lists import add_lists
from tracker_web.api.metrics.reasons import ROWS, add_reasons
from tracker_web.api.metrics.window import Groups, Window, filters_of, is_nothing, query_of
from tracker_web.api.moments import zone_of
from tracker_web.web.sources import Sources

SCOPE: Final = "metrics/view"
_CLICKS: Final = ("count_clicked", "count_raw_clicked")
# Groups that mail over SMTP does not have; there is nothing of them to count.
_WITHOUT: Final = (
    *("template", "ip-pool", "mailbox-provider", "watched-domain"),
    *("rejection-reason", "rejection-reason/domain"),
)
# Groups that are counted from the events of a window; the key of each in a result.
_COUNTED: Final = {"sending-domain": "sending_domain", "sending-ip": "sending_ip", "tag": "tag"}
_CALLS: Final = (
    *("campaigns", "domains", "deliverability", "deliverability/time-series", "deliverability/domain"),
    *("deliverability/campaign", "deliverability/link-name", "deliverability/bounce-reason"),
    *("deliverability/sending-domain", "deliverability/tag", "sending-domains"),
)


def blueprint(sources: Sources, clock: Callable[[], float] = time.time) -> ApiBlueprint:
    """Return the calls for figures. clock: returns Unix seconds."""
    topic = ApiBlueprint("metrics", "Figures of mail, opens and clicks.")
    add_lists(topic, sources, SCOPE, clock)
    _add_figures(topic, sources, clock)
    add_reasons(topic, sources, SCOPE, clock)

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


class _Find(Protocol):
    """Answers a question that arguments name, by a group if one is given. Raises ApiError."""

    def __call__(
        self, arguments: Mapping[str, Any], group: str = "", **options: Any
    ) -> tuple[FigureQuery, tuple[FigureRow, ...]]: ...


def _add_figures(topic: ApiBlueprint, sources: Sources, clock: Callable[[], float]) -> None:
    def found(
        arguments: Mapping[str, Any], group: str = "", **options: Any
    ) -> tuple[FigureQuery, tuple[FigureRow, ...]]:
        """Return the question and its answer. Raises ApiError."""
        try:
            query = query_of(arguments, the_key().tenant, int(clock() * 1000), **options)
            filters = filters_of(arguments)
            return query, () if is_nothing(arguments) else figures(sources.store(), query, filters, group)
        except UnsupportedQueryError as error:
            fail(HTTPStatus.BAD_REQUEST, f"this is not offered: {error}")
        except TooManyEventsError as error:
            fail(HTTPStatus.BAD_REQUEST, str(error), param="from")
        except ValueError as error:
            fail(HTTPStatus.BAD_REQUEST, f"'query_filters' {error}", param="query_filters")

    _add_whole(topic, found)
    _add_groups(topic, found)
    _add_other_groups(topic, found)


def _add_whole(topic: ApiBlueprint, found: _Find) -> None:
    @topic.get("/metrics/deliverability")
    @needs(SCOPE)
    @topic.arguments(Window, location="query")
    @topic.response(HTTPStatus.OK, ROWS)
    def whole(arguments: dict[str, Any]) -> Any:
        """Return figures of all mail in a window."""
        query, answer = found(arguments)
        return {"results": [rows.one(answer, query.metrics)]}

    @topic.get("/metrics/deliverability/time-series")
    @needs(SCOPE)
    @topic.arguments(Window, location="query")
    @topic.response(HTTPStatus.OK, ROWS)
    def series(arguments: dict[str, Any]) -> Any:
        """Return figures of each increment of a window, also where nothing happened."""
        query, answer = found(arguments, series=True)
        try:
            return {"results": rows.by_time(answer, query, zone_of(arguments["timezone"]))}
        except rows.TooManyStepsError as error:
            fail(HTTPStatus.BAD_REQUEST, str(error), param="precision")


def _add_groups(topic: ApiBlueprint, found: _Find) -> None:
    @topic.get("/metrics/deliverability/domain")
    @needs(SCOPE)
    @topic.arguments(Groups, location="query")
    @topic.response(HTTPStatus.OK, ROWS)
    def by_domain(arguments: dict[str, Any]) -> Any:
        """Return figures by the recipient's domain; they are kept by day."""
        query, answer = found(arguments, by="domain", daily=True)
        return {"results": rows.by_group(answer, "domain", query.metrics)}

    @topic.get("/metrics/deliverability/campaign")
    @needs(SCOPE)
    @topic.arguments(Groups, location="query")
    @topic.response(HTTPStatus.OK, ROWS)
    def by_campaign(arguments: dict[str, Any]) -> Any:
        """Return figures by campaign."""
        query, answer = found(arguments, by="campaign")
        return {"results": rows.by_group(answer, "campaign_id", query.metrics)}

    @topic.get("/metrics/deliverability/link-name")
    @needs(SCOPE)
    @topic.arguments(Groups, location="query")
    @topic.response(HTTPStatus.OK, ROWS)
    def by_link_name(arguments: dict[str, Any]) -> Any:
        """Return clicks by the name of the link; they are kept by day."""
        wrong = [name for name in arguments["metrics"] if name not in _CLICKS and "_clicked" not in name]
        if wrong:
            fail(HTTPStatus.BAD_REQUEST, f"'metrics' of links are clicks, not {wrong[0]}", param="metrics")
        query, answer = found({**arguments, "limit": MAX_LIMIT}, by="link", daily=True)
        return {
            "results": rows.by_link_name(answer, query.metrics, arguments["limit"], arguments["order_by"])
        }

    @topic.get("/metrics/deliverability/attempt")
    @needs(SCOPE)
    @topic.arguments(Window, location="query")
    @topic.response(HTTPStatus.OK, ROWS)
    def by_attempt(arguments: dict[str, Any]) -> Any:
        """Return deliveries at the first try, and at any later one, which is called the second."""
        metrics = ["count_delivered_first", "count_delivered_subsequent"]
        query, answer = found({**arguments, "metrics": metrics})
        first, later = rows.one(answer, query.metrics).values()
        return {
            "results": [{"attempt": 1, "count_delivered": first}, {"attempt": 2, "count_delivered": later}]
        }


def _add_other_groups(topic: ApiBlueprint, found: _Find) -> None:
    for path, key in _COUNTED.items():

        @topic.get(f"/metrics/deliverability/{path}", endpoint=f"by_{key}")
        @needs(SCOPE)
        @topic.arguments(Groups, location="query")
        @topic.response(HTTPStatus.OK, ROWS)
        def counted(arguments: dict[str, Any], key: str = key) -> Any:
            """Return figures by it, counted from the events of a window."""
            query, answer = found(arguments, key, by="campaign")
            return {"results": rows.by_group(answer, key, query.metrics)}

    @topic.get("/metrics/deliverability/subaccount")
    @needs(SCOPE)
    @topic.arguments(Groups, location="query")
    @topic.response(HTTPStatus.OK, ROWS)
    def by_subaccount(arguments: dict[str, Any]) -> Any:
        """Return figures of the one account there is, 0."""
        query, answer = found(arguments)
        row = rows.one(answer, query.metrics)
        return {"results": [row | {"subaccount_id": 0}] if any(row.values()) else []}

    for path in _WITHOUT:

        @topic.get(
            f"/metrics/deliverability/{path}", endpoint=f"by_{path.replace('-', '_').replace('/', '_')}"
        )
        @needs(SCOPE)
        @topic.arguments(Groups, location="query")
        @topic.response(HTTPStatus.OK, ROWS)
        def none(_arguments: dict[str, Any]) -> Any:
            """Return no rows: no mail here has it."""
            return {"results": []}
