"""The settings as programs use them: an attribute for each stanza, and `scoped` for options of scopes.

Not the reading of files (`load`). Invariant: every value is checked and converted. `Settings()` has the
values of an empty file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from engagement.settings.option_types.listeners import is_host_and_port
from engagement.settings.schema import (
    DEFAULT_DOMAIN,
    SCOPED,
    CassandraClientStanza,
    ClassifyStanza,
    ClusterStanza,
    CustomersStanza,
    Datasource,
    EngagementTrackerStanza,
    EnteredDomainsStanza,
    EventHydrantStanza,
    FollowStanza,
    KeysStanza,
    LanguagesStanza,
    LimitsStanza,
    MetricsStanza,
    MilterStanza,
    MomentumStanza,
    PolicyScript,
    PolicyStanza,
    PrivacyStanza,
    RegistryStanza,
    RewritingStanza,
    SmtpapiStanza,
    SpoolStanza,
    StoreStanza,
    SuppressionAction,
    SuppressionStanza,
    TrackerStanza,
    TransmissionsStanza,
    UnsubscribeStanza,
    WebhooksStanza,
    WebStanza,
)
from engagement.settings.scopes import Scoped, Table, Value, Where


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole configuration.

    smtpapi, cassandra_client: None where the stanza is absent. warnings: what the operator should change.
    notices: what was read and has no effect here. origins: the options of stanzas that the file sets, by
    stanza and option. scripts: of the stanza scriptlet, in their order. datasources: by name.
    """

    smtpapi: SmtpapiStanza | None = None
    engagement_tracker: EngagementTrackerStanza = field(default_factory=EngagementTrackerStanza)
    event_hydrant: EventHydrantStanza = field(default_factory=EventHydrantStanza)
    momentum: MomentumStanza = field(default_factory=MomentumStanza)
    cassandra_client: CassandraClientStanza | None = None
    milter: MilterStanza = field(default_factory=MilterStanza)
    customers: CustomersStanza = field(default_factory=CustomersStanza)
    rewriting: RewritingStanza = field(default_factory=RewritingStanza)
    limits: LimitsStanza = field(default_factory=LimitsStanza)
    spool: SpoolStanza = field(default_factory=SpoolStanza)
    store: StoreStanza = field(default_factory=StoreStanza)
    registry: RegistryStanza = field(default_factory=RegistryStanza)
    entered_domains: EnteredDomainsStanza = field(default_factory=EnteredDomainsStanza)
    suppression: SuppressionStanza = field(default_factory=SuppressionStanza)
    classify: ClassifyStanza = field(default_factory=ClassifyStanza)
    keys: KeysStanza = field(default_factory=KeysStanza)
    smtpapi_cluster: ClusterStanza = field(default_factory=ClusterStanza)
    tracker: TrackerStanza = field(default_factory=TrackerStanza)
    unsubscribe: UnsubscribeStanza = field(default_factory=UnsubscribeStanza)
    web: WebStanza = field(default_factory=WebStanza)
    webhooks: WebhooksStanza = field(default_factory=WebhooksStanza)
    transmissions: TransmissionsStanza = field(default_factory=TransmissionsStanza)
    follow: FollowStanza = field(default_factory=FollowStanza)
    languages: LanguagesStanza = field(default_factory=LanguagesStanza)
    metrics: MetricsStanza = field(default_factory=MetricsStanza)
    privacy: PrivacyStanza = field(default_factory=PrivacyStanza)
    policy: PolicyStanza = field(default_factory=PolicyStanza)
    scripts: tuple[PolicyScript, ...] = ()
    datasources: Mapping[str, Datasource] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    origins: Mapping[tuple[str, str], Value] = field(default_factory=dict)
    table: Table = field(default_factory=Table, compare=False, repr=False)

    @property
    def active(self) -> bool:
        """Return whether anything may be tracked at all: the stanza smtpapi { } is there and enabled."""
        return self.smtpapi is not None and self.smtpapi.enabled

    def scoped(self, where: Where) -> Scoped:
        """Return the options in force for a connection; cached."""
        return self.table.scoped(where)

    def tracking_domains(self) -> frozenset[str]:
        """Return each host[:port] that links of any scope may have, in lower case.

        Policy can name others; the operator lists those in tracker.hosts.
        """
        blocks = list(self.table.top.walk())
        found = {
            str(block.values["tracking_domain"].value)
            for block in blocks
            if "tracking_domain" in block.values
        }
        contexts = [block.values["context"].value for block in blocks if "context" in block.values]
        named = {context.get("smtpapi_tracking_domain", "") for context in contexts}
        found |= {domain for domain in named if is_host_and_port(domain)}
        listeners = [block for block in blocks if block.kind == "esmtp_listener" and block.serves()]
        if not listeners or not all("tracking_domain" in block.values for block in listeners):
            found.add(DEFAULT_DOMAIN)  # policy may name any pathway, also one without a domain
        return frozenset(domain.lower() for domain in found)

    def domain_directories(self) -> tuple[str, ...]:
        """Return the folders with files of hosts that stand in links: this host's, and the cluster's."""
        return (
            self.spool.directory,
            *((self.smtpapi_cluster.directory,) if self.smtpapi_cluster.name else ()),
        )

    def suppression_actions(self) -> frozenset[SuppressionAction]:
        """Return what any scope does with recipients on the suppression list, the default included."""
        option = SCOPED["suppression_action"]
        set_here = (block.values.get(option.name) for block in self.table.top.walk())
        return frozenset({SuppressionAction(option.default), *(each.value for each in set_here if each)})

    def keeps_html(self) -> bool:
        """Return whether any scope has copies of mail's HTML kept."""
        found = (block.values.get("keep_html_days") for block in self.table.top.walk())
        return any(each.value for each in found if each)

    def copies_suppression_list(self) -> bool:
        """Return whether the filter's copy of the suppression list is written."""
        required = self.suppression_actions() != {SuppressionAction.OFF}
        return required or ("suppression", "snapshot") in self.origins

    def longest_expiry(self) -> int:
        """Return for how many seconds hits are recorded: the longest of all scopes and the default."""
        option = SCOPED["tracking_link_expiry"]
        set_here = (block.values.get(option.name) for block in self.table.top.walk())
        return max([int(option.default), *(int(value.value) for value in set_here if value)])
