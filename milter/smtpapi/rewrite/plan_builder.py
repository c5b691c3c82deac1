"""The plan of a message's edits as it grows, part by part.

Take off the transfer encoding and the charset, let `part` say what changes, and bring the edits back to
offsets in the body. A part that cannot be decoded exactly is skipped with a reason.
"""

import re
from collections.abc import Sequence

from smtpapi.mime import charset, transfer
from smtpapi.mime.deadline import CheckTime, in_turns, paced
from smtpapi.mime.describe import IDENTITY, OF_BYTES
from smtpapi.mime.fields import FieldSpan
from smtpapi.mime.parts import Part
from smtpapi.mime.quoted_printable import LooseQuotedPrintable
from smtpapi.mime.transfer import EncodedEdits
from smtpapi.model.edit import Edit
from smtpapi.model.message import Message
from smtpapi.model.outcome import HeaderChange, Leave, Skip, Skipped, Why, removal
from smtpapi.rewrite.part import LeftLink, PartEdits

_ARMOUR = re.compile(rb"-----BEGIN PGP (?:SIGNED )?MESSAGE-----")
_ARMOUR_LINE = re.compile(rb"^" + _ARMOUR.pattern, re.MULTILINE)
_ENCODING = "Content-Transfer-Encoding"
_AMP = "text/x-amp-html"
# What a macro's braces may begin with: as they are, or in quoted-printable.
_BRACES = (b"{{", b"{=", b"=7B", b"=7b")
_NEW = tuple.__new__  # of the class and its nine values: half the time of the class's own


class UntouchableError(Exception):
    """Something in a part forbids changing the message at all."""

    def __init__(self, why: Why, note: str = "") -> None:
        super().__init__(why)
        self.left = Leave(why, note)


