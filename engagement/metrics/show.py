"""Shows the metrics of a program that is one process, from a thread of its own.

For a program of several processes: `process`. Without the library, as where the address is taken, the program
does its work all the same and its log says why nothing is shown.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engagement.extras import NotInstalledError, need

if TYPE_CHECKING:
    from engagement.metrics.exposition import Read
    from engagement.metrics.listener import MetricsListener


def start(address: str, read: "Read", report: Callable[[str], None]) -> "MetricsListener | None":
    """Show readings until the process ends; return what stops that, None where nothing is shown.

    address: as `metrics { }` has it, "" for nowhere. read: returns the readings, from another thread. report:
    logs a line for the operator.
    """
    if not address:
        return None
    try:
        need("metrics", "prometheus_client")
    except NotInstalledError as error:
        report(f"metrics are not served: {error}")
        return None
    # Imported here: only who asks for metrics needs the library.
    from engagement.metrics.listener import MetricsListener

    return MetricsListener(address, read, report).start()


@contextmanager
def shown(address: str, read: "Read", report: Callable[[str], None]) -> Iterator[None]:
    """Show readings while the block runs. The arguments are those of `start`."""
    listener = start(address, read, report)
    try:
        yield
    finally:
        if listener is not None:
            listener.stop()
