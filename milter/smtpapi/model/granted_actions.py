"""The actions that an MTA granted to the filter when the milter protocol was negotiated.

Not the negotiation itself (`smtpapi.mta.session`). An MTA may grant fewer than all, because it is old or
because its operator chose so. The filter then omits changes that need a missing action.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from engagement.settings.schema import SeveralRecipients
from smtpapi.model.edit import Edit
from smtpapi.model.outcome import HeaderChange

# libmilter's SMFIF_*, as the protocol has them.
_BITS = {
    "ADDHDRS": 0x01,
    "CHGBODY": 0x02,
    "ADDRCPT": 0x04,
    "DELRCPT": 0x08,
    "CHGHDRS": 0x10,
    "CHGFROM": 0x40,
    "ADDRCPT_PAR": 0x80,
}
_EACH_MAIL = ("CHGBODY", "ADDHDRS", "CHGHDRS")
_HOP = {
    SeveralRecipients.SPLIT: ("ADDHDRS", "CHGHDRS", "ADDRCPT"),
    SeveralRecipients.READDRESS: ("ADDHDRS", "CHGHDRS", "ADDRCPT", "DELRCPT", "ADDRCPT_PAR"),
}


@dataclass(frozen=True, slots=True)
class GrantedActions:
    """The set of granted actions. granted: their names, without libmilter's SMFIF_."""

    granted: frozenset[str] = frozenset(_BITS)

    def all_but(self, needed: Iterable[str]) -> str:
        """Return the missing ones of `needed`, joined by commas; "" where none is missing."""
        return ", ".join(name for name in needed if name not in self.granted)

    def missing(self, mode: SeveralRecipients) -> str:
        """Return the missing ones of all actions that a site needs, as `all_but` does.

        mode: the value of `rewriting.several_recipients`.
        """
        return self.all_but(dict.fromkeys((*_EACH_MAIL, *_HOP.get(mode, ()))))

    def hops(self, mode: SeveralRecipients) -> bool:
        """Return whether a message can be sent over the hop. mode: as in `missing`."""
        return self is ALL or not self.all_but(_HOP.get(mode, ()))

    def lacking(self, headers: Iterable[HeaderChange], edits: Sequence[Edit]) -> str:
        """Return the missing ones of the actions that these changes need, as `all_but` does."""
        if self is ALL:
            return ""
        needed = dict.fromkeys(map(_right_of, headers))
        return self.all_but((*needed, *(("CHGBODY",) if edits else ())))

    def allowed(self, headers: tuple[HeaderChange, ...]) -> tuple[HeaderChange, ...]:
        """Return those of the changes that the granted actions allow."""
        if self is ALL:
            return headers
        return tuple(change for change in headers if _right_of(change) in self.granted)


ALL = GrantedActions()
NONE = GrantedActions(frozenset())


def _right_of(change: HeaderChange) -> str:
    return "CHGHDRS" if change.index else "ADDHDRS"


@lru_cache(maxsize=64)
def granted_by(actions: int) -> GrantedActions:
    """Return the actions that the bits of a negotiation stand for; `ALL` itself if none is missing."""
    granted = frozenset(name for name, bit in _BITS.items() if actions & bit)
    return ALL if granted == ALL.granted else GrantedActions(granted)
