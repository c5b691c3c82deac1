"""The loop of libmilter, which serves our sessions in one process until it is stopped.

Not what a session does (`session`), nor the process (`worker`).
"""

import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType

import Milter

import milter
from smtpapi.model.outcome import Refuse
from smtpapi.mta.services import SessionServices
from smtpapi.mta.session import Session
from smtpapi.telemetry import maillog

_MTA_SILENCE = 7200  # seconds between two callbacks, in which an SMTP session may idle; libmilter's default


class SessionThatAnswersRcpt(Session):
    """A session that asks the MTA to wait for an answer to each RCPT. Other sessions need no such answer.

    Its trusted clients name one recipient in a transaction (`several_recipients = defer`), or lose those on
    the suppression list at once (`suppression_action = refuse_at_rcpt`).
    """

    # The protocol steps to switch off. pymilter would inherit the value of the base class (docs/quirks.md).
    _protocol_mask = Session.protocol_mask() | Milter.P_NR_RCPT

    @Milter.decode("bytes")
    def envrcpt(self, recipient: bytes, *params: bytes) -> int:
        """Add a recipient that the MTA accepted; defer a second one (RFC 5321 4.5.3.1.10)."""
        if (refusal := self._suppressed(recipient)) is not None:
            return self._refuse(refusal)
        if self._incoming.recipients and self._is_limited():
            self.setreply("452", "4.5.3", "One recipient a transaction here, send this one again")
            return Milter.TEMPFAIL
        self._take_recipient(recipient, params)
        return Milter.CONTINUE

    envrcpt_bytes = envrcpt

    def _suppressed(self, recipient: bytes) -> Refuse | None:
        """Return the reply for a recipient on the suppression list, None for any other."""
        refused = self._services.refused_at_rcpt
        incoming = self._incoming
        try:
            if refused is None or incoming.passing is not None or incoming.fault is not None:
                return None
            client = replace(self._client, login=incoming.login)
            address = recipient.removeprefix(b"<").removesuffix(b">").decode("utf-8", "surrogateescape")
            return refused(client, incoming.sender, address, self._macro("i"), self._context)
        except Exception as error:  # noqa: BLE001 - then the recipient is accepted, and looked up at the end
            maillog.lost_callback(error)
            return None

    def _is_limited(self) -> bool:
        limit = self._services.one_recipient
        try:
            return limit is not None and limit(replace(self._client, login=self._incoming.login))
        except Exception:  # noqa: BLE001 - then the message passes untracked, reason several-recipients
            return False


# pymilter has a Python thread state for each connection, so each session has its own values here.
_here = threading.local()


def _note_failure(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Record what ended a callback outside our code. pymilter reports every uncaught exception to this hook.

    Octets that are not UTF-8, in the name of a header or host or in a command, fail in its C code, before
    ours.
    """
    session: Session | None = getattr(_here, "session", None)
    if isinstance(error, UnicodeDecodeError) and trace is None:
        if session is not None:
            session.unreadable(error.object)
        return
    if session is not None:
        session.failed()
    maillog.lost_callback(error)


def serve(services: SessionServices, name: str, around_open: Callable[[Callable[[], None]], None]) -> None:
    """Serve until `stop` or SIGTERM.

    name: the socket that libmilter opens. around_open: called with the function that opens it. Raises what
    libmilter raises where it cannot serve, and what around_open raises.
    """
    real = milter.opensocket
    milter.opensocket = lambda rmsock: around_open(lambda: real(rmsock))
    # The MTA waits for no answer to some steps. If one of these gets another answer than CONTINUE, libmilter
    # ignores the rest of the message, its end included. So a failure is only recorded, and `Session.eom`
    # answers.
    milter.set_exception_policy(Milter.CONTINUE)
    sys.excepthook = _note_failure
    answers = services.one_recipient is not None or services.refused_at_rcpt is not None
    kind = SessionThatAnswersRcpt if answers else Session

    def session() -> Session:
        made = _here.session = kind(services)
        return made

    Milter.factory = session
    try:
        Milter.runmilter("smtpapi", name, _MTA_SILENCE)
    finally:
        milter.opensocket = real


def stop() -> None:
    """Let `serve` return; callable from any thread."""
    milter.stop()
