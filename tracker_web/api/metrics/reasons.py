"""The calls that say why mail bounced or was late: counted from the events themselves."""

import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from engagement.events.fields import Fields
from engagement.stores.port import MAX_LIMIT
from tracker_web.api.access import needs, the_key
from tracker_web.api.blueprint import ApiBlueprint
from tracker_web.api.errors import fail
from tracker_web.api.metrics import rows
from tracker_web.api.metrics.counted import TooManyEventsError, read
from tracker_web.api.metrics.window import Groups, filters_of, is_nothing, times_of
from tracker_web.web.sources import Sources

_BOUNCES: Final = ("bounce", "out_of_band", "expiration")
ROWS: Final = {
    "type": "object",
    "required": ["results"],
    "properties": {"results": {"type": "array", "items": {"type": "object"}}},
}


def add_reasons(
    topic: ApiBlueprint, sources: Sources, scope: str, clock: Callable[[], float] = time.time
) -> None:
    """Add the calls to a blueprint. scope: that they need."""

    def events(arguments: Mapping[str, Any], types: tuple[str, ...]) -> list[Fields]:
        """Return all events of a window. Raises ApiError where there are more than are read."""
        if is_nothing(arguments):
            return []
        try:
            from_ms, to_ms = times_of(arguments, int(clock() * 1000))
            filters = filters_of(arguments)
            return list(read(sources.store(), from_ms, to_ms, filters, the_key().tenant, types, MAX_LIMIT))
        except TooManyEventsError as error:
            fail(HTTPStatus.BAD_REQUEST, str(error), param="from")
        except ValueError as error:
            fail(HTTPStatus.BAD_REQUEST, f"'query_filters' {error}", param="query_filters")

    for path, keys in (
        ("bounce-reason", ("reason",)),
        ("bounce-reason/domain", ("reason", "domain")),
        ("bounce-classification", ()),
    ):

        @topic.get(f"/metrics/deliverability/{path}", endpoint=path.replace("-", "_").replace("/", "_"))
        @needs(scope)
        @topic.arguments(Groups, location="query")
        @topic.response(HTTPStatus.OK, ROWS)
        def bounces(arguments: dict[str, Any], keys: tuple[str, ...] = keys) -> Any:
            """Return bounces by what the other side said, most frequent first."""
            return {"results": rows.by_bounce(events(arguments, _BOUNCES), keys)[: arguments["limit"]]}

    for path, keys in (("delay-reason", ("reason",)), ("delay-reason/domain", ("reason", "domain"))):

        @topic.get(f"/metrics/deliverability/{path}", endpoint=path.replace("-", "_").replace("/", "_"))
        @needs(scope)
        @topic.arguments(Groups, location="query")
        @topic.response(HTTPStatus.OK, ROWS)
        def delays(arguments: dict[str, Any], keys: tuple[str, ...] = keys) -> Any:
            """Return failed tries by what the other side said, most frequent first."""
            return {"results": rows.by_delay(events(arguments, ("delay",)), keys)[: arguments["limit"]]}
