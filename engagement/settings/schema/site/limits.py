"""The bounds beyond which mail passes untouched."""

from dataclasses import dataclass

from engagement.settings import option_types
from engagement.settings.option import declared

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LimitsStanza:
    """Messages beyond these pass untouched, with a reason that is counted."""

    max_message_size: int = declared(
        option_types.integer(1024, 1024 * _MIB, "bytes"),
        25 * _MIB,
        "Largest body that is looked at; more than twice Postfix's default message_size_limit.",
    )
    max_memory: int = declared(
        option_types.integer(_MIB, 1024 * 1024 * _MIB, "bytes"),
        256 * _MIB,
        "What the mail under way may take of this host's memory: in all workers together, those included "
        "that only see their last sessions out after a reload, which go by the value of before. A message is "
        "counted three times over while it is rewritten, and what its header shows to pass untouched is not "
        "kept. The processes take up to three times the value, 35 MB for each worker, and up to 64 KiB of "
        "header for each session. Mail that finds no room passes untouched, reason over-memory.",
    )
    max_parts: int = declared(option_types.integer(1, 100_000), 1000, "Most MIME parts.")
    max_links: int = declared(
        option_types.integer(1, 100_000),
        2000,
        "Most links; beyond, a message is more likely an attack than a newsletter.",
    )
    max_kept_html: int = declared(
        option_types.integer(4096, 2 * _MIB, "bytes"),
        256 * 1024,
        "Largest HTML part of which a copy is kept where keep_html_days is set; a larger one has none, and "
        "its mail is as any other.",
    )
    time_budget: int = declared(
        option_types.integer(10, 300_000, "milliseconds"),
        2000,
        "Longest time spent on one message; a common newsletter takes one or two milliseconds.",
    )
