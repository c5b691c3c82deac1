"""Every option, declared once: name, type, default, bounds, words, and since when.

The loader's checks, the sample file, the reference page and `check-config` come from these declarations; no
other module repeats a default or a bound. The declarations stand by topic in `schema_momentum`, `schema_site`
and `schema_scoped`; here they are put together. Not the rules between options (`load`, `advice`), nor those
between scopes (`scopes`).
"""

from collections.abc import Mapping

from engagement.settings.option import Option, options_of
from engagement.settings.schema.momentum import CassandraClient, EngagementTracker, SmtpapiStanza
from engagement.settings.schema.scoped import DEFAULT_DOMAIN, TRACKING_SCOPES, ScopedOptions
from engagement.settings.schema.site import (
    Keys,
    Limits,
    Milter,
    Policy,
    Privacy,
    Rewriting,
    Spool,
    Store,
    Tracker,
    Web,
)

__all__ = [
    "DEFAULT_DOMAIN",
    "SCOPED",
    "STANZAS",
    "TRACKING_OPTIONS",
    "TRACKING_SCOPES",
    "CassandraClient",
    "EngagementTracker",
    "Keys",
    "Limits",
    "Milter",
    "Policy",
    "Privacy",
    "Rewriting",
    "ScopedOptions",
    "SmtpapiStanza",
    "Spool",
    "Store",
    "Tracker",
    "Web",
]

SCOPED: Mapping[str, Option] = {option.name: option for option in options_of(ScopedOptions)}
TRACKING_OPTIONS = tuple(
    name for name, option in SCOPED.items() if option.scopes == TRACKING_SCOPES and name != "context"
)

# The attribute of Settings, which is also the stanza's name, and its class.
STANZAS: Mapping[str, type] = {
    "smtpapi": SmtpapiStanza,
    "engagement_tracker": EngagementTracker,
    "cassandra_client": CassandraClient,
    "milter": Milter,
    "rewriting": Rewriting,
    "limits": Limits,
    "spool": Spool,
    "store": Store,
    "keys": Keys,
    "tracker": Tracker,
    "web": Web,
    "privacy": Privacy,
    "policy": Policy,
}
