"""What stands between readers and the tracker: what came of a pixel and a link, asked for from outside in.

Not the asking (`asking`). What the spool holds of the link is what the tracker saw of host and client.
"""

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Final

from engagement.events.model import Hit
from smtpapi.doctor.finding import Finding, Level
from smtpapi.doctor.web.asking import CLAIMED, TARGET, Seen
from smtpapi.doctor.web.http import Reply

CHECK: Final = "proxy"
_PIXEL_SIZE: Final = 43  # octets of the tracker's GIF
_OURS: Final = b"not known here"  # of the tracker's own 404


def check(seen: Seen, trusted: Sequence[str], *, local: bool, recorded: bool) -> Iterator[Finding]:
    """Yield what is wrong between this address and the tracker.

    trusted: `tracker { trusted_proxies }`. local: whether the tracker runs on this host, so that its spool is
    here. recorded: whether the configuration lets hits be recorded, with addresses.
    """
    bad = list(_check_pixel(seen)) or list(_check_link(seen))
    yield from bad
    if bad:
        return
    if seen.link.status != 302:
        yield Finding(CHECK, Level.OK, f"{seen.place}: a pixel is answered")
        return
    yield Finding(CHECK, Level.OK, f"{seen.place}: a pixel and a link are answered by the tracker")
    if seen.hit is not None:
        yield from _check_hit(seen, seen.hit, trusted)
    elif recorded:
        yield Finding(
            CHECK,
            Level.WARNING if local else Level.NOTE,
            f"{seen.place}: the link was answered, and no record of it came into the spool here",
            "If the tracker that answered runs on another host, look there; else its events are lost.",
            "See the tracker's log for `event(s) dropped`, and that tracker and doctor use one spool { "
            "directory }.",
        )


def _check_pixel(seen: Seen) -> Iterator[Finding]:
    pixel, place = seen.pixel, seen.place
    if pixel.trouble and pixel.unreachable:
        yield Finding(CHECK, Level.SKIPPED, f"{place}: this host has no way there ({pixel.trouble})")
    elif pixel.trouble:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"{place}: no answer: {pixel.trouble}",
            "Readers whose network comes by this address open no link."
            + ("" if seen.tls else " Port 80 is needed also where links are https now: mail sent earlier."),
            "listen 80; and listen [::]:80; (443 ssl likewise) in nginx's server; then the firewall",
        )
    elif pixel.status in (301, 302, 307, 308):
        yield Finding(
            CHECK,
            Level.WARNING,
            f"{place}: the proxy redirects to {pixel.headers.get('location', 'nowhere')}",
            "Each reader is sent twice, and the first time in the open; some programs give up.",
            f"Take the redirect out of the proxy's server for {seen.host}: `smtpapi setup nginx` has none",
        )
    elif pixel.status in (502, 503, 504):
        yield Finding(
            CHECK,
            Level.ERROR,
            f"{place}: the proxy reaches no tracker ({pixel.status})",
            "No link opens.",
            "systemctl start smtpapi-tracker; its address is tracker { listen }, and proxy_pass's the same",
        )
    elif pixel.status == 404 and _OURS in pixel.body:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"{place}: the tracker was asked under a name that it does not know",
            "Genuine links are answered, but nothing else; the proxy hides which host readers asked for.",
            f'proxy_set_header Host $host; in the proxy, or hosts = ("{seen.host}") in tracker {{ }} and a '
            "reload",
        )
    elif pixel.status != 200 or len(pixel.body) != _PIXEL_SIZE or not pixel.body.startswith(b"GIF89a"):
        yield Finding(
            CHECK,
            Level.ERROR,
            f"{place}: somebody else answers ({pixel.status}, "
            f"{pixel.headers.get('content-type', 'no type')})",
            "The name leads to a server that passes nothing on to the tracker: links are dead.",
            f"server_name {seen.host}; in the nginx server of the tracker: smtpapi setup nginx --apply",
        )


