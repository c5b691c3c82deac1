"""The blueprint that every topic of the API is: flask-smorest's, with the errors that any call may end in.

A view is a function with `@blueprint.get("/path")`, then `@needs("scope")`, then `@blueprint.arguments(…)`
and `@blueprint.response(200, …)`. What it returns goes out as JSON; `errors.fail` ends it.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from http import HTTPStatus
from typing import Any, Final, TypeVar

import flask_smorest
import msgspec
from flask import Response
from marshmallow import Schema

from tracker_web.api.access import scope_of
from tracker_web.api.parsing import Parser

F = TypeVar("F", bound=Callable[..., Any])

NAMED: Final = "api-"  # how the names of all topics begin
SECURITY: Final = "key"  # the name of the way to send a key, in the document


class ApiBlueprint(flask_smorest.Blueprint):
    """One topic of the API."""

    ARGUMENTS_PARSER = Parser()

    def __init__(self, name: str, description: str) -> None:
        # The pages have topics of the same names.
        super().__init__(f"{NAMED}{name}", __name__, description=description, template_folder="templates")
        self._prepare_doc_cbks.append(self._add_errors)

    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: Callable[..., Any] | None = None,
        provide_automatic_options: bool | None = None,
        **options: Any,
    ) -> None:
        """Add a view, and write the scope that it needs into what describes it."""
        super().add_url_rule(rule, endpoint, view_func, provide_automatic_options, **options)
        if view_func is not None:
            scope = scope_of(view_func)
            for method in self._docs[self._endpoints[-1]]:
                if method != "parameters":
                    self._docs[self._endpoints[-1]][method]["scope"] = scope

    def response(
        self,
        status_code: int,
        schema: Schema | type[Schema] | Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Callable[[F], F]:
        """Describe what a view returns. schema: a JSON schema, too, for what goes out as it is."""
        described = super().response(status_code, schema, **options)

        def decorate(view: F) -> F:
            @wraps(view)
            def answer(*arguments: Any, **named: Any) -> Any:
                made = view(*arguments, **named)
                if isinstance(made, Response):
                    return made
                return Response(
                    msgspec.json.encode(made), status=status_code, content_type="application/json"
                )

            done: F = described(answer) if isinstance(schema, Mapping) else described(view)  # type: ignore[assignment] # called as the view is
            return done

        return decorate

    @staticmethod
    def _add_errors(doc: dict[str, Any], info: dict[str, Any], **_more: Any) -> dict[str, Any]:
        """Name the statuses that `access`, `gate` and `parsing` answer, beside those of the view."""
        statuses = [HTTPStatus.REQUEST_URI_TOO_LONG, HTTPStatus.SERVICE_UNAVAILABLE]
        if info.get("scope"):
            doc["security"] = [{SECURITY: [info["scope"]]}]
            statuses += [HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS]
        else:
            doc["security"] = []
        if doc.get("parameters"):
            statuses.append(HTTPStatus.BAD_REQUEST)
        responses = doc.setdefault("responses", {})
        if "requestBody" in doc:
            statuses += [
                HTTPStatus.BAD_REQUEST,
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            ]
        else:
            responses.pop(HTTPStatus.UNPROCESSABLE_ENTITY, None)
        known = {int(status) for status in responses if str(status).isdigit()}
        for status in statuses:
            if int(status) not in known:
                responses[int(status)] = status.name
        return doc
