"""What `_open.c` gives where it was built; the function's twin in Python says what it does."""

from engagement.links.fast_open import OpenedLink, RingOpeners

def read(path: str, openers: RingOpeners, /) -> OpenedLink | None: ...
