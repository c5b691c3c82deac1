"""Restore on the second pass what only the first pass knew.

A message for several recipients passes the filter twice (docs/decisions/0010). On the second pass its client
is the MTA itself, and X-MSYS-API is gone. The split header holds the original client and the X-MSYS-API. Who
is trusted, and what becomes of the message, is decided elsewhere (`smtpapi.pipeline`).

Invariants: a split header counts only on the listener that the configuration names, only if it opens, and
only with the message it was made for. Any other grants nothing.
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
from smtpapi.hop.split_header import FirstPass, Unopened
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import HeaderChange, removal
from smtpapi.request import x_msys_api

_SIGNATURE = "DKIM-Signature"
_SPLIT = split_header.HEADER.lower()
_OURS = (x_msys_api.NAME.lower(), _SPLIT)
_NOTHING: Mapping[str, str] = MappingProxyType({})


class SplitRefusal(Enum):
    """Why a split header on the hop's listener does not count. The value is the note for the log.

    A message with a FORGED header may come from anyone. In the other cases the header is ours, but the
    message gets no links: what its sender asked for is lost, or belongs to another text. A later member is
    the stronger reason.
    """

    FORGED = f"an {split_header.HEADER} that is not ours"
    NO_KEY = "the key that sealed its mark is not in the ring"
    TOO_OLD = "its mark is too old"
    CHANGED = "the message was changed on its way over the hop"


_REFUSED = {
    Unopened.NOT_OURS: SplitRefusal.FORGED,
    Unopened.NO_KEY: SplitRefusal.NO_KEY,
    Unopened.TOO_OLD: SplitRefusal.TOO_OLD,
}


class ResumedMessage(NamedTuple):
    """The facts from which the outcome of a message is decided.

    envelope, message: on the second pass with the client and the X-MSYS-API of the first pass. received: the
    message as the MTA has it, to which the changes apply. session, message_context: variables. signatures:
    deletions of DKIM signatures that the site's own signer added meanwhile. first_pass, key: of the split
    header that counts, None on a first pass. expands: whether the message may be sent over the hop now.
    refused: why a split header on the hop's listener does not count. fingerprint: None where it
    was not needed.
    """

    envelope: Envelope
    message: Message
    received: Message
    session: Mapping[str, str]
    signatures: tuple[HeaderChange, ...] = ()
    first_pass: FirstPass | None = None
    key: Key | None = None
    expands: bool = True
    refused: SplitRefusal | None = None
    message_context: Mapping[str, str] = _NOTHING
    fingerprint: Fingerprint | None = None

    @property
    def proves_nothing(self) -> bool:
        """Return whether trust must still be decided, since no split header proves it.

        A message whose split header is ours but does not count was trusted on its first pass.
        """
        return self.first_pass is None and self.refused in (None, SplitRefusal.FORGED)

    def headers(self) -> tuple[HeaderChange, ...]:
        """Return the changes that remove X-MSYS-API, split headers and signatures of the site's signer."""
        if self.received.lacks(_OURS):
            return self.signatures
        return (
            removal(self.received, x_msys_api.NAME)
            + removal(self.received, split_header.HEADER)
            + self.signatures
        )


def resume(
    hop: ListenAddress | None,
    ring: Ring | None,
    envelope: Envelope,
    message: Message,
    session: Mapping[str, str],
    now: float,
) -> ResumedMessage:
    """Return the facts of a message, restored from its split header if that counts.

    hop: the listener by which the second pass comes in, None without one. now: Unix seconds.
    """
    on_hop = hop is not None and is_at(envelope.client, hop)
    values = message.all(_SPLIT)
    if not values:
        return ResumedMessage(envelope, message, message, session, expands=not on_hop)
    found = [split_header.unseal(value, ring, now) for value in values] if ring else [Unopened.NOT_OURS]
    opened = [each for each in found if not isinstance(each, Unopened)]
    # A header of ours on another listener: the hop is routed wrongly, so the mail must not take it again.
    ours = bool(opened) or Unopened.TOO_OLD in found
    as_received = ResumedMessage(envelope, message, message, session, expands=not on_hop and not ours)
    if not on_hop:
        return as_received
    for first_pass, key in opened:
        fingerprint = Fingerprint(envelope, message)
        if fingerprint.is_bound(first_pass.bound):
            return _restored(as_received, first_pass, key, fingerprint)
    why = [SplitRefusal.CHANGED if not isinstance(each, Unopened) else _REFUSED[each] for each in found]
    return as_received._replace(refused=max(why, key=list(SplitRefusal).index))


def _restored(
    as_received: ResumedMessage, first_pass: FirstPass, key: Key, fingerprint: Fingerprint
) -> ResumedMessage:
    """Return the message with the facts of the first pass."""
    envelope, message = as_received.envelope, as_received.message
    fields = []
    signatures = list(first_pass.signatures)
    count, ours = 0, []
    for each in message.fields:
        name = each.name.lower()
        if name in _OURS:
            continue
        if name == _SIGNATURE.lower():
            count += 1
            # Between the passes the site's own signer signed a text that was not final yet. Its field is
            # recognised by its value and not by its place: some signers add it on top, others at the end.
            if (signature := split_header.signature_id(each.value)) not in signatures:
                ours.append(HeaderChange(_SIGNATURE, count, None))
                continue
            signatures.remove(signature)
        fields.append(each)
    if first_pass.directive:
        fields.append(Field(x_msys_api.NAME, first_pass.directive))
    return ResumedMessage(
        # The host is that of the MTA that has this copy, by whose log its delivery is known.
        replace(envelope, client=replace(first_pass.client, host=envelope.client.host)),
        Message(tuple(fields), message.body, message.eol, message.clear, message.hashed),
        message,
        first_pass.context,
        tuple(reversed(ours)),
        first_pass,
        key,
        expands=False,
        message_context=first_pass.message_context,
        fingerprint=fingerprint.with_digest(first_pass.fingerprint),
    )


def is_at(client: Client, listener: ListenAddress) -> bool:
    """Return whether a client connected to this listener."""
    return client.daemon_port == listener.port and address_of(client.daemon_address) == listener.address
