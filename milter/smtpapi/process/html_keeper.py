"""Keeps a copy of a campaign's HTML for the click map, behind the mail's back: on a thread of its own.

No mail waits for it: a message is offered once all else is done, and what cannot be taken at once is left
out. Made in the worker, after the fork. Bounds: two messages wait, of at most `_LARGEST` octets; one copy is
made in `_PAUSE` seconds; `CopyFolder` bounds the disk.
"""

import queue
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from engagement.events.model import Injection
from engagement.html_copies.folder import CopyFolder
from engagement.html_copies.model import DAY_MS, CopiedLink, HtmlCopy, form_of
from engagement.html_copies.sealed_targets import seal
from engagement.links.keys import RingError
from engagement.links.ring_file import load_ring
from engagement.objections import ObjectionsError, ObjectionsFile
from engagement.settings import Settings
from smtpapi.mime import charset, transfer
from smtpapi.mime.locate import locate
from smtpapi.mime.parts import top_parts
from smtpapi.model.edit import splice
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import Leave, Plan
from smtpapi.pipeline.injection import decoded
from smtpapi.pipeline.site import MessageResult
from smtpapi.rewrite import mail_copy

_LARGEST: Final = 4 * 1024 * 1024  # octets of a body: an attachment makes no larger HTML
_PAUSE: Final = 1.0  # seconds: a sender who names a campaign for each mail costs no more than this
_AGAIN: Final = 3600.0  # seconds until the same form of a campaign is offered again: its copy may be gone
_REMEMBERED: Final = 4096  # forms of campaigns, some hundred bytes each; one that was let go is offered again
_WAITING: Final = 2  # mails; a third is let go, and the next mail of its form is as good
_CHARSETS: Final = re.compile(
    r"(?:utf-?8|us-ascii|iso-8859-\d{1,2}|windows-125\d|koi8-[ru]|gb\w+|big5|shift_jis|euc-(?:jp|kr)|utf-16(?:[lb]e)?)\Z"
)
_ENCODING: Final = "content-transfer-encoding"


class _Offer(NamedTuple):
    message: Message
    plan: Plan
    injection: Injection
    days: int
    links: tuple[CopiedLink, ...]
    form: str


