"""Reads what a request asks for: lists in their three spellings, old names, JSON without surprises.

Unexpected parameters and members are ignored (contract.md 8.1). A schema for parameters is a `Parameters`,
one for a body a `Body`.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar, Final, NoReturn

import marshmallow
from flask import Request
from webargs.flaskparser import FlaskParser
from webargs.multidictproxy import MultiDictProxy
from werkzeug.datastructures import MultiDict

from tracker_web.api.errors import fail

_LONGEST_DELIMITER: Final = 5  # characters; guess: one is what anybody uses

_MESSAGES: Final = {"required": "is required", "null": "must not be null"}


class Body(marshmallow.Schema):
    """A JSON object; members that are not declared are ignored."""

    class Meta:
        """What marshmallow does by default."""

        unknown = marshmallow.EXCLUDE


class Parameters(Body):
    """The parameters of a query. aliases: older names, each with the one it stands for."""

    aliases: ClassVar[Mapping[str, str]] = {}


class Text(marshmallow.fields.String):
    """A text."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("error_messages", _MESSAGES | {"invalid": "must be a string"})
        super().__init__(**options)


class Number(marshmallow.fields.Integer):
    """A whole number."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("error_messages", _MESSAGES | {"invalid": "must be an integer"})
        super().__init__(**options)


class Switch(marshmallow.fields.Boolean):
    """A truth value."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("error_messages", _MESSAGES | {"invalid": "must be a boolean"})
        super().__init__(**options)


class Many(marshmallow.fields.List[Any]):
    """A list of texts: `a,b`, repeated, or `a[]`; `delimiter` names another separator."""

    def __init__(self, inner: marshmallow.fields.Field[Any] | None = None, **options: Any) -> None:
        options.setdefault("error_messages", _MESSAGES | {"invalid": "must be a list"})
        super().__init__(inner or Text(), **options)


def list_in_query(_: Any, field: marshmallow.fields.Field[Any], **_more: Any) -> dict[str, Any]:
    """Return what the document says of a list's spelling; for apispec."""
    return {"explode": False, "style": "form"} if isinstance(field, Many) else {}


class Parser(FlaskParser):
    """The parser of all blueprints."""

    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {
        **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
        "json": marshmallow.EXCLUDE,
    }

    def load_querystring(self, req: Request, schema: marshmallow.Schema) -> MultiDictProxy:
        """Return the query's parameters, with lists taken apart."""
        delimiter = req.args.get("delimiter", ",")[:_LONGEST_DELIMITER] or ","
        aliases = getattr(schema, "aliases", {})
        lists = {field.data_key or name for name, field in schema.fields.items() if isinstance(field, Many)}
        found: MultiDict[str, str] = MultiDict()
        for given, value in req.args.items(multi=True):
            name = given.removesuffix("[]")
            name = aliases.get(name, name)
            if name not in lists:
                found.add(given if name not in schema.fields else name, value)
                continue
            for part in value.split(delimiter):
                if part.strip():
                    found.add(name, part.strip())
        proxy: MultiDictProxy = self._makeproxy(found, schema)
        return proxy

    def load_json(self, req: Request, _schema: marshmallow.Schema) -> Any:
        """Return the body's JSON, an empty object where there is no body. Raises ApiError."""
        raw = req.get_data(cache=True)
        return read_json(raw) if raw.strip() else {}

    def handle_error(
        self,
        error: marshmallow.ValidationError,
        req: Request,
        schema: marshmallow.Schema,
        *,
        error_status_code: int | None,
        error_headers: Mapping[str, str] | None,
    ) -> NoReturn:
        """Hand on what was found wrong, to be answered by `errors.answer`. Raises HTTPException."""
        super().handle_error(
            error, req, schema, error_status_code=error_status_code, error_headers=error_headers
        )


def read_json(raw: bytes) -> Any:
    """Return the value in a body. Raises ApiError, 400, for what is no JSON in UTF-8 (RFC 8259)."""
    try:
        value = json.loads(raw.decode("utf-8-sig"), parse_constant=_no_constant)
        if b"\\u" in raw:
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # half a surrogate pair could not be stored
    except (ValueError, RecursionError) as error:
        where = f" at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        fail(HTTPStatus.BAD_REQUEST, f"Request body parsing failed{where}: the body must be JSON in UTF-8")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)
