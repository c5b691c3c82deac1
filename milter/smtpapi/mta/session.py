"""One connection from the MTA: libmilter's callbacks become facts, the outcome becomes milter calls.

It decides nothing: `transaction.consider` does, handed in by the worker. Only `serving` imports Milter too.

What holds here (design rule 1):
- Everything is computed before the first change is asked for. An exception until then: the message goes on
  untouched, counted; only what must not leave the building goes, where that is known (`failing`).
- Then the changes follow each other with nothing between: header fields, deletions from the highest index
  down (Postfix renumbers after each, Sendmail does not), recipients, then the body in one call. An exception
  there: 451, since the MTA may hold half of it.
- Only then the injection record is written; whatever becomes of it, the mail is accepted.
- No callback waits for anything; libmilter serves many sessions with few threads.
- Who the client is, is known only if the MTA said so: until then, and where it is unclear, it is nobody.
"""

import contextlib
import hashlib
import socket
from collections.abc import Mapping
from dataclasses import replace

import Milter

from smtpapi.hop import split_header
from smtpapi.model.envelope import Client, Envelope, Resolved
from smtpapi.model.granted_actions import NONE, granted_by
from smtpapi.model.message import Field, Message, Unkept
from smtpapi.model.outcome import Leave, Outcome, Plan, Refuse, Why
from smtpapi.mta import dsn, heap, xsetcontext
from smtpapi.mta.modification_calls import apply_modifications
from smtpapi.mta.modifications import Modifications, modifications_of
from smtpapi.mta.services import J, Judged, SessionServices
from smtpapi.pipeline.pass_through import Reads
from smtpapi.request import copies, trust, x_msys_api
from smtpapi.telemetry import maillog

_TRY_AGAIN = Refuse("451", "4.3.0", "Temporary failure of the tracking filter, try again")
_WHERE_TO = ("{rcpt_mailer}", "{rcpt_host}", "{rcpt_addr}")
# To an MTA the same as ACCEPT, after which libmilter would not notice that the next client's session follows
# on this connection (SMFIC_QUIT_NC, docs/quirks.md).
_GOES_ON = Milter.CONTINUE
_NOBODY = Client("unknown")  # no address, so nobody trusts it
# What still counts of a message that is not kept: what may have to go, and what tells whose mail it is.
_KEPT = frozenset({x_msys_api.NAME.lower(), split_header.HEADER.lower(), *trust.TRACES})
_FIELD = 300  # octets that Python takes for one more field, besides its text
_HEADER = 65_536  # octets of a header that are not counted, so that the usual one costs nothing
_LARGE = 16_777_216  # octets of which the system is to have back what it can
_SMALL = 65_536  # octets of a body that are kept without asking whether anything will read them


