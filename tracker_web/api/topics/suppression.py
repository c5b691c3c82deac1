"""The calls of `/suppression-list`: who gets no more mail of a type (contract.md 8.5, docs/suppression.md).

Bodies are read as clients write them: `email` for `recipient`, the two old booleans for `type`. `links` is a
list, as every client reads it here. A key sees and changes the entries of its tenant.
"""

import base64
import binascii
import os
import threading
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

import marshmallow
from flask import Response, request
from marshmallow import validate

from engagement.settings.option_types.mail import is_list_id
from engagement.suppression import book
from engagement.suppression.book import ComplianceError, Search
from engagement.suppression.index import CursorError, Order, SuppressionIndex
from engagement.suppression.model import BadEntryError, Entry, MailKind, Source
from engagement.suppression.reading import WRONG_TYPE, entries_of, shown, types_of
from tracker_web.api.access import needs, the_key
from tracker_web.api.blueprint import ApiBlueprint
from tracker_web.api.errors import fail
from tracker_web.api.moments import Moment, unix_ms
from tracker_web.api.parsing import Body, Many, Number, Parameters, Switch, Text
from tracker_web.web.sources import Sources

_MOST: Final = 10_000  # entries of one body and of one page, and as far as pages are counted
_BULK: Final = 50 * 1_048_576  # bytes of a body with many entries
_NAMED: Final = 20  # faulty recipients that an answer names
_WRONG_SOURCE: Final = "'sources' must be of: " + ", ".join(source.value for source in Source)
_WRONG_LIST: Final = "'list_id' must have 1 to 255 letters, digits, '-', '_' and '.'"


class _Entry(Body):
    """An entry. Every member is checked where it is read, since clients write them in several ways."""

    type = marshmallow.fields.Raw(metadata={"description": "transactional or non_transactional"})
    transactional = marshmallow.fields.Raw(metadata={"description": "older: true for this type"})
    non_transactional = marshmallow.fields.Raw(metadata={"description": "older: true for this type"})
    description = marshmallow.fields.Raw(metadata={"description": "why, for people"})
    list_id = marshmallow.fields.Raw(metadata={"description": "of one list's mail alone"})


class _Entries(Body):
    """Many entries, each with its recipient."""

    recipients = marshmallow.fields.List(
        marshmallow.fields.Raw(), required=True, metadata={"description": "at most 10,000 entries"}
    )


class _Type(Body):
    """Which entries to remove."""

    type = marshmallow.fields.Raw(metadata={"description": "of this type; of both without it"})


class _ListId(Parameters):
    """Of which list."""

    list_id = Text(metadata={"description": "of that list; empty: of none; not given: of all"})


class _Page(Parameters):
    """The parameters of a page."""

    aliases: ClassVar[Mapping[str, str]] = {"limit": "per_page"}
    types = Many(load_default=(), metadata={"description": "transactional, non_transactional"})
    cursor = Text(load_default="initial", metadata={"description": "of the next page, from links"})
    per_page = Number(
        load_default=1000, validate=validate.Range(1, _MOST, error="must be from {min} to {max}")
    )
    page = Number(load_default=1, validate=validate.Range(1, _MOST, error="must be from {min} to {max}"))


class _Search(_Page):
    """The parameters of a search."""

    since = Moment(data_key="from", metadata={"description": "changed from then on"})
    to = Moment(metadata={"description": "changed before then"})
    domain = Text(load_default="", metadata={"description": "of recipients"})
    sources = Many(load_default=(), metadata={"description": "sources of entries"})
    description = Text(load_default="", metadata={"description": "a text in it"})
    description_strict = Switch(load_default=False, metadata={"description": "the whole description"})
    list_id = Text(metadata={"description": "of that list; empty: of none"})
    sort = Text(
        load_default="",
        validate=validate.OneOf([each.value for each in Order], error="must be asc or desc"),
        metadata={"description": "by the time of the last change; without it by recipient"},
    )


_RESULT: Final = {"type": "object", "required": ["recipient", "type", "source"]}
_FOUND: Final = {
    "type": "object",
    "required": ["results", "links", "total_count"],
    "properties": {
        "results": {"type": "array", "items": _RESULT},
        "links": {"type": "array", "items": {"type": "object"}},
        "total_count": {"type": "integer"},
    },
}
_DONE: Final = {"type": "object", "properties": {"results": {"type": "object"}}}