class HtmlKeeper:
    """Takes what is offered, and writes copies into the spool's folder.

    report: gets what goes wrong, in one line. tick: seconds of a steady clock.
    """

    def __init__(
        self, settings: Settings, report: Callable[[str], None], tick: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = settings.limits.max_kept_html
        self._max_parts = settings.limits.max_parts
        self._ring = Path(settings.keys.ring)
        self._folder = CopyFolder(Path(settings.spool.directory))
        listed = settings.privacy.objections
        self._objections = ObjectionsFile(Path(listed), report, tick) if listed else None
        self._report = report
        self._tick = tick
        self._next = float("-inf")
        self._seen: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._lock = threading.Lock()
        self._waiting: queue.Queue[_Offer | None] = queue.Queue(_WAITING)
        self._thread: threading.Thread | None = None

    def offer(self, result: MessageResult, message: Message) -> bool:
        """Take a message for a copy if one is wanted; return whether that was done. Waits for nothing."""
        offer = _offered(result, message)
        if offer is None:
            return False
        key, now = (offer.injection.campaign, offer.form), self._tick()
        with self._lock:
            if now < self._next or self._seen.get(key, float("-inf")) > now:
                return False
            try:
                self._waiting.put_nowait(offer)
            except queue.Full:
                return False
            self._next = now + _PAUSE
            self._seen[key] = now + _AGAIN
            self._seen.move_to_end(key)
            while len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="html-keeper", daemon=True)
                self._thread.start()
        return True

    def close(self, seconds: float = 2.0) -> None:
        """End the thread; what it does not do in these seconds is not done."""
        if self._thread is not None:
            deadline = time.monotonic() + seconds
            try:
                self._waiting.put(None, timeout=seconds)
            except queue.Full:
                return
            self._thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while (offer := self._waiting.get()) is not None:
            try:
                self._keep(offer)
            except Exception as error:  # noqa: BLE001 - a copy is worth nothing beside the mail
                why = error.strerror if isinstance(error, OSError) else type(error).__name__
                self._report(f"no copy of a mail's HTML could be kept: {why}")

    def _keep(self, offer: _Offer) -> None:
        injection = offer.injection
        if self._objects(injection.recipient):
            return
        text = html_sent(offer.message, offer.plan, self._max_parts)
        if text is None or len(text) > self._most:
            return
        to = decoded(offer.message.first("To"))
        hidden_terms = mail_copy.personal_terms(injection.recipient, to, injection.metadata)
        copy = HtmlCopy(
            tenant="",
            campaign=injection.campaign,
            form=offer.form,
            recipient=injection.recipient,
            subject=mail_copy.hidden(injection.subject, hidden_terms),
            at_ms=injection.at_ms,
            until_ms=injection.at_ms + offer.days * DAY_MS,
            links=tuple(
                replace(each, target=mail_copy.hidden(each.target, hidden_terms)) for each in offer.links
            ),
            html=mail_copy.copy_of(text, mail_copy.tracked_urls(offer.plan.edits), hidden_terms),
            sealed=self._sealed(mail_copy.whole_targets(offer.plan.edits)),
        )
        if len(copy.html) <= 2 * self._most:
            self._folder.put(copy)

    def _sealed(self, targets: tuple[bytes, ...]) -> str:
        """Return the links' whole targets for holders of the key ring; without one the copy is kept too."""
        try:
            return seal(targets, load_ring(self._ring).signing)
        except RingError:
            return ""

    def _objects(self, recipient: str) -> bool:
        """Return whether a reader objected; also while nobody knows."""
        if self._objections is None:
            return False
        try:
            return self._objections.current().hold(recipient)
        except ObjectionsError:
            return True


def _offered(result: MessageResult, message: Message) -> _Offer | None:
    """Return what a copy is made of, None where none is to be kept.

    Only of a mail of one person, who is its recipient and was asked to be: no Cc, Bcc or archive.
    """
    decision, plan = result.decision, result.outcome
    if decision is None or not decision.keep_html_days or not decision.campaign or decision.shared_pixel:
        return None
    if not isinstance(plan, Plan) or plan.why is not None or len(result.injections) != 1:
        return None
    injection = result.injections[0]
    if not injection.recipient or injection.rcpt_type:
        return None
    if message.hashed is not None or len(message.body) > _LARGEST:
        return None
    links = mail_copy.tracked_links(plan.edits)
    if not links:
        return None
    form = form_of(decision.customer_id, links)
    return _Offer(message, plan, injection, decision.keep_html_days, links, form)


def html_sent(message: Message, plan: Plan, max_parts: int = 1000) -> str | None:
    """Return the HTML part of a message as it goes out, None where it has none that can be read."""
    sent = Message(
        tuple(_fields(message, plan)), splice(plan.body_to_edit(message.body), plan.edits), message.eol
    )
    parts = locate(sent, max_parts)
    if isinstance(parts, Leave):
        return None
    part = next((each for each in top_parts(parts) if each.content.type == "text/html"), None)
    view = transfer.view(sent.body[part.start : part.stop], part.encoding) if part else None
    if part is None or view is None:
        return None
    label = part.content.parameters.get("charset", "").strip().lower()
    reading = charset.read(view.data, label, html=True)
    if reading is not None and reading.codec:
        return reading.text.decode("utf-8", "replace")
    return view.data.decode(label if _CHARSETS.match(label) else "utf-8", "replace")


def _fields(message: Message, plan: Plan) -> Iterator[Field]:
    """Yield the header fields, with the encoding that the plan gives a body without parts."""
    new = next((each.value for each in plan.headers if each.name.lower() == _ENCODING), None)
    yield from (each for each in message.fields if new is None or each.name.lower() != _ENCODING)
    if new is not None:
        yield Field(_ENCODING, b" " + new.encode("ascii"))
