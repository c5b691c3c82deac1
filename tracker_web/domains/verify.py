"""Checks whether a tracking domain leads here: what the DNS says, and what answers there.

Says what was seen and what was expected, at which resolver. The request goes to an address that the tracker's
own names have as well, so nobody can make this program ask others.
"""

import http.client
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final, Protocol

import dns.exception
import dns.rdatatype
import dns.resolver

from engagement.settings import Settings
from tracker_web.links.client_address import host_name
from tracker_web.links.well_known import INSTALLATION, installation

_LIFETIME: Final = 5.0  # seconds for an answer of the DNS
_TIMEOUT: Final = 5.0  # seconds for the request
_LARGEST: Final = 4096  # bytes read of the answer; ours is some 30
_LOOPBACK: Final = {"localhost": ("127.0.0.1", "::1")}


class Resolver(Protocol):
    """What answers questions to the DNS, such as `dns.resolver.Resolver`."""

    nameservers: Any

    def resolve(self, qname: Any, rdtype: Any, *, lifetime: float) -> Any:
        """Return an answer. Raises DNSException."""


Ask = Callable[[str, str, int, bool, bytes], str]


@dataclass(frozen=True, slots=True)
class Records:
    """What the DNS says of a name. cname: the last of its chain, "" for none. error: why it says nothing."""

    cname: str
    addresses: tuple[str, ...]
    error: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found. status: as of `TrackingDomain`. http: what went wrong there, "" for nothing."""

    status: str
    http: str
    seen: Records
    names: tuple[str, ...]
    addresses: tuple[str, ...]
    resolvers: tuple[str, ...]

    @property
    def verified(self) -> bool:
        """Return whether the domain leads here."""
        return self.status == "valid" and not self.http


def records(resolver: Resolver, name: str) -> Records:
    """Return what the DNS says of a name."""
    if name in _LOOPBACK:
        return Records("", _LOOPBACK[name])
    try:
        return Records("", (str(ip_address(name.strip("[]"))),))
    except ValueError:
        pass
    cname, found, errors = "", list[str](), list[str]()
    for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
        try:
            answer = resolver.resolve(name, kind, lifetime=_LIFETIME)
        except dns.resolver.NoAnswer as none:
            answer = getattr(none, "kwargs", {}).get("response")
            cname = cname or _cname(answer, name)
        except dns.exception.DNSException as error:
            errors.append(_text(error))
        else:
            cname = cname or _cname(answer.response, name)
            found += [each.address for each in answer]
    return Records(cname, tuple(sorted(set(found))), "" if found or cname else (errors or ["no record"])[0])


def _cname(response: Any, name: str) -> str:
    """Return where the chain of CNAMEs in a response ends, "" where there is none."""
    targets = {
        str(rrset.name).lower().rstrip("."): str(rrset[0].target).lower().rstrip(".")
        for rrset in (response.answer if response is not None else ())
        if rrset.rdtype == dns.rdatatype.CNAME
    }
    end, steps = name, len(targets)
    while end in targets and steps > 0:
        end, steps = targets[end], steps - 1
    return end if end != name else ""


def _text(error: dns.exception.DNSException) -> str:
    if isinstance(error, dns.resolver.NXDOMAIN):
        return "there is no such name"
    if isinstance(error, dns.exception.Timeout):
        return f"no answer within {_LIFETIME:g} s"
    return str(error)[:200] or type(error).__name__


def expected_names(settings: Settings) -> tuple[str, ...]:
    """Return the names that lead to this installation's tracker."""
    domains = (*settings.tracking_domains(), *settings.tracker.hosts)
    return tuple(sorted({host_name(domain) for domain in domains} - {""}))


def verify(
    settings: Settings, name: str, *, secure: bool, resolver: Resolver | None = None, ask: Ask | None = None
) -> Verdict:
    """Check a domain. resolver, ask: other ones than this host's, for tests."""
    resolver = resolver or dns.resolver.Resolver()
    ask = ask or answers
    names = expected_names(settings)
    addresses = tuple(sorted({each for name in names for each in records(resolver, name).addresses}))
    seen = records(resolver, name)
    ours = sorted(set(seen.addresses) & set(addresses))
    leads_here = bool(ours) or (not seen.addresses and seen.cname in names)
    status = "valid" if leads_here else "pending" if seen.error else "invalid"
    wrong = ""
    if leads_here:
        port = 443 if secure else 80
        expected = installation(settings)
        wrong = ask(name, ours[0], port, secure, expected) if ours else "the name has no address yet"
    resolvers = tuple(str(each) for each in resolver.nameservers)
    return Verdict(status, wrong, seen, names, addresses, resolvers)


def answers(name: str, address: str, port: int, secure: bool, expected: bytes) -> str:
    """Ask the tracker at an address under a name; return what went wrong, "" for nothing.

    expected: what this installation's tracker answers. The certificate must be valid for the name.
    """
    try:
        raw = socket.create_connection((address, port), timeout=_TIMEOUT)
        with raw:
            if secure:
                raw = ssl.create_default_context().wrap_socket(raw, server_hostname=name)
            connection = http.client.HTTPConnection(name, port, timeout=_TIMEOUT)
            connection.sock = raw
            connection.request("GET", INSTALLATION, headers={"Host": name, "Connection": "close"})
            answer = connection.getresponse()
            body = answer.read(_LARGEST)
    except ssl.SSLCertVerificationError as error:
        return f"the certificate is not valid for {name}: {error.verify_message}"
    except (OSError, http.client.HTTPException) as error:
        return f"{address} port {port}: {str(error)[:200] or type(error).__name__}"
    if answer.status != 200:
        return f"{address} port {port} answered {answer.status} for {INSTALLATION}"
    if body != expected:
        return "another installation answers there, or one that has not read its configuration again"
    return ""
