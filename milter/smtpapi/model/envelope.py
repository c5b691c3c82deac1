"""The facts of an SMTP transaction: client, sender and recipients, as values without behaviour."""

from collections.abc import Container
from dataclasses import dataclass, replace
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Client:
    """The SMTP client that injects the mail, and where it came in.

    address: IP address as text, "" for local submission. login: the SMTP AUTH name, "" without one.
    daemon_address, daemon_port, daemon_name: the MTA's own side ({daemon_addr}, {daemon_port},
    {daemon_name}); "" or None where the MTA does not report it. helo: what the client called itself. host:
    the MTA's own name ({j}), as it stands in the Received fields that it writes.
    """

    address: str = ""
    name: str = ""
    login: str = ""
    daemon_address: str = ""
    daemon_port: int | None = None
    daemon_name: str = ""
    helo: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One SMTP transaction.

    sender, recipients: addresses without angle brackets; "" is the null sender.

    originals: for each recipient the address its ORCPT names (RFC 3461 4.2), "" without one; () if none has.
    resolved: where the MTA would deliver each recipient; () where the MTA was not asked.
    """

    client: Client
    sender: str
    recipients: tuple[str, ...]
    queue_id: str = ""
    originals: tuple[str, ...] = ()
    resolved: tuple["Resolved", ...] = ()

    def with_recipients(self, joining: tuple[str, ...], leaving: Container[str]) -> "Envelope":
        """Return the envelope with these recipients more, and without those whose address is in `leaving`."""
        stay = [at for at, address in enumerate(self.recipients) if same(address) not in leaving]
        originals = tuple(self.originals[at] for at in stay) if self.originals else ()
        resolved = tuple(self.resolved[at] for at in stay) if self.resolved else ()
        return replace(
            self,
            recipients=(*(self.recipients[at] for at in stay), *joining),
            originals=(*originals, *("" for _ in joining)) if originals else (),
            resolved=() if joining else resolved,
        )


class Resolved(NamedTuple):
    """Where the MTA would deliver a recipient, from its macros {rcpt_…}; "" for a macro without a value."""

    mailer: str = ""
    host: str = ""
    address: str = ""


def same(address: str) -> str:
    """Return an address in the one form in which it is compared: its domain in lower case (contract.md 9)."""
    local, at, domain = address.rpartition("@")
    return f"{local}{at}{domain.lower()}"
