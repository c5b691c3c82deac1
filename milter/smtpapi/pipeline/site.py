"""What holds for all messages of a site, and the result for one of them: the values around `transaction`.

Nothing is decided here. Invariants: a `Site` and a `MessageResult` are frozen; a reload makes a new `Site`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from engagement.events.model import Injection, MessageEvent
from engagement.links.keys import Key, Ring, RingError
from engagement.settings.schema import Pixel, ScopedOptions
from engagement.settings.scopes import ListenAddress, Scoped, Where, listen_of
from engagement.settings.settings import Settings
from engagement.suppression.snapshot import Table
from engagement.tracking_domains.model import EnteredDomains
from smtpapi.model.envelope import Client
from smtpapi.model.message import Message
from smtpapi.model.outcome import Leave, Outcome, Refuse, Why
from smtpapi.policy.hooks import AnyPolicy
from smtpapi.request import vendor_rules
from smtpapi.request.decision import Decision, OptionDecision, SiteWide, decide
from smtpapi.request.trust import against, is_local, is_trusted
from smtpapi.request.x_msys_api import XMsysApi
from smtpapi.rewrite.rules import RewritingRules

_PLACES = 4096  # entries; about as many client addresses as a busy MTA sees within minutes
_NOTHING: Mapping[str, str] = MappingProxyType({})


class ScopeTerms:
    """What a site's configuration says about mail from one client and listener, whoever its recipients are.

    trusted: whether the client is trusted without a login. vendors: whose header fields are read.
    default_decision: what is decided for mail without policy, X-MSYS-API and variables, which alone could
    change it; None until there was such mail.
    """

    __slots__ = ("default_decision", "scoped", "trusted", "vendors")

    def __init__(self, scoped: Scoped, trusted: bool) -> None:
        self.scoped = scoped
        self.trusted = trusted
        self.vendors = tuple(map(vendor_rules.named, scoped.options.vendor_headers))
        self.default_decision: OptionDecision | None = None


class LastDecision:
    """Decides as `decide` does, and keeps the newest decision, since the next mail often asks the same.

    The decision is a pure function of what it is asked with. Several threads may ask: what is kept is
    replaced as a whole.
    """

    __slots__ = ("_last", "_wide")

    def __init__(self, wide: SiteWide) -> None:
        self._wide = wide
        self._last: tuple[ScopedOptions, XMsysApi, Mapping[str, str], OptionDecision | Refuse] | None = None

    def decide(
        self, options: ScopedOptions, directive: XMsysApi, context: Mapping[str, str]
    ) -> OptionDecision | Refuse:
        """Return the decision for one recipient."""
        last = self._last
        if (
            last is not None
            and last[0] is options
            and (last[1] is directive or last[1] == directive)
            and last[2] == context
        ):
            return last[3]
        decided = decide(options, self._wide, directive, context)
        self._last = options, directive, dict(context), decided
        return decided


@dataclass(frozen=True, slots=True)
class Site:
    """All that stays the same from message to message.

    ring: None where nothing is tracked. policy: None without a policy. hop: the listener by which second
    passes come in. wide: the settings that hold for all mail. first_hand: whether mail of trusted clients
    counts as their own whatever its trace says, as commands need that show what would become of a message.
    suppressed: returns the suppression list in force, None where no scope asks it.
    key: the signing key, None where there is none. decisions: makes the decisions for recipients. _terms:
    finds terms by the MTA's address and port, the client's address and the pathway.
    """

    settings: Settings
    ring: Ring | None
    policy: AnyPolicy | None
    rules: RewritingRules
    hop: ListenAddress | None = None
    wide: SiteWide = field(default_factory=SiteWide)
    first_hand: bool = False
    suppressed: Callable[[], Table] | None = field(default=None, compare=False, repr=False)
    key: Key | None = field(init=False, compare=False, repr=False)
    decisions: LastDecision = field(init=False, compare=False, repr=False)
    _terms: Callable[[str, int | None, str, str], ScopeTerms] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", signing(self.ring))
        object.__setattr__(self, "decisions", LastDecision(self.wide))
        object.__setattr__(self, "_terms", lru_cache(maxsize=_PLACES)(self._found))

    def terms(self, client: Client, pathway: str = "") -> ScopeTerms:
        """Return what holds for a client's mail. It is looked up once for each client and listener."""
        return self._terms(client.daemon_address, client.daemon_port, client.address, pathway)

    def _found(self, local_address: str, local_port: int | None, address: str, pathway: str) -> ScopeTerms:
        client = Client(address, daemon_address=local_address, daemon_port=local_port)
        scoped = self.settings.scoped(where_of(client, pathway))
        return ScopeTerms(scoped, is_trusted(client, scoped.relay_hosts))

    def untrusted(self, terms: ScopeTerms, client: Client, message: Message) -> Leave | None:
        """Return the outcome for an untrusted message, None for a trusted one (docs/decisions/0016)."""
        if not terms.trusted and not client.login:
            return Leave(Why.UNTRUSTED)
        if self.first_hand:
            return None
        scoped = terms.scoped
        note = against(client, message, scoped.relay_hosts, local=scoped.options.local_submission)
        return Leave(Why.UNTRUSTED, note) if note else None

    @classmethod
    def build(cls, settings: Settings, ring: Ring | None, policy: AnyPolicy | None = None) -> "Site":
        """Build a site from its configuration, its keys and its policy."""
        rewriting, limits = settings.rewriting, settings.limits
        rules = RewritingRules(
            text_links=rewriting.text_links,
            vml_links=rewriting.vml_links,
            skip_url_text=rewriting.skip_url_text,
            foreign_opt_outs=rewriting.foreign_opt_outs,
            skip_patterns=tuple(re.compile(pattern.encode()) for pattern in rewriting.skip_patterns),
            brace_macros=rewriting.brace_macros,
            verify=rewriting.verify,
            own_hosts=frozenset(
                domain.lower().encode() for domain in (*settings.tracking_domains(), *settings.tracker.hosts)
            ),
            max_message_size=limits.max_message_size,
            max_parts=limits.max_parts,
            max_links=limits.max_links,
            time_budget=limits.time_budget / 1000,
        )
        tracker = settings.engagement_tracker
        wide = SiteWide(
            tracker.click_tracking_include_metadata,
            tracker.max_metadata_len,
            settings.privacy.mode,
            settings.privacy.pixel is Pixel.SHARED,
            settings.privacy.require_consent,
            settings.event_hydrant.cust_prefix,
        )
        return cls(settings, ring, policy, rules, listen_of(rewriting.split_listener), wide)


