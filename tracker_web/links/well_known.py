"""The small files a tracking host serves beside its links."""

from hashlib import sha256
from pathlib import Path
from typing import Final, TypeAlias

from engagement.settings import Settings
from tracker_web.links import responses

Files: TypeAlias = dict[str, tuple[str, bytes]]

INSTALLATION: Final = "/.well-known/smtpapi"  # distinguishes installations


def installation(settings: Settings) -> bytes:
    """Return what the tracker answers at `INSTALLATION`, by which a new tracking domain is verified.

    It follows from the tracking domains that are configured, which every mail shows: nothing secret is in it.
    """
    names = "\0".join(sorted(settings.tracking_domains()))
    return sha256(f"smtpapi installation\0{names}".encode()).hexdigest()[:32].encode() + b"\n"


def well_known(settings: Settings) -> Files:
    """Return the small files a tracking host serves: path to (media type, body).

    The two association files let links open in apps (contract.md 6.2); both are JSON, though their names do
    not say so. Raises OSError for a file that cannot be read.
    """
    files = {
        "/robots.txt": ("text/plain; charset=utf-8", responses.ROBOTS_BODY),
        INSTALLATION: ("text/plain; charset=utf-8", installation(settings)),
    }
    for path, source in (
        ("/.well-known/apple-app-site-association", settings.tracker.apple_app_site_association),
        ("/.well-known/assetlinks.json", settings.tracker.assetlinks),
    ):
        if source:
            files[path] = ("application/json", Path(source).read_bytes())
    return files
