"""One connection from the MTA: what is negotiated, who the client is, and the session's context variables.

Not its messages: `session.Session` builds on this class. Invariant: only the MTA says who the client is.
Until it does, and where it is unclear, the client is `NOBODY`, who is never trusted.
"""

import socket
from collections.abc import Mapping
from dataclasses import replace

import Milter

from smtpapi.model.envelope import Client
from smtpapi.model.granted_actions import NONE, granted_by
from smtpapi.mta import xsetcontext
from smtpapi.mta.services import SessionServices
from smtpapi.policy.traffic import TRAFFIC
from smtpapi.telemetry import maillog

NOBODY = Client("unknown")  # this is not an address, so no list of trusted addresses holds it

_NOT_HERE = "not among SMTP_Extensions here, or the client is not trusted"


class Connection(Milter.Base):
    """State of one SMTP session that its messages share."""

    # The macros that a class of sessions asks for: (stage, their names with a blank between).
    macro_requests: tuple[tuple[int, str], ...] = ()

    # Before the negotiation: each step is answered, values come without their first blank, no change is
    # allowed.
    _header_answer = Milter.CONTINUE
    _exact = False
    _rights = NONE
    _negotiated = False

    def __init__(self, services: SessionServices) -> None:
        self._services = services
        self._client = NOBODY
        self._client_macro = ""  # {client_addr} at the connection
        self._client_fault: Exception | None = None  # why the client is not known
        self._context: Mapping[str, str] = {}
        self._waiting: Mapping[str, str] = {}  # of XSETCONTEXT, until MAIL says who has logged in
        self._login = ""  # of the newest MAIL
        self._proven: Mapping[str, str] = {}  # variables that follow from that login
        services.sessions.add(id(self))
        services.counters.add("sessions")

    def negotiate(self, opts: list[int]) -> int:
        """Take the actions and protocol steps that the MTA offers, and ask for macros.

        opts: the actions and steps that are offered, overwritten with those that are wanted. This does the
        same as pymilter's own method, but computes only once what never changes. That method fails in
        pymilter 1.0.5: to request macros it passes bytes to a function that needs text. It then gives up the
        whole negotiation without a word, and there are no no-reply flags and no exact header values
        (docs/quirks.md).
        """
        try:
            self._actions, offered = opts[:2]
            self._negotiated = True
            self._rights = granted_by(self._actions)
            self._report_missing()
            if self._actions & Milter.SETSYMLIST:
                for stage, macros in self.macro_requests:
                    self._ctx.setsymlist(stage, macros)
            opts[1] = self._protocol = offered & ~self.protocol_mask()
            opts[2] = opts[3] = 0
        except Exception:  # noqa: BLE001 - an older MTA: then each step is answered
            return Milter.ALL_OPTS
        if self._protocol & Milter.P_NR_HDR:
            self._header_answer = Milter.NOREPLY
        self._exact = bool(self._protocol & Milter.P_HDR_LEADSPC)
        return Milter.CONTINUE

    def _report_missing(self) -> None:
        """Log which needed actions the MTA does not grant, once for each worker."""
        services = self._services
        if (missing := services.missing(self._rights)) and missing not in services.reported_missing:
            services.reported_missing.add(missing)
            maillog.not_granted(missing)

    @Milter.noreply
    @Milter.symlist("{daemon_addr}", "{daemon_port}", "{daemon_name}", "{client_addr}", "j")
    def connect(self, hostname: str, family: int, hostaddr: object) -> int:
        """Note the client that connected to the MTA.

        Without a negotiation of its own it is the next client on a connection that the MTA did not close
        (SMFIC_QUIT_NC). What was negotiated is then not known here, so that client is `NOBODY`.
        """
        if not self._negotiated:
            return Milter.CONTINUE
        try:
            self._client = self._connected_client(hostname, family, hostaddr)
            if TRAFFIC.noting and self._services.counts(self._client):
                TRAFFIC.opened(id(self), self._client.address, self._services.tick())
        except Exception as error:  # noqa: BLE001 - noted: eom lets each message pass untouched
            self._client, self._client_fault = NOBODY, error
        return Milter.CONTINUE

    def _connected_client(self, hostname: str, family: int, hostaddr: object) -> Client:
        port = self._macro("{daemon_port}")
        macro = self._client_macro = self._macro("{client_addr}")
        return Client(
            address=_address(family, hostaddr) or macro or _without_address(family),
            name=hostname,
            daemon_address=self._macro("{daemon_addr}"),
            daemon_port=int(port) if port.isascii() and port.isdigit() else None,
            daemon_name=self._macro("{daemon_name}"),
            host=self._macro("j"),
        )

    def _check_client(self) -> None:
        """Replace the client by `NOBODY` if the MTA names another one now: libmilter missed the change."""
        macro = self._macro("{client_addr}")
        if macro and self._client_macro and macro != self._client_macro:
            self._client = NOBODY

    @Milter.noreply
    def hello(self, hostname: str) -> int:
        """Note the name in HELO or EHLO. Behind Postfix it may be one of Momentum's commands."""
        command = xsetcontext.command_in_helo(hostname)
        if command is not None:
            self._take_command(*command)
            return Milter.CONTINUE
        self._waiting = {}  # what is not proven does not last beyond STARTTLS (RFC 3207 4.2)
        known = self._client
        self._client = Client(  # `dataclasses.replace` takes three times as long
            known.address,
            known.name,
            known.login,
            known.daemon_address,
            known.daemon_port,
            known.daemon_name,
            hostname,
            known.host,
        )
        return Milter.CONTINUE

    def unknown(self, cmd: str | bytes) -> int:
        """Handle a command that the MTA does not know, if it is one of Momentum's (contract.md 4.3).

        The client gets the MTA's 500. Sendmail passes the whole line on. Postfix passes the command's name
        only, and nothing at all to a filter that negotiated to send no reply here (docs/quirks.md).
        """
        line = cmd if isinstance(cmd, str) else cmd.decode("utf-8", "replace")
        command = xsetcontext.command_in(line)
        if command is not None:
            self._take_command(*command)
        return Milter.CONTINUE

    def _take_command(self, verb: str, rest: str) -> None:
        """Carry out one of Momentum's commands. Nothing is raised: a line that does not count is logged.

        Whether a client has logged in is known at MAIL only, so variables wait for that.
        """
        try:
            trusted = self._services.takes_context(self._client, verb)
            if verb == xsetcontext.SET and not trusted:
                self._waiting = xsetcontext.merged(self._waiting, rest)
            elif not trusted:
                raise ValueError(_NOT_HERE)
            elif verb == xsetcontext.SET:
                self._set_variables(xsetcontext.merged(self._context, rest))
            elif verb == xsetcontext.DUMP:
                maillog.context(self._client.address, self._context)
            else:
                self._client = replace(self._client, address=xsetcontext.remote_address(rest))
        except Exception as error:  # noqa: BLE001 - an optional extra must never end a session
            self._refuse_context(verb, str(error))

    def _set_variables(self, variables: Mapping[str, str]) -> None:
        self._context = {**self._context, **variables, **self._proven}

    def _refuse_context(self, verb: str, why: str) -> None:
        self._services.counters.add("context-refused")
        maillog.context_refused(self._client.address, verb, why)

    def _client_with(self, login: str) -> Client:
        """Return the client with the login that MAIL names, and set the variables that waited for it.

        What the login proves beats what the client says of itself.
        """
        client = replace(self._client, login=login) if login else self._client
        if login != self._login:
            self._login = login
            customer = self._services.customer_of(login) if login else ""
            before = self._proven.items()  # proven by another login, or by none any more
            self._context = {name: each for name, each in self._context.items() if (name, each) not in before}
            self._proven = {"mo_customer_id": customer} if customer else {}
            self._set_variables({})
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            if self._services.takes_context(client, xsetcontext.SET):
                self._set_variables(waiting)
            else:
                self._refuse_context(xsetcontext.SET, _NOT_HERE)
        return client

    def _macro(self, name: str) -> str:
        """Return a macro's value, "" where the MTA has none or it is not UTF-8."""
        try:
            return self._ctx.getsymval(name) or ""
        except UnicodeDecodeError:
            return ""


def _address(family: int, hostaddr: object) -> str:
    if family in (socket.AF_INET, socket.AF_INET6) and isinstance(hostaddr, tuple):
        return str(hostaddr[0])
    return ""


def _without_address(family: int) -> str:
    """Return the address for a client without one: "" (local) over a unix socket, else that of `NOBODY`."""
    return "" if family == socket.AF_UNIX else NOBODY.address
