"""The tracker: its listener, its names, the keys of links, and the domains that people enter."""

from dataclasses import dataclass

from engagement.settings import option_types
from engagement.settings.option import declared


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
