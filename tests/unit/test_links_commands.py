"""`smtpapi decode` and `smtpapi keys`, as a person at a terminal meets them."""

import json
import os
import pwd
import re
import stat
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner, Result

from engagement.links.described import ERRORS
from engagement.links.keys import Ring
from engagement.links.model import OPENS, Identity, Kind, Link, Reason
from engagement.links.ring_file import load_ring, save_ring
from engagement.links.token import BadToken, copy_sealer, open_token
from engagement.links.urls import click_url, pixel_url
from smtpapi.commands import main
from smtpapi.commands.configuration import keys

WHO = Identity(
    bytes(range(16)),
    2**64 - 1,
    "reader@example.com",
    1_764_000_000,
    4_000_000_000,
    campaign="spring",
    tags=("a", "ü"),
    metadata='{"id":17}',
)
SHOP = Link(b"https://shop.example.com/?a=1&b=", "Read more")
SECRET = bytes(range(32))


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    save_ring(path, Ring().rotated(SECRET, 1_764_000_000))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in arguments])


def url(path: Path, kind: Kind = Kind.CLICK, who: Identity = WHO, tenant: str = "") -> str:
    token = copy_sealer(load_ring(path).signing, who, tenant).seal(kind, None if kind in OPENS else SHOP)
    made = pixel_url("http", "t.example", token) if kind in OPENS else click_url("http", "t.example", token)
    return made.decode()


def lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_decode_prints_all_that_a_link_holds(ring: Path) -> None:
    result = run("decode", "--ring", ring, url(ring))
    assert result.exit_code == 0
    assert lines(result) == [
        {
            "kind": "click",
            "key_id": 1,
            "target": "https://shop.example.com/?a=1&b=",
            "name": "Read more",
            "unsubscribe": False,
            "recipient": "reader@example.com",
            "rcpt_type": "",
            "message_id": "000102030405060708090a0b0c0d0e0f",
            "transmission_id": "18446744073709551615",
            "campaign": "spring",
            "tags": ["a", "ü"],
            "metadata": {"id": 17},
            "customer_id": "",
            "transactional": False,
            "issued": "2025-11-24T16:00:00Z",
            "expiry": "2096-10-02T07:06:40Z",
            "expired": False,
            "spoiled": False,
        }
    ]


def test_decode_says_expired_and_leaves_link_fields_out_for_pixels(ring: Path) -> None:
    old = Identity(bytes(16), 1, "", 1_000_000_000, 10**15)
    gone = Identity(bytes(16), 1, "", 1_000_000_000, 1_000_000_001, metadata="no json")
    never, past = lines(run("decode", "--ring", ring, url(ring, Kind.OPEN, old), url(ring, Kind.OPEN, gone)))
    assert (past["expired"], past["expiry"], past["metadata"]) == (True, "2001-09-09T01:46:41Z", "no json")
    assert (never["expired"], never["expiry"]) == (False, str(10**15))
    assert "target" not in past


def test_bad_url_gives_an_error_in_its_line_and_status_1_at_the_end(ring: Path) -> None:
    good = url(ring)
    result = run("decode", "--ring", ring, "https://example.com/", good, good[:-5], good + "'")
    assert result.exit_code == 1
    none, fine, cut, spoiled = lines(result)
    assert none == {"error": "not a tracked link: expected /f/a/TOKEN or /q/TOKEN"}
    assert fine["kind"] == "click"
    assert list(cut) == ["error"]
    assert spoiled["spoiled"] is True


def test_decode_reads_a_link_that_was_broken_in_its_middle(ring: Path) -> None:
    good = url(ring)
    broken = f"{good[:60]}%20{good[60:70]}=\r\n{good[70:]} and more"
    whole, pieced = lines(run("decode", "--ring", ring, good, broken))
    assert pieced == whole | {"spoiled": True}


def test_decode_refuses_a_token_in_the_place_of_another_kind(ring: Path) -> None:
    result = run("decode", "--ring", ring, url(ring).replace("/f/a/", "/q/"))
    assert result.exit_code == 1
    assert "in the place of another kind" in lines(result)[0]["error"]


def test_link_of_a_tenant_is_nothing_here(ring: Path) -> None:
    assert run("decode", "--ring", ring, url(ring, tenant="acme")).exit_code == 1


def test_every_reason_for_a_bad_token_has_its_words() -> None:
    assert set(ERRORS) == set(get_args(Reason))


def test_config_names_the_ring(ring: Path, tmp_path: Path) -> None:
    config = tmp_path / "smtpapi.conf"
    config.write_text(f'keys {{ ring = "{ring}" }}\n', "utf-8")
    assert run("decode", "--config", config, url(ring)).exit_code == 0
    assert run("keys", "list", "--config", config).exit_code == 0


def test_without_options_the_installed_configuration_names_the_ring(
    ring: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "DEFAULT_CONFIG", tmp_path / "smtpapi.conf")
    (tmp_path / "smtpapi.conf").write_text(f'keys {{ ring = "{ring}" }}\n', "utf-8")
    assert run("decode", url(ring)).exit_code == 0
    assert run("keys", "list").exit_code == 0


@pytest.mark.parametrize("text", ["keys {", "keys { rong = 1 }", None])
def test_broken_or_missing_config_is_a_sentence_and_status_2(tmp_path: Path, text: str | None) -> None:
    config = tmp_path / "smtpapi.conf"
    if text is not None:
        config.write_text(text, "utf-8")
    result = run("keys", "list", "--config", config)
    assert result.exit_code == 2
    assert "smtpapi.conf" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "arguments", [("decode", "http://t.example/q/x"), ("keys", "list"), ("keys", "rotate"), ("keys", "init")]
)
def test_without_a_ring_a_sentence_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setattr(keys, "DEFAULT_CONFIG", tmp_path / "none")
    result = run(*arguments)
    assert result.exit_code == 2
    assert "--ring FILE" in result.stderr


