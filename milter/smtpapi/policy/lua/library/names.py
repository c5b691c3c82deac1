"""The DNS for policies (msys.dnsLookup), each question with a time limit, answers kept as long as they hold.

A resolver that does not answer is not asked the same again for a while: a hook waits for it once, and not for
each mail.
"""

import functools
import threading
import time

import dns.exception
import dns.name
import dns.rdata
import dns.resolver
import dns.reversename
from dns.rdtypes.mxbase import MXBase
from dns.rdtypes.nsbase import NSBase
from dns.rdtypes.txtbase import TXTBase

from smtpapi.policy.traffic import address_of

SECONDS = 1.0  # of one question: a hook has two by default (`policy { lua_time }`)
_SILENT_SECONDS = 30.0  # after which what had no answer is asked again, which costs a mail `SECONDS`; a guess
_ANSWERS = 10_000  # that are kept, a few hundred bytes each
TYPES = frozenset({"A", "AAAA", "TXT", "MX", "PTR", "NS"})

RecordData = tuple[int, bytes]  # preference, 0 where the type has none, and the text


class NameFault(Exception):
    """Raised for a question without an answer. str(error): NXDOMAIN, NODATA, SERVFAIL, TIMEOUT or others."""


class Resolver:
    """The resolvers that a policy may ask: the host's, or one that it names. Threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._silent: dict[tuple[str, str, str], float] = {}

    def lookup(self, name: str, kind: str, server: str) -> list[RecordData]:
        """Return the records of a name, the best preference first.

        server: its address, or IPv4:port, "" for the host's. Raises `NameFault`, and ValueError for a type
        that is none of `TYPES`.
        """
        kind = kind.upper() or "A"
        if kind not in TYPES:
            raise ValueError(f"{kind} is no type of record here: {', '.join(sorted(TYPES))}")
        question = (name.lower(), kind, server)
        with self._lock:
            since = self._silent.get(question)
        if since is not None and time.monotonic() - since < _SILENT_SECONDS:
            raise NameFault("TIMEOUT")
        try:
            found = resolver_of(server).resolve(name, kind, search=False, lifetime=SECONDS)
        except dns.resolver.NXDOMAIN:
            raise NameFault("NXDOMAIN") from None
        except dns.resolver.NoAnswer:
            raise NameFault("NODATA") from None
        except dns.exception.Timeout:
            with self._lock:
                if len(self._silent) >= _ANSWERS:
                    self._silent.clear()
                self._silent[question] = time.monotonic()
            raise NameFault("TIMEOUT") from None
        except dns.resolver.NoNameservers:
            raise NameFault("SERVFAIL") from None
        except (dns.exception.DNSException, ValueError, OSError) as error:
            raise NameFault(str(error) or type(error).__name__) from None
        return sorted(map(_data_of, found), key=lambda each: each[0])

    def confirmed(self, address: str) -> tuple[str, str, str]:
        """Return the client's name by its address, if that name leads back to it, and the two faults.

        The pair of faults: of the way to the name and of the way back, "" where there was none.
        """
        try:
            pointer = dns.reversename.from_address(address).to_text()
            names = [text.decode() for _, text in self.lookup(pointer, "PTR", "")]
        except (NameFault, dns.exception.DNSException) as error:
            return "", str(error) or type(error).__name__, ""
        kind = "AAAA" if ":" in address else "A"
        fault = ""
        for name in names[:4]:
            try:
                addresses = [text.decode() for _, text in self.lookup(name, kind, "")]
            except NameFault as error:
                fault = str(error)
                continue
            if address_of(address) in map(address_of, addresses):
                return name, "", ""
        return (names or [""])[0], "", fault or "NXDOMAIN"


@functools.lru_cache(maxsize=16)
def resolver_of(server: str) -> dns.resolver.Resolver:
    """Return the resolver of `Resolver.lookup`'s server."""
    made = dns.resolver.Resolver(configure=not server)
    if server:
        host, colon, port = server.partition(":") if server.count(":") == 1 else (server, "", "")
        made.nameservers = [host]
        if colon:
            made.port = int(port)
    made.cache = dns.resolver.LRUCache(_ANSWERS)
    return made


def _data_of(record: dns.rdata.Rdata) -> RecordData:
    if isinstance(record, MXBase):
        return record.preference, _host(record.exchange)
    if isinstance(record, TXTBase):
        return 0, b"".join(record.strings)
    if isinstance(record, NSBase):
        return 0, _host(record.target)
    return 0, record.to_text().encode()


def _host(name: dns.name.Name) -> bytes:
    return name.to_text(omit_final_dot=True).encode()
