"""How an option is declared: a dataclass field that carries kind, default and words in its metadata.

No option stands here (`schema`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from engagement.settings.option_types import OptionType

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Option:
    """One declaration, as its readers see it.

    scopes: where it is valid, () for an option of a stanza. example: a value to show where the default says
    little. aliases: other names, read with a warning. display: the name in Momentum's capitals.
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
        """The name as people write it."""
        return self.display or self.name

    @property
    def written(self) -> str:
        """The default as it may stand in a file."""
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
    """A dataclass field that carries its declaration; typed as the value, as dataclasses expect."""
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
    """The declarations of a stanza's class, in order."""
    for each in fields(stanza):
        if "kind" in each.metadata:
            yield Option(name=each.name, **each.metadata)
