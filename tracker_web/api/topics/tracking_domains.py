"""Tracking domains: entered, verified, made the default, removed (contract.md 8.6)."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, NoReturn

from marshmallow import validate

from engagement.tracking_domains.documents import DomainTakenError, TrackingDomains
from engagement.tracking_domains.model import TrackingDomain, domain_name
from tracker_web.api.access import needs, the_key
from tracker_web.api.blueprint import ApiBlueprint
from tracker_web.api.errors import fail
from tracker_web.api.parsing import Body, Parameters, Switch, Text
from tracker_web.domains.verify import Verdict, verify
from tracker_web.web.sources import Sources

_RESULTS: Final = {"type": "object", "required": ["results"], "properties": {"results": {}}}
_INVALID: Final = "domain must be valid"


class _New(Body):
    """A new tracking domain."""

    domain = Text(required=True, validate=validate.Length(1, 300), metadata={"description": "its name"})
    secure = Switch(load_default=False, metadata={"description": "whether links begin with https"})


class _Changes(Body):
    """What may change of one."""

    secure = Switch(metadata={"description": "whether links begin with https"})
    default = Switch(metadata={"description": "whether it is used where none is named"})


class _Which(Parameters):
    """Which ones."""

    default = Switch(metadata={"description": "only the default one, or only the others"})


def blueprint(sources: Sources, check: Callable[..., Verdict] = verify) -> ApiBlueprint:
    """Return the calls for tracking domains. check: verifies one, as `verify` does."""
    topic = ApiBlueprint("tracking-domains", "Names under which tracked links lead here.")

    def domains() -> TrackingDomains:
        return TrackingDomains(sources.registry(), the_key().tenant)

    def known(text: str) -> TrackingDomain:
        """Return a domain by its name in the path. Raises ApiError."""
        try:
            name = domain_name(text)
        except ValueError:
            fail(HTTPStatus.BAD_REQUEST, _INVALID, param="domain")
        return domains().get(name) or _unknown()

    @topic.get("/tracking-domains")
    @needs("tracking-domains/view")
    @topic.arguments(_Which, location="query")
    @topic.response(HTTPStatus.OK, _RESULTS)
    def every(arguments: dict[str, Any]) -> Any:
        """Return the tracking domains."""
        default = arguments.get("default")
        return {"results": [_shown(each) for each in domains().all() if default in (None, each.default)]}

    @topic.post("/tracking-domains")
    @needs("tracking-domains/modify")
    @topic.arguments(_New)
    @topic.response(HTTPStatus.OK, _RESULTS)
    @topic.alt_response(HTTPStatus.CONFLICT, HTTPStatus.CONFLICT.name)
    def add(arguments: dict[str, Any]) -> Any:
        """Add a tracking domain. It is used once it is verified."""
        try:
            name = domain_name(arguments["domain"])
            domains().add(name, secure=arguments["secure"])
        except ValueError:
            fail(HTTPStatus.UNPROCESSABLE_ENTITY, _INVALID, param="domain")
        except DomainTakenError:
            fail(HTTPStatus.CONFLICT, "The tracking domain already exists", param="domain")
        return {"results": {"domain": name}}

    @topic.get("/tracking-domains/<name>")
    @needs("tracking-domains/view")
    @topic.response(HTTPStatus.OK, _RESULTS)
    @topic.alt_response(HTTPStatus.BAD_REQUEST, HTTPStatus.BAD_REQUEST.name)
    @topic.alt_response(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND.name)
    def one(name: str) -> Any:
        """Return one tracking domain."""
        return {"results": _shown(known(name))}

    @topic.put("/tracking-domains/<name>")
    @needs("tracking-domains/modify")
    @topic.arguments(_Changes)
    @topic.response(HTTPStatus.OK, _RESULTS)
    @topic.alt_response(HTTPStatus.BAD_REQUEST, HTTPStatus.BAD_REQUEST.name)
    @topic.alt_response(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND.name)
    def change(arguments: dict[str, Any], name: str) -> Any:
        """Change a tracking domain. Only a verified one can be the default, of which there is one."""
        domain = known(name)
        if arguments.get("default") and not domain.verified:
            fail(HTTPStatus.UNPROCESSABLE_ENTITY, f"Tracking domain '{domain.domain}' unverified.")
        domains().change(domain, **arguments)
        return {"results": {"domain": domain.domain}}

    @topic.delete("/tracking-domains/<name>")
    @needs("tracking-domains/modify")
    @topic.response(HTTPStatus.NO_CONTENT)
    @topic.alt_response(HTTPStatus.BAD_REQUEST, HTTPStatus.BAD_REQUEST.name)
    @topic.alt_response(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND.name)
    def remove(name: str) -> Any:
        """Remove a tracking domain. Links already sent are answered under it as long as it leads here."""
        domains().remove(known(name).domain)
        return None

    @topic.post("/tracking-domains/<name>/verify")
    @needs("tracking-domains/modify")
    @topic.response(HTTPStatus.OK, _RESULTS)
    @topic.alt_response(HTTPStatus.BAD_REQUEST, HTTPStatus.BAD_REQUEST.name)
    @topic.alt_response(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND.name)
    def prove(name: str) -> Any:
        """Check a tracking domain: its DNS record, and that this installation answers under it.

        The answer says what was seen, what was expected, and which resolver was asked.
        """
        domain = known(name)
        verdict = check(sources.settings, domain.domain, secure=domain.secure)
        domains().checked(domain, verdict.status, verified=verdict.verified)
        if verdict.http:
            scheme = "https" if domain.secure else "http"
            more = "" if not domain.secure else " and that your SSL certificate is valid"
            fail(
                HTTPStatus.BAD_REQUEST,
                f"HTTP request to {scheme}://{domain.domain}:{domain.port} failed. Please verify that your "
                f"redirect is functioning{more}.",
                description=verdict.http,
                **_evidence(verdict),
            )
        return {
            "results": {
                "verified": verdict.verified,
                "cname_status": verdict.status,
                "compliance_status": "valid",
                **_evidence(verdict),
            }
        }

    return topic


def _unknown() -> NoReturn:
    fail(HTTPStatus.NOT_FOUND, "resource not found")


def _shown(domain: TrackingDomain) -> dict[str, Any]:
    return {
        "domain": domain.domain,
        "port": domain.port,
        "secure": domain.secure,
        "default": domain.default,
        "status": {
            "verified": domain.verified,
            "cname_status": domain.status,
            "compliance_status": "valid" if domain.verified else "pending",
            "tls_status": "valid" if domain.secure and domain.verified else "unknown",
        },
        "uses_managed_certificate": False,
    }


def _evidence(verdict: Verdict) -> Mapping[str, Any]:
    seen: dict[str, Any] = {"cname": verdict.seen.cname, "addresses": list(verdict.seen.addresses)}
    if verdict.seen.error:
        seen["error"] = verdict.seen.error
    expected = {"cname": list(verdict.names), "addresses": list(verdict.addresses)}
    return {"x_seen": seen, "x_expected": expected, "x_resolvers": list(verdict.resolvers)}
