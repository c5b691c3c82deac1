"""Rules and the facts that they decide by, as plain values. `read` reads them, `rule_set` applies them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from types import MappingProxyType
from typing import Final, NamedTuple

from engagement.events.classify import Classification

Network = IPv4Network | IPv6Network


class Scope(StrEnum):
    """Which hits a rule is for: of pixels, of links, or all, a posted unsubscribe request too."""

    OPENS = "opens"
    CLICKS = "clicks"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class AgentTest:
    """What a User-Agent must be like, in lower case; each list that is not empty must fit, by one of it.

    contains: parts of it. same: the whole, without blanks around it. patterns: searched in it. listed: names
    of lists of `agents.LISTS`.
    """

    contains: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    patterns: tuple[re.Pattern[str], ...] = ()
    listed: tuple[str, ...] = ()


class Within(NamedTuple):
    """At least so many different things within so many seconds."""

    number: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: conditions, all of which must hold, and the label it gives then, whose reason is its name.

    reason, source: for people: why it holds, and who says so.
    agent: None for any. signals, no_signals: bits that must be set, and must not be. methods: of the request,
    () for any. spoiled: True where the link must be. networks: that the address is in, of this rule or of a
    file beside it, None for any. as_numbers: of the address. after_injection, after_delivery: at most so many
    seconds after; a hit before it is sooner still. burst: different links of one message that one address
    asked for. recipients: different messages that one address asked for. link_names: one of which a link has
    that the address asked for in this message.
    """

    name: str
    scope: Scope
    label: Classification
    reason: str
    source: str
    agent: AgentTest | None = None
    signals: int = 0
    no_signals: int = 0
    methods: tuple[str, ...] = ()
    spoiled: bool = False
    networks: tuple[Network, ...] | None = None
    as_numbers: tuple[int, ...] = ()
    after_injection: float | None = None
    after_delivery: float | None = None
    burst: Within | None = None
    recipients: Within | None = None
    link_names: tuple[str, ...] = ()


class Seen(NamedTuple):
    """When an address asked for what: a link, by its payload, or a message, by its id of 16 bytes."""

    at_ms: int
    what: bytes


class Context(NamedTuple):
    """What is known beside the hit itself, all of it optional: less evidence, fewer rules that hold.

    injected_ms: when its message came in. delivered_ms: when it was delivered first. links: which links of
    the message were clicked, messages: which messages were clicked in, both by address and in time order.
    """

    injected_ms: int | None = None
    delivered_ms: int | None = None
    links: Mapping[str, Sequence[Seen]] = MappingProxyType({})
    messages: Mapping[str, Sequence[Seen]] = MappingProxyType({})


NOTHING: Final = Context()
