"""Puts the API into the application of `smtpapi web`: blueprints, their document, the checks before them.

The order of the checks: a path that there is and a method that it has (404, 405), the key (401, 403, 429),
the media type and the length of the body (415, 413), before a byte of it is read; then the view.
"""

from collections.abc import Callable
from http import HTTPStatus
from importlib.metadata import version
from typing import Final

import flask_smorest
from flask import Flask, Response, request

from tracker_web.api import documents
from tracker_web.api.access import Access, body_limit
from tracker_web.api.blueprint import SECURITY, ApiBlueprint
from tracker_web.api.errors import Errors, fail
from tracker_web.api.events import calls as events
from tracker_web.api.metrics import calls as metrics
from tracker_web.api.parsing import list_in_query
from tracker_web.api.topics import messages, recipients, suppression, tracking_domains, webhooks
from tracker_web.api.transmissions import calls as transmissions
from tracker_web.links.client_address import Proxies
from tracker_web.web.front.unread_body import limit_body
from tracker_web.web.guard import is_api
from tracker_web.web.sources import Sources

PREFIX: Final = "/api/v1"
_JSON: Final = "application/json"

# One line for each topic.
_TOPICS: Final[tuple[Callable[[Sources], ApiBlueprint], ...]] = (
    documents.blueprint,
    events.blueprint,
    messages.blueprint,
    metrics.blueprint,
    recipients.blueprint,
    suppression.blueprint,
    tracking_domains.blueprint,
    webhooks.blueprint,
    transmissions.blueprint,
)  # fmt: skip


class _Api(flask_smorest.Api):
    """flask-smorest, without its own answers to errors."""

    ERROR_SCHEMA = Errors
    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_error_handlers(self) -> None:
        """Leave errors to the application, which distinguishes pages from API."""


def register(app: Flask, sources: Sources, proxies: Proxies) -> None:
    """Add every topic, and the checks before them. proxies: whose X-Forwarded-For counts."""
    app.config |= {
        "API_TITLE": "smtpapi",
        "API_VERSION": version("smtpapi-engagement"),
        "OPENAPI_VERSION": "3.1.0",
    }
    app.json.sort_keys = False  # type: ignore[attr-defined] # Flask's own provider has it
    app.url_map.merge_slashes = False  # a redirect would lose the key, and be HTML
    api = _Api(app, spec_kwargs={"info": {"description": documents.ABOUT}, "servers": [{"url": "/"}]})
    api.spec.components.security_scheme(
        SECURITY, {"type": "apiKey", "in": "header", "name": "Authorization", "description": documents.KEY}
    )
    api.ma_plugin.converter.add_parameter_attribute_function(list_in_query)
    for topic in _TOPICS:
        api.register_blueprint(topic(sources), url_prefix=PREFIX)
    app.extensions[documents.SPEC] = api.spec
    access = Access(sources, proxies)

    @app.before_request
    def before() -> Response | None:
        """Check a request for the API, in the order above. Raises HTTPException, ApiError."""
        if not is_api(request.path):
            return None
        if request.method == "OPTIONS" and request.url_rule is not None:
            adapter = app.create_url_adapter(request)
            allowed = adapter.allowed_methods() if adapter else ()  # of all rules of this path
            return Response(status=HTTPStatus.NO_CONTENT, headers={"Allow": ", ".join(sorted(allowed))})
        if request.routing_exception is not None:
            raise request.routing_exception
        access.check(app)
        _check_body(body_limit(app.view_functions[request.endpoint or ""]))
        return None

    @app.after_request
    def after(response: Response) -> Response:
        """Take the body's type from an answer that has no body."""
        if is_api(request.path) and response.status_code == HTTPStatus.NO_CONTENT:
            response.set_data(b"")
            response.headers.pop("Content-Type", None)
        return response


def _check_body(limit: int) -> None:
    """Check type and length of the body that is announced. Raises ApiError."""
    chunked = "chunked" in request.headers.get("Transfer-Encoding", "").lower()
    if not chunked and not request.content_length:
        return
    if request.method in ("GET", "HEAD"):
        return  # its body is not read
    if request.mimetype != _JSON:
        fail(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the body must be sent as Content-Type: {_JSON}")
    if (request.content_length or 0) > limit:
        fail(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {limit} bytes here")
    request.max_content_length = limit  # of a body whose length was not announced
    limit_body(request.environ, limit)
