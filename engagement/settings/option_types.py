"""The types of option values: how each is read, described and written.

No option is declared here (`schema`). Invariants: `read` raises only `OptionValueError`; a value that `show`
has written is read as the same value.
"""

import posixpath
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from types import MappingProxyType
from typing import Generic, TypeAlias, TypeVar

from engagement.settings.errors import OptionValueError
from engagement.settings.syntax_tree import PairsNode, TextListNode, TextNode, ValueNode, quoted, written

T = TypeVar("T")
S = TypeVar("S", bound=str)
E = TypeVar("E", bound=StrEnum)

Network: TypeAlias = IPv4Network | IPv6Network

# How a switch may be written (contract.md 2.1).
_TRUE = frozenset({"true", "on", "enabled", "1", "yes"})
_FALSE = frozenset({"false", "off", "disabled", "0", "no"})
_INTEGER = re.compile(r"(-?)(?:0[xX]([0-9a-fA-F]{1,16})|0([0-7]{1,22})|(0|[1-9][0-9]{0,18}))")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\.?$){_LABEL}(?:\.{_LABEL})*\.?")
_BRACKETED = re.compile(r"\[(?P<inner>[^\]]*)\](?::(?P<port>.*))?", re.DOTALL)
_LIST_ID = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*", re.ASCII)
_LONGEST_LIST_ID = 255  # characters (contract.md 8.5; RFC 2919 2)
# Without the signs of RFC 5322's atoms that mean something in a URL.
_HEADER_NAME = re.compile(r"(?!(?i:x-msys-api$|x-smtpapi-))[!-9;-~]{1,76}")  # but those that are our own
_MAIL_ADDRESS = re.compile(
    r"[A-Za-z0-9!$*+_.~'-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])", re.ASCII
)
_MAX_SHOWN = 60  # characters of a value in a message, which is one line


@dataclass(frozen=True, slots=True)
class OptionType(Generic[T]):
    """A type of value: how it is read from a file and written.

    expected: describes valid values, as messages have it after "expected". read: raises OptionValueError for
    any other value.
    """

    expected: str
    read: Callable[[ValueNode], T]
    show: Callable[[T], str]


def quoted_value(value: ValueNode) -> str:
    """Return a value as messages quote it, cut if it is long."""
    match value:
        case TextNode(text):
            return f"'{text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + '…'}'"
        case TextListNode():
            return "a list ( … )"
        case PairsNode():
            return "a list of pairs [ … ]"


def _text(value: ValueNode, expected: str) -> str:
    if not isinstance(value, TextNode):
        raise OptionValueError(f"is {quoted_value(value)}", expected)
    if any(ord(character) < 32 or ord(character) == 127 for character in value.text):
        raise OptionValueError("holds a control character", expected)
    return value.text


def _texts(value: ValueNode, expected: str) -> tuple[str, ...]:
    """Return the texts of a list; a single value is a list of one (contract.md 2.1)."""
    if isinstance(value, PairsNode):
        raise OptionValueError(f"is {quoted_value(value)}", expected)
    items = value.items if isinstance(value, TextListNode) else (value,)
    return tuple(_text(item, expected) for item in items)


def _show_list(values: tuple[str, ...]) -> str:
    return f"({' '.join(written(value) for value in values)})"


def truth_of(text: str) -> bool | None:
    """Return the truth value of a text in one of Momentum's spellings, else None (contract.md 2.1)."""
    lower = text.lower()
    return True if lower in _TRUE else False if lower in _FALSE else None


def boolean() -> OptionType[bool]:
    """Return the type of a switch, true or false in all of Momentum's spellings (contract.md 2.1)."""
    expected = "true or false (or on/off, yes/no, enabled/disabled, 1/0)"

    def read(value: ValueNode) -> bool:
        found = truth_of(_text(value, expected))
        if found is None:
            raise OptionValueError(f"is {quoted_value(value)}", expected)
        return found

    return OptionType(expected, read, lambda value: "true" if value else "false")


