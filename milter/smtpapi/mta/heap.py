"""The C library's heap: by default it may keep memory that was freed for ever.

Only GNU's library is known here; with another one nothing is done.
"""

import contextlib
import ctypes

_ARENA_MAX = -8  # M_ARENA_MAX of its malloc.h
_ARENAS = 2  # Python runs one thread at a time; the library's default is eight a core


def few_arenas() -> None:
    """Let all threads share two heaps. Call it before there are threads.

    With one for each thread 45 sessions took 1.4 GB of addresses, and what one heap had given back no other
    could use.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, _ARENAS)


def trim() -> None:
    """Give free memory back to the system."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))
