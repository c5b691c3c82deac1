"""Decide how one recipient's copy is tracked: policy before header before configuration, for each option.

`engagement.settings` finds the values of the scope, `x_msys_api` reads the header, `smtpapi.policy` sets the
context variables. Values that a policy gets wrong come back as warnings for the log.

Invariants: an empty context variable counts as not set, a header field that is false counts as set; the
header cannot set schemes, domain and expiry; the privacy mode is applied last and can only take away.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from engagement.settings.schema import PrivacyMode, ScopedOptions
from engagement.tracking_domains.model import NONE, EnteredDomains
from smtpapi.model.outcome import Refuse
from smtpapi.request.context_variables import BadVariable, ContextVariables, switch_value
from smtpapi.request.x_msys_api import XMsysApi, refusal

_T = TypeVar("_T")

_MAX_EXPIRY = 2**40  # seconds, 34,000 years; any integer is legal, but sums with a time must stay small


@dataclass(frozen=True, slots=True)
class Decision:
    """All switches and labels of one recipient's copy, after every source was asked (contract.md 1.2).

    expiry: seconds. metadata: compact JSON object text within max_metadata_len, or "".
    click_metadata: whether click links carry it too (engagement_tracker.click_tracking_include_metadata).
    privacy: the mode in force (docs/privacy.md).
    custom: the context variables that events carry (event_hydrant.cust_prefix), by name. shared_pixel: opens
    name the campaign, not the message.
    consent_reference: of the consent that the recipient gave, "" without one. list_unsubscribe: the copy gets
    a List-Unsubscribe if it has none; list_mailto: the address in it, "" for none. list_id: of mail without a
    List-Id. https_domain: for links that have to be https, "" for `domain`. keep_html_days: how long a copy
    of the HTML is kept for the click map, 0 for not keeping one.
    """

    clicks: bool
    opens: bool
    initial_opens: bool
    click_scheme: str
    open_scheme: str
    domain: str
    expiry: int
    campaign: str = ""
    tags: tuple[str, ...] = ()
    metadata: str = ""
    click_metadata: bool = True
    customer_id: str = ""
    transactional: bool = False
    privacy: PrivacyMode = PrivacyMode.FULL
    custom: tuple[tuple[str, str], ...] = ()
    shared_pixel: bool = False
    consent_reference: str = ""
    list_unsubscribe: bool = False
    list_mailto: str = ""
    list_id: str = ""
    https_domain: str = ""
    keep_html_days: int = 0


@dataclass(frozen=True, slots=True)
class OptionDecision:
    """A decision, with warnings for the log about what its sources got wrong."""

    decision: Decision
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SiteWide:
    """The settings that hold for all mail of a site: engagement_tracker { }, privacy { }, event_hydrant { }.

    max_metadata_len: bytes of compact JSON text. shared_pixel: for all mail. require_consent: an open names
    its message only where consent is said to be given. cust_prefix: of variables that are
    copied into events. entered: tracking domains that people entered, where they are used.
    """

    click_metadata: bool = True
    max_metadata_len: int = 1000
    privacy: PrivacyMode = PrivacyMode.FULL
    shared_pixel: bool = False
    require_consent: bool = False
    cust_prefix: str = "cust_"
    entered: EnteredDomains = NONE


class _Place(NamedTuple):
    """Where links lead, and how."""

    domain: str
    click_scheme: str
    open_scheme: str
    https_domain: str = ""


def _place(options: ScopedOptions, entered: EnteredDomains, named: str, customer_id: str) -> _Place:
    """Return where links of a customer's mail lead. named: the domain that policy sets, "" for none."""
    found = None if named else entered.of(customer_id)
    if found is None:
        domain = named or options.tracking_domain
        return _Place(domain, options.click_tracking_scheme, options.open_tracking_scheme)
    # Without a certificate of its own, what must be https stays at the configured domain (RFC 8058 3.1).
    if not found.secure:
        return _Place(found.domain, "http", "http", options.tracking_domain)
    return _Place(found.domain, "https", "https")


def bypassed(context: Mapping[str, str]) -> bool:
    """Return whether policy switched this module off (contract.md 4.1, `__bypass_smtpapi`)."""
    return switch_value(context.get("__bypass_smtpapi", "")) is True


