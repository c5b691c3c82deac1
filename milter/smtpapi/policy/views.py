"""The objects that hooks get for connection and message.

What a hook changes is noted here; the pipeline makes the changes when the whole policy has run and nothing
failed.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from smtpapi.model.envelope import Client, Envelope, same
from smtpapi.model.granted_actions import ALL, GrantedActions
from smtpapi.model.message import Message
from smtpapi.policy.edits import HeaderEdits

_FOLD = re.compile(r"\r?\n(?=[ \t])")
_LINE_END = re.compile(rb"\r\n|\r|\n")
# RFC 5321 4.1.2, and no more than an MTA takes at MAIL: mail whose sender it finds wrong later never arrives.
# Not as in RFC 5321: local parts may be long, as in VERP, begin or end with a dot, or be UTF-8 (RFC 6531).
_ATOM = r"[^\s<>,;:()\"\\@\[\]\x00-\x20\x7f]"
_QUOTED = r"[^\s<>,;:()\"\\\x00-\x20\x7f]"
_LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_ADDRESS = re.compile(
    rf"""(?=.{{3,501}}\Z)(?!-)(?:{_ATOM}{{1,250}}|"(?:{_QUOTED}|\\["\\]){{1,248}}")"""
    rf"@(?=.{{1,250}}\Z)(?![0-9.]+\Z){_LABEL}(?:\.{_LABEL})*"
)


@dataclass(frozen=True, slots=True)
class Accept:
    """The connection: `ac` in Momentum's hooks.

    remote_addr: the client's IP address, "" for local submission. login: the SMTP AUTH name or "".
    local_addr, local_port: the MTA's side, "" and None where the MTA does not say. listener: the daemon's
    name.
    """

    remote_addr: str
    remote_name: str
    login: str
    ehlo: str
    local_addr: str
    local_port: int | None
    listener: str

    @classmethod
    def of(cls, client: Client) -> "Accept":
        """Return the view of a client."""
        return cls(
            client.address,
            client.name,
            client.login,
            client.helo,
            client.daemon_address,
            client.daemon_port,
            client.daemon_name,
        )


class Changes(NamedTuple):
    """What a policy made of a mail, besides its recipients; None where it changed nothing.

    sender: "" for the null sender. body: with CRLF.
    """

    header: HeaderEdits | None = None
    sender: str | None = None
    body: bytes | None = None


