"""What is done to one message: policy before header before configuration, option by option.

Not where the three come from: `engagement.settings` finds the scope's values, `directive` reads the header,
`policy` the context variables. Pure; what a policy or header says badly comes back as warnings for the log.

Invariants: an empty context variable counts as not set, a header field that is false counts as set; the
header has no word on schemes, domain and expiry; the privacy mode is applied last and can only take away.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from engagement.settings.option_types import is_host_and_port
from smtpapi.model.outcome import Refuse
from smtpapi.request import strict_json
from smtpapi.request.strict_json import NotJSON, Value
from smtpapi.request.x_msys_api import XMsysApi, campaign_fault, choose_tags, refusal, wrong_type

CUSTOM_PREFIX = "cust_"  # context variables that are copied into events (contract.md 4.1)

# Spellings that the configuration takes too (contract.md 2.1).
_TRUE = frozenset({"true", "on", "enabled", "1", "yes"})
_FALSE = frozenset({"false", "off", "disabled", "0", "no"})

_T = TypeVar("_T")

_MAX_CUSTOMER_ID = 255  # bytes; Momentum's are short numbers, and each link carries it
_MAX_EXPIRY = 2**40  # seconds, 34,000 years: any integer is legal, but sums with a time must stay small
_SECONDS = re.compile(r"[+-]?[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class Decision:
    """All switches and labels of one recipient's copy, settled (contract.md 1.2).

    expiry: seconds. metadata: compact JSON object text within max_metadata_len, or "".
    click_metadata: whether click links carry it too (engagement_tracker.click_tracking_include_metadata).
    privacy: the mode in force, "full", "hygiene", "aggregate" or "off" (docs/privacy.md).
    custom: the `cust_*` context variables, by name.
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
    privacy: str = "full"
    custom: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class OptionDecision:
    """A decision, and what should be told about its sources. warnings: for the log."""

    decision: Decision
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SiteWide:
    """What holds for all mail of a site, from the stanzas engagement_tracker { } and privacy { }.

    max_metadata_len: bytes of compact JSON text.
    """

    click_metadata: bool = True
    max_metadata_len: int = 1000
    privacy: str = "full"


class Setting(Protocol):
    """An option's value in a scope."""

    @property
    def value(self) -> object:
        """A bool, int or str, by the option's type."""


class Options(Protocol):
    """The configuration as seen from one message: `engagement.settings.Scoped`."""

    def value(self, option: str) -> Setting:
        """The most specific setting, or the built-in default."""


def bypassed(context: Mapping[str, str]) -> bool:
    """Whether policy switched this module off (contract.md 4.1, `__bypass_smtpapi`)."""
    return _spelled(context.get("__bypass_smtpapi", "")) is True


def decide(
    options: Options, site: SiteWide, directive: XMsysApi, context: Mapping[str, str]
) -> OptionDecision | Refuse:
    """Settles every attribute for itself (contract.md 1.2, 4.1).

    context: all variables that hold for the message, the narrowest level of each. Refused are a campaign
    that is too long and malformed `smtpapi_metadata` or `smtpapi_tags`; other bad variables are ignored with
    a warning.
    """
    said = _Context(context)
    try:
        campaign, tags, members = said.campaign(), said.tags(), said.metadata()
    except _Bad as bad:
        return refusal(str(bad))
    opens = _first(
        said.boolean("smtpapi_open_tracking"), directive.opens, _flag(options, "open_tracking_enabled")
    )
    clicks = _first(
        said.boolean("smtpapi_click_tracking"), directive.clicks, _flag(options, "click_tracking_enabled")
    )
    initial = _first(
        said.boolean("smtpapi_initial_open"),
        directive.initial_opens,
        _flag(options, "initial_open_tracking_enabled"),
    )
    metadata, dropped = _within(_first(members, directive.metadata, ()), site.max_metadata_len)
    if dropped:
        said.warnings.append(
            f"{dropped} metadata pairs do not fit into max_metadata_len = {site.max_metadata_len} bytes"
        )
    decision = Decision(
        clicks=clicks,
        opens=opens,
        initial_opens=initial and opens,
        click_scheme=said.scheme("smtpapi_click_tracking_scheme") or _text(options, "click_tracking_scheme"),
        open_scheme=said.scheme("smtpapi_open_tracking_scheme") or _text(options, "open_tracking_scheme"),
        domain=said.domain() or _text(options, "tracking_domain"),
        expiry=_bounded(_first(said.expiry(), _seconds(options, "tracking_link_expiry"))),
        campaign=_first(campaign, directive.campaign, ""),
        tags=_first(tags, directive.tags, ()),
        metadata=metadata,
        click_metadata=site.click_metadata,
        customer_id=said.customer_id(),
        transactional=directive.transactional or False,
        custom=tuple(
            sorted((name, value) for name, value in context.items() if name.startswith(CUSTOM_PREFIX))
        ),
    )
    return OptionDecision(_under(decision, site.privacy), tuple(said.warnings))


