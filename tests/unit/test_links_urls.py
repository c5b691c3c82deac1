"""Which targets are carried, and how tracked URLs are spelled and read back."""

import re
import time

import pytest

from engagement.links.urls import Requested, click_url, pixel_url, read_path, read_url, refusal
from smtpapi.model.outcome import Skip

CARRIED = [
    b"http://example.com",
    b"https://example.com/",
    b"HTTPS://Example.COM/Path",
    b"hTTp://example.com",
    b"http://example.com?a=1&b=",  # SparkPost TR-1688
    b"http://example.com#top",
    b"http://example.com./",
    b"http://localhost",
    b"http://localhost:8080/x",
    b"http://example.com:/",
    b"http://example.com:0/",
    b"http://example.com:65535",
    b"http://a_b.example.com/",
    b"http://-a-.example.com/",
    b"http://xn--bcher-kva.example/",
    b"http://127.0.0.1/",
    b"http://127.0.0.1:8080/x?y",
    b"http://255.255.255.255",
    b"http://1.2.3.4.",
    b"http://1.2.3.4.example",
    b"http://0x7f.example.com/",
    b"http://4.xn--p1ai/",
    b"http://[::1]/",
    b"https://[2001:db8::1]:8443/x",
    b"http://[::ffff:192.0.2.1]",
    b"http://example.com/a@b",
    b"http://example.com?user@example.com",
    b"http://example.com#@",
    b"http://example.com/?u=http://other.example/%00%0d%0a",
    b"http://example.com/{{name}}/[x]|^`\"<>'",
    b"http://example.com//double//slash",
    b"http://example.com/..;/../",
    b"http://example.com/?javascript:alert(1)",
    b"http://" + b"a" * 63 + b".example/",
    b"http://example.com/" + b"x" * (4096 - 19),
    b"http://localhost/" + b"x" * (4096 - 17),
    b"http://" + b".".join([b"a" * 49] * 5) + b".de./",
    b"http://" + b".".join([b"a" * 49] * 5) + b".def",
    b"http://" + b".".join([b"a" * 49] * 5) + b".de",
]

