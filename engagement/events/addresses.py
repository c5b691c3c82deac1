"""Network addresses with their last part taken away, for sites that must not keep them whole."""

from ipaddress import IPv4Address, ip_address

_V4_BITS = 24
_V6_BITS = 48


def truncated(address: str) -> str:
    """Return an IPv4 address with all but 24 bits zero, IPv6 all but 48; "" for what is no address.

    IPv4 mapped into IPv6 is treated as the IPv4 address it stands for. A zone ("%eth0") goes away.
    """
    try:
        parsed = ip_address(address.partition("%")[0].strip())
    except ValueError:
        return ""
    if not isinstance(parsed, IPv4Address):
        if parsed.ipv4_mapped is None:
            kept = int(parsed) >> (128 - _V6_BITS) << (128 - _V6_BITS)
            return str(type(parsed)(kept))
        parsed = parsed.ipv4_mapped
    return str(IPv4Address(int(parsed) >> (32 - _V4_BITS) << (32 - _V4_BITS)))
