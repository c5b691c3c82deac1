"""What stays the same from message to message, and what is said of one: the values around `transaction`.

Not the judging. Invariants: frozen values; a reload makes a new `Site`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from engagement.events.types import Injection
from engagement.links.keys import Key, Ring, RingError
from engagement.settings.loaded import Settings
from engagement.settings.scopes import Listen, Where, listen_of
from smtpapi.decide import Decision, SiteWide
from smtpapi.envelope import Envelope
from smtpapi.outcome import Outcome
from smtpapi.policy.hooks import Policy
from smtpapi.rewrite.rules import Rules
from smtpapi.trust import is_local


@dataclass(frozen=True, slots=True)
class Site:
    """All that stays the same from message to message; a reload makes a new one.

    ring None: nothing is tracked. policy None: there is no policy file. hop: where second passes come in.
    wide: what of the settings holds for all mail.
    """

    settings: Settings
    ring: Ring | None
    policy: Policy | None
    rules: Rules
    hop: Listen | None = None
    wide: SiteWide = field(default_factory=SiteWide)

    @classmethod
    def build(cls, settings: Settings, ring: Ring | None, policy: Policy | None = None) -> "Site":
        """A site from its configuration, its keys and its policy."""
        rewriting, limits = settings.rewriting, settings.limits
        rules = Rules(
            text_links=rewriting.text_links,
            vml_links=rewriting.vml_links,
            skip_url_text=rewriting.skip_url_text,
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
            tracker.click_tracking_include_metadata, tracker.max_metadata_len, settings.privacy.mode
        )
        return cls(settings, ring, policy, rules, listen_of(rewriting.split_listener), wide)


@dataclass(frozen=True, slots=True)
class Considered:
    """What becomes of a message, and what to write down and keep.

    decision: None where it did not come to one. injections: one event a recipient, to be written once the
    orders were carried out. connection_context: to be handed in with the session's next message. notes:
    warnings for the log about what was asked, with no address and no part of the header in them. counts:
    names of `counters` that happened besides the outcome.
    """

    outcome: Outcome
    decision: Decision | None = None
    injections: tuple[Injection, ...] = ()
    connection_context: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    counts: tuple[str, ...] = ()


def where_of(envelope: Envelope, pathway: str) -> Where:
    """Where scopes are looked up. Local submission comes by no Listen, which "" says (contract.md 2.5)."""
    client = envelope.client
    address = "" if is_local(client) else client.address
    return Where(client.daemon_address, client.daemon_port, address, pathway)


def signing(ring: Ring | None) -> Key | None:
    """The key that makes links, None where there is none."""
    try:
        return None if ring is None else ring.signing
    except RingError:
        return None
