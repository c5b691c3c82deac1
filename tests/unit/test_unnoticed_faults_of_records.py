"""Faults that were put into records, repeats and the reading of mail, and that no other test noticed."""

import logging
import os
import quopri
import time
from pathlib import Path

import pytest

from engagement.events.record import encode, link_and_client
from engagement.links.model import Kind
from engagement.links.payload import MAX_TEXT, pack_identity, payload, unpack
from engagement.settings.scopes import ListenAddress, listen_of
from engagement.spool import fold
from engagement.spool.fold import Folding
from engagement.spool.read import SpoolReader
from engagement.spool.repeats import slot, slots, state
from engagement.spool.write import SpoolWriter
from smtpapi.find import text
from smtpapi.find.html import scan as scan_html
from smtpapi.mime import clear, quoted_printable
from smtpapi.model.edit import Edit, splice
from unit.event_samples import AT, IDS, hit, identity


def test_a_listen_of_a_socket_is_an_address() -> None:
    assert listen_of("/run/smtpapi/milter.sock") == ListenAddress("/run/smtpapi/milter.sock")


def test_a_tag_as_long_as_a_text_may_be_comes_back() -> None:
    whose = identity(tags=("t" * MAX_TEXT, "u"), recipient="r" * MAX_TEXT, campaign="c" * MAX_TEXT)
    assert unpack(Kind.OPEN, payload(pack_identity(whose), b"", filler=False)) == (whose, None)


def test_full_addresses_of_two_networks_are_two_clients() -> None:
    one, other = (f"2001:0db8:{n}:1111:1111:1111:1111:1111" for n in ("aaaa:bbbb", "aaaa:cccc"))
    assert len(one) > 31
    found = [link_and_client(encode(hit(client_address=address))) for address in (one, other)]
    assert None not in found
    assert found[0] != found[1]


def test_a_damaged_state_of_a_repeat_is_not_read() -> None:
    record, first = encode(hit()), IDS.next(AT)
    data = slot(record, first, AT)
    later = state(7, IDS.next(AT + 5), AT + 5)
    whole = bytearray(data[: -len(later)] + later)
    assert [each.hits for each in slots(bytes(whole), 0)] == [7]
    whole[-1] ^= 1
    assert [each.hits for each in slots(bytes(whole), 0)] == [1]


def test_each_repeat_reaches_the_disk_soon_and_not_the_first_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fdatasync = os.fdatasync

    def watched(descriptor: int) -> None:
        fdatasync(descriptor)
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).suffix)

    monkeypatch.setattr(fold.os, "fdatasync", watched)
    folding = Folding(SpoolWriter(tmp_path), group=0.02)
    for number in range(4):
        folding.append(encode(hit(at_ms=AT + number)))
    time.sleep(0.5)
    before = synced.count(".repeats")
    folding.append(encode(hit(at_ms=AT + 5)))
    limit = time.monotonic() + 3
    while synced.count(".repeats") == before and time.monotonic() < limit:
        time.sleep(0.01)
    assert synced.count(".repeats") > before
    folding.close()


def test_a_file_of_repeats_that_is_gone_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folding = Folding(SpoolWriter(tmp_path))
    for number in range(4):
        folding.append(encode(hit(at_ms=AT + number)))
    for path in tmp_path.glob("*.repeats"):
        path.unlink()
    with caplog.at_level(logging.ERROR):
        folding.close()
    assert not caplog.records


def test_a_reader_does_not_collect_descriptors(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    writer.append(encode(hit()))
    reader = SpoolReader(tmp_path)
    reader.read()
    reader.commit()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(30):
        reader.read()
        reader.has_done()
        reader.commit()
    assert len(os.listdir("/proc/self/fd")) <= before + 2
    writer.close()


@pytest.mark.parametrize("name", [b"Content-Type", b"content-disposition", b"CONTENT-X"])
def test_a_blank_before_the_colon_of_a_content_field_is_not_clear(name: bytes) -> None:
    assert not clear.message_block(b"Subject: a\n" + name + b" : text/html\n")
    assert not clear.message_block(name + b"\t: text/html\n")
    assert clear.message_block(b"Subject : a\n" + name + b": text/html\n")


@pytest.mark.parametrize("value", ["false", "off", "no", "0", "FALSE"])
def test_a_switch_that_says_no_takes_its_link_out(value: str) -> None:
    page = scan_html(f'<a clicktracking="{value}" href="https://a.example/">x</a>'.encode())
    assert [anchor.opt_out for anchor in page.anchors] == [True]


def test_a_url_in_its_brackets_may_go_over_two_lines() -> None:
    (link,) = text.scan(b"see <URL:http://a.example/long\n/path> now\n")
    assert link.target == b"http://a.example/long"
    assert link.broken


@pytest.mark.parametrize("in_c", [True, False])
def test_an_edit_that_ends_before_a_soft_break_leaves_the_rest_whole(
    monkeypatch: pytest.MonkeyPatch, in_c: bool
) -> None:
    if not in_c:
        monkeypatch.setattr(quoted_printable, "_IN_C", False)
    encoded = b'<a href=3D"http://a.example/x=\n" class=3D"y">'
    view = quoted_printable.quoted_printable(encoded)
    start = view.data.index(b"http")
    edit = Edit(start, view.data.index(b'"', start), b"http://t.example/f/1", "link")
    placed = view.place([edit], b"\n").edits
    assert [encoded[each.start : each.stop] for each in placed] == [b"http://a.example/x"]
    assert quopri.decodestring(splice(encoded, placed)) == b'<a href="http://t.example/f/1" class="y">'
