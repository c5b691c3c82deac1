"""What the API and the command line do with webhooks, as SparkPost's clients know it (contract.md 8.2)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engagement.webhooks.service import WebhookError
from webhooks.sites import Endpoint, Site, endpoint, site


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made


@pytest.fixture
def hook() -> Iterator[Endpoint]:
    with endpoint() as made:
        yield made


def refused(here: Site, hook: Endpoint, **fields: Any) -> WebhookError:
    with pytest.raises(WebhookError) as found:
        here.service.create({"name": "n", "target": hook.url, "events": ["click"]} | fields)
    return found.value


def test_a_webhook_is_made_once_its_target_has_answered_an_empty_ping(here: Site, hook: Endpoint) -> None:
    made = here.service.create({"name": "n", "target": hook.url, "events": ["click"], "unknown": 1})
    (ping,) = hook.requests
    assert json.loads(ping.body) == [{"msys": {}}]
    assert made["links"][0] == {
        "href": f"/api/v1/webhooks/{made['id']}",
        "rel": "urn.msys.webhooks.webhook",
        "method": ["GET", "PUT"],
    }
    (listed,) = here.service.listed()
    assert (listed["id"], listed["name"], listed["active"]) == (made["id"], "n", True)
    assert listed["auth_type"] == "none"
    assert "last_successful" not in listed
    detail = here.service.detail(made["id"])
    assert [link["rel"] for link in detail["links"]] == [
        "urn.msys.webhooks.validate",
        "urn.msys.webhooks.batches",
    ]


@pytest.mark.parametrize("status", [201, 204, 302, 404, 500])
def test_a_test_that_is_not_answered_with_200_makes_nothing(here: Site, hook: Endpoint, status: int) -> None:
    hook.asks_ping, hook.answer = (
        True,
        lambda path, body: (status, {"X-Why": "no"}, b"" if status == 204 else b"no"),
    )
    error = refused(here, hook)
    assert error.status == 400
    assert error.errors[0]["message"] == "POST to webhook target URL failed"
    assert error.errors[0]["response"]["status"] == status
    assert error.errors[0]["response"]["headers"]["X-Why"] == "no"
    assert here.service.listed() == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": None}, "'name' is required"),
        ({"target": ""}, "'target' is required"),
        ({"events": []}, "'events' is required"),
        ({"events": "click"}, "'events' must be an array of strings"),
        ({"events": ["clicks"]}, "'events' has no type 'clicks'"),
        ({"active": "yes"}, "'active' must be a boolean"),
        ({"name": "x" * 300}, "'name' must be a string"),
        ({"target": "https://10.0.0.1/"}, "inside the network"),
        ({"target": 7}, "'target' must be a string"),
        ({"auth_type": "digest"}, "'auth_type' must be one of"),
        ({"auth_type": "basic"}, "'auth_credentials.username' is required"),
        ({"auth_type": "oauth2"}, "'auth_request_details.url' is required"),
        (
            {"auth_type": "oauth2", "auth_request_details": {"url": "http://10.0.0.1/", "body": {}}},
            "inside the network",
        ),
        ({"auth_token": "a\r\nb"}, "'auth_token' must be"),
        ({"custom_headers": {f"X-{n}": "1" for n in range(6)}}, "at most 5"),
        ({"custom_headers": {"X-A": "x" * 3000}}, "below 3000 bytes"),
        ({"custom_headers": {"X A": "1"}}, "illegal name"),
        ({"custom_headers": {"X-A": "1\r\nX-B: 2"}}, "without controls"),
        ({"custom_headers": {"X-A": "ü"}}, "without controls"),
        ({"custom_headers": {"Content-Type": "text/html"}}, "set here"),
        ({"custom_headers": {"X-MessageSystems-Batch-ID": "1"}}, "set here"),
        ({"custom_headers": {"webhook-id": "1"}}, "set here"),
        (
            {
                "custom_headers": {"Authorization": "x"},
                "auth_type": "basic",
                "auth_credentials": {"username": "u", "password": "p"},
            },
            "Authorization",
        ),
        ({"exception_subaccounts": [1, 1]}, "different integers"),
        ({"exception_subaccounts": list(range(11))}, "1 to 10"),
        ({"x_signing_secrets": ["whsec_short"]}, "'x_signing_secrets'"),
    ],
)
def test_each_field_is_checked_and_nothing_is_sent(
    here: Site, hook: Endpoint, fields: dict[str, Any], message: str
) -> None:
    error = refused(here, hook, **fields)
    assert error.status == 422
    assert message in error.errors[0]["message"]
    assert hook.requests == []


def test_names_of_momentum_that_never_come_are_taken(here: Site, hook: Endpoint) -> None:
    here.create(hook.url, events=["click", "relay_message", "sms_status", "generation_failure"])


def test_basic_authentication_and_the_old_token_are_sent(here: Site, hook: Endpoint) -> None:
    here.create(
        hook.url,
        auth_type="basic",
        auth_credentials={"username": "ida", "password": "pässword"},
        auth_token="tok",
        custom_headers={"X-Site": "a", "X-Number": 7},
    )
    (ping,) = hook.requests
    assert ping.headers["Authorization"] == "Basic aWRhOnDDpHNzd29yZA=="
    assert ping.headers["X-MessageSystems-Webhook-Token"] == "tok"
    assert (ping.headers["X-Site"], ping.headers["X-Number"]) == ("a", "7")


def test_secrets_are_masked_and_the_mask_sent_back_changes_nothing(here: Site, hook: Endpoint) -> None:
    webhook = here.create(
        hook.url, auth_type="basic", auth_credentials={"username": "ida", "password": "pw"}, auth_token="tok"
    )
    detail = here.service.detail(webhook)
    assert detail["auth_credentials"] == {"username": "ida", "password": "********"}
    assert "pw" not in json.dumps(detail)
    here.service.update(webhook, {**detail, "name": "other"})
    here.service.validate(webhook)
    assert hook.requests[-1].headers["Authorization"] == hook.requests[0].headers["Authorization"]
    assert here.service.detail(webhook)["name"] == "other"


def test_a_new_target_that_fails_its_test_changes_nothing(here: Site, hook: Endpoint) -> None:
    webhook = here.create(hook.url)
    other = endpoint(answer=lambda path, body: (500, {}, b""), asks_ping=True)
    with other as dead, pytest.raises(WebhookError) as found:
        here.service.update(webhook, {"target": dead.url, "name": "other"})
    assert found.value.status == 400
    assert here.service.detail(webhook)["target"] == hook.url
    assert here.service.detail(webhook)["name"] == "test"


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (None, [{"msys": {}}]),
        ([], [{"msys": {}}]),
        ({}, [{"msys": {}}]),
        (
            {"message": {"msys": {"track_event": {"type": "open"}}}},
            [{"msys": {"track_event": {"type": "open"}}}],
        ),
        ([{"msys": {}}, {"msys": {}}], [{"msys": {}}, {"msys": {}}]),
    ],
)
def test_a_test_takes_each_form_that_clients_send(here: Site, hook: Endpoint, body: Any, sent: Any) -> None:
    webhook = here.create(hook.url)
    result = here.service.validate(webhook, body)
    assert json.loads(hook.requests[-1].body) == sent
    assert result["msg"] == "Test POST to endpoint succeeded"
    assert result["response"]["status"] == 200
    assert result["response"]["body"] == "OK"


def test_what_is_not_there_is_404_and_so_is_what_another_tenant_has(here: Site, hook: Endpoint) -> None:
    made = here.service.create({"name": "n", "target": hook.url, "events": ["click"]}, tenant="north")
    for call in (here.service.detail, here.service.delete, here.service.batch_status):
        with pytest.raises(WebhookError) as found:
            call("00000000-0000-0000-0000-000000000000")
        assert found.value.status == 404
    with pytest.raises(WebhookError) as found:
        here.service.detail(made["id"], tenant="south")
    assert found.value.status == 404
    assert here.service.listed(tenant="south") == []
    assert len(here.service.listed(tenant="north")) == len(here.service.listed()) == 1


def test_a_webhook_that_was_removed_is_gone(here: Site, hook: Endpoint) -> None:
    webhook = here.create(hook.url)
    here.service.delete(webhook)
    assert here.service.listed() == []
    with pytest.raises(WebhookError):
        here.service.delete(webhook)


def test_a_token_is_fetched_kept_and_fetched_anew_when_it_is_refused(here: Site, hook: Endpoint) -> None:
    tokens = iter(["first", "second"])
    requests: list[bytes] = []

    def answer(path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if path == "/token":
            requests.append(body)
            return 200, {}, json.dumps({"access_token": next(tokens), "expires_in": 3600}).encode()
        return 200, {}, b"OK"

    hook.answer = answer
    details = {
        "url": f"http://127.0.0.1:{hook.port}/token",
        "body": {"client_id": "me", "client_secret": "s&t"},
    }
    webhook = here.create(hook.url, auth_type="oauth2", auth_request_details=details)
    assert requests == [b"client_id=me&client_secret=s%26t"]
    here.service.validate(webhook)
    assert len(requests) == 1
    assert here.service.detail(webhook)["auth_request_details"]["body"]["client_secret"] == "********"
    hook.asks_ping = True
    refusals = iter([401])
    hook.answer = lambda path, body: (
        answer(path, body) if path == "/token" else (next(refusals, 200), {}, b"")
    )
    here.service.validate(webhook)
    assert [each.headers["Authorization"] for each in hook.requests if each.path != "/token"] == [
        "Bearer first",
        "Bearer first",
        "Bearer first",
        "Bearer second",
    ]


def test_a_token_server_that_gives_none_is_said_to(here: Site, hook: Endpoint) -> None:
    hook.answer = lambda path, body: (401, {}, b'{"error":"invalid_client"}')
    details = {"url": f"http://127.0.0.1:{hook.port}/token", "body": {"client_id": "me"}}
    error = refused(here, hook, auth_type="oauth2", auth_request_details=details)
    assert (error.status, error.errors[0]["message"]) == (400, "POST to webhook tokens URL failed")
    assert error.errors[0]["response"]["status"] == 401


def test_a_timezone_is_honoured_and_an_unknown_one_refused(here: Site, hook: Endpoint) -> None:
    webhook = here.create(hook.url)
    from dataclasses import replace

    here.documents.change_state(webhook, lambda state: replace(state, last_successful_ms=1_793_001_722_000))
    assert here.service.detail(webhook)["last_successful"] == "2026-10-26 08:02:02"
    shown = here.service.detail(webhook, timezone="America/New_York")
    assert shown["last_successful"] == "2026-10-26 04:02:02"
    for zone in ("Nowhere/Here", "../etc/passwd", ""):
        with pytest.raises(WebhookError):
            here.service.detail(webhook, timezone=zone)


@pytest.mark.parametrize(
    "body",
    [{}, {"batch_ids": "x"}, {"from": "yesterday"}, {"from": "2026-11-01", "batch_ids": ["x"]}],
)
def test_a_replay_says_what_it_wants(here: Site, hook: Endpoint, body: dict[str, Any]) -> None:
    webhook = here.create(hook.url)
    with pytest.raises(WebhookError) as found:
        here.service.replay(webhook, body)
    assert found.value.status == 422
