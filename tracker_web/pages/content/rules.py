"""Rules as pages show them: what one asks for, in words, and a set of rules with one changed. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from engagement.classify.model import Rule
from engagement.events.classify import ReaderClass, verdict
from engagement.events.signals import signal_names
from engagement.shipper.reclassify import Change
from tracker_web.languages.translation import gettext, ngettext
from tracker_web.pages.content.tables import TEXT, Column, Row, Table

OFF: Final = "off"
# What a rule may be tried as: switched off, or another class; a ? stands for probable.
CHANGES: Final = (
    OFF,
    *(
        each
        for client in ReaderClass
        if client is not ReaderClass.PROBE
        for each in (client.value, f"{client.value}?")
    ),
)
_SHOWN: Final = 12  # parts of an agent


def conditions(rule: Rule) -> list[tuple[str, str]]:
    """Return what must hold, by the names of its keys (docs/classify.md)."""
    found: list[tuple[str, str]] = []
    if rule.agent is not None:
        found += [
            (name, _some(values))
            for name, values in (
                ("agent_contains", rule.agent.contains),
                ("agent_is", rule.agent.same),
                ("agent_matches", tuple(pattern.pattern for pattern in rule.agent.patterns)),
                ("agent_list", rule.agent.listed),
            )
            if values
        ]
    for name, bits in (("signals", rule.signals), ("signals_not_set", rule.no_signals)):
        if bits:
            found.append((name, ", ".join(signal_names(bits)).upper()))
    if rule.methods:
        found.append(("method", ", ".join(rule.methods)))
    if rule.spoiled:
        found.append(("spoiled", "true"))
    if rule.networks is not None:
        found.append(("network", _some(tuple(map(str, rule.networks))) or gettext("none is listed")))
    if rule.as_numbers:
        found.append(("as_number", _some(tuple(map(str, rule.as_numbers)))))
    if rule.link_names:
        found.append(("link_name", _some(rule.link_names)))
    for name, seconds in (
        ("seconds_after_injection", rule.after_injection),
        ("seconds_after_delivery", rule.after_delivery),
    ):
        if seconds is not None:
            found.append((name, f"{seconds:g}"))
    for name, within in (("burst", rule.burst), ("recipients", rule.recipients)):
        if within is not None:
            found.append(
                (
                    name,
                    gettext(
                        "%(number)s in %(seconds)s s",
                        number=within.number,
                        seconds=format(within.seconds, "g"),
                    ),
                )
            )
    return found


def changed(rules: Iterable[Rule], name: str, change: str) -> tuple[Rule, ...]:
    """Return the rules with one of them changed. change: one of CHANGES; what is none changes nothing."""
    made = []
    for rule in rules:
        if rule.name != name or change not in CHANGES:
            made.append(rule)
        elif change != OFF:
            client, certain = ReaderClass(change.removesuffix("?")), not change.endswith("?")
            made.append(replace(rule, label=replace(rule.label, client=client, certain=certain)))
    return tuple(made)


def changes_table(changes: "Counter[Change]") -> Table:
    """Return what would change, the most hits first."""
    columns = (
        Column("before", gettext("Now"), TEXT),
        Column("rule_before", gettext("By rule"), TEXT),
        Column("after", gettext("Then"), TEXT),
        Column("rule_after", gettext("By rule then"), TEXT),
        Column("hits", gettext("Hits")),
    )
    rows = tuple(Row({**change._asdict(), "hits": count}) for change, count in changes.most_common())
    return Table("changes", columns, rows)


def moved(changes: "Counter[Change]") -> list[tuple[str, int]]:
    """Return by how many hits people, unsure and machines would grow."""
    sums: Counter[str] = Counter()
    for change, count in changes.items():
        sums[_side(change.before)] -= count
        sums[_side(change.after)] += count
    return [(side, sums[side]) for side in ("people", "unsure", "machine")]


def _side(shown: str) -> str:
    client = shown.removesuffix("?")
    if client == ReaderClass.PROBE:
        return ""
    side = verdict(client, certain=not shown.endswith("?")).value
    return "machine" if side == "machines" else side  # as figures name it


def _some(values: tuple[str, ...]) -> str:
    shown, more = ", ".join(values[:_SHOWN]), len(values) - _SHOWN
    return (
        shown
        if more <= 0
        else ngettext("%(some)s and %(num)s more", "%(some)s and %(num)s more", more, some=shown)
    )
