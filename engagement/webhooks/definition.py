"""From what a client sends to a webhook: every field checked, with SparkPost's words for what is wrong.

Names and forms: contract.md 8.2; texts of errors: contract.md 8.1. Nothing is connected to here.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from engagement.events.fields import ALL_TYPES
from engagement.webhooks.model import Endpoint, Webhook
from engagement.webhooks.signature import key_of
from engagement.webhooks.targets import refusal

# Momentum's further names: taken, and no event of them ever comes (contract.md 8.2).
NEVER: Final = frozenset(
    {"ab_test_cancelled", "ab_test_completed", "ad_adjust", "ad_status", "generation_failure"}
    | {"generation_rejection", "policy_rejection", "relay_delivery", "relay_injection", "relay_message"}
    | {"relay_permfail", "relay_rejection", "relay_tempfail", "sms_status"}
)
AUTH_TYPES: Final = ("none", "basic", "oauth2")
MASK: Final = "********"  # stands for a secret in answers; sent back, it leaves the secret as it is

_MOST_HEADERS: Final = 5  # contract.md 8.2, as the 3000 octets
_HEADERS_SIZE: Final = 3000  # octets
_LONGEST_NAME: Final = 255  # characters; a guess: contract.md 8.2 names no limit
_FIELD_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")  # a token (RFC 9110 5.6.2)
_FIELD_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")  # RFC 9110 5.5, ASCII
_OURS: Final = re.compile(
    r"(?:host|user-agent|content-[a-z-]+|transfer-encoding|connection|keep-alive|te|trailer|upgrade|expect"
    r"|accept-encoding|proxy-.*|x-messagesystems-.*|webhook-.*)"
)
_SECRET: Final = re.compile(r"secret|password|token|assertion|key", re.IGNORECASE)
_FORMER: Final = 5  # endpoints that batches in the queue may still go to


@dataclass(frozen=True, slots=True)
class FieldError(Exception):
    """What is wrong with a field, for the client."""

    message: str
    param: str

    def __str__(self) -> str:
        return self.message


def made(webhook_id: str, data: Mapping[str, Any], allowed: Sequence[str], now_ms: int) -> Webhook:
    """Return the webhook that a client asks for. allowed: webhooks.allow_targets. Raises FieldError."""
    for name in ("name", "target", "events"):
        if data.get(name) in (None, "", []):
            raise FieldError(f"'{name}' is required", name)
    new = Webhook(webhook_id, "", Endpoint(""), created_ms=now_ms)
    return replace(changed(new, data, allowed), revision=1, former={})


def changed(webhook: Webhook, data: Mapping[str, Any], allowed: Sequence[str]) -> Webhook:
    """Return a webhook with the fields that a client sent. Raises FieldError. Unknown ones are ignored."""
    for name, read in _READERS.items():
        if name in data:
            webhook = read(webhook, data[name])
    before = webhook.endpoint
    endpoint = _endpoint(before, data, allowed)
    if endpoint.target == before.target:
        return replace(webhook, endpoint=endpoint)
    former = {**webhook.former, str(webhook.revision): before}
    newest = sorted(former, key=int)[-_FORMER:]
    return replace(
        webhook,
        endpoint=endpoint,
        revision=webhook.revision + 1,
        former={name: former[name] for name in newest},
    )


def shown(endpoint: Endpoint) -> dict[str, Any]:
    """Return the fields of an endpoint for a client, secrets masked."""
    fields: dict[str, Any] = {"target": endpoint.target, "auth_type": endpoint.auth_type}
    if endpoint.auth_credentials:
        fields["auth_credentials"] = _masked(endpoint.auth_credentials)
    if endpoint.auth_request_details:
        fields["auth_request_details"] = _masked(endpoint.auth_request_details)
    if endpoint.auth_token:
        fields["auth_token"] = MASK
    if endpoint.custom_headers:
        fields["custom_headers"] = {
            name: MASK if name.lower() == "authorization" or _SECRET.search(name) else value
            for name, value in endpoint.custom_headers.items()
        }
    if endpoint.secrets:
        fields["x_signing_secrets"] = [MASK] * len(endpoint.secrets)
    return fields


def _masked(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _masked(value)
        if isinstance(value, Mapping)
        else (MASK if isinstance(value, str) and _SECRET.search(name) else value)
        for name, value in values.items()
    }


def _unmasked(values: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with what the mask stands for."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        known = before.get(name)
        if isinstance(value, Mapping):
            found[name] = _unmasked(value, known if isinstance(known, Mapping) else {})
        else:
            found[name] = known if value == MASK and isinstance(known, str) else value
    return found


def _must(name: str, what: str) -> FieldError:
    return FieldError(f"'{name}' must be {what}", name)


def _name(webhook: Webhook, value: Any) -> Webhook:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_NAME or not value.isprintable():
        raise _must("name", f"a string of 1 to {_LONGEST_NAME} characters")
    return replace(webhook, name=value)


def _events(webhook: Webhook, value: Any) -> Webhook:
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise _must("events", "an array of strings, at least one")
    for each in value:
        if each not in ALL_TYPES and each not in NEVER:
            raise FieldError(f"'events' has no type {each[:40]!a}", "events")
    return replace(webhook, events=tuple(dict.fromkeys(value)))


def _active(webhook: Webhook, value: Any) -> Webhook:
    if not isinstance(value, bool):
        raise _must("active", "a boolean")
    return replace(webhook, active=value)


def _corrections(webhook: Webhook, value: Any) -> Webhook:
    if not isinstance(value, bool):
        raise _must("x_corrections", "a boolean")
    return replace(webhook, corrections=value)


def _exceptions(webhook: Webhook, value: Any) -> Webhook:
    whole = isinstance(value, list) and all(type(each) is int for each in value)
    if not whole or len(value) > 10 or len(set(value)) != len(value):
        raise _must("exception_subaccounts", "an array of 1 to 10 different integers")
    return replace(webhook, exception_subaccounts=tuple(value))


_READERS: Final[Mapping[str, Callable[[Webhook, Any], Webhook]]] = {
    "name": _name,
    "events": _events,
    "active": _active,
    "exception_subaccounts": _exceptions,
    "x_corrections": _corrections,
}


def _endpoint(before: Endpoint, data: Mapping[str, Any], allowed: Sequence[str]) -> Endpoint:
    endpoint = before
    if "target" in data:
        endpoint = replace(endpoint, target=_target("target", data["target"], allowed))
    if "auth_type" in data:
        if data["auth_type"] not in AUTH_TYPES:
            raise _must("auth_type", "one of none, basic, oauth2")
        endpoint = replace(endpoint, auth_type=data["auth_type"])
    for name in ("auth_credentials", "auth_request_details"):
        if name in data:
            if not isinstance(data[name], Mapping):
                raise _must(name, "an object")
            changes: dict[str, Any] = {name: _unmasked(data[name], getattr(before, name))}
            endpoint = replace(endpoint, **changes)
    if "auth_token" in data and data["auth_token"] != MASK:
        token = data["auth_token"]
        if not isinstance(token, str) or (token and not _FIELD_VALUE.fullmatch(token)):
            raise _must("auth_token", "a string that a header field can hold")
        endpoint = replace(endpoint, auth_token=token)
    if "x_signing_secrets" in data:
        secrets = _secrets(data["x_signing_secrets"], before.secrets)
        endpoint = replace(endpoint, secrets=secrets)
    _check_auth(endpoint, allowed)
    if "custom_headers" in data:
        headers = data["custom_headers"]
        endpoint = replace(endpoint, custom_headers=_headers(headers, before.custom_headers))
    if endpoint.auth_type != "none" and any(
        name.lower() == "authorization" for name in endpoint.custom_headers
    ):
        raise FieldError("'custom_headers' must not hold Authorization with this auth_type", "custom_headers")
    return endpoint


def _target(name: str, value: Any, allowed: Sequence[str]) -> str:
    if not isinstance(value, str):
        raise _must(name, "a string")
    if why := refusal(value, allowed):
        raise FieldError(f"'{name}' {why}", name)
    return value


def _check_auth(endpoint: Endpoint, allowed: Sequence[str]) -> None:
    if endpoint.auth_type == "basic":
        for name in ("username", "password"):
            value = endpoint.auth_credentials.get(name)
            if not isinstance(value, str) or not value.isprintable() or (name == "username" and ":" in value):
                raise FieldError(f"'auth_credentials.{name}' is required", "auth_credentials")
    elif endpoint.auth_type == "oauth2":
        details = endpoint.auth_request_details
        if "url" not in details:
            raise FieldError("'auth_request_details.url' is required", "auth_request_details")
        _target("auth_request_details.url", details["url"], allowed)
        if not isinstance(details.get("body"), Mapping):
            raise _must("auth_request_details.body", "an object")


def _secrets(value: Any, before: Sequence[str]) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > 3 or not all(isinstance(each, str) for each in value):
        raise _must("x_signing_secrets", "an array of at most 3 strings")
    found = []
    for place, each in enumerate(value):
        if each == MASK and place < len(before):
            each = before[place]
        try:
            key_of(each)
        except ValueError as error:
            raise FieldError(f"'x_signing_secrets': {error}", "x_signing_secrets") from None
        found.append(each)
    return tuple(found)


def _headers(value: Any, before: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(value, Mapping) or len(value) > _MOST_HEADERS:
        raise _must("custom_headers", f"an object of at most {_MOST_HEADERS} header fields")
    found = {}
    for name, each in value.items():
        if each == MASK and name in before:
            each = before[name]
        text = str(each) if isinstance(each, int | float) and not isinstance(each, bool) else each
        if not isinstance(name, str) or not _FIELD_NAME.fullmatch(name):
            raise FieldError(f"'custom_headers' has an illegal name: {name!a:.60}", "custom_headers")
        if _OURS.fullmatch(name.lower()):
            raise FieldError(f"'custom_headers' must not hold {name}, which is set here", "custom_headers")
        if not isinstance(text, str) or (text and not _FIELD_VALUE.fullmatch(text)):
            raise FieldError(f"'custom_headers.{name}' must be a string without controls", "custom_headers")
        found[name] = text
    if sum(len(name) + len(text) for name, text in found.items()) >= _HEADERS_SIZE:
        raise _must("custom_headers", f"below {_HEADERS_SIZE} bytes in all")
    return found
