"""Who may steer tracking: not what they ask for (docs/decisions/0016-trust.md).

A session that logged in, or a client in the scope's Relay_Hosts. A content filter, a list server or a script
brings strangers' mail in by such a client, too; so the message must not have come in from outside before.
Mail from anyone else passes byte for byte, X-MSYS-API included (contract.md 3.5): the header can multiply
recipients and make this installation sign redirects.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from smtpapi.model.envelope import Client
from smtpapi.model.message import Message
from smtpapi.request import received_fields

LOCAL = "127.0.0.1"  # what local submission counts as (contract.md 2.5)

Network = IPv4Network | IPv6Network

_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_RECEIVED = "received"
_MOST = 100  # Received fields: more are a loop (RFC 5321 6.3), and MTAs refuse fewer
# What only a delivery, a list server or a mailbox's owner who sends mail on writes. Not Return-Path (programs
# that send write it, too), not List-* (newsletters have them), not what a filter of this very MTA may have
# added before us: Authentication-Results, Received-SPF, ARC and DKIM fields.
_DELIVERED = {
    name.lower(): name
    for name in (
        *("Delivered-To", "X-Original-To", "X-Delivered-To", "Envelope-To", "X-Envelope-To", "Delivery-Date"),
        *("X-BeenThere", "X-Mailman-Version", "Mailing-List", "X-Sieve", "X-Sieve-Redirected-From"),
        *("Resent-From", "Resent-Sender", "Resent-To", "Resent-Date", "Resent-Message-ID"),
    )
}
TRACES = (_RECEIVED, *_DELIVERED)
# Accounts that MTAs deliver by: what such a one hands in, a pipe has made of mail to it.
_DELIVERERS = frozenset({"daemon", "mail", "mailnull", "mailman", "list"})


def is_local(client: Client) -> bool:
    """Whether the mail came without a network: by sendmail(1) or over a unix socket."""
    return not client.address or client.address.startswith("/")


def client_address(client: Client) -> str:
    """The client's IP address as text. Local submission counts as loopback."""
    return LOCAL if is_local(client) else client.address


def is_trusted(client: Client, relay_hosts: Iterable[Network]) -> bool:
    """Whether a client's own mail may be acted on. Unreadable is untrusted."""
    if client.login:
        return True
    address = _read(client_address(client))
    return address is not None and any(address in network for network in relay_hosts)


def against(client: Client, message: Message, relay_hosts: Sequence[Network], *, local: bool = True) -> str:
    """Why a trusted client's message is not acted on; "" where nothing speaks against it.

    local: whether mail that was handed in on this machine is trusted.
    """
    if not local and not client.login and _handed_in(client, message):
        return "handed in on this machine, and Local_Submission is off"
    if message.lacks(TRACES):
        return ""
    if why := _way(client, message.all(_RECEIVED), relay_hosts):
        return why
    name = "" if client.login else next((each for each in _DELIVERED if message.all(each)), "")
    return f"was delivered before: {_DELIVERED[name]}" if name else ""


def _way(client: Client, received: Sequence[bytes], relay_hosts: Sequence[Network]) -> str:
    """What the Received fields speak against, from the newest down.

    The newest was written by the client, each other by whom the one above names; so as long as all of them
    are ours, none is a stranger's invention. Below a login only our own MTAs' word counts: what a branch
    office's MTA writes of its own net is its affair, but not a stranger's mail that came in here.
    """
    if len(received) > _MOST:
        return f"has {len(received)} Received fields"
    inside = (*_LOOPBACK, *relay_hosts)
    ours = {client.host.lower()} - {""}
    vouched = bool(client.login)
    account = ""
    for value in received:
        hop = received_fields.read(value)
        if vouched and (hop.by not in ours if hop else not _names(value, ours)):
            continue
        if hop is None:
            return "has a Received field that cannot be read"
        if hop.login:
            vouched = True
        elif why := _outside(hop, inside):
            return why
        if hop.user in _DELIVERERS:
            account = hop.user
        if not vouched or hop.login:
            ours |= {hop.by} - {""}
    return f"was handed in by the account {account}, which delivers mail" if account else ""


def _outside(hop: received_fields.ReceivedHop, inside: Sequence[Network]) -> str:
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
    """Whether sendmail(1) made this mail's first hop here.

    Postfix has no port to tell then, or tells 0; Sendmail's submission program is a client on loopback that
    has written a Received field.
    """
    if is_local(client):
        return True
    address = _read(client.address)
    if address is None or not any(address in network for network in _LOOPBACK):
        return False
    if not client.daemon_port:
        return True
    received = message.all(_RECEIVED)
    hop = received_fields.read(received[0]) if received else None
    return hop is not None and bool(hop.user)


@lru_cache(maxsize=4096)  # the same few clients send nearly all mail
def _read(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return _plain(ip_address(text))
    except ValueError:
        return None


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """IPv4 in IPv6's clothes (RFC 4291 2.5.5.2) is IPv4; zones of link-local addresses go."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.scope_id is not None:
            return IPv6Address(int(address))
    return address
