"""The calls that list names: of campaigns, of domains, and of what else mail here has."""

import time
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, ClassVar, Final

from engagement.events.fields import MESSAGE_TYPES
from engagement.figures.from_events import GROUPS
from engagement.stores.port import MAX_LIMIT, FigureQuery
from tracker_web.api.access import needs, the_key
from tracker_web.api.blueprint import ApiBlueprint
from tracker_web.api.errors import fail
from tracker_web.api.metrics.counted import TooManyEventsError, read
from tracker_web.api.moments import Moment, Zone, unix_ms
from tracker_web.api.parsing import Number, Parameters, Text
from tracker_web.web.sources import Sources

_NONE: Final = ("templates", "subaccounts", "ip-pools")
_KNOWN: Final = 100_000  # names that are looked through
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


def add_lists(
    topic: ApiBlueprint, sources: Sources, scope: str, clock: Callable[[], float] = time.time
) -> None:
    """Add the calls to a blueprint. scope: that they need."""
    _add_recorded(topic, sources, scope)
    _add_counted(topic, sources, scope, clock)


def _fitting(names: Iterable[str], arguments: Mapping[str, Any]) -> list[str]:
    """Return the names with the part that was asked for, sorted."""
    part = arguments["match"].lower()
    fitting = sorted(name for name in names if name and part in name.lower())
    return fitting[: max(0, min(arguments["limit"], MAX_LIMIT))]


def _add_recorded(topic: ApiBlueprint, sources: Sources, scope: str) -> None:
    def names(arguments: Mapping[str, Any], by: str) -> list[str]:
        zone = arguments["timezone"]
        query = FigureQuery(
            from_ms=unix_ms(arguments["since"], zone) if "since" in arguments else None,
            to_ms=unix_ms(arguments["to"], zone) if "to" in arguments else None,
            by=by,
            metrics=_SEEN,
            tenant=the_key().tenant,
            limit=MAX_LIMIT,
        )
        return _fitting((row.group for row in sources.store().figures(query)), arguments)

    @topic.get("/metrics/campaigns")
    @needs(scope)
    @topic.arguments(Names, location="query")
    @topic.response(HTTPStatus.OK, _list("campaigns"))
    def campaigns(arguments: dict[str, Any]) -> Any:
        """Return the names of campaigns that have events."""
        return {"results": {"campaigns": names(arguments, "campaign")}}

    @topic.get("/metrics/domains")
    @needs(scope)
    @topic.arguments(Names, location="query")
    @topic.response(HTTPStatus.OK, _list("domains"))
    def domains(arguments: dict[str, Any]) -> Any:
        """Return the domains of recipients that have events."""
        if not {"since", "to"} & set(arguments):
            found = sources.store().names("domain", the_key().tenant, _KNOWN)
            if found is not None:
                return {"results": {"domains": _fitting(found, arguments)}}
        return {"results": {"domains": names(arguments, "domain")}}

    for path in _NONE:
        key = path.replace("-", "_")

        @topic.get(f"/metrics/{path}", endpoint=f"list_{key}")
        @needs(scope)
        @topic.arguments(Names, location="query")
        @topic.response(HTTPStatus.OK, _list(key))
        def nothing(_arguments: dict[str, Any], key: str = key) -> Any:
            """Return an empty list: mail over SMTP has none."""
            return {"results": {key: []}}


def _add_counted(topic: ApiBlueprint, sources: Sources, scope: str, clock: Callable[[], float]) -> None:
    def names(arguments: Mapping[str, Any], group: str, types: tuple[str, ...]) -> list[str]:
        """Return the values that events have. Raises ApiError where too many would have to be read."""
        tenant, store = the_key().tenant, sources.store()
        found: Iterable[str] | None = None
        if group == "sending_domain" and not {"since", "to"} & set(arguments):
            found = store.names("sending_domain", tenant, _KNOWN)
        if found is None:
            zone = arguments["timezone"]
            from_ms = unix_ms(arguments["since"], zone) if "since" in arguments else 0
            to_ms = unix_ms(arguments["to"], zone) if "to" in arguments else int(clock() * 1000)
            try:
                events = read(store, from_ms, to_ms, (), tenant, types)
                found = {value for event in events for value in GROUPS[group](event)}
            except TooManyEventsError as error:
                fail(HTTPStatus.BAD_REQUEST, str(error), param="from")
        return _fitting(found, arguments)

    @topic.get("/metrics/sending-domains")
    @needs(scope)
    @topic.arguments(Names, location="query")
    @topic.response(HTTPStatus.OK, _list("sending_domains"))
    def sending_domains(arguments: dict[str, Any]) -> Any:
        """Return the domains of From fields that messages have."""
        return {"results": {"sending_domains": names(arguments, "sending_domain", ("injection",))}}

    @topic.get("/metrics/sending-ips")
    @needs(scope)
    @topic.arguments(Names, location="query")
    @topic.response(HTTPStatus.OK, _list("sending_ips"))
    def sending_ips(arguments: dict[str, Any]) -> Any:
        """Return the addresses that mail was sent from, as far as the MTA's log says them."""
        return {"results": {"sending_ips": names(arguments, "sending_ip", MESSAGE_TYPES)}}
