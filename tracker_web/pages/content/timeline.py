"""What happened to one message, line by line, in words. Pure: from events' fields (contract.md 7.2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from engagement.events.classify import verdict
from engagement.events.fields import INJECTION
from engagement.events.outcomes import UNTOUCHED
from tracker_web.languages.translation import N_, gettext, ngettext
from tracker_web.pages.content.numbers import SHORT_DAY, duration, moment
from tracker_web.pages.content.numbers import day as day_text

Fields = Mapping[str, Any]

_TITLES: Final = {
    "open": N_("fetched"),
    "initial_open": N_("fetched"),
    "amp_open": N_("fetched"),
    "amp_initial_open": N_("fetched"),
    "click": N_("clicked"),
    "amp_click": N_("clicked"),
    "link_unsubscribe": N_("unsubscribed"),
    "list_unsubscribe": N_("unsubscribed"),
    "injection": N_("taken in"),
    "delivery": N_("delivered"),
    "delay": N_("delayed"),
    "bounce": N_("bounced"),
    "expiration": N_("given up"),
    "out_of_band": N_("bounced later"),
    "spam_complaint": N_("complaint"),
}
_PICTURES: Final = {
    "open": N_("the pixel at the end"),
    "initial_open": N_("the pixel at the beginning"),
    "amp_open": N_("the pixel of the AMP part"),
    "amp_initial_open": N_("the first pixel of the AMP part"),
}
_WHO: Final = {
    "human": N_("a person"),
    "proxy": N_("an image proxy, set off by a person"),
    "prefetch": N_("a mail service that loads pictures by itself"),
    "scanner": N_("a link scanner"),
    "probe": N_("a probe (HEAD)"),
    "unknown": N_("an unknown program"),
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


def line(fields: Fields) -> Line:
    """Return one event as a line."""
    kind = str(fields.get("type", ""))
    at = moment(str(fields["timestamp"]))
    client = str(fields.get("x_client_class", ""))
    certain = fields.get("x_client_certain") is not False
    side = verdict(client, certain=certain).value if client else ""
    aside = [
        note
        for note, holds in (
            (gettext("a repeat within 10 s"), fields.get("x_repeat")),
            (gettext("the link had expired"), fields.get("x_expired")),
            (gettext("a probe"), client == "probe"),
        )
        if holds
    ]
    return Line(
        id=str(fields.get("event_id", "")),
        at=str(fields["timestamp"]),
        day=day_text(at),
        date=day_text(at, SHORT_DAY),
        clock=f"{at:%H:%M:%S}",
        title=gettext(_TITLES[kind]) if kind in _TITLES else kind,
        css="bad" if kind in _BAD else "wait" if kind == "delay" else side or "mail",
        detail=_set_aside(_detail(kind, fields), aside),
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


def outcome_text(outcome: str) -> str:
    """Return what the filter did with a message, and why if it left it alone."""
    if not outcome:
        return gettext("tracked")
    why = gettext(UNTOUCHED[outcome]) if outcome in UNTOUCHED else outcome
    return gettext("not tracked: %(why)s", why=why)


def _set_aside(detail: str, why: list[str]) -> str:
    if not why:
        return detail
    return gettext("%(detail)s (not counted: %(why)s)", detail=detail, why=", ".join(why))


def _detail(kind: str, fields: Fields) -> str:
    if kind == INJECTION:
        return _taken_in(fields)
    if kind in _PICTURES:
        return gettext(_PICTURES[kind])
    if "click" in kind or kind == "link_unsubscribe":
        name = str(fields.get("target_link_name", ""))
        number = str(fields.get("x_link_ordinal", ""))
        # for translators: the name of a link, in quotes
        what = gettext("“%(name)s”", name=name) if name else gettext("a link")
        place = gettext("link %(number)s of its part", number=int(number) + 1) if number.isdigit() else ""
        return ", ".join(filter(None, (what, place)))
    if kind == "list_unsubscribe":
        return gettext("by the List-Unsubscribe field of the mail")
    return _of_the_mta(kind, fields)


def _taken_in(fields: Fields) -> str:
    outcome = str(fields.get("x_outcome", ""))
    sender = str(fields.get("msg_from") or gettext("an empty sender"))
    what = outcome_text(outcome)
    if not outcome:
        links = int(str(fields.get("x_links", "0")) or 0)
        what += ", " + ngettext("%(num)s link", "%(num)s links", links)
    return gettext("from %(sender)s; %(what)s", sender=sender, what=what)


def _of_the_mta(kind: str, fields: Fields) -> str:
    reason = str(fields.get("raw_reason", ""))
    host = str(fields.get("x_remote_host", "") or fields.get("ip_address", ""))
    after = str(fields.get("queue_time", ""))
    parts = []
    if kind == "delivery":
        method = str(fields.get("delv_method") or gettext("the mail server"))
        parts.append(gettext("to %(host)s", host=host) if host else gettext("by %(method)s", method=method))
    elif reason:
        parts.append(reason)
    if after.isdigit():
        parts.append(gettext("%(time)s after it came in", time=duration(int(after))))
    tries = str(fields.get("num_retries", ""))
    if tries.isdigit() and int(tries):
        parts.append(gettext("try %(number)s", number=int(tries) + 1))
    return ", ".join(parts)


def _who(client: str, *, certain: bool) -> str:
    if not client:
        return ""
    name = gettext(_WHO[client]) if client in _WHO else client
    return name if certain or client == "unknown" else gettext("probably %(who)s", who=name)
