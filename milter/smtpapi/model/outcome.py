"""What becomes of a message: outcomes as values, with closed lists of reasons.

A message ends as `Plan` (what to change), `Leave` (untouched, and why), `Refuse` (an SMTP reply) or `Discard`
(dropped by policy). Each reason is counted and has its line in docs/reasons.md; a test holds that.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from smtpapi.model.edit import Edit
from smtpapi.model.message import Message


class Why(StrEnum):
    """Why a whole message has no tracked links."""

    MODULE_OFF = "module-off"  # no smtpapi { } stanza, or enabled = false
    UNTRUSTED = "untrusted"
    BYPASSED = "bypassed"  # policy set __bypass_smtpapi
    PRIVACY_OFF = "privacy-off"
    TRACKING_OFF = "tracking-off"
    SEVERAL_RECIPIENTS = "several-recipients"
    ADDED_RECIPIENT = "added-recipient"  # by the MTA itself, and rewriting.added_recipients = none
    SPLIT = "split"  # sent over the hop; each copy has an outcome of its own
    ALREADY_TRACKED = "already-tracked"
    SIGNED = "signed"  # multipart/signed
    ENCRYPTED = "encrypted"  # multipart/encrypted
    SMIME = "smime"  # application/pkcs7-mime
    PGP_INLINE = "pgp-inline"
    DKIM_SIGNED = "dkim-signed"
    ARC_SEALED = "arc-sealed"
    BODY_SIGNED = "body-signed"  # X-Developer-Signature, X-PGP-Sig, DomainKey-Signature
    NULL_SENDER = "null-sender"
    REPORT = "report"  # multipart/report
    AMBIGUOUS_MIME = "ambiguous-mime"
    TOO_LARGE = "too-large"
    TOO_MANY_PARTS = "too-many-parts"
    TOO_MANY_LINKS = "too-many-links"
    OVER_TIME = "over-time"
    OVER_MEMORY = "over-memory"  # the mail under way took all of limits.max_memory
    NO_PART = "no-part"  # no top text or HTML part that can be edited
    NO_LINK = "no-link"  # nothing found to track
    NO_KEY = "no-key"
    NOT_GRANTED = "not-granted"  # by the MTA: an action of the milter protocol
    SUPPRESSED = "suppressed"  # the recipient is on the suppression list and gets no mail
    VERIFY_FAILED = "verify-failed"
    POLICY_FAILED = "policy-failed"
    INTERNAL_ERROR = "internal-error"


class Skip(StrEnum):
    """Why a part, or one link, was left as the author wrote it."""

    # parts
    PART_CHARSET = "part-charset"
    PART_ENCODING = "part-encoding"
    AMP_NOT_HTTPS = "amp-not-https"
    PIXEL_TOO_LONG = "pixel-too-long"  # the part is rewritten, but without a pixel
    PIXEL_WITHOUT_PLACE = (
        "pixel-without-place"  # HTML that shows no image: frames, or cut off before its text
    )
    # links
    NOT_HTTP = "not-http"
    OWN_HOST = "own-host"
    NO_HOST = "no-host"
    USER_INFO = "user-info"
    CONTROL_CHARACTER = "control-character"
    WHITE_SPACE = "white-space"
    BACKSLASH = "backslash"
    NON_ASCII = "non-ascii"
    TARGET_TOO_LONG = "target-too-long"
    LINK_TOO_LONG = "link-too-long"
    CLICKTRACK_OFF = "clicktrack-off"
    PATTERN = "pattern"
    TEXT_IS_URL = "text-is-url"
    QUOTED_REPLY = "quoted-reply"
    UNCLEAR_END = "unclear-end"  # plain text: it is not certain where the URL ends
    BROKEN_ESCAPE = "broken-escape"  # quoted-printable that readers decode in their own ways


class Skipped(NamedTuple):
    """A link or part that stays as it is. offset: in the body, -1 for a whole part."""

    part: str
    offset: int
    url: str
    reason: Skip


@dataclass(frozen=True, slots=True)
class HeaderChange:
    """A change of one field of the message's header.

    index: which field of that name, from 1; 0 adds a field. value: the new value; None deletes the field.
    first: whether a field is added on top instead of at the end.
    """

    name: str
    index: int
    value: str | None
    first: bool = False


@dataclass(frozen=True, slots=True)
class Recipient:
    """An envelope recipient to add.

    instead_of: the RCPT TO that it replaces, as the client spelled it; it inherits that one's DSN options. ""
    where no recipient is deleted. original: the address for ORCPT where the client named none; "" leaves
    ORCPT out.
    """

    address: str
    instead_of: str = ""
    original: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes to make: all computed, none made yet.

    why: set where no link is tracked, for that reason. note: more about `why`, for the log only.
    recipients: changes of the envelope; all deletions come before the first addition.
    through: a recipient that is added between the deletions and the additions, and deleted after them. With
    it Sendmail sends the copies over the hop (etc/sendmail/smtpapi.mc). parts: how many parts of the body
    can be edited. leaving: recipients whom policy takes out, as the client spelled them. sender: the new
    envelope sender, None for the one that came. body: the body that policy put in the place of the one that
    came, to which the edits apply; None where that stays.
    """

    headers: tuple[HeaderChange, ...] = ()
    edits: tuple[Edit, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    why: Why | None = None
    note: str = ""
    recipients: tuple[Recipient, ...] = ()
    through: str = ""
    parts: int = 0
    leaving: tuple[str, ...] = ()
    sender: str | None = None
    body: bytes | None = None

    def body_to_edit(self, received: bytes) -> bytes:
        """Return the body that the edits apply to. received: the one that came."""
        return received if self.body is None else self.body


@dataclass(frozen=True, slots=True)
class Leave:
    """The message passes byte for byte. note: more about `why`, for the log only."""

    why: Why
    note: str = ""


@dataclass(frozen=True, slots=True)
class Refuse:
    """An SMTP reply that refuses the message (contract.md 3.6).

    code: as "550". status: an enhanced code, as "5.7.1"; "" where policy named none. text: one line of ASCII,
    no addresses in it but what policy put there.
    """

    code: str
    status: str
    text: str


@dataclass(frozen=True, slots=True)
class Discard:
    """The message is accepted and dropped, because policy said so. reason: for the log only."""

    reason: str = ""


Outcome = Plan | Leave | Refuse | Discard


def removal(message: Message, name: str) -> tuple[HeaderChange, ...]:
    """Return the deletions of all fields of a name, from the highest index down.

    MTAs differ in whether they number the remaining fields anew after each deletion.
    """
    count = message.count(name)
    return tuple(HeaderChange(name, index, None) for index in range(count, 0, -1)) if count else ()
