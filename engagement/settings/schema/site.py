"""Declarations of the stanzas that only this program has: filter, spool, store, tracker, pages, privacy.

Momentum's stanzas: `momentum`. Each option here holds for the whole site; what differs by listener or client
is an option of scopes (`scoped`).
"""

from dataclasses import dataclass

from engagement.settings import option_types
from engagement.settings.option import declared
from engagement.settings.schema.modes import AddedRecipients, ByLink, Pixel, PrivacyMode, SeveralRecipients

_DAY = 86400
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class MilterStanza:
    """The filter's process and its socket."""

    socket: str = declared(
        option_types.milter_socket(),
        "unix:/var/spool/postfix/smtpapi/milter.sock",
        "Where the MTA finds the filter. A unix socket is several times faster than inet.",
    )
    workers: int = declared(
        option_types.integer(1, 64),
        2,
        "Processes that share the work; one for each core that mail may keep busy.",
    )
    user: str = declared(
        option_types.text(),
        "",
        "User to become after the start. The filter works as root only if root is named here.",
        example="smtpapi",
    )
    group: str = declared(
        option_types.text(), "",
        "Group to become; the MTA must be in it to use the socket. Empty: the user's own.",
        example="postfix",
    )  # fmt: skip
    counters_directory: str = declared(
        option_types.path(), "",
        "Folder where each worker writes its counters for others to read. Empty: nowhere.",
        example="/run/smtpapi/counters",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class CustomersStanza:
    """Whose mail it is: the customer's id in events, as Momentum's module for SMTP AUTH sets it."""

    by_login: str = declared(
        option_types.choice("none", "login", "map"),
        "none",
        "How a session's SMTP AUTH login sets mo_customer_id. none: not at all; login: the login is the "
        "customer's id; map: the map says, and a login that is not in it has none. It beats XSETCONTEXT and "
        "`context`; policy beats it.",
    )
    map: str = declared(
        option_types.path(), "",
        "File with a login and its customer's id on each line. Read at the start and on SIGHUP.",
        example="/etc/smtpapi/customers",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class RewritingStanza:
    """Which links are rewritten, and how carefully."""

    text_links: bool = declared(
        option_types.boolean(), True, "Whether links in text/plain parts are tracked too."
    )
    vml_links: bool = declared(
        option_types.boolean(), False, "Whether href in Outlook's VML inside conditional comments is tracked."
    )
    skip_url_text: bool = declared(
        option_types.boolean(),
        False,
        "Whether a link whose visible text is itself a URL is left alone; spam filters compare the two.",
    )
    foreign_opt_outs: bool = declared(
        option_types.boolean(),
        True,
        "Whether attributes by which customers of other senders take a link out of tracking count here too: "
        'clicktracking="off", ses:no-track, data-pm-no-track, mc:disable-tracking and their like.',
    )
    skip_patterns: tuple[str, ...] = declared(
        option_types.patterns(),
        (),
        "Links whose URL matches one of these regular expressions, anywhere in it, are never tracked: "
        "one-time logins, unsubscribe pages of others.",
        example=("//login\\.example\\.com/", "[?&]one_time_token="),
    )
    brace_macros: bool = declared(
        option_types.boolean(),
        True,
        "Whether the six macros such as {{opening_double_curly()}} become their braces in every text, HTML "
        "and AMP part that is shown, links or not, tracked or not; for senders who escape for Momentum.",
    )
    verify: bool = declared(
        option_types.boolean(),
        False,
        "Whether each result is parsed again with a second parser and compared before it is sent. Slower.",
    )
    dkim_signed_mail: str = declared(
        option_types.choice("leave", "track"),
        "leave",
        "What mail gets that carries a DKIM-Signature when it comes in. leave: no links, so that the "
        "signature holds; track: links like any other mail, which breaks that signature, so only where the "
        "mail is signed anew behind the filter. ARC-sealed mail is left alone with either.",
    )
    several_recipients: SeveralRecipients = declared(
        option_types.member(SeveralRecipients),
        SeveralRecipients.UNTRACKED,
        "What a message to several recipients in one transaction gets. untracked: no links; shared: the same "
        "links for all, with no recipient in them; defer: a client may name one recipient at a time (452), "
        "which slows mail down; split: a copy each over Postfix's hop; readdress: the same over Sendmail's. "
        "cc, bcc and archive of X-MSYS-API need split or readdress.",
    )
    added_recipients: AddedRecipients = declared(
        option_types.member(AddedRecipients),
        AddedRecipients.OWN,
        "With several_recipients = split: what recipients get whom Postfix adds by itself (always_bcc, "
        "sender_bcc_maps, recipient_bcc_maps, members of virtual aliases). own: links of their own, so that "
        "mail to one recipient takes the hop, too; none: the same, but what always_bcc and the bcc maps add "
        "gets no links; shared: mail to one recipient is tracked at once, and whoever is added to it gets "
        "that recipient's links, which is faster where nobody is added.",
    )
    overlapping_aliases: bool = declared(
        option_types.boolean(),
        True,
        "With several_recipients = readdress: whether an alias, .forward or list that Sendmail expands "
        "may lead to somebody whom the same mail names as well. Sendmail sends that person one copy, and "
        "over the hop it would be two; so mail to several, one of them local, goes untracked. false: they "
        "never overlap here.",
    )
    split_listener: str = declared(
        option_types.second_pass_listener(),
        "127.0.0.1:10026",
        "Address and port where the MTA's hop brings the copies in; marks are honoured there alone, so keep "
        "it on loopback. Empty: there is no hop.",
    )


@dataclass(frozen=True, slots=True)
class LimitsStanza:
    """Messages beyond these pass untouched, with a reason that is counted."""

    max_message_size: int = declared(
        option_types.integer(1024, 1024 * _MIB, "bytes"),
        25 * _MIB,
        "Largest body that is looked at; more than twice Postfix's default message_size_limit.",
    )
    max_memory: int = declared(
        option_types.integer(_MIB, 1024 * 1024 * _MIB, "bytes"),
        256 * _MIB,
        "What the mail under way may take of this host's memory: in all workers together, those included "
        "that only see their last sessions out after a reload, which go by the value of before. A message is "
        "counted three times over while it is rewritten, and what its header shows to pass untouched is not "
        "kept. The processes take up to three times the value, 35 MB for each worker, and up to 64 KiB of "
        "header for each session. Mail that finds no room passes untouched, reason over-memory.",
    )
    max_parts: int = declared(option_types.integer(1, 100_000), 1000, "Most MIME parts.")
    max_links: int = declared(
        option_types.integer(1, 100_000),
        2000,
        "Most links; beyond, a message is more likely an attack than a newsletter.",
    )
    max_kept_html: int = declared(
        option_types.integer(4096, 2 * _MIB, "bytes"),
        256 * 1024,
        "Largest HTML part of which a copy is kept where keep_html_days is set; a larger one has none, and "
        "its mail is as any other.",
    )
    time_budget: int = declared(
        option_types.integer(10, 300_000, "milliseconds"),
        2000,
        "Longest time spent on one message; a common newsletter takes one or two milliseconds.",
    )


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


@dataclass(frozen=True, slots=True)
class SuppressionStanza:
    """The suppression list: the filter's copy of it, and what fills it (docs/suppression.md)."""

    snapshot: str = declared(
        option_types.path(),
        "/var/spool/smtpapi/suppressed.snapshot",
        "File in which the filter looks recipients up, on each of its hosts. `smtpapi ship` writes it within "
        "5 seconds of a change, where any suppression_action is other than off or this option is set.",
    )
    invalid_recipients: int = declared(
        option_types.integer(0, 20, "bounces"),
        0,
        "After so many bounces of class 10 (Invalid Recipient) within suppression.within the recipient is "
        "put on the list, for both types of mail. 0: never.",
    )
    complaints: int = declared(
        option_types.integer(0, 20, "complaints"),
        0,
        "After so many complaints within suppression.within the recipient is put on the list, for mail of "
        "the type that they complained of. 0: never.",
    )
    within: int = declared(
        option_types.integer(3600, 400 * _DAY, "seconds"),
        30 * _DAY,
        "The time in which bounces and complaints are counted (30 days).",
    )


@dataclass(frozen=True, slots=True)
class EnteredDomainsStanza:
    """Tracking domains that people enter (docs/api.md, Tracking domains), as filter and tracker use them."""

    enabled: bool = declared(
        option_types.boolean(),
        False,
        "Whether new links get the verified default domain of the mail's customer (mo_customer_id), else "
        "that without a tenant, in the place of tracking_domain; with https if it is secure, else http. What "
        "policy sets goes first. And the tracker answers under every verified one.",
    )
    snapshot: str = declared(
        option_types.path(),
        "/var/spool/smtpapi/tracking-domains.json",
        "File with the verified ones, which filter and tracker read on each of their hosts. `smtpapi ship` "
        "writes it within 5 seconds of a change, where enabled.",
    )


@dataclass(frozen=True, slots=True)
class ClassifyStanza:
    """How people are told from machines (docs/classify.md)."""

    rules: str = declared(
        option_types.path(), "",
        "Folder of rules of this site, read beside those that come with the program; a file takes the place "
        "of one with its name. Followed while it changes. Empty: those of the program alone.",
        example="/etc/smtpapi/classify",
    )  # fmt: skip
    as_database: str = declared(
        option_types.path(), "",
        "Database of autonomous systems in MaxMind's format, for rules with as_number. Followed while it "
        "changes. Empty: such rules hold for nothing.",
        example="/var/lib/GeoIP/GeoLite2-ASN.mmdb",
    )  # fmt: skip
    again_within: int = declared(
        option_types.integer(0, 7 * _DAY, "seconds"),
        3600,
        "How old a hit may be to be judged anew by what came in later: other hits of its message, its "
        "delivery. 0: never.",
    )


@dataclass(frozen=True, slots=True)
class KeysStanza:
    """The keys that seal links. Whoever has them can make links in this site's name."""

    ring: str = declared(
        option_types.path(),
        "/etc/smtpapi/keys",
        "The key ring's file, mode 0600, or 0640 and root's; `smtpapi keys` makes and rotates it.",
    )
    hosts: int = declared(
        option_types.integer(1, 10_000),
        1,
        "How many hosts use copies of the ring. With more than one a key must be everywhere before it signs, "
        "so `smtpapi keys rotate` is refused: `keys add`, copy the ring, `keys use`.",
    )


@dataclass(frozen=True, slots=True)
class TrackerStanza:
    """The web tracker that answers links and pixels."""

    listen: str = declared(
        option_types.http_listen(),
        "127.0.0.1:8080",
        "Address and port; keep it on loopback behind a proxy that does TLS.",
    )
    workers: int = declared(option_types.integer(1, 64), 2, "Processes that share the work.")
    hosts: tuple[str, ...] = declared(
        option_types.hosts(),
        (),
        "Host names of links besides the tracking domains of this file: those that policy sets, and those of "
        "earlier campaigns. Genuine links are answered under any name.",
        example=("track.example.com", "links.example.org"),
    )
    any_host: bool = declared(
        option_types.boolean(),
        False,
        "Whether what is no genuine link is looked at under any Host header. For tests, and where a proxy"
        " checks it.",
    )
    trusted_proxies: tuple[str, ...] = declared(
        option_types.network_texts(),
        ("127.0.0.0/8", "::1/128"),
        "Proxies whose X-Forwarded-For is believed.",
    )
    stop_list: str = declared(
        option_types.path(),
        "/var/lib/smtpapi/stopped.json",
        "The list of links that were stopped or pointed elsewhere. `smtpapi links` writes it, the tracker "
        "follows it within seconds.",
    )
    sender: str = declared(
        option_types.text(),
        "",
        "Who readers are told has switched off a link that was stopped, in words they know.",
        example="Example Ltd.",
    )
    apple_app_site_association: str = declared(
        option_types.path(), "",
        "File served as /.well-known/apple-app-site-association, for links that open apps.",
        example="/etc/smtpapi/apple-app-site-association",
    )  # fmt: skip
    assetlinks: str = declared(
        option_types.path(), "", "File served as /.well-known/assetlinks.json, for links that open apps.",
        example="/etc/smtpapi/assetlinks.json",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class UnsubscribeStanza:
    """What readers do who want no more mail (docs/unsubscribe.md)."""

    by_link: ByLink = declared(
        option_types.member(ByLink),
        ByLink.OFF,
        "What a click on a link marked data-msys-unsubscribe does besides its event. off: nothing, the "
        "author's page does it; settled: it suppresses mail as List-Unsubscribe does once it has been judged "
        "a person's for ten minutes; confirm: the tracker asks on a page of its own, with a way on to the "
        "author's.",
    )


@dataclass(frozen=True, slots=True)
class WebStanza:
    """The program that shows the events to whoever has its token, apart from the tracker."""

    listen: str = declared(
        option_types.http_listen(),
        "127.0.0.1:8090",
        "Address and port of the pages. They show recipients: keep it on loopback, behind a proxy with TLS.",
    )
    hosts: tuple[str, ...] = declared(
        option_types.hosts(),
        (),
        "Host names under which a proxy shows the pages, besides loopback's and the listen address.",
        example=("events.example.com",),
    )
    token_file: str = declared(
        option_types.path(),
        "/var/lib/smtpapi/web-token",
        "File of the token that opens the pages, mode 0600; made at the first start.",
    )
    login_header: str = declared(
        option_types.text(), "",
        "Header field in which a proxy of tracker { trusted_proxies } names the user who signed in there, as "
        "Authelia and oauth2-proxy do. The user must be one of `smtpapi user`. Empty: none is believed. "
        "Every program that reaches web.listen from a trusted address can name a user.",
        example="Remote-User",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class PrivacyStanza:
    """A ceiling for all mail, which no header and no policy can lift."""

    mode: PrivacyMode = declared(
        option_types.member(PrivacyMode),
        PrivacyMode.FULL,
        "full: per recipient, as configured; aggregate: counts, no recipient in links and no reader in "
        "events; hygiene: opens alone, by day, under a pseudonym; off: no tracking.",
    )
    truncate_addresses: bool = declared(
        option_types.boolean(),
        False,
        "Whether client addresses are kept only to /24 (IPv4) and /48 (IPv6). Modes other than full keep "
        "none.",
    )
    pixel: Pixel = declared(
        option_types.member(Pixel),
        Pixel.MESSAGE,
        "message: each copy has a pixel of its own; shared: all mail of a campaign and customer, sent on one "
        "day, has the same one: it counts opens and tells nobody's. Holds for mail already sent as well.",
    )
    require_consent: bool = declared(
        option_types.boolean(),
        False,
        "Whether only mail that says consent = true gets a pixel of its own; other mail gets the shared one.",
    )
    objections: str = declared(
        option_types.path(), "",
        "File of readers who objected, an address or @domain a line: no open or click of "
        "theirs is recorded, also of mail sent before. Followed while it changes. Empty: no list.",
        example="/etc/smtpapi/objections",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class PolicyStanza:
    """Site policy in Python or Lua, with Momentum's hook names; Lua also stands in scriptlet { }."""

    file: str = declared(
        option_types.path(), "",
        "The policy file, in Lua where its name ends in .lua. Empty: none. It runs before the scripts of "
        "scriptlet { }.",
        example="/etc/smtpapi/policy.py",
    )  # fmt: skip
    ignore: tuple[str, ...] = declared(
        option_types.text_list("a list of names of calls and hooks"), (),
        "Calls and hooks of Lua that a milter cannot do and that shall do nothing, instead of keeping the "
        "policy from loading.",
        example=("msg:binding", "core_log_delivery_v1"),
    )  # fmt: skip
    binding_header: str = declared(
        option_types.header_name(), "",
        "Header field that tells the MTA the binding and routing domain that a Lua policy chooses. Empty: a "
        "policy that chooses one does not load.",
        example="X-Binding",
    )  # fmt: skip
    lua_instructions: int = declared(
        option_types.integer(10_000, 10**10),
        20_000_000,
        "Most instructions of one call of a Lua hook; about a quarter of a second.",
    )
    lua_memory: int = declared(
        option_types.integer(_MIB, 1024 * _MIB, "bytes"),
        32 * _MIB,
        "Most memory of one Lua interpreter. Each message under way has one.",
    )
    lua_time: int = declared(
        option_types.integer(10, 300_000, "milliseconds"),
        2000,
        "Longest time of one call of a Lua hook; below the MTA's time-out for milters.",
    )
