"""The log lines of the pages' program, in the style of a mail log. No request is logged, and no token."""

import logging
import logging.config
from typing import Any

_logger = logging.getLogger("smtpapi.web")

CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "mail": {
            "format": "%(asctime)s smtpapi/web[%(process)d]: %(message)s",
            "datefmt": "%b %d %H:%M:%S",
        }
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "mail", "stream": "ext://sys.stderr"}
    },
    "loggers": {"_granian": {"propagate": True}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
}


def to_stderr() -> None:
    """Set up logging for this process."""
    logging.config.dictConfig(CONFIG)


def started(listen: str, token_file: str) -> None:
    """Log that the program is about to take requests."""
    _logger.info(
        "start: listen=%s token_file=%s (`smtpapi web --url` prints what opens it)", listen, token_file
    )


def stopped() -> None:
    """Log that the program has stopped on request."""
    _logger.info("stop")


def reconfigure_failed(error: Exception) -> None:
    """Log that the configuration, or the token's file, is broken, so that the last good one stays."""
    _logger.error("Reconfigure failed. The last good configuration stays in use: %s", error)


def notice(text: str) -> None:
    """Log what the operator may want to change."""
    _logger.warning("%s", text)


def page_failed(error: BaseException) -> None:
    """Log that a page could not be made."""
    _logger.error("page failed: %s: %s", type(error).__name__, error)


def few_descriptors(allowed: int, needed: int) -> None:
    """Log that the limit of open files is below what the connections need."""
    _logger.warning(
        "the limit of open files is %d, so %d connections cannot be held at once: raise LimitNOFILE "
        "(systemd) or `ulimit -n`",
        allowed,
        needed,
    )
