"""The lines of the filter's log: one function for each event that is logged, and no log call elsewhere.

Lines have Postfix's style, `queue id: key=value, …`, so that the same tools can read both logs. No token, no
text of a body and no header value is ever written. Addresses are, since the MTA writes them too.

What happens to mail and to the service itself is always logged. The stanza's `debug_level` applies only to
lines that explain a decision.
"""

import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import TextIO

from smtpapi.model.edit import Edit
from smtpapi.model.envelope import Envelope
from smtpapi.model.outcome import Discard, Leave, Outcome, Plan, Refuse, Why

_log = logging.getLogger("smtpapi.milter")
_details = logging.getLogger("smtpapi.details")

_SYSLOG = (50, 50, 50, 40, 30, 20, 20, 10)  # Python's level for each of syslog's

_kind_of = attrgetter("kind")  # of an edit

# Characters of a text from outside. A syslog packet of old holds 1024 octets, and the rest of the line needs
# some.
_LONGEST = 500

# contract.md 1.4: the levels by name and by number; NOTICE has no counterpart in Python's list.
LEVELS = {"DEBUG": 10, "INFO": 20, "NOTICE": 25, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}


class _Lines(logging.StreamHandler[TextIO]):
    """A handler that writes all lines in one form. Time and process are formatted once a second."""

    def __init__(self, stream: TextIO, *, timed: bool) -> None:
        super().__init__(stream)
        self._timed = timed
        self._second = -1
        self._head = ""
        self._descriptor: int | None
        # Lines are written directly to the descriptor: the stream buffers nothing between two lines.
        try:
            self._descriptor = stream.fileno()
        except (AttributeError, OSError, ValueError):  # a stream without a file
            self._descriptor = None

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, and its traceback."""
        text = self._line(record.levelname, record.getMessage(), record.created)
        return f"{text}\n{logging.Formatter().formatException(record.exc_info)}" if record.exc_info else text

    def _line(self, level: str, text: str, at: float) -> str:
        if not self._timed:
            return f"{level}: {text}"
        if (second := int(at)) != self._second:
            written = time.strftime("%b %d %H:%M:%S", time.localtime(second))
            self._head, self._second = f"{written} smtpapi/milter[{os.getpid()}]: ", second
        return f"{self._head}{level}: {text}"

    def forked(self) -> None:
        """Forget the process id in the head of lines, after a fork."""
        self._second = -1

    def info(self, text: str) -> None:
        """Write a line of level INFO. No record is made, since that takes three times as long as the line."""
        lock, stream = self.lock, self.stream
        assert lock is not None
        with lock:
            line = self._line("INFO", text, time.time()) + "\n"
            if self._descriptor is None:
                stream.write(line)
                stream.flush()
                return
            data = line.encode(stream.encoding, "backslashreplace")
            while data:  # one call nearly always writes all of it
                data = data[os.write(self._descriptor, data) :]


_lines: _Lines | None = None  # set by `setup`


def _after_fork() -> None:
    if _lines is not None:
        _lines.forked()


os.register_at_fork(after_in_child=_after_fork)


def setup(debug_level: str = "ERROR") -> None:
    """Write the log to standard error. Under systemd the journal adds time and process.

    debug_level: as for `set_level`.
    """
    global _lines  # one process, one log
    handler = _lines = _Lines(sys.stderr, timed="JOURNAL_STREAM" not in os.environ)
    for name in ("smtpapi", "engagement"):  # the latter for spool and key ring
        root = logging.getLogger(name)
        root.handlers[:] = [handler]
        root.propagate = False
    logging.logThreads = logging.logMultiprocessing = False  # no line shows them, and they take time for each
    _log.setLevel(logging.INFO)
    set_level(debug_level)


def set_level(debug_level: str) -> None:
    """Set the level of detail. debug_level: a name or number, as in the stanza (contract.md 1.4)."""
    names = tuple(LEVELS)
    name = names[int(debug_level)] if debug_level in "012345" and debug_level else debug_level.upper()
    _details.setLevel(LEVELS.get(name, logging.ERROR))


def _escaped(text: str) -> str:
    """Return text from outside, cut and escaped so that it is safe in a log line."""
    if text.isprintable() and len(text) <= _LONGEST:
        return text
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[:_LONGEST])


def _who(envelope: Envelope) -> str:
    to = _escaped(envelope.recipients[0]) if envelope.recipients else ""
    more = f", nrcpt={len(envelope.recipients)}" if len(envelope.recipients) != 1 else ""
    return f"{envelope.queue_id or 'NOQUEUE'}: from=<{_escaped(envelope.sender)}>, to=<{to}>{more}"


def message(envelope: Envelope, outcome: Outcome, size: int, seconds: float) -> None:
    """Log the outcome of a message, in one line. size: octets. seconds: from its end to the answer."""
    match outcome:
        case Refuse(code=code, status=status, text=text):
            what = f"status=refused, reply={code} {status} {text}"
        case Discard(reason=reason):
            what = "status=discarded" + (f", note={_escaped(reason)}" if reason else "")
        case Leave(why=why, note=note):
            what = f"status=untouched, reason={why.value}" + (f", note={_escaped(note)}" if note else "")
        case Plan(why=Why.SPLIT, note=note):
            what = f"status=split, note={_escaped(note)}"
        case Plan(why=Why() as why, headers=headers, edits=edits, note=note):
            what = f"status=untouched, reason={why.value}" + (f", note={_escaped(note)}" if note else "")
            if headers or edits:
                what += f", headers={len(headers)}, edits={len(edits)}"
        case Plan(edits=edits, skipped=skipped, note=note):
            what = f"status=tracked, edits={len(edits)}, links={_links(edits)}, skipped={len(skipped)}"
            what += f", note={_escaped(note)}" if note else ""
    text = f"{_who(envelope)}, size={size}, ms={seconds * 1000:.1f}, {what}"
    if _lines is None:
        _log.info("%s", text)
    else:
        _lines.info(text)


def refused_at_rcpt(envelope: Envelope, refusal: Refuse) -> None:
    """Log that a recipient, the envelope's only one here, was refused before there was a message."""
    reply = f"{refusal.code} {refusal.status} {refusal.text}"
    _log.info("%s, status=refused, reply=%s", _who(envelope), reply)


