"""The names of tracking hosts in the DNS, as several resolvers know them (RFC 1034, RFC 8659 for CAA)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver

from smtpapi.doctor.finding import Finding, Level

_SECONDS: Final = 5.0  # for one question; resolvers of readers wait about as long
CHECK: Final = "dns"
_FEW: Final = 4  # name servers of a zone that are asked; more add nothing


@dataclass(frozen=True, slots=True)
class Server:
    """A name server to ask.

    label: shown to people. authoritative: it is asked for its own zone alone.
    """

    address: str
    port: int = 53
    label: str = ""
    authoritative: bool = False

    def __str__(self) -> str:
        return self.label or (self.address if self.port == 53 else f"{self.address}:{self.port}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one server says of one host.

    aliases: targets of CNAME records, in their order. trouble: "" for none.
    """

    server: Server
    aliases: tuple[str, ...] = ()
    v4: tuple[str, ...] = ()
    v6: tuple[str, ...] = ()
    trouble: str = ""
    missing: bool = False  # there is no such name, or no such name behind the alias


@dataclass(frozen=True, slots=True)
class CaaRecord:
    """One CAA record (RFC 8659 4.1). at: the name it stands at."""

    at: str
    tag: str
    value: str


def system_servers() -> tuple[Server, ...]:
    """Return the resolvers of this host. Raises OSError where it has none."""
    try:
        found = dns.resolver.Resolver()
    except (dns.resolver.NoResolverConfiguration, dns.exception.DNSException) as error:
        raise OSError(f"no resolver in /etc/resolv.conf: {error}") from error
    return tuple(Server(str(address), found.port) for address in found.nameservers)


def ask(host: str, server: Server) -> Answer:
    """Return what a server says of a host's addresses and aliases."""
    answer = Answer(server)
    for kind in ("A", "AAAA"):
        try:
            found = _resolver(server).resolve(f"{host}.", kind, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN as error:
            return replace(answer, missing=True, aliases=_aliases_of(error, host))
        except dns.exception.DNSException as error:
            return replace(answer, trouble=_error_text(error))
        chain = found.chaining_result.cnames
        names = tuple(str(record.target).rstrip(".").lower() for each in chain for record in each)
        addresses = tuple(sorted(str(record) for record in found.rrset or ()))
        answer = replace(answer, aliases=answer.aliases or names)
        answer = replace(answer, v4=addresses) if kind == "A" else replace(answer, v6=addresses)
    return answer


def _aliases_of(error: dns.resolver.NXDOMAIN, host: str) -> tuple[str, ...]:
    last = str(error.canonical_name).rstrip(".").lower()
    return () if last == host else (last,)


def _resolver(server: Server) -> dns.resolver.Resolver:
    found = dns.resolver.Resolver(configure=False)
    found.nameservers, found.port = [server.address], server.port
    found.lifetime = _SECONDS
    return found


def _error_text(error: Exception) -> str:
    if isinstance(error, dns.exception.Timeout):
        return f"no answer within {_SECONDS:.0f} s"
    if isinstance(error, dns.resolver.NoNameservers):
        return "it fails (SERVFAIL or refused)"
    return str(error) or type(error).__name__


def authoritative(host: str, server: Server, port: int = 53) -> tuple[Server, ...]:
    """Return the name servers of a host's zone, found by asking a resolver; () where they cannot be found."""
    resolver = _resolver(server)
    try:
        zone = dns.resolver.zone_for_name(dns.name.from_text(host), resolver=resolver)
        names = [str(record.target) for record in resolver.resolve(zone, "NS")]
        found = [
            Server(str(record), port, f"{name.rstrip('.')} (authoritative)", authoritative=True)
            for name in sorted(names)
            for record in resolver.resolve(name, "A")
        ]
    except dns.exception.DNSException:
        return ()
    return tuple(found[:_FEW])


def caa_of(host: str, server: Server) -> tuple[CaaRecord, ...]:
    """Return the CAA records that count for a host: its own, or of the nearest name above (RFC 8659 3)."""
    name = dns.name.from_text(host)
    while len(name.labels) > 2:
        try:
            found = _resolver(server).resolve(name, "CAA", raise_on_no_answer=False)
        except dns.exception.DNSException:
            found = None
        if found is not None and found.rrset is not None:
            at = str(name).rstrip(".")
            return tuple(
                CaaRecord(at, record.tag.decode("ascii", "replace"), record.value.decode("ascii", "replace"))
                for record in found.rrset
            )
        name = name.parent()
    return ()


def check(
    host: str, answers: Sequence[Answer], caa: Sequence[CaaRecord], *, https: bool
) -> Iterator[Finding]:
    """Yield what is wrong with a host's names. answers: of the system's resolvers first."""
    good = [each for each in answers if not each.trouble]
    for each in answers:
        if each.trouble:
            yield Finding(
                CHECK,
                Level.WARNING if good else Level.ERROR,
                f"{host}: {each.server} gives no answer: {each.trouble}",
                "Readers whose resolver asks there wait, or their links do not open.",
                f"See that {each.server} answers for {host}: dig @{each.server.address} {host}",
            )
    if not good:
        return
    yield from _missing(host, good)
    there = [each for each in good if not each.missing]
    if there:
        yield from _families(host, there)
        yield from _differences(host, there)
    if caa:
        yield from _caa(host, caa, https=https)
    if there and all(each.v4 for each in there if not each.server.authoritative):
        first = there[0]
        yield Finding(CHECK, Level.OK, f"{host} is {', '.join((*first.aliases, *first.v4, *first.v6))}")


def _missing(host: str, answers: Sequence[Answer]) -> Iterator[Finding]:
    gone = [each for each in answers if each.missing]
    empty = [
        each
        for each in answers
        if not each.missing and not each.v4 and not each.v6 and not each.server.authoritative
    ]
    for each in gone[:1] if len(gone) == len(answers) else gone:
        if each.aliases:
            yield _dangling(host, each.aliases[-1], f"which {each.server} says does not exist")
        else:
            yield Finding(
                CHECK,
                Level.ERROR,
                f"{host}: there is no such name, says {each.server}",
                "Every link in mail names it: none opens, no open is seen.",
                f"Add to the zone: {host}. 300 IN CNAME <name of the web server in front of the tracker>.",
            )
    for each in empty[:1]:
        if each.aliases:
            yield _dangling(host, each.aliases[-1], "which has no address")
        else:
            yield Finding(
                CHECK,
                Level.ERROR,
                f"{host} has neither an A nor an AAAA record, says {each.server}",
                "Every link in mail names it: none opens, no open is seen.",
                f"Add to the zone: {host}. 300 IN A <address of the web server in front of the tracker>",
            )


def _dangling(host: str, target: str, what: str) -> Finding:
    return Finding(
        CHECK,
        Level.ERROR,
        f"{host} is an alias (CNAME) of {target}, {what}",
        "No link opens; and who gets hold of that name can answer in yours, with a certificate for it.",
        f"Point the CNAME of {host} at a name that is yours and has an address, or make {target} anew.",
    )


def _families(host: str, answers: Sequence[Answer]) -> Iterator[Finding]:
    first = next((each for each in answers if each.v4 or each.v6), None)
    if first is None:
        return
    if not first.v4:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"{host} has no A record, only AAAA",
            "Readers without IPv6 cannot open a link.",
            f"Add to the zone: {host}. 300 IN A <IPv4 address of the web server>",
        )
    if not first.v6:
        yield Finding(
            CHECK,
            Level.NOTE,
            f"{host} has no AAAA record",
            "Readers whose network has IPv6 alone come by a translator, and many share its address.",
            f"If the web server has IPv6, add: {host}. 300 IN AAAA <its address>",
        )


