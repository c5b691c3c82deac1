"""Every call with every scope, without one, and for another tenant; and the table of docs/api.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from api.api_site import BASE, ApiSite, make_api_site
from contract.store_samples import SampleRows
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


def _pattern(path: str) -> re.Pattern[str]:
    """What a path of the document matches: an address may have slashes in it, any other name has none."""
    wide = {"{recipient}": ".+", "{address}": ".+"}
    parts = re.split(r"({.*?})", path)
    return re.compile(
        "".join(wide.get(part, "[^/]+") if part.startswith("{") else re.escape(part) for part in parts)
    )


def _path(path: str) -> str:
    """A path of the document with something in the place of each parameter."""
    return re.sub(r"\{[^}]*\}", "x", path).removeprefix(BASE)


def test_page_lists_every_call_with_its_scope(calls: dict[tuple[str, str], str]) -> None:
    listed = {
        (method, path): "" if scope == "none" else scope.strip("`")
        for method, path, scope in re.findall(r"^\| `([A-Z]+) (/api/v1/\S+)` \| (\S+) \|", PAGE, re.MULTILINE)
    }
    assert listed == calls


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


def test_no_call_shows_a_tenant_what_is_anothers(tmp_path: Path) -> None:
    """North's mail, domain and requests are there; a key of south with every scope finds no trace of them."""
    site = make_api_site(tmp_path)
    north, south = site.key(tenant="north"), site.key(tenant="south")
    sample = SampleRows()
    row, *_ = sample.hit(recipient="marker@north.example", campaign="marker-campaign", tenant="north")
    site.add([row])
    domain = {"domain": "marker.north.example"}
    assert site.call("POST", "/tracking-domains", north, json=domain).status_code == 200
    erasure = site.call("DELETE", "/x/recipients/marker@north.example", north).json["results"]["id"]
    fill = {
        "{name}": {"tracking-domains": domain["domain"], "messages": row.message_id, "erasures": erasure},
        "{recipient}": {"recipients": "marker@north.example"},
        "{address}": {"suppression-list": "marker@north.example"},
    }
    times = "from=2026-10-26T00:00:00Z&to=2026-10-28T00:00:00Z&metrics=count_clicked"
    seen = dict.fromkeys(("north", "south"), 0)
    for path, operations in site.get("/openapi.json").json["paths"].items():
        if "get" not in operations or "documentation" in path or "samples" in path:
            continue
        for parameter, values in fill.items():
            for topic, value in values.items():
                if topic in path:
                    path = path.replace(parameter, value)
        url = f"{_path(path)}?{times}"
        for name, key in (("north", north), ("south", south)):
            answer = site.get(url, key)
            shown = "marker" in answer.get_data(as_text=True) and answer.status_code == 200
            seen[name] += shown
            assert not (shown and name == "south"), url
    assert seen["north"] >= 6, "the calls show it to whom it belongs"


def test_every_other_method_of_every_path_is_405_and_names_those_there_are(
    site: ApiSite, calls: dict[tuple[str, str], str]
) -> None:
    """Whoever asks, with a key or without."""
    wrong = []
    for path in {path for _, path in calls}:
        address = BASE + _path(path)
        there = {method for method, other in calls if _pattern(other).fullmatch(address)}
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - there:
            answer = site.call(method, _path(path), "")
            allowed = set(answer.headers.get("Allow", "").split(", ")) - {"HEAD", "OPTIONS"}
            if answer.status_code != 405 or allowed != there or answer.content_type != "application/json":
                wrong.append((method, path, answer.status_code, allowed))
    assert wrong == []
