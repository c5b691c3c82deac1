"""Faults that were put into records, repeats and the reading of mail, and that no other test noticed."""

import logging
import os
import quopri
import time
from pathlib import Path

import msgpack
import pytest

from engagement.events.model import Hit
from engagement.events.record import decode, encode, link_and_client
from engagement.links import stops
from engagement.links.keys import Ring
from engagement.links.model import BadToken, Kind
from engagement.links.payload import MAX_TEXT, message_of, pack_identity, payload, unpack
from engagement.links.ring_file import edit_ring, save_ring
from engagement.settings import Where, load_text
from engagement.settings.scopes import ListenAddress, listen_of
from engagement.shipper.status import ShipperStatus
from engagement.spool import fold
from engagement.spool.fold import ROOM, Folding
from engagement.spool.format import HEADER
from engagement.spool.read import SpoolReader
from engagement.spool.repeats import slot, slots, state
from engagement.spool.write import SpoolWriter
from engagement.stores.aggregate import hours_of
from engagement.stores.port import Query
from smtpapi.find import html, macros, text
from smtpapi.mime import clear, quoted_printable
from smtpapi.mime.edits import MAX_LINE
from smtpapi.mime.locate import locate
from smtpapi.mime.transfer import view
from smtpapi.model.edit import Edit, splice
from smtpapi.model.outcome import Leave
from smtpapi.policy.core import VCTX_MESS
from smtpapi.policy.vctx import ValidationContext
from smtpapi.rewrite.raw_message import split
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
    limit = time.monotonic() + 60
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
    page = html.scan(f'<a clicktracking="{value}" href="https://a.example/">x</a>'.encode())
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
    part = quoted_printable.quoted_printable(encoded)
    start = part.data.index(b"http")
    edit = Edit(start, part.data.index(b'"', start), b"http://t.example/f/1", "link")
    placed = part.place([edit], b"\n").edits
    assert [encoded[each.start : each.stop] for each in placed] == [b"http://a.example/x"]
    assert quopri.decodestring(splice(encoded, placed)) == b'<a href="http://t.example/f/1" class="y">'


def test_a_list_of_stopped_links_can_be_read_by_those_who_follow_it(tmp_path: Path) -> None:
    stops.edit(tmp_path / "stops.json", lambda before: before)
    assert (tmp_path / "stops.json").stat().st_mode & 0o777 == stops._MODE


def test_a_declaration_and_a_lone_sign_are_no_elements() -> None:
    for data in (
        b'<!doctype html><a href="https://a.example/">x</a>',
        b'</ ><a href="https://a.example/">x</a>',
    ):
        assert [anchor.target for anchor in html.scan_by_expressions(data).anchors] == [b"https://a.example/"]
    for data in (b'<! <a href="https://a.example/">x</a>', b'<? <a href="https://a.example/">x</a>'):
        assert not html.scan_by_expressions(data).anchors


@pytest.mark.parametrize("ids", [1, "text", None])
def test_a_payload_without_ids_names_no_message(ids: object) -> None:
    with pytest.raises(BadToken):
        message_of(msgpack.packb([[ids, "r", 1, 1]]))


def test_other_bytes_between_base64_are_not_left_out() -> None:
    assert view(b"YWJj~ZGVm\n", "base64") is None
    found = view(b"YWJj\r\n Z\tGVm\n", "base64")
    assert found is not None
    assert found.data == b"abcdef"


def test_the_last_hour_of_a_query_is_the_one_before_its_end() -> None:
    hour = 3_600_000
    assert hours_of(Query(from_ms=0, to_ms=2 * hour)) == (0, 1)
    assert hours_of(Query(from_ms=0, to_ms=2 * hour + 1)) == (0, 2)


@pytest.mark.parametrize("flag", ["no-track", "notrack", "mc:disable-tracking", "data-pm-no-track"])
def test_a_flag_of_another_sender_takes_its_link_out(flag: str) -> None:
    page = html.scan(f'<a {flag} href="https://a.example/">x</a>'.encode())
    assert [anchor.opt_out for anchor in page.anchors] == [True]


def test_what_is_set_aside_says_where_it_stood(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    records = [encode(hit(at_ms=AT + number)) for number in range(3)]
    for record in records:
        writer.append(record)
    writer.close()
    segment = next(tmp_path.glob("*.ready")).read_bytes()
    for entry in SpoolReader(tmp_path).read():
        at = entry.start + HEADER.size
        assert segment[at : at + len(entry.record)] == entry.record


def test_a_portion_ends_where_its_bytes_do(tmp_path: Path) -> None:
    for _ in range(3):
        writer = SpoolWriter(tmp_path)
        for number in range(4):
            writer.append(encode(hit(at_ms=AT + number)))
        writer.close()
    assert len(SpoolReader(tmp_path).read(1)) == 4


def test_a_ring_saved_again_and_again_leaves_no_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    save_ring(path, Ring(()).rotated(b"k" * 32, 1))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        edit_ring(path, lambda ring: ring)
    assert len(os.listdir("/proc/self/fd")) == before


def test_so_many_variants_of_a_client_are_told_apart_as_have_room(tmp_path: Path) -> None:
    folding = Folding(SpoolWriter(tmp_path))
    agents = [f"{number:03}" + "x" * 100 for number in range(12)]
    for round_ in range(5):
        for number, agent in enumerate(agents):
            folding.append(encode(hit(at_ms=AT + round_ * 100 + number, user_agent=agent)))
    folding.close()
    found = [decode(entry.record) for entry in SpoolReader(tmp_path).read()]
    one = len(encode(hit(user_agent=agents[0])))
    recorded = {each.user_agent for each in found if isinstance(each, Hit)}
    assert len(recorded) == ROOM // one + 2  # those of which ROOM is full, and the first two hits of all


def test_a_variable_of_just_the_greatest_length_is_taken() -> None:
    variables = ValidationContext({})
    variables.set(VCTX_MESS, "cust_a", "x" * 65_536)
    with pytest.raises(ValueError, match="longer than"):
        variables.set(VCTX_MESS, "cust_a", "x" * 65_537)


def test_a_macro_behind_the_first_sign_of_a_text_is_found() -> None:
    assert macros.scan(b"x{{opening_double_curly()}}") == ((1, 27, b"{{"),)
    assert macros.scan(b"{{opening_double_curly()}}") == ((0, 26, b"{{"),)


def test_a_boundary_may_have_blanks_behind_it_up_to_a_whole_line() -> None:
    rest = "\ntext\n--b--\n"
    for blanks in range(MAX_LINE - 12, MAX_LINE + 4):
        head = "Content-Type: multipart/mixed; boundary=b\n\n"
        found = locate(split(f"{head}--b{' ' * blanks}\n{rest}".encode()).message)
        whole = len(f"--b{' ' * blanks}\n")
        assert isinstance(found, Leave) == (whole > MAX_LINE), whole


def test_a_listen_of_a_socket_holds_for_connections_by_it() -> None:
    text = 'esmtp_listener { Listen "/run/in.sock" { tracking_domain = "in.example" } }'
    found = load_text(text)
    assert found.scoped(Where("/run/in.sock", None, "", "")).options.tracking_domain == "in.example"
    assert found.scoped(Where("/run/out.sock", None, "", "")).options.tracking_domain != "in.example"


def test_the_rate_follows_what_was_shipped() -> None:
    status = ShipperStatus.begun(0.0)
    for second in range(1, 301):
        status.shipped(500, 0, "", float(second))
    assert 480 < status.rate <= 500
