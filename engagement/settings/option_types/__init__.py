"""The types of option values: how each is read, described and written.

No option is declared here (`schema`).
"""

from engagement.settings.option_types.cassandra import cassandra_nodes, copies, keyspace
from engagement.settings.option_types.listeners import (
    hosts,
    http_listen,
    metrics_listen,
    milter_socket,
    relays,
    second_pass_listener,
    tracking_domain,
)
from engagement.settings.option_types.lists import choices, pairs, patterns, text_list
from engagement.settings.option_types.mail import header_name, list_id, mail_address
from engagement.settings.option_types.networks import network_texts, networks
from engagement.settings.option_types.scalars import (
    boolean,
    choice,
    debug_level,
    integer,
    member,
    path,
    scheme,
    text,
)

__all__ = [
    "boolean",
    "cassandra_nodes",
    "choice",
    "choices",
    "copies",
    "debug_level",
    "header_name",
    "hosts",
    "http_listen",
    "integer",
    "keyspace",
    "list_id",
    "mail_address",
    "member",
    "metrics_listen",
    "milter_socket",
    "network_texts",
    "networks",
    "pairs",
    "path",
    "patterns",
    "relays",
    "scheme",
    "second_pass_listener",
    "text",
    "text_list",
    "tracking_domain",
]
