"""What policies do with texts: JSON, addresses, base64, quoted-printable, IDNA."""

import base64
import binascii
import json
import quopri
import re
from email.utils import getaddresses

_DEEPEST = 64  # levels of JSON that are read, as in `request.strict_json`
_IPV4_PORT = re.compile(r"([0-9.]+):[0-9]+")
_IPV6_PORT = re.compile(r"([0-9A-Fa-f:]*:[0-9A-Fa-f:]*)\.[0-9]+")


def json_tokens(text: bytes) -> list[object]:
    """Return a JSON value as a flat list: "o" or "a" with its size, "v" with a value, "z" for null.

    A text that is none gives "e", what is wrong, and a number.
    """
    out: list[object] = []
    try:
        _flatten(json.loads(text), out, 0)
    except (ValueError, RecursionError) as error:
        return [b"e", 1, str(error).encode()]
    return out


def _flatten(value: object, out: list[object], depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    if isinstance(value, dict):
        out += (b"o", len(value))
        for key, each in value.items():
            out.append(key.encode("utf-8", "surrogatepass"))
            _flatten(each, out, depth + 1)
    elif isinstance(value, list):
        out += (b"a", len(value))
        for each in value:
            _flatten(each, out, depth + 1)
    elif value is None:
        out.append(b"z")
    elif isinstance(value, str):
        out += (b"v", value.encode("utf-8", "surrogatepass"))
    elif isinstance(value, bool):
        out += (b"v", value)
    else:
        out += (b"v", float(str(value)))


def addresses(values: list[str], component: str) -> list[bytes]:
    """Return one component of each address in header values: all, localpart, user, detail or domain."""
    found = []
    for name, address in getaddresses(values):
        local, _, domain = address.rpartition("@")
        user, plus, detail = local.partition("+")
        whole = f"{name} <{address}>" if name else address
        parts = {
            "all": whole,
            "localpart": local,
            "user": user,
            "detail": detail if plus else "",
            "domain": domain,
        }
        if address:
            found.append(parts.get(component, address).encode("utf-8", "surrogateescape"))
    return found


def split_address(address: str) -> tuple[bytes, bytes]:
    """Return localpart and domain."""
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = address, ""
    return _octets(local), _octets(domain)


def peer_address(text: str) -> str:
    """Return the address of an `ip:port` or `ip.port` text; a bare address stays."""
    if found := _IPV4_PORT.fullmatch(text):
        return found[1]
    if found := _IPV6_PORT.fullmatch(text):
        return found[1]
    return text


def coded(name: str, text: bytes, option: bytes) -> bytes:
    """Return a text encoded or decoded. name: as base64.encode. Raises ValueError for a wrong text."""
    match name:
        case "base64.encode":
            encoded = base64.b64encode(text)
            if option in (b"", b"false", b"0"):
                return encoded
            return b"\r\n".join(encoded[at : at + 76] for at in range(0, len(encoded), 76))
        case "base64.decode":
            try:
                return base64.b64decode(b"".join(text.split()), validate=True)
            except binascii.Error as error:
                raise ValueError(str(error)) from None
        case "qp.encode":
            return quopri.encodestring(text)
        case "qp.decode":
            return quopri.decodestring(text)
        case "idn.to_idn":
            return text.decode("utf-8").encode("idna")
        case "idn.to_utf8":
            return text.decode("idna").encode()
        case _:
            raise ValueError(f"no coder {name}")


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
