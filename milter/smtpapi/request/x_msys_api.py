r"""Read what a sender asks for in X-MSYS-API: header values become an `XMsysApi`, or a reply that refuses.

Rules and reply texts are those of contract.md 3 and 9 (copy lists). `trust` says who may ask, and `decision`
which source wins.

Invariants: `parse` never raises, whatever the bytes; a reply is one ASCII line and quotes nothing of the
header; absent, false and empty stay distinct; no string of an `XMsysApi` holds half a surrogate pair, and no
campaign, tag, address or name holds CR, LF or NUL.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from smtpapi.mime import encoded_words
from smtpapi.model.outcome import Refuse
from smtpapi.request import strict_json
from smtpapi.request.labels import (
    LINE_BREAKS,
    MAX_REFERENCE,
    campaign_fault,
    choose_tags,
    is_reference,
    transmission_id_of,
    wrong_type,
)
from smtpapi.request.strict_json import NotJSON, Number, Value

NAME = "X-MSYS-API"
MAX_HEADER = 65536  # bytes after unfolding (contract.md 3.1)
MAX_COPIES = 1000  # entries of cc, bcc and archive together (contract.md 3.2)

# Lengths at which MTAs were seen to cut a header field (docs/quirks.md): Postfix near 60,000 bytes, Sendmail
# near 2,300 when it relays an unfolded line. They are used only for a hint in a reply.
_CUTS = ((59_000, 61_500, "Postfix"), (2_200, 2_400, "Sendmail"))

_FOLD = re.compile(rb"(?<!\r)\r*\n[ \t]*")  # the lookbehind keeps a long run of CRs linear
_ADDRESS = re.compile(
    r"""(?:[^\s\x00-\x20\x7f"(),:;<>@\[\]\\.]+(?:\.[^\s\x00-\x20\x7f"(),:;<>@\[\]\\.]+)*  # dot-string
        |"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e])*")                 # quoted-string, RFC 5321 4.1.2
        @(?:[^\W_](?:[\w-]*[^\W_])?(?:\.[^\W_](?:[\w-]*[^\W_])?)*|\[[0-9A-Za-z:.]+\])""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Copy:
    """An entry of a copy list. name: for the Cc or Bcc header, "" without one."""

    address: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class XMsysApi:
    """What the header says. None: the field is absent or null.

    present: whether there was a header with a value. metadata: the object's pairs in order, each as compact
    JSON text `"name":value`. tags: at most ten, without repeats. ip_pool, dkim_key, inline_css:
    read, but nothing acts on them yet. warnings: for the log, without any of the header's
    text.
    """

    present: bool = False
    campaign: str | None = None
    transmission_id: int | None = None
    metadata: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    clicks: bool | None = None
    opens: bool | None = None
    initial_opens: bool | None = None
    transactional: bool | None = None
    consent: bool | None = None
    consent_reference: str | None = None
    skip_suppression: bool | None = None
    inline_css: bool | None = None
    ip_pool: str | None = None
    dkim_key: str | None = None
    cc: tuple[Copy, ...] = ()
    bcc: tuple[Copy, ...] = ()
    archive: tuple[Copy, ...] = ()
    warnings: tuple[str, ...] = ()


NOTHING = XMsysApi()  # for a message without the header


def parse(values: Sequence[bytes]) -> XMsysApi | Refuse:
    """Read the values of a message's X-MSYS-API fields, in order; the first counts (contract.md 3.1).

    Never raises: a faulty header gives the refusal for the client.
    """
    if not values:
        return NOTHING
    warnings: list[str] = []
    if len(values) > 1:
        warnings.append(f"{len(values)} {NAME} fields; the first one counts")
    value = unfold(values[0])
    if not value:
        return XMsysApi(warnings=tuple(warnings))
    try:
        return _Reading(warnings).directive(_object(value, warnings))
    except NotJSON as error:
        return refusal(f"JSON parsing error in {NAME}: {error}{_cut_hint(value, error)}")
    except _Refused as refused:
        return refusal(refused.text)