@pytest.mark.parametrize(
    "arguments", [("decode", "x"), ("keys", "list"), ("keys", "rotate"), ("keys", "revoke", "1")]
)
def test_unreadable_ring_is_a_sentence_and_status_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    result = run(*arguments, "--ring", tmp_path / "none")
    assert result.exit_code == 2
    assert "smtpapi keys init" in result.stderr
    assert result.stdout == ""


def test_init_makes_a_private_ring_once(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    assert run("keys", "init", "--ring", path).exit_code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    again = run("keys", "init", "--ring", path)
    assert again.exit_code == 2
    assert "already" in again.stderr
    assert path.read_bytes() == before


def test_init_gives_the_ring_to_its_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[object, ...]] = []
    monkeypatch.setattr(os, "chown", lambda *arguments: given.append(arguments))
    user = pwd.getpwuid(os.getuid())
    assert run("keys", "init", "--ring", tmp_path / "a", "--owner", user.pw_name).exit_code == 0
    assert given == [(tmp_path / "a", user.pw_uid, user.pw_gid)]
    result = run("keys", "init", "--ring", tmp_path / "b", "--owner", "no-such-user")
    assert result.exit_code == 2
    assert not (tmp_path / "b").exists()


def test_note_behind_a_key_is_listed_and_outlives_a_rotation(ring: Path) -> None:
    ring.write_text(ring.read_text("utf-8").rstrip("\n") + " # moved from mail1\n", "utf-8")
    assert run("keys", "rotate", "--ring", ring).exit_code == 0
    assert "moved from mail1" in run("keys", "list", "--ring", ring).stdout.splitlines()[1]


def test_rotate_then_revoke_lets_old_links_live_and_then_die(ring: Path) -> None:
    token = url(ring).rpartition("/")[2].encode()
    assert run("keys", "rotate", "--ring", ring).exit_code == 0
    assert load_ring(ring).signing.id != 1
    assert open_token(token, load_ring(ring)).key_id == 1
    assert run("keys", "revoke", "1", "--ring", ring).exit_code == 0
    with pytest.raises(BadToken, match="key"):
        open_token(token, load_ring(ring))


def test_revoking_the_signing_key_is_refused(ring: Path) -> None:
    result = run("keys", "revoke", 1, "--ring", ring)
    assert result.exit_code == 2
    assert "keys rotate" in result.stderr
    assert load_ring(ring).get(1) is not None


def test_list_shows_keys_and_never_secrets(ring: Path) -> None:
    run("keys", "rotate", "--ring", ring)
    secret = load_ring(ring).signing.secret.hex()
    listing, as_json = run("keys", "list", "--ring", ring), run("keys", "list", "--json", "--ring", ring)
    assert [line.split()[:2] for line in listing.stdout.splitlines()] == [
        ["id", "status"],
        ["1", "accepted"],
        [str(load_ring(ring).signing.id), "signing"],
    ]
    assert lines(as_json)[0] == {
        "id": 1,
        "status": "accepted",
        "created": "2025-11-24T16:00:00Z",
        "note": "",
    }
    for shown in (listing.output, as_json.output):
        assert secret[:8] not in shown
        assert SECRET.hex()[:8] not in shown


def test_h20_a_key_is_everywhere_before_it_signs(ring: Path, tmp_path: Path) -> None:
    """Two hosts with copies of one ring: at no moment a link of one is unknown to the other."""
    other = tmp_path / "other-host"
    other.write_text(ring.read_text())
    other.chmod(0o600)
    added = run("keys", "add", "--ring", ring)
    assert added.exit_code == 0
    key_id = re.search(r"key (\d+) opens links", added.output)
    assert key_id is not None
    link = url(ring)
    assert run("decode", "--ring", other, link).exit_code == 0, "it does not sign yet"
    other.write_text(ring.read_text())
    assert run("keys", "use", key_id[1], "--ring", ring).exit_code == 0
    assert load_ring(ring).signing.id == int(key_id[1])
    assert run("decode", "--ring", other, url(ring)).exit_code == 0
    assert run("decode", "--ring", ring, url(other)).exit_code == 0
    assert run("keys", "use", "65000", "--ring", ring).exit_code == 2


def test_h20_rotation_in_one_step_is_refused_where_several_hosts_share_the_ring(
    ring: Path, tmp_path: Path
) -> None:
    config = tmp_path / "smtpapi.conf"
    config.write_text(f'smtpapi {{ }}\nkeys {{ ring = "{ring}" hosts = 2 }}\n')
    before = ring.read_text()
    refused = run("keys", "rotate", "--config", config)
    assert (refused.exit_code, "2 hosts use copies of this ring" in refused.stderr) == (2, True)
    assert ring.read_text() == before


def test_h20_two_hosts_do_not_give_out_the_same_id(ring: Path, tmp_path: Path) -> None:
    ids = set()
    for number in range(20):
        copy = tmp_path / f"host{number}"
        copy.write_text(ring.read_text())
        copy.chmod(0o600)
        assert run("keys", "rotate", "--ring", copy).exit_code == 0
        ids.add(load_ring(copy).signing.id)
    assert len(ids) >= 19  # of 65,534; all hosts gave out key 2 before
