"""Declaration of the stanza of `smtpapi cluster`, which lets several hosts answer as one."""

from dataclasses import dataclass

from engagement.settings import option_types
from engagement.settings.option import declared


@dataclass(frozen=True, slots=True)
class ClusterStanza:
    """Several hosts that share keys, stopped links, objections and rules (docs/cluster.md)."""

    name: str = declared(
        option_types.text(),
        "",
        "Name of the cluster, the same on all its hosts, which share a registry in Cassandra. Empty: this "
        "host shares nothing.",
        example="newsletters",
    )
    host: str = declared(
        option_types.text(),
        "",
        "Name of this host in the cluster, which no other one has. Empty: the name of the machine.",
        example="mx1.example.com",
    )
    key_file: str = declared(
        option_types.path(),
        "/etc/smtpapi/cluster.key",
        "File of the key that documents in the registry are sealed with, the same on all hosts, mode 0640; "
        "`smtpapi cluster init` makes it on the first.",
    )
    directory: str = declared(
        option_types.path(),
        "/var/lib/smtpapi/cluster",
        "Folder in which `smtpapi cluster run` remembers what it has exchanged, and keeps the hosts of links "
        "of the whole cluster.",
    )
    dead_after: int = declared(
        option_types.integer(60, 30 * 86_400, "seconds"),
        300,
        "After what silence of its `smtpapi cluster run` a host is held for dead, so that `smtpapi keys use` "
        "waits for it no more.",
    )