def unfold(value: bytes) -> bytes:
    """Replace each line end, with all white space behind it, by one space (contract.md 3.1).

    This is not RFC 5322's unfolding, which keeps that white space. White space at both ends is removed.
    """
    return _FOLD.sub(b" ", value).strip(b" \t\r\n")


def refusal(text: str) -> Refuse:
    """Return a permanent refusal; its text is cut to 400 characters, so that it fits one reply line (512)."""
    return Refuse("550", "5.6.0", text[:400])


class _Refused(Exception):
    """Raised at the first fault that refuses the mail. text: of the reply."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def _object(value: bytes, warnings: list[str]) -> dict[str, Value]:
    """Return the header's JSON object, with the encoded words of its three label fields decoded.

    Raises `_Refused` for a header that is too long, `NotJSON` for one that is no JSON object.
    """
    if len(value) > MAX_HEADER:
        raise _Refused(f"JSON parsing error in {NAME}: header too long")
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise NotJSON("bytes that are not UTF-8", error.start) from None
    inside = True
    try:
        parsed, repeated = strict_json.read(text)
    except NotJSON:
        if not encoded_words.present(text):
            raise
        inside = False
        parsed, repeated = strict_json.read(encoded_words.decode(text))
    if not isinstance(parsed, dict):
        raise NotJSON("the value is not an object")
    if repeated:
        warnings.append(f"{len(repeated)} names repeated in {NAME}; the last of each counts")
    if inside:
        for field in ("campaign_id", "tags", "metadata"):
            if field in parsed:
                parsed[field] = _decoded(parsed[field])
    return {name: member for name, member in parsed.items() if member is not None}


def _decoded(value: Value) -> Value:
    """Return the value with the encoded words in all its strings, names too, decoded."""
    if isinstance(value, Number):
        return value
    if isinstance(value, str):
        return encoded_words.decode(value)
    if isinstance(value, list):
        return [_decoded(member) for member in value]
    if isinstance(value, dict):
        return {encoded_words.decode(name): _decoded(member) for name, member in value.items()}
    return value


class _Reading:
    """Turns the header's object into an `XMsysApi`, field by field. Raises `_Refused` at the first fault."""

    def __init__(self, warnings: list[str]) -> None:
        self._warnings = warnings

    def directive(self, parsed: dict[str, Value]) -> XMsysApi:
        campaign = self._string(parsed, "campaign_id")
        if campaign is not None and (fault := campaign_fault(campaign)):
            raise _Refused(fault)
        metadata = parsed.get("metadata")
        if metadata is not None and not isinstance(metadata, dict):
            raise _Refused(f"{NAME} " + wrong_type("'metadata'", "json object"))
        tags = self._tags(parsed)
        options = parsed.get("options", {})
        if not isinstance(options, dict):
            raise _Refused(f"{NAME} " + wrong_type("'options'", "json object"))
        cc, bcc, archive = self._copies(parsed)
        return XMsysApi(
            present=True,
            campaign=campaign,
            transmission_id=self._transmission_id(parsed),
            metadata=None if metadata is None else strict_json.members(metadata),
            tags=tags,
            clicks=self._boolean(options, "click_tracking"),
            opens=self._boolean(options, "open_tracking"),
            initial_opens=self._boolean(options, "initial_open"),
            transactional=self._boolean(options, "transactional"),
            consent=self._boolean(options, "consent"),
            consent_reference=self._reference(options),
            skip_suppression=self._boolean(options, "skip_suppression"),
            inline_css=self._boolean(options, "inline_css"),
            ip_pool=self._string(options, "ip_pool", "options."),
            dkim_key=self._string(options, "dkim_key", "options."),
            cc=cc,
            bcc=bcc,
            archive=archive,
            warnings=tuple(self._warnings),
        )

    def _string(self, parsed: dict[str, Value], name: str, prefix: str = "") -> str | None:
        value = parsed.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or isinstance(value, Number):
            raise _Refused(f"{NAME} " + wrong_type(f"'{prefix}{name}'", "string"))
        return value

    def _reference(self, options: dict[str, Value]) -> str | None:
        reference = self._string(options, "consent_reference", "options.")
        if reference is None or is_reference(reference):
            return reference
        expected = f"at most {MAX_REFERENCE} bytes without line breaks"
        self._warnings.append(f"options.consent_reference ignored: expected {expected}")
        return None

    def _transmission_id(self, parsed: dict[str, Value]) -> int | None:
        text = self._string(parsed, "transmission_id")
        found = None if text is None else transmission_id_of(text)
        if text is not None and found is None:
            self._warnings.append("transmission_id ignored: expected decimal digits, 1 to 2^64-1")
        return found

    def _boolean(self, options: dict[str, Value], name: str) -> bool | None:
        """Take true and false, also 0, 1 and four strings, these with a warning (contract.md 3.3)."""
        value = options.get(name)
        if value is None or isinstance(value, bool):
            return value
        spelled = value.lower() if isinstance(value, str) else ""
        if isinstance(value, Number) and value not in ("0", "1"):
            spelled = ""
        if spelled not in ("true", "false", "1", "0"):
            raise _Refused(f"{NAME} " + wrong_type(f"'options.{name}'", "boolean"))
        self._warnings.append(f"options.{name} is not written as true or false")
        return spelled in ("true", "1")

    def _list(self, parsed: dict[str, Value], name: str) -> list[Value] | None:
        value = parsed.get(name)
        if value is not None and not isinstance(value, list):
            raise _Refused(f"{NAME} " + wrong_type(f"'{name}'", "json array"))
        return value

    def _tags(self, parsed: dict[str, Value]) -> tuple[str, ...] | None:
        values = self._list(parsed, "tags")
        if values is None:
            return None
        tags, warnings = choose_tags(values)
        self._warnings.extend(warnings)
        return tags

    def _copies(self, parsed: dict[str, Value]) -> tuple[tuple[Copy, ...], ...]:
        lists = {name: self._list(parsed, name) or [] for name in ("cc", "bcc", "archive")}
        if sum(map(len, lists.values())) > MAX_COPIES:
            raise _Refused(f"{NAME} cc, bcc and archive are limited to {MAX_COPIES} recipients")
        return tuple(tuple(_copy(name, entry) for entry in entries) for name, entries in lists.items())


