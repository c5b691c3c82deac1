"""The tracker's log lines, one function for each event, in the style of a mail log.

Not an access log: no request is logged, and no token ever is.
"""

import logging
import logging.config
import time
from collections.abc import Callable
from threading import Lock
from typing import Any

_logger = logging.getLogger("smtpapi.tracker")
_REPEAT = 60.0  # seconds between two lines about the same lasting fault


# Standard error, as syslog would show it: month day time, program[process]: line. The server's own lines, and
# those of its worker processes, go the same way.
CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {"_granian": {"propagate": True}},
    "formatters": {
        "mail": {
            "format": "%(asctime)s smtpapi/tracker[%(process)d]: %(message)s",
            "datefmt": "%b %d %H:%M:%S",
        }
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "mail", "stream": "ext://sys.stderr"}
    },
    "root": {"handlers": ["stderr"], "level": "INFO"},
}


def to_stderr() -> None:
    """Set up logging for this process."""
    logging.config.dictConfig(CONFIG)


def started(listen: str, workers: int, hosts: list[str], recording: bool) -> None:
    """Log that the tracker is about to take requests. listen: ADDRESS:PORT. hosts: [] for any."""
    names = ",".join(hosts) if hosts else "any"
    _logger.info(
        "start: listen=%s workers=%d hosts=%s recording=%s",
        listen,
        workers,
        names,
        "yes" if recording else "no",
    )


def notice(text: str) -> None:
    """Log what the operator may want to change."""
    _logger.warning("%s", text)


def stopped() -> None:
    """Log that the tracker has stopped on request."""
    _logger.info("stop")


def ring_not_loaded(error: Exception) -> None:
    """Log that the key ring's file cannot be used, so that the ring before it stays."""
    _logger.error("key ring not loaded, the one in use stays: %s", error)


def reconfigure_failed(error: Exception) -> None:
    """Log that the configuration, or a file it names, is broken, so that the last good one stays."""
    _logger.error("Reconfigure failed. The last good configuration stays in use: %s", error)


def objections_trouble(trouble: str) -> None:
    """Log that the list of objections, or a line of it, cannot be read; what was read before stays."""
    _logger.error("objections: %s", trouble)


def rules_trouble(trouble: str) -> None:
    """Log that the rules that distinguish people from machines cannot be read as they are."""
    _logger.error("classify: %s", trouble)


def unknown_key(counts: str) -> None:
    """Log requests for links whose key is not in the ring; they are dead until it is there."""
    _logger.error(
        "links sealed with keys that this host's ring lacks were answered with 404: %s so far. If another "
        "host of yours made them, copy its key ring here; strangers who guess look the same",
        counts,
    )


def stop_list_trouble(trouble: str) -> None:
    """Log that the list of stopped links cannot be read; what was read before stays."""
    _logger.error("stopped links: %s", trouble)


def entered_trouble(trouble: str) -> None:
    """Log that the copy of entered tracking domains cannot be read; what was read before stays."""
    _logger.error("%s", trouble)


def few_descriptors(allowed: int, needed: int) -> None:
    """Log that the limit of open files is below what the connections need."""
    _logger.warning(
        "the limit of open files is %d, so a worker cannot hold %d connections at once: raise LimitNOFILE "
        "(systemd) or `ulimit -n`",
        allowed,
        needed,
    )


class LostRecords:
    """Logs hits that could not be recorded: the first at once, then once a minute with their count.

    What the spool itself drops, the spool counts and logs. counted: called for each.
    """

    def __init__(self, counted: Callable[[], None] = lambda: None) -> None:
        self._counted = counted
        self._lock = Lock()
        self._lost = 0
        self._logged = float("-inf")

    def add(self, error: Exception) -> None:
        """Count one more record that was lost, and log it when a line is due."""
        self._counted()
        with self._lock:
            self._lost += 1
            now = time.monotonic()
            if now - self._logged < _REPEAT:
                return
            self._logged = now
            lost = self._lost
        _logger.error("event not recorded (%d so far): %s: %s", lost, type(error).__name__, error)