REFUSED = {
    "not-http": [
        b"",
        b"http:",
        b"http:/example.com",
        b"http:example.com",
        b"//example.com/",
        b"/path",
        b"#top",
        b"?q",
        b"example.com",
        b"ftp://example.com/",
        b"javascript:alert(1)",
        b"mailto:a@example.com",
        b"tel:+123",
        b"sms:1",
        b"cid:1",
        b"data:text/html,x",
        b"httpx://example.com",
        b" http://example.com",
        b"\nhttp://example.com",
        b"\x00http://example.com",
        b"ht\ttp://example.com",
        b"http&#58;//example.com",
        b"view-source:http://example.com",
        b"urn:http://example.com",
        b"HTTP\xef\xbc\x9a//example.com",
        b"https:\\\\example.com",
    ],
    "no-host": [
        b"http://",
        b"https:///path",
        b"http://?q",
        b"http://#f",
        b"http://:80/",
        b"http://./",
        b"http://../",
        b"http://.example.com/",
        b"http://a..example.com/",
        b"http://example.com../",
        b"http://example.com:80:80/",
        b"http://example.com:port/",
        b"http://example.com:65536/",
        b"http://example.com:-1/",
        b"http://example.com:8 0/".replace(b" ", b"+"),
        b"http://ex%61mple.com/",
        b"http://example.com%2fx/",
        b"http://{{host}}/",
        b"http://<host>/",
        b"http://a,b/",
        b"http://a&b/",
        b"http://a;b/",
        b"http://a!b.com/",
        b'http://"example.com/',
        b"http://1.2.3/",
        b"http://1.2.3.4.5/",
        b"http://256.1.1.1/",
        b"http://01.2.3.4/",
        b"http://0x7f.0.0.1/",
        b"http://127.0.0.0x1/",
        b"http://2130706433/",
        b"http://example.0x/",
        b"http://example.com.123/",
        b"http://1.2.3.4../",
        b"http://[::1/",
        b"http://::1/",
        b"http://[]/",
        b"http://[::1]x/",
        b"http://x[::1]/",
        b"http://[::g]/",
        b"http://[1::2::3]/",
        b"http://[fe80::1%25eth0]/",
        b"http://[v1.a]/",
        b"http://[::1]:99999/",
        b"http://" + b"a" * 64 + b".example/",
        b"http://" + b".".join([b"a" * 49] * 5) + b".defg/",
        b"http://" + b".".join([b"a" * 30] * 9) + b".com/",
    ],
    "user-info": [
        b"http://user@example.com/",
        b"http://user:password@example.com/",
        b"http://@example.com/",
        b"http://example.com@evil.example/",
        b"http://example.com:80@evil.example/",
        b"http://a@b@c/",
    ],
    "white-space": [
        b"http://example.com/a b",
        b"http://example.com/ ",
        b"http://exam\tple.com/",
        b"http://example.com/\r\nSet-Cookie: a=b",
        b"http://example.com/\n",
        b"http://example.com\n",
        b"http://example.com/a\x0cb",
        b"http:// example.com/",
    ],
    "control-character": [
        b"http://example.com/\x00",
        b"http://example.com/\x01",
        b"http://example.com/\x0b",
        b"http://example.com/\x1f",
        b"http://example.com/\x7f",
        b"http://example.com\x00.evil.example/",
        b"http://example.com/\x1b[31m",
    ],
    "backslash": [
        b"http://example.com/a\\b",
        b"http://example.com\\@evil.example/",
        b"http:///\\evil.example",
        b"http://\\evil.example",
    ],
    "non-ascii": [
        "http://bücher.example/".encode(),
        "http://example.com/ü".encode(),
        b"http://example.com/\x80",
        b"http://example.com/\xff",
        "http://example.com/\u2028".encode(),
        "http://example\u3002com/".encode(),
    ],
    "target-too-long": [
        b"http://example.com/" + b"x" * (4097 - 19),
        b"http://" + b"a" * 5000,
        b"http://localhost/" + b"x" * (4097 - 17),
        b"http://example.com/\n" + b"x" * 5000,
    ],
}


@pytest.mark.parametrize("target", CARRIED)
def test_sound_target_is_carried(target: bytes) -> None:
    assert refusal(target) is None


@pytest.mark.parametrize(("code", "target"), [(code, one) for code, all_ in REFUSED.items() for one in all_])
def test_odd_target_is_refused_with_its_reason(code: str, target: bytes) -> None:
    assert refusal(target) == code


def test_reasons_are_those_of_the_filter() -> None:
    assert set(REFUSED) <= {str(skip) for skip in Skip}


def test_no_single_byte_slips_through_anywhere() -> None:
    fit = {byte for byte in range(256) if 0x21 <= byte <= 0x7E and byte != 0x5C}
    for byte in range(256):
        for target in (b"http://example.com/a%cb", b"http://example.com/?%c", b"https://example.com#%c"):
            assert (refusal(target % byte) is None) == (byte in fit), (target, byte)
    for byte in range(256):
        ok = refusal(b"http://exa%cmple.com/" % byte) is None
        harmless = re.fullmatch(rb"[A-Za-z0-9_.\-/?#]", bytes((byte,))) is not None
        assert ok == harmless, byte


def test_refusal_of_hostile_lengths_is_quick() -> None:
    for target in (b"http://" + b"a." * 2000, b"http://" + b"a-" * 2000 + b"\n", b"http://[" + b":" * 4000):
        assert refusal(target) is not None


TOKEN = b"AQEAB7pHyRd6_uzDWhNiMMjKezZ2NMb2-AaeyGGYHgETDDkzVLJB"


def test_links_are_spelled_as_the_contract_says() -> None:
    assert click_url("https", "t.example:8443", TOKEN) == b"https://t.example:8443/f/a/" + TOKEN
    assert click_url("http", "t.example", TOKEN, "app.v2") == b"http://t.example/f/app.v2/" + TOKEN
    assert pixel_url("http", "[::1]:8080", TOKEN) == b"http://[::1]:8080/q/" + TOKEN