def _copy(field: str, entry: Value) -> Copy:
    """Read an entry of a copy list: an address, or an object with `email` and perhaps `name` (contract.md 9).

    Raises `_Refused` for an invalid one.
    """
    address, name = (entry.get("email"), entry.get("name")) if isinstance(entry, dict) else (entry, None)
    for text in (address, name):
        if isinstance(text, str) and LINE_BREAKS.search(text):
            raise _Refused(f"{NAME} '{field}' contains a line break or NUL")
    if not isinstance(address, str) or isinstance(address, Number) or not is_address(address):
        raise _Refused(f"{NAME} '{field}' contains an invalid address")
    if name is None:
        return Copy(address)
    if not isinstance(name, str) or isinstance(name, Number):
        raise _Refused(f"{NAME} " + wrong_type(f"'{field}.name'", "string"))
    return Copy(address, name)


def is_address(address: str) -> bool:
    """Return whether this is a mailbox by RFC 5321 4.1.2 and 4.5.3.1 (lengths), letters of RFC 6531 too."""
    local = address.rpartition("@")[0]
    return (
        len(address.encode()) <= 254 and len(local.encode()) <= 64 and _ADDRESS.fullmatch(address) is not None
    )


def _cut_hint(value: bytes, error: NotJSON) -> str:
    """Return a hint for a value that breaks off at a length at which an MTA cuts headers, else ""."""
    at_end = error.position < 0 or error.position >= len(value) - 1 or not value.endswith(b"}")
    for least, most, mta in _CUTS:
        if at_end and least <= len(value) <= most:
            return (
                f"; at {len(value)} bytes the header looks cut by an MTA ({mta} does so), send a shorter one"
            )
    return ""