class PolicyMessage:
    """The message: `msg` in Momentum's hooks.

    received: the message as the MTA has it, None where that is the same. rights: what the MTA lets us do.
    whole: whether the body is here whole. past_mail: whether the hooks up to validate_mailfrom have run
    (`phases`). joining, leaving: recipients that the policy adds and removes. lines: what it logs, as (level
    of syslog, text). memo: what a policy keeps for the message. route: name and value of the field that names
    the way out to the MTA, None where no policy chose it; set when the hooks have run (`phases`).
    """

    __slots__ = (
        "_body",
        "_edits",
        "_envelope",
        "_finished",
        "_message",
        "_received",
        "_recipient",
        "_rights",
        "_sender",
        "_whole",
        "joining",
        "leaving",
        "lines",
        "memo",
        "past_mail",
        "route",
    )

    def __init__(
        self,
        envelope: Envelope,
        message: Message,
        recipient: str = "",
        received: Message | None = None,
        rights: GrantedActions = ALL,
        *,
        whole: bool = True,
    ) -> None:
        self._envelope = envelope
        self._message = message
        self._received = received if received is not None else message
        self._rights = rights
        self._whole = whole
        self._edits: HeaderEdits | None = None
        self._sender = envelope.sender
        self._body: bytes | None = None
        self._finished: list[Callable[[], None]] = []
        self._recipient = recipient
        self.past_mail = bool(recipient)
        self.joining: list[str] = []
        self.leaving: list[str] = []
        self.lines: list[tuple[int, str]] = []
        self.memo: dict[object, object] = {}
        self.route: tuple[str, str] | None = None

    def for_recipient(self, recipient: str) -> "PolicyMessage":
        """Return the message as the hook for one recipient sees it; its changes are of that copy alone."""
        copy = PolicyMessage(
            self._envelope, self._message, recipient, self._received, self._rights, whole=self._whole
        )
        copy._sender, copy._body = self._sender, self._body
        copy._edits = None if self._edits is None else self._edits.copy()
        copy._finished, copy.lines, copy.memo = self._finished, self.lines, self.memo
        copy.joining, copy.leaving = self.joining, self.leaving
        return copy

    def when_done(self, call: Callable[[], None]) -> None:
        """Note what is to be called once the message is decided."""
        self._finished.append(call)

    def close(self) -> None:
        """End the work on this message."""
        while self._finished:
            self._finished.pop()()

    @property
    def edits(self) -> HeaderEdits | None:
        """What the policy changed in the header, None where it changed nothing."""
        return self._edits if self._edits is not None and self._edits.changed else None

    @property
    def changes(self) -> Changes:
        """What the policy changed in header, sender and body."""
        sender = self._sender if self._sender != self._envelope.sender else None
        return Changes(self.edits, sender, self._body)

    @property
    def current(self) -> Message:
        """The message as it stands now."""
        message = self._message if self._edits is None else self._edits.message()
        return message if self._body is None else message.with_body(self._body)

    @property
    def envelope(self) -> Envelope:
        """The envelope as it came."""
        return self._envelope

    @property
    def mailfrom(self) -> str:
        """The envelope sender as it stands now, "" for the null sender."""
        return self._sender

    @property
    def sender(self) -> str:
        """The same as `mailfrom`."""
        return self._sender

    @property
    def recipient(self) -> str:
        """The recipient of this copy as they stand now, "" except in the hook for each recipient."""
        return self._recipient

    @property
    def recipients(self) -> tuple[str, ...]:
        """All envelope recipients of the transaction, with the policy's own changes."""
        if not self.joining and not self.leaving:
            return self._envelope.recipients
        left = {same(each) for each in self.leaving}
        there = tuple(each for each in self._envelope.recipients if same(each) not in left)
        return (*there, *self.joining)

    @property
    def queue_id(self) -> str:
        """The MTA's queue id, "" where the message has none yet."""
        return self._envelope.queue_id

    @property
    def size(self) -> int:
        """The size of header and body in bytes."""
        fields = sum(len(field.name) + 1 + len(field.value) + 2 for field in self._message.fields)
        return fields + 2 + len(self.body)

    @property
    def body(self) -> bytes:
        """The body as it stands now, in its transfer encodings."""
        return self._message.body if self._body is None else self._body

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The pairs (name, unfolded value) of all header fields, in order. Encoded words stay encoded."""
        return tuple((field.name, _text(field.value)) for field in self.current.fields)

    def header(self, name: str) -> tuple[str, ...]:
        """Return the unfolded values of all fields of that name, in any letter case (`msg:header`)."""
        return tuple(_text(value) for value in self.current.values(name))

    def set_header(self, name: str, value: str) -> None:
        """Replace all fields of a name by one at the end of the header. Raises ValueError as `add_header`."""
        self.remove_header(name)
        self.add_header(name, value)

    def add_header(self, name: str, value: str, *, first: bool = False) -> None:
        """Add a header field at the end, or on top of those that came with the mail.

        value: text, encoded here where it is not ASCII. Raises ValueError for a name or value that no mail
        may have, and for a field that is the filter's own.
        """
        self._editable().add(name, value, first=first)

    def remove_header(self, name: str) -> bool:
        """Remove all fields of a name; return whether there were any. Raises ValueError as `add_header`."""
        return self._editable().remove(name)

    def set_mailfrom(self, address: str) -> None:
        """Set the envelope sender, "" for the null sender; in the hook for each recipient that copy's.

        Raises ValueError for what is no address, before the mail has a sender, and where the MTA does not
        grant it.
        """
        if not self.past_mail:
            raise ValueError("the sender can be changed from validate_rcptto on")
        checked = _address(address) if address != "" else ""
        self._need("CHGFROM")
        self._sender = checked

    def set_rcptto(self, address: str) -> None:
        """Set the recipient of this copy, in the hook for each recipient.

        Raises ValueError for what is no address, in other hooks, where the MTA does not grant it, and for a
        recipient whose address cannot be named to the MTA again.
        """
        if not self.recipient:
            raise ValueError(
                "the recipient can be changed in the hooks for each recipient alone, "
                "validate_data_spool_each_rcpt and later"
            )
        checked = _address(address)
        if not self.recipient.isprintable() or self.recipient.startswith("@"):  # Postfix finds no route again
            raise ValueError("the recipient's address is too odd and cannot be replaced")
        self._need("DELRCPT", "ADDRCPT", "ADDRCPT_PAR")
        self._recipient = checked

    def set_body(self, body: bytes) -> None:
        """Put another body in the place of the one that stands, before it is tracked.

        body: encoded as the header says; line ends become CRLF, also at its end. Raises TypeError for what is
        no bytes, ValueError for a body that was too large to be kept, since what was read of it is not all,
        and where the MTA does not grant it.
        """
        if not isinstance(body, bytes):
            raise TypeError(f"a body is bytes, this is {type(body).__name__}")
        if not self._whole:
            raise ValueError("the body is over limits.max_message_size and cannot be changed")
        self._need("CHGBODY")
        lines = _LINE_END.sub(b"\r\n", body)
        self._body = lines if not lines or lines.endswith(b"\r\n") else lines + b"\r\n"

    def add_recipient(self, address: str) -> None:
        """Add a recipient, before the hooks for each recipient. Raises ValueError for what is no address."""
        self._before_each()
        checked = _address(address)
        if same(checked) in map(same, self.leaving):
            self.leaving = [each for each in self.leaving if same(each) != same(checked)]
        elif same(checked) not in map(same, self.recipients):
            self.joining.append(checked)

    def remove_recipient(self, address: str) -> bool:
        """Take a recipient out, and return whether it was there; the MTA has said yes to it already.

        Raises ValueError for the last recipient (`vctx.discard`) and in the hook for each recipient.
        """
        self._before_each()
        removed = same(address)
        found = [each for each in self.recipients if same(each) == removed]
        if not found:
            return False
        if len({same(each) for each in self.recipients}) == 1:
            raise ValueError("the last recipient cannot be removed; discard the mail instead")
        self.joining = [each for each in self.joining if same(each) != removed]
        self.leaving += [each for each in self._envelope.recipients if same(each) == removed]
        return True

    def _before_each(self) -> None:
        if self.recipient:
            raise ValueError("recipients cannot be changed any more in the hook for each recipient")

    def _need(self, *actions: str) -> None:
        if missing := self._rights.all_but(actions):
            raise ValueError(f"the MTA does not grant {missing}")

    def _editable(self) -> HeaderEdits:
        if self._edits is None:
            self._edits = HeaderEdits(self._message, self._received)
        return self._edits


def _address(address: str) -> str:
    if not _ADDRESS.fullmatch(address) or not address.isprintable():
        raise ValueError("not an address that can be a sender or recipient")
    return address


def _text(value: bytes) -> str:
    return _FOLD.sub("", value.decode("utf-8", "replace")).strip(" \t\r\n")
