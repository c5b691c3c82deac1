"""Tables, written forms and bounds of the core, each tried over all that it holds and not by an example."""

import dataclasses
import html
import inspect
import json
import re
from email.header import decode_header, make_header
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import pytest

from engagement.events.api_event import api_event
from engagement.events.ids import reported_id
from engagement.events.model import Hit
from engagement.events.rows import EventRow, RowSource
from engagement.links.keys import Ring
from engagement.links.payload import pack_target
from engagement.links.ring_file import RingError, load_ring, save_ring
from engagement.spool.read import CURSOR, SpoolReader, positions
from engagement.spool.write import SpoolWriter
from smtpapi.find.html_syntax import entities
from smtpapi.model.message import Message
from smtpapi.mta.message_end import MessageEnd
from smtpapi.pipeline.site import Site
from smtpapi.request.copies import mailbox
from smtpapi.request.x_msys_api import Copy
from tracker_web.links.responses import front_page, gone
from unit.event_samples import hit


def test_numbers_of_characters_are_read_as_the_standard_library_reads_them() -> None:
    """WHATWG HTML 13.2.5.80. It leaves out what is no character, which browsers keep."""
    bounds = {0xD7FF, 0xD800, 0xDFFF, 0xE000, 0xFFFD, 0x10000, 0x10FFFF, 0x110000, 99_999_999, 100_000_000}
    for code in sorted({*range(0x300), *bounds}):
        for text in (f"&#{code};", f"&#x{code:x};", f"&#X{code:X};", f"&#000{code};"):
            expected = html.unescape(text) or chr(code)
            assert entities.decode(text.encode()).decode() == expected, text


@pytest.mark.parametrize("record", [Hit, RowSource, EventRow])
def test_a_record_is_what_it_was_made_as(record: Any) -> None:
    """They are shared between threads and are keys of what is remembered."""
    assert record.__struct_config__.frozen
    assert record.__struct_config__.gc is False  # hundreds of thousands wait at a time


def test_a_hit_is_a_row_without_names_in_a_record() -> None:
    assert type(msgspec.to_builtins(hit())) is list


@pytest.mark.parametrize("name", ["open_tracking", "click_tracking", "initial_pixel", "amp_enabled"])
def test_four_fields_of_an_event_are_truth_values_outside(name: str) -> None:
    """Singer's schema (contract.md 7.1); in any other field Go's client expects text."""
    assert api_event({"type": "injection", name: True})[name] is True
    assert api_event({"type": "injection", name: False})[name] is False
    assert api_event({"type": "injection", f"{name}~": True})[f"{name}~"] == "1"


def test_what_is_told_again_by_another_release_has_the_same_id() -> None:
    """Else what is told twice, before and after an upgrade, would count twice."""
    assert (
        reported_id(1_793_001_722_373, "4bXyZ", "ida@example.net") == "01a1773b-1205-8110-9f60-e18128ed9010"
    )
    assert (
        reported_id(1_793_001_722_373, "4bXyZi", "da@example.net") == "01a1773b-1205-853d-80a9-47c045d96770"
    )
    assert reported_id(-1, "a") == "00000000-0000-8df9-b564-0e5465aff030"
    assert reported_id(1 << 48, "a") == "ffffffff-ffff-8df9-b564-0e5465aff030"


def test_how_far_a_spool_was_read_is_written_with_the_version_of_its_form(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    writer.append(b"record")
    writer.close()
    reader = SpoolReader(tmp_path)
    reader.read(10)
    reader.commit()
    written = json.loads((tmp_path / CURSOR).read_bytes())
    assert set(written) == {"version", "positions"}
    assert written["version"] == 1
    assert written["positions"] == positions(tmp_path)


@pytest.mark.parametrize("start", [b"", b"http://", b"https://", b"https://www."])
@pytest.mark.parametrize("flags", [0, 4, 124, 128, 252])
def test_a_link_is_packed_as_msgpack_would(start: bytes, flags: int) -> None:
    """What is written by hand, for speed, is what any reader of msgpack reads, and no longer."""
    prefix = [b"", b"http://", b"https://", b"https://www."].index(start)
    for size in range(300):
        rest = b"x" * size
        assert pack_target(start + rest, flags) == msgpack.packb((flags | prefix, rest))


def test_a_key_ring_is_read_up_to_8_mib(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    save_ring(path, Ring(()).rotated(b"k" * 32, 1))
    content = path.read_bytes()
    path.write_bytes(content + b"#" * ((1 << 23) - len(content) - 1) + b"\n")
    assert path.stat().st_size == 1 << 23
    assert load_ring(path).signing
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(RingError, match="larger than 8388608 bytes"):
        load_ring(path)


def test_each_word_of_a_name_fits_into_what_a_word_may_have() -> None:
    """RFC 2047 2: an encoded word has 75 characters at most."""
    for length in range(1, 120):
        emoji = "a" * (length % 3) + "\N{GRINNING FACE}" * length
        for name in ("é" + "a" * length, "é" * length, "漢" * length, emoji):
            header = mailbox(Copy("ann@example.net", name))
            assert max(map(len, re.findall(r"=\?\S*\?=", header))) <= 75
            assert str(make_header(decode_header(header.partition(" <")[0]))).rstrip() == name


@pytest.mark.parametrize("page", [front_page("Shop & Co"), gone("Shop & Co"), front_page(""), gone("")])
def test_pages_for_readers_are_whole(page: tuple[list[tuple[str, str]], bytes]) -> None:
    headers, body = page
    text = body.decode()
    assert dict(headers)["Content-Type"] == "text/html; charset=utf-8"
    assert dict(headers)["Content-Length"] == str(len(body))
    assert '<html lang="en">' in text
    assert "{" not in re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
    assert ("Shop &amp; Co" in text) == ("Shop & Co" in html.unescape(text))


@pytest.mark.parametrize(
    ("made", "names"),
    [
        (MessageEnd, {"_result", "_message"}),
        (Site, {"key", "decisions", "_terms"}),
        (Message, {"header_size", "_named"}),
        (Ring, {"_opening"}),
    ],
)
def test_what_follows_from_other_fields_is_not_given(made: Any, names: set[str]) -> None:
    assert {each.name for each in dataclasses.fields(made) if not each.init} == names
    assert names.isdisjoint(inspect.signature(made).parameters)
