"""Whom a campaign's mail reached, by what became of it: events put together by recipient. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from engagement.events.classify import ReaderClass, Verdict, verdict
from tracker_web.languages.translation import gettext
from tracker_web.pages.content.tables import TEXT, TIME, Column, Row, Table

Fields = Mapping[str, Any]
OPENS: Final = ("open", "amp_open")  # as the figures of opens count; pixels at the beginning count apart
CLICKS: Final = ("click", "amp_click")
_BEST: Final = (Verdict.PEOPLE, Verdict.UNSURE, Verdict.MACHINES)


@dataclass(frozen=True, slots=True)
class State:
    """What became of mail. types: of events that say so. who: whose alone count. figure: that counts it."""

    name: str
    types: tuple[str, ...]
    figure: str = ""
    who: Verdict | None = None


def _by_whom(name: str, types: tuple[str, ...], stem: str) -> tuple[State, ...]:
    return tuple(
        State(f"{name}-{side}", types, f"x_count_{figure}_unique_{stem}", who)
        for side, figure, who in (
            ("people", "people", Verdict.PEOPLE),
            ("unsure", "unsure", Verdict.UNSURE),
            ("machines", "machine", Verdict.MACHINES),
        )
    )


STATES: Final = {
    state.name: state
    for state in (
        State("sent", ("injection",), "count_injected"),
        State("delivered", ("delivery",), "count_delivered"),
        State("delayed", ("delay",), "count_delayed"),
        State("bounced", ("bounce", "out_of_band", "expiration"), "count_bounce"),
        *_by_whom("opened", OPENS, "rendered"),
        *_by_whom("clicked", CLICKS, "clicked"),
        State("clicked", CLICKS),
        State("unsubscribed", ("link_unsubscribe", "list_unsubscribe"), "count_unsubscribe"),
        State("complained", ("spam_complaint",), "count_spam_complaint"),
    )
}


@dataclass(slots=True)
class _Person:
    name: str
    message: str
    last: str
    first: str = ""
    times: int = 0
    best: int = len(_BEST)
    what: dict[str, None] = field(default_factory=dict)


def people_table(state: State, events: Iterable[Fields], most: int) -> Table:
    """Return one row for each recipient, the latest first; who is not named stands by the message.

    events: newest first, of the state's types. A recipient is of the side of people if one of the events is.
    """
    found: dict[str, _Person] = {}
    for fields in events:
        client = str(fields.get("x_client_class", ""))
        if client == ReaderClass.PROBE:
            continue  # in no figure either
        message = str(fields.get("message_id", ""))
        name = str(fields.get("raw_rcpt_to", ""))
        person = found.setdefault(name.lower() or message, _Person(name, message, str(fields["timestamp"])))
        person.first = str(fields["timestamp"])
        person.times += 1
        if client:
            side = verdict(client, certain=fields.get("x_client_certain") is not False)
            person.best = min(person.best, _BEST.index(side))
        if (what := _what(fields)) and len(person.what) < 5:
            person.what[what] = None
    selected = None if state.who is None else _BEST.index(state.who)
    people = [each for each in found.values() if selected is None or each.best == selected]
    columns = (
        Column("recipient", gettext("Recipient"), TEXT),
        Column("times", gettext("Times")),
        Column("first", gettext("First"), TIME),
        Column("last", gettext("Last"), TIME),
        Column("what", gettext("What"), TEXT),
    )
    rows = tuple(
        Row(
            {
                "recipient": each.name,
                "times": each.times,
                "first": each.first,
                "last": each.last,
                "what": ", ".join(each.what),
            },
            each.message,
        )
        for each in people[:most]
    )
    return Table("recipients", columns, rows, more=len(people) > most)


def _what(fields: Fields) -> str:
    """Return what is worth saying of an event: what was clicked, what the other side answered, which rule."""
    kind = str(fields.get("type", ""))
    if kind in CLICKS or kind == "link_unsubscribe":
        return str(fields.get("target_link_name", ""))
    if kind in OPENS:
        return str(fields.get("x_client_reason", ""))
    return str(fields.get("raw_reason", "") or fields.get("fbtype", ""))
