"""Types of hosts, ports and sockets: where programs listen, and whom they name or send to."""

import re
from collections.abc import Mapping
from ipaddress import ip_address

from engagement.settings.errors import OptionValueError
from engagement.settings.option_types.lists import pairs
from engagement.settings.option_types.option_type import (
    OptionType,
    quoted_value,
    show_list,
    text_of,
    texts_of,
)
from engagement.settings.syntax_tree import ValueNode, quoted

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\.?$){_LABEL}(?:\.{_LABEL})*\.?")
_BRACKETED = re.compile(r"\[(?P<inner>[^\]]*)\](?::(?P<port>.*))?", re.DOTALL)


def milter_socket() -> OptionType[str]:
    """Return the type of the address at which the MTA finds the filter, as libmilter writes it."""
    expected = '"unix:/absolute/path" or "inet:PORT@ADDRESS" or "inet6:PORT@ADDRESS"'

    def read(value: ValueNode) -> str:
        found = text_of(value, expected)
        family, _, rest = found.partition(":")
        if family in ("unix", "local") and rest.startswith("/"):
            return found
        port, at, address = rest.partition("@")
        if family in ("inet", "inet6") and at and address and port_of(port) is not None:
            return found
        raise OptionValueError(f"is {quoted_value(value)}", expected)

    return OptionType(expected, read, quoted)


def relays() -> OptionType[Mapping[str, str]]:
    """Return the type of `[ name = "ADDRESS:PORT" … ]`."""
    expected = 'pairs with ADDRESS:PORT, as in [ name = "127.0.0.1:2617" ]'
    inner = pairs()

    def read(value: ValueNode) -> Mapping[str, str]:
        found = inner.read(value)
        for each in found.values():
            if not is_host_and_port(each, port_needed=True):
                raise OptionValueError(f"holds '{each}'", expected)
        return found

    return OptionType(expected, read, inner.show)


def port_of(found: str) -> int | None:
    """Return the port number of a text, None where it is none."""
    return int(found) if re.fullmatch(r"[0-9]{1,5}", found) and 1 <= int(found) <= 65535 else None


def is_host_and_port(found: str, *, port_needed: bool = False) -> bool:
    """Return whether a text is host[:port]: a name of A-labels, IPv4, or [IPv6] (contract.md 1.1)."""
    if bracketed := _BRACKETED.fullmatch(found):
        host, port = bracketed["inner"], bracketed["port"]
        try:
            good = ip_address(host).version == 6 and "%" not in host
        except ValueError:
            return False
    else:
        host, colon, rest = found.partition(":")
        port = rest if colon else None
        good = _HOST.fullmatch(host) is not None
        if good and re.fullmatch(r"[0-9.]+", host):  # only digits and dots: then it must be an address
            good = _is_ipv4(host)
    return good and (not port_needed if port is None else port_of(port) is not None)


def _is_ipv4(host: str) -> bool:
    try:
        return ip_address(host).version == 4
    except ValueError:
        return False


def tracking_domain() -> OptionType[str]:
    """Return the type of a link's host[:port], in the letter case of the file."""
    expected = "a host name or address with an optional :port, and nothing else"

    def read(value: ValueNode) -> str:
        found = text_of(value, expected)
        if not is_host_and_port(found):
            raise OptionValueError(f"is {quoted_value(value)}", expected)
        return found

    return OptionType(expected, read, quoted)


def hosts() -> OptionType[tuple[str, ...]]:
    """Return the type of a list of host[:port], in lower case."""
    expected = 'a list of host names, as in ("track.example.com")'

    def read(value: ValueNode) -> tuple[str, ...]:
        found = texts_of(value, expected)
        for each in found:
            if not is_host_and_port(each):
                raise OptionValueError(f"holds '{each}'", expected)
        return tuple(each.lower() for each in found)

    return OptionType(expected, read, show_list)


def http_listen() -> OptionType[str]:
    """Return the type of the address and port that an HTTP server listens on."""
    expected = "ADDRESS:PORT, with IPv6 addresses in brackets"

    def read(value: ValueNode) -> str:
        found = text_of(value, expected)
        if not is_host_and_port(found, port_needed=True):
            raise OptionValueError(f"is {quoted_value(value)}", expected)
        return found

    return OptionType(expected, read, quoted)


def metrics_listen() -> OptionType[str]:
    """Return the type of the address where a program shows its metrics; empty for none."""
    expected = '"ADDRESS:PORT", with IPv6 addresses in brackets, or "unix:/absolute/path", or empty for none'

    def read(value: ValueNode) -> str:
        found = text_of(value, expected)
        if not found or found.startswith("unix:/") or is_host_and_port(found, port_needed=True):
            return found
        raise OptionValueError(f"is {quoted_value(value)}", expected)

    return OptionType(expected, read, quoted)


def second_pass_listener() -> OptionType[str]:
    """Return the type of the second pass's listener: an IP address and a port, or empty."""
    expected = "IP-ADDRESS:PORT, with IPv6 addresses in brackets, or empty for no hop"

    def read(value: ValueNode) -> str:
        found = text_of(value, expected)
        host = found.rpartition(":")[0]
        if found and not (is_host_and_port(found, port_needed=True) and (host[:1] == "[" or _is_ipv4(host))):
            raise OptionValueError(f"is {quoted_value(value)}", expected)
        if found and ip_address(host.strip("[]")).is_unspecified:
            raise OptionValueError(
                f"is {quoted_value(value)}", "the one address that the hop comes to, as in 127.0.0.1:10026"
            )
        return found

    return OptionType(expected, read, quoted)
