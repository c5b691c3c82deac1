"""What newest events say and sums do not: which programs opened and clicked, where links lead. Pure.

Figures are kept by campaign, link, domain and rule; what is here is read off events, and says of how many.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from engagement.events.agents import parsed_agent
from engagement.events.classify import ReaderClass, Verdict, verdict
from engagement.html_copies.tracked_links import Place, TrackedLinks, Unknown
from tracker_web.languages.translation import gettext
from tracker_web.pages.content.people import CLICKS
from tracker_web.pages.content.tables import ADDRESS, RATE, TEXT, Column, Row, Table

Fields = Mapping[str, Any]
FETCHES: Final = ("open", "initial_open", "amp_open", "amp_initial_open")
# Classes in which people are: of the others no program is a reader's.
READERS: Final = (ReaderClass.HUMAN.value, ReaderClass.PROXY.value)


def programs_table(events: Iterable[Fields], most: int) -> Table:
    """Return the programs with which people opened and clicked, the most used first; at most so many.

    events: hits of the classes READERS. Those that are not surely people's are left out.
    """
    opens: Counter[str] = Counter()
    clicks: Counter[str] = Counter()
    for fields in events:
        certain = fields.get("x_client_certain") is not False
        if verdict(str(fields.get("x_client_class", "")), certain=certain) is Verdict.PEOPLE:
            of = clicks if fields["type"] in CLICKS else opens
            of[program(str(fields.get("user_agent", "")))] += 1
    used = opens + clicks
    whole = sum(used.values())
    columns = (
        Column("program", gettext("Program"), TEXT),
        Column("opens", gettext("Opens")),
        Column("clicks", gettext("Clicks")),
        Column("share", gettext("Share"), RATE, gettext("of all opens and clicks that were looked at")),
    )
    rows = tuple(
        Row(
            {
                "program": name or gettext("(not known)"),
                "opens": opens[name],
                "clicks": clicks[name],
                "share": number / whole,
            }
        )
        for name, number in used.most_common(most)
    )
    return Table("programs", columns, rows, more=len(used) > most)


def program(user_agent: str) -> str:
    """Return the name of a program and the system it runs on, "" where the agent names none."""
    parsed = parsed_agent(user_agent)
    name, system = str(parsed.get("agent_family", "")), str(parsed.get("os_family", ""))
    return f"{name}, {system}" if name and system else name or system


def targets(events: Iterable[Fields]) -> dict[tuple[int, str], str]:
    """Return where each link led that was clicked, by its ordinal (-1 for not known) and name.

    events: clicks, newest first. A link may lead each recipient elsewhere: it is the newest click's target.
    """
    found: dict[tuple[int, str], str] = {}
    for fields in events:
        if target := str(fields.get("target_link_url", "")):
            found.setdefault(link_of(fields), target)
    return found


def link_of(fields: Fields) -> tuple[int, str]:
    """Return the ordinal (-1 for not known) and name of the link of a click."""
    ordinal = str(fields.get("x_link_ordinal", ""))
    return int(ordinal) if ordinal.isdigit() else -1, str(fields.get("target_link_name", ""))


def place_of(fields: Fields) -> Place:
    """Return where the link of a click is in its message; part "" where it is not known."""
    return Place(str(fields.get("x_link_part", "")), *link_of(fields))


def message_links(
    stored: Iterable[tuple[int, str, str]],
    events: Iterable[Fields],
    tracked: TrackedLinks | None = None,
    *,
    with_addresses: bool = False,
) -> Table:
    """Return the links of one message: where each leads, what the reader got for it, and who clicked it.

    stored: ordinal, name and target of the links in a copy of its mail. events: of the message. tracked: the
    proved ones, None where no key ring can be read. with_addresses: also what is in the delivered mail.
    """
    found = {Place("html", ordinal, name): [target, ""] for ordinal, name, target in stored}
    for fields in events:
        if fields["type"] in CLICKS:
            client = str(fields.get("x_client_class", ""))
            side = verdict(client, certain=fields.get("x_client_certain") is not False)
            link = found.setdefault(place_of(fields), ["", ""])
            link[0] = str(fields.get("target_link_url", "")) or link[0]
            link[1] = min(filter(None, (link[1], side.value)), key=_BEST.index)
    for place, target in (tracked.targets if tracked else {}).items():
        found.setdefault(place, ["", ""])[0] = target
    columns = (
        Column("ordinal", "#", TEXT),
        Column("part", gettext("Part"), TEXT),
        Column("link", gettext("Link"), TEXT),
        Column("target", gettext("Leads to"), TEXT),
        *((Column("address", gettext("In the delivered mail"), ADDRESS),) if with_addresses else ()),
        Column("clicked_by", gettext("Clicked by"), TEXT),
    )
    rows = tuple(
        Row(
            {
                "ordinal": str(place.ordinal + 1) if place.ordinal >= 0 else "",
                "part": _PARTS.get(place.part, ""),
                "link": place.name,
                "target": target,
                **({"address": _address(place, tracked)} if with_addresses else {}),
                "clicked_by": side_text(side),
            }
        )
        for place, (target, side) in sorted(found.items(), key=lambda item: _in_order(item[0]))
    )
    return Table("message-links", columns, rows)


_PARTS: Final = {"html": "HTML", "text": "Text", "amp": "AMP"}


def _in_order(place: Place) -> tuple[int, int, str]:
    """Return what links are sorted by: HTML first, then text and AMP, then those of no known part."""
    parts = list(_PARTS)
    return parts.index(place.part) if place.part in parts else len(parts), place.ordinal, place.name


def _address(place: Place, tracked: TrackedLinks | None) -> str:
    """Return the tracked address of a link, or in words why it is not known."""
    if tracked is None:
        return gettext("not known: this program may not read the key ring")
    if place in tracked.addresses:
        return tracked.addresses[place]
    match tracked.why:
        case Unknown.NOT_STORED:
            return gettext("not known: nothing was kept of it")
        case Unknown.KEY:
            return gettext("not known: its key is not in the key ring")
        case _:
            return gettext("not known: its whole target was not kept")


_BEST: Final = [each.value for each in (Verdict.PEOPLE, Verdict.UNSURE, Verdict.MACHINES)]


def side_text(side: str) -> str:
    """Return who clicked in words, "" for nobody."""
    return {
        Verdict.PEOPLE.value: gettext("a person"),
        Verdict.UNSURE.value: gettext("unsure"),
        Verdict.MACHINES.value: gettext("a machine"),
    }.get(side, "")
