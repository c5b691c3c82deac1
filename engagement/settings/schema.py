"""Every option, declared once: name, type, default, bounds, words, and since when.

The loader's checks, the sample file, the reference page and `check-config` come from these declarations; no
other module repeats a default or a bound. Not the rules between options (`load`, `advice`), nor those between
scopes (`scopes`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from types import MappingProxyType

from engagement.settings import kinds
from engagement.settings.declare import Option, declared, options_of
from engagement.settings.kinds import Network

TRACKING_SCOPES = ("esmtp_listener", "listen", "pathway", "pathway_group", "peer")
_LISTENER_SCOPES = ("esmtp_listener", "listen", "peer")
DEFAULT_DOMAIN = "localhost:8080"
_DAY = 86400
_MIB = 1024 * 1024
_SMALLEST, _LARGEST = -(2**62), 2**62  # Momentum takes any integer; sums with a time must still fit 64 bits


@dataclass(frozen=True, slots=True)
class SmtpapiStanza:
    """Turns the filter on. Without this stanza nothing is tracked and no header is read."""

    enabled: bool = declared(
        kinds.boolean(),
        True,
        "Whether the filter acts. When off, every message passes as it came, X-MSYS-API headers included. "
        "Not to be confused with `Enable` of a listener.",
    )
    debug_level: str = declared(
        kinds.debug_level(),
        "ERROR",
        "How much is logged: ERROR shows ERROR and CRITICAL, DEBUG shows everything.",
    )


@dataclass(frozen=True, slots=True)
class _Module:
    """The two options that all of Momentum's modules share (contract.md 1.4)."""

    enabled: bool = declared(
        kinds.boolean(), True, "Every module of Momentum has it. Read, and without effect in this stanza."
    )
    debug_level: str = declared(
        kinds.debug_level(),
        "ERROR",
        "Every module of Momentum has it. Read, and without effect in this stanza; see smtpapi { }.",
    )


@dataclass(frozen=True, slots=True)
class EngagementTracker(_Module):
    """What tracked links carry."""

    click_tracking_include_metadata: bool = declared(
        kinds.boolean(),
        True,
        "Whether click links carry the message's metadata; open links always do. Decided when mail is sent: "
        "links already out stay as they are.",
        aliases=("click_track_include_metadata",),
    )
    max_metadata_len: int = declared(
        kinds.integer(0, 8192, "bytes"),
        1000,
        "Most bytes of metadata, as compact JSON, that links and events carry. Whole pairs are kept while "
        "they fit; no mail is refused for this.",
    )


@dataclass(frozen=True, slots=True)
class CassandraClient(_Module):
    """The Cassandra cluster of events, where store.engine says so. Momentum has the stanza with uri alone."""

    uri: tuple[str, ...] = declared(
        kinds.cassandra_nodes(), (), "One string per node to begin with; the others are found through them. "
        "The retired port 9160 is taken as 9042, and all nodes have one port.",
        example=("name=cassandra_db;host=192.0.2.31;port=9042",),
    )  # fmt: skip
    keyspace: str = declared(
        kinds.keyspace(), "smtpapi", "Where the tables are; `smtpapi store migrate` makes it."
    )
    replication: Mapping[str, str] = declared(
        kinds.copies(), MappingProxyType({}), "Copies of each row in each data centre, for a keyspace "
        "that is made. Empty: 3 in local_dc.",
        example={"dc1": "3"},
    )  # fmt: skip
    local_dc: str = declared(
        kinds.text(), "", "Data centre that is asked. Empty: that of the first node that answers.",
        example="dc1",
    )  # fmt: skip
    consistency: str = declared(
        kinds.choice("local_quorum", "quorum", "each_quorum", "all", "local_one", "one"),
        "local_quorum",
        "How many copies must have a row before the spool forgets its event; also for reading.",
    )
    shards: int = declared(
        kinds.integer(1, 1024),
        16,
        "Parts that the events of an hour are spread over; 16 suits a thousand million events a month. May "
        "be raised at any time.",
    )
    user: str = declared(
        kinds.text(), "", "User to log in as. Empty: no login.", example="smtpapi"
    )  # fmt: skip
    password_file: str = declared(
        kinds.path(), "", "File whose first line is the password; read at each new login, so it may be "
        "changed at any time.",
        example="/etc/smtpapi/cassandra.password",
    )  # fmt: skip
    tls: bool = declared(
        kinds.boolean(), False, "Whether the connections are encrypted, and nodes must prove their names."
    )
    ca_file: str = declared(
        kinds.path(), "", "File of the authorities that vouch for the nodes. Empty: the system's.",
        example="/etc/smtpapi/cassandra-ca.pem",
    )  # fmt: skip
    connect_timeout: int = declared(
        kinds.integer(100, 300_000, "milliseconds"), 5000, "Longest wait for a node to answer at first."
    )
    request_timeout: int = declared(
        kinds.integer(100, 300_000, "milliseconds"),
        10_000,
        "Longest wait for one answer. What is not confirmed by then is written again, under the same ids.",
    )


