"""What is stored about one recipient, its erasure, and SparkPost's data privacy calls (contract.md 8.7)."""

import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from marshmallow import validate

from engagement.domain_names import spellings
from engagement.erasures.requests import ErasureRequest, ErasureRequests
from engagement.events.api_event import api_event
from engagement.events.field_values import timestamp
from engagement.objections import ObjectionsError, add
from engagement.stores.port import MAX_LIMIT
from tracker_web.api.access import needs, the_key
from tracker_web.api.blueprint import ApiBlueprint
from tracker_web.api.errors import ApiError, fail
from tracker_web.api.events.filters import Filters
from tracker_web.api.events.paging import CursorError, packed, page, unpacked
from tracker_web.api.parsing import Body, Many, Number, Parameters, Switch, Text
from tracker_web.web import log
from tracker_web.web.sources import Sources

MOST: Final = 1000  # recipients of one request (contract.md 8.7)
_LONGEST: Final = 254  # characters of an address (RFC 5321 4.5.3.1.3)
_FAR_MS: Final = 1 << 48  # later than any event
_SAVED: Final = "Request saved."
_RESULTS: Final = {"type": "object", "required": ["results"], "properties": {"results": {"type": "object"}}}
_EVENTS: Final = {
    "type": "object",
    "required": ["results", "links"],
    "properties": {
        "results": {"type": "array", "items": {"type": "object"}},
        "links": {"type": "object"},
        "total_count": {"type": "integer"},
    },
}


class _Export(Parameters):
    """Which page of an export."""

    cursor = Text(load_default="initial", metadata={"description": "of the next page"})
    per_page = Number(
        load_default=1000,
        validate=validate.Range(1, MAX_LIMIT, error="must be from {min} to {max}"),
        metadata={"description": "events of a page"},
    )


class _Recipients(Body):
    """Whom a request is about."""

    recipients = Many(required=True, metadata={"description": f"addresses, at most {MOST}"})
    include_subaccounts = Switch(load_default=False, metadata={"description": "changes nothing here"})


def address(text: str) -> str:
    """Return an address in lower case. Raises ValueError for what is none."""
    local, _, domain = text.rpartition("@")
    if not local or not domain or len(text) > _LONGEST or " " in domain or not text.isprintable():
        raise ValueError("invalid email address")
    return text.lower()


def blueprint(sources: Sources, clock: Callable[[], float] = time.time) -> ApiBlueprint:
    """Return the calls for one recipient, and for privacy. clock: returns Unix seconds."""
    topic = ApiBlueprint("recipients", "What is stored about a recipient, and its end.")

    def checked(text: str) -> str:
        """Return the address in a path. Raises ApiError."""
        try:
            return address(text)
        except ValueError as error:
            fail(HTTPStatus.BAD_REQUEST, str(error), recipient=text)

    def every(arguments: dict[str, Any]) -> list[str]:
        """Return the addresses of a body. Raises ApiError."""
        if len(arguments["recipients"]) > MOST:
            fail(HTTPStatus.BAD_REQUEST, f"Exceeded maximum number of recipients ({MOST})")
        if not arguments["recipients"]:
            fail(HTTPStatus.BAD_REQUEST, "'recipients' is required", param="recipients")
        return [checked(text) for text in arguments["recipients"]]

    def requests() -> ErasureRequests:
        return ErasureRequests(sources.registry(), clock)

    @topic.get("/x/recipients/<path:recipient>")
    @needs("recipients/view")
    @topic.arguments(_Export, location="query")
    @topic.response(HTTPStatus.OK, _EVENTS)
    @topic.alt_response(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND.name)  # a line feed is in no path
    @topic.alt_response(HTTPStatus.BAD_REQUEST, HTTPStatus.BAD_REQUEST.name)
    def export(arguments: dict[str, Any], recipient: str) -> Any:
        """Return every stored event of messages to an address, newest first (GDPR 15 and 20)."""
        try:
            after = None if arguments["cursor"] in ("", "initial") else unpacked(arguments["cursor"])
        except CursorError as error:
            fail(HTTPStatus.BAD_REQUEST, f"'cursor' {error}", param="cursor")
        filters = Filters(0, _FAR_MS, recipients=spellings(checked(recipient)), x_expired=True)
        if after is not None and after.filters != filters:
            fail(HTTPStatus.BAD_REQUEST, "'cursor' is of another recipient", param="cursor")
        found = page(sources.store(), filters, the_key().tenant, arguments["per_page"], after)
        links = {}
        if found.next:
            path = f"/api/v1/x/recipients/{quote(recipient, safe='')}"
            links["next"] = f"{path}?cursor={packed(found.next)}&per_page={arguments['per_page']}"
        return {
            "results": [api_event(event) for event in found.events],
            "total_count": found.total,
            "links": links,
        }

    @topic.delete("/x/recipients/<path:recipient>")
    @needs("recipients/modify")
    @topic.response(HTTPStatus.ACCEPTED, _RESULTS)
    @topic.alt_response(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND.name)
    @topic.alt_response(HTTPStatus.BAD_REQUEST, HTTPStatus.BAD_REQUEST.name)
    def erase(recipient: str) -> Any:
        """Ask for the erasure of an address: every stored event of messages to it (GDPR 17).

        The shipper does it as soon as nothing of the address waits in the spool, mostly within two minutes.
        """
        (name,) = requests().ask([checked(recipient)], the_key().tenant)
        return {"results": {"message": _SAVED, "id": name}}

    @topic.get("/x/erasures/<name>")
    @needs("recipients/view")
    @topic.response(HTTPStatus.OK, _RESULTS)
    @topic.alt_response(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND.name)
    def erasure(name: str) -> Any:
        """Return how far a request to erase is."""
        found = requests().get(name, the_key().tenant)
        if found is None:
            fail(HTTPStatus.NOT_FOUND, "resource not found")
        return {"results": _shown(found)}

    @topic.post("/data-privacy/rtbf-request")
    @needs("recipients/modify")
    @topic.arguments(_Recipients)
    @topic.response(HTTPStatus.OK, _RESULTS)
    def forget(arguments: dict[str, Any]) -> Any:
        """Ask for the erasure of addresses: the right to be forgotten."""
        names = requests().ask(every(arguments), the_key().tenant)
        return {"results": {"message": _SAVED, "x_ids": list(names)}}

    @topic.post("/data-privacy/opt-out-request")
    @needs("recipients/modify")
    @topic.arguments(_Recipients)
    @topic.response(HTTPStatus.OK, _RESULTS)
    def opt_out(arguments: dict[str, Any]) -> Any:
        """Put addresses on the list of objections: nothing of them is recorded from now on."""
        recipients = every(arguments)
        listed = sources.settings.privacy.objections
        if not listed:
            fail(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "there is no list of objections: name one in privacy { objections }",
            )
        try:
            add(Path(listed), recipients)
        except ObjectionsError as error:
            log.page_failed(error)
            raise ApiError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "the list of objections cannot be written",
                {"Retry-After": "60"},
            ) from error
        except ValueError as error:
            fail(HTTPStatus.BAD_REQUEST, f"invalid email address: {error}")
        return {"results": {"message": _SAVED}}

    return topic


def _shown(request: ErasureRequest) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": request.id,
        "asked": timestamp(request.requested_ms),
        "done": bool(request.done_ms),
    }
    if request.done_ms:
        made |= {"done_at": timestamp(request.done_ms), "events": request.events}
    return made