@Milter.header_leading_space  # the exact octets after the colon; what is added must bring its own space
class Session(Milter.Base):
    """State of one SMTP session over its messages."""

    # Until a negotiation says otherwise: each step is answered, values lack a blank, nothing may be changed.
    _header_answer = Milter.CONTINUE
    _exact = False
    _rights = NONE
    _negotiated = False

    def __init__(self, works: SessionServices[J]) -> None:
        self._works = works
        self._client = _NOBODY
        self._address_told = ""  # as the macro has it
        self._client_fault: Exception | None = None  # the client is not known
        self._context: Mapping[str, str] = {}
        works.sessions.add(id(self))
        works.tally.add("sessions")
        self._held = 0
        self._begin()

    def _begin(self) -> None:
        self._release()
        self._sender = ""
        self._recipients: list[str] = []
        self._options: list[tuple[bytes, ...]] = []  # of each recipient's RCPT TO
        self._resolved: list[Resolved] = []
        self._fields: list[Field] = []
        self._unread: list[str] = []  # names of fields lost to a fault
        self._body: list[bytes] = []
        self._body_size = 0
        self._reads: Reads | None = None  # not asked yet
        self._unkept: hashlib._Hash | None = None  # the hash of a body that nothing will read
        self._header_size = 0  # with what Python takes for it
        self._counted = _HEADER  # how much of that is allowed for
        self._held = 0  # octets taken of `SessionServices.room`
        self._passing: Why | None = None  # the message passes as it comes, and is not kept
        self._full = False  # there was no room for it
        self._login = ""
        self._fault: Exception | None = None  # collecting failed: the message is not whole
        self._lost = False  # `failed`
        self._works.underway.discard(id(self))

    def _release(self) -> None:
        if held := self._held:
            self._held = 0
            self._works.room.give(held)
            if held > _LARGE:
                heap.trim()

    # -- the session

    def negotiate(self, opts: list[int]) -> int:
        """The MTA offers protocol steps and tells its actions: opts holds both, and is to hold what we take.

        What pymilter does, with what never changes put together once. And pymilter 1.0.5's own request for
        macros hands bytes to a function that wants text; it then gives up the whole negotiation without a
        word: no no-reply flags, no exact header values (docs/quirks.md).
        """
        try:
            self._actions, offered = opts[:2]
            self._negotiated = True
            self._rights = granted_by(self._actions)
            self._tell_missing()
            if self._actions & Milter.SETSYMLIST:
                for stage, macros in _MACROS:
                    self._ctx.setsymlist(stage, macros)
            opts[1] = self._protocol = offered & ~self.protocol_mask()
            opts[2] = opts[3] = 0
        except Exception:  # noqa: BLE001 - an MTA that knows less: then each step is answered
            return Milter.ALL_OPTS
        if self._protocol & Milter.P_NR_HDR:
            self._header_answer = Milter.NOREPLY
        self._exact = bool(self._protocol & Milter.P_HDR_LEADSPC)
        return Milter.CONTINUE

    def _tell_missing(self) -> None:
        works = self._works
        if (missing := works.missing(self._rights)) and missing not in works.told:
            works.told.add(missing)
            maillog.not_granted(missing)

    @Milter.noreply
    @Milter.symlist("{daemon_addr}", "{daemon_port}", "{daemon_name}", "{client_addr}", "j")
    def connect(self, hostname: str, family: int, hostaddr: object) -> int:
        """A client connected to the MTA.

        Without a negotiation of its own it is the next one on a connection that an MTA kept (SMFIC_QUIT_NC):
        what was agreed upon is not known here, so it is nobody.
        """
        if not self._negotiated:
            return Milter.CONTINUE
        try:
            self._client = self._told(hostname, family, hostaddr)
        except Exception as error:  # noqa: BLE001 - kept: eom lets each message pass untouched
            self._client, self._client_fault = _NOBODY, error
        return Milter.CONTINUE

    def _told(self, hostname: str, family: int, hostaddr: object) -> Client:
        port = self._macro("{daemon_port}")
        told = self._address_told = self._macro("{client_addr}")
        return Client(
            address=_address(family, hostaddr) or told or _without_address(family),
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
            self._check_client()
            client = replace(self._client, login=self._login) if self._login else self._client
            self._passing = self._works.passing(client, self._context)
        except Exception as error:  # noqa: BLE001 - kept: eom lets the message pass untouched
            self._fault = error
        return Milter.CONTINUE

    def _check_client(self) -> None:
        """A client that the MTA names otherwise than at its connection: libmilter missed the change."""
        told = self._macro("{client_addr}")
        if told and self._address_told and told != self._address_told:
            self._client = _NOBODY

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
            if self._passing is not None or self._full:
                self._pass_field(name, value)
                return self._header_answer
            # Below the leading-space option an MTA takes a blank away, which nearly all fields have.
            self._fields.append(Field(name, value if self._exact else b" " + value))
            self._header_size += len(name) + len(value) + _FIELD
            if self._header_size > self._counted:
                self._count_header()
        except Exception as error:  # noqa: BLE001 - kept: eom lets the message pass untouched
            self._fault = error
            self._unread.append(name)
        return self._header_answer

    def _pass_field(self, name: str, value: bytes) -> None:
        """A field of a message that is not kept; where there was no room, what counts all the same is."""
        if self._full and name.lower() in _KEPT:
            self._fields.append(Field(name, value))
        self._header_size += len(name) + len(value) + 3

    def _count_header(self) -> None:
        self._counted += _HEADER
        if not self._take(_HEADER):
            self._fields = [field for field in self._fields if field.name.lower() in _KEPT]

    def unreadable(self, octets: bytes) -> None:
        """A name or command that is no UTF-8, which pymilter cannot hand over (docs/quirks.md).

        Within a message it is a field's name, for all that is known; its value is lost.
        """
        maillog.not_utf8(octets)
        if id(self) in self._works.underway and self._passing is None:
            self._fields.append(Field(octets.decode("utf-8", "surrogateescape"), b""))

    def failed(self) -> None:
        """A callback of ours that was not entered, or did not end: what it should have kept is not known.

        Which fields would have to be taken out is not known either, so the end of the message is 451.
        """
        self._lost = True

    header.milter_protocol = Milter.P_NR_HDR  # type: ignore[attr-defined] # as `Milter.noreply` notes it

    @Milter.noreply
    def body(self, chunk: bytes) -> int:
        """Up to 65,535 octets of the body; beyond the limit they are only counted."""
        try:
            room = self._works.max_size + 1 - self._body_size
            self._body_size += len(chunk)
            if room > 0 and self._passing is None and not self._full:
                self._keep(chunk if len(chunk) <= room else chunk[:room])
        except Exception as error:  # noqa: BLE001 - kept: eom lets the message pass untouched
            self._fault = error
        return Milter.CONTINUE

    def _keep(self, piece: bytes) -> None:
        """A piece of the body, or what is to be known of it."""
        if self._unkept is not None:
            self._unkept.update(piece)
            return
        works = self._works
        if self._reads is None and self._body_size > _SMALL:
            self._reads = Reads.ALL  # if asking fails
            header = Message(tuple(self._fields), b"")
            self._reads = works.reads(self._envelope(), header, self._context)
        too_large = self._body_size > works.max_size
        if self._reads is Reads.NOTHING or (too_large and self._reads is Reads.WHAT_FITS):
            self._unkept = hashlib.sha256()
            for each in (*self._body, piece):
                self._unkept.update(each)
            octets = sum(map(len, self._body))
            self._body = []
            self._held -= octets
            works.room.give(octets)
        elif self._take(len(piece)):
            self._body.append(piece)

    def _take(self, octets: int) -> bool:
        """Whether there is room for so much more of this message; if not, it gives up what it holds."""
        if self._works.room.take(octets):
            self._held += octets
            return True
        self._full = True
        self._body = []
        self._release()
        return False

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
            if self._lost:
                self._works.tally.add("failed-before-change")
                return self._refuse(_TRY_AGAIN)
            return self._finish()
        except Exception as error:  # noqa: BLE001 - changes may have been made
            try:
                maillog.lost_callback(error)
                return self._refuse(_TRY_AGAIN)
            except Exception:  # noqa: BLE001 - then without a text
                return Milter.TEMPFAIL
        finally:
            self._works.judging.discard(id(self))
            with contextlib.suppress(Exception):  # the answer stands; MAIL begins anew as well
                self._begin()

    def _finish(self) -> int:
        works = self._works
        began = works.tick()
        judged = envelope = message = None
        outcome: Outcome
        try:
            envelope = self._envelope()
            if (fault := self._fault or self._client_fault) is not None:
                raise fault
            # Joined and with its changes, a body is there three times.
            if self._passing is not None:
                outcome, orders = Leave(self._passing), None
            elif self._full or (self._unkept is None and not self._take(2 * self._body_size)):
                header = Message(tuple(self._fields), b"")
                outcome = works.without_room(envelope, header, self._rights)
                orders = modifications_of(outcome, header)
            else:
                message = self._message()
                judged = works.consider(envelope, message, self._context, self._rights)
                outcome = judged.outcome
                self._context = judged.connection_context
                orders = modifications_of(
                    outcome, message, self._recipients, self._options, exact=self._exact
                )
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
        elif orders is None or (failure := apply_modifications(orders, self)) is None:
            answer = _GOES_ON
        else:
            works.tally.add("failed-in-change")
            maillog.failed_in_change(envelope, failure)
            return self._refuse(_TRY_AGAIN)
        if answer == _GOES_ON and judged is not None:
            try:
                works.record(judged)
            except Exception:  # noqa: BLE001 - losing an event must not cost a mail (design.md 7)
                works.tally.add("events-dropped")
                maillog.event_lost(envelope)
        try:
            size = self._header_size if message is None else message.header_size
            self._tell(envelope, outcome, judged, size + self._body_size, works.tick() - began)
        except Exception:  # noqa: BLE001, S110 - what was decided stands, whatever goes wrong in telling
            pass
        return answer

    def _message(self) -> Message:
        fields = tuple(self._fields)
        if self._unkept is not None:
            size = min(self._body_size, self._works.max_size + 1)
            return Message(fields, b"", unkept=Unkept(size, self._unkept.digest()))
        message = Message(fields, b"".join(self._body))
        self._body = []
        return message

    def _unjudged(
        self, envelope: Envelope, judged: Judged | None, note: str
    ) -> tuple[Outcome, Modifications | None]:
        """As it came, but for what must not leave the building; put off where copies would be lost."""
        if judged is not None and isinstance(judged.outcome, Plan) and judged.outcome.recipients:
            return _TRY_AGAIN, None
        lost = (Field(name, b"") for name in self._unread)  # deletions go by the fields' numbers
        header = Message((*self._fields, *lost), b"")
        owing = copies.may_be_asked(header) or x_msys_api.NAME.lower() in map(str.lower, self._unread)
        outcome: Outcome = Leave(Why.INTERNAL_ERROR, note)
        orders = None
        try:
            headers = self._rights.allowed(self._works.removable(envelope, header))
            owing = owing and any(change.name == x_msys_api.NAME for change in headers)
            if headers:
                without = Plan(headers, why=Why.INTERNAL_ERROR, note=note)
                outcome, orders = without, modifications_of(without, header)
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


def _without_address(family: int) -> str:
    """Who comes without one: over a unix socket local submission, by an unknown family nobody."""
    return "" if family == socket.AF_UNIX else _NOBODY.address


def _mailbox(path: bytes) -> str:
    """The address in a MAIL or RCPT path, without <>. What is no UTF-8 (Sendmail passes it on) is escaped.

    Local submission in Postfix gives it without <> at once.
    """
    return path.removeprefix(b"<").removesuffix(b">").decode("utf-8", "surrogateescape")