def with_entered(site: Site, entered: EnteredDomains) -> Site:
    """Return a site whose links get these tracking domains. Links to those it had before stay its own."""
    hosts = site.rules.own_hosts | {name.encode("ascii") for name in entered.names}
    return replace(
        site, wide=replace(site.wide, entered=entered), rules=replace(site.rules, own_hosts=frozenset(hosts))
    )


class MessageResult(NamedTuple):
    """What becomes of a message, and what to record about it.

    decision: None where none was made. injections: one record a recipient, to be written once the MTA has
    taken the changes. connection_context: variables to hand in with the session's next message. notes:
    warnings for the log, with no address and no part of the header in them. counts: names of counters to add
    one to, besides that of the outcome. printed: lines that policy logs, as (level of syslog, text). remarks:
    for the log at DEBUG: names of what was not read. suppressed: events of recipients who were taken out, to
    be written whatever the message's outcome.
    """

    outcome: Outcome
    decision: Decision | None = None
    injections: tuple[Injection, ...] = ()
    connection_context: Mapping[str, str] = _NOTHING
    notes: tuple[str, ...] = ()
    counts: tuple[str, ...] = ()
    printed: tuple[tuple[int, str], ...] = ()
    remarks: tuple[str, ...] = ()
    suppressed: tuple[Injection | MessageEvent, ...] = ()


def where_of(client: Client, pathway: str = "") -> Where:
    """Return the place that scopes are looked up for.

    The client's address is "" for local submission, which no Listen matches (contract.md 2.5).
    """
    address = "" if is_local(client) else client.address
    return Where(client.daemon_address, client.daemon_port, address, pathway)


def signing(ring: Ring | None) -> Key | None:
    """Return the key that signs new links, None where the ring has none."""
    try:
        return None if ring is None else ring.signing
    except RingError:
        return None
