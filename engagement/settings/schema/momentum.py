"""Declarations of the stanzas that Momentum has too: names and meanings are its own.

Where Momentum lacks an option that is needed here, its stanza gets one more (`cassandra_client`). Options of
scopes: `scoped`. Stanzas that only this program has: `site`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from engagement.settings import option_types
from engagement.settings.option import declared


@dataclass(frozen=True, slots=True)
class SmtpapiStanza:
    """Turns the filter on. Without this stanza nothing is tracked and no header is read."""

    enabled: bool = declared(
        option_types.boolean(),
        True,
        "Whether the filter acts. When off, every message passes as it came, but for X-MSYS-API, which is "
        "taken out of mail of trusted clients. "
        "Not to be confused with `Enable` of a listener.",
    )
    debug_level: str = declared(
        option_types.debug_level(),
        "ERROR",
        "How much is logged: ERROR shows ERROR and CRITICAL, DEBUG shows everything.",
    )


@dataclass(frozen=True, slots=True)
class _Module:
    """The two options that all of Momentum's modules share (contract.md 1.4)."""

    enabled: bool = declared(
        option_types.boolean(),
        True,
        "Every module of Momentum has it. Read, and without effect in this stanza.",
    )
    debug_level: str = declared(
        option_types.debug_level(),
        "ERROR",
        "Every module of Momentum has it. Read, and without effect in this stanza; see smtpapi { }.",
    )


@dataclass(frozen=True, slots=True)
class EngagementTrackerStanza(_Module):
    """What tracked links carry."""

    click_tracking_include_metadata: bool = declared(
        option_types.boolean(),
        True,
        "Whether click links and their events carry the message's metadata; opens always do. Decided when "
        "mail is sent: links already out, and their events, stay as they are.",
        aliases=("click_track_include_metadata",),
    )
    max_metadata_len: int = declared(
        option_types.integer(0, 8192, "bytes"),
        1000,
        "Most bytes of metadata, as compact JSON, that links and events carry. Whole pairs are kept while "
        "they fit; no mail is refused for this.",
    )


@dataclass(frozen=True, slots=True)
class CassandraClientStanza(_Module):
    """The Cassandra cluster of events, where store.engine says so. Momentum has the stanza with uri alone."""

    uri: tuple[str, ...] = declared(
        option_types.cassandra_nodes(), (),
        "One string per node to begin with; the others are found through them. "
        "The retired port 9160 is taken as 9042, and all nodes have one port.",
        example=("name=cassandra_db;host=192.0.2.31;port=9042",),
    )  # fmt: skip
    keyspace: str = declared(
        option_types.keyspace(), "smtpapi", "Where the tables are; `smtpapi store migrate` makes it."
    )
    replication: Mapping[str, str] = declared(
        option_types.copies(), MappingProxyType({}), "Copies of each row in each data centre, for a keyspace "
        "that is made. Empty: 3 in local_dc.",
        example={"dc1": "3"},
    )  # fmt: skip
    local_dc: str = declared(
        option_types.text(), "", "Data centre that is asked. Empty: that of the first node that answers.",
        example="dc1",
    )  # fmt: skip
    consistency: str = declared(
        option_types.choice("local_quorum", "quorum", "each_quorum", "all", "local_one", "one"),
        "local_quorum",
        "How many copies must have a row before the spool forgets its event; also for reading.",
    )
    shards: int = declared(
        option_types.integer(1, 1024),
        16,
        "Parts that the events of an hour are spread over; 16 suits a thousand million events a month. May "
        "be raised at any time.",
    )
    user: str = declared(
        option_types.text(), "", "User to log in as. Empty: no login.", example="smtpapi"
    )  # fmt: skip
    password_file: str = declared(
        option_types.path(), "",
        "File whose first line is the password; read at each new login, so it may be "
        "changed at any time.",
        example="/etc/smtpapi/cassandra.password",
    )  # fmt: skip
    tls: bool = declared(
        option_types.boolean(),
        False,
        "Whether the connections are encrypted, and nodes must prove their names.",
    )
    ca_file: str = declared(
        option_types.path(), "", "File of the authorities that vouch for the nodes. Empty: the system's.",
        example="/etc/smtpapi/cassandra-ca.pem",
    )  # fmt: skip
    connect_timeout: int = declared(
        option_types.integer(100, 300_000, "milliseconds"),
        5000,
        "Longest wait for a node to answer at first.",
    )
    request_timeout: int = declared(
        option_types.integer(100, 300_000, "milliseconds"),
        10_000,
        "Longest wait for one answer. What is not confirmed by then is written again, under the same ids.",
    )


@dataclass(frozen=True, slots=True)
class EventHydrantStanza(_Module):
    """Which events are recorded. Momentum's other options of it are read, and a notice names each."""

    log_click: bool = declared(
        option_types.boolean(),
        True,
        "Whether clicks are recorded. Their links work either way.",
    )
    log_open: bool = declared(
        option_types.boolean(),
        True,
        "Whether opens are recorded.",
    )
    cust_prefix: str = declared(
        option_types.text("the beginning of a name", empty=False),
        "cust_",
        "Context variables whose names begin so are part of each event of their message.",
    )


@dataclass(frozen=True, slots=True)
class MomentumStanza:
    """How a configuration of Momentum is taken. Momentum has no such stanza."""

    ignore: tuple[str, ...] = declared(
        option_types.text_list("a list of names, as an error shows them"),
        (),
        "What this configuration holds, Momentum honours, and is not honoured here, though it would change "
        "what is tracked. Each is an error until its name stands here.",
        example=("proxy_protocol", "sieve"),
    )
