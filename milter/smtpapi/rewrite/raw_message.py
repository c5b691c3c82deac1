"""Whole raw messages, for the command line, tests and benchmarks: split, apply a plan, report.

A milter gets fields and body from the MTA; here they are cut out of one run of bytes, and every offset in a
report is one into that run. Tolerates what files hold and SMTP does not: bare LF, an mbox "From " line, no
empty line between header and body.
"""

from dataclasses import dataclass
from typing import Any

from smtpapi.mime.clear import message_block
from smtpapi.mime.fields import FieldSpan, parse_header
from smtpapi.model.edit import Edit, splice
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import Discard, HeaderChange, Leave, Outcome, Plan, Refuse


@dataclass(frozen=True, slots=True)
class RawMessage:
    """A raw message and its pieces. fields: spans of `message.fields`; header_stop: where one is added."""

    raw: bytes
    message: Message
    fields: tuple[FieldSpan, ...]
    header_stop: int
    body_start: int

    def apply(self, plan: Plan) -> bytes:
        """Return the message with the plan's changes. Raises ValueError for edits that overlap."""
        header = self.raw[: self.body_start]
        if plan.headers:
            header = splice(header, self._header_edits(plan))
        return header + splice(plan.body_to_edit(self.message.body), plan.edits)

    def edits(self, plan: Plan) -> list[Edit]:
        """Return all of the plan, header changes included, as edits of the raw bytes, in order.

        A body that policy put in the place of the one that came is one edit, with those in it as its inner
        ones.
        """
        header = self._header_edits(plan)
        base = self.body_start
        if plan.body is not None:
            whole = Edit(base, len(self.raw), splice(plan.body, plan.edits), "body", inner=plan.edits)
            return [*header, whole]
        body = [edit._replace(start=edit.start + base, stop=edit.stop + base) for edit in plan.edits]
        return header + body

    def report(self, outcome: Outcome, path: str) -> dict[str, Any]:
        """Return what was done, as one line of `smtpapi rewrite --report`; offsets are into the raw input."""
        line: dict[str, Any] = {"file": path, "action": "untouched", "reason": "", "edits": [], "skipped": []}
        if isinstance(outcome, Plan | Leave) and outcome.note:
            line["note"] = outcome.note
        match outcome:
            case Leave(why):
                line["reason"] = str(why)
            case Refuse(code, status, text):
                line["reason"] = " ".join(filter(None, (code, status, text)))
            case Discard(reason):
                line["reason"] = f"discarded: {reason}"
            case Plan():
                edits = self.edits(outcome)
                line["action"] = "rewritten" if edits else "untouched"
                line["reason"] = str(outcome.why) if outcome.why else ""
                line["edits"] = [_edit_line(edit) for edit in edits]
                line["skipped"] = [
                    {
                        "part": skipped.part,
                        "offset": self._place(outcome, skipped.offset),
                        "url": skipped.url,
                        "reason": str(skipped.reason),
                    }
                    for skipped in outcome.skipped
                ]
        return line

    def _place(self, plan: Plan, offset: int) -> int:
        """Return where something skipped stands in the raw bytes, -1 for a whole part or another body."""
        return -1 if offset < 0 or plan.body is not None else offset + self.body_start

    def _header_edits(self, plan: Plan) -> list[Edit]:
        return sorted((self._header_edit(change) for change in plan.headers), key=lambda edit: edit.start)

    def _header_edit(self, change: HeaderChange) -> Edit:
        eol = self.message.eol
        if change.index:
            lower = change.name.lower()
            spans = [span for span in self.fields if span.name.lower() == lower]
            if change.index <= len(spans):
                span = spans[change.index - 1]
                if change.value is None:
                    return Edit(span.start, span.stop, b"", "header", name=change.name)
                new = b" " + change.value.encode("utf-8")
                return Edit(span.value_start, span.value_stop, new, "header", name=change.name)
        if change.value is None:
            return Edit(self.header_stop, self.header_stop, b"", "header", name=change.name)
        value = change.value.replace("\n", eol.decode()).removeprefix(" ")
        new = f"{change.name}: {value}".encode() + eol
        if change.first:
            start = self.fields[0].start if self.fields else self.header_stop
            return Edit(start, start, new, "header", name=change.name)
        if self.header_stop and not self.raw.endswith(b"\n", 0, self.header_stop):
            new = eol + new
        return Edit(self.header_stop, self.header_stop, new, "header", name=change.name)


def split(raw: bytes) -> RawMessage:
    """Cut a raw message into fields and body."""
    start = 0
    if raw.startswith(b"From "):
        start = raw.find(b"\n") + 1 or len(raw)
    header = parse_header(raw, start)
    first = raw.find(b"\n")
    eol = b"\n" if first >= 0 and not raw.endswith(b"\r\n", 0, first + 1) else b"\r\n"
    fields = tuple(
        Field(name, raw[value_start:value_stop]) for name, _, value_start, value_stop, _ in header.fields
    )
    ends = header.body > header.stop or header.stop == len(raw)
    message = Message(fields, raw[header.body :], eol, clear=ends and message_block(raw[start : header.stop]))
    return RawMessage(raw, message, header.fields, header.stop, header.body)


def _edit_line(edit: Edit) -> dict[str, Any]:
    line: dict[str, Any] = {
        "part": edit.part,
        "type": edit.type,
        "kind": edit.kind,
        "start": edit.start,
        "end": edit.stop,
        "length": len(edit.new),
        "target": edit.target.decode("ascii", "replace"),
        "name": edit.name,
    }
    if edit.inner:
        line["inner"] = [_edit_line(inner) for inner in edit.inner]
    return line