class _Index:
    """The index of this process, made when it is first asked for: not before a fork."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._lock = threading.Lock()
        self._process = 0
        self._made: SuppressionIndex | None = None

    def __call__(self) -> SuppressionIndex:
        with self._lock:
            if self._made is None or self._process != os.getpid():
                self._made = SuppressionIndex(self._sources.registry)
                self._process = os.getpid()
            return self._made


def blueprint(sources: Sources) -> ApiBlueprint:
    """Return the calls of the suppression list."""
    topic = ApiBlueprint("suppression list", "Who gets no more mail of a type.")
    index = _Index(sources)

    @topic.get("/suppression-list")
    @needs("suppression/view")
    @topic.arguments(_Search, location="query")
    @topic.response(HTTPStatus.OK, _FOUND)
    def search(arguments: dict[str, Any]) -> Any:
        """Return the entries that fit."""
        return _page(index(), _search_of(arguments), arguments, Order(arguments["sort"]))

    @topic.get("/suppression-list/summary")
    @needs("suppression/view")
    @topic.response(HTTPStatus.OK, _DONE)
    def summary() -> Any:
        """Return how many entries of each source there are."""
        counts = index().summary(the_key().tenant)
        results = {source.value.lower().replace(" ", "_"): count for source, count in counts.items()}
        return {"results": results | {"total": sum(results.values())}}

    @topic.get("/suppression-list/<path:recipient>")
    @needs("suppression/view")
    @topic.arguments(_Page, location="query")
    @topic.response(HTTPStatus.OK, _FOUND)
    @topic.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    def one(arguments: dict[str, Any], recipient: str) -> Any:
        """Return the entries of one recipient."""
        types = _types(arguments["types"])
        there = book.get(sources.registry(), recipient, the_key().tenant)
        entries = [each for each in there if not types or each.type in types]
        if not entries:
            fail(HTTPStatus.NOT_FOUND, "Recipient could not be found")
        begin = (arguments["page"] - 1) * arguments["per_page"]
        some = entries[begin : begin + arguments["per_page"]]
        return {"results": list(map(shown, some)), "links": [], "total_count": len(entries)}

    @topic.put("/suppression-list")
    @needs("suppression/modify", body=_BULK)
    @topic.arguments(_Entries)
    @topic.response(HTTPStatus.OK, _DONE)
    def put_many(body: dict[str, Any]) -> Any:
        """Add entries, or change those that are there. After a 503 send all again."""
        entries = _entries(body["recipients"], the_key().tenant)
        book.add_many(sources.registry(), entries)
        return {"results": {"message": "Suppression List successfully updated"}}

    @topic.put("/suppression-list/<path:recipient>")
    @needs("suppression/modify")
    @topic.arguments(_Entry)
    @topic.response(HTTPStatus.OK, _DONE)
    def put_one(body: dict[str, Any], recipient: str) -> Any:
        """Add the entries of one recipient, or change those that are there."""
        try:
            entries = entries_of(body | {"recipient": recipient}, tenant=the_key().tenant)
        except BadEntryError as error:
            fail(HTTPStatus.BAD_REQUEST, str(error))
        for entry in entries:
            book.add(sources.registry(), entry)
        return {"results": {"message": "Suppression list successfully updated"}}

    @topic.delete("/suppression-list/<path:recipient>")
    @needs("suppression/modify")
    @topic.arguments(_ListId, location="query")
    @topic.arguments(_Type, required=False)
    @topic.response(HTTPStatus.NO_CONTENT)
    @topic.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    def remove(arguments: dict[str, Any], body: dict[str, Any], recipient: str) -> Any:
        """Remove entries of one recipient."""
        types = tuple(MailKind)
        if any(body.get(name) not in (None, "") for name in ("type", *MailKind)):
            try:
                types = types_of(body)
            except BadEntryError as error:
                fail(HTTPStatus.BAD_REQUEST, str(error))
        list_id = _list_id(arguments)
        try:
            gone = book.remove(
                sources.registry(), recipient, types=types, list_id=list_id, tenant=the_key().tenant
            )
        except ComplianceError as error:
            fail(HTTPStatus.FORBIDDEN, str(error))
        if not gone:
            fail(HTTPStatus.NOT_FOUND, "Recipient could not be found")
        return Response(status=HTTPStatus.NO_CONTENT)

    return topic


def _entries(members: list[Any], tenant: str) -> list[Entry]:
    """Return what the objects of a body stand for. Raises ApiError where one stands for nothing."""
    if not members or len(members) > _MOST:
        fail(HTTPStatus.BAD_REQUEST, f"'recipients' must have 1 to {_MOST} entries", param="recipients")
    found: list[Entry] = []
    wrong: list[str] = []
    fault = ""
    for each in members:
        try:
            if not isinstance(each, dict):
                raise BadEntryError("an entry must be an object")
            found += entries_of(each, tenant=tenant)
        except BadEntryError as error:
            fault = fault or str(error)
            named = each.get("recipient") or each.get("email") if isinstance(each, dict) else each
            wrong.append(str(named)[:254])
    if wrong:
        names = ", ".join(wrong[:_NAMED]) + (", …" if len(wrong) > _NAMED else "")
        message = f"PUT body contains {len(wrong)} invalid or malformed recipient(s): {names}"
        fail(HTTPStatus.BAD_REQUEST, message, description=fault)
    return found


def _page(index: SuppressionIndex, search: Search, arguments: Mapping[str, Any], order: Order) -> Any:
    """Return a page of a search, by cursor or by number. Raises ApiError."""
    size, number = arguments["per_page"], arguments["page"]
    if size * number > _MOST and number > 1:
        fail(HTTPStatus.BAD_REQUEST, f"'page' leads beyond {_MOST} results; follow links", param="page")
    try:
        cursor = _unpacked(arguments["cursor"])
        listed = index.find(search, order, cursor, size * number)
    except CursorError as error:
        fail(HTTPStatus.BAD_REQUEST, str(error), param="cursor")
    some = listed.entries[size * (number - 1) :]
    links = [{"href": _next(listed.cursor), "rel": "next"}] if listed.cursor else []
    return {"results": list(map(shown, some)), "links": links, "total_count": listed.total}


def _next(cursor: str) -> str:
    """Return the path of the next page: this request's, with another cursor."""
    packed = base64.urlsafe_b64encode(cursor.encode()).decode()
    remaining = [
        (name, value) for name, value in request.args.items(multi=True) if name not in ("cursor", "page")
    ]
    return f"/api/v1/suppression-list?{urlencode([*remaining, ('cursor', packed)])}"


