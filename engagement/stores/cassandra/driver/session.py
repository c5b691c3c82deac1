"""Opening a session of the driver as `cassandra_client` asks for it."""

import logging
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cassandra import ConsistencyLevel
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, Session
from cassandra.policies import DCAwareRoundRobinPolicy, ExponentialReconnectionPolicy, TokenAwarePolicy
from cassandra.query import tuple_factory

from engagement.settings.schema import CassandraClientStanza

_OLD_PORT: Final = "9160"  # Thrift's; contract.md 1.5

# It logs each lost connection with a traceback; the programs log one line of their own.
logging.getLogger("cassandra").setLevel(logging.CRITICAL)


class _Login(PlainTextAuthProvider):
    """Reads the password at each login, so that it may change while the program runs."""

    def __init__(self, user: str, password_file: str) -> None:
        super().__init__(user, "")
        self._file = password_file

    def new_authenticator(self, host: str) -> object:
        """Read the password; the driver calls this for each connection. Raises OSError."""
        self.password = Path(self._file).read_text("utf-8").partition("\n")[0] if self._file else ""
        return super().new_authenticator(host)


def nodes(uri: Iterable[str]) -> tuple[list[str], int]:
    """Return the hosts to begin with, and the port of all: that of the first node (contract.md 1.5).

    uri: checked contact strings, as `cassandra_client.uri` has them.
    """
    hosts, port = [], ""
    for node in uri:
        parts = dict(part.strip().partition("=")[::2] for part in node.split(";"))
        hosts.append(parts["host"].strip("[]"))
        port = port or parts.get("port", "")
    return hosts, 9042 if port in ("", _OLD_PORT) else int(port)


def name_of(stanza: CassandraClientStanza) -> str:
    """Return what the cluster is called in messages."""
    hosts, port = nodes(stanza.uri)
    return f"Cassandra ({', '.join(hosts)}, port {port})"


def opened(stanza: CassandraClientStanza) -> tuple[Cluster, Session]:
    """Return a new cluster and a session of it, as the settings ask for. Raises what the driver raises."""
    hosts, port = nodes(stanza.uri)
    profile = ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy(local_dc=stanza.local_dc)),
        consistency_level=getattr(ConsistencyLevel, stanza.consistency.upper()),
        serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL
        if stanza.consistency.startswith("local_")
        else ConsistencyLevel.SERIAL,
        request_timeout=stanza.request_timeout / 1000,
        row_factory=tuple_factory,
    )
    cluster = Cluster(
        hosts,
        port=port,
        auth_provider=_Login(stanza.user, stanza.password_file) if stanza.user else None,
        ssl_context=ssl.create_default_context(cafile=stanza.ca_file or None) if stanza.tls else None,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        connect_timeout=stanza.connect_timeout / 1000,
        control_connection_timeout=stanza.connect_timeout / 1000,
        reconnection_policy=ExponentialReconnectionPolicy(0.5, 10.0),
        idle_heartbeat_interval=10,
        idle_heartbeat_timeout=10,
    )
    try:
        session = cluster.connect()
    except BaseException:
        cluster.shutdown()
        raise
    return cluster, session
