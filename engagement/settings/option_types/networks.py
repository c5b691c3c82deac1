"""Types of lists of networks, as CIDR blocks."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeAlias

from engagement.settings.errors import OptionValueError
from engagement.settings.option_types.option_type import OptionType, show_list, texts_of
from engagement.settings.syntax_tree import ValueNode

Network: TypeAlias = IPv4Network | IPv6Network


def network(found: str) -> Network:
    """Return the CIDR block of a text; an address alone is a block of one.

    Host bits may be set: Momentum takes "10.0.0.1/8" for 10.0.0.0/8. Raises ValueError for other text.
    """
    return ip_network(found.strip("[]") if found.startswith("[") else found, strict=False)


def _networks(value: ValueNode, expected: str) -> tuple[Network, ...]:
    found = []
    for each in texts_of(value, expected):
        try:
            found.append(network(each))
        except ValueError:
            raise OptionValueError(f"holds '{each}'", expected) from None
    return tuple(found)


def networks() -> OptionType[tuple[Network, ...]]:
    """Return the type of a list of CIDR blocks."""
    expected = 'a list of addresses or CIDR blocks, as in ("10.0.0.0/8" "fd00::/8")'
    show = show_list
    return OptionType(
        expected, lambda value: _networks(value, expected), lambda value: show(tuple(map(str, value)))
    )


def network_texts() -> OptionType[tuple[str, ...]]:
    """Return the type of a list of CIDR blocks, each as text in canonical form."""
    expected = networks().expected
    return OptionType(
        expected, lambda value: tuple(str(each) for each in _networks(value, expected)), show_list
    )
