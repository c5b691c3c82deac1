"""Webhooks: their health, their batches, a test, a pause, and what they missed sent again."""

from typing import Any, Final

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from engagement.access.users import Role
from engagement.events.fields import ALL_TYPES
from engagement.webhooks.documents import Documents
from engagement.webhooks.sending.build import sender_of
from engagement.webhooks.service import WebhookError, WebhookService
from tracker_web.languages.translation import N_, gettext, ngettext
from tracker_web.pages import site
from tracker_web.pages.content.refusals import refusal
from tracker_web.pages.content.tables import TEXT, Column, Row, Table, listed

_BATCHES = 100
_COLUMNS = tuple(
    Column(name, title, TEXT)
    for name, title in (
        *(("ts", N_("Made (UTC)")), ("batch_id", N_("Batch")), ("events", N_("Events"))),
        *(("state", N_("State")), ("attempts", N_("Failed tries"))),
        *(("response_code", N_("Answer")), ("failure_code", N_("Failure"))),
    )
)
_LISTED: Final = (
    "id",
    "name",
    "target",
    "events",
    "active",
    "x_paused",
    "x_failing_since",
    "last_successful",
)


def blueprint() -> Blueprint:
    """Return the pages `/webhooks` and `/webhooks/ID`, and what their forms send to."""
    pages = Blueprint("webhooks", __name__, url_prefix="/webhooks")

    @pages.get("")
    def every() -> ResponseReturnValue:
        """Return the webhooks."""
        return _page()

    @pages.post("")
    def add() -> ResponseReturnValue:
        """Add a webhook, once its target has answered a test."""
        site.checked_form(Role.MANAGES)
        data = {
            "name": request.form.get("name", "").strip(),
            "target": request.form.get("target", "").strip(),
            "events": request.form.getlist("events") or list(ALL_TYPES),
        }
        try:
            _service().create(data, site.tenant())
        except WebhookError as error:
            return _page(trouble=refusal(error), status=422)
        return site.go_to(url_for("webhooks.every"))

    @pages.get("/<webhook>")
    def one(webhook: str) -> ResponseReturnValue:
        """Return one webhook and its batches, newest first. Query parameter: state."""
        return _one(webhook)

    @pages.post("/<webhook>/<action>")
    def act(webhook: str, action: str) -> ResponseReturnValue:
        """Test, pause, resume or remove a webhook, or send batches of it again."""
        site.checked_form(Role.MANAGES)
        here = site.tenant()
        try:
            if action == "test":
                answer = _service().validate(webhook, None, here)
                return _one(webhook, done=_tested(answer))
            if action == "pause":
                _service().pause(webhook, here)
            elif action == "resume":
                _service().resume(webhook, here)
            elif action == "replay":
                count = _service().replay(webhook, {"batch_ids": request.form.getlist("batch")}, here)[
                    "count"
                ]
                return _one(webhook, done=_again(count))
            elif action == "remove":
                _service().delete(webhook, here)
                return site.go_to(url_for("webhooks.every"))
        except WebhookError as error:
            return _one(webhook, trouble=refusal(error), status=422)
        return site.go_to(url_for("webhooks.one", webhook=webhook))

    return pages


def _tested(answer: dict[str, Any]) -> str:
    status = answer["response"]["status"]
    return gettext("The target took the test: it answered with status %(status)s.", status=status)


def _again(count: int) -> str:
    return ngettext("%(num)s batch will be sent again.", "%(num)s batches will be sent again.", count)


def _service() -> WebhookService:
    sources = site.sources()
    return WebhookService(
        Documents(sources.registry()),
        sender_of(sources.settings),
        lambda: sources.store().arrivals("").mark,
        sources.settings.webhooks.allow_targets,
    )


def _page(*, trouble: str = "", status: int = 200) -> ResponseReturnValue:
    found = _service().listed(site.tenant())
    rows = [{**each, "events": len(each["events"])} for each in found]
    table = listed("webhooks", *rows, columns=_LISTED)
    return site.page(
        "webhooks.html", (table,), status=status, webhooks=found, types=ALL_TYPES, trouble=trouble
    )


def _one(webhook: str, *, done: str = "", trouble: str = "", status: int = 200) -> ResponseReturnValue:
    try:
        shown = _service().detail(webhook, site.tenant())
        state = request.args.get("state", "")
        batches = _service().batches(webhook, state, _BATCHES, site.tenant())
    except WebhookError as error:
        return site.page("empty.html", title=gettext("No such webhook"), text=refusal(error), status=404)
    names = [column.name for column in _COLUMNS]
    rows = tuple(Row({name: str(each.get(name, "")) for name in names}) for each in batches)
    return site.page(
        "webhook.html",
        (Table("batches", _COLUMNS, rows),),
        status=status,
        webhook=shown,
        batches=batches,
        done=done,
        trouble=trouble,
    )