def integer_of(text: str) -> int | None:
    """Return a whole number as Momentum reads it: octal after a 0, hexadecimal after 0x (contract.md 2.1)."""
    if not (found := _INTEGER.fullmatch(text)):
        return None
    sign, hexadecimal, octal, decimal = found.groups()
    number = int(hexadecimal, 16) if hexadecimal else int(octal, 8) if octal else int(decimal)
    return -number if sign else number


def integer(low: int, high: int, unit: str = "", *, expected: str = "") -> OptionType[int]:
    """Return the type of a whole number from low to high, without a suffix."""
    of_unit = f" of {unit}" if unit else ""
    expected = expected or f"a whole number{of_unit} from {low} to {high}"

    def read(value: ValueNode) -> int:
        found = integer_of(_text(value, expected))
        if found is None or not low <= found <= high:
            raise OptionValueError(f"is {quoted_value(value)}", expected)
        return found

    return OptionType(expected, read, str)


def text(expected: str = "text", *, empty: bool = True) -> OptionType[str]:
    """Return the type of any text on one line."""

    def read(value: ValueNode) -> str:
        found = _text(value, expected)
        if not found and not empty:
            raise OptionValueError("is empty", expected)
        return found

    return OptionType(expected, read, quoted)


def choice(*values: S) -> OptionType[S]:
    """Return the type of one of a closed list of texts. Letter case in the file does not matter."""
    expected = " or ".join(values)
    canonical = {value.lower(): value for value in values}

    def read(value: ValueNode) -> S:
        found = canonical.get(_text(value, expected).lower())
        if found is None:
            raise OptionValueError(f"is {quoted_value(value)}", expected)
        return found

    return OptionType(expected, read, quoted)


def member(values: type[E]) -> OptionType[E]:
    """Return the type of one member of an enumeration, written as its text."""
    return choice(*values)


_LEVELS = ("DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL")


def debug_level() -> OptionType[str]:
    """Return the type of a log level: its name, or its number from 0 (contract.md 1.4)."""
    expected = f"{', '.join(_LEVELS[:-1])} or {_LEVELS[-1]} (or 0 to 5)"

    def read(value: ValueNode) -> str:
        found = _text(value, expected).upper()
        if found in tuple("012345"):
            return _LEVELS[int(found)]
        if found not in _LEVELS:
            raise OptionValueError(f"is {quoted_value(value)}", expected)
        return found

    return OptionType(expected, read, written)


def path() -> OptionType[str]:
    """Return the type of a path; a relative one counts from the folder of the file that names it."""
    expected = "a path"

    def read(value: ValueNode) -> str:
        found = _text(value, expected)
        if not found or value.place.file.startswith("<"):  # a text without a file has no folder
            return found
        return posixpath.abspath(posixpath.join(posixpath.dirname(value.place.file), found))

    return OptionType(expected, read, quoted)


def milter_socket() -> OptionType[str]:
    """Return the type of the address at which the MTA finds the filter, as libmilter writes it."""
    expected = '"unix:/absolute/path" or "inet:PORT@ADDRESS" or "inet6:PORT@ADDRESS"'

    def read(value: ValueNode) -> str:
        found = _text(value, expected)
        family, _, rest = found.partition(":")
        if family in ("unix", "local") and rest.startswith("/"):
            return found
        port, at, address = rest.partition("@")
        if family in ("inet", "inet6") and at and address and _port(port) is not None:
            return found
        raise OptionValueError(f"is {quoted_value(value)}", expected)

    return OptionType(expected, read, quoted)


def text_list(expected: str) -> OptionType[tuple[str, ...]]:
    """Return the type of a list of texts."""
    return OptionType(expected, lambda value: _texts(value, expected), _show_list)


def choices(*values: S) -> OptionType[tuple[S, ...]]:
    """Return the type of a list of texts of a closed list. Letter case in the file does not matter."""
    expected = f"a list of {', '.join(values[:-1])} or {values[-1]}"
    canonical = {value.lower(): value for value in values}

    def read(value: ValueNode) -> tuple[S, ...]:
        found = _texts(value, expected)
        for each in found:
            if each.lower() not in canonical:
                raise OptionValueError(f"holds '{each}'", expected)
        return tuple(dict.fromkeys(canonical[each.lower()] for each in found))

    return OptionType(expected, read, _show_list)


