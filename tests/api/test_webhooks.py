"""Webhooks over the HTTP API, as SparkPost's clients ask for them (contract.md 8.2)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.api_site import ApiSite, make_api_site
from webhooks.sites import Endpoint, endpoint


@pytest.fixture
def site(tmp_path: Path) -> ApiSite:
    return make_api_site(tmp_path, 'webhooks { allow_targets = ("127.0.0.1") }')


@pytest.fixture
def hook() -> Iterator[Endpoint]:
    with endpoint() as made:
        yield made


def create(site: ApiSite, hook: Endpoint, **fields: Any) -> str:
    body = {"name": "shop", "target": hook.url, "events": ["click", "open"]} | fields
    answer = site.call("POST", "/webhooks", json=body)
    assert answer.status_code == 200, answer.json
    return str(answer.json["results"]["id"])


def test_a_webhook_from_its_making_to_its_end(site: ApiSite, hook: Endpoint) -> None:
    webhook = create(site, hook, subaccount_id=-1)
    (listed,) = site.get("/webhooks?timezone=UTC").json["results"]
    assert (listed["id"], listed["name"], listed["target"]) == (webhook, "shop", hook.url)
    one = site.get(f"/webhooks/{webhook}/").json["results"]
    assert one["events"] == ["click", "open"]
    changed = site.call("PUT", f"/webhooks/{webhook}", json={"active": False, "exception_subaccounts": []})
    assert changed.json["results"]["id"] == webhook
    assert site.get(f"/webhooks/{webhook}").json["results"]["active"] is False
    for path in ("batch-status?limit=10", "batches", "batches?state=failed"):
        assert site.get(f"/webhooks/{webhook}/{path}").json == {"results": []}
    replayed = site.call("POST", f"/webhooks/{webhook}/replay", json={"from": "2026-01-01T00:00"})
    assert replayed.json["results"]["count"] == 0
    gone = site.call("DELETE", f"/webhooks/{webhook}")
    assert (gone.status_code, gone.data, gone.content_type) == (204, b"", None)
    assert site.get(f"/webhooks/{webhook}").status_code == 404
    assert site.get("/webhooks").json == {"results": []}


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (None, [{"msys": {}}]),
        (b"[]", [{"msys": {}}]),
        (b'{"message": {"msys": {"a": {"type": "open"}}}}', [{"msys": {"a": {"type": "open"}}}]),
        (b'[{"msys": {}}]', [{"msys": {}}]),
    ],
)
def test_a_test_takes_what_clients_send(site: ApiSite, hook: Endpoint, body: bytes | None, sent: Any) -> None:
    webhook = create(site, hook)
    more: dict[str, Any] = {"data": body, "content_type": "application/json"} if body else {}
    answer = site.call("POST", f"/webhooks/{webhook}/validate", **more)
    assert answer.status_code == 200
    assert answer.json["results"]["msg"] == "Test POST to endpoint succeeded"
    assert answer.json["results"]["response"]["status"] == 200
    assert json.loads(hook.requests[-1].body) == sent


def test_a_target_that_fails_its_test_is_told_of_as_sparkpost_does(site: ApiSite, hook: Endpoint) -> None:
    hook.asks_ping, hook.answer = True, lambda path, body: (503, {"X-Why": "busy"}, b"later")
    body = {"name": "shop", "target": hook.url, "events": ["click"]}
    answer = site.call("POST", "/webhooks", json=body)
    assert answer.status_code == 400
    (error,) = answer.json["errors"]
    assert (error["code"], error["message"]) == ("400", "POST to webhook target URL failed")
    assert (error["response"]["status"], error["response"]["body"]) == (503, "later")
    assert error["response"]["headers"]["X-Why"] == "busy"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"name": None}, "name"),
        ({"events": "click"}, "events"),
        ({"target": "http://[::ffff:127.0.0.1]:1/"}, "target"),
        ({"custom_headers": {"X-A": "b\nc"}}, "custom_headers"),
        ({"auth_type": "oauth2"}, "auth_request_details"),
    ],
)
def test_what_is_wrong_is_named(site: ApiSite, hook: Endpoint, fields: dict[str, Any], param: str) -> None:
    body = {"name": "shop", "target": hook.url, "events": ["click"]} | fields
    answer = site.call("POST", "/webhooks", json=body)
    assert (answer.status_code, answer.json["errors"][0]["param"]) == (422, param)
    assert hook.requests == []


def test_a_name_that_leads_inside_is_refused_before_anything_is_sent(
    site: ApiSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **named: found)
    body = {"name": "shop", "target": "https://hook.example.com/", "events": ["click"]}
    answer = site.call("POST", "/webhooks", json=body)
    assert answer.status_code == 422
    assert "inside the network" in answer.json["errors"][0]["message"]


def test_another_tenants_webhooks_are_not_there(site: ApiSite, hook: Endpoint) -> None:
    north, south = site.key(tenant="north"), site.key(tenant="south")
    body = {"name": "shop", "target": hook.url, "events": ["click"]}
    webhook = site.call("POST", "/webhooks", north, json=body).json["results"]["id"]
    assert site.get("/webhooks", south).json == {"results": []}
    for method, path in (
        ("GET", ""),
        ("PUT", ""),
        ("DELETE", ""),
        ("POST", "/validate"),
        ("POST", "/replay"),
        ("GET", "/batches"),
        ("GET", "/batch-status"),
    ):
        answer = site.call(method, f"/webhooks/{webhook}{path}", south, json={"batch_ids": ["x"]})
        assert answer.status_code == 404, (method, path)
    assert len(hook.requests) == 1
    assert len(site.get("/webhooks", north).json["results"]) == 1


def test_documentation_and_samples_need_no_key(site: ApiSite) -> None:
    groups = site.get("/webhooks/events/documentation", "").json["results"]
    click = groups["track_event"]["events"]["click"]
    assert click["event"]["target_link_url"]["sampleValue"].startswith("https://")
    samples = site.get("/webhooks/events/samples?events=open,bounce", "").json["results"]
    assert [list(each["msys"]) for each in samples] == [["track_event"], ["message_event"]]
