"""Faults that were put into the shipper, the ring's file and the mark, and that no other test noticed."""

import base64
import os
import re
import socket
import stat
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from engagement.classify.shipped import shipped
from engagement.links.keys import Ring, RingError
from engagement.links.model import Identity, Kind
from engagement.links.ring_file import RingFile, save_ring
from engagement.links.token import copy_sealer, opener, unseal
from engagement.settings import load_text
from engagement.settings.schema import SeveralRecipients
from engagement.settings.scopes import DEFAULT_SCOPE, Where
from engagement.shipper.loop import Shipper
from engagement.spool.names import UNKNOWN_KEYS, unknown_keys
from engagement.spool.read import SpoolReader
from engagement.spool.write import SpoolWriter
from engagement.stores.memory import MemoryStore
from hop_mail import TO, api, identities, mail, names, site
from smtpapi.find import html
from smtpapi.model.granted_actions import ALL, granted_by
from smtpapi.model.message import Field
from smtpapi.model.outcome import HeaderChange
from smtpapi.pipeline.injection import decoded
from smtpapi.policy.hooks import PolicyError, parse
from smtpapi.request.decision import Decision
from smtpapi.rewrite.copy_links import CopyLinks
from smtpapi.rewrite.part import PartEdits
from smtpapi.rewrite.places import last
from smtpapi.rewrite.rules import RewritingRules

# shipper/loop.py


def test_a_shipper_with_nothing_to_carry_looks_ten_times_a_second_and_no_more(tmp_path: Path) -> None:
    tmp_path.joinpath("spool").mkdir()
    steps: list[float] = []

    class Counted(Shipper):
        def step(self) -> int:
            steps.append(time.monotonic())
            return super().step()

    stop = threading.Event()
    running = threading.Thread(target=Counted(tmp_path / "spool", MemoryStore()).run, args=(stop,))
    began = time.monotonic()
    running.start()
    while len(steps) < 6 and time.monotonic() < began + 60:
        time.sleep(0.02)
    stop.set()
    running.join(60)
    assert 6 <= len(steps) <= 2 + (time.monotonic() - began) / 0.1


def test_copies_wait_for_their_time_while_the_shipper_runs_and_are_all_taken_at_its_end(
    tmp_path: Path,
) -> None:
    tmp_path.joinpath("spool").mkdir()
    stop = threading.Event()
    turns: list[bool] = []

    class Copies:
        def turn(self, *, now: bool = False) -> int:
            turns.append(now)
            if len(turns) > 2:
                stop.set()
            return 0

    Shipper(tmp_path / "spool", MemoryStore(), copies=Copies()).run(stop)  # type: ignore[arg-type] # counts turns
    assert turns == [False, False, False, True]


# links/ring_file.py


def test_each_fault_of_the_ring_is_told_once_also_when_it_follows_another(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    save_ring(path, Ring().rotated(bytes(32), 1))
    reports: list[RingError] = []
    now = 100.0
    file = RingFile(path, reports.append, lambda: now)
    for spoil in (lambda: path.write_text("7 what\n"), lambda: path.chmod(0o644), path.unlink):
        spoil()
        for _ in range(3):
            now += 2
            assert file.current().get(1) is not None
    reports_text = [str(report) for report in reports]
    assert len(reports_text) == len(set(reports_text)) == 3
    assert "no such file" in reports_text[-1]


def test_a_new_ring_leaves_nothing_beside_itself(tmp_path: Path) -> None:
    save_ring(tmp_path / "keys", Ring().rotated(bytes(32), 1), new=True)
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


# spool/write.py


def test_a_segment_that_cannot_be_given_its_name_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = SpoolWriter(tmp_path)
    assert writer.append(b"x")
    for path in tmp_path.glob("*.open"):
        path.unlink()
    with caplog.at_level("WARNING"):
        writer.close()
    assert any("No such file" in record.getMessage() for record in caplog.records)


def test_one_sync_carries_what_comes_within_the_time_of_a_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs: list[int] = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: (syncs.append(descriptor), real(descriptor)))
    writer = SpoolWriter(tmp_path, group_ms=200)
    began = time.monotonic()
    while time.monotonic() < began + 1:
        assert writer.append(b"x")
        time.sleep(0.005)
    writer.close()
    assert 2 <= len(syncs) <= 5 + (time.monotonic() - began) / 0.2


