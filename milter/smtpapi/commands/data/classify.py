"""`smtpapi classify`: say what rules make of agents, and classify what is stored anew."""

import contextlib
import io
import os
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TextIO

import click

from engagement.classify.followed import FollowedRules
from engagement.classify.rule_set import RuleSet
from engagement.events.classify import Classification
from engagement.events.model import Hit
from engagement.links.model import Kind
from engagement.registry import open_registry
from engagement.registry.port import RegistryError
from engagement.settings import Settings, load_file
from engagement.shipper.reclassify import Outcome, reclassify
from engagement.stores import open_store
from engagement.webhooks import reclassified
from smtpapi.commands.data.events import Since
from smtpapi.commands.options import CONFIG_VARIABLE, DEFAULT_CONFIG, exit_on_error, say

_KINDS = {"open": Kind.OPEN, "click": Kind.CLICK}


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar=CONFIG_VARIABLE,
    help="The configuration; without it (and without SMTPAPI_CONFIG) --agents and --rules go by the rules "
    "that come with the program.",
)
@click.option(
    "--agents",
    type=click.File("r", encoding="utf-8", errors="surrogateescape"),
    metavar="FILE",
    help="Judge User-Agents, one a line ('-': standard input); prints agent, class, certainty and rule.",
)
@click.option(
    "--kind", type=click.Choice(list(_KINDS)), default="open", show_default=True, help="Of --agents."
)
@click.option("--rules", "show_rules", is_flag=True, help="Show the rules in their order.")
@click.option("--since", type=Since(), help="Classify stored hits anew from here on: 2h, 7d, or a moment.")
@click.option("--until", type=Since(), help="With --since: up to here, not included; up to now if not given.")
@click.option("--dry-run", is_flag=True, help="With --since: print what would change, and change nothing.")
def command(
    config: Path | None,
    agents: TextIO | None,
    kind: str,
    show_rules: bool,
    since: int | None,
    until: int | None,
    dry_run: bool,
) -> None:
    """Tell people from machines: what the rules say of agents, or of hits that are stored.

    Exit status: 1 for a file or a store that fails, 2 for a broken configuration or rules.
    """
    if (agents is not None) + show_rules + (since is not None) != 1:
        raise click.UsageError("give one of --agents, --rules and --since")
    if since is None and (until is not None or dry_run):
        raise click.UsageError("--until and --dry-run go with --since")
    with exit_on_error():
        settings = load_file(config or DEFAULT_CONFIG) if config or since is not None else Settings()
        rules = _rules(settings)
        if agents is not None:
            _print_agents(rules, agents, _KINDS[kind])
        elif show_rules:
            _print_rules(rules)
        else:
            _classify(settings, rules, since or 0, until, dry_run=dry_run)


def _rules(settings: Settings) -> RuleSet:
    """Return the rules that the configuration names; print what is wrong with them and exit 2."""
    troubles: list[str] = []
    rules = FollowedRules(settings.classify, troubles.append).current()
    if troubles:
        say(troubles[0].removesuffix("; the program's own rules are in force"), err=True)
        sys.exit(2)
    return rules


def _print_agents(rules: RuleSet, agents: Iterable[str], kind: Kind) -> None:
    """Print each agent in the octets it came in, whatever the locale's, and its label."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    for line in agents:
        agent = line.rstrip("\r\n")
        label = rules.classify(_hit(agent, kind))
        sys.stdout.write("\t".join((agent.replace("\t", " "), *_columns(label), label.reason)) + "\n")


def _hit(agent: str, kind: Kind) -> Hit:
    """Return a hit that says nothing but its agent."""
    return Hit("", kind, 0, b"", "", "", agent, "", "GET", "", spoiled=False, expired=False)


def _columns(label: Classification) -> tuple[str, str]:
    return label.client.value, "certain" if label.certain else "probable"


def _print_rules(rules: RuleSet) -> None:
    for rule in rules.rules:
        sys.stdout.write(
            "\t".join((rule.name, rule.scope, *_columns(rule.label), rule.reason, rule.source)) + "\n"
        )


def _classify(settings: Settings, rules: RuleSet, since: int, until: int | None, *, dry_run: bool) -> None:
    now = int(time.time() * 1000)
    end = now if until is None else until
    outcome = Outcome()
    noted = contextlib.nullcontext() if dry_run else _noted(settings, (since, end), now, rules)
    with closing(open_store(settings, writing=not dry_run)) as store, noted:
        steps = reclassify(store, rules, since, end, now_ms=None if dry_run else now)
        try:
            with click.progressbar(
                length=max(1, end - since),
                label="Classifying",
                file=sys.stderr,
                hidden=not sys.stderr.isatty(),
            ) as bar:
                for outcome in steps:
                    bar.update(max(0, outcome.at_ms - since - bar.pos))
        except KeyboardInterrupt:
            say("Stopped. What was done stays; do it again for the rest.", err=True)
    _print_outcome(outcome, rules, dry_run=dry_run)


@contextlib.contextmanager
def _noted(settings: Settings, span: tuple[int, int], now: int, rules: RuleSet) -> Iterator[None]:
    """Note in the registry what is classified meanwhile, so that webhooks send it.

    Where there is no registry, there are no webhooks.
    """
    registry = run = None
    try:
        if settings.store.engine != "sqlite" or os.path.exists(settings.registry.path):
            registry = open_registry(settings)
            run = reclassified.begin(registry, span, now, rules.version, uuid.uuid4().hex[:8])
    except RegistryError as error:
        say(f"Webhooks will not tell of what changes: {error}", err=True)
    try:
        yield
    finally:
        if registry is not None:
            with contextlib.suppress(RegistryError):  # it counts as ended after a day
                if run is not None:
                    retention_ms = settings.store.retention * 1000
                    now_ms = int(time.time() * 1000)
                    reclassified.end(registry, run, now_ms, retention_ms=retention_ms)
            registry.close()


def _print_outcome(outcome: Outcome, rules: RuleSet, *, dry_run: bool) -> None:
    table = [("from", "rule", "to", "rule", "hits")]
    table += [
        (change.before, change.rule_before, change.after, change.rule_after, str(count))
        for change, count in outcome.changes.most_common()
    ]
    if outcome.changes:
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        for row in table:
            cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
            say("  ".join((*cells, row[-1].rjust(widths[-1]))))
    changed = outcome.changes.total() if dry_run else outcome.written
    say(
        f"{outcome.hits} hit(s) judged by rules of version {rules.version}: {changed} "
        f"{'would change' if dry_run else 'changed'}, {outcome.withheld} left as they are, as privacy "
        "removed what they could be judged by",
        err=True,
    )