def _links(edits: Sequence[Edit]) -> int:
    """Return how many links there are among the edits, including those inside re-encoded parts."""
    kinds = list(map(_kind_of, edits))
    found = kinds.count("link")
    return found + sum(_links(edit.inner) for edit in edits) if "reencoded" in kinds else found


def failed_before_change(envelope: Envelope) -> None:
    """Log the exception being handled. Nothing was changed before it, and the message goes on as it came."""
    _log.exception("%s: status=untouched, reason=internal-error, traceback follows", _who(envelope))


def failed_in_change(envelope: Envelope, error: Exception) -> None:
    """Log that some changes of a message failed. Its client gets 451 and still has the message."""
    _log.error("%s: status=deferred, reason=change-failed, traceback follows", _who(envelope), exc_info=error)


def lost_callback(error: BaseException) -> None:
    """Log an exception that ended a callback of libmilter. The message is answered at its end."""
    _log.error("a callback of libmilter failed, traceback follows", exc_info=error)


def not_utf8(octets: bytes) -> None:
    """Log octets that pymilter cannot pass on: the name of a header or host, or a command."""
    _log.warning("octets that are no UTF-8 in a name or command: %s", _escaped(octets.decode("latin-1")))


def not_granted(missing: str) -> None:
    """Log actions that the filter needs and the MTA does not grant."""
    _log.warning(
        "the MTA does not grant %s: mail that needs it goes on without links (docs/postfix.md)", missing
    )


