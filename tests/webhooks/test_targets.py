"""Targets inside the network are refused, as they are written and as they are connected to."""

import socket
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.webhooks.sending.connect import HttpClient
from engagement.webhooks.targets import is_inside, place_of, refusal
from webhooks.sites import endpoint

INSIDE = [
    "127.0.0.1",
    "localhost",
    "[::1]",
    "0.0.0.0",
    "[::ffff:127.0.0.1]",
    "2130706433",
    "0x7f.1",
    "169.254.169.254",
    "10.1.2.3",
    "100.64.1.1",
    "[fd00::1]",
    "[64:ff9b::7f00:1]",
]


@pytest.mark.parametrize("host", INSIDE)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nothing_inside_is_connected_to_in_whatever_form_it_is_written(scheme: str, host: str) -> None:
    answer = HttpClient(timeout=5).post(f"{scheme}://{host}/", {}, b"[]")
    assert (answer.status, answer.failure) == (0, "EACCES")
    assert "inside the network" in answer.reason


@pytest.mark.parametrize("host", [host for host in INSIDE if host not in ("2130706433", "0x7f.1")])
def test_nothing_inside_can_be_entered(host: str) -> None:
    assert "inside the network" in refusal(f"https://{host}/x", ())


def test_a_name_that_leads_inside_is_refused_when_it_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolved(*_rest: Any, **_named: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    assert refusal("http://rebound.example.com/", ()) == ""
    addresses = ["93.184.216.34", "127.0.0.1"]
    answer = HttpClient(timeout=5).post("http://rebound.example.com/", {}, b"[]")
    assert (answer.status, answer.failure) == (0, "EACCES")
    assert "rebound.example.com is 127.0.0.1" in answer.reason


def test_the_address_that_was_looked_at_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: a second look would lead elsewhere."""
    names: list[str] = []
    real = socket.getaddrinfo

    def resolved(host: str, port: int, *rest: Any, **named: Any) -> list[Any]:
        if host == "hook.example.com":
            names.append(host)
            host = "127.0.0.1"
        return real(host, port, *rest, **named)

    with endpoint() as hook:
        monkeypatch.setattr(socket, "getaddrinfo", resolved)
        client = HttpClient([f"hook.example.com:{hook.port}"], timeout=20)
        answer = client.post(f"http://hook.example.com:{hook.port}/", {}, b"[]")
        (came,) = hook.batches
    assert answer.status == 200
    assert names == ["hook.example.com"]
    assert came.headers["Host"] == f"hook.example.com:{hook.port}"


def test_hosts_that_the_configuration_names_are_allowed() -> None:
    assert refusal("http://127.0.0.1:9000/", ("127.0.0.1:9000",)) == ""
    assert refusal("http://127.0.0.1:9001/", ("127.0.0.1:9000",)) != ""
    assert refusal("http://hooks.internal:81/", ("hooks.internal",)) == ""
    assert refusal("http://[::1]/", ("[::1]",)) == ""


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("https://hook.example.com:8443/", "port 443"),
        ("http://hook.example.com:443/", "port 80"),
        ("ftp://hook.example.com/", "https://"),
        ("//hook.example.com/", "https://"),
        ("https:///x", "a host"),
        ("https://user:pass@hook.example.com/", "auth_credentials"),
        ("https://hook.example.com/a b", "without spaces"),
        ("https://hook.example.com/\r\nX: y", "ASCII"),
        ("https://hook.example.com:port/", ""),
        ("https://[fd00::1/", ""),
        ("https://" + "x" * 3000, "2048"),
    ],
)
def test_what_is_no_target_is_refused_with_a_reason(target: str, why: str) -> None:
    assert refusal(target, ())
    assert why in refusal(target, ())


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    for target in (text, "http://" + text, "https://h.example" + text):
        if not refusal(target, ()):
            assert place_of(target).port in (80, 443)


@given(st.ip_addresses())
def test_what_python_holds_for_private_is_inside(address: Any) -> None:
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        assert is_inside(str(address))


@given(st.ip_addresses(v=4, network="127.0.0.0/8"))
def test_private_addresses_stay_inside_in_ipv6_notation(address: Any) -> None:
    assert is_inside(f"::ffff:{address}")
    assert is_inside(f"64:ff9b::{address}")
    assert is_inside(f"::{address}")
    assert is_inside(f"2002:{int(address) >> 16:x}:{int(address) & 0xFFFF:x}::1")


def test_a_target_that_sends_an_octet_now_and_then_is_cut_off_in_time() -> None:
    end = threading.Event()

    def slow(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            for octet in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000:
                if end.wait(0.1):
                    return
                try:
                    connection.send(bytes([octet]))
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=slow, args=(listener,))
        thread.start()
        answer = HttpClient(["127.0.0.1"], timeout=0.6).post(f"http://127.0.0.1:{port}/", {}, b"[]")
        end.set()
        thread.join()
    assert (answer.status, answer.failure) == (0, "ETIMEDOUT")


def test_no_redirect_is_followed_and_no_more_is_read_than_is_shown() -> None:
    with endpoint(answer=lambda path, body: (302, {"Location": "/other"}, b"x" * 200_000)) as hook:
        answer = HttpClient(["127.0.0.1"], timeout=20).post(hook.url, {}, b"[1]")
        assert len(hook.batches) == 1
    assert (answer.status, len(answer.body)) == (302, 65_536)


def test_nothing_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with endpoint() as hook:
        assert HttpClient(["127.0.0.1"], timeout=20).post(hook.url, {}, b"[1]").status == 200


def test_a_closed_port_and_an_unknown_name_say_what_they_are() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = HttpClient(["127.0.0.1"], timeout=20)
    assert client.post(f"http://127.0.0.1:{port}/", {}, b"[]").failure == "ECONNREFUSED"
    assert client.post("http://no-such-host.invalid/", {}, b"[]").failure == "ENOTFOUND"
