"""Every option, declared once: name, type, default, bounds, words, and since when.

The loader's checks, the sample file, the reference page and `check-config` come from these declarations; no
other module repeats a default or a bound. Not the rules between options (`load`) nor between scopes (`scopes`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_network
from types import MappingProxyType
from typing import Any, TypeVar, cast

from engagement.settings import kinds
from engagement.settings.kinds import Kind, Network

T = TypeVar("T")

TRACKING_SCOPES = ("esmtp_listener", "listen", "pathway", "pathway_group", "peer")
_LISTENER_SCOPES = ("esmtp_listener", "listen", "peer")
DEFAULT_DOMAIN = "localhost:8080"
_DAY = 86400
_MIB = 1024 * 1024
_SMALLEST, _LARGEST = -(2**62), 2**62  # Momentum takes any integer; sums with a time must still fit 64 bits


@dataclass(frozen=True, slots=True)
class Option:
    """One declaration. scopes: where it is valid, () for an option of a stanza. example: for the sample file."""

    name: str
    kind: Kind[Any]
    default: Any
    help: str
    since: str
    scopes: tuple[str, ...] = ()
    example: Any = None
    aliases: tuple[str, ...] = ()


def _option(
    kind: Kind[T],
    default: T,
    help_text: str,
    *,
    since: str = "0.1.0",
    scopes: tuple[str, ...] = (),
    example: T | None = None,
    aliases: tuple[str, ...] = (),
) -> T:
    """A dataclass field that carries its declaration."""
    declared = {
        "kind": kind,
        "default": default,
        "help": help_text,
        "since": since,
        "scopes": scopes,
        "example": example,
        "aliases": aliases,
    }
    # the field stands for a value of its type, which is how dataclasses are typed
    return cast(T, field(default_factory=lambda: default, metadata=declared))


def options_of(stanza: type) -> Iterator[Option]:
    """The declarations of a stanza's class, in order."""
    for each in fields(stanza):
        if "kind" in each.metadata:
            yield Option(name=each.name, **each.metadata)


@dataclass(frozen=True, slots=True)
class Module:
    """The two options that all of Momentum's modules share (contract.md 1.4)."""

    enabled: bool = _option(
        kinds.boolean(),
        True,
        "Whether the module acts. A module that is off leaves every message as it came, headers included. Not "
        "to be confused with `Enable` of a listener.",
    )
    debug_level: str = _option(
        kinds.debug_level(),
        "ERROR",
        "How much is logged: ERROR shows ERROR and CRITICAL, DEBUG shows everything.",
    )


@dataclass(frozen=True, slots=True)
class SmtpapiStanza(Module):
    """Turns the filter on. Without this stanza nothing is tracked and no header is read."""


@dataclass(frozen=True, slots=True)
class EngagementTracker(Module):
    """What tracked links carry."""

    click_tracking_include_metadata: bool = _option(
        kinds.boolean(),
        True,
        "Whether click links carry the message's metadata; open links always do. Decided when the mail is sent: "
        "links already out stay as they are.",
        aliases=("click_track_include_metadata",),
    )
    max_metadata_len: int = _option(
        kinds.integer(0, 8192, "bytes"),
        1000,
        "Most bytes of metadata, as compact JSON, that links and events carry. Whole pairs are kept while they "
        "fit; no mail is refused for this.",
    )