def event_lost(envelope: Envelope) -> None:
    """Log that an injection record could not be written. The mail is not affected."""
    _log.exception("%s: warning: injection event not recorded, the mail goes on", _who(envelope))


def detail(envelope: Envelope, note: str) -> None:
    """Log a detail of the decision about one message."""
    _details.warning("%s: %s", envelope.queue_id or "NOQUEUE", _escaped(note))


def remark(envelope: Envelope, text: str) -> None:
    """Log a detail that only helps to look for the reason of something."""
    _details.debug("%s: %s", envelope.queue_id or "NOQUEUE", _escaped(text))


def printed(envelope: Envelope, level: int, text: str) -> None:
    """Log a line that policy prints. level: of syslog, from 0 (emergency) to 7 (debug)."""
    _log.log(_SYSLOG[max(0, min(level, 7))], "%s: policy: %s", envelope.queue_id or "NOQUEUE", _escaped(text))


def context_refused(client: str, command: str, why: str) -> None:
    """Log one of Momentum's SMTP commands that is not taken."""
    _details.info("%s: %s not taken: %s", _escaped(client), command, why)


def context(client: str, variables: Mapping[str, str]) -> None:
    """Log a session's variables, as XDUMPCONTEXT asks; the MTA has no words for the client."""
    _details.info("%s: XDUMPCONTEXT: %d variables of the connection", _escaped(client), len(variables))
    for name, value in sorted(variables.items()):
        _details.info("%s: [connection] %s %s", _escaped(client), _escaped(name), _escaped(value))


def ring_trouble(text: str) -> None:
    """Log that the key ring on disk cannot be used. The one in memory stays in use."""
    _log.error("%s; the keys read before stay in use", text)


def worker_failed() -> None:
    """Log the exception being handled, after which a worker ends."""
    _log.exception("worker stops, traceback follows")


def ready(socket: str, workers: int) -> None:
    """Log that the service is ready."""
    _log.info("ready: listening on %s with %d workers", socket, workers)


def notice(text: str) -> None:
    """Log a notice or warning of the configuration."""
    _log.warning("%s", text)


def never_returned() -> None:
    """Log that a stopped worker exits although libmilter hangs."""
    _log.warning("libmilter did not return when it was stopped; its sessions are cut")


def worker_died(pid: int, status: str, wait: float) -> None:
    """Log that a worker ended by itself. status: how. wait: seconds until the next one starts."""
    _log.error("worker %d %s; a new one starts in %.1f s", pid, status, wait)


def worker_not_started(why: str, wait: float) -> None:
    """Log that a worker could not be started. wait: seconds until the next attempt."""
    _log.error("%s; tried again in %.1f s", why, wait)


def cut_short(count: int) -> None:
    """Log that workers of earlier reloads are stopped, since reloads came faster than sessions ended."""
    _log.warning(
        "%d workers of earlier reloads do not wait for their sessions any longer: their clients get 451",
        count,
    )


def reconfigured() -> None:
    """Log that the new configuration is in use (SIGHUP)."""
    _log.info("Reconfigured: new workers serve, the old ones finish what they have")


def reconfigure_failed(problems: str) -> None:
    """Log that the new configuration cannot be used (SIGHUP). problems: one line for each."""
    _log.error("Reconfigure failed. The old configuration stays in use:")
    for line in problems.splitlines():
        _log.error("%s", line)


def needs_restart(setting: str) -> None:
    """Log a changed setting that takes effect only after a restart (SIGHUP)."""
    _log.warning("%s was changed: restart to use it; the old value stays in use", setting)


def stopping() -> None:
    """Log that no new sessions are taken (SIGTERM)."""
    _log.info("stopping: messages under way are finished")


def stopped() -> None:
    """Log the end of the service."""
    _log.info("stopped")


def killed(pid: int) -> None:
    """Log that a worker did not finish in time and was killed."""
    _log.error("worker %d did not finish in time and was killed; its clients get 451", pid)
