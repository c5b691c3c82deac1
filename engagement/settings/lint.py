"""Warnings and notices about a configuration that is valid: rules between options.

Not errors: everything here is accepted and has the effect that was asked for. Each warning begins with the
place that it is about.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engagement.settings.errors import OptionValueError, Place
from engagement.settings.option import options_of
from engagement.settings.option_types.scalars import integer_of
from engagement.settings.schema import DEFAULT_DOMAIN, SCOPED, TRACKING_OPTIONS
from engagement.settings.scopes import DEFAULT_SCOPE, Block, Scoped, Table, Value, longest_covering
from engagement.settings.syntax_tree import TextNode

if TYPE_CHECKING:
    from engagement.settings.settings import Settings

# Context variables that stand for an option (contract.md 4.1).
_VARIABLES = {
    "smtpapi_click_tracking": "click_tracking_enabled",
    "smtpapi_click_tracking_scheme": "click_tracking_scheme",
    "smtpapi_open_tracking": "open_tracking_enabled",
    "smtpapi_open_tracking_scheme": "open_tracking_scheme",
    "smtpapi_tracking_domain": "tracking_domain",
    "smtpapi_tracking_link_expiry": "tracking_link_expiry",
    "smtpapi_initial_open": "initial_open_tracking_enabled",
    "smtpapi_list_unsubscribe": "list_unsubscribe_enabled",
    "smtpapi_list_id": "list_id",
}
_LONGEST_CAMPAIGN = 64  # bytes (contract.md 3.2)
SHORT_EXPIRY = 60  # seconds; mail alone may be under way for longer
SHORT = "links are over before most mail is read; it is in seconds"
_SWITCHES = ("click_tracking_enabled", "open_tracking_enabled", "list_unsubscribe_enabled")


@dataclass(frozen=True, slots=True)
class ScopeView:
    """One scope of the file and the values in force in it. served: it is not switched off by `Enable`."""

    label: str
    scoped: Scoped
    served: bool = True


def views(table: Table) -> Iterator[ScopeView]:
    """Yield each scope of the file in order; first the file itself if no listener takes all connections."""
    if not any(listener.serves() for listener in table.top.of_kind("esmtp_listener")):
        yield ScopeView(table.top.label, table.along([]))
    for outer in table.top.inner:
        match outer.kind:
            case "esmtp_listener":
                yield from _listener_views(table, outer)
            case "pathway":
                yield ScopeView(outer.label, table.along([], str(outer.matches)))
            case _:
                for block in outer.inner:
                    yield ScopeView(block.label, table.along([], str(block.matches)))


def _listener_views(table: Table, listener: Block) -> Iterator[ScopeView]:
    yield ScopeView(listener.label, table.along([listener]), listener.serves())
    for block in listener.inner:
        served = block.serves(listener.serves())
        yield ScopeView(block.label, table.along([block, listener]), served)
        for peer in block.inner:
            rows = [peer, *longest_covering(listener, peer), block, listener]
            yield ScopeView(peer.label, table.along(rows), served)


def warnings(settings: "Settings") -> Iterator[str]:
    """Yield the warnings about combinations of options."""
    top = settings.table.top
    if not settings.active:
        yield from _passive(settings, top)
    else:
        yield from _default_domain(settings.table)
        yield from _top_pixel_alone(settings.table)
        yield from _no_tls(settings.table)
    for block in top.walk():
        expiry = block.values.get("tracking_link_expiry")
        if expiry is not None and expiry.value <= 0:
            yield f"{_at(expiry)}: tracking_link_expiry = {expiry.value}: no click or open is ever recorded"
        elif expiry is not None and expiry.value < SHORT_EXPIRY:
            yield f"{_at(expiry)}: tracking_link_expiry = {expiry.value}: {SHORT}"
        if block.kind == "pathway_group":
            for option, value in block.values.items():
                yield (
                    f"{_at(value)}: {option} directly in a pathway_group is honoured here, but Momentum "
                    "ignores it; set it in the pathways"
                )
        if "context" in block.values:
            yield from _context(block.values["context"])
        yield from _unknown_pathway(settings.table, block)
        yield from _open_to_all(block)
    yield from _twice(top)
    yield from _open_metrics(settings)
    yield from _cluster_of_one(settings)


def _cluster_of_one(settings: "Settings") -> Iterator[str]:
    """Yield a warning where a cluster has its registry in a file of this host."""
    value = settings.origins.get(("smtpapi_cluster", "name"))
    if value is not None and value.value and settings.store.engine != "cassandra":
        yield (
            f"{_at(value)}: smtpapi_cluster {{ name }} = {value.value}: nothing is shared, as the registry "
            "is a file of this host; with store { engine = cassandra } it is one of all hosts"
        )


def _open_metrics(settings: "Settings") -> Iterator[str]:
    """Yield a warning for each program whose metrics are shown on every address of the host."""
    for option in options_of(type(settings.metrics)):
        address = getattr(settings.metrics, option.name)
        if address.startswith(("0.0.0.0:", "[::]:")) and (
            value := settings.origins.get(("metrics", option.name))
        ):
            yield (
                f"{_at(value)}: metrics {{ {option.name} }} = {address}: whoever reaches this host reads "
                "them, as no password is asked for; name loopback's address or one of a closed network"
            )


def notices(settings: "Settings") -> Iterator[str]:
    """Yield a notice for each option that is read and has no effect, and for what sets another stanza's."""
    listen = settings.origins.get(("tracker", "listen"))
    if listen is not None and listen.scope != "tracker":
        yield f"{_at(listen)}: the tracker listens on {listen.value}, as HTTP_Listener says"
    if settings.cassandra_client is None:
        return
    origin = settings.origins.get(("cassandra_client", "uri"))
    where = f"{_at(origin)}: " if origin else ""
    if settings.store.engine != "cassandra":
        yield f"{where}cassandra_client is read and kept; it is used with engine = cassandra in store {{ }}"
    if any("port=" not in node or "port=9160" in node for node in settings.cassandra_client.uri):
        yield f"{where}port 9042 of Cassandra is taken where 9160 or none is given"


