"""How an option is declared: a dataclass field whose metadata holds its type, default and help text.

No option is declared here (`schema`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from engagement.settings.option_types.option_type import OptionType

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Option:
    """One declaration of an option.

    scopes: where it is valid, () for an option of a stanza. example: a value to show where the default
    explains little. aliases: other names, read with a warning. display: the name in Momentum's capitals.
    since: the first version of this program that has it.
    """

    name: str
    kind: OptionType[Any]
    default: Any
    help: str
    since: str
    scopes: tuple[str, ...] = ()
    example: Any = None
    aliases: tuple[str, ...] = ()
    display: str = ""

    @property
    def title(self) -> str:
        """Return the name as documents write it."""
        return self.display or self.name

    @property
    def written(self) -> str:
        """Return the default as it can be written in a file."""
        return self.kind.show(self.default)


def declared(
    kind: OptionType[T],
    default: T,
    help_text: str,
    *,
    since: str = "0.1.0",
    scopes: tuple[str, ...] = (),
    example: T | None = None,
    aliases: tuple[str, ...] = (),
    display: str = "",
) -> T:
    """Return a dataclass field that holds its declaration; typed as the value, as dataclasses expect."""
    metadata = {
        "kind": kind,
        "default": default,
        "help": help_text,
        "since": since,
        "scopes": scopes,
        "example": example,
        "aliases": aliases,
        "display": display,
    }
    return field(default_factory=lambda: default, metadata=metadata)


def options_of(stanza: type) -> Iterator[Option]:
    """Yield the declarations of a stanza's class, in order."""
    for each in fields(stanza):
        if "kind" in each.metadata:
            yield Option(name=each.name, **each.metadata)