def _differences(host: str, answers: Sequence[Answer]) -> Iterator[Finding]:
    """Yield where servers disagree. An authoritative one may know only the alias, and is compared by that."""
    by_addresses: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for each in answers:
        if each.v4 or each.v6:
            by_addresses.setdefault((each.v4, each.v6), []).append(str(each.server))
    if len(by_addresses) > 1:
        differences = "; ".join(
            f"{', '.join(servers)}: {', '.join((*v4, *v6))}" for (v4, v6), servers in by_addresses.items()
        )
        yield Finding(
            CHECK,
            Level.WARNING,
            f"{host} has different addresses by whom one asks: {differences}",
            "Some readers are led elsewhere: a change that has not spread yet, a name server with an old "
            "zone, "
            "or a split view that readers outside do not share.",
            "Wait for the TTL after a change; else compare the serial numbers of the zone's name servers.",
        )


def _caa(host: str, records: Iterable[CaaRecord], *, https: bool) -> Iterator[Finding]:
    issue = [each for each in records if each.tag == "issue"]
    issuers = [each.value.partition(";")[0].strip() for each in issue]
    if issue and not any(issuers):
        yield Finding(
            CHECK,
            Level.ERROR if https else Level.NOTE,
            f"CAA of {issue[0].at} lets nobody issue a certificate for {host}",
            "The certificate cannot be renewed, and https links die with it.",
            f'Add to the zone: {issue[0].at}. IN CAA 0 issue "letsencrypt.org" (or your issuer\'s name)',
        )
    elif issue:
        yield Finding(
            CHECK, Level.NOTE, f"CAA of {issue[0].at} lets {', '.join(filter(None, issuers))} issue"
        )


def text_record(name: str, server: Server, seconds: float = _SECONDS) -> bytes | None:
    """Return a TXT record's text, None where there is none. Raises dns.exception.DNSException."""
    resolver = _resolver(server)
    resolver.lifetime = seconds
    try:
        found = resolver.resolve(name, "TXT")
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return None
    return next((b"".join(record.strings) for record in found), None)