def _passive(settings: "Settings", top: Block) -> Iterator[str]:
    state = "enabled = false in smtpapi { }" if settings.smtpapi else "there is no smtpapi { } stanza"
    found = [
        (name, value)
        for block in top.walk()
        for name, value in block.values.items()
        if name in TRACKING_OPTIONS
    ]
    found.sort(key=lambda each: (each[1].file, each[1].line))
    switched_on = [(name, value) for name, value in found if value.value is True]
    for name, value in (switched_on or found)[:1]:
        yield (
            f"{_at(value)}: {name} has no effect: {state}; nothing is tracked, and X-MSYS-API is "
            "only taken out of trusted clients' mail"
        )


def _default_domain(table: Table) -> Iterator[str]:
    reported = set()
    for view in views(table):
        switched_on = [view.scoped.value(name) for name in _SWITCHES if view.scoped.value(name).value]
        given = view.scoped.options.context.get("smtpapi_tracking_domain")
        if not view.served or not switched_on or given:
            continue
        if view.scoped.value("tracking_domain").scope != DEFAULT_SCOPE:
            continue
        if (place := _at(switched_on[0])) not in reported:
            reported.add(place)
            yield (
                f"{place}: {view.label} tracks with the default tracking_domain {DEFAULT_DOMAIN}, which no "
                "recipient can reach; set tracking_domain"
            )


def _top_pixel_alone(table: Table) -> Iterator[str]:
    for view in views(table):
        initial = view.scoped.value("initial_open_tracking_enabled")
        alone = not view.scoped.options.open_tracking_enabled
        if view.served and initial.value and initial.scope == view.label and alone:
            yield f"{_at(initial)}: initial_open_tracking_enabled has no effect without open_tracking_enabled"


def _no_tls(table: Table) -> Iterator[str]:
    """Yield a warning for a scope whose links are http, and whose List-Unsubscribe is https all the same."""
    for view in views(table):
        options, leaving = view.scoped.options, view.scoped.value("list_unsubscribe_enabled")
        unencrypted = options.click_tracking_enabled and options.click_tracking_scheme == "http"
        if view.served and leaving.value and leaving.scope == view.label and unencrypted:
            yield (
                f"{_at(leaving)}: List-Unsubscribe is https, and click_tracking_scheme is http here: see "
                f"that {options.tracking_domain} answers with TLS"
            )


def _unknown_pathway(table: Table, block: Block) -> Iterator[str]:
    """Yield a warning for a pathway that a scope names and the file does not have."""
    known = (SCOPED["pathway"].default, *table.pathways())
    named = block.values.get("pathway")
    if named is not None and named.value not in known:
        yield f"{_at(named)}: there is no pathway '{named.value}'; {block.label} names it to no effect"
    context = block.values.get("context")
    variable = context.value.get("pathway") if context is not None else None
    if context is not None and variable and variable not in known:
        yield (
            f"{_at(context)}: there is no pathway '{variable}'; the context of {block.label} names it to no "
            "effect"
        )


def _open_to_all(block: Block) -> Iterator[str]:
    """Yield a warning for a scope that trusts every client there is."""
    opened = block.values.get("open_relay") if block.kind == "peer" else None
    if opened is not None and opened.value and getattr(block.matches, "prefixlen", 1) == 0:
        yield (
            f"{_at(opened)}: Open_Relay = true in {block.label} trusts every client: mail of strangers gets "
            "links of this site"
        )
    hosts = block.values.get("relay_hosts")
    if hosts is not None and any(each.prefixlen == 0 for each in hosts.value):
        yield (
            f"{_at(hosts)}: Relay_Hosts in {block.label} trusts every client: mail of strangers gets links "
            "of this site"
        )


def _context(context: Value) -> Iterator[str]:
    """Yield a warning for each context variable whose value is of no use to any message."""
    for variable, text in context.value.items():
        if variable in _VARIABLES and text:
            try:
                SCOPED[_VARIABLES[variable]].kind.read(TextNode(text, Place(context.file, context.line)))
            except OptionValueError as error:
                yield f"{_at(context)}: {variable} {error.what}, expected {error.expected}; it is ignored"
        expiry = integer_of(text) if variable == "smtpapi_tracking_link_expiry" else None
        if expiry is not None and expiry < SHORT_EXPIRY:
            yield f"{_at(context)}: {variable} = {text}: {SHORT}"
        if variable == "smtpapi_campaign_id" and len(text.encode()) > _LONGEST_CAMPAIGN:
            yield (
                f"{_at(context)}: smtpapi_campaign_id is above {_LONGEST_CAMPAIGN} bytes; all mail from here "
                "is refused"
            )


def _twice(top: Block) -> Iterator[str]:
    seen: dict[str, str] = {}
    for group in top.of_kind("pathway_group"):
        for block in group.of_kind("pathway"):
            first = seen.setdefault(str(block.matches), group.label)
            if first != group.label:
                yield f"pathway '{block.matches}' stands in {first} and in {group.label}; the first is used"


def _at(value: Value) -> str:
    return f"{value.file}:{value.line}"
