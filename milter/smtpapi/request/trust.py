"""Who is trusted: whose mail may ask for tracking (docs/decisions/0016-trust.md).

A session that has logged in, or a client in the scope's Relay_Hosts. A content filter, a list server or a
script hands in strangers' mail by such a client too, so the message must not have come in from outside
before. What is asked for is read elsewhere (`x_msys_api`).

Invariant: untrusted mail passes byte for byte, X-MSYS-API included (contract.md 3.5), since the header can
add recipients and make this installation sign redirects.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from smtpapi.model.envelope import Client
from smtpapi.model.message import Message
from smtpapi.request import received_fields

LOCAL = "127.0.0.1"  # the client address of local submission (contract.md 2.5)

Network = IPv4Network | IPv6Network

_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_RECEIVED = "received"
_MOST = 100  # Received fields; more are a loop (RFC 5321 6.3), and Postfix refuses more than 50 by default
# Fields that only a delivery, a list server, or a mailbox's owner who resends mail writes. Not among them:
# Return-Path, which sending programs write too; List-*, which newsletters have; and what another filter of
# this MTA may have added before us: Authentication-Results, Received-SPF, ARC and DKIM fields.
_DELIVERED = {
    name.lower(): name
    for name in (
        *("Delivered-To", "X-Original-To", "X-Delivered-To", "Envelope-To", "X-Envelope-To", "Delivery-Date"),
        *("X-BeenThere", "X-Mailman-Version", "Mailing-List", "X-Sieve", "X-Sieve-Redirected-From"),
        *("Resent-From", "Resent-Sender", "Resent-To", "Resent-Date", "Resent-Message-ID"),
    )
}
TRACES = (_RECEIVED, *_DELIVERED)
# Accounts under which MTAs run pipes: what such an account hands in was mail to a pipe before.
_DELIVERERS = frozenset({"daemon", "mail", "mailnull", "mailman", "list"})


def is_local(client: Client) -> bool:
    """Return whether the mail came without a network: by sendmail(1) or over a unix socket."""
    return not client.address or client.address.startswith("/")


def client_address(client: Client) -> str:
    """Return the client's IP address as text. Local submission counts as loopback."""
    return LOCAL if is_local(client) else client.address


def is_trusted(client: Client, relay_hosts: Iterable[Network]) -> bool:
    """Return whether a client is trusted for its own mail. A client whose address cannot be read is not."""
    if client.login:
        return True
    address = _parse_address(client_address(client))
    return address is not None and any(address in network for network in relay_hosts)


def against(client: Client, message: Message, relay_hosts: Sequence[Network], *, local: bool = True) -> str:
    """Return why a trusted client's message is not trusted, as a note for the log; "" where it is.

    local: whether mail that was handed in on this machine is trusted.
    """
    if not local and not client.login and _handed_in(client, message):
        return "handed in on this machine, and Local_Submission is off"
    if message.lacks(TRACES):
        return ""
    if why := _against_trace(client, message.all(_RECEIVED), relay_hosts):
        return why
    name = "" if client.login else next((each for each in _DELIVERED if message.all(each)), "")
    return f"was delivered before: {_DELIVERED[name]}" if name else ""


def _against_trace(client: Client, received: Sequence[bytes], relay_hosts: Sequence[Network]) -> str:
    """Return what in the Received fields, newest first, speaks against the message; "" if nothing does.

    The newest was written by the client, each other by the host that the one above names. So as long as all
    hosts are ours, no field is a stranger's invention. Below a login only fields of our own MTAs count: a
    branch office may write what it likes about its own net, but mail that came in here from outside is a
    stranger's.
    """
    if len(received) > _MOST:
        return f"has {len(received)} Received fields"
    inside = (*_LOOPBACK, *relay_hosts)
    ours = {client.host.lower()} - {""}
    logged_in = bool(client.login)
    account = ""
    for value in received:
        hop = received_fields.read(value)
        if logged_in and (hop.by not in ours if hop else not _names(value, ours)):
            continue
        if hop is None:
            return "has a Received field that cannot be read"
        if hop.login:
            logged_in = True
        elif why := _against_hop(hop, inside):
            return why
        if hop.user in _DELIVERERS:
            account = hop.user
        if not logged_in or hop.login:
            ours |= {hop.by} - {""}
    return f"was handed in by the account {account}, which delivers mail" if account else ""


def _against_hop(hop: received_fields.ReceivedHop, inside: Sequence[Network]) -> str:
    """Return what shows that this hop came from outside; "" if it did not."""
    if hop.fetched:
        return "was fetched from a mailbox"
    for address in hop.addresses:
        if not any(address in network for network in inside):
            return f"came in from {address} before"
    return "" if hop.addresses or hop.local else "came in from an unknown place before"


def _names(value: bytes, ours: Iterable[str]) -> bool:
    text = value.lower()
    return any(name.encode("utf-8", "replace") in text for name in ours)


def _handed_in(client: Client, message: Message) -> bool:
    """Return whether sendmail(1) made this mail's first hop here.

    Postfix then gives no port, or 0. Sendmail's submission program is a client on loopback that has written a
    Received field.
    """
    if is_local(client):
        return True
    address = _parse_address(client.address)
    if address is None or not any(address in network for network in _LOOPBACK):
        return False
    if not client.daemon_port:
        return True
    received = message.all(_RECEIVED)
    hop = received_fields.read(received[0]) if received else None
    return hop is not None and bool(hop.user)


@lru_cache(maxsize=4096)  # the same few clients send nearly all mail
def _parse_address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return _normalized(ip_address(text))
    except ValueError:
        return None


def _normalized(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return an IPv4-mapped address (RFC 4291 2.5.5.2) as IPv4, and a link-local one without its zone."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.scope_id is not None:
            return IPv6Address(int(address))
    return address