@pytest.mark.parametrize("sublink", ["a/b", "-a", ".a", "a b", "é", "x" * 65, "a\n", "a?", "%61"])
def test_sublink_that_is_no_path_segment_is_refused(sublink: str) -> None:
    with pytest.raises(ValueError, match="sublink"):
        click_url("http", "t.example", TOKEN, sublink)


@pytest.mark.parametrize(
    ("path", "family"),
    [
        (b"/f/a/", "click"),
        (b"/f/q/", "click"),
        (b"/f/f/", "click"),
        (b"/f/App_1.x-y/", "click"),
        (b"/q/", "open"),
        (b"//f/a/", "click"),
        (b"/f//a//", "click"),
        (b"//q//", "open"),
    ],
)
def test_own_paths_are_read(path: bytes, family: str) -> None:
    requested = read_path(path + TOKEN)
    assert requested is not None
    assert (requested.family, requested.token, requested.spoiled) == (family, TOKEN, False)


def escaped(data: bytes) -> bytes:
    return b"".join(b"%%%02X" % byte for byte in data)


@pytest.mark.parametrize(
    "path",
    [
        b"/f/a/" + TOKEN.replace(b"_", b"%5F").replace(b"-", b"%2D"),
        b"/f/a/" + TOKEN.replace(b"_", b"%5f").replace(b"-", b"%2d"),
        b"/f/a/" + escaped(TOKEN),
        b"/" + escaped(b"f/a/" + TOKEN),
        escaped(b"/f/a/" + TOKEN),
        b"/" + escaped(b"/f/a/" + TOKEN),
        b"/f%2Fa%2F" + TOKEN,
        b"/f/a/" + TOKEN.replace(b"_", b"%255F"),  # escaped twice
        escaped(b"/f/a/" + TOKEN).replace(b"%", b"%25"),
    ],
)
def test_path_that_a_gateway_escaped_still_resolves(path: bytes) -> None:
    assert read_path(path) == Requested("click", TOKEN, spoiled=False)


@pytest.mark.parametrize(
    "tail",
    [
        b"%27",
        b"'",
        b">",
        b"%3E",
        b")",
        b".",
        b",",
        b"/",
        b"=",
        b"=3D",
        b"?utm_source=x",
        b"?",
        b"#top",
        b";",
        b"%20",
        b"%0A",
        b"&x=1",
        b"%22%20target=",
        b"\xe2\x80\x9d",
        b"%E2%80%9D",
        b"-",
        b"_",
        b"--",
        b"%2D",
        b"%",
        b"%zz",
        b"*",
        b"!",
        b"</a>",
        b"/unsubscribe",
        b"%2525252527",
    ],
)
@pytest.mark.parametrize(("path", "family"), [(b"/f/a/", "click"), (b"/q/", "open")])
def test_spoiled_tail_is_noticed_and_left_out(path: bytes, family: str, tail: bytes) -> None:
    requested = read_path(path + TOKEN + tail)
    assert requested is not None
    assert (requested.family, requested.token, requested.spoiled) == (family, TOKEN, True)


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"/",
        b"/f",
        b"/f/",
        b"/f/a",
        b"/f/a/",
        b"/q",
        b"/q/",
        b"/q/-",
        b"/f//",
        b"/F/a/x",
        b"/Q/x",
        b"/x/a/TOKEN",
        b"/favicon.ico",
        b"/robots.txt",
        b"/f/../etc/passwd"[:5],
        b"/f/.hidden/x",
        b"/f/a/%",
        b"/f/a/%2F",
        b"f/a/" + TOKEN,
        b"*",
        b"\x00" * 9,
        b"/f/" + b"s" * 65 + b"/" + TOKEN,
        b"/f/a/" + b"x" * 20_000,
        b"/q?" + TOKEN,
        b"/e/" + TOKEN,
    ],
)
def test_paths_that_are_not_ours_are_none(path: bytes) -> None:
    assert read_path(path) is None