def patterns() -> OptionType[tuple[str, ...]]:
    """Return the type of a list of regular expressions that compile."""
    expected = 'a list of regular expressions, as in ("//login\\.example\\.com/" "[?&]token=")'

    def read(value: ValueNode) -> tuple[str, ...]:
        found = _texts(value, expected)
        for pattern in found:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter(
                        "ignore", FutureWarning
                    )  # "[[" is valid in this version of Python, with a warning
                    re.compile(pattern.encode())
            except (re.error, OverflowError, RecursionError) as error:
                raise OptionValueError(
                    f"holds '{pattern}', which is no regular expression ({error})", expected
                ) from None
            except UnicodeEncodeError:
                raise OptionValueError(f"holds {pattern!a}, which is no text", expected) from None
        return found

    return OptionType(expected, read, _show_list)


def network(found: str) -> Network:
    """Return the CIDR block of a text; an address alone is a block of one.

    Host bits may be set: Momentum takes "10.0.0.1/8" for 10.0.0.0/8. Raises ValueError for other text.
    """
    return ip_network(found.strip("[]") if found.startswith("[") else found, strict=False)


def _networks(value: ValueNode, expected: str) -> tuple[Network, ...]:
    found = []
    for each in _texts(value, expected):
        try:
            found.append(network(each))
        except ValueError:
            raise OptionValueError(f"holds '{each}'", expected) from None
    return tuple(found)


def networks() -> OptionType[tuple[Network, ...]]:
    """Return the type of a list of CIDR blocks."""
    expected = 'a list of addresses or CIDR blocks, as in ("10.0.0.0/8" "fd00::/8")'
    show = _show_list
    return OptionType(
        expected, lambda value: _networks(value, expected), lambda value: show(tuple(map(str, value)))
    )


def network_texts() -> OptionType[tuple[str, ...]]:
    """Return the type of a list of CIDR blocks, each as text in canonical form."""
    expected = networks().expected
    return OptionType(
        expected, lambda value: tuple(str(each) for each in _networks(value, expected)), _show_list
    )


def pairs() -> OptionType[Mapping[str, str]]:
    """Return the type of `[ name = "value" … ]`."""
    expected = 'pairs, as in [ name = "value" ]'

    def read(value: ValueNode) -> Mapping[str, str]:
        if not isinstance(value, PairsNode):
            raise OptionValueError(f"is {quoted_value(value)}", expected)
        return MappingProxyType({key.text: _text(each, expected) for key, each in value.pairs})

    def show(value: Mapping[str, str]) -> str:
        inner = " ".join(f"{written(key)} = {quoted(each)}" for key, each in value.items())
        return f"[ {inner} ]" if inner else "[ ]"

    return OptionType(expected, read, show)


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


def scheme() -> OptionType[str]:
    """Return the type of a URL scheme, http or https in lower case (contract.md 1.1)."""
    return choice("http", "https")


def _port(found: str) -> int | None:
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
    return good and (not port_needed if port is None else _port(port) is not None)


def _is_ipv4(host: str) -> bool:
    try:
        return ip_address(host).version == 4
    except ValueError:
        return False


def tracking_domain() -> OptionType[str]:
    """Return the type of a link's host[:port], in the letter case of the file."""
    expected = "a host name or address with an optional :port, and nothing else"

    def read(value: ValueNode) -> str:
        found = _text(value, expected)
        if not is_host_and_port(found):
            raise OptionValueError(f"is {quoted_value(value)}", expected)
        return found

    return OptionType(expected, read, quoted)


def is_list_id(found: str) -> bool:
    """Return whether a text is the id of a mailing list (contract.md 8.5; RFC 2919 2)."""
    return len(found) <= _LONGEST_LIST_ID and _LIST_ID.fullmatch(found) is not None


def list_id() -> OptionType[str]:
    """Return the type of a mailing list's id, or of none; in lower case, as RFC 2919 6 compares them."""
    expected = "a list's id: letters, digits, '-', '_' and '.', no '.' at an end and no '..'"

    def read(value: ValueNode) -> str:
        found = _text(value, expected)
        if found and not is_list_id(found):
            raise OptionValueError(f"is {quoted_value(value)}", expected)
        return found.lower()

    return OptionType(expected, read, quoted)


