"""libmilter's loop: it serves our sessions in one process until it is stopped.

Not what a session does (`session`), nor the process (`worker`).
"""

import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType

import Milter

import milter
from smtpapi.mta.services import SessionServices
from smtpapi.mta.session import Session
from smtpapi.telemetry import maillog

_MTA_SILENCE = 7200  # seconds; libmilter's own default: an SMTP session may idle between two callbacks


class OneRecipientSession(Session):
    """A session whose trusted clients name one recipient in a transaction (`several_recipients = defer`).

    It asks the MTA to wait for an answer to each RCPT, which others need not.
    """

    # What the negotiation switches off. pymilter hands the parent's value down (docs/quirks.md).
    _protocol_mask = Session.protocol_mask() | Milter.P_NR_RCPT

    @Milter.decode("bytes")
    def envrcpt(self, recipient: bytes, *params: bytes) -> int:
        """Take a recipient that the MTA accepted; put the second one off (RFC 5321 4.5.3.1.10)."""
        if self._incoming.recipients and self._is_limited():
            self.setreply("452", "4.5.3", "One recipient a transaction here, send this one again")
            return Milter.TEMPFAIL
        self._take_recipient(recipient, params)
        return Milter.CONTINUE

    envrcpt_bytes = envrcpt

    def _is_limited(self) -> bool:
        limit = self._services.one_recipient
        try:
            return limit is not None and limit(replace(self._client, login=self._incoming.login))
        except Exception:  # noqa: BLE001 - then the message passes untracked, reason several-recipients
            return False


# pymilter keeps a Python thread state for each connection, so what is put here is that session's.
_here = threading.local()


def _note_failure(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Note what ended a callback outside our code. pymilter reports all that escapes by this hook.

    Octets that are no UTF-8 in a header's name, a host's name or a command fail in its C, before our code.
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
    # After another answer to a step that the MTA waits for no answer to, libmilter ignores the rest of the
    # message, its end too. What was lost is noted instead, and `Session.eom` answers.
    milter.set_exception_policy(Milter.CONTINUE)
    sys.excepthook = _note_failure
    kind = Session if services.one_recipient is None else OneRecipientSession

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
