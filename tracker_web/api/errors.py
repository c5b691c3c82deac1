"""Every error of the API as `{"errors": [{"message": …}]}` in JSON (contract.md 8.1)."""

import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final, NoReturn

import marshmallow
from flask import Response
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from engagement.registry.port import ConflictError, RegistryError
from engagement.stores.port import StoreError
from tracker_web.web import log

_WAIT: Final = "1"  # seconds: what Retry-After says where the store fails for now
_MOST: Final = 20  # errors listed of one request; a body of a million mistakes needs no longer answer


class ErrorEntry(marshmallow.Schema):
    """One error of an answer."""

    message = marshmallow.fields.String(required=True)
    description = marshmallow.fields.String()
    code = marshmallow.fields.String()
    param = marshmallow.fields.String()
    value = marshmallow.fields.Raw()

    class Meta:
        """Some errors have members of their own."""

        unknown = marshmallow.INCLUDE


class Errors(marshmallow.Schema):
    """The body of each answer that reports an error."""

    errors = marshmallow.fields.List(marshmallow.fields.Nested(ErrorEntry), required=True)


class ApiError(Exception):
    """An answer that reports an error. more: other members of its entry; headers: of the answer."""

    def __init__(
        self, status: int, message: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(message)
        self.status = status
        self.entry = {"message": message, **more}
        self.headers = dict(headers or {})


def fail(status: int, message: str, **more: Any) -> NoReturn:
    """End this request with an error. more: `param`, `value`, `code` and such. Raises ApiError."""
    raise ApiError(status, message, **more)


def body_of(*entries: Mapping[str, Any]) -> bytes:
    """Return the body of an answer with these errors."""
    return json.dumps({"errors": list(entries)}).encode() + b"\n"


def answer(error: Exception) -> Response:
    """Return the answer that an exception stands for; one that nobody foresaw is logged."""
    headers: dict[str, str] = {}
    if isinstance(error, ApiError):
        return _response(error.status, [error.entry], error.headers)
    if isinstance(error, (StoreError, RegistryError)):
        if isinstance(error, ConflictError):
            return _response(
                HTTPStatus.CONFLICT, [{"message": "it was changed meanwhile; read it again"}], {}
            )
        log.page_failed(error)  # its text names hosts and files: for the log, not for strangers
        message = "the store cannot be used for now; try again"
        return _response(HTTPStatus.SERVICE_UNAVAILABLE, [{"message": message}], {"Retry-After": _WAIT})
    if isinstance(error, HTTPException):
        status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
        messages = getattr(error, "data", {}).get("messages")
        if isinstance(messages, Mapping):  # what webargs found wrong, by location
            in_query = set(messages) <= {"query", "path"}
            status = HTTPStatus.BAD_REQUEST if in_query else HTTPStatus.UNPROCESSABLE_ENTITY
            entries = [entry for where in messages.values() for entry in _entries(where, ())][:_MOST]
            return _response(status, entries, {})
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            headers["Allow"] = ", ".join(sorted(error.valid_methods))
        return _response(status, [{"message": HTTPStatus(status).phrase}], headers)
    log.page_failed(error)
    return _response(HTTPStatus.INTERNAL_SERVER_ERROR, [{"message": "Internal Server Error"}], {})


def _entries(found: Any, path: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield an entry for each message of marshmallow's nested dictionaries and lists."""
    if isinstance(found, Mapping):
        for name, inner in found.items():
            yield from _entries(inner, path if name == "_schema" else (*path, str(name)))
        return
    param = ".".join(path)
    for message in found if isinstance(found, list) else [found]:
        text = str(message).rstrip(".")
        # SparkPost's words: 'FIELD' is required (contract.md 8.1)
        entry = {"message": f"'{param}' {text}" if param else text}
        yield entry | {"param": param} if param else entry


def _response(status: int, entries: list[dict[str, Any]], headers: Mapping[str, str]) -> Response:
    response = Response(body_of(*entries), status=status, content_type="application/json")
    response.headers.update(headers)
    return response