# split.py


@pytest.mark.parametrize("key_id", [1, 9_999, 10_000, 65_535])
def test_a_key_of_any_id_carries_mail_over_the_hop(key_id: int) -> None:
    ring = Ring().rotated(bytes(32), 1, key_id)
    there = mail(site(ring=ring), api(campaign_id="c")).queued()
    for recipient in TO:
        found = identities(there.hop(recipient).queued().message.body, ring)
        assert {(each.recipient, each.campaign) for each in found} == {(recipient, "c")}


# rewrite/choose.py


@pytest.mark.parametrize("skip", [False, True])
def test_a_link_in_amp_whose_text_is_a_url_stays_where_that_is_asked_for(skip: bool) -> None:
    decision = Decision(True, False, False, "https", "https", "t.example", 31_536_000)
    key = Ring().rotated(bytes(32), 1).signing
    links = CopyLinks.build(key, Identity(bytes(16), 1, "", 0, 1), decision)
    chooser = PartEdits(decision, links, RewritingRules(skip_url_text=skip), lambda: 0.0, 1.0)
    page = b"<!doctype html><html amp4email><body><a href='https://a.example/'>https://a.example/</a></body></html>"
    assert [change.kind for change in chooser.amp(page)] == ([] if skip else ["link"])


# injection.py


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_subject_is_written_down_in_one_line(end: bytes) -> None:
    assert decoded(b" a" + end + b" b" + end) == "a b"


# rewrite/places.py


@pytest.mark.parametrize("before", [b"<p>text<b>bold", b"<p>text<table><colgroup>"])
def test_no_pixel_before_an_unclosed_comment_where_it_would_move_the_comment(before: bytes) -> None:
    for comment in (b"<!-- campaign", b"<!--", b"<!-- a > b"):
        assert last(before + comment, html.scan(before + comment), lambda: None) == -1


# spool/names.py


def test_links_of_unknown_keys_are_summed_over_the_trackers_of_a_spool(tmp_path: Path) -> None:
    (tmp_path / f"{UNKNOWN_KEYS}1").write_text('{"7": 2, "0": 1}')
    (tmp_path / f"{UNKNOWN_KEYS}2").write_text("cut of")
    (tmp_path / f"{UNKNOWN_KEYS}3").write_text('{"7": 3}')
    assert unknown_keys(tmp_path) == {"7": 5, "0": 1}


# settings/scopes.py


def test_of_two_groups_that_hold_a_pathway_the_first_alone_counts() -> None:
    settings = load_text(
        """smtpapi { }
        pathway_group "a" { pathway "p" { } }
        pathway_group "b" { pathway "p" { } tracking_domain = "b.example" }"""
    )
    assert settings.scoped(Where(pathway="p")).value("tracking_domain").scope == DEFAULT_SCOPE


# rights.py


def test_a_field_is_added_or_changed_only_where_that_right_was_granted() -> None:
    added, changed = HeaderChange("X-Smtpapi-Id", 0, "x"), HeaderChange("Subject", 1, None)
    for missing, bit, allowed in (("ADDHDRS", 0x01, (changed,)), ("CHGHDRS", 0x10, (added,))):
        rights = granted_by(0xFF & ~bit)
        assert rights.lacking((added, changed), ()) == missing
        assert rights.allowed((added, changed)) == allowed


