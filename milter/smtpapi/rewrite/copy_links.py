"""The links and pixels of one recipient's copy, sealed on demand.

Not which links may be tracked (`plan`), nor what a token holds (`engagement.links.token`).
"""

from dataclasses import replace

from engagement.links.fast_seal import seal_common
from engagement.links.keys import Key
from engagement.links.model import Identity, Kind, Link, shared_identity
from engagement.links.payload import first_place
from engagement.links.token import CannotSeal, CopySealer, copy_sealer
from engagement.links.urls import click_url, pixel_url
from smtpapi.request.decision import Decision

# contract.md 5.2
LONG_LINK = 1000  # bytes of a tracked URL above which it goes without its metadata
MAX_LINK = 2000

_CLICK, _AMP_CLICK = Kind.CLICK, Kind.AMP_CLICK  # looked up once, not for each link


def _of_all(identity: Identity, decision: Decision) -> Identity:
    """Return what the shared pixel says that stands in this copy."""
    return shared_identity(decision.campaign, decision.customer_id, identity.issued, decision.expiry)


class CopyLinks:
    """Makes tracked URLs. clicks, opens: sealers of the identity; bare: without metadata, for long URLs."""

    __slots__ = ("_click_prefix", "_decision", "_pixel_ways", "_ways")

    def __init__(
        self, clicks: CopySealer, opens: CopySealer, decision: Decision, bare: CopySealer | None = None
    ) -> None:
        # Sealers to try, and how long a URL may become by each.
        self._ways = ((clicks, MAX_LINK),) if bare is None else ((clicks, LONG_LINK), (bare, MAX_LINK))
        self._pixel_ways = ((opens, MAX_LINK),) if bare is None else ((opens, LONG_LINK), (bare, MAX_LINK))
        self._decision = decision
        self._click_prefix = click_url(decision.click_scheme, decision.domain, b"")

    @classmethod
    def build(cls, key: Key, identity: Identity, decision: Decision, tenant: str = "") -> "CopyLinks":
        """Return the links of the copy, with sealers of their own.

        Metadata is an option in click links, not in pixels (contract.md 1.5).

        Raises engagement.links.token.CannotSeal when the identity is out of bounds.
        """
        own = copy_sealer(key, identity, tenant)
        opens = copy_sealer(key, _of_all(identity, decision), tenant) if decision.shared_pixel else own
        if not identity.metadata:
            return cls(own, opens, decision)
        bare = copy_sealer(key, replace(identity, metadata=""), tenant)
        made = cls(own if decision.click_metadata else bare, opens, decision, bare)
        if decision.shared_pixel:
            made._pixel_ways = ((opens, MAX_LINK),)  # nothing of the copy, not even where its URL is long
        return made

    def click(self, link: Link, sublink: str = "") -> bytes | None:
        """Return the tracked URL of a link, or None if it would be too long (contract.md 5.2)."""
        kind = _AMP_CLICK if link.part == "amp" else _CLICK
        decision = self._decision
        prefix = (
            click_url(decision.click_scheme, decision.domain, b"", sublink) if sublink else self._click_prefix
        )
        for sealer, most in self._ways:
            try:
                url = prefix + sealer.seal(kind, link)
            except CannotSeal:
                continue
            if len(url) <= most:
                return url
        return None

    def common_clicks(
        self, targets: list[bytes | None], origins: set[bytes], ordinal: int, part: str
    ) -> list[bytes]:
        """Return what `click` gives for the first of the targets, up to one that it has to be asked for.

        origins: as `engagement.links.fast_seal.seal_common` takes them. ordinal: of the first. None among the
        targets: the link says more.
        """
        sealer, most = self._ways[0]
        sealing = sealer.sealing(_AMP_CLICK if part == "amp" else _CLICK)
        place = first_place(ordinal, part)
        return seal_common(sealing, self._click_prefix, most, origins, place, targets)

    def pixel(self, initial: bool, amp: bool) -> bytes | None:
        """Return the address of an open pixel, or None if it would be too long (contract.md 5.2)."""
        if amp:
            kind = Kind.AMP_INITIAL_OPEN if initial else Kind.AMP_OPEN
        else:
            kind = Kind.INITIAL_OPEN if initial else Kind.OPEN
        for sealer, most in self._pixel_ways:
            try:
                url = pixel_url(self._decision.open_scheme, self._decision.domain, sealer.seal(kind))
            except CannotSeal:
                continue
            if len(url) <= most:
                return url
        return None
