"""Tracking domains: entered, verified with what was seen and what was expected, removed."""

from typing import Final

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from engagement.access.users import Role
from engagement.tracking_domains.documents import DomainTakenError, TrackingDomains
from engagement.tracking_domains.model import domain_name
from tracker_web.domains.verify import Verdict, verify
from tracker_web.languages.translation import gettext
from tracker_web.pages import site
from tracker_web.pages.content.tables import listed

_LISTED: Final = ("domain", "secure", "default", "verified")


def blueprint() -> Blueprint:
    """Return the page `/domains`, and what its forms send to."""
    pages = Blueprint("domains", __name__, url_prefix="/domains")

    @pages.get("")
    def every() -> ResponseReturnValue:
        """Return the tracking domains."""
        return _page()

    @pages.post("")
    def add() -> ResponseReturnValue:
        """Add a tracking domain."""
        site.checked_form(Role.MANAGES)
        try:
            name = domain_name(request.form.get("domain", "").strip())
            _domains().add(name, secure="secure" in request.form)
        except ValueError:
            return _page(trouble=gettext("That is no domain name."), status=422)
        except DomainTakenError:
            return _page(trouble=gettext("That domain is there already."), status=409)
        return site.go_to(url_for("domains.every"))

    @pages.post("/verify")
    def check() -> ResponseReturnValue:
        """Check one, and show what was seen and what was expected."""
        site.checked_form(Role.MANAGES)
        found = _domains().get(request.form.get("domain", ""))
        if found is None:
            return site.go_to(url_for("domains.every"))
        verdict = verify(site.sources().settings, found.domain, secure=found.secure)
        _domains().checked(found, verdict.status, verified=verdict.verified)
        return _page(verdict=verdict, about=found.domain)

    @pages.post("/remove")
    def remove() -> ResponseReturnValue:
        """Remove one."""
        site.checked_form(Role.MANAGES)
        found = _domains().get(request.form.get("domain", ""))
        if found is not None:
            _domains().remove(found.domain)
        return site.go_to(url_for("domains.every"))

    return pages


def _domains() -> TrackingDomains:
    return TrackingDomains(site.registry(), site.tenant())


def _page(
    *, trouble: str = "", verdict: Verdict | None = None, about: str = "", status: int = 200
) -> ResponseReturnValue:
    found = list(_domains().all())
    rows = [{name: getattr(each, name) for name in _LISTED} for each in found]
    return site.page(
        "domains.html",
        (listed("tracking-domains", *rows, columns=_LISTED),),
        status=status,
        domains=found,
        trouble=trouble,
        verdict=verdict,
        about=about,
    )
