"""A message as it came in, and as it was meant: what the hop took from it is restored here.

A message for several recipients passes the filter twice (docs/decisions/0010). On the second pass its client
is the MTA itself; the mark holds who it was before. Not the trust in anyone, nor what becomes of the message.

Invariants: a mark counts only on the listener that the configuration names for it, only if it opens, and only
with the message it was made for; everything else is as good as no mark.
"""

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

from engagement.links.keys import Key, Ring
from engagement.settings.scopes import ListenAddress, address_of
from smtpapi.hop import split_header
from smtpapi.hop.fingerprint import Fingerprint
from smtpapi.hop.split_header import SplitRecipient, Unopened
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import HeaderChange, removal
from smtpapi.request import x_msys_api

_SIGNATURE = "DKIM-Signature"
_MARK = split_header.HEADER.lower()
_OURS = (x_msys_api.NAME.lower(), _MARK)
_NOTHING: Mapping[str, str] = MappingProxyType({})


class MarkRefusal(Enum):
    """Why a mark on the hop's listener does not count. The value is for the log.

    FORGED may be anyone's mail. The others are ours: what their senders asked for is lost, or was not asked
    of this text, so that they get no links.
    """

    FORGED = f"an {split_header.HEADER} that is not ours"
    NO_KEY = "the key that sealed its mark is not in the ring"
    TOO_OLD = "its mark is too old"
    CHANGED = "the message was changed on its way over the hop"


_REFUSED = {
    Unopened.NOT_OURS: MarkRefusal.FORGED,
    Unopened.NO_KEY: MarkRefusal.NO_KEY,
    Unopened.TOO_OLD: MarkRefusal.TOO_OLD,
}


class ResumedMessage(NamedTuple):
    """The facts to judge by.

    envelope, message: with the first client and header on the second pass. came: the message as it is to
    be changed. signatures: deletions of those that the site's own signer added meanwhile. entry, key: of the
    mark that counts, None on a first pass. fingerprint: where it had to be made. expands: whether the message
    may be sent over the hop now. refused: why a mark that came in by the hop's listener does not count.
    """

    envelope: Envelope
    message: Message
    came: Message
    session: Mapping[str, str]
    signatures: tuple[HeaderChange, ...] = ()
    entry: SplitRecipient | None = None
    key: Key | None = None
    expands: bool = True
    refused: MarkRefusal | None = None
    message_context: Mapping[str, str] = _NOTHING
    fingerprint: Fingerprint | None = None

    @property
    def proves_nothing(self) -> bool:
        """Whether trust is still to be judged: no mark says that it was on the first pass.

        Mail whose mark was ours and does not count was trusted too; it loses the mark and gets no links.
        """
        return self.entry is None and self.refused in (None, MarkRefusal.FORGED)

    def headers(self) -> tuple[HeaderChange, ...]:
        """The changes that take out what may not leave, if the mail may be edited at all."""
        if self.came.lacks(_OURS):
            return self.signatures
        return removal(self.came, x_msys_api.NAME) + removal(self.came, split_header.HEADER) + self.signatures


def resumed(
    hop: ListenAddress | None,
    ring: Ring | None,
    envelope: Envelope,
    message: Message,
    session: Mapping[str, str],
    now: float,
) -> ResumedMessage:
    """Reads the mark, if there is one. hop: where the second pass comes in, None for nowhere."""
    on_hop = hop is not None and is_at(envelope.client, hop)
    values = message.all(_MARK)
    if not values:
        return ResumedMessage(envelope, message, message, session, expands=not on_hop)
    found = [split_header.unseal(value, ring, now) for value in values] if ring else [Unopened.NOT_OURS]
    marks = [each for each in found if not isinstance(each, Unopened)]
    # A mark of ours somewhere else is a hop that leads to the wrong listener: once round is enough.
    ours = bool(marks) or Unopened.TOO_OLD in found
    plain = ResumedMessage(envelope, message, message, session, expands=not on_hop and not ours)
    if not on_hop:
        return plain
    for entry, key in marks:
        fingerprint = Fingerprint(envelope, message)
        if fingerprint.is_bound(entry.bound):
            return _restored(plain, entry, key, fingerprint)
    why = [MarkRefusal.CHANGED if not isinstance(each, Unopened) else _REFUSED[each] for each in found]
    return plain._replace(refused=max(why, key=list(MarkRefusal).index))


def _restored(
    arrival: ResumedMessage, entry: SplitRecipient, key: Key, fingerprint: Fingerprint
) -> ResumedMessage:
    envelope, message = arrival.envelope, arrival.message
    fields = []
    signatures = list(entry.signatures)
    count, ours = 0, []
    for each in message.fields:
        name = each.name.lower()
        if name in _OURS:
            continue
        if name == _SIGNATURE.lower():
            count += 1
            # The site's own signer signed, between the passes, what was not final yet. Its field is known by
            # its value, not by its place: signers differ in whether they add on top or at the end.
            if (signature := split_header.signature_id(each.value)) not in signatures:
                ours.append(HeaderChange(_SIGNATURE, count, None))
                continue
            signatures.remove(signature)
        fields.append(each)
    if entry.directive:
        fields.append(Field(x_msys_api.NAME, entry.directive))
    return ResumedMessage(
        replace(envelope, client=entry.client),
        Message(tuple(fields), message.body, message.eol, message.clear, message.unkept),
        message,
        entry.context,
        tuple(reversed(ours)),
        entry,
        key,
        expands=False,
        message_context=entry.message_context,
        fingerprint=fingerprint.resumed(entry.fingerprint),
    )


def is_at(client: Client, listener: ListenAddress) -> bool:
    """Whether a client came in by that very listener."""
    return client.daemon_port == listener.port and address_of(client.daemon_address) == listener.address
