"""A kept copy as a value, and as JSON. Pure.

Invariant: its HTML has no address, script or form left in it (`smtpapi.rewrite.mail_copy` makes it): a link
is text and ends with the mark that `mark` returns.
"""

import base64
import json
import re
import zlib
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any, Final

VERSION: Final = 1
MARK: Final = re.compile(r'<i class="smtpapi-link" id="link-(\d{1,6})"></i>')
DAY_MS: Final = 86_400_000
_MOST_HTML: Final = (
    8 * 1024 * 1024
)  # bytes: far above limits.max_kept_html; what is longer is no copy of ours


class BadCopyError(ValueError):
    """This is no kept copy of ours, or of a version that this program does not know."""


@dataclass(frozen=True, slots=True)
class CopiedLink:
    """A tracked link. ordinal: from 0. name: "" without one. target: without query and fragment."""

    ordinal: int
    name: str
    target: str


@dataclass(frozen=True, slots=True)
class HtmlCopy:
    """One copy.

    recipient: whose mail it was. form: distinguishes mails of different links. at_ms, until_ms: when it was
    sent, and when the copy is removed. html: "" where only the facts were asked for. sealed: the whole
    targets of the links, in their order (`sealed_targets`), "" where they are not kept.
    """

    tenant: str
    campaign: str
    form: str
    recipient: str
    subject: str
    at_ms: int
    until_ms: int
    links: tuple[CopiedLink, ...]
    html: str
    sealed: str = ""

    @property
    def key(self) -> str:
        """Return what names it among all copies."""
        return f"{campaign_key(self.tenant, self.campaign)}/{self.form}"


def mark(ordinal: int) -> str:
    """Return what stands in the HTML where a link ends."""
    return f'<i class="smtpapi-link" id="link-{ordinal}"></i>'


def campaign_key(tenant: str, campaign: str) -> str:
    """Return what the keys of a campaign's copies begin with."""
    return sha256(f"{tenant}\0{campaign}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def form_of(customer: str, links: tuple[CopiedLink, ...]) -> str:
    """Return what mails with the same links in the same order share.

    A link is its name and host: what stands behind the host may differ from one recipient to the next.
    """
    links_text = "\n".join(f"{link.ordinal} {link.name} {_host(link.target)}" for link in links)
    return sha256(f"{customer}\0{links_text}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def to_facts(copy: HtmlCopy) -> dict[str, Any]:
    """Return everything but the HTML as a JSON object."""
    facts = asdict(replace(copy, html=""))
    del facts["html"]
    return {"version": VERSION, **facts}


def to_body(copy: HtmlCopy) -> dict[str, Any]:
    """Return the HTML as a JSON object; markup packs to about a fifth."""
    packed = zlib.compress(copy.html.encode("utf-8", "replace"))
    return {"zlib": base64.b64encode(packed).decode("ascii")}


def from_facts(data: Any) -> HtmlCopy:
    """Return the copy of a JSON object of `to_facts`, without HTML. Raises BadCopyError."""
    try:
        if data["version"] != VERSION:
            raise BadCopyError(f"version {data['version']!r:.20}: use the newer program")
        links = tuple(
            CopiedLink(int(each["ordinal"]), str(each["name"]), str(each["target"])) for each in data["links"]
        )
        return HtmlCopy(
            tenant=str(data["tenant"]),
            campaign=str(data["campaign"]),
            form=str(data["form"]),
            recipient=str(data["recipient"]),
            subject=str(data["subject"]),
            at_ms=int(data["at_ms"]),
            until_ms=int(data["until_ms"]),
            links=links,
            html="",
            sealed=str(data.get("sealed", "")),  # which earlier copies lack
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadCopyError(str(error)) from error


def html_of(data: Any) -> str:
    """Return the HTML of a JSON object of `to_body`. Raises BadCopyError."""
    try:
        unpacked = zlib.decompressobj().decompress(base64.b64decode(data["zlib"], validate=True), _MOST_HTML)
        return unpacked.decode("utf-8")
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise BadCopyError(f"no HTML: {type(error).__name__}") from error


def as_file(copy: HtmlCopy) -> bytes:
    """Return a copy as the octets of a file."""
    return json.dumps({"facts": to_facts(copy), "body": to_body(copy)}, ensure_ascii=True).encode("ascii")


def of_file(data: bytes) -> HtmlCopy:
    """Return the copy of a file of `as_file`. Raises BadCopyError."""
    try:
        both = json.loads(data)
        return replace(from_facts(both["facts"]), html=html_of(both["body"]))
    except (KeyError, TypeError, ValueError) as error:
        raise BadCopyError(str(error)) from error


def _host(target: str) -> str:
    return target.partition("://")[2].partition("/")[0].lower()
