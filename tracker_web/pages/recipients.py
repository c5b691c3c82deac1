"""One person: every event that names the address, and what can be done about it."""

from pathlib import Path

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from engagement.access.users import Role
from engagement.domain_names import spellings
from engagement.erasures import reader_requests
from engagement.erasures.requests import ErasureRequests
from engagement.objections import ObjectionsError, add
from tracker_web.languages.translation import gettext
from tracker_web.pages import site
from tracker_web.pages.content.timeline import line
from tracker_web.pages.messages import events_table

_PAGE = 200
_LONGEST = 320  # characters


def blueprint() -> Blueprint:
    """Return the page `/recipients`, and what its forms send to."""
    pages = Blueprint("recipients", __name__, url_prefix="/recipients")

    @pages.get("")
    def search() -> ResponseReturnValue:
        """Return one recipient's events, newest first. Query parameters: address, done."""
        site.only_with_recipients()
        return _page(_address(request.args))

    @pages.get("/erase")
    def ask() -> ResponseReturnValue:
        """Ask whether to erase, and show what would go."""
        site.only(Role.ADMINISTERS)
        address = _address(request.args)
        found = site.events(recipients=spellings(address), expired=True, limit=_PAGE) if address else []
        return site.page("erase.html", address=address, count=len(found), more=len(found) == _PAGE)

    @pages.post("/erase")
    def erase() -> ResponseReturnValue:
        """Ask the shipper to erase every event of messages to an address."""
        site.checked_form(Role.ADMINISTERS)
        address = _address(request.form)
        if address:
            ErasureRequests(site.registry()).ask([address], site.tenant())
            reader_requests.settle(site.registry(), address, site.tenant(), "ERASE")
        return site.go_to(url_for("recipients.search", address=address, done="erase"))

    @pages.post("/object")
    def object_() -> ResponseReturnValue:
        """Put an address on the list of objections."""
        site.checked_form(Role.ADMINISTERS)
        address = _address(request.form)
        listed = site.sources().settings.privacy.objections
        if not listed:
            none = gettext("There is no list of objections: name one in privacy { objections }.")
            return _page(address, none, 422)
        try:
            add(Path(listed), [address])
        except (ObjectionsError, ValueError) as error:
            return _page(address, str(error), 422)
        reader_requests.settle(site.registry(), address, site.tenant(), "OBJECT")
        return site.go_to(url_for("recipients.search", address=address, done="object"))

    @pages.post("/asked")
    def settle() -> ResponseReturnValue:
        """Take a reader's wish off the list: it was seen to, or cannot be theirs."""
        site.checked_form(Role.ADMINISTERS)
        what = request.form.get("what", "")
        reader_requests.settle(site.registry(), request.form.get("recipient", ""), site.tenant(), what)
        return site.go_to(url_for("recipients.search"))

    return pages


def _address(given: "dict[str, str]") -> str:
    text = given.get("address", "").strip()
    return text if "@" in text and text.isprintable() and len(text) <= _LONGEST else ""


def _page(address: str, trouble: str = "", status: int = 200) -> ResponseReturnValue:
    found = site.events(recipients=spellings(address), expired=True, limit=_PAGE) if address else []
    wishes = reader_requests.waiting(site.registry(), site.tenant()) if site.may(Role.ADMINISTERS) else []
    return site.page(
        "recipient.html",
        (events_table(found),),
        status=status,
        address=address,
        lines=[line(fields) for fields in found],
        more=len(found) == _PAGE,
        wishes=[each for each in wishes if not address or each.recipient.lower() == address.lower()],
        done=request.args.get("done", ""),
        trouble=trouble,
        objections=bool(site.sources().settings.privacy.objections),
    )
