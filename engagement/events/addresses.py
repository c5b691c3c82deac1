"""Network addresses without their last part, for sites that must not keep whole ones."""

from ipaddress import IPv4Address, ip_address

_V4_BITS = 24
_V6_BITS = 48


def truncated(address: str) -> str:
    """Return an IPv4 address with its first 24 bits, an IPv6 address with its first 48; "" for no address.

    The other bits are zero. IPv4 mapped into IPv6 is treated as the IPv4 address. A zone ("%eth0") is
    removed.
    """
    try:
        parsed = ip_address(address.partition("%")[0].strip())
    except ValueError:
        return ""
    if not isinstance(parsed, IPv4Address):
        if parsed.ipv4_mapped is None:
            prefix = int(parsed) >> (128 - _V6_BITS) << (128 - _V6_BITS)
            return str(type(parsed)(prefix))
        parsed = parsed.ipv4_mapped
    return str(IPv4Address(int(parsed) >> (32 - _V4_BITS) << (32 - _V4_BITS)))
