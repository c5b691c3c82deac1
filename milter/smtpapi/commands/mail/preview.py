"""`smtpapi preview`: show a person what the milter would change in a message, and what not.

The output is coloured text in a terminal, or an HTML page. The plan is made by the same functions as in the
milter. Nothing is written but the page that is asked for.
"""

import email
import email.policy
import quopri
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import click

from engagement.terminal import json_line, printable
from smtpapi.commands.configuration.keys import Failed
from smtpapi.commands.mail.preview_page import REMOVED, PreviewRow, page
from smtpapi.commands.mail.reason_texts import SKIP, WHY
from smtpapi.commands.mail.rewrite import LISTEN, RECIPIENT, SENDER, apply_outcome, consider_raw, load_site
from smtpapi.commands.options import optional_config_option, say
from smtpapi.model.edit import Edit
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.outcome import Discard, Leave, Outcome, Plan, Refuse, Skipped
from smtpapi.rewrite.raw_message import RawMessage, split

_SOFT_BREAK = re.compile(rb"=\r?\n")
_QUOTED = re.compile(rb"(?:\[\[)?[A-Za-z-]+=3D")  # an attribute as it stands in a quoted-printable part
_TYPES = {"text/html": "HTML", "text/plain": "text", "text/x-amp-html": "AMP"}
_URL = re.compile(r"https?://[^\"'\s<>]+")
_NOTES = {
    "attribute": "tracking notation, taken out",
    "macro": "brace macro, replaced by its braces",
    "pixel": "open pixel, added",
}


