"""Links of AMP4EMAIL documents (contract.md 5.6)."""

from smtpapi.find import amp


def targets(data: bytes) -> list[bytes]:
    return [anchor.target for anchor in amp.scan(data).anchors]


def test_anchors_alone() -> None:
    data = b'<a href="https://x/">x</a><area href="https://y/"><amp-img src="https://z/"></amp-img>'
    assert targets(data) == [b"https://x/"]


def test_what_mustache_fills_in_when_the_mail_is_read_is_left() -> None:
    data = b'<template type="amp-mustache"><a href="{{url}}"></a><a href="https://x/{{id}}"></a><a href="https://y/">'
    assert targets(data) == [b"https://y/"]


def test_a_bound_href_is_no_href() -> None:
    assert targets(b"<a [href]=\"'https://x/' + id\" href=https://y/>") == [b"https://y/"]


def test_state_in_a_script_is_no_markup() -> None:
    data = (
        b'<amp-state id=s><script type="application/json">{"a": "<a href=https://x/>"}</script></amp-state>'
    )
    assert targets(data) == []


def test_the_pixel_goes_before_the_last_end_of_body() -> None:
    data = b"<!doctype html><html \xe2\x9a\xa14email><head></head><body>x</body></html>"
    page = amp.scan(data)
    assert page.has_html
    assert data[page.body_open : page.body_close] == b"x"
