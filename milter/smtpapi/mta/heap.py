"""The heap of the C library, which by default may never return freed memory to the system.

Only GNU's library is known here. With another one nothing is done.
"""

import contextlib
import ctypes

_ARENA_MAX = -8  # M_ARENA_MAX of its malloc.h
_ARENAS = 2  # Python runs one thread at a time; the library's default is eight a core


def few_arenas() -> None:
    """Let all threads share two heaps. Call it before the first thread starts.

    With a heap for each thread, 45 sessions took 1.4 GB of address space, and no heap could use the memory
    that another had freed.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, _ARENAS)


def trim() -> None:
    """Return free memory to the system."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))