def _unpacked(text: str) -> str:
    if text in ("", "initial"):
        return ""
    try:
        return base64.b64decode(text.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError) as error:
        raise CursorError("'cursor' is not one of this list") from error


def _search_of(arguments: Mapping[str, Any]) -> Search:
    """Return the search that parameters stand for. Raises ApiError."""
    known = {source.value.lower().replace(" ", "_"): source for source in Source}
    names = [each.strip().lower().replace(" ", "_") for each in arguments["sources"]]
    if not known.keys() >= set(names):
        fail(HTTPStatus.BAD_REQUEST, _WRONG_SOURCE, param="sources")
    return Search(
        the_key().tenant,
        _types(arguments["types"]),
        frozenset(known[name] for name in names),
        arguments["domain"],
        arguments["description"],
        arguments["description_strict"],
        _list_id(arguments),
        unix_ms(arguments["since"]) if "since" in arguments else None,
        unix_ms(arguments["to"]) if "to" in arguments else None,
    )


def _types(names: list[str]) -> frozenset[MailKind]:
    try:
        return frozenset(MailKind(name.strip().lower()) for name in names)
    except ValueError:
        fail(HTTPStatus.BAD_REQUEST, WRONG_TYPE, param="types")


def _list_id(arguments: Mapping[str, Any]) -> str | None:
    text: str | None = arguments.get("list_id")
    if text and not is_list_id(text):
        fail(HTTPStatus.BAD_REQUEST, _WRONG_LIST, param="list_id")
    return text
