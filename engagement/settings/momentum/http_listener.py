"""Read `HTTP_Listener`: where the tracker listens if `tracker { }` does not say it (contract.md 1.5)."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from engagement.settings.errors import Place
from engagement.settings.momentum.losses import Loss
from engagement.settings.option_types.scalars import truth_of
from engagement.settings.scopes import ListenAddress, Value, listen_of
from engagement.settings.syntax_tree import AssignNode, Item, ScopeNode, TextNode, ValueNode

_TLS = frozenset({"use_ssl", "tls_certificate", "tls_key", "tls_client_ca"})
_NAME = "http_listener"


class HttpListener(NamedTuple):
    """What the stanzas say. listen: the address, None where none is served. losses: what cannot be done."""

    listen: Value | None
    losses: tuple[Loss, ...]


def read(stanzas: Iterable[ScopeNode]) -> HttpListener:
    """Return where the HTTP_Listener stanzas of a file listen."""
    found: dict[str, Value] = {}
    losses = []
    for stanza in stanzas:
        if not _is_on(stanza.items):
            continue
        for each in stanza.items:
            if not isinstance(each, ScopeNode) or each.name.lower() != "listen" or not _is_on(each.items):
                continue
            instance = each.instance.text if each.instance else ""
            listen = listen_of(instance)
            if listen is None or instance.startswith("/"):
                what = f"HTTP_Listener's Listen '{instance}' is no address that the tracker can listen on"
                losses.append(_loss(each.place, what))
                continue
            if tls := next(_tls((*stanza.items, *each.items)), None):
                what = f"'{tls.name}' in HTTP_Listener: the tracker speaks no TLS"
                losses.append(Loss(_NAME, tls.place, what, "a proxy with TLS, and tracker { listen }"))
                continue
            label = f'HTTP_Listener > Listen "{instance}"'
            found.setdefault(_address(listen), Value(_address(listen), label, *_at(each.place)))
    if len(found) > 1:
        second = list(found.values())[1]
        what = f"HTTP_Listener listens on {' and '.join(found)}, and the tracker on one address alone"
        losses.append(_loss(Place(second.file, second.line, second.column), what))
    return HttpListener(next(iter(found.values()), None), tuple(losses))


def _loss(place: Place, what: str) -> Loss:
    return Loss(_NAME, place, what, "tracker { listen = ADDRESS:PORT }")


def _at(place: Place) -> tuple[str, int, int]:
    return place.file, place.line, place.column


def _address(listen: ListenAddress) -> str:
    match listen.address:
        case "":
            return f"0.0.0.0:{listen.port}"
        case "[*]":
            return f"[::]:{listen.port}"
        case _:
            text = str(listen.address)
            return f"[{text}]:{listen.port}" if ":" in text else f"{text}:{listen.port}"


def _is_on(items: Iterable[Item]) -> bool:
    values = [each.value for each in items if isinstance(each, AssignNode) and each.name.lower() == "enable"]
    return not values or not _is_false(values[-1])


def _tls(items: Iterable[Item]) -> Iterator[AssignNode]:
    for each in items:
        if isinstance(each, AssignNode) and each.name.lower() in _TLS and not _is_false(each.value):
            yield each


def _is_false(value: ValueNode) -> bool:
    return isinstance(value, TextNode) and truth_of(value.text) is False
