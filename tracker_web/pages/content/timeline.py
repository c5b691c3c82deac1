"""What happened to one message, line by line, in words. Pure: from events' fields (contract.md 7.2)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engagement.events.classify import verdict
from engagement.events.fields import INJECTION
from engagement.events.outcomes import UNTOUCHED
from tracker_web.pages.content.numbers import duration, moment

Fields = Mapping[str, Any]

_TITLES: Final = {
    "open": "fetched",
    "initial_open": "fetched",
    "amp_open": "fetched",
    "amp_initial_open": "fetched",
    "click": "clicked",
    "amp_click": "clicked",
    "link_unsubscribe": "unsubscribed",
    "list_unsubscribe": "unsubscribed",
    "injection": "taken in",
    "delivery": "delivered",
    "delay": "delayed",
    "bounce": "bounced",
    "expiration": "given up",
    "out_of_band": "bounced later",
    "spam_complaint": "complaint",
}
_PICTURES: Final = {
    "open": "the pixel at the end",
    "initial_open": "the pixel at the beginning",
    "amp_open": "the pixel of the AMP part",
    "amp_initial_open": "the first pixel of the AMP part",
}
_WHO: Final = {
    "human": "a person",
    "proxy": "an image proxy, set off by a person",
    "prefetch": "a mail service that loads pictures by itself",
    "scanner": "a link scanner",
    "probe": "a probe (HEAD)",
    "unknown": "an unknown program",
}
_BAD: Final = frozenset({"bounce", "expiration", "out_of_band", "spam_complaint"})


@dataclass(frozen=True, slots=True)
class Line:
    """One event. css: its colour. detail: what happened in words. who: what we think it was and why, or "".

    certain: False where the rule is only probable. target: of a click.
    """

    id: str
    at: str
    day: str
    date: str
    clock: str
    title: str
    css: str
    detail: str
    who: str = ""
    why: str = ""
    agent: str = ""
    address: str = ""
    target: str = ""
    link: str = ""
    recipient: str = ""
    campaign: str = ""
    message: str = ""
    counted: bool = True


def timeline(events: Iterable[Fields]) -> list[Line]:
    """Return the events as lines, oldest first."""
    return [line(fields) for fields in sorted(events, key=lambda each: (each["timestamp"], each["event_id"]))]


def line(fields: Fields) -> Line:
    """Return one event as a line."""
    kind = str(fields.get("type", ""))
    at = moment(str(fields["timestamp"]))
    client = str(fields.get("x_client_class", ""))
    certain = fields.get("x_client_certain") is not False
    side = verdict(client, certain=certain).value if client else ""
    aside = [
        words
        for words, holds in (
            ("a repeat within 10 s", fields.get("x_repeat")),
            ("the link had expired", fields.get("x_expired")),
            ("a probe", client == "probe"),
        )
        if holds
    ]
    return Line(
        id=str(fields.get("event_id", "")),
        at=str(fields["timestamp"]),
        day=f"{at:%-d %B %Y}",
        date=f"{at:%-d %b}",
        clock=f"{at:%H:%M:%S}",
        title=_TITLES.get(kind, kind),
        css="bad" if kind in _BAD else "wait" if kind == "delay" else side or "mail",
        detail=_detail(kind, fields) + (f" (not counted: {', '.join(aside)})" if aside else ""),
        who=_who(client, certain=certain),
        why=str(fields.get("x_client_reason", "")),
        agent=str(fields.get("user_agent", "")),
        address=str(fields.get("ip_address", "")),
        target=str(fields.get("target_link_url", "")),
        link=str(fields.get("target_link_name", "")),
        recipient=str(fields.get("raw_rcpt_to", "")),
        campaign=str(fields.get("campaign_id", "")),
        message=str(fields.get("message_id", "")),
        counted=not aside,
    )


def outcome_in_words(outcome: str) -> str:
    """Return what the filter did with a message, and why if it left it alone."""
    if not outcome:
        return "tracked"
    return f"not tracked: {UNTOUCHED.get(outcome, outcome)}"


def _detail(kind: str, fields: Fields) -> str:
    if kind == INJECTION:
        links = str(fields.get("x_links", "0"))
        what = outcome_in_words(str(fields.get("x_outcome", "")))
        counted = f", {links} link{'' if links == '1' else 's'}" if what == "tracked" else ""
        return f"from {fields.get('msg_from') or 'an empty sender'}; {what}{counted}"
    if kind in _PICTURES:
        return _PICTURES[kind]
    if "click" in kind or kind == "link_unsubscribe":
        name = str(fields.get("target_link_name", ""))
        number = str(fields.get("x_link_ordinal", ""))
        place = f", link {int(number) + 1} of its part" if number.isdigit() else ""
        return f"“{name}”{place}" if name else f"a link{place}"
    if kind == "list_unsubscribe":
        return "by the List-Unsubscribe field of the mail"
    return _of_the_mta(kind, fields)


def _of_the_mta(kind: str, fields: Fields) -> str:
    said = str(fields.get("raw_reason", ""))
    host = str(fields.get("x_remote_host", "") or fields.get("ip_address", ""))
    after = str(fields.get("queue_time", ""))
    parts = []
    if kind == "delivery":
        parts.append(f"to {host}" if host else f"by {fields.get('delv_method') or 'the mail server'}")
    elif said:
        parts.append(said)
    if after.isdigit():
        parts.append(f"{duration(int(after))} after it came in")
    tries = str(fields.get("num_retries", ""))
    if tries.isdigit() and int(tries):
        parts.append(f"try {int(tries) + 1}")
    return ", ".join(parts)


def _who(client: str, *, certain: bool) -> str:
    if not client:
        return ""
    words = _WHO.get(client, client)
    return words if certain or client == "unknown" else f"probably {words}"
