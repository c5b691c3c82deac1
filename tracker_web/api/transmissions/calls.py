"""The call `POST /transmissions`: the one that every application of SparkPost makes."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from flask import Response
from marshmallow import fields, validate

from tracker_web.api.access import needs, the_key
from tracker_web.api.blueprint import ApiBlueprint
from tracker_web.api.errors import ApiError, fail
from tracker_web.api.parsing import Body, Number, Parameters, Switch, Text
from tracker_web.api.transmissions.handing_in import Relay
from tracker_web.api.transmissions.request import transmission
from tracker_web.api.transmissions.sending import Sent, new_id, send
from tracker_web.web.sources import Sources

_ERRORS_SHOWN: Final = 10  # errors of single recipients in an answer, unless num_rcpt_errors says otherwise
_MOST_ERRORS_SHOWN: Final = 1000  # as many as a caller may ask for
_WAIT: Final = "5"  # seconds until the MTA may be back


def _text(description: str) -> Text:
    return Text(load_default=None, allow_none=True, metadata={"description": description})


def _switch(description: str) -> Switch:
    return Switch(load_default=None, allow_none=True, metadata={"description": description})


def _object(description: str) -> fields.Dict:
    return fields.Dict(
        keys=Text(),
        load_default=None,
        allow_none=True,
        metadata={"description": description},
        error_messages={"invalid": "must be an object"},
    )


def _inner(schema: type[Body]) -> fields.Nested:
    return fields.Nested(schema, load_default=None, allow_none=True)


class _Part(Body):
    name = _text("of the file, or the Content-ID of an image")
    type = _text("media type")
    data = _text("in base64")


class _Content(Body):
    sender = fields.Raw(
        data_key="from",
        attribute="from",
        load_default=None,
        metadata={"description": "a text, or an object with email and name"},
    )
    subject = _text("of the mail")
    text = _text("part for readers without HTML")
    html = _text("part in HTML")
    amp_html = _text("part in AMP")
    reply_to = _text("an address list")
    headers = _object("more header fields, names with values")
    attachments = fields.List(fields.Nested(_Part), load_default=None, allow_none=True)
    inline_images = fields.List(fields.Nested(_Part), load_default=None, allow_none=True)
    email_rfc822 = _text("a whole message, in the place of all the others")
    template_id = _text("422: there are no stored templates here")
    ab_test_id = _text("422: there are no A/B tests here")


class _Options(Body):
    open_tracking = _switch("whether opens are tracked")
    click_tracking = _switch("whether clicks are tracked")
    initial_open = _switch("whether the pixel at the top is there")
    transactional = _switch("whether the mail is transactional")
    skip_suppression = _switch("whether the suppression list is not asked")
    perform_substitutions = _switch("false: braces stay as they are")
    inline_css = _switch("422 if true: not offered here")
    start_time = _text("422: mail is sent at once")


class _Transmission(Body):
    recipients = fields.Raw(
        load_default=None,
        metadata={"description": "addresses, or objects with address, tags, metadata, substitution_data"},
    )
    content = _inner(_Content)
    options = _inner(_Options)
    campaign_id = _text("at most 64 bytes")
    description = _text("not kept")
    metadata = _object("told in events, of all recipients")
    substitution_data = _object("what the names in {{ }} stand for, of all recipients")
    return_path = _text("sender of the envelope; the author's address if not given")


class _ErrorLimit(Parameters):
    num_rcpt_errors = Number(
        load_default=_ERRORS_SHOWN,
        validate=validate.Range(0, _MOST_ERRORS_SHOWN, error="must be from {min} to {max}"),
        metadata={"description": "how many errors of single recipients are told"},
    )


_COUNT: Final = {"type": "integer"}
_RESULTS: Final = {
    "type": "object",
    "required": ["total_rejected_recipients", "total_accepted_recipients", "id"],
    "properties": {
        "total_rejected_recipients": _COUNT,
        "total_accepted_recipients": _COUNT,
        "id": {"type": "string", "description": "transmission_id of all its events"},
        "rcpt_to_errors": {"type": "array", "items": {"type": "object"}},
    },
}
_ANSWER: Final = {"type": "object", "required": ["results"], "properties": {"results": _RESULTS}}


def blueprint(sources: Sources, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> ApiBlueprint:
    """Return the call that sends mail."""
    topic = ApiBlueprint("transmissions", "Mail that applications hand in.")
    options = sources.settings.transmissions

    def relay() -> Relay:
        """Return the MTA that this key's mail goes to. Raises ApiError, 403."""
        if not options.enabled:
            fail(
                HTTPStatus.FORBIDDEN,
                "transmissions are off here: transmissions { enabled = true } allows them",
            )
        tenant = the_key().tenant
        if not tenant:
            return Relay(options.relay)
        if tenant not in options.tenant_relays:
            fail(
                HTTPStatus.FORBIDDEN, "no relay is set for this key's tenant: transmissions { tenant_relays }"
            )
        return Relay(options.tenant_relays[tenant])

    @topic.post("/transmissions")
    @needs("transmissions/modify", body=options.max_size)
    @topic.arguments(_ErrorLimit, location="query")
    @topic.arguments(_Transmission)
    @topic.response(HTTPStatus.OK, _ANSWER)
    def transmit(parameters: dict[str, Any], body: dict[str, Any]) -> Any:
        """Send a mail to each recipient, at once.

        Each gets a message of their own. Names in double braces are replaced by substitution data.
        """
        to = relay()
        checked = transmission({**body, **parameters}, options.max_recipients)
        number = new_id()
        return _answer(send(checked, to, number, now()), number, checked.errors_shown)

    return topic


def _answer(sent: Sent, number: str, errors_shown: int) -> Response | Mapping[str, Any]:
    """Return the answer: an error where nobody got mail, and not by their own wish. Raises ApiError, 503."""
    if sent.all_for_now:
        text = f"nothing was sent: {sent.answers[0].text}"
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, text, {"Retry-After": _WAIT})
    errors = [
        *({"message": text, "code": "1300"} for text in sent.wrong),
        *(
            {"message": f"{each.recipient}: {each.text}", "code": str(each.code)}
            for each in sent.answers
            if not each.taken
        ),
    ]
    results: dict[str, Any] = {
        "total_rejected_recipients": sent.rejected,
        "total_accepted_recipients": sent.accepted,
        "id": number,
    }
    if errors and errors_shown:
        results["rcpt_to_errors"] = errors[:errors_shown]
    if sent.accepted or not (sent.wrong or sent.refused):
        return {"results": results}
    first = {"message": "transmission created, but with validation errors", "code": "2000"}
    body = {"errors": [first | {"description": str(errors[0]["message"])}], "results": results}
    return Response(json.dumps(body), HTTPStatus.BAD_REQUEST, content_type="application/json")
