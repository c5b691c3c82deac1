"""Sends a checked transmission: builds each mail when its turn comes, and counts what the MTA says."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from tracker_web.api.transmissions.addresses import Mailbox
from tracker_web.api.transmissions.api_header import api_header
from tracker_web.api.transmissions.fields_message import fields_message, sender_of
from tracker_web.api.transmissions.handing_in import Answer, Mail, Relay
from tracker_web.api.transmissions.model import CannotSend, Fields, Recipient, Transmission
from tracker_web.api.transmissions.rfc822_message import rfc822_message

# What the filter says of a recipient on the suppression list (contract.md 8.5).
_SUPPRESSED = "suppressed due to customer policy"


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a transmission. wrong: of recipients that could not be; answers: the MTA's."""

    wrong: tuple[str, ...]
    answers: tuple[Answer, ...]

    @property
    def accepted(self) -> int:
        """Return how many recipients' mail the MTA has."""
        return sum(answer.taken for answer in self.answers)

    @property
    def rejected(self) -> int:
        """Return how many it has not."""
        return len(self.wrong) + len(self.answers) - self.accepted

    @property
    def refused(self) -> tuple[Answer, ...]:
        """Return the answers that refuse, but those for recipients who want no mail: they are no mistake."""
        return tuple(each for each in self.answers if not each.taken and _SUPPRESSED not in each.text)

    @property
    def all_for_now(self) -> bool:
        """Return whether nobody got mail, and the same call may succeed later."""
        refused = [each for each in self.answers if not each.taken]
        return (
            not self.wrong and bool(refused) and all(each.for_now for each in refused) and not self.accepted
        )


def new_id() -> str:
    """Return a transmission id that no other has: 63 random bits, as decimal digits."""
    return str(secrets.randbits(63) or 1)


def send(transmission: Transmission, relay: Relay, transmission_id: str, now: datetime) -> Sent:
    """Hand a mail for each recipient to the MTA."""
    wrong = list(transmission.wrong)
    mails = _mails(transmission, transmission_id, now, wrong)
    answers = tuple(relay.hand_in(mails))
    return Sent(tuple(wrong), answers)


def _mails(
    transmission: Transmission, transmission_id: str, now: datetime, wrong: list[str]
) -> Iterator[Mail]:
    for number, recipient in enumerate(transmission.recipients, 1):
        try:
            yield _mail(transmission, recipient, transmission_id, number, now)
        except CannotSend as error:
            wrong.append(f"{recipient.mailbox.address}: {error}")


def _mail(
    transmission: Transmission, to: Recipient, transmission_id: str, number: int, now: datetime
) -> Mail:
    """Return one recipient's mail. Raises CannotSend."""
    try:
        header = api_header(
            transmission_id=transmission_id,
            campaign=transmission.campaign,
            metadata=to.metadata,
            tags=to.tags,
            options=transmission.options,
        )
    except ValueError as error:
        raise CannotSend(str(error)) from None
    author: Mailbox
    left = f"<{transmission_id}.{number}@"
    if isinstance(transmission.content, Fields):
        author = sender_of(transmission.content, to.values)
        message = fields_message(transmission.content, to, now, f"{left}{author.domain}>")
    else:
        author, message = rfc822_message(transmission.content, to, now, f"{left}{to.mailbox.domain}>")
    return Mail(to.return_path or author.address, to.mailbox.address, header + message)
