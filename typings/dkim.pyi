"""What is used of dkimpy, which has no types of its own."""

import logging
from collections.abc import Callable, Sequence

class DKIMException(Exception): ...

class DKIM:
    headers: list[tuple[bytes, bytes]]

    def __init__(self, message: bytes, logger: logging.Logger | None = None) -> None: ...
    def verify(self, idx: int = 0, dnsfunc: Callable[..., bytes | None] = ...) -> bool: ...

def sign(
    message: bytes,
    selector: bytes,
    domain: bytes,
    privkey: bytes,
    canonicalize: tuple[bytes, bytes] = ...,
    include_headers: Sequence[str | bytes] | Sequence[str] | None = None,
) -> bytes: ...
def verify(
    message: bytes,
    logger: logging.Logger | None = None,
    dnsfunc: Callable[..., bytes | None] = ...,
) -> bool: ...
