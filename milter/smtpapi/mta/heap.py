"""What the C library does with memory that was given back to it: by default it may keep it for ever.

Only GNU's is known here; with another nothing is done.
"""

import contextlib
import ctypes

_ARENA_MAX = -8  # M_ARENA_MAX of its malloc.h
_ARENAS = 2  # Python runs one thread at a time; the library's usual number is eight a core


def few_arenas() -> None:
    """Let all threads share two heaps, before there are any.

    With one for each thread 45 sessions took 1.4 GB of addresses, and what one heap had given back no other
    could use.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, _ARENAS)


def trim() -> None:
    """Give the system what is free."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))