def decide(
    options: ScopedOptions, site: SiteWide, directive: XMsysApi, context: Mapping[str, str]
) -> OptionDecision | Refuse:
    """Return the decision for one recipient, each option decided by itself (contract.md 1.2, 4.1).

    context: all variables that hold for the copy, each from its narrowest level. A campaign that is too long
    and malformed `smtpapi_metadata` or `smtpapi_tags` give a refusal; other bad variables are ignored with a
    warning.
    """
    variables = ContextVariables(context)
    try:
        campaign, tags, members = variables.campaign(), variables.tags(), variables.metadata()
    except BadVariable as bad:
        return refusal(str(bad))
    clicks, opens, initial_opens = _tracked(options, directive, variables)
    consent, reference = variables.consent()
    if consent is None:
        consent = directive.consent
    reference = reference or directive.consent_reference or ""
    individual = consent is True or (consent is None and not site.require_consent)
    transactional = directive.transactional or False
    unsubscribe = _first(variables.boolean("smtpapi_list_unsubscribe"), options.list_unsubscribe_enabled)
    metadata, dropped = _fitting_pairs(_first(members, directive.metadata, ()), site.max_metadata_len)
    if dropped:
        variables.warnings.append(
            f"{dropped} metadata pairs do not fit into max_metadata_len = {site.max_metadata_len} bytes"
        )
    customer_id = variables.customer_id()
    place = _place(options, site.entered, variables.domain(), customer_id)
    decision = Decision(
        clicks=clicks,
        opens=opens,
        initial_opens=initial_opens,
        click_scheme=variables.scheme("smtpapi_click_tracking_scheme") or place.click_scheme,
        open_scheme=variables.scheme("smtpapi_open_tracking_scheme") or place.open_scheme,
        domain=place.domain,
        https_domain=place.https_domain,
        expiry=_bounded(_first(variables.expiry(), options.tracking_link_expiry)),
        campaign=_first(campaign, directive.campaign, ""),
        tags=_first(tags, directive.tags, ()),
        metadata=metadata,
        click_metadata=site.click_metadata,
        customer_id=customer_id,
        transactional=transactional,
        custom=_custom(context, site.cust_prefix),
        shared_pixel=site.shared_pixel or not individual,
        consent_reference=reference if consent is True else "",
        # A way to leave a list is no part of mail that its reader asked for (RFC 8058 1, contract.md 5.7).
        list_unsubscribe=unsubscribe and not transactional,
        list_mailto=options.list_unsubscribe_mailto,
        list_id=variables.list_id() or options.list_id,
        # A transactional mail is of one person: a code to sign in, an order. Nothing is like it.
        keep_html_days=0 if transactional else options.keep_html_days,
    )
    return OptionDecision(_within_privacy(decision, site.privacy), tuple(variables.warnings))


def _tracked(
    options: ScopedOptions, directive: XMsysApi, variables: ContextVariables
) -> tuple[bool, bool, bool]:
    """Return whether clicks, opens and initial opens are tracked; no initial opens without opens."""
    opens = _first(variables.boolean("smtpapi_open_tracking"), directive.opens, options.open_tracking_enabled)
    clicks = _first(
        variables.boolean("smtpapi_click_tracking"), directive.clicks, options.click_tracking_enabled
    )
    initial = _first(
        variables.boolean("smtpapi_initial_open"),
        directive.initial_opens,
        options.initial_open_tracking_enabled,
    )
    return clicks, opens, initial and opens


def _custom(context: Mapping[str, str], prefix: str) -> tuple[tuple[str, str], ...]:
    """Return the context variables that events carry, by name."""
    return tuple(sorted((name, value) for name, value in context.items() if name.startswith(prefix)))


def _within_privacy(decision: Decision, mode: PrivacyMode) -> Decision:
    """Return what a privacy mode allows of the decision (docs/privacy.md)."""
    match mode:
        case PrivacyMode.FULL:
            return decision
        case PrivacyMode.AGGREGATE:
            return _without_reader(decision, mode)
        case PrivacyMode.HYGIENE:
            return replace(
                _without_reader(decision, mode), clicks=False, initial_opens=False, campaign="", tags=()
            )
        case PrivacyMode.OFF:
            off = _within_privacy(decision, PrivacyMode.HYGIENE)
            return replace(off, privacy=mode, opens=False)


def _without_reader(decision: Decision, mode: PrivacyMode) -> Decision:
    """Return a decision without what says something of the reader alone."""
    return replace(decision, privacy=mode, metadata="", custom=(), consent_reference="", keep_html_days=0)


def _fitting_pairs(members: tuple[str, ...], limit: int) -> tuple[str, int]:
    """Return compact object text of the first pairs that fit into limit bytes, and how many were left out.

    Only whole top-level pairs are taken, in their order (contract.md 1.5).
    """
    size = 1  # the braces, and a comma before each pair but the first
    count = 0
    for member in members:
        size += len(member.encode()) + 1
        if size > limit:
            break
        count += 1
    text = f"{{{','.join(members[:count])}}}" if count else ""
    return text, len(members) - count


def _first(value: _T | None, *others: _T | None) -> _T:
    """Return the first that is set; the last one always is."""
    for choice in (value, *others):
        if choice is not None:
            return choice
    raise AssertionError("the last choice is always set")


def _bounded(expiry: int) -> int:
    return max(-_MAX_EXPIRY, min(expiry, _MAX_EXPIRY))
