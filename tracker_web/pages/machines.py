"""Machines: which rule called what a machine, with examples, and what a change of a rule would do."""

import time
from collections import Counter
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from flask import Blueprint, abort, request, url_for
from flask.typing import ResponseReturnValue

from engagement.classify.model import Rule
from engagement.classify.rule_set import NO_AGENT, NO_RULE
from engagement.events.fields import TYPES, Fields
from engagement.figures.query import FigureRow
from engagement.shipper.reclassify import Outcome, reclassify
from engagement.stores.port import Query
from tracker_web.languages.translation import N_, gettext
from tracker_web.pages import site
from tracker_web.pages.content.figure_tables import machine_table
from tracker_web.pages.content.figures import total
from tracker_web.pages.content.numbers import moment
from tracker_web.pages.content.rules import CHANGES, changed, changes_table, conditions, moved
from tracker_web.pages.content.timeline import line

_MOST: Final = 200  # groups
_LOOKED_AT: Final = 1_000  # events of a class, for examples of one of its rules
_EXAMPLES: Final = 20  # hits: what a screen shows
_AGENTS: Final = 6  # the most frequent ones
_TRIED: Final = 1_000  # hits, the newest: 0.1 s of classifying
_PORTION: Final = 100  # hits that are classified whatever time it takes
_DIGITS: Final = 15  # of Unix milliseconds, at most
_STEPS: Final = 12  # from an hour to a month, and to a minute
_HOUR_MS: Final = 3_600_000
_SECONDS: Final = 0.15  # of one try; what was not looked at by then is said, and may be looked at next


def blueprint() -> Blueprint:
    """Return the pages `/machines`, `/machines/rule/NAME` and `/machines/try`."""
    pages = Blueprint("machines", __name__, url_prefix="/machines")

    @pages.get("")
    def every() -> ResponseReturnValue:
        """Return what each rule called what in a period. Query parameters: period, from, to."""
        view = site.view()
        found = site.rows(view, by="machine", limit=_MOST, order_by="x_count_recorded_rendered", metrics=())
        rules = {rule.name: rule for rule in site.sources().rules().rules}
        used = {row.group.partition(" ")[2] for row in found}
        return site.page(
            "machines.html",
            (machine_table([_row(row, rules) for row in found]),),
            view=view,
            unused=[rule for rule in rules.values() if rule.name not in used],
            tries=_may_try(),
        )

    @pages.get("/rule/<name>")
    def one(name: str) -> ResponseReturnValue:
        """Return one rule with examples of what it decided. Query parameters: period, from, to."""
        rules = site.sources().rules()
        rule = next((each for each in rules.rules if each.name == name), None)
        view = site.view()
        rows = [
            row
            for row in site.rows(view, by="machine", limit=_MOST, metrics=())
            if row.group.partition(" ")[2] == name
        ]
        if rule is None and not rows and name not in (NO_RULE, NO_AGENT):
            return site.page("empty.html", title=name, text=gettext(_NO_SUCH), status=HTTPStatus.NOT_FOUND)
        classes = {row.group.partition(" ")[0] for row in rows}
        query = Query(
            tenant=site.tenant(),
            classes=tuple(sorted(classes)),
            limit=_LOOKED_AT,
            cursor=site.page_cursor(),
        )
        found, cursor = site.some_events(query, site.READING_SECONDS) if classes else ([], "")
        theirs = [fields for fields in found if fields.get("x_client_reason") == name]
        agents = Counter(str(fields.get("user_agent", "")) for fields in theirs)
        return site.page(
            "rule.html",
            name=name,
            rule=rule,
            conditions=conditions(rule) if rule else [],
            version=rules.version,
            sums=total(rows),
            classes=sorted(classes),
            examples=[line(fields) for fields in theirs[:_EXAMPLES]],
            agents=agents.most_common(_AGENTS),
            looked_at=len(found),
            older=site.link_to(request.path, {**view.query(), "cursor": cursor}) if cursor else "",
            view=view,
            changes=CHANGES,
            tries=_may_try(),
        )

    @pages.get("/try")
    def attempt() -> ResponseReturnValue:
        """Show how the newest hits would be classified with one rule changed. Query parameters: rule, as."""
        if not _may_try():
            abort(HTTPStatus.FORBIDDEN)
        rules = site.sources().rules()
        name, change = request.args.get("rule", ""), request.args.get("as", "")
        known = any(rule.name == name for rule in rules.rules)
        if not known or change not in CHANGES:
            name = change = ""
        outcome, from_ms, whole = _tried(name, change, _since())
        parameters = {"rule": name, "as": change, "since": str(outcome.at_ms + 1)}
        return site.page(
            "try.html",
            (changes_table(outcome.changes),),
            rules=rules.rules,
            rule=name,
            change=change,
            changes=CHANGES,
            version=rules.version,
            outcome=outcome,
            from_ms=from_ms,
            whole=whole,
            following="" if whole else site.link_to(request.path, parameters),
            moved=moved(outcome.changes),
        )

    return pages


