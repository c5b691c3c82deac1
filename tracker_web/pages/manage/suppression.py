"""The suppression list: searched, added to, taken from."""

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from engagement.access.users import Role
from engagement.suppression import book
from engagement.suppression.model import BadEntryError, Entry, MailKind, Source
from tracker_web.languages.translation import N_, gettext
from tracker_web.pages import site
from tracker_web.pages.content.refusals import refusal
from tracker_web.pages.content.tables import TEXT, Column, Row, Table

_PAGE = 100
_COLUMNS = tuple(
    Column(name, title, TEXT)
    for name, title in (
        *(("recipient", N_("Recipient")), ("type", N_("Mail")), ("source", N_("Source"))),
        *(("description", N_("Description")), ("list_id", N_("List"))),
    )
)


def blueprint() -> Blueprint:
    """Return the page `/suppression`, and what its forms send to."""
    pages = Blueprint("suppression", __name__, url_prefix="/suppression")

    @pages.get("")
    def every() -> ResponseReturnValue:
        """Return entries. Query parameters: q (an address, or a domain), source, cursor."""
        return _page()

    @pages.post("")
    def add() -> ResponseReturnValue:
        """Add an entry for each kind of mail that is ticked."""
        site.checked_form(Role.MANAGES)
        site.only_with_recipients()
        recipient = request.form.get("recipient", "").strip()
        kinds = [MailKind(kind) for kind in request.form.getlist("type") if kind in set(MailKind)]
        if not kinds:
            return _page(trouble=gettext("Tick the kind of mail that is to be stopped."), status=422)
        try:
            for kind in kinds:
                text = request.form.get("description", "").strip()
                entry = Entry(recipient, kind, Source.MANUALLY_ADDED, text, tenant=site.tenant())
                book.add(site.registry(), entry)
        except (BadEntryError, book.ComplianceError) as error:
            return _page(trouble=refusal(error), status=422)
        return site.go_to(url_for("suppression.every", q=recipient))

    @pages.post("/remove")
    def remove() -> ResponseReturnValue:
        """Remove one entry."""
        site.checked_form(Role.MANAGES)
        site.only_with_recipients()
        recipient, kind = request.form.get("recipient", ""), request.form.get("type", "")
        try:
            if kind in set(MailKind):
                book.remove(
                    site.registry(),
                    recipient,
                    types=(MailKind(kind),),
                    list_id=request.form.get("list_id", ""),
                    tenant=site.tenant(),
                )
        except book.ComplianceError as error:
            return _page(trouble=refusal(error), status=422)
        return site.go_to(url_for("suppression.every", q=recipient))

    return pages


def _found(searched: str, source: str, cursor: str) -> book.Found:
    if "@" in searched:
        return book.Found(book.get(site.registry(), searched, site.tenant()), "")
    sources = frozenset({Source(source)} if source in set(Source) else ())
    search = book.Search(site.tenant(), sources=sources, domain=searched)
    return book.find(site.registry(), search, cursor, _PAGE)


def _page(*, trouble: str = "", status: int = 200) -> ResponseReturnValue:
    site.only_with_recipients()
    searched, source = request.args.get("q", "").strip(), request.args.get("source", "")
    found = _found(searched, source, request.args.get("cursor", ""))
    rows = tuple(
        Row({column.name: str(getattr(each, column.name)) for column in _COLUMNS}) for each in found.entries
    )
    more = {"q": searched, "source": source, "cursor": found.cursor}
    return site.page(
        "suppression.html",
        (Table("suppression", _COLUMNS, rows),),
        status=status,
        entries=found.entries,
        searched=searched,
        source=source,
        sources=list(Source),
        kinds=list(MailKind),
        following=site.link_to(url_for("suppression.every"), more) if found.cursor else "",
        trouble=trouble,
    )
