"""What header fields say becomes bits, whatever they hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.events.signals import FIELDS, Signals, of_protocol, signal_names, signals_of
from tracker_web.links.application import SIGNALS
from tracker_web.server.asgi import environ_of

CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


def signals(headers: dict[str, str]) -> set[str]:
    names = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    found = signal_names(signals_of(names.get))
    assert found.pop(0) == "recorded"
    return set(found)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, ""),
        # A browser that goes to a page, one that loads an image in a page, one that prerenders.
        (
            {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1",
             "Accept": CHROME, "Accept-Language": "nb", "Cookie": "a=b"},
            "mode_navigate dest_document user accept_html accept_image language cookie",
        ),
        (
            {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image", "Accept": "image/avif,image/*;q=0.8,*/*",
             "Referer": "https://mail.example/"},
            "mode_other dest_image accept_image referer",
        ),
        ({"Sec-Purpose": "prefetch;prerender"}, "prefetch"),
        ({"Sec-Purpose": "prefetch;anonymous-client-ip"}, "prefetch"),
        ({"Purpose": "prefetch"}, "prefetch"),
        ({"X-Purpose": "Preview"}, "prefetch"),
        ({"X-Moz": "prefetch"}, "prefetch"),
        ({"Purpose": "none"}, ""),
        ({"Accept": "*/*"}, "accept_any"),
        ({"Accept": " */* ;q=0.1 , "}, "accept_any"),
        ({"Accept": "*/*,application/json"}, ""),
        ({"Accept": "application/xhtml+xml"}, "accept_html"),
        ({"Accept": "text/htmlx"}, ""),
        ({"Sec-Fetch-Dest": "iframe", "Sec-Fetch-User": "?0"}, "dest_other"),
        ({"Sec-Fetch-Mode": "", "Cookie": ""}, ""),
        ({"Via": "1.1 cache"}, "forwarded"),
        ({"Forwarded": "for=192.0.2.1"}, "forwarded"),
        ({"Range": "bytes=0-"}, "range"),
        ({"If-None-Match": "*"}, "conditional"),
        ({"If-Modified-Since": "never"}, "conditional"),
        ({"If-Range": "x"}, "conditional"),
        ({"Sec-Fetch-Mode": "navigate,navigate"}, "mode_navigate"),  # a proxy sent it twice
    ],
)  # fmt: skip
def test_fields_say_what_they_say(headers: dict[str, str], expected: str) -> None:
    assert signals(headers) == set(expected.split())


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [("HTTP/1.1", 0), ("HTTP/1.0", Signals.HTTP_1_0), ("HTTP/0.9", Signals.HTTP_1_0), ("", 0),
     ("HTTP/2", Signals.HTTP_2), ("http/2.0", Signals.HTTP_2), ("HTTP/3.0", Signals.HTTP_2), ("HTTP/2.5", 0),
     ("INCLUDED", 0), ("\xff", 0)],
)  # fmt: skip
def test_protocol(protocol: str, expected: int) -> None:
    assert of_protocol(protocol) == expected


def test_bits_are_numbers_and_have_names() -> None:
    assert type(signals_of({"HTTP_ACCEPT": "*/*"}.get)) is int
    assert signal_names(0) == []
    assert signal_names((1 << 19) - 1 | 1 << 25) == [str(signal.name).lower() for signal in Signals]


_FIELD_NAMES = [name.removeprefix("HTTP_").replace("_", "-").lower() for name in FIELDS]
_VALUES = st.sampled_from(["navigate", "no-cors", "image", "?1", "*/*", CHROME, "prefetch", "", ",", ";"])
_OCTETS = st.binary(max_size=300) | _VALUES.map(str.encode)


@given(st.dictionaries(st.sampled_from(_FIELD_NAMES), _OCTETS))
def test_our_server_finds_what_any_other_finds(headers: dict[str, bytes]) -> None:
    """Octets beyond ASCII included. A second look, at remembered values, finds the same."""
    scope = {
        "method": "GET",
        "raw_path": b"/",
        "http_version": "1.1",
        "headers": [(name.encode(), value) for name, value in headers.items()],
    }
    cgi = {name.upper().replace("-", "_"): value.decode("latin-1") for name, value in headers.items()}
    expected = signals_of(lambda name: cgi.get(name.removeprefix("HTTP_")))
    for _ in range(2):
        found = environ_of(scope)
        language = Signals.LANGUAGE if found.get("HTTP_ACCEPT_LANGUAGE") else 0  # the application adds it
        assert found[SIGNALS] | language == expected
