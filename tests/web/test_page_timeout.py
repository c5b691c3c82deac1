"""Pages within a bound of time: a slow store holds up neither links nor other pages."""

import time
from collections.abc import Callable, Iterable
from threading import Event
from typing import Any

import pytest

from tracker_web.web.page_timeout import LATER_TEXT, PageTimeout
from web.web_cases import ask, environ


class Store:
    """Stands for the pages: answers when it is let, and counts."""

    def __init__(self) -> None:
        self.let = Event()
        self.requests: list[str] = []
        self.closed = 0

    def __call__(self, request: dict[str, Any], start: Callable[..., object]) -> Iterable[bytes]:
        self.requests.append(request["PATH_INFO"])
        if request["PATH_INFO"] == "/slow":
            assert self.let.wait(10)
        start("200 OK", [("Content-Type", "text/plain")])
        return [request["PATH_INFO"].encode(), b"!"]


def page(path: str, **facts: Any) -> dict[str, Any]:
    return environ(path, host="localhost:8080", **facts)


def test_page_in_time_is_handed_through() -> None:
    store = Store()
    answer = ask(PageTimeout(store, 10), page("/quick"))
    assert (answer.status, answer.body, answer.headers) == (200, b"/quick!", {"content-type": "text/plain"})


def test_slow_page_says_come_again_and_is_there_then() -> None:
    store = Store()
    pages = PageTimeout(store, 0.05)
    first = ask(pages, page("/slow"))
    assert first.headers["content-security-policy"].startswith("default-src 'none'")
    assert (first.status, first.body, first.headers["refresh"]) == (503, f"{LATER_TEXT}\n".encode(), "1")
    assert ask(pages, page("/slow")).status == 503
    store.let.set()
    deadline = time.monotonic() + 10
    while (answer := ask(pages, page("/slow"))).status == 503 and time.monotonic() < deadline:
        pass
    assert (answer.status, answer.body) == (200, b"/slow!")
    assert store.requests == ["/slow"]  # made once, for all who asked
    assert ask(pages, page("/slow")).status == 200
    assert store.requests == ["/slow", "/slow"]  # and not kept when it was told


def test_next_try_for_a_slow_page_holds_the_worker_up_no_more() -> None:
    store = Store()
    pages = PageTimeout(store, 3)
    assert ask(pages, page("/slow")).status == 503
    began = time.monotonic()
    assert ask(pages, page("/slow")).status == 503
    assert time.monotonic() - began < 2.9  # a twentieth of a second, and what a busy machine adds
    store.let.set()


def test_requests_that_differ_share_no_page() -> None:
    store = Store()
    pages = PageTimeout(store, 0.05)
    store.let.clear()
    assert ask(pages, page("/slow", HTTP_COOKIE="who=ida")).status == 503
    assert ask(pages, page("/slow", HTTP_COOKIE="who=ole")).status == 503
    assert store.requests == ["/slow", "/slow"]
    store.let.set()


def test_only_so_many_pages_are_made_at_once() -> None:
    store = Store()
    pages = PageTimeout(store, 0.01)
    for number in range(9):
        assert ask(pages, page("/slow", QUERY_STRING=f"{number}")).status == 503
    assert len(store.requests) == 4  # the others were turned away at once
    store.let.set()


def test_other_requests_are_handed_over_as_they_are() -> None:
    store = Store()
    assert ask(PageTimeout(store, 0), environ("/quick", method="POST", host="localhost")).status == 200


def test_fault_of_a_page_reaches_the_server() -> None:
    def broken(request: dict[str, Any], start: Callable[..., object]) -> Iterable[bytes]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask(PageTimeout(broken, 10), page("/"))
