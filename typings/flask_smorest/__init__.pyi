"""What the product uses of flask-smorest, which has no types of its own."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

import flask
from marshmallow import Schema
from webargs.flaskparser import FlaskParser

F = TypeVar("F", bound=Callable[..., Any])

class Blueprint(flask.Blueprint):
    ARGUMENTS_PARSER: ClassVar[FlaskParser]
    _docs: dict[str, dict[str, Any]]
    _endpoints: list[str]
    _prepare_doc_cbks: list[Callable[..., dict[str, Any]]]

    def __init__(
        self, name: str, import_name: str, *, description: str = ..., template_folder: str = ...
    ) -> None: ...
    def arguments(
        self,
        schema: Schema | type[Schema],
        *,
        location: str = ...,
        required: bool = ...,
        description: str | None = ...,
        example: Any = ...,
        examples: Mapping[str, Any] | None = ...,
        error_status_code: int = ...,
    ) -> Callable[[F], F]: ...
    def response(
        self,
        status_code: int,
        schema: Schema | type[Schema] | Mapping[str, Any] | None = ...,
        *,
        content_type: str | None = ...,
        description: str | None = ...,
        example: Any = ...,
        examples: Mapping[str, Any] | None = ...,
        headers: Mapping[str, Any] | None = ...,
    ) -> Callable[[F], F]: ...
    def alt_response(
        self,
        status_code: int,
        response: str | None = ...,
        *,
        schema: Schema | type[Schema] | Mapping[str, Any] | None = ...,
        description: str | None = ...,
        example: Any = ...,
        success: bool = ...,
    ) -> Callable[[F], F]: ...
    @staticmethod
    def doc(**kwargs: Any) -> Callable[[F], F]: ...

class Api:
    ERROR_SCHEMA: ClassVar[type[Schema]]
    DEFAULT_ERROR_RESPONSE_NAME: ClassVar[str | None]
    spec: Any
    ma_plugin: Any

    def __init__(self, app: flask.Flask, *, spec_kwargs: Mapping[str, Any] | None = ...) -> None: ...
    def register_blueprint(self, blp: Blueprint, *, url_prefix: str = ...) -> None: ...
