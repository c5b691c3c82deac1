"""What the tracker says in the log, one function for each thing that can happen, in the style of a mail log.

Not an access log: no request is logged, and no token ever is.
"""

import logging
import logging.config
import time
from threading import Lock
from typing import Any

_logger = logging.getLogger("smtpapi.tracker")
_REPEAT = 60.0  # seconds between two lines about the same lasting fault


# Standard error, as syslog would show it: month day time, program[process]: line. The server's own words, and
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
    """The tracker is about to take requests."""
    names = ",".join(hosts) if hosts else "any"
    _logger.info(
        "start: listen=%s workers=%d hosts=%s recording=%s",
        listen,
        workers,
        names,
        "yes" if recording else "no",
    )


def notice(text: str) -> None:
    """What the operator may want to change."""
    _logger.warning("%s", text)


def stopped() -> None:
    """The tracker has stopped because it was told to."""
    _logger.info("stop")


def ring_not_loaded(error: Exception) -> None:
    """The key ring's file changed and cannot be used; the ring before it stays."""
    _logger.error("key ring not loaded, the one in use stays: %s", error)


def reconfigure_failed(error: Exception) -> None:
    """The configuration, or a file it names, is broken; the last that was good stays."""
    _logger.error("Reconfigure failed. The last good configuration stays in use: %s", error)


def objections_trouble(trouble: str) -> None:
    """The list of objections cannot be read, or a line of it; what was read before stays in force."""
    _logger.error("objections: %s", trouble)


def unknown_key(counts: str) -> None:
    """Links were asked for whose key is not in the ring; they are dead until it is there."""
    _logger.error(
        "links sealed with keys that this host's ring lacks were answered with 404: %s so far. If another "
        "host of yours made them, copy its key ring here; strangers who guess look the same",
        counts,
    )


def stop_list_trouble(trouble: str) -> None:
    """The list of stopped links cannot be read; what was read before stays in force."""
    _logger.error("stopped links: %s", trouble)


def few_descriptors(allowed: int, wanted: int) -> None:
    """The limit of open files is below what the connections need."""
    _logger.warning(
        "the limit of open files is %d, so a worker cannot hold %d connections at once: raise LimitNOFILE "
        "(systemd) or `ulimit -n`",
        allowed,
        wanted,
    )


class LostRecords:
    """Tells of hits that could not be recorded: at once, then once a minute with the count.

    What the spool itself drops, the spool counts and tells.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._lost = 0
        self._said = float("-inf")

    def add(self, error: Exception) -> None:
        """One more record is gone."""
        with self._lock:
            self._lost += 1
            now = time.monotonic()
            if now - self._said < _REPEAT:
                return
            self._said = now
            lost = self._lost
        _logger.error("event not recorded (%d so far): %s: %s", lost, type(error).__name__, error)
