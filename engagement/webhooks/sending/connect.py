"""One HTTP request to a target, over a connection that cannot lead inside the network.

The name is resolved once, every address is looked at, and the connection is made to one of those very
addresses: a name that leads elsewhere a moment later (DNS rebinding) changes nothing. No redirect is
followed, no proxy, cookie or password of the environment is used. The whole request has one time limit; a
target that sends an octet now and then does not extend it.
"""

import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from typing import Final, Protocol

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError
from urllib3.exceptions import SSLError as TlsError
from urllib3.util import SKIP_HEADER

from engagement.webhooks.schedule import Answer
from engagement.webhooks.targets import Place, inside, is_allowed, is_inside, place_of

MOST_READ: Final = 64 * 1024  # octets of an answer: enough to see what a target says
_MOST_HEADERS: Final = 50  # fields of an answer; only Retry-After and what people look at count


class Client(Protocol):
    """Posts to targets."""

    def post(self, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Return what came of one POST; no error of target or network is raised."""


class HttpClient:
    """Posts to targets over connections of its own.

    allowed: of webhooks.allow_targets. timeout: seconds of a request. ca_file: "" for the system's.
    """

    def __init__(self, allowed: Sequence[str] = (), timeout: float = 10, ca_file: str = "") -> None:
        self._allowed = tuple(allowed)
        self._timeout = timeout
        self._tls = ssl.create_default_context(cafile=ca_file or None)

    def post(self, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """See `Client`."""
        began = time.monotonic()
        try:
            place = place_of(target)
            addresses = self._addresses(place)
        except ValueError as error:
            return Answer(failure="EACCES", reason=f"the target {error}")
        except OSError as error:
            return Answer(failure="ENOTFOUND", reason=f"{place.host} cannot be resolved: {error.strerror}")
        answer = Answer(failure="ETIMEDOUT", reason=self._too_long())
        for address in addresses:
            left = self._timeout - (time.monotonic() - began)
            if left <= 0:
                break
            answer = self._posted(place, address, headers, body, left, began)
            if answer.failure not in ("ECONNREFUSED", "EHOSTUNREACH"):
                break
        return answer

    def _addresses(self, place: Place) -> list[str]:
        """Return the addresses of a place. Raises ValueError for one inside, OSError if there are none."""
        try:
            found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        except UnicodeError:
            raise OSError(0, "no host name") from None
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        if not is_allowed(place, self._allowed):
            for address in addresses:
                if is_inside(address):
                    what = place.host if place.host == address else f"{place.host} is {address}"
                    raise ValueError(inside(what))
        return addresses

    def _posted(
        self,
        place: Place,
        address: str,
        headers: Mapping[str, str],
        body: bytes,
        left: float,
        began: float,
    ) -> Answer:
        connection = self._connection(place, address, left)
        late = threading.Event()
        watch = threading.Timer(left, _cut, (connection, late))
        watch.daemon = True
        watch.start()
        try:
            fields = {"Host": _host_field(place), "Accept-Encoding": SKIP_HEADER, **headers}
            connection.request(
                "POST", place.path, body=body, headers=fields, preload_content=False, decode_content=False
            )
            response = connection.getresponse()
            content = response.read(MOST_READ, decode_content=False)
            return Answer(
                status=response.status,
                headers=tuple(response.headers.items())[:_MOST_HEADERS],
                body=content.decode("utf-8", "replace"),
                latency_ms=_ms_since(began),
                retry_after=_seconds(response.headers.get("Retry-After", "")),
            )
        except (OSError, HTTPError, HTTPException, ValueError) as error:
            failure, reason = _failure(error)
            if late.is_set() or failure == "ETIMEDOUT":
                failure, reason = "ETIMEDOUT", self._too_long()
            return Answer(failure=failure, reason=reason, latency_ms=_ms_since(began))
        finally:
            watch.cancel()
            connection.close()

    def _connection(self, place: Place, address: str, timeout: float) -> HTTPConnection:
        if place.scheme == "http":
            return HTTPConnection(address, place.port, timeout=timeout)
        return HTTPSConnection(
            address,
            place.port,
            timeout=timeout,
            ssl_context=self._tls,
            server_hostname=place.host,
            assert_hostname=place.host,
        )

    def _too_long(self) -> str:
        return f"no answer within {self._timeout:g} s"


def _cut(connection: HTTPConnection, late: threading.Event) -> None:
    """End a connection whose time is over, whatever it waits for."""
    late.set()
    open_socket = connection.sock
    if open_socket is not None:
        try:
            open_socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it has ended by itself


def _host_field(place: Place) -> str:
    host = f"[{place.host}]" if ":" in place.host else place.host
    return host if place.port in (80, 443) else f"{host}:{place.port}"


def _failure(error: Exception) -> tuple[str, str]:
    """Return the word and the reason of an error, as SparkPost's `failure_code` has such words."""
    refused = isinstance(error, NewConnectionError)  # for urllib3 a kind of ConnectTimeoutError
    if isinstance(error, TimeoutError | ConnectTimeoutError) and not refused:
        return "ETIMEDOUT", ""
    cause: BaseException = error
    while cause.__cause__ is not None and not isinstance(cause, OSError):
        cause = cause.__cause__
    if isinstance(cause, ssl.SSLError) or isinstance(error, TlsError):
        return "ECERT", f"no TLS: {cause}"
    if isinstance(cause, ConnectionRefusedError):
        return "ECONNREFUSED", "nothing listens there"
    if isinstance(cause, OSError) and cause.strerror in ("No route to host", "Network is unreachable"):
        return "EHOSTUNREACH", str(cause.strerror)
    return "ECONNRESET", f"{type(cause).__name__}: {cause}"[:300]


def _seconds(text: str) -> int:
    """Return the seconds of Retry-After, 0 for none, and for a date, which no webhook was seen to send."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


def _ms_since(began: float) -> int:
    return int((time.monotonic() - began) * 1000)
