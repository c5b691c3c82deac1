"""Takes in the bodies of requests before anything works on them, and bounds what they may hold.

A body has some seconds and more for each byte that came, as Apache's `RequestReadTimeout body=20,MinRate`
has it; so a slow one ends, however it is sent. There is room for so many bodies, and so many bytes of them;
where it is used up, the one that has been coming longest ends, which is never one that comes at once. Used by
one event loop, without a lock.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, Final

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_SECONDS: Final = 20.0  # for a body at least; Apache's default
_RATE: Final = 32_768  # bytes for which a body gets a second more: what a telephone's bad line still does
_AT_ONCE: Final = 256  # bodies under way; what is behind waits with an open connection each, and no thread
# Bytes of bodies: two of the largest that any call takes (suppression lists, 50 MiB) and many small ones.
_ROOM: Final = 128 * 1_048_576


class TooSlowError(Exception):
    """A body did not come in its time, or held the place of others."""


class GoneError(Exception):
    """The client went away before its body was there."""


class Bodies:
    """The bodies under way. seconds, rate: the time of each; at_once, room: of all, in number and bytes."""

    def __init__(
        self, *, seconds: float = _SECONDS, rate: int = _RATE, at_once: int = _AT_ONCE, room: int = _ROOM
    ) -> None:
        self._seconds = seconds
        self._rate = rate
        self._at_once = at_once
        self._room = room
        self._coming: dict[asyncio.Timeout, None] = {}  # the oldest first
        self._held = 0  # bytes, of those that are being worked on as well

    @asynccontextmanager
    async def body(self, receive: Receive, most: int) -> AsyncIterator[bytes]:
        """Take in a body, and hold its room while it is worked on.

        most: bytes after which no more is read; one byte over it shows that there was more. Raises
        TooSlowError, GoneError.
        """
        taken = bytearray()
        size = 0
        try:
            try:
                await self._take(receive, most, taken)
            finally:
                size = len(taken)
            body = bytes(taken)
            taken.clear()
            yield body
        finally:
            self._held -= size

    async def _take(self, receive: Receive, most: int, taken: bytearray) -> None:
        ends = asyncio.get_running_loop().time() + self._seconds
        try:
            async with asyncio.timeout_at(ends) as timeout:
                self._coming[timeout] = None
                try:
                    while len(taken) <= most:
                        self._make_room()
                        message = await receive()
                        if message["type"] != "http.request":
                            raise GoneError
                        chunk = message.get("body", b"")[: most + 1 - len(taken)]
                        taken += chunk
                        self._held += len(chunk)
                        if not message.get("more_body"):
                            return
                        if timeout not in self._coming:
                            raise TooSlowError
                        timeout.reschedule(ends + len(taken) / self._rate)
                finally:
                    self._coming.pop(timeout, None)
        except TimeoutError as error:
            raise TooSlowError from error

    def _make_room(self) -> None:
        if len(self._coming) > self._at_once or self._held > self._room:
            oldest = next(iter(self._coming), None)
            if oldest is not None:
                del self._coming[oldest]
                oldest.reschedule(0)  # it ends at the loop's next turn