class PlanBuilder:
    """The plan as it grows."""

    __slots__ = ("chooser", "edits", "headers", "message", "readable", "skipped", "untrue")

    def __init__(self, message: Message, chooser: PartEdits) -> None:
        self.message = message
        self.chooser = chooser
        self.edits: list[Edit] = []
        self.headers: list[HeaderChange] = []
        self.skipped: list[Skipped] = []
        self.untrue: dict[FieldSpan, Part] = {}
        self.readable = False

    def finish(self) -> None:
        """Take out what said how the bytes were (RFC 1864): of edited parts, and of what they are in."""
        if self.edits:
            for name in OF_BYTES:
                self.headers += removal(self.message, name)
        if self.untrue:
            self.edits += [
                Edit(span.start, span.stop, b"", "header", b"", span.name, part.section, part.content.type)
                for span, part in self.untrue.items()
            ]
            self.edits.sort(key=lambda edit: (edit.start, edit.stop))

    def part(self, part: Part) -> None:
        """Add the edits of one part. Raises UntouchableError for what forbids to edit the message at all."""
        if part.content.type == _AMP and self._amp_is_off(part):
            if self.chooser.rules.brace_macros:
                self.macros(part)
            return
        check_time = self.chooser.check_time
        encoded = self.message.body[part.start : part.stop]
        if encoded.count(b"\r") != encoded.count(b"\r\n"):
            raise UntouchableError(Why.AMBIGUOUS_MIME, "a bare carriage return in a part")
        view = transfer.view(encoded, part.encoding, check_time)
        if view is None:
            self._skip(part, Skip.PART_ENCODING)
            return
        check_time()
        is_html = part.content.type != "text/plain"
        label = part.content.parameters.get("charset", "")
        reading = charset.read(
            view.data, label, html=is_html, encoded=part.encoding not in IDENTITY, check_time=check_time
        )
        if reading is None:
            self._skip(part, Skip.PART_CHARSET)
            return
        if b"BEGIN" in reading.text and (_ARMOUR if is_html else _ARMOUR_LINE).search(reading.text):
            raise UntouchableError(Why.PGP_INLINE)
        check_time()
        edits = charset.place(self._edits_of(part, reading), reading, view.data)
        if edits and isinstance(view, LooseQuotedPrintable):
            edits = self._without_ambiguous(part, edits, view)
        ends_matter = part.encoding == "quoted-printable" or "format" in part.content.parameters
        if edits and ends_matter and not reading.codec:
            edits = [_before_blanks(edit, view.data) for edit in edits]
        passed = self.chooser.passed
        self.chooser.passed = []
        for reason in sorted(set(self.chooser.pixels_passed)):
            self._skip(part, reason)
        self.chooser.pixels_passed = []
        if edits is None:
            self._skip(part, Skip.PART_CHARSET)
            return
        self.readable = True
        if passed:
            check_time()
            offsets = charset.offsets_in_part([item.offset for item in passed], reading)
            self._passed(part, passed, view.encoded_offsets(offsets))
        if edits:
            check_time()
            self._place(part, view.place(edits, self.message.eol, check_time))

    def macros_beside(self, parts: Sequence[Part], shown: Sequence[Part]) -> None:
        """Add the brace macros of the parts that are shown and not among those with links."""
        if len(shown) == len(parts):
            return
        before = len(self.edits)
        done = {part.start for part in parts}
        for part in shown:
            if part.start not in done:
                self.macros(part)
                self.chooser.check_time()
        if len(self.edits) > before:
            self.edits.sort(key=lambda edit: (edit.start, edit.stop))

    def macros(self, part: Part) -> None:
        """Add the brace macros of a part without links of ours; where it cannot be read, it stays."""
        encoded = self.message.body[part.start : part.stop]
        if not any(mark in encoded for mark in _BRACES) and part.encoding != "base64":
            return
        check_time = self.chooser.check_time
        view = None
        if encoded.count(b"\r") == encoded.count(b"\r\n"):
            view = transfer.view(encoded, part.encoding, check_time)
        if view is None:
            return
        is_html = part.content.type != "text/plain"
        label = part.content.parameters.get("charset", "")
        escaped = part.encoding not in IDENTITY
        reading = charset.read(view.data, label, html=is_html, encoded=escaped, check_time=check_time)
        if reading is None or _ARMOUR.search(reading.text):
            return
        edits = charset.place(self.chooser.macros(reading.text), reading, view.data)
        if edits and isinstance(view, LooseQuotedPrintable):
            edits = self._without_ambiguous(part, edits, view)
        if edits:
            self._place(part, view.place(edits, self.message.eol, check_time))

    def _without_ambiguous(self, part: Part, edits: list[Edit], view: LooseQuotedPrintable) -> list[Edit]:
        """The edits but those over escapes that readers take in their own ways; links are noted."""
        remaining = []
        for edit, offset in zip(edits, view.encoded_offsets([item.start for item in edits]), strict=True):
            if not view.ambiguous_at(edit.start, edit.stop):
                remaining.append(edit)
            elif edit.kind == "link":
                url = edit.target.decode("ascii", "replace")
                self.skipped.append(Skipped(part.section, part.start + offset, url, Skip.BROKEN_ESCAPE))
        return remaining

    def _passed(self, part: Part, passed: list[LeftLink], offsets: Sequence[int]) -> None:
        """Note the links that stay; offsets: in the part as encoded."""
        for item, offset in paced(zip(passed, offsets, strict=True), self.chooser.check_time):
            url = item.url.decode("utf-8", "replace")
            self.skipped.append(Skipped(part.section, part.start + offset, url, item.reason))

    def _edits_of(self, part: Part, reading: charset.DecodedText) -> list[Edit]:
        chooser = self.chooser
        text = reading.text
        match part.content.type:
            case "text/html":
                edits = chooser.html(text)
                if edits and chooser.rules.verify:
                    chooser.check_time()
                    from smtpapi.rewrite.verify import same_but_for  # lxml: only for those who ask

                    if not same_but_for(text, edits):
                        raise UntouchableError(Why.VERIFY_FAILED)
                return edits
            case "text/plain":
                parameters = part.content.parameters
                return chooser.text(
                    text,
                    flowed=parameters.get("format", "").lower() == "flowed",
                    delsp=parameters.get("delsp", "").lower() == "yes",
                    charset="utf-8" if reading.codec else parameters.get("charset", ""),
                )
            case _:
                return chooser.amp(text)

    def note(self) -> str:
        """Return what the author should know of links that are tracked all the same."""
        ignored = self.chooser.sublinks_ignored
        text = "data-msys-sublink ignored: no path segment of at most 64 characters"
        return f"{ignored} {text}" if ignored else ""

    def _amp_is_off(self, part: Part) -> bool:
        """Note the schemes that keep an AMP part from being tracked (contract.md 5.6)."""
        decision = self.chooser.decision
        schemes = [
            scheme
            for on, scheme in (
                (decision.clicks, decision.click_scheme),
                (decision.opens, decision.open_scheme),
            )
            if on
        ]
        if any(scheme != "https" for scheme in schemes):
            self._skip(part, Skip.AMP_NOT_HTTPS)
        return "https" not in schemes

    def _skip(self, part: Part, reason: Skip) -> None:
        self.skipped.append(Skipped(part.section, -1, "", reason))

    def _place(self, part: Part, placed: EncodedEdits) -> None:
        if placed.encoding:
            self._new_encoding(part, placed.encoding)
        check_time = self.chooser.check_time
        inner = tuple(_edits(placed.inner, check_time, part, 0)) if placed.inner else ()
        self.edits += _edits(placed.edits, check_time, part, part.start, inner)
        self.untrue.update((span, part) for span in part.of_bytes)

    def _new_encoding(self, part: Part, encoding: str) -> None:
        """Name a part's new encoding in the part's own header, or in the message's."""
        eol = self.message.eol
        if part.fields_stop < 0:
            named = self.message.first(_ENCODING) is not None
            self.headers.append(HeaderChange(_ENCODING, 1 if named else 0, encoding))
            if self.message.first("MIME-Version") is None:
                self.headers.append(HeaderChange("MIME-Version", 0, "1.0"))
            return
        if part.encoding_value is not None:
            start, stop = part.encoding_value
            new = b" " + encoding.encode("ascii")
        else:
            start = stop = part.fields_stop
            new = f"{_ENCODING}: {encoding}".encode("ascii") + transfer.line_end(self.message.body, eol)
        self.edits.append(Edit(start, stop, new, "header", b"", _ENCODING, part.section, part.content.type))


def _before_blanks(edit: Edit, data: bytes) -> Edit:
    """A pixel that comes last in its line, set before that line's last blanks.

    Quoted-printable and format=flowed give those a meaning, which what follows them would edit.
    """
    at = edit.start
    if (
        edit.kind == "pixel"
        and data[at - 1 : at] in (b" ", b"\t")
        and data[at : at + 1] in (b"", b"\r", b"\n")
    ):
        at = len(data[:at].rstrip(b" \t"))
        return edit._replace(start=at, stop=at)
    return edit


def _edits(
    placed: Sequence[Edit], check_time: CheckTime, part: Part, base: int, inner: tuple[Edit, ...] = ()
) -> list[Edit]:
    section, type_ = part.section, part.content.type
    edits: list[Edit] = []
    for some in in_turns(placed, check_time):
        edits += [
            _NEW(Edit, (base + start, base + stop, new, kind, target, name, section, type_, inner))
            for start, stop, new, kind, target, name, _, _, _ in some
        ]
    return edits
