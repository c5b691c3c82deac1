"""Single messages: what became of one, what a link says, and what the filter would make of a mail.

The preview runs `smtpapi preview --json` as a process of its own. This program must not import the filter:
the two are strangers. And a mail from outside is read there within a limit of time: whatever it holds, it can
neither stop this program nor hold its threads.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, Final

from marshmallow import ValidationError, validate, validates_schema

from engagement.events.api_event import api_event
from engagement.events.field_values import timestamp
from engagement.links.described import describe
from engagement.links.keys import RingError
from engagement.links.ring_file import load_ring
from engagement.stores.port import EventStore, Query
from tracker_web.api.access import needs, the_key
from tracker_web.api.blueprint import ApiBlueprint
from tracker_web.api.errors import ApiError, fail
from tracker_web.api.parsing import Body, Many, Text
from tracker_web.web import log
from tracker_web.web.sources import Sources

_EVENTS: Final = 1000  # of one message that are shown; more of them are a robot's
_URLS: Final = 100  # of one request
_LONGEST_URL: Final = 8192  # characters; ours have at most 2,000, and gateways wrap them
_LARGEST_MAIL: Final = 2_097_152  # bytes: a mail with more is no template that somebody looks at
_TIME: Final = 15.0  # seconds for a preview; it takes half a second
_AT_ONCE: Final = 2  # previews
_RESULTS: Final = {"type": "object", "required": ["results"], "properties": {"results": {}}}
_COMMAND: Final = (sys.executable, "-c", "from smtpapi.commands import main; main()", "preview", "--json")
_FACTS: Final = (
    *("transmission_id", "campaign_id", "subject", "friendly_from", "msg_from", "rcpt_to", "rcpt_tags"),
    *("rcpt_meta", "customer_id", "injection_time", "x_message_id_header", "transactional"),
)


class _Links(Body):
    """Tracked URLs."""

    urls = Many(metadata={"description": f"tracked URLs, at most {_URLS}"})
    url = Text(metadata={"description": "one tracked URL"})

    @validates_schema
    def check(self, data: dict[str, Any], **_more: Any) -> None:
        """Check that there is one, and not too many. Raises ValidationError."""
        given = [*data.get("urls", ()), *([data["url"]] if "url" in data else ())]
        if not given:
            raise ValidationError("is required", "urls")
        if len(given) > _URLS or max(map(len, given)) > _LONGEST_URL:
            raise ValidationError(f"has at most {_URLS} URLs of at most {_LONGEST_URL} characters", "urls")


class _Mail(Body):
    """A mail, and the envelope that it would have."""

    email_rfc822 = Text(
        required=True,
        validate=validate.Length(1, _LARGEST_MAIL),
        metadata={"description": "the whole message, header and body"},
    )
    sender = Text(load_default="sender@example.test", metadata={"description": "envelope sender"})
    recipient = Text(load_default="recipient@example.test", metadata={"description": "envelope recipient"})

    @validates_schema
    def check(self, data: dict[str, Any], **_more: Any) -> None:
        """Check the addresses, which become arguments of a command. Raises ValidationError."""
        for name in ("sender", "recipient"):
            text = data.get(name, "")
            if len(text) > 254 or not text.isprintable():
                raise ValidationError("must be an address", name)


def blueprint(sources: Sources, clock: Callable[[], float] = time.time) -> ApiBlueprint:
    """Return the calls for single messages. clock: returns Unix seconds."""
    topic = ApiBlueprint("messages", "What became of a message, and what a link or a mail says.")
    turns = BoundedSemaphore(_AT_ONCE)

    @topic.get("/x/messages/<name>/timeline")
    @needs("messages/view")
    @topic.response(HTTPStatus.OK, _RESULTS)
    @topic.alt_response(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND.name)
    def timeline(name: str) -> Any:
        """Return what happened to one recipient's copy of a message, oldest first.

        Each event says who it was and by which rule; `x_past` are the labels that it had before.
        """
        store = sources.store()
        query = Query(messages=(name.lower(),), expired=True, tenant=the_key().tenant, limit=_EVENTS)
        events = list(store.find(query)) if len(name) == 32 else []
        if not events:
            fail(HTTPStatus.NOT_FOUND, "resource not found")
        return {"results": _timeline(store, events)}

    @topic.post("/x/links/decode")
    @needs("messages/view")
    @topic.arguments(_Links)
    @topic.response(HTTPStatus.OK, _RESULTS)
    def decode(arguments: dict[str, Any]) -> Any:
        """Return what tracked URLs hold: target, recipient, message, and when they expire."""
        try:
            ring = load_ring(Path(sources.settings.keys.ring))
        except RingError as error:
            log.page_failed(error)
            raise ApiError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "this program cannot read the key ring; `smtpapi decode` does the same where it can",
                {"Retry-After": "60"},
            ) from error
        urls = [*arguments.get("urls", ()), *([arguments["url"]] if "url" in arguments else ())]
        now, tenant = clock(), the_key().tenant
        return {"results": [{"url": url, **describe(url, ring, now, tenant)} for url in urls]}

    @topic.post("/x/preview")
    @needs("messages/preview", body=2 * _LARGEST_MAIL)
    @topic.arguments(_Mail)
    @topic.response(HTTPStatus.OK, _RESULTS)
    def preview(arguments: dict[str, Any]) -> Any:
        """Return what the filter would change in a mail, link by link, with the reason for each left alone.

        Nothing is sent and nothing is recorded.
        """
        if not turns.acquire(timeout=2):
            raise ApiError(
                HTTPStatus.SERVICE_UNAVAILABLE, "previews are being made; try again", {"Retry-After": "2"}
            )
        try:
            return {
                "results": _previewed(arguments["email_rfc822"], arguments["sender"], arguments["recipient"])
            }
        finally:
            turns.release()

    return topic


def _timeline(store: EventStore, events: list[dict[str, Any]]) -> dict[str, Any]:
    shown = []
    for event in reversed(events):
        made = dict(api_event(event))
        past = store.past_labels(event["event_id"]) if "x_client_class" in event else ()
        if past:
            made["x_past"] = [
                {
                    "class": each.label.client.value,
                    "reason": each.label.reason,
                    "until": timestamp(each.until_ms),
                }
                for each in past
            ]
        shown.append(made)
    known: dict[str, Any] = {}
    for made in shown:
        known |= {name: made[name] for name in _FACTS if name in made}
    return {"message_id": events[0]["message_id"], **known, "events": shown}


def _previewed(mail: str, sender: str, recipient: str) -> Any:
    """Return what the command says of a mail. Raises ApiError."""
    with tempfile.TemporaryDirectory(prefix="smtpapi-preview-") as folder:
        file = Path(folder) / "mail.eml"
        file.write_bytes(mail.encode("utf-8"))
        command = [*_COMMAND, f"--sender={sender}", f"--recipient={recipient}", "--", str(file)]
        try:
            done = subprocess.run(  # noqa: S603 - a fixed command, values behind =, a file behind --
                command, capture_output=True, timeout=_TIME, check=False, env=dict(os.environ), cwd=folder
            )
        except subprocess.TimeoutExpired:
            fail(HTTPStatus.UNPROCESSABLE_ENTITY, f"a preview of this mail took longer than {_TIME:g} s")
    if done.returncode != 0:
        log.page_failed(RuntimeError(f"preview: {done.stderr.decode('utf-8', 'replace')[-500:]}"))
        fail(
            HTTPStatus.UNPROCESSABLE_ENTITY, "no preview can be made of this mail; the program's log says why"
        )
    return json.loads(done.stdout)