@dataclass(frozen=True, slots=True)
class CassandraClient(Module):
    """Momentum's contact points of its Cassandra cluster. Read and checked; the store { } stanza says what is used."""

    uri: tuple[str, ...] = _option(
        kinds.cassandra_nodes(), (), "One string per node. The retired port 9160 is taken as 9042.",
        example=("name=cassandra_db;host=192.0.2.31;port=9042",),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Milter:
    """The filter's process and its socket."""

    socket: str = _option(
        kinds.milter_socket(),
        "unix:/var/spool/postfix/smtpapi/milter.sock",
        "Where the MTA finds the filter. A unix socket is several times faster than inet.",
    )
    workers: int = _option(
        kinds.integer(1, 64), 2, "Processes that share the work; one for each core that mail may keep busy."
    )
    user: str = _option(
        kinds.text(),
        "",
        "User to become after the start, if started as root. Empty: stay.",
        example="smtpapi",
    )
    group: str = _option(
        kinds.text(), "", "Group to become; the MTA must be in it to reach the socket. Empty: the user's own.",
        example="postfix",
    )  # fmt: skip
    counters_directory: str = _option(
        kinds.path(), "", "Folder where each worker writes its counters for others to read. Empty: nowhere.",
        example="/run/smtpapi/counters",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rewriting:
    """Which links are rewritten, and how carefully."""

    text_links: bool = _option(kinds.boolean(), True, "Whether links in text/plain parts are tracked too.")
    vml_links: bool = _option(
        kinds.boolean(), False, "Whether href in Outlook's VML inside conditional comments is tracked."
    )
    skip_url_text: bool = _option(
        kinds.boolean(),
        False,
        "Whether a link whose visible text is itself a URL is left alone; readers and filters compare the two.",
    )
    skip_patterns: tuple[str, ...] = _option(
        kinds.patterns(),
        (),
        "Links whose URL matches one of these regular expressions, anywhere in it, are never tracked: one-time "
        "logins, unsubscribe pages of others.",
        example=("//login\\.example\\.com/", "[?&]one_time_token="),
    )
    brace_macros: bool = _option(
        kinds.boolean(),
        True,
        "Whether the six macros such as {{opening_double_curly()}} become their braces in the parts that are "
        "edited, for senders who escape for Momentum.",
    )
    verify: bool = _option(
        kinds.boolean(),
        False,
        "Whether each result is parsed again with a second parser and compared before it is sent. Slower.",
    )
    several_recipients: str = _option(
        kinds.choice("untracked"),
        "untracked",
        "What a message to several recipients in one transaction gets.",
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """Messages beyond these pass untouched, with a reason that is counted."""

    max_message_size: int = _option(
        kinds.integer(1024, 1024 * _MIB, "bytes"),
        25 * _MIB,
        "Largest body that is looked at. Twice Postfix's default message_size_limit, so that it rarely bites.",
    )
    max_parts: int = _option(kinds.integer(1, 100_000), 1000, "Most MIME parts.")
    max_links: int = _option(
        kinds.integer(1, 100_000),
        2000,
        "Most links; beyond, a message is more likely an attack than a newsletter.",
    )
    time_budget: int = _option(
        kinds.integer(10, 300_000, "milliseconds"),
        2000,
        "Longest time spent on one message; a common newsletter takes one or two milliseconds.",
    )


@dataclass(frozen=True, slots=True)
class Spool:
    """Where events wait on disk for the store."""

    directory: str = _option(kinds.path(), "/var/spool/smtpapi", "Folder of the spool, on a local disk.")
    sync: str = _option(
        kinds.choice("group", "always"),
        "group",
        "group: written to disk within 100 ms; always: before each answer, at the price of throughput.",
    )
    segment_size: int = _option(
        kinds.integer(65536, 1024 * _MIB, "bytes"), 8 * _MIB, "Size at which a new segment file is begun."
    )
    max_size: int = _option(
        kinds.integer(65536, 2**50, "bytes"),
        1024 * _MIB,
        "Most the whole spool may take. Beyond, events are dropped and counted; redirects go on.",
    )


@dataclass(frozen=True, slots=True)
class Store:
    """Where events are kept and found."""

    engine: str = _option(kinds.choice("sqlite"), "sqlite", "The database.")
    path: str = _option(kinds.path(), "/var/lib/smtpapi/events.db", "The database's file.")
    retention: int = _option(
        kinds.integer(3600, 100 * 365 * _DAY, "seconds"), 90 * _DAY, "How long events are kept (90 days)."
    )


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that seal links. Whoever has them can make links in this site's name."""

    ring: str = _option(
        kinds.path(),
        "/etc/smtpapi/keys",
        "The key ring's file, mode 0600; `smtpapi keys` makes and rotates it.",
    )


@dataclass(frozen=True, slots=True)
class Tracker:
    """The web tracker that answers links and pixels."""

    listen: str = _option(
        kinds.http_listen(),
        "127.0.0.1:8080",
        "Address and port; keep it on loopback behind a proxy that does TLS.",
    )
    workers: int = _option(kinds.integer(1, 64), 2, "Processes that share the work.")
    hosts: tuple[str, ...] = _option(
        kinds.hosts(),
        (),
        "Host names answered besides the tracking domains of this file, for instance of earlier campaigns.",
        example=("track.example.com", "links.example.org"),
    )
    any_host: bool = _option(
        kinds.boolean(), False, "Whether any Host header is answered. For tests, and where a proxy checks it."
    )
    trusted_proxies: tuple[str, ...] = _option(
        kinds.network_texts(),
        ("127.0.0.0/8", "::1/128"),
        "Proxies whose X-Forwarded-For and X-Forwarded-Host are believed.",
    )
    apple_app_site_association: str = _option(
        kinds.path(), "", "File served as /.well-known/apple-app-site-association, for links that open apps.",
        example="/etc/smtpapi/apple-app-site-association",
    )  # fmt: skip
    assetlinks: str = _option(
        kinds.path(), "", "File served as /.well-known/assetlinks.json, for links that open apps.",
        example="/etc/smtpapi/assetlinks.json",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Privacy:
    """A ceiling for all mail, which no header and no policy can lift."""

    mode: str = _option(
        kinds.choice("full", "off", "aggregate", "hygiene"),
        "full",
        "full: per recipient, as configured; hygiene and aggregate: no recipient in links; off: no tracking.",
    )
    truncate_addresses: bool = _option(
        kinds.boolean(), False, "Whether client addresses are kept only to /24 (IPv4) and /48 (IPv6)."
    )


@dataclass(frozen=True, slots=True)
class Policy:
    """Site policy in Python, with Momentum's hook names."""

    file: str = _option(
        kinds.path(), "", "The policy file. Empty: no policy.", example="/etc/smtpapi/policy.py"
    )


@dataclass(frozen=True, slots=True)
class ScopedOptions:
    """Options whose value is that of the narrowest scope that sets them (contract.md 1.3)."""

    click_tracking_enabled: bool = _option(
        kinds.boolean(),
        False,
        "Whether links in the text and HTML parts are tracked.",
        scopes=TRACKING_SCOPES,
    )
    click_tracking_scheme: str = _option(
        kinds.scheme(),
        "http",
        "Scheme of click links: http or https. AMP parts need https.",
        scopes=TRACKING_SCOPES,
    )
    open_tracking_enabled: bool = _option(
        kinds.boolean(),
        False,
        "Whether the HTML part gets a pixel that reports opens.",
        scopes=TRACKING_SCOPES,
    )
    open_tracking_scheme: str = _option(
        kinds.scheme(), "http", "Scheme of the pixel's URL: http or https. AMP parts need https.",
        scopes=TRACKING_SCOPES,
    )  # fmt: skip
    tracking_domain: str = _option(
        kinds.tracking_domain(),
        DEFAULT_DOMAIN,
        "Host, optionally with :port, of all links; it must lead to the web tracker. The default is unfit for "
        "production.",
        scopes=TRACKING_SCOPES,
        example="track.example.com",
    )
    tracking_link_expiry: int = _option(
        kinds.integer(_SMALLEST, _LARGEST, "seconds"),
        365 * _DAY,
        "How long after sending a click or open is still recorded (365 days). Expired links still take their "
        "reader to the target. Zero or less: never record.",
        scopes=TRACKING_SCOPES,
    )
    initial_open_tracking_enabled: bool = _option(
        kinds.boolean(),
        False,
        "Whether a second pixel stands at the top of the HTML part, so that mail cut off by the reader's program "
        "still reports an open. Needs open_tracking_enabled.",
        scopes=TRACKING_SCOPES,
    )
    context: Mapping[str, str] = _option(
        kinds.pairs(),
        MappingProxyType({}),
        "Context variables that every message of a connection begins with. They are policy: smtpapi_… variables "
        "set here win over the X-MSYS-API header.",
        scopes=TRACKING_SCOPES,
        example={"mo_customer_id": "17", "cust_site": "berlin"},
    )
    pathway: str = _option(
        kinds.text("a pathway's name", empty=False),
        "default",
        "Name of the pathway whose options apply where these scopes set none.",
        scopes=_LISTENER_SCOPES,
        example="newsletters",
    )
    relay_hosts: tuple[Network, ...] = _option(
        kinds.networks(),
        (ip_network("127.0.0.0/8"), ip_network("::1/128")),
        "Client addresses that are trusted as if they had logged in. Mail of all other clients passes untouched.",
        scopes=("global", *_LISTENER_SCOPES),
    )
    smtp_extensions: tuple[str, ...] = _option(
        kinds.words_list("a list of extension names, as in (XSETCONTEXT)"),
        (),
        "Momentum's SMTP extensions offered to clients. XSETCONTEXT is honoured from trusted clients.",
        scopes=_LISTENER_SCOPES,
        example=("XSETCONTEXT",),
    )
    enable: bool = _option(
        kinds.boolean(), True, "Whether the listener or Listen stanza counts; false keeps it without effect.",
        scopes=("esmtp_listener", "listen"),
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
