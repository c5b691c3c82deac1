"""From the JSON of a request to a checked `Transmission`, with SparkPost's words for what is wrong.

What is not offered here (templates, recipient lists, A/B tests, schedules) is refused, never left out
silently: an application would believe that it was done.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, NoReturn

from tracker_web.api.errors import fail
from tracker_web.api.transmissions.addresses import AddressError, has_control, mailbox, one_mailbox
from tracker_web.api.transmissions.model import Fields, Part, Recipient, Rfc822, Transmission
from tracker_web.api.transmissions.rfc822_message import prepared
from tracker_web.api.transmissions.substitution import StatementError, Template, template

_FIELD_NAME: Final = re.compile(r"[!-9;-~]{1,76}")
_MEDIA_TYPE: Final = re.compile(r"[\w.+-]+/[\w.+-]+(?:\s*;.*)?", re.ASCII)
# They have members of their own; SparkPost leaves them out of content.headers, too.
_ELSEWHERE: Final = frozenset({"from", "subject", "to", "reply-to", "bcc"})
_OURS: Final = frozenset({"mime-version", "received", "return-path", "x-msys-api", "delivered-to"})
_MOST_HEADERS: Final = 100  # fields of one message; a guess far above what mail has
_LONGEST_NAME: Final = 255  # characters of a file's name, as in file systems
_LONGEST_CAMPAIGN: Final = 64  # bytes (contract.md 3.2)
_OPTIONS: Final = ("open_tracking", "click_tracking", "initial_open", "transactional", "skip_suppression")
_LONGEST_LIST: Final = 20  # tags taken from a recipient; the filter takes ten of them

# SparkPost's own entries of errors, with their codes.
_MISSING: Final = {"message": "required field is missing", "code": "1400"}
_INVALID: Final = {"message": "invalid data format/type", "code": "1300"}
_NOT_FOUND: Final = {"message": "Subresource not found", "code": "1603"}
_STATEMENT: Final = {"message": "substitution language syntax error in template content", "code": "3000"}


def transmission(body: Mapping[str, Any], most_recipients: int) -> Transmission:
    """Return what a loaded body asks for. Raises ApiError, 422."""
    content, options = body.get("content") or {}, body.get("options") or {}
    _refuse_what_is_not_offered(body, content, options)
    substitute = options.get("perform_substitutions") is not False
    recipients, wrong = _recipients(body, most_recipients)
    return Transmission(
        content=_content(content, substitute=substitute),
        recipients=recipients,
        wrong=wrong,
        campaign=_campaign(body.get("campaign_id") or ""),
        options={name: options[name] for name in _OPTIONS if options.get(name) is not None},
        errors_shown=body["num_rcpt_errors"],
    )


def _refuse(entry: Mapping[str, str], description: str, **more: Any) -> NoReturn:
    fail(HTTPStatus.UNPROCESSABLE_ENTITY, description=description, **{**entry, **more})


def _refuse_what_is_not_offered(
    body: Mapping[str, Any], content: Mapping[str, Any], options: Mapping[str, Any]
) -> None:
    """Raise ApiError for what SparkPost has and this program has not."""
    recipients = body.get("recipients")
    if isinstance(recipients, Mapping) and "list_id" in recipients:
        _refuse(_NOT_FOUND, f"recipient list '{str(recipients['list_id'])[:64]}' does not exist")
    if content.get("template_id") is not None:
        if any(content.get(name) for name in ("html", "text", "subject", "email_rfc822")):
            _refuse({"message": "Both content object and template_id are specified", "code": "1301"}, _NONE)
        _refuse(_NOT_FOUND, f"template '{content['template_id'][:64]}' does not exist")
    if content.get("ab_test_id") is not None:
        _refuse(_NOT_FOUND, f"ab test '{content['ab_test_id'][:64]}' does not exist")
    if options.get("start_time") not in (None, "", "now"):
        _refuse(_INVALID, "mail is sent at once here: 'options.start_time' is not supported")
    if options.get("inline_css"):
        _refuse(_INVALID, "'options.inline_css' is not supported: inline the styles before")


_NONE: Final = "there are no stored templates here"


def _content(content: Mapping[str, Any], *, substitute: bool) -> Fields | Rfc822:
    if content.get("email_rfc822"):
        try:
            return prepared(content["email_rfc822"], substitute=substitute)
        except StatementError as error:
            _refuse(_STATEMENT, f"Error while compiling email_rfc822: {error}")
        except ValueError as error:
            _refuse(_INVALID, f"content.email_rfc822: {error}")
    if not content:
        _refuse(_MISSING, "content object or template_id required")

    def compiled(name: str, text: str | None, *, escaped: bool = False) -> Template | None:
        if text is None:
            return None
        try:
            return template(text, escaped=escaped, on=substitute)
        except StatementError as error:
            _refuse(_STATEMENT, f"Error while compiling {name}: {error}")

    def required(name: str, text: str | None) -> Template:
        found = compiled(name, text)
        if found is None:
            _refuse(_MISSING, f"{name} is required")
        return found

    bodies = [content.get(name) or None for name in ("text", "html", "amp_html")]
    if not bodies[0] and not bodies[1]:
        _refuse(_MISSING, "At least one of 'text' or 'html' must exist in content")
    sender, sender_name = _from(content.get("from"))
    return Fields(
        sender=required("content.from", sender),
        sender_name=compiled("content.from.name", sender_name),
        subject=required("content.subject", content.get("subject")),
        text=compiled("part text", bodies[0]),
        html=compiled("part html", bodies[1], escaped=True),
        amp_html=compiled("part amp_html", bodies[2], escaped=True),
        reply_to=compiled("content.reply_to", content.get("reply_to") or None),
        headers=tuple(
            (name, required(f"header {name}", value)) for name, value in _headers(content.get("headers"))
        ),
        attachments=_parts("attachments", content.get("attachments")),
        inline_images=_parts("inline_images", content.get("inline_images")),
    )


def _from(given: Any) -> tuple[str | None, str | None]:
    """Return address and name as given; a text that holds both is the address. Raises ApiError."""
    if isinstance(given, Mapping):
        address, name = given.get("email"), given.get("name")
        if address is not None and not isinstance(address, str):
            _refuse(_INVALID, "'content.from.email' must be a string", param="content.from.email")
        if name is not None and not isinstance(name, str):
            _refuse(_INVALID, "'content.from.name' must be a string", param="content.from.name")
        return address or None, name or ""
    if given is not None and not isinstance(given, str):
        _refuse(_INVALID, "'content.from' must be a string or an object", param="content.from")
    return given or None, None


def _headers(given: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Return fields with their values. Raises ApiError for one that would be another field, or two."""
    found: dict[str, tuple[str, str]] = {}
    for name, value in (given or {}).items():
        lower = name.lower()
        if not _FIELD_NAME.fullmatch(name):
            _refuse(_INVALID, "a name in 'content.headers' is no name of a header field")
        if not isinstance(value, str):
            _refuse(_INVALID, f"'content.headers.{name}' must be a string", param=f"content.headers.{name}")
        if has_control(value):
            _refuse(_INVALID, f"'content.headers.{name}' must not hold control characters")
        if lower in _OURS or lower.startswith("content-"):
            _refuse(_INVALID, f"'content.headers' must not hold {name}: it is written here")
        if lower not in _ELSEWHERE:
            found[lower] = name, value
    if len(found) > _MOST_HEADERS:
        _refuse(_INVALID, f"'content.headers' has at most {_MOST_HEADERS} fields")
    return list(found.values())


