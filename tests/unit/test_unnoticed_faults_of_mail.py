"""Faults of mail, logs and links that no other test noticed when they were put in (tests/mutation)."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from engagement import objections
from engagement.links.described import describe
from engagement.links.keys import Ring
from engagement.links.model import Identity, Kind, Link
from engagement.links.token import copy_sealer
from engagement.links.urls import click_url
from engagement.maillogs import postfix
from engagement.maillogs.facts import Attempt
from engagement.spool import write
from engagement.spool.write import SpoolWriter
from engagement.stores.sqlite.codes import event_key
from engagement.suppression.model import Entry, MailKind, Source
from engagement.suppression.snapshot import EMPTY, hash_of
from hop_mail import CLIENT, HOP, NOW, TO
from hop_mail import site as hop_site
from smtpapi.find import html
from smtpapi.model.envelope import Client
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import HeaderChange, Plan, Refuse
from smtpapi.pipeline.suppression import at_rcpt
from smtpapi.policy.replies import reply
from smtpapi.request import x_msys_api
from smtpapi.request.vendor_headers import translated
from smtpapi.request.vendor_rules import named
from smtpapi.rewrite.raw_message import split
from unit.lua_runs import load, run


def test_sparkposts_transactional_is_taken_over() -> None:
    value = b' {"options": {"transactional": true}}'
    found = translated([named("sparkpost")], Message((Field("X-SparkPost", value),), b""))
    parsed = x_msys_api.parse([found.text.encode()])
    assert isinstance(parsed, x_msys_api.XMsysApi)
    assert parsed.transactional is True


def test_a_second_header_is_told() -> None:
    parsed = x_msys_api.parse([b"{}", b"{}"])
    assert isinstance(parsed, x_msys_api.XMsysApi)
    assert parsed.warnings == ("2 X-MSYS-API fields; the first one counts",)


def test_a_relay_with_an_equals_sign_is_read() -> None:
    found = postfix.fact(
        "postfix/lmtp",
        "4XyZ12abcdz9s: to=<ida@example.net>, relay=mx.example.net[/run/a=b=c], delay=1, delays=0/0/0/1, "
        "dsn=2.0.0, status=sent (ok)",
    )
    assert isinstance(found, Attempt)
    assert found.enhanced == "2.0.0"


def test_an_added_fields_value_begins_behind_one_blank() -> None:
    added = split(b"A: 1\n\nbody").apply(Plan(headers=(HeaderChange("C", 0, " 3"),)))
    assert added == b"A: 1\nC: 3\n\nbody"


def test_a_reply_of_400_puts_the_mail_off() -> None:
    found = reply(400, "later")
    assert found is not None
    assert found.code == "400"
    assert reply(399, "go on") is None


def test_a_script_sleeps_as_long_as_it_says() -> None:
    begin = time.monotonic()
    run(load("msys.sleep(0.1)"))
    assert time.monotonic() - begin >= 0.1


def test_the_first_links_ordinal_is_told() -> None:
    ring = Ring().rotated(bytes(range(32)), 1)
    identity = Identity(bytes(range(16)), 7, "ida@example.net", 1_795_000_000, 1_800_000_000)
    link = Link(b"https://x.example/", "n", ordinal=0, part="html")
    token = copy_sealer(ring.signing, identity, "").seal(Kind.CLICK, link)
    url = click_url("https", "t.example", token).decode()
    assert (describe(url, ring, 1_795_000_000)["ordinal"], describe(url, ring, 1_795_000_000)["part"]) == (
        0,
        "html",
    )


def test_a_drop_within_a_minute_of_another_is_told_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(write, "_COMPLAIN_EVERY", 0.3)
    writer = SpoolWriter(tmp_path, group_ms=1)
    big = bytes(2_000_000)
    assert not writer.append(big)
    assert not writer.append(big, events=3)
    deadline = time.monotonic() + 10
    while "3 event(s) dropped" not in caplog.text and time.monotonic() < deadline:
        writer.append(b"x")
        time.sleep(0.02)
    writer.close()
    assert "1 event(s) dropped" in caplog.text
    assert "3 event(s) dropped" in caplog.text


def test_what_stands_before_the_end_of_cdata_is_read_once() -> None:
    data = b'<svg><![CDATA[<i>]]><style><a href="https://x.example/">y</a></style></svg>'
    assert len(html.scan_by_expressions(data).anchors) == 1


def test_a_wrong_reference_is_told_by_its_place() -> None:
    found = x_msys_api.parse([b'{"options": {"consent_reference": 5}}'])
    assert isinstance(found, Refuse)
    assert "'options.consent_reference'" in found.text


def test_a_list_that_gets_shorter_is_on_the_disk_before_it_is_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "objections"
    path.write_text("ida@example.net\ntom@example.net\n")
    synced: list[int] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        synced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", noted)
    objections.remove(path, ["ida@example.net"])
    assert path.read_text() == "tom@example.net\n"
    assert path.stat().st_ino in synced


@pytest.mark.parametrize(
    ("mode", "client"),
    [
        ("untracked", replace(CLIENT, daemon_port=0)),
        ("untracked", replace(CLIENT, address="")),
        ("split", HOP),
    ],
)
def test_mail_of_this_host_and_of_the_hop_is_not_refused_at_rcpt(mode: str, client: Client) -> None:
    where = replace(
        hop_site(mode, added="shared", options="suppression_action = refuse_at_rcpt"),
        suppressed=lambda: EMPTY.changed(
            {hash_of(Entry(TO[0], MailKind.NON_TRANSACTIONAL).key): Source.MANUALLY_ADDED}
        ),
    )

    def refused(client: Client) -> bool:
        return (
            at_rcpt(where, client, "a@example.org", TO[0], session={}, event_id="0" * 32, now=NOW) is not None
        )

    assert refused(CLIENT)
    assert not refused(client)


def test_an_events_id_is_read_in_each_form_that_a_uuid_has() -> None:
    text = "0193a1e0-0000-7000-8000-000000000000"
    whole = bytes.fromhex(text.replace("-", ""))
    for form in (text, text.upper(), text.replace("-", ""), f"{{{text}}}", f"urn:uuid:{text}"):
        assert event_key(form) == whole
    with pytest.raises(ValueError, match="UUID"):
        event_key("0193a1e0")
