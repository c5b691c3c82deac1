"""Reads rules from files: those shipped with this program, and those of the operator's folder beside them.

All files are read in the order of their names; one in the operator's folder takes the place of a shipped one
with its name. Hidden files are none: editors leave them. The greatest version of all files is that of the
rules.
"""

import tomllib
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

from engagement.classify.model import Network, Rule
from engagement.classify.networks import AsNumbers
from engagement.classify.rule_set import RuleSet
from engagement.classify.rule_table import RuleFault, rule_of
from engagement.events.classify import rules_number

SHIPPED: Final = Path(__file__).parent / "rules"
_ENDING: Final = ".toml"


class RulesError(Exception):
    """A file of rules cannot be used. The text names file and line, and what to do."""


def files(folder: Path | None) -> list[Path]:
    """Return the files of rules in their order. folder: the operator's. Raises OSError where it is none."""
    found = {path.name: path for path in SHIPPED.iterdir() if path.suffix == _ENDING}
    if folder is not None:
        found |= {
            path.name: path
            for path in folder.iterdir()
            if path.suffix == _ENDING and not path.name.startswith(".")
        }
    return [found[name] for name in sorted(found)]


def read_rules(folder: Path | None = None, as_numbers: AsNumbers | None = None) -> RuleSet:
    """Return all rules. folder: the operator's, None for the shipped ones alone.

    Raises RulesError for a file that cannot be used, OSError for one that cannot be read.
    """
    tables = [(path, *_table(path)) for path in files(folder)]
    version = str(max((_version(path, table) for path, _, table in tables), default=0))
    rules: list[Rule] = []
    places: dict[str, Path] = {}
    for path, text, table in tables:
        for number, each in enumerate(table.get("rule", [])):
            try:
                rule = rule_of(each, version, partial(_networks, path.parent))
            except RuleFault as fault:
                raise RulesError(f"{path}:{_line(text, number, fault.key)}: {fault}") from fault
            if rule.name in places:
                raise RulesError(
                    f"{path}:{_line(text, number, 'name')}: a second rule of the name {rule.name!r}, as in "
                    f"{places[rule.name]}: give one of them another"
                )
            places[rule.name] = path
            rules.append(rule)
    return RuleSet(rules, version, as_numbers)


def _table(path: Path) -> tuple[str, dict[str, Any]]:
    """Return a file's text and table."""
    try:
        text = path.read_bytes().decode()
        table = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise RulesError(f"{path}:1: no UTF-8 at octet {error.start}: write it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise RulesError(f"{path}:{_line_number(str(error), text)}: no TOML: {error}") from error
    for key in table.keys() - {"version", "rule"}:
        raise RulesError(f"{path}:{_line(text, -1, key)}: {key!r} is no key: a file has version and [[rule]]")
    rules = table.get("rule", [])
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise RulesError(f"{path}:{_line(text, -1, 'rule')}: rules are written as [[rule]]")
    return text, table


def _version(path: Path, table: dict[str, Any]) -> int:
    version = table.get("version")
    if not isinstance(version, int) or version is True or not rules_number(str(version)):
        raise RulesError(f"{path}:1: version = N, from 1 to 999, is missing: raise it with each change")
    return version


def _networks(folder: Path, name: str) -> tuple[Network, ...]:
    """Return the networks of a list: one a line or the first column of a CSV; none while it is not there."""
    path = folder / name
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError(f"{path}:1: cannot be read: {error}") from error
    found: list[Network] = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].partition(",")[0].strip()
        if text:
            try:
                found.append(ip_network(text, strict=False))
            except ValueError as error:
                raise RulesError(f"{path}:{number}: no network: {text!r}") from error
    return tuple(found)


def _line(text: str, rule: int, key: str) -> int:
    """Return the line of a key in the rule of this number (-1: before the first), or where that begins."""
    lines = text.splitlines()
    heads = [at for at, line in enumerate(lines, 1) if line.replace(" ", "").startswith("[[rule]]")]
    begin = heads[rule] if 0 <= rule < len(heads) else 1
    end = heads[rule + 1] if 0 <= rule + 1 < len(heads) else len(lines) + 1
    return next((at for at in range(begin, end) if _is_of(lines[at - 1], key)), begin)


def _is_of(line: str, key: str) -> bool:
    return line.partition("=")[0].strip() == key


def _line_number(error: str, text: str) -> int:
    """Return the line that an error of tomllib names, the last one where it says the end."""
    number = error.rpartition("at line ")[2].partition(",")[0]
    return int(number) if number.isdigit() else max(1, len(text.splitlines()))
