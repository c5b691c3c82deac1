"""One connection from the MTA: libmilter's callbacks become facts, the outcome becomes milter calls.

It decides nothing: `transaction.consider` does, handed in by the worker. Only `serving` imports Milter too.

What holds here (design.md 2, rule 1):
- Everything is computed before the first change is asked for. An exception until then: the message goes on
  untouched, counted; only what must not leave the building goes, where that is known (`failing`).
- Then the changes follow each other with nothing between: header fields, deletions from the highest index
  down (Postfix renumbers after each, Sendmail does not), recipients, then the body in one call. An exception
  there: 451, since the MTA may hold half of it.
- Only then the injection record is written; whatever becomes of it, the mail is accepted.
- No callback waits for anything; libmilter serves many sessions with few threads.
"""

import socket
from collections.abc import Mapping
from dataclasses import replace

import Milter

from smtpapi import copies, directive, dsn, maillog, xsetcontext
from smtpapi.envelope import Client, Envelope, Resolved
from smtpapi.message import Field, Message
from smtpapi.orders import Orders, orders_of
from smtpapi.outcome import Leave, Outcome, Plan, Refuse, Why
from smtpapi.works import J, Judged, Works

_TRY_AGAIN = Refuse("451", "4.3.0", "Temporary failure of the tracking filter, try again")
_WHERE_TO = ("{rcpt_mailer}", "{rcpt_host}", "{rcpt_addr}")
_NOBODY = Client("unknown")  # no address, so nobody trusts it