def test_what_the_hop_needs_and_is_missing_is_said_by_name() -> None:
    assert granted_by(0x01 | 0x02 | 0x10).missing(SeveralRecipients.SPLIT) == "ADDRCPT"
    assert (
        granted_by(0).missing(SeveralRecipients.READDRESS)
        == "CHGBODY, ADDHDRS, CHGHDRS, ADDRCPT, DELRCPT, ADDRCPT_PAR"
    )
    assert granted_by(0xDF) is ALL
    for missing, split, readdress in ((0x04, False, False), (0x08, True, False), (0x80, True, False)):
        rights = granted_by(0xDF & ~missing)
        assert (rights.hops(SeveralRecipients.SPLIT), rights.hops(SeveralRecipients.READDRESS)) == (
            split,
            readdress,
        )


# links/token.py


def test_what_opens_a_token_is_the_key_of_both_octets_of_its_id() -> None:
    ring = Ring().rotated(bytes(32), 1, 0x0102)
    token = copy_sealer(ring.signing, Identity(bytes(16), 1, "", 0, 1)).seal(Kind.OPEN)
    raw = base64.urlsafe_b64decode(token + b"=" * (-len(token) % 4))
    found = opener(raw[:4], ring)
    assert found is not None
    kind, decrypt, associated = found
    assert (kind, decrypt(raw[4:], associated)) == (Kind.OPEN, unseal(token, ring)[2])


# mime/changes.py and tracker_web/links/privacy_spool.py, as docs/privacy.md has it


def test_a_person_s_program_is_withheld_and_a_known_one_is_its_word() -> None:
    assert shipped().word("Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0") == "withheld"
    assert shipped().word("curl/8.5.0") == "withheld library"


# arrival.py


def test_a_second_signature_that_equals_the_author_s_was_added_and_goes() -> None:
    theirs = Field("DKIM-Signature", b" v=1; d=author.example; b=abc")
    there = mail(site(), theirs, api(bcc=["hidden@example.net"])).queued()
    copy = there.hop(TO[0], message=replace(there.message, fields=(*there.message.fields, theirs)))
    assert names(copy.queued().message).count("DKIM-Signature") == 1


# policy/hooks.py


def test_a_hook_of_other_parameters_is_told_which_it_must_take() -> None:
    for hook, text in (
        ("validate_connect", "ac, vctx"),
        ("validate_ehlo", "ehlo, ac, vctx"),
        ("validate_mailfrom", "sender, ac, vctx"),
        ("validate_rcptto", "msg, recipient, ac, vctx"),
        ("validate_data_spool_each_rcpt", "msg, ac, vctx"),
    ):
        with pytest.raises(PolicyError, match=rf"{hook} must take \({text}\)"):
            parse(f"def {hook}(): pass", "p.py")


def test_a_segment_bears_the_name_of_its_host(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    assert writer.append(b"x")
    host = re.sub("[^A-Za-z0-9.]", "_", socket.gethostname())
    assert [path.name.startswith(f"{host}-{os.getpid()}-") for path in tmp_path.glob("*.open")] == [True]
    writer.close()


# spool/read.py


def test_a_segment_that_cannot_be_read_hides_none_of_the_others(tmp_path: Path) -> None:
    for size in (1000, 1000):
        writer = SpoolWriter(tmp_path, segment_size=size)
        assert writer.append(b"x" * 600)
        writer.close()
    first, second = sorted(tmp_path.glob("*.ready"))
    for path in (first, second):
        content = path.read_bytes()
        path.unlink()
        path.mkdir()
        assert SpoolReader(tmp_path).backlog().records == 1
        path.rmdir()
        path.write_bytes(content)
    assert SpoolReader(tmp_path).backlog().records == 2


def test_a_ring_s_name_is_on_disk_when_it_was_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[bool, bool]] = []
    real = os.fsync

    def watched(descriptor: int) -> None:
        real(descriptor)
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), (tmp_path / "keys").exists()))

    monkeypatch.setattr(os, "fsync", watched)
    save_ring(tmp_path / "keys", Ring().rotated(bytes(32), 1))
    assert synced == [(False, False), (True, True)]  # the file before it has its name, then the name
