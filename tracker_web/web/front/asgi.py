"""The ASGI interface of the program's WSGI application: its server's threads never wait for a client.

Bodies are taken in by the event loop, with limits (`bodies`), after the application was asked without one
(`unread_body`), and answers are sent by it. In between the application works in a few threads. What it makes
piece by piece is sent so, no piece before the last one is on its way, and no more once the client has gone.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from tracker_web.api.errors import body_of
from tracker_web.web.front.bodies import Bodies, GoneError, Receive, TooSlowError
from tracker_web.web.front.environ import Scope, environ_of, has_body, with_body
from tracker_web.web.front.unread_body import BodyNeeded, limit_of, without_body
from tracker_web.web.guard import is_api

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_AT_ONCE: Final = 262_144  # bytes of an answer that is sent whole, where it says its length
_SLOW: Final = "the body took too long to come, or held the place of others"


def _nothing() -> None:
    """Close what needs no closing."""


@dataclass(slots=True)
class _Answer:
    """An answer being made. pieces: what is left of its body, None for nothing; close: ends its making."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    written: list[bytes] = field(default_factory=list)
    pieces: Iterator[bytes] | None = None
    close: Callable[[], object] = _nothing

    def start(
        self, status: str, headers: list[tuple[str, str]], _failed: object = None
    ) -> Callable[..., Any]:
        """Take status and fields, as PEP 3333's start_response does."""
        self.status, self.headers = int(status[:3]), headers
        return self.written.append

    def whole(self, body: Iterable[bytes]) -> bool:
        """Return whether the body is there already, or short by what it says."""
        if isinstance(body, (list, tuple)):
            return True
        length = next((value for name, value in self.headers if name.lower() == "content-length"), "")
        return length.isdigit() and int(length) <= _AT_ONCE

    def piece(self) -> bytes | None:
        """Return the next piece that is not empty, None at the end."""
        return next((piece for piece in self.pieces or () if piece), None)

    @property
    def beginning(self) -> dict[str, Any]:
        """Return ASGI's message that begins it."""
        pairs = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.headers]
        return {"type": "http.response.start", "status": self.status, "headers": pairs}


class Front:
    """An ASGI 3 application around a WSGI one. Threads of `workers` run that one.

    slow: called with the path of each request that was answered 408, and the seconds until then.
    """

    def __init__(
        self,
        wsgi: "WSGIApplication",
        workers: Executor,
        bodies: Bodies | None = None,
        slow: Callable[[str, float], None] = lambda _path, _seconds: None,
    ) -> None:
        self._wsgi = wsgi
        self._workers = workers
        self._bodies = bodies or Bodies()
        self._slow = slow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises what the application raises."""
        if scope["type"] != "http":
            return
        began = time.monotonic()
        environ = environ_of(scope)
        if not has_body(environ):
            await self._send(await self._made(environ), receive, send)
            return
        bodiless = without_body(environ)
        try:
            answer = await self._made(bodiless)
        except BodyNeeded:
            pass
        else:
            await self._send(answer, receive, send)
            return
        try:
            async with self._bodies.body(receive, limit_of(bodiless)) as body:
                answer = await self._made(with_body(environ, body))
                await self._send(answer, receive, send)
        except TooSlowError:
            self._slow(environ["PATH_INFO"], time.monotonic() - began)
            await self._send(_too_slow(environ["PATH_INFO"]), receive, send)
        except GoneError:
            pass  # nobody is there to be answered

    async def _made(self, environ: "WSGIEnvironment") -> _Answer:
        return await asyncio.get_running_loop().run_in_executor(self._workers, self._make, environ)

    def _make(self, environ: "WSGIEnvironment") -> _Answer:
        """Let the application answer, in a thread of its own."""
        answer = _Answer()
        body = self._wsgi(environ, answer.start)
        answer.close = getattr(body, "close", _nothing)
        try:
            if answer.whole(body):
                answer.written += body
            else:
                answer.pieces = iter(body)
                first = answer.piece()  # PEP 3333: start_response may be called as late as this
                if first is not None:
                    answer.written.append(first)
                    return answer
                answer.pieces = None
        except BaseException:
            answer.close()
            raise
        answer.close()
        return answer

    async def _send(self, answer: _Answer, receive: Receive, send: Send) -> None:
        await send(answer.beginning)
        body = b"".join(answer.written)
        if answer.pieces is None:
            await send({"type": "http.response.body", "body": body})
            return
        run = asyncio.get_running_loop().run_in_executor
        gone = asyncio.ensure_future(_gone(receive))
        piece: bytes | None = body
        try:
            while piece is not None and not gone.done():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                piece = await run(self._workers, answer.piece)
        finally:
            gone.cancel()
            with suppress(asyncio.CancelledError):
                await gone
            await run(self._workers, answer.close)
        await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _too_slow(path: str) -> _Answer:
    """Return the answer to a slow body, in the form of its area; after it the connection ends."""
    status = HTTPStatus.REQUEST_TIMEOUT
    api = is_api(path)
    body = body_of({"message": _SLOW}) if api else f"{status.phrase}\n".encode()
    media = "application/json" if api else "text/plain; charset=utf-8"
    fields = [("Content-Type", media), ("Content-Length", str(len(body))), ("Connection", "close")]
    fields += [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]
    return _Answer(status, fields, [body])
