"""libmilter's loop: it serves our sessions in one process until it is told to stop.

Not what a session does (`session`), nor the process (`worker`).
"""

import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType

import Milter

import milter
from smtpapi.mta.services import J, SessionServices
from smtpapi.mta.session import Session
from smtpapi.telemetry import maillog

_MTA_SILENCE = 7200  # seconds; libmilter's own default: an SMTP session may idle between two callbacks


class OneRecipientSession(Session):
    """A session whose trusted clients name one recipient a transaction (`several_recipients = defer`).

    It asks the MTA to wait for an answer to each RCPT, which others need not.
    """

    # What the negotiation switches off. pymilter hands the parent's value down (docs/quirks.md).
    _protocol_mask = Session.protocol_mask() | Milter.P_NR_RCPT

    @Milter.decode("bytes")
    def envrcpt(self, recipient: bytes, *params: bytes) -> int:
        """RCPT TO that the MTA accepted; the second one is put off, as RFC 5321 4.5.3.1.10 has it."""
        if self._recipients and self._is_limited():
            self.setreply("452", "4.5.3", "One recipient a transaction here, send this one again")
            return Milter.TEMPFAIL
        self._take_recipient(recipient, params)
        return Milter.CONTINUE

    envrcpt_bytes = envrcpt

    def _is_limited(self) -> bool:
        limit = self._works.one_recipient
        try:
            return limit is not None and limit(replace(self._client, login=self._login))
        except Exception:  # noqa: BLE001 - then the message passes untracked, reason several-recipients
            return False


# pymilter keeps a Python thread state for each connection, so what is put here is that session's.
_here = threading.local()


def _note(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What ended a callback beside our code; pymilter tells it as it tells all that escapes, by this hook.

    Octets that are no UTF-8 in a header's name, a host's name or a command fail in its C, before ours.
    """
    session: Session | None = getattr(_here, "session", None)
    if isinstance(error, UnicodeDecodeError) and trace is None:
        if session is not None:
            session.unreadable(error.object)
        return
    if session is not None:
        session.failed()
    maillog.lost_callback(error)


def serve(works: SessionServices[J], name: str, around_open: Callable[[Callable[[], None]], None]) -> None:
    """Serve until told to stop (`stop`, SIGTERM). name: libmilter's socket, opened within around_open."""
    real = milter.opensocket
    milter.opensocket = lambda rmsock: around_open(lambda: real(rmsock))
    # After another answer to a step that the MTA waits for no answer to, libmilter ignores the rest of the
    # message, its end too. What was lost is noted instead, and `Session.eom` answers.
    milter.set_exception_policy(Milter.CONTINUE)
    sys.excepthook = _note
    kind = Session if works.one_recipient is None else OneRecipientSession

    def session() -> Session:
        made = _here.session = kind(works)
        return made

    Milter.factory = session
    try:
        Milter.runmilter("smtpapi", name, _MTA_SILENCE)
    finally:
        milter.opensocket = real


def stop() -> None:
    """Let `serve` return; from any thread."""
    milter.stop()