def mail_address() -> OptionType[str]:
    """Return the type of an address that can stand in a mailto URL as it is (RFC 6068 2), or of none."""
    expected = "an address such as leave@example.com"

    def read(value: ValueNode) -> str:
        found = _text(value, expected)
        if found and not _MAIL_ADDRESS.fullmatch(found):
            raise OptionValueError(f"is {quoted_value(value)}", expected)
        return found

    return OptionType(expected, read, quoted)


def header_name() -> OptionType[str]:
    """Return the type of a header field's name (RFC 5322 3.6.8), or of none."""
    expected = "the name of a header field that is not the filter's own"

    def read(value: ValueNode) -> str:
        found = _text(value, expected)
        if found and not _HEADER_NAME.fullmatch(found):
            raise OptionValueError(f"is {quoted_value(value)}", expected)
        return found

    return OptionType(expected, read, quoted)


def hosts() -> OptionType[tuple[str, ...]]:
    """Return the type of a list of host[:port], in lower case."""
    expected = 'a list of host names, as in ("track.example.com")'

    def read(value: ValueNode) -> tuple[str, ...]:
        found = _texts(value, expected)
        for each in found:
            if not is_host_and_port(each):
                raise OptionValueError(f"holds '{each}'", expected)
        return tuple(each.lower() for each in found)

    return OptionType(expected, read, _show_list)


def http_listen() -> OptionType[str]:
    """Return the type of the address and port that an HTTP server listens on."""
    expected = "ADDRESS:PORT, with IPv6 addresses in brackets"

    def read(value: ValueNode) -> str:
        found = _text(value, expected)
        if not is_host_and_port(found, port_needed=True):
            raise OptionValueError(f"is {quoted_value(value)}", expected)
        return found

    return OptionType(expected, read, quoted)


def metrics_listen() -> OptionType[str]:
    """Return the type of the address where a program shows its metrics; empty for none."""
    expected = '"ADDRESS:PORT", with IPv6 addresses in brackets, or "unix:/absolute/path", or empty for none'

    def read(value: ValueNode) -> str:
        found = _text(value, expected)
        if not found or found.startswith("unix:/") or is_host_and_port(found, port_needed=True):
            return found
        raise OptionValueError(f"is {quoted_value(value)}", expected)

    return OptionType(expected, read, quoted)


def second_pass_listener() -> OptionType[str]:
    """Return the type of the second pass's listener: an IP address and a port, or empty."""
    expected = "IP-ADDRESS:PORT, with IPv6 addresses in brackets, or empty for no hop"

    def read(value: ValueNode) -> str:
        found = _text(value, expected)
        host = found.rpartition(":")[0]
        if found and not (is_host_and_port(found, port_needed=True) and (host[:1] == "[" or _is_ipv4(host))):
            raise OptionValueError(f"is {quoted_value(value)}", expected)
        if found and ip_address(host.strip("[]")).is_unspecified:
            raise OptionValueError(
                f"is {quoted_value(value)}", "the one address that the hop comes to, as in 127.0.0.1:10026"
            )
        return found

    return OptionType(expected, read, quoted)


def cassandra_nodes() -> OptionType[tuple[str, ...]]:
    """Return the type of a list of Momentum's contact strings, each with a host (contract.md 1.5)."""
    expected = 'a list of "name=NAME;host=HOST;port=PORT"'

    def read(value: ValueNode) -> tuple[str, ...]:
        found = _texts(value, expected)
        for each in found:
            parts = dict(part.strip().partition("=")[::2] for part in each.split(";"))
            port = parts.get("port", "9042")
            if not is_host_and_port(parts.get("host", "")) or _port(port) is None:
                raise OptionValueError(f"holds '{each}'", expected)
        return found

    return OptionType(expected, read, _show_list)


def keyspace() -> OptionType[str]:
    """Return the type of a name that CQL takes without quotes (CQL 3.4.7, identifiers)."""
    expected = "a name of at most 48 small letters, digits and _, beginning with a letter"

    def read(value: ValueNode) -> str:
        found = _text(value, expected)
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
