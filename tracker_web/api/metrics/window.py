"""What a request for figures asks for: its parameters, and the question to the store they stand for. Pure."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from marshmallow import ValidationError, validate, validates_schema

from engagement.figures.definitions import FIGURES
from engagement.figures.increments import LEVELS, PRECISIONS, Level
from engagement.figures.query import FigureQuery
from engagement.stores.port import MAX_LIMIT
from tracker_web.api.metrics.filters import NEVER, Groupings, equal, groupings, simple
from tracker_web.api.moments import Moment, Zone, unix_ms
from tracker_web.api.parsing import Many, Number, Parameters, Text

_LONGEST_MS: Final = {
    "1min": 24 * Level.HOUR,
    "5min": 24 * Level.HOUR,
    "15min": 48 * Level.HOUR,
    "hour": 31 * Level.DAY,
}
_TIMES: Final = ("12hr", "week", "month")  # only of a time series (contract.md 8.4)


def _many(text: str) -> Many:
    return Many(metadata={"description": text})


class Window(Parameters):
    """The parameters that every call for figures has."""

    aliases: ClassVar[Mapping[str, str]] = {
        "campaign_ids": "campaigns",
        "recipient_domains": "domains",
        "x_tags": "tags",
    }
    since = Moment(data_key="from", required=True, metadata={"description": "from then on"})
    to = Moment(metadata={"description": "before then; now if not given"})
    timezone = Zone(load_default="UTC", metadata={"description": "of times that name none, and of ts"})
    delimiter = Text(metadata={"description": "what parts the values of a list, instead of a comma"})
    metrics = Many(required=True, metadata={"description": "names of figures (docs/figures.md)"})
    precision = Text(
        load_default="",
        validate=validate.OneOf(("", *PRECISIONS), error=f"must be one of {', '.join(PRECISIONS)}"),
        metadata={"description": "within what a message is unique; that which fits the window if not given"},
    )
    domains = _many("domains of recipients")
    campaigns = _many("campaigns, by their whole name")
    subaccounts = _many("0 alone is the one there is")
    templates = _many("finds nothing: mail over SMTP has none")
    ip_pools = _many("finds nothing: mail over SMTP has none")
    sending_ips = _many("addresses that mail was sent from; opens and clicks have none")
    sending_domains = _many("domains of From fields")
    tags = _many("tags of messages")
    mailbox_providers = _many("finds nothing: not known here")
    mailbox_provider_regions = _many("finds nothing: not known here")
    ab_tests = _many("finds nothing: mail over SMTP has none")
    query_filters = Text(
        load_default="",
        metadata={"description": "JSON: groupings (AND, OR) of these filters, with eq, notEq, like, notLike"},
    )

    @validates_schema
    def check(self, data: dict[str, Any], **_more: Any) -> None:
        """Check names, and what several parameters say together. Raises ValidationError."""
        for name in data.get("metrics", ()):
            if name not in FIGURES:
                raise ValidationError(f"no metric is called {name!r}; docs/figures.md lists them", "metrics")
        if "since" not in data:
            return
        zone = data.get("timezone", "UTC")
        since = unix_ms(data["since"], zone)
        until = unix_ms(data["to"], zone) if "to" in data else None
        if until is not None and since > until:
            raise ValidationError("must not be after to", "from")
        longest = _LONGEST_MS.get(data.get("precision", ""))
        if longest is not None and until is not None and until - since > longest:
            hours = longest // Level.HOUR
            raise ValidationError(f"goes with at most {hours} hours from from to to", "precision")


class Groups(Window):
    """The parameters of a call that gives a row for each of several groups."""

    limit = Number(
        load_default=1000,
        validate=validate.Range(1, MAX_LIMIT, error="must be from {min} to {max}"),
        metadata={"description": "most rows"},
    )
    order_by = Text(load_default="", metadata={"description": "a metric; its greatest value comes first"})

    @validates_schema
    def check_order(self, data: dict[str, Any], **_more: Any) -> None:
        """Check the metric that rows are ordered by. Raises ValidationError."""
        if data.get("order_by") and data["order_by"] not in FIGURES:
            raise ValidationError("must be a metric", "order_by")


def is_nothing(arguments: Mapping[str, Any]) -> bool:
    """Return whether a filter can match no mail of ours."""
    elsewhere = bool(arguments.get("subaccounts")) and "0" not in arguments["subaccounts"]
    return elsewhere or any(arguments.get(name) for name in NEVER)


def filters_of(arguments: Mapping[str, Any]) -> Groupings:
    """Return what an event must have to be counted. Raises ValueError."""
    return (*simple({**arguments, "subaccounts": ()}), *groupings(arguments.get("query_filters", "")))


def times_of(arguments: Mapping[str, Any], now_ms: int) -> tuple[int, int]:
    """Return the window that was asked for, at least a millisecond; Unix milliseconds."""
    zone = arguments["timezone"]
    from_ms = unix_ms(arguments["since"], zone)
    return from_ms, max(unix_ms(arguments["to"], zone) if "to" in arguments else now_ms, from_ms + 1)


def query_of(
    arguments: Mapping[str, Any],
    tenant: str,
    now_ms: int,
    *,
    by: str = "",
    series: bool = False,
    daily: bool = False,
) -> FigureQuery:
    """Return the question to the store. daily: figures by it are kept by day. Raises ValueError.

    Of the filters it has campaigns and domains; `filters_of` has all.
    """
    from_ms, to_ms = times_of(arguments, now_ms)
    same = equal(filters_of(arguments))
    campaigns, domains = same.get("campaigns", ()), same.get("domains", ())
    precision = arguments["precision"]
    if not series and precision in _TIMES:
        precision = "day"
    if daily or (domains and not precision):
        precision = "day"
    return FigureQuery(
        from_ms=from_ms,
        to_ms=to_ms,
        precision=precision or fitting(to_ms - from_ms, whole=not campaigns and by != "campaign"),
        series=series,
        by=by,
        metrics=tuple(dict.fromkeys(arguments["metrics"])),
        campaigns=campaigns,
        domains=domains,
        tenant=tenant,
        limit=arguments.get("limit", MAX_LIMIT),
        order_by=arguments.get("order_by", ""),
    )


def fitting(length_ms: int, *, whole: bool) -> str:
    """Return the finest precision that a window may have. whole: of all mail; only there minutes are kept."""
    for precision, longest in _LONGEST_MS.items():
        if length_ms <= longest and (whole or LEVELS[precision] != Level.MINUTE):
            return precision
    return "day"
