"""One HTTP request to one address under a given name, as plain values. No redirect is followed."""

import errno
import http.client
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_SECONDS: Final = 10.0  # for one answer; a browser waits longer, a reader does not
_MOST: Final = 65_536  # bytes of an answer that are read; the tracker's are shorter, a stranger's have no end


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, or in trouble why there is none. source: the address that we asked from."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    source: str = ""
    trouble: str = ""
    unreachable: bool = False  # this host has no route to an address of that family


def request(
    host: str,
    address: str,
    port: int,
    method: str,
    path: str,
    *,
    tls: bool,
    headers: Mapping[str, str] | None = None,
    source: str = "",
) -> Reply:
    """Return what an address answers for a host. Certificates are not verified here (`certificate`)."""
    source = source if (":" in source) == (":" in address) else ""
    connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    try:
        tcp_socket = socket.create_connection(
            (address, port), timeout=_SECONDS, source_address=(source, 0) if source else None
        )
        connection.sock = _secured(tcp_socket, host) if tls else tcp_socket
        own = str(connection.sock.getsockname()[0])
        host = f"[{host}]" if ":" in host else host
        shown = host if port == (443 if tls else 80) else f"{host}:{port}"
        fields = {"Host": shown, "User-Agent": "smtpapi-doctor", "Connection": "close", **(headers or {})}
        connection.request(method, path, headers=fields)
        answer = connection.getresponse()
        names = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, names, answer.read(_MOST), own)
    except (OSError, http.client.HTTPException) as error:
        refused = isinstance(error, ConnectionRefusedError)
        trouble = "nobody listens there" if refused else str(error) or type(error).__name__
        return Reply(trouble=trouble, unreachable=no_route(error))
    finally:
        connection.close()


def no_route(error: Exception) -> bool:
    """Return whether an error says that this host has no network of that family."""
    return isinstance(error, OSError) and error.errno in (errno.ENETUNREACH, errno.EADDRNOTAVAIL)


def _secured(tcp_socket: socket.socket, host: str) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(tcp_socket, server_hostname=host)
