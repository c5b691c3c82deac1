"""One SMTP session and its messages: libmilter's callbacks collect each message and answer at its end.

Not who the client is (`connection`), what is held of a message (`incoming_message`), nor what becomes of it
(`message_end`). Besides these only `milter_loop` and `modification_calls` know pymilter.

Invariants (design rule 1):
- An exception in a callback never ends the session. Its message passes untouched, or gets 451 if the
  lost data is not known.
- No callback waits for anything, since libmilter serves many sessions with few threads.
"""

import contextlib
from dataclasses import replace

import Milter

from smtpapi.model.envelope import Envelope, Resolved
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import Refuse
from smtpapi.mta import dsn
from smtpapi.mta.connection import Connection
from smtpapi.mta.incoming_message import IncomingMessage
from smtpapi.mta.message_end import TRY_AGAIN, MessageEnd
from smtpapi.mta.services import SessionServices
from smtpapi.pipeline.pass_through import Reads
from smtpapi.policy.traffic import TRAFFIC
from smtpapi.telemetry import maillog

_RESOLUTION_MACROS = ("{rcpt_mailer}", "{rcpt_host}", "{rcpt_addr}")


@Milter.header_leading_space  # values are the exact octets after the colon
class Session(Connection):
    """State of one SMTP session and of the message under way."""

    def __init__(self, services: SessionServices) -> None:
        super().__init__(services)
        self._incoming = IncomingMessage(services)
        self._begin()

    def _begin(self) -> None:
        """Forget the message under way, and return the memory that it took."""
        self._incoming.release()
        self._incoming = IncomingMessage(self._services)
        self._lost = False  # `failed`
        self._services.in_transaction.discard(id(self))

    def close(self) -> int:
        """End the session: the connection is gone."""
        self._begin()
        self._services.sessions.discard(id(self))
        TRAFFIC.closed(id(self))
        return Milter.CONTINUE

    def abort(self) -> int:
        """Drop the message under way. The session goes on, with the variables that it set."""
        self._begin()
        return Milter.CONTINUE

    # -- the parts of a message, as they come

    @Milter.noreply
    @Milter.decode("bytes")
    @Milter.symlist("{auth_authen}", "i")
    def envfrom(self, sender: bytes, *params: bytes) -> int:
        """Begin a message: MAIL FROM."""
        self._begin()
        self._services.in_transaction.add(id(self))
        incoming = self._incoming
        try:
            incoming.login = self._macro("{auth_authen}")
            incoming.sender = _mailbox(sender)
            self._check_client()
            client = self._client_with(incoming.login)
            incoming.passing = self._services.passing(client, self._context)
        except Exception as error:  # noqa: BLE001 - noted: eom lets the message pass untouched
            incoming.fault = error
        return Milter.CONTINUE

    @Milter.noreply
    @Milter.decode("bytes")
    @Milter.symlist(*_RESOLUTION_MACROS)
    def envrcpt(self, recipient: bytes, *params: bytes) -> int:
        """Add a recipient that the MTA accepted: RCPT TO."""
        self._take_recipient(recipient, params)
        return Milter.CONTINUE

    def _take_recipient(self, recipient: bytes, params: tuple[bytes, ...]) -> None:
        incoming = self._incoming
        try:
            incoming.recipients.append(_mailbox(recipient))
            incoming.options.append(params)
            if self._services.resolves:
                incoming.resolved.append(Resolved(*map(self._macro, _RESOLUTION_MACROS)))
        except Exception as error:  # noqa: BLE001 - noted: eom lets the message pass untouched
            incoming.fault = error

    def header(self, name: str, value: bytes) -> int:
        """Add one header field. `Milter.noreply` would cost one more call for each."""
        incoming = self._incoming
        try:
            incoming.add_field(name, value, self._exact)
        except Exception as error:  # noqa: BLE001 - noted: eom lets the message pass untouched
            incoming.fault = error
            incoming.lost_fields.append(name)
        return self._header_answer

    header.milter_protocol = Milter.P_NR_HDR  # type: ignore[attr-defined] # as `Milter.noreply` notes it

    @Milter.noreply
    def body(self, chunk: bytes) -> int:
        """Add up to 65,535 octets of the body."""
        try:
            self._incoming.add_chunk(chunk, self._reads)
        except Exception as error:  # noqa: BLE001 - noted: eom lets the message pass untouched
            self._incoming.fault = error
        return Milter.CONTINUE

    def _reads(self, header: Message) -> Reads:
        return self._services.reads(self._envelope(), header, self._context)

    # pymilter calls these three to decode text, which is not wanted here.
    envfrom_bytes = envfrom
    envrcpt_bytes = envrcpt
    header_bytes = header

    # -- parts that were lost

    def unreadable(self, octets: bytes) -> None:
        """Record a name or command that is not UTF-8, which pymilter cannot pass on (docs/quirks.md).

        Within a message it is taken for the name of a field, whose value is lost.
        """
        maillog.not_utf8(octets)
        if id(self) in self._services.in_transaction and self._incoming.passing is None:
            self._incoming.fields.append(Field(octets.decode("utf-8", "surrogateescape"), b""))

    def failed(self) -> None:
        """Record that a callback of ours was not entered or did not end, so that its data is lost.

        It is then not known which fields would have to be removed, so the end of the message is answered 451.
        """
        self._lost = True

    # -- the end of a message

    @Milter.symlist("i", "{auth_authen}")
    def eom(self) -> int:
        """Answer the end of the message."""
        services = self._services
        services.at_end_of_message.add(id(self))
        try:
            if self._lost:
                services.counters.add("failed-before-change")
                return self._refuse(TRY_AGAIN)
            return self._finish()
        except Exception as error:  # noqa: BLE001 - changes may have been made
            try:
                maillog.lost_callback(error)
                return self._refuse(TRY_AGAIN)
            except Exception:  # noqa: BLE001 - then the reply has no text of ours
                return Milter.TEMPFAIL
        finally:
            services.at_end_of_message.discard(id(self))
            with contextlib.suppress(Exception):  # the answer does not change; MAIL clears the message too
                self._begin()

    def _finish(self) -> int:
        end = MessageEnd(
            self._services,
            self._incoming,
            self._client,
            self._client_fault,
            self._rights,
            self._exact,
            self._context,
        )
        try:
            return end.answer(self, self._envelope, self._refuse)
        finally:
            self._context = end.context

    def _envelope(self) -> Envelope:
        incoming = self._incoming
        login = incoming.login or self._macro("{auth_authen}")
        client = replace(self._client, login=login) if login else self._client
        originals = tuple(map(dsn.original, incoming.options)) if any(incoming.options) else ()
        return Envelope(
            client,
            incoming.sender,
            tuple(incoming.recipients),
            self._macro("i"),
            originals if any(originals) else (),
            tuple(incoming.resolved),
        )

    def _refuse(self, refusal: Refuse) -> int:
        # libmilter treats the text as a format, so a percent sign is doubled.
        self.setreply(refusal.code, refusal.status or None, refusal.text.replace("%", "%%"))
        return Milter.TEMPFAIL if refusal.code.startswith("4") else Milter.REJECT


# The macros that `Milter.symlist` recorded at the callbacks, in the form in which the MTA is asked for them.
Session.macro_requests = tuple(
    (stage, " ".join(names))
    for callback, stage in Milter.MACRO_CALLBACKS.items()
    if (names := getattr(getattr(Session, callback), "_symlist", ()))
)


def _mailbox(path: bytes) -> str:
    """Return the address in a MAIL or RCPT path without its <>, which Postfix's local submission omits.

    Octets that are not UTF-8 are escaped; Sendmail passes such on.
    """
    return path.removeprefix(b"<").removesuffix(b">").decode("utf-8", "surrogateescape")
