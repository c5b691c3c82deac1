"""Hands messages to the MTA over SMTP, one transaction a recipient, over one connection while it lasts.

Invariant: a message is handed in again only where the MTA cannot have taken it, so nobody gets it twice.
"""

import re
import smtplib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

_UNKNOWN: Final = 0, "the MTA ended the connection before it said whether it has the mail"
# seconds for one reply. Postfix answers the end of DATA after the filter, which has 300 of its own at most.
_TIMEOUT: Final = 60.0
_CONNECT: Final = 5.0  # seconds; the MTA is on this host or beside it
_SERVICE_ENDS: Final = 421  # the server closes the connection
_LONGEST_REPLY: Final = 512  # characters, as one line of a reply
_LINE_WITH_DOT: Final = re.compile(rb"(?m)^\.")  # RFC 5321 4.5.2; each line ends in CRLF


@dataclass(frozen=True, slots=True)
class Mail:
    """One transaction. message: with CRLF. sender, recipient: of the envelope."""

    sender: str
    recipient: str
    message: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What the MTA said at last. code: 250 where it took the mail; 0 where it did not say."""

    recipient: str
    code: int
    text: str

    @property
    def taken(self) -> bool:
        """Return whether the MTA has the mail."""
        return 200 <= self.code < 300

    @property
    def for_now(self) -> bool:
        """Return whether the same mail may be taken later; False where it might have been taken."""
        return 400 <= self.code < 500


class _GoneError(Exception):
    """The MTA takes nothing for now. The text says why."""


class _LostError(Exception):
    """The connection ended. sent: whether the whole message was out by then."""

    def __init__(self, sent: bool) -> None:
        super().__init__()
        self.sent = sent


class Relay:
    """The MTA at an address. host_and_port: IPv6 addresses in brackets."""

    def __init__(self, host_and_port: str) -> None:
        host, _, port = host_and_port.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._smtp: smtplib.SMTP | None = None

    def hand_in(self, mails: Iterable[Mail]) -> Iterator[Answer]:
        """Yield the MTA's answer to each mail, in order. Once it cannot be reached, no more is tried."""
        gone = ""
        try:
            for mail in mails:
                try:
                    code, text = (_SERVICE_ENDS, gone) if gone else self._one(mail)
                except _GoneError as error:
                    gone = str(error)
                    code, text = _SERVICE_ENDS, gone
                yield Answer(mail.recipient, code, text)
        finally:
            self._quit()

    def _one(self, mail: Mail) -> tuple[int, str]:
        """Return the reply to one mail. Raises _GoneError where not even a new connection brings one."""
        if self._smtp is not None:
            try:
                reply = self._transaction(self._smtp, mail)
            except _LostError as lost:
                self._close()
                if lost.sent:
                    return _UNKNOWN
            else:
                if reply[0] != _SERVICE_ENDS:
                    return reply
                self._close()
        try:
            reply = self._transaction(self._connected(), mail)
        except _LostError as lost:
            self._close()
            if lost.sent:
                return _UNKNOWN
            raise _GoneError("the MTA ended the connection") from None
        except OSError as error:
            self._close()
            why = error.strerror or type(error).__name__
            raise _GoneError(f"the MTA cannot be reached: {why}") from None
        if reply[0] == _SERVICE_ENDS:
            self._close()
            raise _GoneError(reply[1])
        return reply

    def _connected(self) -> smtplib.SMTP:
        """Return the connection. Raises OSError, _LostError."""
        if self._smtp is None:
            try:
                smtp = smtplib.SMTP(self._host, self._port, local_hostname="[127.0.0.1]", timeout=_CONNECT)
                self._smtp = smtp
                assert smtp.sock is not None
                smtp.sock.settimeout(_TIMEOUT)
                smtp.ehlo_or_helo_if_needed()
            except smtplib.SMTPServerDisconnected:
                raise _LostError(sent=False) from None
        return self._smtp

    def _transaction(self, smtp: smtplib.SMTP, mail: Mail) -> tuple[int, str]:
        """Return the first refusal, or the reply to the whole message. Raises _LostError."""
        utf8 = not (mail.sender + mail.recipient).isascii()
        if utf8 and not smtp.has_extn("SMTPUTF8"):
            return 553, "5.6.7 the MTA takes no address with letters beyond ASCII"
        parameters = " SMTPUTF8" if utf8 else ""
        if smtp.has_extn("8BITMIME") and not mail.message.isascii():
            parameters += " BODY=8BITMIME"
        smtp.command_encoding = "utf-8" if utf8 else "ascii"
        sent = False
        try:
            for command, expected in (
                (f"MAIL FROM:<{mail.sender}>{parameters}", 2),
                (f"RCPT TO:<{mail.recipient}>", 2),
                ("DATA", 3),
            ):
                code, text = smtp.docmd(command)
                if code // 100 != expected:
                    if code != _SERVICE_ENDS:
                        smtp.rset()
                    return code, _shown(text)
            end = b".\r\n" if mail.message.endswith(b"\r\n") else b"\r\n.\r\n"
            smtp.send(_LINE_WITH_DOT.sub(b"..", mail.message) + end)
            sent = True
            code, text = smtp.getreply()
        except (smtplib.SMTPServerDisconnected, TimeoutError, ConnectionError):
            raise _LostError(sent) from None
        return code, _shown(text)

    def _quit(self) -> None:
        if self._smtp is not None:
            with suppress(OSError):
                self._smtp.quit()
        self._close()

    def _close(self) -> None:
        if self._smtp is not None:
            self._smtp.close()
        self._smtp = None


def _shown(text: bytes) -> str:
    """Return a reply's text on one line."""
    return " ".join(text.decode("utf-8", "replace").split())[:_LONGEST_REPLY]
