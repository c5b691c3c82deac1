"""What the API refuses, in which order, and in what words; and what it does while the store is slow."""

from __future__ import annotations

import io
import logging
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.api_site import BASE, ApiSite, make_api_site
from tracker_web.api.errors import ApiError
from tracker_web.api.gate import Gate
from tracker_web.api.parsing import read_json
from tracker_web.web.failures import Failures

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

DOMAIN = {"domain": "a.b.example"}


@pytest.fixture
def site(tmp_path: Path) -> ApiSite:
    return make_api_site(tmp_path)


def refused(answer: Any, status: int) -> dict[str, Any]:
    """The one error of an answer, which is JSON whatever it is."""
    assert answer.status_code == status, answer.get_data(as_text=True)
    assert answer.content_type == "application/json"
    (error,) = answer.json["errors"]
    assert error["message"]
    found: dict[str, Any] = error
    return found


class Unread(io.BytesIO):
    """A body that must not be read."""

    def read(self, *_: Any) -> bytes:
        raise AssertionError("the body was read")

    readline = readinto = read  # type: ignore[assignment] # none of them may be called


MEDIA = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/json",
    "",
]


@pytest.mark.parametrize("media", MEDIA)
def test_media_type_is_checked_before_the_body_is_read(site: ApiSite, media: str) -> None:
    headers = {"Content-Type": media}
    answer = site.call("POST", "/tracking-domains", headers=headers, input_stream=Unread(b" " * 20))
    assert "application/json" in refused(answer, 415)["message"]


def test_json_with_parameters_is_json(site: ApiSite) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    answer = site.call("POST", "/tracking-domains", headers=headers, data=b'{"domain": "a.b.example"}')
    assert answer.status_code == 200


def test_length_is_checked_before_the_body_is_read(site: ApiSite) -> None:
    headers = {"Content-Type": "application/json"}
    body = Unread(b" " * 1_048_577)
    answer = site.call("POST", "/tracking-domains", headers=headers, input_stream=body)
    assert "1048576 bytes" in refused(answer, 413)["message"]


def test_key_comes_before_the_media_type_and_the_path_before_the_key(site: ApiSite) -> None:
    refused(site.call("POST", "/tracking-domains", "", data=b"x"), 401)
    refused(site.call("POST", "/tracking-domains", site.key("events/view"), data=b"x"), 403)
    refused(site.call("POST", "/nowhere", "", data=b"x"), 404)
    assert "GET" in site.call("PATCH", "/tracking-domains", "", data=b"x").headers["Allow"]
    refused(site.call("PATCH", "/tracking-domains", "", data=b"x"), 405)


def test_url_has_a_longest_length(site: ApiSite) -> None:
    key = site.key()
    room = 4096 - len(f"{BASE}/events/messagerecipients=")
    assert site.get(f"/events/message?recipients={'x' * room}", key).status_code == 200
    refused(site.get(f"/events/message?recipients={'x' * (room + 1)}", key), 414)


@pytest.mark.parametrize(
    "raw",
    [
        b"{", b"nothing", b'{"domain": NaN}', b'{"domain": Infinity}', b"\xff\xfe{}",
        b'{"domain": "\\ud800"}', b"[" * 100_000, b'{"domain": ' + b"9" * 5000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_json_is_400(site: ApiSite, raw: bytes) -> None:
    answer = site.call("POST", "/tracking-domains", headers={"Content-Type": "application/json"}, data=raw)
    assert refused(answer, 400)["message"].startswith("Request body parsing failed")


@given(st.binary(max_size=40))
def test_reading_json_never_fails_otherwise(raw: bytes) -> None:
    try:
        read_json(raw)
    except ApiError as error:
        assert error.status == 400  # noqa: PT017 - what is JSON raises nothing


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "'domain' is required"),
        ({"domain": 7}, "'domain' must be a string"),
        ({"domain": None}, "'domain' must not be null"),
        ({"domain": "a.b.example", "secure": "perhaps"}, "'secure' must be a boolean"),
        ([], "Invalid input type"),
    ],
)
def test_wrong_bodies_are_422_in_sparkposts_words(site: ApiSite, body: Any, message: str) -> None:
    assert refused(site.call("POST", "/tracking-domains", json=body), 422)["message"] == message


def test_unknown_parameters_and_members_are_ignored(site: ApiSite) -> None:
    body = DOMAIN | {"whatever": {"a": [1]}}
    assert site.call("POST", "/tracking-domains?x=1", json=body).status_code == 200