def test_longest_link_escaped_twice_still_resolves() -> None:
    token = b"A" * 1990
    assert read_path(escaped(b"/f/a/" + token).replace(b"%", b"%25")) == Requested(
        "click", token, spoiled=False
    )


def test_routing_probe_of_operators_is_an_address_with_a_bad_token() -> None:
    assert read_path(b"/f/a/b/c/d") == Requested(
        "click", b"b", spoiled=True
    )  # contract.md 6.2: answered with 404


def test_hostile_paths_are_read_quickly() -> None:
    for path in (b"/f/a/x" + b"-" * 16_000, b"/" * 16_000, b"%25" * 5000, b"/f/a/" + b"a-" * 8000):
        read_path(path)


@pytest.mark.parametrize(
    "url",
    [
        b"https://t.example/f/a/" + TOKEN,
        b"HTTP://t.example:8080/f/a/" + TOKEN,
        b"/f/a/" + TOKEN,
        b"http://[::1]/f/a/" + TOKEN,
    ],
)
def test_whole_urls_are_read(url: bytes) -> None:
    assert read_url(url) == Requested("click", TOKEN, spoiled=False)


def test_url_of_somebody_else_is_not_read() -> None:
    assert read_url(b"https://example.com/f/article") is None
    assert read_url(b"https://example.com") is None
    assert read_url(b"") is None


GAPS = [
    b" ",
    b"\t",
    b"\r\n",
    b"\n",
    b"=\r\n",
    b"=\n",
    b"= \r\n",
    b"+",
    b"\r\n    ",
    b"\xc2\xa0",
    b"\xc2\xad",
    b"\xe2\x80\x8b",
    b"\xe2\x80\x8c",
    b"\xe2\x80\x8d",
    b"\xe2\x81\xa0",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xae",
    b"\xe2\x80\xa8",
]
WHOLE = b"AQEAAft6vIs8ChvCX6YLoDOCqpjM6NnBYrCzvJuuXRumpEOjJcEOaNQT6K6QDr1HFwfICRzRswRRU7emCmmfEu8hWw"


@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("prefix", [b"/f/a/", b"/f/open.app/", b"/q/"])
def test_h24_link_that_was_broken_anywhere_is_read(gap: bytes, prefix: bytes) -> None:
    path = prefix + WHOLE
    for place in range(len(path) + 1):
        for spelled in (path[:place] + gap + path[place:], escaped(path[:place] + gap + path[place:])):
            requested = read_path(b"/" + spelled if place == 0 else spelled)
            assert requested is not None
            assert WHOLE in (requested.token, *requested.others)
            assert (requested.family, requested.spoiled) == ("open" if prefix == b"/q/" else "click", True)


@pytest.mark.parametrize("width", [8, 20, 60, 72, 76])
@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("tail", [b"", b" and more of it", b"\r\n\r\nYours, Ida", b"?a=b c", b"> x"])
def test_h24_link_that_was_wrapped_is_read_whatever_stands_behind(
    width: int, gap: bytes, tail: bytes
) -> None:
    wrapped = gap.join(WHOLE[at : at + width] for at in range(0, len(WHOLE), width))
    requested = read_path(b"/f/a/" + wrapped + tail)
    assert requested is not None
    assert WHOLE in (requested.token, *requested.others)
    assert len(requested.others) < 64


def test_longest_link_wrapped_is_read() -> None:
    token = b"A" * 2000
    wrapped = b"\r\n".join(token[at : at + 72] for at in range(0, len(token), 72))
    requested = read_path(b"/f/a/" + wrapped)
    assert requested is not None
    assert requested == Requested("click", token, True, requested.others)


def test_paths_full_of_gaps_are_read_quickly() -> None:
    for path in (
        b"/f/a/" + b"a " * 8000,
        b"/" + b" " * 16000,
        b"/f/a/" + b"= " * 8000,
        b"/f" + b"/ " * 8000,
        b"/f/" + b"= =" * 5000,
    ):
        began = time.process_time()
        requested = read_path(path)
        assert time.process_time() - began < 0.25  # of this process; what others do does not matter
        assert requested is None or len(requested.others) <= 40
