"""Where events wait on disk, where they are kept, and where people's entries are."""

from dataclasses import dataclass

from engagement.settings import option_types
from engagement.settings.option import declared

_DAY = 86400
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class SpoolStanza:
    """Where events wait on disk for the store."""

    directory: str = declared(
        option_types.path(), "/var/spool/smtpapi", "Folder of the spool, on a local disk."
    )
    sync: str = declared(
        option_types.choice("group", "always"),
        "group",
        "When records are safe on the disk. group: within 100 ms, which is what a power cut costs; always: "
        "before each answer, so that it costs nothing that was answered, at the price of throughput.",
    )
    segment_size: int = declared(
        option_types.integer(65536, 1024 * _MIB, "bytes"),
        8 * _MIB,
        "Size at which a new segment file is begun.",
    )
    max_size: int = declared(
        option_types.integer(65536, 2**50, "bytes"),
        1024 * _MIB,
        "Most the whole spool may take. Beyond, events are dropped and counted; redirects go on.",
    )
    max_share: int = declared(
        option_types.integer(1, 100, "percent"),
        10,
        "The same as a share of the file system that the spool is on; whichever is less counts.",
    )


@dataclass(frozen=True, slots=True)
class StoreStanza:
    """Where events are kept and found."""

    engine: str = declared(
        option_types.choice("sqlite", "cassandra"),
        "sqlite",
        "The database: a file, or the cluster of cassandra_client { }.",
    )
    path: str = declared(option_types.path(), "/var/lib/smtpapi/events.db", "The file of SQLite.")
    retention: int = declared(
        option_types.integer(3600, 100 * 365 * _DAY, "seconds"),
        90 * _DAY,
        "How long events are kept (90 days), in the spool too.",
    )


@dataclass(frozen=True, slots=True)
class RegistryStanza:
    """What people enter: API keys, users, webhooks, suppressed addresses."""

    path: str = declared(
        option_types.path(),
        "/var/lib/smtpapi/registry/registry.db",
        "The file they are in, on a local disk, in a folder that the programs' group may write to. With "
        "engine = cassandra they are in the cluster, and this is unused.",
    )