@dataclass(frozen=True, slots=True)
class Milter:
    """The filter's process and its socket."""

    socket: str = declared(
        kinds.milter_socket(),
        "unix:/var/spool/postfix/smtpapi/milter.sock",
        "Where the MTA finds the filter. A unix socket is several times faster than inet.",
    )
    workers: int = declared(
        kinds.integer(1, 64), 2, "Processes that share the work; one for each core that mail may keep busy."
    )
    user: str = declared(
        kinds.text(),
        "",
        "User to become after the start. The filter works as root only if root is named here.",
        example="smtpapi",
    )
    group: str = declared(
        kinds.text(), "", "Group to become; the MTA must be in it to use the socket. Empty: the user's own.",
        example="postfix",
    )  # fmt: skip
    counters_directory: str = declared(
        kinds.path(), "", "Folder where each worker writes its counters for others to read. Empty: nowhere.",
        example="/run/smtpapi/counters",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rewriting:
    """Which links are rewritten, and how carefully."""

    text_links: bool = declared(kinds.boolean(), True, "Whether links in text/plain parts are tracked too.")
    vml_links: bool = declared(
        kinds.boolean(), False, "Whether href in Outlook's VML inside conditional comments is tracked."
    )
    skip_url_text: bool = declared(
        kinds.boolean(),
        False,
        "Whether a link whose visible text is itself a URL is left alone; spam filters compare the two.",
    )
    skip_patterns: tuple[str, ...] = declared(
        kinds.patterns(),
        (),
        "Links whose URL matches one of these regular expressions, anywhere in it, are never tracked: "
        "one-time logins, unsubscribe pages of others.",
        example=("//login\\.example\\.com/", "[?&]one_time_token="),
    )
    brace_macros: bool = declared(
        kinds.boolean(),
        True,
        "Whether the six macros such as {{opening_double_curly()}} become their braces in the parts that are "
        "edited, for senders who escape for Momentum.",
    )
    verify: bool = declared(
        kinds.boolean(),
        False,
        "Whether each result is parsed again with a second parser and compared before it is sent. Slower.",
    )
    several_recipients: str = declared(
        kinds.choice("untracked", "shared", "defer", "split", "readdress"),
        "untracked",
        "What a message to several recipients in one transaction gets. untracked: no links; shared: the same "
        "links for all, with no recipient in them; defer: a client may name one recipient at a time (452), "
        "which slows mail down; split: a copy each over Postfix's hop; readdress: the same over Sendmail's. "
        "cc, bcc and archive of X-MSYS-API need split or readdress.",
    )
    split_listener: str = declared(
        kinds.second_pass_listener(),
        "127.0.0.1:10026",
        "Address and port where the MTA's hop brings the copies in; marks are honoured there alone, so keep "
        "it on loopback. Empty: there is no hop.",
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """Messages beyond these pass untouched, with a reason that is counted."""

    max_message_size: int = declared(
        kinds.integer(1024, 1024 * _MIB, "bytes"),
        25 * _MIB,
        "Largest body that is looked at; more than twice Postfix's default message_size_limit.",
    )
    max_parts: int = declared(kinds.integer(1, 100_000), 1000, "Most MIME parts.")
    max_links: int = declared(
        kinds.integer(1, 100_000),
        2000,
        "Most links; beyond, a message is more likely an attack than a newsletter.",
    )
    time_budget: int = declared(
        kinds.integer(10, 300_000, "milliseconds"),
        2000,
        "Longest time spent on one message; a common newsletter takes one or two milliseconds.",
    )


@dataclass(frozen=True, slots=True)
class Spool:
    """Where events wait on disk for the store."""

    directory: str = declared(kinds.path(), "/var/spool/smtpapi", "Folder of the spool, on a local disk.")
    sync: str = declared(
        kinds.choice("group", "always"),
        "group",
        "group: written to disk within 100 ms; always: before each answer, at the price of throughput.",
    )
    segment_size: int = declared(
        kinds.integer(65536, 1024 * _MIB, "bytes"), 8 * _MIB, "Size at which a new segment file is begun."
    )
    max_size: int = declared(
        kinds.integer(65536, 2**50, "bytes"),
        1024 * _MIB,
        "Most the whole spool may take. Beyond, events are dropped and counted; redirects go on.",
    )


@dataclass(frozen=True, slots=True)
class Store:
    """Where events are kept and found."""

    engine: str = declared(
        kinds.choice("sqlite", "cassandra"),
        "sqlite",
        "The database: a file, or the cluster of cassandra_client { }.",
    )
    path: str = declared(kinds.path(), "/var/lib/smtpapi/events.db", "The file of SQLite.")
    retention: int = declared(
        kinds.integer(3600, 100 * 365 * _DAY, "seconds"), 90 * _DAY, "How long events are kept (90 days)."
    )


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that seal links. Whoever has them can make links in this site's name."""

    ring: str = declared(
        kinds.path(),
        "/etc/smtpapi/keys",
        "The key ring's file, mode 0600; `smtpapi keys` makes and rotates it.",
    )


@dataclass(frozen=True, slots=True)
class Tracker:
    """The web tracker that answers links and pixels."""

    listen: str = declared(
        kinds.http_listen(),
        "127.0.0.1:8080",
        "Address and port; keep it on loopback behind a proxy that does TLS.",
    )
    workers: int = declared(kinds.integer(1, 64), 2, "Processes that share the work.")
    hosts: tuple[str, ...] = declared(
        kinds.hosts(),
        (),
        "Host names answered besides the tracking domains of this file: those that policy sets, and those of "
        "earlier campaigns.",
        example=("track.example.com", "links.example.org"),
    )
    any_host: bool = declared(
        kinds.boolean(), False, "Whether any Host header is answered. For tests, and where a proxy checks it."
    )
    trusted_proxies: tuple[str, ...] = declared(
        kinds.network_texts(),
        ("127.0.0.0/8", "::1/128"),
        "Proxies whose X-Forwarded-For and X-Forwarded-Host are believed.",
    )
    apple_app_site_association: str = declared(
        kinds.path(), "", "File served as /.well-known/apple-app-site-association, for links that open apps.",
        example="/etc/smtpapi/apple-app-site-association",
    )  # fmt: skip
    assetlinks: str = declared(
        kinds.path(), "", "File served as /.well-known/assetlinks.json, for links that open apps.",
        example="/etc/smtpapi/assetlinks.json",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Privacy:
    """A ceiling for all mail, which no header and no policy can lift."""

    mode: str = declared(
        kinds.choice("full", "off", "aggregate", "hygiene"),
        "full",
        "full: per recipient, as configured; hygiene and aggregate: no recipient in links; off: no tracking.",
    )
    truncate_addresses: bool = declared(
        kinds.boolean(), False, "Whether client addresses are kept only to /24 (IPv4) and /48 (IPv6)."
    )


@dataclass(frozen=True, slots=True)
class Policy:
    """Site policy in Python, with Momentum's hook names."""

    file: str = declared(
        kinds.path(), "", "The policy file. Empty: no policy.", example="/etc/smtpapi/policy.py"
    )


@dataclass(frozen=True, slots=True)
class ScopedOptions:
    """Options whose value is that of the narrowest scope that sets them (contract.md 1.3)."""

    click_tracking_enabled: bool = declared(
        kinds.boolean(),
        False,
        "Whether links in the text and HTML parts are tracked.",
        scopes=TRACKING_SCOPES,
    )
    click_tracking_scheme: str = declared(
        kinds.scheme(),
        "http",
        "Scheme of click links: http or https. AMP parts need https.",
        scopes=TRACKING_SCOPES,
    )
    open_tracking_enabled: bool = declared(
        kinds.boolean(),
        False,
        "Whether the HTML part gets a pixel that reports opens.",
        scopes=TRACKING_SCOPES,
    )
    open_tracking_scheme: str = declared(
        kinds.scheme(), "http", "Scheme of the pixel's URL: http or https. AMP parts need https.",
        scopes=TRACKING_SCOPES,
    )  # fmt: skip
    tracking_domain: str = declared(
        kinds.tracking_domain(),
        DEFAULT_DOMAIN,
        "Host, optionally with :port, of all links; it must lead to the web tracker. The default is unfit "
        "for production.",
        scopes=TRACKING_SCOPES,
        example="track.example.com",
    )
    tracking_link_expiry: int = declared(
        kinds.integer(_SMALLEST, _LARGEST, words="a whole number of seconds"),
        365 * _DAY,
        "How long after sending a click or open is still recorded (365 days). Expired links still take their "
        "reader to the target. Zero or less: never record.",
        scopes=TRACKING_SCOPES,
    )
    initial_open_tracking_enabled: bool = declared(
        kinds.boolean(),
        False,
        "Whether a second pixel stands at the top of the HTML part, so that mail which a reader's program "
        "cuts off still reports an open. Needs open_tracking_enabled.",
        scopes=TRACKING_SCOPES,
    )
    context: Mapping[str, str] = declared(
        kinds.pairs(),
        MappingProxyType({}),
        "Context variables that every message of a connection begins with. They are policy: those named "
        "smtpapi_… win over the X-MSYS-API header.",
        scopes=TRACKING_SCOPES,
        example={"mo_customer_id": "17", "cust_site": "berlin"},
    )
    pathway: str = declared(
        kinds.text("a pathway's name", empty=False),
        "default",
        "Name of the pathway whose options apply where these scopes set none.",
        scopes=_LISTENER_SCOPES,
        example="newsletters",
    )
    relay_hosts: tuple[Network, ...] = declared(
        kinds.networks(),
        (ip_network("127.0.0.0/8"), ip_network("::1/128")),
        "Client addresses trusted as if they had logged in. Mail of all other clients passes untouched.",
        scopes=("global", *TRACKING_SCOPES),
        display="Relay_Hosts",
    )
    smtp_extensions: tuple[str, ...] = declared(
        kinds.words_list("a list of extension names, as in (XSETCONTEXT)"),
        (),
        "Momentum's SMTP extensions offered to clients. XSETCONTEXT is honoured from trusted clients.",
        scopes=_LISTENER_SCOPES,
        example=("XSETCONTEXT",),
        display="SMTP_Extensions",
    )
    enable: bool = declared(
        kinds.boolean(), True, "Whether the listener or Listen stanza counts; false keeps it without effect.",
        scopes=("esmtp_listener", "listen"),
        display="Enable",
    )  # fmt: skip


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
    "privacy": Privacy,
    "policy": Policy,
}