def test_trailing_slash_changes_nothing_and_nothing_is_redirected(site: ApiSite) -> None:
    key = site.key()
    assert site.get("/tracking-domains/", key).status_code == 200
    refused(site.get("//tracking-domains", key), 404)


def test_options_and_head(site: ApiSite) -> None:
    options = site.call("OPTIONS", "/tracking-domains", "")
    assert (options.status_code, options.data) == (204, b"")
    assert {"GET", "POST"} < set(re.split(", ", options.headers["Allow"]))
    head = site.call("HEAD", "/tracking-domains", site.key())
    assert (head.status_code, head.data) == (200, b"")


# --- wrong keys ---


def test_wrong_keys_are_slowed_down_and_a_right_one_is_not(site: ApiSite) -> None:
    key, statuses = site.key(), []
    for _ in range(5):
        answer = site.get("/tracking-domains", "smtpapi_wrong")
        statuses.append(answer.status_code)
    assert statuses == [401, 401, 401, 429, 429]
    refused(answer, 429)
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert site.get("/tracking-domains", key).status_code == 200
    assert site.get("/tracking-domains", "smtpapi_wrong").status_code == 401, "the right one begins anew"


def test_no_key_at_all_is_no_wrong_key(site: ApiSite) -> None:
    assert [site.get("/tracking-domains", "").status_code for _ in range(6)] == [401] * 6
    assert "Bearer" in site.get("/tracking-domains", "").headers["WWW-Authenticate"]


def test_waits_double_and_end() -> None:
    now = [0.0]
    failures, waits = Failures(lambda: now[0]), []
    for _ in range(12):
        failures.add("a")
        waits.append(failures.wait("a"))
        now[0] += waits[-1]
    assert waits == [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert failures.wait("b") == 0


def test_no_key_is_in_any_log_or_answer(site: ApiSite, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key, wrong = site.key(), "smtpapi_wrongwrongwrong"
    Path(site.settings.keys.ring).unlink()
    for offered in (key, wrong, f"Bearer {wrong}"):
        for method, path in (("GET", "/tracking-domains"), ("GET", f"/{wrong}"), ("POST", "/x/links/decode")):
            answer = site.call(method, path, offered, json={"url": "x"})
            assert key not in answer.get_data(as_text=True)
            assert wrong not in answer.get_data(as_text=True)
    assert "key ring" in caplog.text or "keys" in caplog.text, "something was logged"
    assert key not in caplog.text
    assert wrong not in caplog.text


# --- a slow or failing store ---


def test_registry_that_fails_is_503_and_says_nothing_of_files(tmp_path: Path) -> None:
    site = make_api_site(tmp_path)
    key = site.key()
    registry = Path(site.settings.registry.path)
    for path in tmp_path.glob("registry.db*"):
        path.unlink()
    registry.mkdir()
    answer = site.get("/tracking-domains", key)
    error = refused(answer, 503)
    assert answer.headers["Retry-After"] == "1"
    assert str(tmp_path) not in str(error)


def environ(method: str = "GET", path: str = "/api/v1/x") -> WSGIEnvironment:
    return {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": ""}


def through(gate: Gate, environ: WSGIEnvironment) -> tuple[str, bytes]:
    statuses: list[str] = []

    def start(status: str, *_: Any) -> Any:
        statuses.append(status)

    body = b"".join(gate(environ, start))
    return statuses[0], body


def test_slow_call_is_answered_and_its_turn_is_kept_until_it_ends() -> None:
    begun, go = threading.Event(), threading.Event()

    def slow(environ: WSGIEnvironment, start: Any) -> list[bytes]:
        begun.set()
        go.wait(30)
        start("200 OK", [])
        return [b"late"]

    gate = Gate(slow, timeout=0.05, at_once=1, queue=0.05)
    status, body = through(gate, environ())
    assert (status, b"took longer" in body) == ("503 Service Unavailable", True)
    status, body = through(gate, environ())
    assert (status, b"too many calls" in body) == ("503 Service Unavailable", True)
    go.set()
    gate = Gate(slow, timeout=30, at_once=1)
    assert through(gate, environ()) == ("200 OK", b"late")
    assert through(gate, environ("POST")) == ("200 OK", b"late")


def test_failing_call_raises_where_the_server_sees_it_and_gives_its_turn_back() -> None:
    def raising(environ: WSGIEnvironment, start: Any) -> list[bytes]:
        raise RuntimeError("ours")

    gate = Gate(raising, at_once=1, queue=0.05)
    for method in ("GET", "POST", "GET", "POST"):
        with pytest.raises(RuntimeError, match="ours"):
            through(gate, environ(method))
