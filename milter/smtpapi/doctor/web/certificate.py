"""The certificate of a host of links: whether readers' programs take it, how long, and what HSTS demands.

What is asked: a handshake with each address, once as a browser (chain and name are verified), once without.
"""

import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from smtpapi.doctor.finding import Finding, Level
from smtpapi.doctor.web.http import Reply, no_route, request

CHECK: Final = "certificate"
_SECONDS: Final = 10.0  # for one handshake; a browser waits longer, a reader does not
_DAY: Final = 86_400
# Top-level domains that browsers hold to https from their own list (hstspreload.org); those run by Google.
_ALWAYS_HTTPS: Final = frozenset(
    (
        *("app", "bank", "boo", "channel", "dad", "day", "dev", "esq", "foo", "ing", "insurance", "meme"),
        *("mov", "new", "nexus", "page", "phd", "prof", "rsvp", "zip"),
    )
)
# What the issuer calls itself, and its name in CAA records (RFC 8659).
_CAA_NAMES: Final = {
    "let's encrypt": "letsencrypt.org",
    "zerossl": "sectigo.com",
    "sectigo limited": "sectigo.com",
    "digicert inc": "digicert.com",
    "google trust services": "pki.goog",
    "globalsign nv-sa": "globalsign.com",
}


@dataclass(frozen=True, slots=True)
class Presented:
    """What one address shows. distrust: why a browser refuses, "" if it does not. Times in Unix seconds."""

    address: str
    trouble: str = ""
    distrust: str = ""
    code: int = 0
    begins: float = 0
    ends: float = 0
    issuer: str = ""
    names: tuple[str, ...] = ()
    unreachable: bool = False  # this host has no route there


def fetch(host: str, address: str, port: int) -> Presented:
    """Return what an address shows for a host. Raises nothing."""
    anything = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anything.check_hostname = False
    anything.verify_mode = ssl.CERT_NONE  # to look at what a browser would refuse
    try:
        encoded = _handshake(anything, host, address, port)
        certificate = x509.load_der_x509_certificate(encoded)
    except (OSError, ValueError) as error:
        return Presented(address, trouble=_error_text(error), unreachable=no_route(error))
    distrust, code = "", 0
    try:
        _handshake(ssl.create_default_context(), host, address, port)
    except ssl.SSLCertVerificationError as error:
        distrust, code = error.verify_message, error.verify_code
    except OSError as error:
        distrust = _error_text(error)
    found = certificate.issuer.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return Presented(
        address,
        "",
        distrust,
        code,
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
        str(found[0].value) if found else certificate.issuer.rfc4514_string(),
        _names(certificate),
    )


def _handshake(context: ssl.SSLContext, host: str, address: str, port: int) -> bytes:
    with (
        socket.create_connection((address, port), timeout=_SECONDS) as tcp_socket,
        context.wrap_socket(tcp_socket, server_hostname=host) as secure,
    ):
        return secure.getpeercert(binary_form=True) or b""


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(found.value.get_values_for_type(x509.DNSName))


def _error_text(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, TimeoutError):
        return f"no answer within {_SECONDS:.0f} s"
    return str(error)


