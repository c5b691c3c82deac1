"""Every call with every scope, without one, and for another tenant; and the table of docs/api.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from api.api_site import BASE, ApiSite, make_api_site
from engagement.access.scopes import EVERY

PAGE = (Path(__file__).parents[2] / "docs/api.md").read_text("utf-8")
METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> ApiSite:
    return make_api_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def calls(site: ApiSite) -> dict[tuple[str, str], str]:
    """The scope of each call, "" for none, by method and path."""
    return {
        (method.upper(), path): _scope(operations[method])
        for path, operations in site.get("/openapi.json").json["paths"].items()
        for method in METHODS
        if method in operations
    }


def _scope(operation: dict[str, Any]) -> str:
    (scope,) = [scope for each in operation["security"] for scope in each["key"]] or [""]
    return str(scope)


def _path(path: str) -> str:
    """A path of the document with something in the place of each parameter."""
    return re.sub(r"\{[^}]*\}", "x", path).removeprefix(BASE)


def test_page_lists_every_call_with_its_scope(calls: dict[tuple[str, str], str]) -> None:
    told = {
        (method, path): "" if scope == "none" else scope.strip("`")
        for method, path, scope in re.findall(r"^\| `([A-Z]+) (/api/v1/\S+)` \| (\S+) \|", PAGE, re.MULTILINE)
    }
    assert told == calls


def test_every_rule_is_in_the_document_and_names_a_scope(
    site: ApiSite, calls: dict[tuple[str, str], str]
) -> None:
    """A view that is added past the blueprints would answer nobody, and nobody would read of it."""
    rules = {
        (method, re.sub(r"<(?:[^:>]*:)?([^>]*)>", r"{\1}", rule.rule))
        for rule in site.client.application.url_map.iter_rules()
        for method in rule.methods or ()
        if rule.rule.startswith("/api/") and method not in ("HEAD", "OPTIONS")
    }
    assert rules == set(calls)


def test_each_call_with_each_scope(site: ApiSite, calls: dict[tuple[str, str], str]) -> None:
    """A key with any other scope is refused, and one with the scope alone is not."""
    keys = {scope: site.key(scope) for scope in EVERY}
    wrong = []
    for (method, path), needed in calls.items():
        for scope, key in keys.items():
            status = site.call(method, _path(path), key, json={}).status_code
            refused = status in (401, 403) and needed != scope
            if refused != (needed not in ("", scope)):
                wrong.append((method, path, scope, status))
    assert wrong == []


def test_each_call_without_a_key_and_with_a_wrong_one(
    site: ApiSite, calls: dict[tuple[str, str], str]
) -> None:
    revoked = site.key()
    for known in list(site.keys.all()):
        site.keys.revoke(known.name)
    wrong = []
    for (method, path), needed in calls.items():
        for key in ("", revoked, "smtpapi_" + "x" * 43):
            answer = site.call(method, _path(path), key, json={})
            expected = (200,) if not needed else (401, 429) if key else (401,)
            if answer.status_code not in expected:
                wrong.append((method, path, key, answer.status_code))
            if needed:
                assert set(answer.json) == {"errors"}
                assert answer.content_type == "application/json"
    assert wrong == []
