"""The ASGI interface of `smtpapi web`, and its limits on bodies, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker_web.web.front.asgi import Front
from tracker_web.web.front.bodies import Bodies
from tracker_web.web.front.environ import environ_of
from tracker_web.web.front.unread_body import BodyNeeded, limit_body
from tracker_web.web.request_metrics import REQUESTS, RequestMetrics

Piece = tuple[float, bytes]  # seconds before it, and what comes
NEVER = 3600.0


def scope(method: str = "POST", path: bytes = b"/x", **fields: str) -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "raw_path": path,
        "query_string": b"a=%20",
        "scheme": "http",
        "client": ("192.0.2.1", 4711),
        "server": ("127.0.0.1", 8090),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()],
    }


class Client:
    """Sends a body piece by piece, and keeps what it is sent. gone: set to go away."""

    def __init__(self, *pieces: Piece, more: bool = False) -> None:
        self._pieces = list(pieces) or [(0.0, b"")]
        self._more = more
        self.gone = asyncio.Event()
        self.sent: list[dict[str, Any]] = []
        self.held: Callable[[], Awaitable[object]] | None = None

    async def receive(self) -> dict[str, Any]:
        if not self._pieces:
            await self.gone.wait()
            return {"type": "http.disconnect"}
        wait, body = self._pieces.pop(0)
        await asyncio.sleep(wait)
        return {"type": "http.request", "body": body, "more_body": bool(self._pieces) or self._more}

    async def send(self, message: Any) -> None:
        if self.held is not None:
            await self.held()
        self.sent.append(dict(message))

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])


class Application:
    """Reads its body and says it. calls: how often it was."""

    def __init__(self, limit: int = 1000) -> None:
        self.calls = 0
        self._limit = limit

    def __call__(self, environ: dict[str, Any], start: Callable[..., object]) -> list[bytes]:
        self.calls += 1
        limit_body(environ, self._limit)
        body = environ["wsgi.input"].read()
        start("200 OK", [("Content-Type", "text/plain")])
        return [body, b"/", environ.get("CONTENT_LENGTH", "none").encode()]


def play(app: Any, request: dict[str, Any], client: Callable[[], Client], **limits: Any) -> Client:
    """One request; the client that it was made by."""

    async def run() -> Client:
        made = client()
        with ThreadPoolExecutor(2) as workers:
            await asyncio.wait_for(
                Front(app, workers, Bodies(**limits))(request, made.receive, made.send), 20
            )
        return made

    return asyncio.run(run())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=6), max_size=6), st.booleans())
def test_body_is_what_came_and_its_length_is_told(pieces: list[bytes], chunked: bool) -> None:
    whole = b"".join(pieces)
    fields = {"transfer_encoding": "chunked"} if chunked else {"content_length": str(len(whole))}
    app = Application()
    client = play(app, scope("POST", b"/x", **fields), lambda: Client(*((0.0, piece) for piece in pieces)))
    length = str(len(whole)).encode() if whole or chunked else b"0"
    assert (client.status, client.body) == (200, whole + b"/" + length)
    assert app.calls == (2 if whole or chunked else 1)


def test_no_more_is_read_than_the_application_wants_and_a_byte() -> None:
    client = play(
        Application(10), scope(transfer_encoding="chunked"), lambda: Client((0, b"x" * 8), (0, b"y" * 99))
    )
    assert client.body == b"xxxxxxxxyyy/11"


@pytest.mark.parametrize(
    ("path", "media"), [(b"/x", "text/plain; charset=utf-8"), (b"/api/v1/x", "application/json")]
)
def test_slow_body_is_answered_408_and_its_connection_ends(path: bytes, media: str) -> None:
    client = play(
        Application(),
        scope(path=path, content_length="2"),
        lambda: Client((0, b"x"), (NEVER, b"y")),
        seconds=0.05,
    )
    headers = dict(client.sent[0]["headers"])
    assert (client.status, headers[b"connection"], headers[b"content-type"]) == (
        408,
        b"close",
        media.encode(),
    )


def test_each_byte_buys_time_and_too_few_too_little() -> None:
    """Twenty pieces, one in 20 ms, are slower than the 0.1 s for what comes at all."""
    pieces = [(0.02, b"x" * 100)] * 20
    request = scope(content_length="2000")
    assert play(Application(5000), request, lambda: Client(*pieces), seconds=0.1, rate=100).status == 200
    assert (
        play(Application(5000), request, lambda: Client(*pieces), seconds=0.1, rate=1_000_000).status == 408
    )


def test_where_places_are_used_up_the_oldest_ends() -> None:
    async def run() -> list[Client]:
        slow = [Client((0, b"x" * 900), (NEVER, b"")), Client((0, b"x"), (NEVER, b"")), Client((NEVER, b""))]
        with ThreadPoolExecutor(2) as workers:
            front = Front(Application(), workers, Bodies(at_once=2))
            tasks = []
            for client in slow:
                request = scope(content_length="1000")
                tasks.append(asyncio.create_task(front(request, client.receive, client.send)))
                await asyncio.sleep(0.05)
            await asyncio.wait_for(tasks[0], 20)
            quick = Client((0, b"qu"), (0, b"ick"))
            await front(scope(content_length="5"), quick.receive, quick.send)
            await asyncio.wait_for(tasks[1], 20)
            tasks[2].cancel()
            await asyncio.gather(tasks[2], return_exceptions=True)
            return [*slow, quick]

    first, second, third, quick = asyncio.run(run())
    assert (first.status, second.status, third.sent, quick.status) == (408, 408, [], 200)


def test_where_bytes_are_used_up_the_oldest_ends_and_they_are_given_back() -> None:
    async def run() -> list[int]:
        with ThreadPoolExecutor(2) as workers:
            front = Front(Application(), workers, Bodies(room=1000))
            slow = Client((0, b"x" * 600), (NEVER, b""))
            task = asyncio.create_task(front(scope(content_length="700"), slow.receive, slow.send))
            await asyncio.sleep(0.05)
            found = []
            for _ in range(3):
                quick = Client((0, b"y" * 600), (0, b"y"))
                await front(scope(content_length="601"), quick.receive, quick.send)
                found.append(quick.status)
            await asyncio.wait_for(task, 20)
            return [slow.status, *found]

    assert asyncio.run(run()) == [408, 200, 200, 200]


def test_client_that_goes_away_in_its_body_is_no_request() -> None:
    app = Application()

    def leaving() -> Client:
        client = Client((0, b"x"), more=True)
        client.gone.set()
        return client

    assert play(app, scope(content_length="5"), leaving).sent == []
    assert app.calls == 1


class Pieces:
    """An answer made piece by piece. made: how many were; closed: whether the server said that it is done."""

    def __init__(self, most: int) -> None:
        self.made = 0
        self.closed = False
        self._most = most

    def __call__(self, _environ: dict[str, Any], start: Callable[..., object]) -> Pieces:
        start("200 OK", [("Content-Type", "text/csv")])
        return self

    def __iter__(self) -> Iterator[bytes]:
        while self.made < self._most:
            self.made += 1
            yield b"" if self.made % 3 == 0 else b"%d," % self.made

    def close(self) -> None:
        self.closed = True


def test_pieces_are_sent_as_they_are_made() -> None:
    app = Pieces(7)
    client = play(app, scope("GET"), Client)
    assert [message.get("body") for message in client.sent[1:]] == [b"1,", b"2,", b"4,", b"5,", b"7,", b""]
    assert app.closed


def test_no_piece_is_made_before_the_last_one_is_on_its_way_nor_after_the_client_went() -> None:
    app = Pieces(10**9)

    def slow() -> Client:
        client = Client()

        async def held() -> None:
            assert app.made <= len(client.sent) + 2  # and the empty ones
            if len(client.sent) == 5:
                client.gone.set()
            await asyncio.sleep(0)

        client.held = held
        return client

    play(app, scope("GET"), slow)
    assert app.made < 10_000
    assert app.closed


def test_failing_application_raises_where_the_server_sees_it() -> None:
    def raising(_environ: dict[str, Any], _start: Callable[..., object]) -> list[bytes]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        play(raising, scope("GET"), Client)


def test_what_is_asked_twice_is_counted_once() -> None:
    counted = RequestMetrics(Application())
    play(counted, scope(content_length="1"), lambda: Client((0, b"x")))
    requests = next(reading for reading in counted.read() if reading.metric is REQUESTS)
    assert {key: count for key, count in requests.values.items() if count} == {("page", "200"): 1}


def test_fields_cannot_be_made_up_by_their_spelling() -> None:
    """`X_Forwarded_For` is not what a proxy set or took away."""
    request = scope("GET", path=b"/a%2Fb%C3%A9?x=1")
    request["headers"] = [
        (b"cookie", b"a=1"), (b"cookie", b"b=2"), (b"accept", b"x"), (b"accept", b"y"), (b"x_login", b"root"),
        (b"x-login", b"\xc3\xa9"), (b"content-type", b"text/plain"), (b"proxy", b"http://evil.example"),
    ]  # fmt: skip
    environ = environ_of(request)
    assert environ["PATH_INFO"] == "/a/b\u00c3\u00a9"
    assert (environ["HTTP_COOKIE"], environ["HTTP_ACCEPT"]) == ("a=1; b=2", "x,y")
    assert (environ["HTTP_X_LOGIN"], environ["CONTENT_TYPE"]) == ("\u00c3\u00a9", "text/plain")
    assert (environ["REMOTE_ADDR"], environ["QUERY_STRING"]) == ("192.0.2.1", "a=%20")


def test_wish_for_a_body_is_no_error_that_a_handler_takes() -> None:
    assert not issubclass(BodyNeeded, Exception)
