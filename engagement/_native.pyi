"""What `_native.c` gives where it was built; each function's twin in Python says what it does."""

from engagement.links.fast_open import Asked, RingOpeners
from engagement.links.model import Kind

def read(path: str, openers: RingOpeners, /) -> Asked | None: ...
def encode_hit(
    id: str,
    kind: Kind,
    at_ms: int,
    packed: bytes,
    tenant: str,
    client_address: str,
    user_agent: str,
    accept_language: str,
    method: str,
    host: str,
    spoiled: bool,
    expired: bool,
    /,
) -> bytes: ...
def frame(record: bytes, /) -> bytes: ...