def _parts(name: str, given: Sequence[Any] | None) -> tuple[Part, ...]:
    return tuple(_part(f"content.{name}[{at}]", each) for at, each in enumerate(given or ()))


def _part(where: str, given: Mapping[str, Any]) -> Part:
    name, media_type, data = (given.get(each) or "" for each in ("name", "type", "data"))
    if not media_type:
        _refuse(_MISSING, f"{where}.type is required")
    if not _MEDIA_TYPE.fullmatch(media_type) or has_control(media_type):
        _refuse(_INVALID, f"{where}.type is no media type")
    if (
        has_control(name)
        or len(name) > _LONGEST_NAME
        or (".inline" in where and not _FIELD_NAME.fullmatch(name))
    ):
        _refuse(_INVALID, f"{where}.name is no name")
    try:
        return Part(name, media_type, base64.b64decode("".join(data.split()), validate=True))
    except (binascii.Error, ValueError):
        _refuse(_INVALID, f"{where}.data must be base64")


def _campaign(campaign: str) -> str:
    if len(campaign.encode()) > _LONGEST_CAMPAIGN or has_control(campaign):
        _refuse(
            _INVALID,
            f"campaign_id is limited to {_LONGEST_CAMPAIGN} bytes, without control characters",
            param="campaign_id",
        )
    return campaign


def _recipients(body: Mapping[str, Any], most: int) -> tuple[tuple[Recipient, ...], tuple[str, ...]]:
    """Return the recipients, and what is wrong with others. Raises ApiError where there is none at all."""
    given = body.get("recipients")
    if not given:
        _refuse(_MISSING, "recipients or list_id required")
    if not isinstance(given, list):
        _refuse(_INVALID, "'recipients' must be an array", param="recipients")
    if len(given) > most:
        _refuse(_INVALID, f"one call has at most {most} recipients here", param="recipients")
    found: list[Recipient] = []
    wrong: list[str] = []
    for number, entry in enumerate(given, 1):
        try:
            found.append(_recipient(entry, body))
        except AddressError as error:
            wrong.append(f"recipient {number}: {error}")
    return tuple(found), tuple(wrong)


def _recipient(entry: Any, body: Mapping[str, Any]) -> Recipient:
    """Return one recipient. Raises AddressError for one that gets no mail."""
    if isinstance(entry, str):
        entry = {"address": entry}
    if not isinstance(entry, Mapping):
        raise AddressError("a recipient must be an object with an address")
    address = entry.get("address")
    if isinstance(address, str):
        to, header_to = one_mailbox(address), ""
    elif isinstance(address, Mapping):
        texts = {name: address.get(name) or "" for name in ("email", "name", "header_to")}
        if not all(isinstance(text, str) for text in texts.values()):
            raise AddressError("address.email, address.name and address.header_to must be strings")
        if not texts["email"]:
            raise AddressError("address.email is required for each recipient")
        to, header_to = mailbox(texts["email"], texts["name"]), texts["header_to"]
        if has_control(header_to):
            raise AddressError("address.header_to must not hold control characters")
    else:
        raise AddressError("address.email is required for each recipient")
    values = dict(_object(body, "substitution_data")) | dict(_object(entry, "substitution_data"))
    return_path = entry.get("return_path") or body.get("return_path") or ""
    if return_path and not isinstance(return_path, str):
        raise AddressError("return_path must be a string")
    return Recipient(
        mailbox=to,
        header_to=header_to,
        tags=_tags(entry),
        metadata=dict(_object(body, "metadata")) | dict(_object(entry, "metadata")),
        values={"address": {"email": to.address, "name": to.name}} | values,
        return_path=one_mailbox(return_path).address if return_path else "",
    )


def _object(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = holder.get(name)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise AddressError(f"{name} must be an object")
    return found


def _tags(entry: Mapping[str, Any]) -> tuple[str, ...]:
    tags = entry.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise AddressError("tags must be an array of strings")
    return tuple(tags[:_LONGEST_LIST])
