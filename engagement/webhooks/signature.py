"""Signatures of batches as Standard Webhooks has them, an addition of ours that is off by default.

Source: the Standard Webhooks specification 1.0.0: `webhook-id.webhook-timestamp.body` under HMAC-SHA-256.
"""

import base64
import binascii
import hmac
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

PREFIX: Final = "whsec_"
LEAST: Final = 24  # octets of a secret, as the specification asks for
MOST: Final = 64  # octets, as the specification says


def new_secret(chance: bytes) -> str:
    """Return a secret as text. chance: its random octets."""
    return PREFIX + base64.b64encode(chance).decode()


def key_of(secret: str) -> bytes:
    """Return the octets of a secret. Raises ValueError, naming no secret, for what is none."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"a signing secret is '{PREFIX}' and base64") from None
    if not LEAST <= len(key) <= MOST:
        raise ValueError(f"a signing secret has {LEAST} to {MOST} octets behind '{PREFIX}', in base64")
    return key


def signature_headers(secrets: Iterable[str], batch_id: str, at: int, body: bytes) -> dict[str, str]:
    """Return the header fields that sign a batch with each secret, so that secrets can be changed one by one.

    at: Unix seconds. Raises ValueError for a secret that is none.
    """
    signed = b"%s.%d.%s" % (batch_id.encode(), at, body)
    made = [
        "v1," + base64.b64encode(hmac.new(key_of(secret), signed, sha256).digest()).decode()
        for secret in secrets
    ]
    if not made:
        return {}
    return {"webhook-id": batch_id, "webhook-timestamp": str(at), "webhook-signature": " ".join(made)}
