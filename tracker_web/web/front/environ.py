"""A request as PEP 3333 has it, made of ASGI's: octets as latin-1, as they came."""

import io
import sys
from collections.abc import Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from werkzeug.wsgi import FileWrapper

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Scope = Mapping[str, Any]

_NOT_HTTP: Final = {"HTTP_CONTENT_LENGTH": "CONTENT_LENGTH", "HTTP_CONTENT_TYPE": "CONTENT_TYPE"}
_BLOCK: Final = 65_536  # bytes of a file that are sent at once


def environ_of(scope: Scope) -> "WSGIEnvironment":
    """Return the variables of a request, with an empty body.

    Fields of one name are joined with a comma (RFC 9110 5.3), cookies with a semicolon (RFC 9113 8.2.3). A
    name with an underscore is left out: it would pass for one with a hyphen, which a proxy sets or removes.
    """
    path: bytes = scope["raw_path"].partition(b"?")[0]
    client, server = scope.get("client"), scope.get("server")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": scope.get("query_string", b"").decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": str(server[0]) if server else "localhost",
        "SERVER_PORT": str(server[1]) if server else "80",
        "REMOTE_ADDR": client[0] if client else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.errors": sys.stderr,
        "wsgi.input": io.BytesIO(),
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": _blocks,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in _fields(scope):
        joint = "; " if name == "HTTP_COOKIE" else ","
        environ[name] = f"{environ[name]}{joint}{value}" if name in environ else value
    return environ


def has_body(environ: "WSGIEnvironment") -> bool:
    """Return whether a request announces a body (RFC 9112 6)."""
    return "HTTP_TRANSFER_ENCODING" in environ or environ.get("CONTENT_LENGTH", "0").strip("0") != ""


def with_body(environ: "WSGIEnvironment", body: bytes) -> "WSGIEnvironment":
    """Return the variables of the request with the body that came, whose length is now known."""
    found = environ | {"CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
    found.pop("HTTP_TRANSFER_ENCODING", None)
    return found


def _fields(scope: Scope) -> Iterator[tuple[str, str]]:
    for name, value in scope["headers"]:
        if b"_" not in name:
            variable = f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}"
            yield _NOT_HTTP.get(variable, variable), value.decode("latin-1")


def _blocks(file: IO[bytes], _size: int = 0) -> FileWrapper:
    return FileWrapper(file, _BLOCK)