def check(
    host: str, port: int, shown: Presented, now: float, *, https: bool, issuers: Sequence[str] = ()
) -> Iterator[Finding]:
    """Yield what is wrong with the certificate at one address.

    https: whether links are written with it. issuers: whom CAA records allow, () for anybody. now: Unix
    seconds.
    """
    place = f"{host} at {shown.address}"
    hurts = Level.ERROR if https else Level.NOTE
    dead = "https links do not open: browsers show a warning, mail programs no picture."
    if shown.unreachable:
        yield Finding(CHECK, Level.SKIPPED, f"{place}: this host has no way there ({shown.trouble})")
        return
    if shown.trouble:
        yield Finding(
            CHECK,
            hurts,
            f"{place}: no TLS on port {port}: {shown.trouble}",
            dead if https else "Links are written with http; browsers warn of them, some never open them.",
            f"certbot certonly --webroot -w /var/www/html -d {host}, then `smtpapi setup nginx --apply`",
        )
        return
    left = shown.ends - now
    if left <= 0 or shown.begins > now:
        what = (
            f"ended {-left / _DAY:.0f} days ago" if left <= 0 else "is not valid yet (or the clock is wrong)"
        )
        yield Finding(CHECK, hurts, f"{place}: the certificate {what}", dead, _renew(host))
    elif shown.distrust:
        yield _distrusted(host, place, shown, hurts, dead)
    elif left < min(21 * _DAY, (shown.ends - shown.begins) / 4):
        yield Finding(
            CHECK,
            Level.WARNING,
            f"{place}: the certificate ends in {left / _DAY:.0f} days",
            "By now it should have been renewed: the renewal does not run, or nginx does not read its "
            "result.",
            _renew(host),
        )
    else:
        yield Finding(CHECK, Level.OK, f"{place}: certificate of {shown.issuer}, {left / _DAY:.0f} days left")
    caa_name = _CAA_NAMES.get(shown.issuer.lower())
    if issuers and caa_name is not None and caa_name not in issuers:
        yield Finding(
            CHECK,
            Level.WARNING,
            f"{place}: the certificate is of {shown.issuer}, whom the CAA records of {host} no longer allow",
            "It cannot be renewed.",
            f'Add to the zone: CAA 0 issue "{caa_name}"',
        )


def _distrusted(host: str, place: str, shown: Presented, level: Level, dead: str) -> Finding:
    if shown.code == 62:  # X509_V_ERR_HOSTNAME_MISMATCH
        what = f"the certificate is for {', '.join(shown.names) or 'no name at all'}, not for {host}"
        change = (
            f"certbot certonly --webroot -w /var/www/html -d {host}, and name it in nginx's ssl_certificate"
        )
    elif shown.code in (20, 21):  # the issuer's own certificate is not known, nor sent
        what = "the chain is not whole: the certificate of its issuer is not sent, or nobody knows it"
        change = "ssl_certificate …/fullchain.pem; (not cert.pem), in nginx's server of this host"
    elif shown.code in (18, 19):
        what = "the certificate is signed by itself or by an issuer that nobody knows"
        change = f"certbot certonly --webroot -w /var/www/html -d {host}"
    else:
        what, change = f"browsers refuse the certificate: {shown.distrust}", _renew(host)
    return Finding(CHECK, level, f"{place}: {what}", dead, change)


def _renew(host: str) -> str:
    return f"certbot renew --cert-name {host} && nginx -s reload; systemctl list-timers certbot.timer"


def parents(host: str) -> tuple[str, ...]:
    """Return the names above a host, the nearest first, without the top-level domain."""
    labels = host.split(".")
    return tuple(".".join(labels[at:]) for at in range(1, len(labels) - 1))


def demand(name: str, address: str, port: int = 443) -> str:
    """Return the Strict-Transport-Security field (RFC 6797) that a host answers with, "" for none."""
    reply: Reply = request(name, address, port, "HEAD", "/", tls=True)
    return reply.headers.get("strict-transport-security", "")


def check_hsts(
    host: str, own: str, above: Sequence[tuple[str, str]], *, https: bool, https_usable: bool
) -> Iterator[Finding]:
    """Yield where HSTS forces https upon links that are written with http.

    own, above: the fields of the host and of the names above it. https_usable: whether https opens at the
    host.
    """
    forced = [f"{name} says {field}" for name, field in above if "includesubdomains" in field.lower()]
    forced += [f"{host} says {own}"] if "max-age" in own.lower() else []
    top = host.rpartition(".")[2]
    forced += [f"browsers hold .{top} to https"] if top in _ALWAYS_HTTPS else []
    if not forced or https:
        return
    yield Finding(
        CHECK,
        Level.NOTE if https_usable else Level.ERROR,
        f"{host}: links are written with http, and browsers ask by https: {'; '.join(forced)}",
        "A browser that has seen this never asks by http again (HSTS): "
        + ("it works, one step is wasted." if https_usable else "for it every link is dead."),
        'click_tracking_scheme = "https" and open_tracking_scheme = "https" in smtpapi.conf'
        + ("" if https_usable else f", after: certbot certonly --webroot -w /var/www/html -d {host}"),
    )
