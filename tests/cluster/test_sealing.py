"""The cluster's key: what is sealed opens where it belongs, and nowhere else; and what is wrong is said."""

import base64
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engagement.cluster import sealing
from engagement.cluster.sealing import ClusterKeys, SealError

KEYS = ClusterKeys("news", (bytes(32),))
TEXT = st.text(st.sampled_from("aé\n\ud800\U0001f600"), max_size=9)
CONTENT = st.dictionaries(TEXT, TEXT, max_size=4)


@settings(max_examples=50, deadline=None)
@given(CONTENT)
def test_what_is_sealed_opens_at_its_place_alone(content: dict[str, str]) -> None:
    document = KEYS.seal("news/ring/00", content)
    assert KEYS.open("news/ring/00", document) == content
    for keys, place in (
        (KEYS, "news/ring/01"),
        (ClusterKeys("other", KEYS.keys), "news/ring/00"),
        (ClusterKeys("news", (bytes(31) + b"\1",)), "news/ring/00"),
    ):
        with pytest.raises(SealError, match="not in the key file of this host"):
            keys.open(place, document)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=80))
def test_what_nobody_sealed_does_not_open(raw: bytes) -> None:
    for sealed in (base64.b64encode(raw).decode(), raw.decode("latin-1"), ""):
        with pytest.raises(SealError):
            KEYS.open("news/ring/00", {"version": 1, "sealed": sealed})


def test_a_new_key_is_put_last_on_every_host_and_then_first(tmp_path: Path) -> None:
    path = tmp_path / "cluster.key"
    sealing.make(path)
    first = sealing.load("news", path)
    document = first.seal("p", {"a": "b"})
    path.write_text(path.read_text() + "11" * 32 + "  # of 2027\n")
    both = sealing.load("news", path)
    assert both.open("p", document) == {"a": "b"}
    assert first.open("p", both.seal("p", {})) == {}
    turned = ClusterKeys("news", both.keys[::-1])
    assert both.open("p", turned.seal("p", {"c": "d"})) == {"c": "d"}
    with pytest.raises(SealError):
        first.open("p", turned.seal("p", {}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no key in it"),
        ("# none\n", "there is no key in it"),
        ("\nabc\n", ":2: expected a key of 64 hexadecimal digits"),
        ("11" * 31, ":1: expected a key of 64"),
    ],
)
def test_a_key_file_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "cluster.key"
    path.write_text(text)
    path.chmod(0o640)
    with pytest.raises(SealError, match=message) as caught:
        sealing.load("news", path)
    assert str(path) in str(caught.value)


def test_a_key_file_that_others_may_read_or_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "cluster.key"
    with pytest.raises(SealError, match="smtpapi cluster init"):
        sealing.load("news", path)
    sealing.make(path)
    path.chmod(0o644)
    with pytest.raises(SealError, match="chmod 640"):
        sealing.load("news", path)


def test_a_key_is_shown_nowhere() -> None:
    assert "0000" not in repr(KEYS)
    assert "x00" not in repr(KEYS)
