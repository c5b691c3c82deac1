"""How many connections a worker process of a server holds at once, idle ones and slow senders included."""

import resource
from collections.abc import Callable
from typing import Final

BACKLOG: Final = 4096  # connections that the kernel keeps until a worker takes them
# With granian's own limit, 1,024, as many idle ones made everybody wait for 10 s. One costs some 10 kB.
_CONNECTIONS: Final = 16_384
_OTHER_FILES: Final = 256  # descriptors that a worker needs besides those of connections


def max_connections(few: Callable[[int, int], None]) -> int:
    """Return how many connections a worker may hold: as many as the limit of open files leaves.

    Raises that limit as far as it may be. few: called with the limit where it is too low, and what is wanted.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _CONNECTIONS + _OTHER_FILES
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < needed:
        few(soft, _CONNECTIONS)
    return max(_CONNECTIONS // 16, min(_CONNECTIONS, soft - _OTHER_FILES))
