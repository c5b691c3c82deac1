"""One message while it comes in: envelope, header and body, as far as they are held in memory.

Not the callbacks that deliver it (`session`), nor what becomes of it (`message_end`).

- A body over the size limit is only counted. A body that no later step reads is only hashed.
- A message that finds no room in the memory shared by all workers drops what it holds, except the header
  fields that are needed in any case.
- Only `release` returns the shared memory.
"""

import hashlib
from collections.abc import Callable

from smtpapi.hop import split_header
from smtpapi.model.envelope import Resolved
from smtpapi.model.message import Field, HashedBody, Message
from smtpapi.model.outcome import Why
from smtpapi.mta import heap
from smtpapi.mta.services import SessionServices
from smtpapi.pipeline.pass_through import Reads
from smtpapi.request import trust, x_msys_api

# The fields that are needed of a message without room: those that may have to be removed, and those that show
# whose mail it is.
_ALWAYS_HELD = frozenset({x_msys_api.NAME.lower(), split_header.HEADER.lower(), *trust.TRACES})
_FIELD = 300  # octets of memory that Python takes for a field, besides its text
# Octets of a header that are not counted, so that an ordinary one costs no call. Sendmail accepts headers of
# 32,768 octets by default (MaxHeadersLength).
_HEADER = 65_536
# Octets. After a message that held more, free memory is returned to the system. The number is a guess: far
# above ordinary mail, so that this is rare.
_LARGE = 16_777_216
# Octets of a body that are held before it is asked whether anything will read them: one chunk of the milter
# protocol has at most 65,535.
_SMALL = 65_536


class IncomingMessage:
    """The part of one message that has come so far, and the memory that it takes.

    options: the ESMTP parameters of each RCPT TO. resolved: where the MTA delivers each recipient, if it is
    asked. lost_fields: names of header fields whose values a fault lost. body_size, header_size: octets that
    came; for the header with what Python takes for it. passing: why the message passes untouched and is not
    held. no_room: it found no room in memory. fault: an exception while it came in, so that it is not whole.
    """

    __slots__ = (
        *("login", "sender", "recipients", "options", "resolved", "fields", "lost_fields", "body_size"),
        *("header_size", "passing", "no_room", "fault", "_services", "_chunks", "_reads", "_digest"),
        *("_header_limit", "_held"),
    )

    def __init__(self, services: SessionServices) -> None:
        self._services = services
        self.login = ""
        self.sender = ""
        self.recipients: list[str] = []
        self.options: list[tuple[bytes, ...]] = []
        self.resolved: list[Resolved] = []
        self.fields: list[Field] = []
        self.lost_fields: list[str] = []
        self.body_size = 0
        self.header_size = 0
        self.passing: Why | None = None
        self.no_room = False
        self.fault: Exception | None = None
        self._chunks: list[bytes] = []
        self._reads: Reads | None = None  # not asked yet
        self._digest: hashlib._Hash | None = None  # of a body that nothing will read
        self._header_limit = _HEADER  # the size of the header for which memory was taken
        self._held = 0  # octets taken of the shared memory

    def release(self) -> None:
        """Give back the shared memory that this message took."""
        if held := self._held:
            self._held = 0
            self._services.body_memory.give(held)
            if held > _LARGE:
                heap.trim()

    def add_field(self, name: str, value: bytes, exact: bool) -> None:
        """Add a header field. exact: the value is everything after the colon, with its first blank."""
        if self.passing is not None or self.no_room:
            self._pass_field(name, value)
            return
        # Without the leading-space option an MTA removes the first blank, which nearly all fields have.
        self.fields.append(Field(name, value if exact else b" " + value))
        self.header_size += len(name) + len(value) + _FIELD
        if self.header_size > self._header_limit:
            self._take_for_header()

    def _pass_field(self, name: str, value: bytes) -> None:
        """Count a field that is not held. Where there was no room, hold those that are needed."""
        if self.no_room and name.lower() in _ALWAYS_HELD:
            self.fields.append(Field(name, value))
        self.header_size += len(name) + len(value) + 3

    def _take_for_header(self) -> None:
        self._header_limit += _HEADER
        if not self.take(_HEADER):
            self.fields = [field for field in self.fields if field.name.lower() in _ALWAYS_HELD]

    def add_chunk(self, chunk: bytes, reads: Callable[[Message], Reads]) -> None:
        """Add up to 65,535 octets of the body; beyond the size limit they are only counted.

        reads: says what later steps read of the body; called with the header, at most once.
        """
        room = self._services.max_size + 1 - self.body_size
        self.body_size += len(chunk)
        if room > 0 and self.passing is None and not self.no_room:
            self._hold(chunk if len(chunk) <= room else chunk[:room], reads)

    def _hold(self, piece: bytes, reads: Callable[[Message], Reads]) -> None:
        """Hold a piece of the body, or only add it to the hash."""
        if self._digest is not None:
            self._digest.update(piece)
            return
        if self._reads is None and self.body_size > _SMALL:
            self._reads = Reads.ALL  # if asking fails
            self._reads = reads(self.header())
        too_large = self.body_size > self._services.max_size
        if self._reads is Reads.NOTHING or (too_large and self._reads is Reads.WHAT_FITS):
            self._digest = hashlib.sha256()
            for each in (*self._chunks, piece):
                self._digest.update(each)
            octets = sum(map(len, self._chunks))
            self._chunks = []
            self._held -= octets
            self._services.body_memory.give(octets)
        elif self.take(len(piece)):
            self._chunks.append(piece)

    def take(self, octets: int) -> bool:
        """Take more of the shared memory. Without room, drop the body and return False."""
        if self._services.body_memory.take(octets):
            self._held += octets
            return True
        self.no_room = True
        self._chunks = []
        self.release()
        return False

    def take_for_answer(self) -> bool:
        """Take the memory for the answer. Return False where there is no room, now or before.

        A body then exists three times: in chunks, joined, and changed.
        """
        return not self.no_room and (self._digest is not None or self.take(2 * self.body_size))

    def header(self) -> Message:
        """Return the message without its body."""
        return Message(tuple(self.fields), b"")

    def message(self) -> Message:
        """Return the message. A body that was held is moved into it, and no longer held here."""
        fields = tuple(self.fields)
        if self._digest is not None:
            size = min(self.body_size, self._services.max_size + 1)
            return Message(fields, b"", hashed=HashedBody(size, self._digest.digest()))
        message = Message(fields, b"".join(self._chunks))
        self._chunks = []
        return message
