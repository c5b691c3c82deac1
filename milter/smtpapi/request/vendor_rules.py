"""What other vendors' header fields mean, as data: a file of rules for each vendor, in the folder `vendors`.

Not the reading of a message (`vendor_headers`). A rule takes the value of one field, or of one place in its
JSON, for one or more of the things that X-MSYS-API says.

Invariant: a vendor that was read has at least one rule, and each rule's field is among the vendor's own.
"""

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources

_ON = frozenset({"yes", "true", "1", "on", "y"})
_OFF = frozenset({"no", "false", "0", "off", "n"})


class Sets(StrEnum):
    """What a rule sets."""

    CAMPAIGN = "campaign"
    TAGS = "tags"
    METADATA = "metadata"
    CLICKS = "clicks"
    OPENS = "opens"
    TRANSACTIONAL = "transactional"


class Form(StrEnum):
    """How a field's value is written. LIST: words between commas. PAIRS: name=value between commas."""

    TEXT = "text"
    LIST = "list"
    PAIRS = "pairs"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class FieldName:
    """A field's name in lower case, or all names that begin so."""

    text: str
    begins: bool = False

    def holds(self, lower: str) -> bool:
        """Return whether a name, in lower case, is meant."""
        return lower.startswith(self.text) if self.begins else lower == self.text


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. path: the place in JSON. name: of the pair of metadata. on, off: spellings of a switch."""

    field: FieldName
    sets: tuple[Sets, ...]
    form: Form = Form.TEXT
    path: tuple[str, ...] = ()
    name: str = ""
    on: frozenset[str] = _ON
    off: frozenset[str] = _OFF


@dataclass(frozen=True, slots=True)
class Vendor:
    """A vendor's fields, and its rules in their order: the first that sets something counts."""

    name: str
    fields: tuple[FieldName, ...]
    rules: tuple[Rule, ...]


@cache
def named(name: str) -> Vendor:
    """Return a vendor by its name. Raises OSError, KeyError or ValueError for a file that is not right."""
    file = resources.files("smtpapi.request") / "vendors" / f"{name}.toml"
    found = tomllib.loads(file.read_text("utf-8"))
    rules = tuple(
        Rule(
            _field(rule["field"]),
            tuple(map(Sets, rule["sets"])),
            Form.JSON if "path" in rule else Form(rule.get("form", Form.TEXT)),
            tuple(rule.get("path", ())),
            rule.get("name", ""),
            _ON | set(rule.get("on", ())),
            _OFF | set(rule.get("off", ())),
        )
        for rule in found["rule"]
    )
    return Vendor(name, tuple(map(_field, found["fields"])), rules)


def _field(text: str) -> FieldName:
    return FieldName(text.removesuffix("*").lower(), text.endswith("*"))
