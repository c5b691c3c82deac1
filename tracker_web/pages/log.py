"""What the pages' program says in the log, in the style of a mail log. No request is logged, and no token."""

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
    """The program is about to take requests."""
    _logger.info(
        "start: listen=%s token_file=%s (`smtpapi web --url` prints what opens it)", listen, token_file
    )


def stopped() -> None:
    """It has stopped because it was told to."""
    _logger.info("stop")


def reconfigure_failed(error: Exception) -> None:
    """The configuration, or the token's file, is broken; the last that was good stays."""
    _logger.error("Reconfigure failed. The last good configuration stays in use: %s", error)


def page_failed(error: BaseException) -> None:
    """A page could not be made."""
    _logger.error("page failed: %s: %s", type(error).__name__, error)
