"""`smtpapi rewrite --output-dir`: nothing overwritten, nothing written elsewhere (row H9)."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from engagement.links.keys import SECRET_SIZE, Ring
from engagement.links.ring_file import save_ring
from smtpapi.commands.mail.output_folder import write_below
from smtpapi.commands.mail.rewrite import command

MAIL = "Subject: {}\nContent-Type: text/plain\n\nhttps://x.example/\n"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(word) for word in arguments])


def put(path: Path, name: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(MAIL.format(name))
    return path


@pytest.mark.parametrize("folders", [False, True], ids=["files", "folders"])
def test_h9_messages_of_one_name_are_refused_before_any_is_written(tmp_path: Path, folders: bool) -> None:
    one, two = put(tmp_path / "a/m.eml", "one"), put(tmp_path / "b/m.eml", "two")
    sources = (one.parent, two.parent) if folders else (one, two)
    done = run(*sources, "--output-dir", tmp_path / "out")
    assert done.exit_code == 2
    assert str(one) in done.output
    assert str(two) in done.output
    assert not (tmp_path / "out").exists()
    assert (
        run(tmp_path / "a", two.parent / ".." / "b" / "m.eml", "--output-dir", tmp_path / "o").exit_code == 2
    )


def test_h9_a_folder_above_them_keeps_them_apart(tmp_path: Path) -> None:
    put(tmp_path / "in/a/m.eml", "one")
    put(tmp_path / "in/b/m.eml", "two")
    assert run(tmp_path / "in", "--output-dir", tmp_path / "out").exit_code == 0
    assert "one" in (tmp_path / "out/a/m.eml").read_text()
    assert "two" in (tmp_path / "out/b/m.eml").read_text()


def test_h9_a_link_in_the_output_folder_is_replaced_and_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("keep")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/m.eml").symlink_to(precious)
    assert run(put(tmp_path / "m.eml"), "--output-dir", tmp_path / "out").exit_code == 0
    assert precious.read_text() == "keep"
    assert not (tmp_path / "out/m.eml").is_symlink()
    assert "Subject" in (tmp_path / "out/m.eml").read_text()
    assert os.listdir(tmp_path / "out") == ["m.eml"]


def test_h9_a_linked_folder_below_the_output_folder_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a").symlink_to(tmp_path / "elsewhere")
    put(tmp_path / "in/a/m.eml")
    done = run(tmp_path / "in", "--output-dir", tmp_path / "out")
    assert done.exit_code == 2
    assert "out/a/m.eml: cannot be written" in done.output
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_h9_links_in_a_source_folder_are_passed_over_and_said(tmp_path: Path) -> None:
    put(tmp_path / "in/m.eml")
    (tmp_path / "in/secret.eml").symlink_to(put(tmp_path / "secret"))
    (tmp_path / "in/more").symlink_to(tmp_path)
    done = run(tmp_path / "in", "--output-dir", tmp_path / "out")
    assert done.exit_code == 0
    assert "secret.eml: a symbolic link, passed over" in done.output
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["m.eml"]


@pytest.mark.parametrize("name", ["", "/etc/x", "../x", "a/../../x"])
def test_h9_a_name_that_leads_outside_is_no_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no name for a file"):
        write_below(tmp_path / "out", name, b"x")


def test_h9_a_file_that_cannot_be_finished_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "out/m.eml").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        write_below(tmp_path / "out", "m.eml", b"x")
    assert os.listdir(tmp_path / "out") == ["m.eml"]


def test_h17_a_site_with_a_hop_shows_the_links_of_one_recipient(tmp_path: Path) -> None:
    """Without an MTA there is no second pass; the links are those that it would make."""
    save_ring(tmp_path / "keys", Ring().rotated(bytes(SECRET_SIZE), 1))
    made = []
    for mode in ("split", "untracked"):
        (tmp_path / "c").write_text(
            f"""smtpapi {{ }} rewriting {{ several_recipients = {mode} }} keys {{ ring = "{tmp_path}/keys" }}
            ESMTP_Listener {{ click_tracking_enabled = true tracking_domain = "t.example.net" }}"""
        )
        made.append(run("--config", tmp_path / "c", put(tmp_path / "m.eml")).stdout)
    assert "http://t.example.net/f/a/" in made[0]
    assert made[0] == made[1]
