"""Types of what describes a Cassandra cluster: its nodes, its keyspace, the copies in each data centre."""

import re
from collections.abc import Mapping

from engagement.settings.errors import OptionValueError
from engagement.settings.option_types.listeners import is_host_and_port, port_of
from engagement.settings.option_types.lists import pairs
from engagement.settings.option_types.option_type import (
    OptionType,
    quoted_value,
    show_list,
    text_of,
    texts_of,
)
from engagement.settings.syntax_tree import PairsNode, ValueNode, quoted


def cassandra_nodes() -> OptionType[tuple[str, ...]]:
    """Return the type of a list of Momentum's contact strings, each with a host (contract.md 1.5)."""
    expected = 'a list of "name=NAME;host=HOST;port=PORT"'

    def read(value: ValueNode) -> tuple[str, ...]:
        found = texts_of(value, expected)
        for each in found:
            parts = dict(part.strip().partition("=")[::2] for part in each.split(";"))
            port = parts.get("port", "9042")
            if not is_host_and_port(parts.get("host", "")) or port_of(port) is None:
                raise OptionValueError(f"holds '{each}'", expected)
        return found

    return OptionType(expected, read, show_list)


def keyspace() -> OptionType[str]:
    """Return the type of a name that CQL takes without quotes (CQL 3.4.7, identifiers)."""
    expected = "a name of at most 48 small letters, digits and _, beginning with a letter"

    def read(value: ValueNode) -> str:
        found = text_of(value, expected)
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,47}", found):
            raise OptionValueError(f"is {quoted_value(value)}", expected)
        return found

    return OptionType(expected, read, quoted)


def copies() -> OptionType[Mapping[str, str]]:
    """Return the type of the number of copies in each data centre."""
    expected = 'data centres and their copies, as in [ dc1 = "3" ]'
    inner = pairs()

    def read(value: ValueNode) -> Mapping[str, str]:
        if not isinstance(value, PairsNode):
            raise OptionValueError(f"is {quoted_value(value)}", expected)
        found = inner.read(value)
        if not all(re.fullmatch(r"[\w.-]+", name) and re.fullmatch(r"[1-9]", n) for name, n in found.items()):
            raise OptionValueError(f"is {quoted_value(value)} of something else", expected)
        return found

    return OptionType(expected, read, inner.show)
