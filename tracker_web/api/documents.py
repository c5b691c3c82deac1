"""What describes the API: the OpenAPI document, and a page of it for people. No data is in them."""

import json
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from flask import Response, current_app, render_template

from tracker_web.api.access import open_to_all
from tracker_web.api.blueprint import NAMED, ApiBlueprint
from tracker_web.web.sources import Sources

SPEC: Final = "smtpapi_openapi"  # where an application keeps the document (Flask.extensions)
ABOUT: Final = (
    "Events, figures, webhooks and more of the mail that smtpapi tracks, as clients of SparkPost speak it. "
    "Each call names the scope that its key must have."
)
KEY: Final = (
    "The key itself, `Bearer KEY`, or the key as the user name of Basic with an empty password. "
    "`smtpapi apikey add` makes one."
)
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_STYLE: Final = Path(__file__).with_name("static") / "docs.css"


def blueprint(_sources: Sources) -> ApiBlueprint:
    """Return the calls that describe the others."""
    topic = ApiBlueprint("documents", "What describes this API.")

    @topic.get("/openapi.json")
    @open_to_all
    @topic.response(HTTPStatus.OK, {"type": "object"}, description="OpenAPI 3.1")
    def openapi() -> Response:
        """Return this document."""
        return Response(_document(current_app.extensions[SPEC]), content_type="application/json")

    @topic.get("/docs")
    @open_to_all
    @topic.response(HTTPStatus.OK, {"type": "string"}, content_type="text/html")
    def docs() -> Response:
        """Return this document as a page."""
        page = render_template("api_docs.html", spec=_spec(current_app.extensions[SPEC]), calls=_calls)
        return Response(page, content_type="text/html; charset=utf-8")

    @topic.get("/docs.css")
    @open_to_all
    @topic.response(HTTPStatus.OK, {"type": "string"}, content_type="text/css")
    def style() -> Response:
        """Return the page's style."""
        return Response(_STYLE.read_bytes(), content_type="text/css; charset=utf-8")

    return topic


@cache
def _spec(spec: Any) -> dict[str, Any]:
    made: dict[str, Any] = spec.to_dict()
    return made


@cache
def _document(spec: Any) -> bytes:
    return json.dumps(_spec(spec)).encode()


def _calls(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the calls in the order of their topics and paths, each with what its template shows."""
    found = []
    for path, operations in spec["paths"].items():
        for method in _METHODS:
            if method in operations:
                call = operations[method]
                content = call.get("requestBody", {}).get("content", {}).get("application/json", {})
                security = call.get("security") or [{}]
                found.append(
                    {
                        "method": method.upper(),
                        "path": path,
                        "topic": call["tags"][0].removeprefix(NAMED),
                        "summary": call.get("summary", ""),
                        "description": call.get("description", ""),
                        "scope": " ".join(
                            scope for each in security for scopes in each.values() for scope in scopes
                        ),
                        "parameters": [*operations.get("parameters", ()), *call.get("parameters", ())],
                        "body": _members(spec, content.get("schema", {})),
                        "statuses": sorted(call["responses"], key=str),
                    }
                )
    return sorted(found, key=lambda call: str(call["topic"]))


def _members(spec: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a body's object, with one reference followed."""
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    if name:
        schema = spec["components"]["schemas"][name]
    members: dict[str, Any] = dict(schema.get("properties", {}))
    return members
