"""Sends one batch: its header fields, authentication and signature (contract.md 8.2).

Tokens of OAuth 2.0 are kept in memory, for as long as their server says. No secret reaches a log or an
answer's reason.
"""

import base64
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlencode

from engagement.webhooks.model import Endpoint
from engagement.webhooks.schedule import Answer
from engagement.webhooks.sending.connect import Client
from engagement.webhooks.signature import signature_headers

BATCH_ID: Final = "X-MessageSystems-Batch-ID"
TOKEN: Final = "X-MessageSystems-Webhook-Token"  # noqa: S105 - the name of a header field
AGENT: Final = "smtpapi-webhooks"
_LONGEST_TOKEN_MS: Final = 86_400_000  # a day, whatever its issuer says
_EARLY_MS: Final = 30_000  # a token is replaced before it ends on its way


class NoTokenError(Exception):
    """The token server gave no token. answer: what it said; for people, without the token."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(str(answer))
        self.answer = answer


class Sender:
    """Sends batches; safe to share between threads. now: returns Unix seconds."""

    def __init__(self, client: Client, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._now = now
        self._lock = threading.Lock()
        self._tokens: dict[str, tuple[str, float]] = {}  # by what asks for them: token, Unix ms of its end

    def send(self, endpoint: Endpoint, batch_id: str, body: bytes) -> Answer:
        """Return what came of one try. Raises NoTokenError if the token server gives none."""
        answer = self._sent(endpoint, batch_id, body, fresh=False)
        if endpoint.auth_type == "oauth2" and answer.status in (400, 401):
            answer = self._sent(endpoint, batch_id, body, fresh=True)
        return answer

    def _sent(self, endpoint: Endpoint, batch_id: str, body: bytes, *, fresh: bool) -> Answer:
        at = int(self._now())
        headers = {
            **endpoint.custom_headers,
            "Content-Type": "application/json",
            "User-Agent": AGENT,
            **signature_headers(endpoint.secrets, batch_id, at, body),
            **self._authentication(endpoint, fresh=fresh),
        }
        if batch_id:
            headers[BATCH_ID] = batch_id
        return self._client.post(endpoint.target, headers, body)

    def _authentication(self, endpoint: Endpoint, *, fresh: bool) -> dict[str, str]:
        headers = {TOKEN: endpoint.auth_token} if endpoint.auth_token else {}
        if endpoint.auth_type == "basic":
            known = endpoint.auth_credentials
            pair = f"{known.get('username', '')}:{known.get('password', '')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        elif endpoint.auth_type == "oauth2":
            headers["Authorization"] = f"Bearer {self._token(endpoint.auth_request_details, fresh=fresh)}"
        return headers

    def _token(self, details: Mapping[str, Any], *, fresh: bool) -> str:
        name = json.dumps(details, sort_keys=True)
        now_ms = self._now() * 1000
        with self._lock:
            token, end_ms = self._tokens.get(name, ("", 0.0))
        if token and not fresh and now_ms < end_ms:
            return token
        answer = self._request_token(str(details.get("url", "")), details.get("body", {}))
        token, seconds = _token_in(answer)
        with self._lock:
            if len(self._tokens) > 1000:  # of webhooks that were changed or removed since
                self._tokens.clear()
            self._tokens[name] = token, now_ms + min(seconds * 1000 - _EARLY_MS, _LONGEST_TOKEN_MS)
        return token

    def _request_token(self, url: str, body: Mapping[str, Any]) -> Answer:
        """Ask for a token as RFC 6749 4.4.2 has it, in a form; as JSON if the server wants no form."""
        form = urlencode({name: str(value) for name, value in body.items()}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        answer = self._client.post(url, headers, form)
        if answer.status in (400, 415):
            answer = self._client.post(
                url, headers | {"Content-Type": "application/json"}, json.dumps(body).encode()
            )
        return answer


def _token_in(answer: Answer) -> tuple[str, float]:
    """Return the token and its seconds. Raises NoTokenError."""
    try:
        fields = json.loads(answer.body) if answer.is_success else {}
        token, seconds = fields["access_token"], float(fields.get("expires_in") or 3600)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NoTokenError(replace(answer, body="" if answer.is_success else answer.body)) from None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise NoTokenError(replace(answer, body="", reason="a token that no header field can hold"))
    return token, seconds