_NO_SUCH = N_("There is no rule of this name, and none of this name has decided anything in this period.")


def _may_try() -> bool:
    """Return whether this one may classify hits: all of them are looked at, so nobody who sees a part."""
    return not site.tenant()


def _since() -> int | None:
    """Return since when hits are to be classified, as the URL says where a page before did not end."""
    since = request.args.get("since", "")
    return int(since) if since.isascii() and since.isdigit() and len(since) < _DIGITS else None


def _tried(name: str, change: str, since: int | None) -> tuple[Outcome, int | None, bool]:
    """Return what classifying hits again would change, since when they are, and whether all were tried.

    since: Unix milliseconds; None for the newest.
    """
    from_ms, outcome = _newest() if since is None else since, Outcome()
    if from_ms is None:
        return outcome, None, True
    rules = site.sources().rules()
    tried = rules.with_rules(changed(rules.rules, name, change)) if name else rules
    ends = time.monotonic() + _SECONDS
    for outcome in reclassify(site.store(), tried, from_ms, site.now_ms(), now_ms=None, portion=_PORTION):
        if time.monotonic() > ends:
            return outcome, from_ms, not site.store().hits(outcome.at_ms + 1, site.now_ms(), limit=1)
    return outcome, from_ms, True


def _newest() -> int | None:
    """Return since when the newest hits are that are tried, at most `_TRIED` of them; None if there are none.

    At least half as many where so many are kept. They are counted, not read: reading takes half as long as
    classifying.
    """
    query = Query(types=tuple(TYPES.values()), tenant=site.tenant())
    store, span = site.store(), _HOUR_MS
    if store.number(query, _TRIED) < _TRIED:
        every = site.events(types=query.types, limit=_TRIED)
        return _at(every[-1]) if every else None
    newest = _at(site.events(types=query.types, limit=1)[0])
    least, most = 0, newest  # spans with too few, and with too many
    for _ in range(_STEPS):
        number = store.number(replace(query, from_ms=newest - span), _TRIED + 1)
        if _TRIED // 2 <= number <= _TRIED:
            break
        if number > _TRIED:
            most, span = span, (least + span) // 2
        else:
            least, span = span, min((span + most) // 2, span * _TRIED // max(number, 100))
    return newest - span


def _at(fields: Fields) -> int:
    return int(moment(str(fields["timestamp"])).timestamp() * 1000)


def _row(row: FigureRow, rules: dict[str, Rule]) -> tuple[str, str, str, str, dict[str, int]]:
    client, _, reason = row.group.partition(" ")
    rule = rules.get(reason)
    to = site.link_to(url_for("machines.one", name=reason), site.view().query()) if reason else ""
    return client, reason, rule.reason if rule else "", to, dict(row.figures)
