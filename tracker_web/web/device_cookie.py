"""A cookie by which a browser is known from which a user signed in before. Pure but for its random number.

Wrong passwords lock a name for a while, so anybody could keep a user out by the name alone. A browser that
the user signed in with is counted apart from all others (OWASP, Slow Down Online Guessing Attacks with Device
Cookies). The cookie signs nobody in: who steals it may guess that one user's password, as slowly as others.
"""

import base64
import hmac
import secrets
from typing import Final

DAYS: Final = 400  # the longest that browsers keep a cookie
_NONCE_BYTES: Final = 16  # 128 bits: none is drawn twice, none is guessed


def make(key: bytes, user: str) -> str:
    """Return the value of a new cookie for a browser that a user has just signed in with."""
    nonce = secrets.token_urlsafe(_NONCE_BYTES)
    return f"{nonce}.{_signature(key, user, nonce)}"


def device_of(key: bytes, user: str, value: str) -> str:
    """Return the name of the browser that a cookie is of, "" where it was not made for this user."""
    nonce, _, signature = value.partition(".")
    right = _signature(key, user, nonce).encode("ascii")
    genuine = hmac.compare_digest(signature.encode("utf-8", "replace"), right)
    return nonce if genuine else ""


def _signature(key: bytes, user: str, nonce: str) -> str:
    text = f"device\0{nonce}\0{user.lower()}".encode("utf-8", "replace")
    return base64.urlsafe_b64encode(hmac.digest(key, text, "sha256")).decode("ascii").rstrip("=")