def _under(decision: Decision, mode: str) -> Decision:
    """The decision under the ceiling of a privacy mode (docs/privacy.md). An unknown mode tracks nothing."""
    match mode:
        case "full":
            return decision
        case "aggregate":
            return replace(decision, privacy=mode, metadata="", custom=())
        case "hygiene":
            return replace(
                decision,
                privacy=mode,
                clicks=False,
                initial_opens=False,
                campaign="",
                tags=(),
                metadata="",
                custom=(),
            )
        case _:
            return replace(
                decision,
                privacy="off",
                clicks=False,
                opens=False,
                initial_opens=False,
                campaign="",
                tags=(),
                metadata="",
                custom=(),
            )


class _Bad(ValueError):
    """A context variable for which the mail is refused; str(error) is the reply's text."""


class _Context:
    """Context variables, read by what they mean. None: not set, or ignored with a warning."""

    def __init__(self, context: Mapping[str, str]) -> None:
        self._context = context
        self.warnings: list[str] = []

    def boolean(self, name: str) -> bool | None:
        text = self._context.get(name, "")
        value = _spelled(text)
        if text and value is None:
            self._ignore(name, "true or false")
        return value

    def scheme(self, name: str) -> str:
        text = self._context.get(name, "").lower()
        if text in ("", "http", "https"):
            return text
        self._ignore(name, "http or https")
        return ""

    def domain(self) -> str:
        text = self._context.get("smtpapi_tracking_domain", "")
        if not text or is_host_and_port(text):
            return text
        self._ignore("smtpapi_tracking_domain", "host or host:port")
        return ""

    def expiry(self) -> int | None:
        text = self._context.get("smtpapi_tracking_link_expiry", "")
        if not text:
            return None
        if _SECONDS.fullmatch(text):
            return int(text)
        self._ignore("smtpapi_tracking_link_expiry", "a whole number of seconds")
        return None

    def customer_id(self) -> str:
        text = self._context.get("mo_customer_id", "")
        if len(text.encode()) <= _MAX_CUSTOMER_ID:
            return text
        self._ignore("mo_customer_id", f"at most {_MAX_CUSTOMER_ID} bytes")
        return ""

    def campaign(self) -> str | None:
        text = self._context.get("smtpapi_campaign_id", "")
        if text and (fault := campaign_fault(text)):
            raise _Bad(fault)
        return text or None

    def metadata(self) -> tuple[str, ...] | None:
        value = self._json("smtpapi_metadata")
        if value is None:
            return None
        if not isinstance(value, dict):
            raise _Bad(wrong_type("smtpapi_metadata", "json object"))
        return strict_json.members(value)

    def tags(self) -> tuple[str, ...] | None:
        value = self._json("smtpapi_tags")
        if value is None:
            return None
        if not isinstance(value, list):
            raise _Bad(wrong_type("smtpapi_tags", "json array"))
        tags, warnings = choose_tags(value)
        self.warnings.extend(warnings)
        return tags

    def _json(self, name: str) -> Value:
        """The variable's JSON value; null counts as not set, as in the header."""
        text = self._context.get(name, "")
        if not text:
            return None
        try:
            value, repeated = strict_json.read(text)
        except NotJSON as error:
            raise _Bad(f"JSON parsing error in {name}: {error}") from None
        if repeated:
            self.warnings.append(f"{len(repeated)} names repeated in {name}; the last of each counts")
        return value

    def _ignore(self, name: str, wanted: str) -> None:
        self.warnings.append(f"context variable {name} ignored: expected {wanted}")


def _spelled(text: str) -> bool | None:
    word = text.strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


def _within(members: tuple[str, ...], limit: int) -> tuple[str, int]:
    """Compact object text of the leading pairs that fit into limit bytes, and how many were left out.

    Whole top-level pairs count, in their order, while they fit (contract.md 1.5).
    """
    size = 1  # the braces, and a comma before each pair but the first
    kept = 0
    for member in members:
        size += len(member.encode()) + 1
        if size > limit:
            break
        kept += 1
    text = f"{{{','.join(members[:kept])}}}" if kept else ""
    return text, len(members) - kept


def _first(value: _T | None, *others: _T | None) -> _T:
    """The first that is set; the last one always is."""
    for choice in (value, *others):
        if choice is not None:
            return choice
    raise AssertionError("the last choice is always set")


def _bounded(expiry: int) -> int:
    return max(-_MAX_EXPIRY, min(expiry, _MAX_EXPIRY))


def _flag(options: Options, option: str) -> bool:
    return bool(options.value(option).value)


def _text(options: Options, option: str) -> str:
    return str(options.value(option).value)


def _seconds(options: Options, option: str) -> int:
    value = options.value(option).value
    assert isinstance(value, int)
    return value