@click.command()
@optional_config_option
@click.option("--sender", default=SENDER, show_default=True, help="Envelope sender.")
@click.option("--recipient", default=RECIPIENT, show_default=True, help="Envelope recipient.")
@LISTEN
@click.option(
    "--html", "html_out", type=click.Path(dir_okay=False, path_type=Path), help="Write a page instead."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def command(
    config: Path | None,
    sender: str,
    recipient: str,
    listen: tuple[str, int | None],
    html_out: Path | None,
    as_json: bool,
    file: Path,
) -> None:
    """Show the links of a message before and after, each with its name and reason."""
    site = load_site(config)
    client = Client("127.0.0.1", daemon_address=listen[0], daemon_port=listen[1])
    envelope = Envelope(client, sender, (recipient,))
    message, outcome = consider_raw(site, file.read_bytes(), envelope)
    parsed = email.message_from_bytes(apply_outcome(message, outcome), policy=email.policy.default)
    title = _header(parsed, "subject") or file.name
    facts = [("From", _header(parsed, "from")), ("Recipient", recipient), ("File", file.name)]
    facts.append(("Outcome", _outcome_text(outcome)))
    rows = list(_rows(message, outcome))
    if as_json:
        click.echo(json_line(_as_json(title, outcome, rows)))
        return
    if html_out is None:
        _show(title, facts, rows)
        return
    try:
        html_out.write_text(page(title, facts, rows, _top_html(parsed)), "utf-8")
    except OSError as error:
        raise Failed(f"{html_out}: cannot be written: {error.strerror}") from None
    say(f"{html_out}: {sum(row.changed for row in rows)} changes, {len(rows)} lines")


def _as_json(title: str, outcome: Outcome, rows: Iterable[PreviewRow]) -> dict[str, Any]:
    """Return what a program reads: the outcome, and each change or link left alone in its order."""
    return {
        "subject": title,
        "outcome": _outcome_text(outcome),
        "tracked": isinstance(outcome, Plan) and outcome.why is None,
        "links": [{**asdict(row), "changed": row.changed} for row in rows],
    }


def _outcome_text(outcome: Outcome) -> str:
    match outcome:
        case Leave(why):
            return f"passes byte for byte: {WHY[why]} ({why})"
        case Refuse(code, status, text):
            return f"refused: {' '.join(filter(None, (code, status, text)))}"
        case Discard(reason):
            return f"accepted and dropped by policy {reason}".rstrip()
        case Plan(why=why) if why is not None:
            return f"no link is tracked: {WHY[why]} ({why})"
        case Plan():
            return "tracked"


def _rows(message: RawMessage, outcome: Outcome) -> Iterator[PreviewRow]:
    """Yield edits and skipped links in the order in which they stand in the message."""
    if not isinstance(outcome, Plan):
        return
    lines: list[tuple[int, PreviewRow]] = []
    if outcome.body is not None:  # what follows are changes of that one
        note = "policy puts another body in the place of the one that came"
        lines.append((message.body_start, PreviewRow("", "body", "", "another body", "", note)))
        message = split(message.raw[: message.body_start] + outcome.body)
        outcome = replace(outcome, body=None)
    parts = {edit.part: f"{edit.part} {_TYPES.get(edit.type, '')}" for edit in outcome.edits}
    for edit in message.edits(outcome):
        inner = edit.inner or (edit,)
        lines += [(edit.start, _changed(message, edit, one, parts.get(edit.part, ""))) for one in inner]
    for skipped in outcome.skipped:
        row = _skipped(skipped, parts.get(skipped.part, skipped.part))
        lines.append((message.body_start + skipped.offset, row))
    yield from (row for _, row in sorted(lines, key=lambda line: line[0]))


def _changed(message: RawMessage, outer: Edit, edit: Edit, part: str) -> PreviewRow:
    new = _SOFT_BREAK.sub(b"", edit.new).decode("ascii", "ignore").replace("\0", "")
    url = _URL.search(new)
    note = _NOTES.get(edit.kind, "")
    if edit.kind == "header":
        old = " ".join(message.raw[edit.start : edit.stop].decode("utf-8", "replace").split())
        note = "header field, " + ("added" if new.strip() else "taken out")
        return PreviewRow("", "header", _short(old), _short(new.strip()) or REMOVED, edit.name, note)
    before = edit.target.decode("ascii", "replace")
    if edit.kind in ("attribute", "macro") and edit is outer:
        before = _notation(message.raw[edit.start : edit.stop])
    after = url[0] if url else new or REMOVED
    return PreviewRow(part, edit.kind, before, after, edit.name, note)


def _skipped(skipped: Skipped, part: str) -> PreviewRow:
    what = "part" if skipped.offset < 0 else "link"
    return PreviewRow(part, what, skipped.url, "", "", f"{SKIP[skipped.reason]} ({skipped.reason})")


def _notation(raw: bytes) -> str:
    """Return an attribute or macro as its author wrote it."""
    raw = _SOFT_BREAK.sub(b"", raw.strip())
    return (quopri.decodestring(raw) if _QUOTED.match(raw) else raw).decode("utf-8", "replace")


def _short(text: str, limit: int = 160) -> str:
    return text if len(text) <= limit else text[:limit] + "…"


def _header(parsed: EmailMessage, name: str) -> str:
    return str(parsed.get(name, "")).replace("\n", " ")


def _top_html(parsed: EmailMessage) -> str:
    part = parsed.get_body(("html",))
    if part is None:
        return ""
    payload = part.get_payload(decode=True)
    return payload.decode(part.get_content_charset("utf-8"), "replace") if isinstance(payload, bytes) else ""


def _show(title: str, facts: Iterable[tuple[str, str]], rows: Iterable[PreviewRow]) -> None:
    say(printable(title), bold=True)
    for label, value in facts:
        say(f"  {label + ':':<11}{printable(value)}")
    for row in rows:
        say()
        say(f"{row.part:<7}", nl=False)
        say(row.what, nl=False, fg="green" if row.changed else "yellow", bold=True)
        say(
            "".join(
                f" {each}" for each in (row.name and f"“{printable(row.name)}”", printable(row.note)) if each
            )
        )
        if row.before:
            say(f"       {'-' if row.changed else ' '} {printable(row.before)}")
        if row.after:
            sign = " " if row.after == REMOVED else "+"
            say(f"       {sign} {printable(row.after)}", fg="green")
