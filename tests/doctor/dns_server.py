"""A DNS server on loopback for tests, over UDP and TCP on one port, made with dnspython."""

import socketserver
import struct
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import ClassVar

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

Record = tuple[str, str, str]  # name, type, text: ("track.example.test", "A", "127.0.0.1")


class DnsServer:
    """Answers from records: aliases are followed, unknown names do not exist.

    silent: names never answered.
    """

    fixed_port: ClassVar[int] = 0  # one that is free

    def __init__(
        self,
        records: Iterable[Record],
        silent: Iterable[str] = (),
        broken: Iterable[str] = (),
    ) -> None:
        self.records = list(records)
        self.silent = set(silent)
        self.broken = set(broken)
        server = self

        class Udp(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                data, socket = self.request
                if (answer := server.answer(data)) is not None:
                    socket.sendto(answer, self.client_address)

        class Tcp(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                (size,) = struct.unpack(">H", self.request.recv(2))
                if (answer := server.answer(self.request.recv(size))) is not None:
                    self.request.sendall(struct.pack(">H", len(answer)) + answer)

        self._tcp = socketserver.ThreadingTCPServer(("127.0.0.1", self.fixed_port), Tcp)
        self.port: int = self._tcp.server_address[1]
        self._udp = socketserver.ThreadingUDPServer(("127.0.0.1", self.port), Udp)

    def answer(self, data: bytes) -> bytes | None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA | dns.flags.AA
        name, kind = question.name, dns.rdatatype.to_text(question.rdtype)
        text = name.to_text(omit_final_dot=True).lower()
        if text in self.silent:
            return None
        if text in self.broken:
            reply.set_rcode(dns.rcode.SERVFAIL)
            return reply.to_wire()
        for _ in range(8):
            text = name.to_text(omit_final_dot=True).lower()
            found = [each for each in self.records if each[0] == text]
            if not found and not any(each[0].endswith(f".{text}") for each in self.records):
                reply.set_rcode(dns.rcode.NXDOMAIN)
            records = [each[2] for each in found if each[1] == kind]
            aliases = [each[2] for each in found if each[1] == "CNAME"]
            if records:
                reply.answer.append(dns.rrset.from_text(name, 60, "IN", kind, *records))
            if records or not aliases:
                break
            reply.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", aliases[0]))
            name = dns.name.from_text(aliases[0])
        return reply.to_wire()

    def __enter__(self) -> "DnsServer":
        for each in (self._udp, self._tcp):
            threading.Thread(target=each.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in (self._udp, self._tcp):
            each.shutdown()
            each.server_close()


def zone(domain: str, *records: Record) -> tuple[Record, ...]:
    """The records of a domain with its SOA and a name server on loopback."""
    return (
        (domain, "SOA", f"ns.{domain}. admin.{domain}. 1 3600 600 86400 60"),
        (domain, "NS", f"ns.{domain}."),
        (f"ns.{domain}", "A", "127.0.0.1"),
        *records,
    )