def _check_link(seen: Seen) -> Iterator[Finding]:
    link, place = seen.link, seen.place
    if link.trouble == "not asked":
        return
    if link.status == 302 and link.headers.get("location") == TARGET:
        return
    if link.status == 302:
        what = f"a link leads to {link.headers.get('location')} instead of {TARGET}"
        why = "Readers do not land where the author pointed: something between changes Location."
        change = "proxy_redirect off; in the proxy"
    elif link.status == 404:
        what = "a genuine link is answered with 404"
        why = "Links of this filter are dead: the tracker has another key ring, or the proxy changes paths."
        change = (
            "Copy the key ring (keys { ring }) to the tracker; in nginx: rewrite ^ $uri break; and "
            "proxy_pass without a path"
        )
    elif link.status == 410:
        what, why = "the doctor's link is switched off", "`smtpapi links stop` holds for more than was meant."
        change = "smtpapi links list"
    else:
        what = f"a genuine link is answered with {link.status or link.trouble}"
        why, change = "Readers do not get to their target.", "See the error log of the proxy"
    yield Finding(CHECK, Level.ERROR, f"{place}: {what}", why, change)


def _check_hit(seen: Seen, hit: Hit, trusted: Sequence[str]) -> Iterator[Finding]:
    """Yield what the tracker got wrong of host and client."""
    if hit.host != seen.host:
        yield Finding(
            CHECK,
            Level.WARNING,
            f"{seen.place}: the tracker was told the host {hit.host or '(none)'}",
            "Events name the wrong host, and pixels with a cut token are answered with 404.",
            "proxy_set_header Host $host; in the proxy",
        )
    source, address = seen.link.source, hit.client_address
    forwarded = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; in the proxy"
    if _inside(source, trusted):
        # We look like a proxy ourselves, so what we claim is believed, and rightly.
        if address not in (CLAIMED, source):
            yield _other_address(seen, address)
        else:
            yield Finding(
                CHECK,
                Level.NOTE,
                f"{seen.place}: from here ({source}) it cannot be seen whether clients' addresses are known",
                "This host counts as a proxy (trusted_proxies).",
                "smtpapi doctor --only proxy --source ADDRESS, with an address of this host that is not in "
                "it",
            )
    elif address == source:
        yield Finding(CHECK, Level.OK, f"{seen.place}: the tracker saw the client's address, {address}")
    elif address == CLAIMED:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"{seen.place}: the tracker believed the address that the client named itself",
            "Anybody can pretend to be any reader: verdicts by network and by repeats mean nothing.",
            f"{forwarded}; and no network of clients in trusted_proxies",
        )
    elif not address or _inside(address, trusted):
        yield Finding(
            CHECK,
            Level.ERROR,
            f"{seen.place}: the tracker saw {address or 'no address'} instead of the client's, {source}",
            "All readers look like one: repeats, prefetching and scanners cannot be told from people.",
            forwarded,
        )
    else:
        yield _other_address(seen, address)


def _other_address(seen: Seen, address: str) -> Finding:
    return Finding(
        CHECK,
        Level.WARNING,
        f"{seen.place}: the tracker saw {address}, and this host asked from {seen.link.source}",
        "Either a router translates addresses on the way, or another proxy stands before this one.",
        f'trusted_proxies = ("127.0.0.0/8" "::1/128" "{address}") in tracker {{ }}, if {address} is a proxy '
        "of yours",
    )


def _inside(address: str, networks: Sequence[str]) -> bool:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    return any(
        found in network
        for network in (ipaddress.ip_network(each, strict=False) for each in networks)
        if network.version == found.version
    )


def check_listener(listen: str, reply: Reply) -> Iterator[Finding]:
    """Yield whether the tracker itself answers where the configuration says."""
    if reply.trouble:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"the tracker does not answer at {listen}: {reply.trouble}",
            "No link opens, no open is seen.",
            "systemctl start smtpapi-tracker; journalctl -u smtpapi-tracker says why it does not run",
        )
    elif reply.status == 200 and len(reply.body) == _PIXEL_SIZE:
        yield Finding(CHECK, Level.OK, f"the tracker answers at {listen}")
    else:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"what listens at {listen} is not the tracker, or does not know its own host ({reply.status})",
            "No link opens, or only some.",
            f"ss -ltnp 'sport = :{listen.rpartition(':')[2]}' names the program; systemctl reload "
            "smtpapi-tracker",
        )
