"""What `_open.c` gives where it was built; the function's twin in Python says what it does."""

from engagement.links.fast_open import Asked, RingOpeners

def read(path: str, openers: RingOpeners, /) -> Asked | None: ...
