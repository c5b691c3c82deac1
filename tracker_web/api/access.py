"""Who may call what: each view names the scope that its key must have, and nothing is answered without.

A key comes as `Authorization: KEY`, as `Bearer KEY`, or as the user name of Basic (contract.md 8.1). A view
that names no scope answers nobody. Keys are never logged, and no answer repeats one.
"""

import base64
import binascii
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, TypeVar

from flask import Flask, g, request

from engagement.access.keys import ApiKey, ApiKeys
from engagement.access.scopes import SCOPES
from engagement.events.addresses import truncated
from tracker_web.api.errors import ApiError
from tracker_web.links.client_address import Proxies
from tracker_web.web.failures import Failures
from tracker_web.web.sources import Sources

F = TypeVar("F", bound=Callable[..., Any])

BODY: Final = 1_048_576  # bytes of a body, where a view asks for no other limit
_SCOPE: Final = "_api_scope"
_BODY: Final = "_api_body"
_OPEN: Final = ""  # the mark of a view that needs no key
# Only Bearer is offered, so that no browser keeps a key and sends it by itself.
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="smtpapi api"'}


def needs(scope: str, *, body: int = BODY) -> Callable[[F], F]:
    """Mark a view: its key must have the scope. body: bytes that a request may send. Raises KeyError."""
    SCOPES[scope]  # a misspelt scope would lock everybody out

    def mark(view: F) -> F:
        setattr(view, _SCOPE, scope)
        setattr(view, _BODY, body)
        return view

    return mark


def open_to_all(view: F) -> F:
    """Mark a view that shows nothing but the API itself: it needs no key."""
    setattr(view, _SCOPE, _OPEN)
    setattr(view, _BODY, 0)
    return view


def scope_of(view: Callable[..., Any]) -> str | None:
    """Return the scope that a view needs; "" for one that is open to all, None for one without a mark."""
    scope: str | None = getattr(view, _SCOPE, None)
    return scope


def body_limit(view: Callable[..., Any]) -> int:
    """Return how many bytes a request for a view may send."""
    limit: int = getattr(view, _BODY, 0)
    return limit


def the_key() -> ApiKey:
    """Return the key of this request."""
    key: ApiKey = g.api_key
    return key


class Access:
    """Checks the key of each request. clock: returns Unix seconds."""

    def __init__(self, sources: Sources, proxies: Proxies, clock: Callable[[], float] = time.time) -> None:
        self._sources = sources
        self._proxies = proxies
        self._clock = clock
        self._failures = Failures(clock)

    def check(self, app: Flask) -> None:
        """Check the key of the present request against its view's scope; keep it for `the_key`.

        Raises ApiError: 401, 403, or 429 after several wrong keys.
        """
        scope = scope_of(app.view_functions[request.endpoint or ""])
        if scope is None:
            raise ApiError(HTTPStatus.FORBIDDEN, "nobody may call this")
        if scope == _OPEN:
            return
        key = self._known(offered(request.headers.get("Authorization", "")))
        if scope not in key.scopes:
            raise ApiError(HTTPStatus.FORBIDDEN, f"this key has not the scope {scope}", param="scope")
        g.api_key = key

    def _known(self, text: str) -> ApiKey:
        """Return the key. A right one is accepted whatever came before from its address.

        Others may share that address, and a key cannot be guessed: waiting only spares this machine.
        """
        key = ApiKeys(self._sources.registry(), self._clock).find(text)
        client = self._proxies.client(request.remote_addr or "", request.headers.get("X-Forwarded-For"))
        address = truncated(client)
        if key is not None:
            self._failures.forget(address)
            return key
        if not text:
            raise ApiError(HTTPStatus.UNAUTHORIZED, "Unauthorized", _CHALLENGE, description=_HOW)
        wait = self._failures.wait(address)
        if wait > 0:
            after = {"Retry-After": str(int(wait) + 1)}
            raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, "too many wrong keys; wait a little", after)
        self._failures.add(address)
        raise ApiError(HTTPStatus.UNAUTHORIZED, "Unauthorized", _CHALLENGE, description=_HOW)


_HOW: Final = "`smtpapi apikey add` makes a key; it goes into the field Authorization"


def offered(field: str) -> str:
    """Return the key in an `Authorization` field, "" where there is none."""
    scheme, _, rest = field.strip().partition(" ")
    rest = rest.strip()
    if not rest:
        return scheme
    if scheme.lower() == "bearer":
        return rest
    if scheme.lower() == "basic":
        try:
            user, _, _ = base64.b64decode(rest, validate=True).decode("latin-1").partition(":")
        except binascii.Error:
            return rest
        return user
    return rest