@Milter.header_leading_space  # the exact octets after the colon; what is added must bring its own space
class Session(Milter.Base):
    """State of one SMTP session over its messages."""

    _header_answer = Milter.CONTINUE  # until a negotiation says that no answer is wanted

    def __init__(self, works: Works[J]) -> None:
        self._works = works
        self._client = Client()
        self._client_fault: Exception | None = None  # the client is not known
        self._context: Mapping[str, str] = {}
        works.sessions.add(id(self))
        works.tally.add("sessions")
        self._begin()

    def _begin(self) -> None:
        self._sender = ""
        self._recipients: list[str] = []
        self._options: list[tuple[bytes, ...]] = []  # of each recipient's RCPT TO
        self._resolved: list[Resolved] = []
        self._fields: list[Field] = []
        self._unread: list[str] = []  # names of fields lost to a fault
        self._body: list[bytes] = []
        self._body_size = 0
        self._login = ""
        self._fault: Exception | None = None  # collecting failed: the message is not whole
        self._works.underway.discard(id(self))

    # -- the session

    def negotiate(self, opts: list[int]) -> int:
        """The MTA offers protocol steps and tells its actions: opts holds both, and is to hold what we take.

        What pymilter does, with what never changes put together once. And pymilter 1.0.5's own request for
        macros hands bytes to a function that wants text; it then gives up the whole negotiation without a
        word: no no-reply flags, no exact header values (docs/quirks.md).
        """
        try:
            self._actions, offered = opts[:2]
            for stage, macros in _MACROS:
                self._ctx.setsymlist(stage, macros)
            opts[1] = self._protocol = offered & ~self.protocol_mask()
            opts[2] = opts[3] = 0
        except Exception:  # noqa: BLE001 - an MTA that knows less: then each step is answered
            return Milter.ALL_OPTS
        if self._protocol & Milter.P_NR_HDR:
            self._header_answer = Milter.NOREPLY
        return Milter.CONTINUE

    @Milter.noreply
    @Milter.symlist("{daemon_addr}", "{daemon_port}", "{daemon_name}", "{client_addr}", "j")
    def connect(self, hostname: str, family: int, hostaddr: object) -> int:
        """A client connected to the MTA."""
        try:
            self._client = self._told(hostname, family, hostaddr)
        except Exception as error:  # noqa: BLE001 - kept: eom lets each message pass untouched
            self._client, self._client_fault = _NOBODY, error
        return Milter.CONTINUE

    def _told(self, hostname: str, family: int, hostaddr: object) -> Client:
        port = self._macro("{daemon_port}")
        return Client(
            address=_address(family, hostaddr) or self._macro("{client_addr}"),
            name=hostname,
            daemon_address=self._macro("{daemon_addr}"),
            daemon_port=int(port) if port.isascii() and port.isdigit() else None,
            daemon_name=self._macro("{daemon_name}"),
            host=self._macro("j"),
        )

    @Milter.noreply
    def hello(self, hostname: str) -> int:
        """HELO or EHLO."""
        known = self._client
        self._client = Client(  # by `replace` it takes thrice the time
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
        """A command the MTA does not know: XSETCONTEXT (contract.md 4.3). The client sees the MTA's 500.

        Sendmail tells the whole line. Postfix tells the command's name only, and nothing at all to a filter
        that asked to send no reply here (docs/quirks.md).
        """
        line = cmd if isinstance(cmd, str) else cmd.decode("utf-8", "replace")
        verb, _, rest = line.strip().partition(" ")
        if verb.upper() != xsetcontext.VERB:
            return Milter.CONTINUE
        try:
            if not self._works.takes_context(self._client):
                raise ValueError("not among SMTP_Extensions here, or the client is not trusted")
            self._context = xsetcontext.merged(self._context, rest)
        except Exception as error:  # noqa: BLE001 - an optional extra must never end a session
            self._works.tally.add("context-refused")
            maillog.context_refused(self._client.address, str(error))
        return Milter.CONTINUE

    def close(self) -> int:
        """The connection is gone."""
        self._begin()
        self._works.sessions.discard(id(self))
        return Milter.CONTINUE

    def abort(self) -> int:
        """The message under way is given up; the session, and what it set, goes on."""
        self._begin()
        return Milter.CONTINUE

    # -- a message's parts, as they come

    @Milter.noreply
    @Milter.decode("bytes")
    @Milter.symlist("{auth_authen}", "i")
    def envfrom(self, sender: bytes, *params: bytes) -> int:
        """MAIL FROM: a new message."""
        self._begin()
        self._works.underway.add(id(self))
        try:
            self._login = self._macro("{auth_authen}")
            self._sender = _mailbox(sender)
        except Exception as error:  # noqa: BLE001 - kept: eom lets the message pass untouched
            self._fault = error
        return Milter.CONTINUE

    @Milter.noreply
    @Milter.decode("bytes")
    @Milter.symlist(*_WHERE_TO)
    def envrcpt(self, recipient: bytes, *params: bytes) -> int:
        """RCPT TO that the MTA accepted."""
        self._take_recipient(recipient, params)
        return Milter.CONTINUE

    def _take_recipient(self, recipient: bytes, params: tuple[bytes, ...]) -> None:
        try:
            self._recipients.append(_mailbox(recipient))
            self._options.append(params)
            if self._works.resolves:
                self._resolved.append(Resolved(*map(self._macro, _WHERE_TO)))
        except Exception as error:  # noqa: BLE001 - kept: eom lets the message pass untouched
            self._fault = error

    def header(self, name: str, value: bytes) -> int:
        """One header field. Answered by hand, as `Milter.noreply` costs each one a call more."""
        try:
            self._fields.append(Field(name, value))
        except Exception as error:  # noqa: BLE001 - kept: eom lets the message pass untouched
            self._fault = error
            self._unread.append(name)
        return self._header_answer

    header.milter_protocol = Milter.P_NR_HDR  # type: ignore[attr-defined] # as `Milter.noreply` notes it

    @Milter.noreply
    def body(self, chunk: bytes) -> int:
        """Up to 65,535 octets of the body; beyond the limit they are only counted."""
        try:
            room = self._works.max_size + 1 - self._body_size
            self._body_size += len(chunk)
            if room > 0:
                self._body.append(chunk if len(chunk) <= room else chunk[:room])
        except Exception as error:  # noqa: BLE001 - kept: eom lets the message pass untouched
            self._fault = error
        return Milter.CONTINUE

    # pymilter goes through these three for text decoding that is not wanted here.
    envfrom_bytes = envfrom
    envrcpt_bytes = envrcpt
    header_bytes = header

    # -- the end of a message

    @Milter.symlist("i", "{auth_authen}")
    def eom(self) -> int:
        """The message is whole: judge it and answer."""
        self._works.judging.add(id(self))
        try:
            return self._finish()
        finally:
            self._begin()
            self._works.judging.discard(id(self))

    def _finish(self) -> int:
        works = self._works
        began = works.tick()
        judged = envelope = message = None
        try:
            envelope = self._envelope()
            if (fault := self._fault or self._client_fault) is not None:
                raise fault
            message = Message(tuple(self._fields), b"".join(self._body))
            judged = works.consider(envelope, message, self._context)
            outcome = judged.outcome
            self._context = judged.connection_context
            orders = orders_of(outcome, message, self._recipients, self._options)
            if orders is not None and orders.body is not None and self._body_size != len(message.body):
                raise ValueError("edits in a body that was not kept whole")
        except Exception as error:  # noqa: BLE001 - nothing was changed yet: the mail must go on
            works.tally.add("failed-before-change")
            if envelope is None:
                envelope = Envelope(self._client, self._sender, tuple(self._recipients))
            maillog.failed_before_change(envelope)
            outcome, orders = self._unjudged(envelope, judged, type(error).__name__)
        if isinstance(outcome, Refuse):
            answer = self._refuse(outcome)
        elif orders is None or self._change(orders):
            answer = Milter.ACCEPT
        else:
            works.tally.add("failed-in-change")
            maillog.failed_in_change(envelope)
            return self._refuse(_TRY_AGAIN)
        if answer == Milter.ACCEPT and judged is not None:
            try:
                works.record(judged)
            except Exception:  # noqa: BLE001 - losing an event must not cost a mail (design.md 7)
                works.tally.add("events-dropped")
                maillog.event_lost(envelope)
        try:
            size = (message or Message(tuple(self._fields), b"")).header_size + self._body_size
            self._tell(envelope, outcome, judged, size, works.tick() - began)
        except Exception:  # noqa: BLE001, S110 - what was decided stands, whatever goes wrong in telling
            pass
        return answer

    def _unjudged(
        self, envelope: Envelope, judged: Judged | None, note: str
    ) -> tuple[Outcome, Orders | None]:
        """As it came, but for what must not leave the building; put off where copies would be lost."""
        if judged is not None and isinstance(judged.outcome, Plan) and judged.outcome.recipients:
            return _TRY_AGAIN, None
        lost = (Field(name, b"") for name in self._unread)  # deletions go by the fields' numbers
        header = Message((*self._fields, *lost), b"")
        owing = copies.may_be_asked(header) or directive.NAME.lower() in map(str.lower, self._unread)
        outcome: Outcome = Leave(Why.INTERNAL_ERROR, note)
        orders = None
        try:
            headers = self._works.removable(envelope, header)
            owing = owing and any(change.name == directive.NAME for change in headers)
            if headers:
                without = Plan(headers, why=Why.INTERNAL_ERROR, note=note)
                outcome, orders = without, orders_of(without, header)
        except Exception:  # noqa: BLE001 - not known what may be taken out: the mail passes as it came
            maillog.failed_before_change(envelope)
        return (_TRY_AGAIN, None) if owing and judged is None else (outcome, orders)

    def _tell(
        self, envelope: Envelope, outcome: Outcome, judged: Judged | None, size: int, seconds: float
    ) -> None:
        tally = self._works.tally
        tally.add_outcome(outcome)
        if judged is not None:
            for name in judged.counts:
                tally.add(name)
            for note in judged.notes:
                maillog.detail(envelope, note)
        maillog.message(envelope, outcome, size, seconds)

    def _envelope(self) -> Envelope:
        login = self._login or self._macro("{auth_authen}")
        client = replace(self._client, login=login) if login else self._client
        originals = tuple(map(dsn.original, self._options)) if any(self._options) else ()
        return Envelope(
            client,
            self._sender,
            tuple(self._recipients),
            self._macro("i"),
            originals if any(originals) else (),
            tuple(self._resolved),
        )

    def _change(self, orders: Orders) -> bool:
        try:
            for name, index in orders.deletions:
                self.chgheader(name, index, "")
            for name, index, value in orders.replacements:
                self.chgheader(name, index, value)
            for name, value in orders.additions:
                self.addheader(name, value)
            self._change_recipients(orders)
            if orders.body is not None:
                self.replacebody(orders.body)
        except Exception:  # noqa: BLE001 - half of it may have been done: the caller answers 451
            return False
        return True

    def _change_recipients(self, orders: Orders) -> None:
        for address in orders.leaving:
            self.delrcpt(f"<{address}>")
        if orders.through:
            self.addrcpt(f"<{orders.through}>")
        for address, parameters in orders.joining:
            self.addrcpt(f"<{address}>", parameters or None)
        if orders.through:
            self.delrcpt(f"<{orders.through}>")

    def _refuse(self, refusal: Refuse) -> int:
        # libmilter treats the text as a format, so a percent sign is doubled.
        self.setreply(refusal.code, refusal.status, refusal.text.replace("%", "%%"))
        return Milter.TEMPFAIL if refusal.code.startswith("4") else Milter.REJECT

    def _macro(self, name: str) -> str:
        """A macro's value, "" where the MTA has none or it is not UTF-8."""
        try:
            return self._ctx.getsymval(name) or ""
        except UnicodeDecodeError:
            return ""


# What `Milter.symlist` noted at the callbacks, as the MTA is asked for it.
_MACROS = tuple(
    (stage, " ".join(names))
    for callback, stage in Milter.MACRO_CALLBACKS.items()
    if (names := getattr(getattr(Session, callback), "_symlist", ()))
)


def _address(family: int, hostaddr: object) -> str:
    if family in (socket.AF_INET, socket.AF_INET6) and isinstance(hostaddr, tuple):
        return str(hostaddr[0])
    return ""


def _mailbox(path: bytes) -> str:
    """The address in a MAIL or RCPT path, without <>. What is no UTF-8 (Sendmail passes it on) is escaped.

    Local submission in Postfix gives it without <> at once.
    """
    return path.removeprefix(b"<").removesuffix(b">").decode("utf-8", "surrogateescape")
