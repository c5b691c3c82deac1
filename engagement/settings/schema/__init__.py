"""Every option, declared once: name, type, default, bounds, help text, and the version it came with.

The loader's checks, the sample file, the reference page and `check-config` come from these declarations; no
other module repeats a default or a bound. They are grouped by topic in `momentum`, `site` and `scoped`, and
collected here. Not the rules between options (`load`, `lint`), nor those between scopes (`scopes`).
"""

from collections.abc import Mapping

from engagement.settings.option import Option, options_of
from engagement.settings.schema.cluster import ClusterStanza
from engagement.settings.schema.follow import FollowStanza
from engagement.settings.schema.languages import LanguagesStanza
from engagement.settings.schema.metrics import MetricsStanza
from engagement.settings.schema.modes import (
    AddedRecipients,
    ByLink,
    Pixel,
    PrivacyMode,
    SeenBy,
    SeveralRecipients,
    SuppressionAction,
)
from engagement.settings.schema.momentum import (
    CassandraClientStanza,
    EngagementTrackerStanza,
    EventHydrantStanza,
    MomentumStanza,
    SmtpapiStanza,
)
from engagement.settings.schema.scoped import DEFAULT_DOMAIN, TRACKING_SCOPES, ScopedOptions
from engagement.settings.schema.scripts import Datasource, PolicyScript
from engagement.settings.schema.site.classify import ClassifyStanza
from engagement.settings.schema.site.limits import LimitsStanza
from engagement.settings.schema.site.milter import CustomersStanza, MilterStanza
from engagement.settings.schema.site.policy import PolicyStanza
from engagement.settings.schema.site.privacy import PrivacyStanza
from engagement.settings.schema.site.rewriting import RewritingStanza
from engagement.settings.schema.site.storage import RegistryStanza, SpoolStanza, StoreStanza
from engagement.settings.schema.site.suppression import SuppressionStanza, UnsubscribeStanza
from engagement.settings.schema.site.tracker import EnteredDomainsStanza, KeysStanza, TrackerStanza
from engagement.settings.schema.site.web import WebStanza
from engagement.settings.schema.transmissions import TransmissionsStanza
from engagement.settings.schema.webhooks import WebhooksStanza

__all__ = [
    "DEFAULT_DOMAIN",
    "SCOPED",
    "STANZAS",
    "TRACKING_OPTIONS",
    "TRACKING_SCOPES",
    "AddedRecipients",
    "ByLink",
    "CassandraClientStanza",
    "ClassifyStanza",
    "ClusterStanza",
    "CustomersStanza",
    "Datasource",
    "EngagementTrackerStanza",
    "EnteredDomainsStanza",
    "EventHydrantStanza",
    "FollowStanza",
    "KeysStanza",
    "LanguagesStanza",
    "LimitsStanza",
    "MetricsStanza",
    "MilterStanza",
    "MomentumStanza",
    "Pixel",
    "PolicyScript",
    "PolicyStanza",
    "PrivacyMode",
    "PrivacyStanza",
    "RegistryStanza",
    "RewritingStanza",
    "ScopedOptions",
    "SeenBy",
    "SeveralRecipients",
    "SmtpapiStanza",
    "SpoolStanza",
    "StoreStanza",
    "SuppressionAction",
    "SuppressionStanza",
    "TrackerStanza",
    "TransmissionsStanza",
    "UnsubscribeStanza",
    "WebStanza",
    "WebhooksStanza",
]

SCOPED: Mapping[str, Option] = {option.name: option for option in options_of(ScopedOptions)}
TRACKING_OPTIONS = tuple(
    name
    for name, option in SCOPED.items()
    if option.scopes == TRACKING_SCOPES and name not in ("context", "open_relay", "smtp_extensions")
)

# The attribute of Settings, which is also the stanza's name, and its class.
STANZAS: Mapping[str, type] = {
    "smtpapi": SmtpapiStanza,
    "engagement_tracker": EngagementTrackerStanza,
    "event_hydrant": EventHydrantStanza,
    "momentum": MomentumStanza,
    "cassandra_client": CassandraClientStanza,
    "milter": MilterStanza,
    "customers": CustomersStanza,
    "rewriting": RewritingStanza,
    "limits": LimitsStanza,
    "spool": SpoolStanza,
    "store": StoreStanza,
    "registry": RegistryStanza,
    "suppression": SuppressionStanza,
    "entered_domains": EnteredDomainsStanza,
    "classify": ClassifyStanza,
    "keys": KeysStanza,
    "smtpapi_cluster": ClusterStanza,
    "tracker": TrackerStanza,
    "unsubscribe": UnsubscribeStanza,
    "web": WebStanza,
    "webhooks": WebhooksStanza,
    "transmissions": TransmissionsStanza,
    "follow": FollowStanza,
    "languages": LanguagesStanza,
    "metrics": MetricsStanza,
    "privacy": PrivacyStanza,
    "policy": PolicyStanza,
}
