"""`smtpapi setup postfix` on configurations that postconf(1) reads, and on a running Postfix."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mta.mta_site import Filter, free_port, open_folders, until
from mta.site_parts import hand_in, html_mail, need_postfix
from private_mta.postfix import PrivatePostfix, Smtpd
from smtpapi.commands import main
from smtpapi.setup import milters, postfix_config, samples, undoing

pytestmark = pytest.mark.mta

_SITES = {
    "plain": ("# ours\ncompatibility_level = 3.6\n", "smtp inet n - y - - smtpd\n"),
    "signer": (
        "smtpd_milters = inet:localhost:8891,\n   # a remark\n   { unix:opendkim/opendkim.sock }\n"
        "non_smtpd_milters = $smtpd_milters\n",
        "smtp inet n - y - - smtpd\n587 inet n - y - - smtpd\n  -o smtpd_milters=inet:127.0.0.1:12301\n",
    ),
    "content filter": (
        "content_filter = smtp:[127.0.0.1]:10024\nmilter_header_checks = pcre:/etc/own\n",
        "smtp inet n - - - - smtpd\n127.0.0.1:10025 inet n - n - - smtpd\n  -o smtpd_milters=\n"
        "  -o content_filter=\n",
    ),
}
_REST = "cleanup unix n - y - 0 cleanup\nsmtp unix - - y - - smtp\n"
_HOP = 'rewriting { several_recipients = split split_listener = "127.0.0.1:10099" }\n'


class Place:
    """A folder with a Postfix's configuration, one of ours, and what setup keeps."""

    def __init__(self, folder: Path, main_cf: str, master_cf: str, more: str = "") -> None:
        self.folder, self.postfix = folder, folder / "postfix"
        self.postfix.mkdir()
        (self.postfix / "main.cf").write_text(main_cf)
        (self.postfix / "master.cf").write_text(master_cf + _REST)
        (folder / "smtpapi.conf").write_text(
            f"smtpapi {{ }}\nESMTP_Listener "
            f'{{ tracking_domain = "track.example.com" Listen ":25" {{ }} }}\n{more}'
        )

    def run(self, *arguments: str) -> Result:
        for path in self.postfix.iterdir():  # Postfix waits for files that just changed
            os.utime(path, (1_700_000_000, 1_700_000_000))
        places = ["--config", f"{self.folder}/smtpapi.conf", "--postfix", str(self.postfix)]
        places += ["--state", f"{self.folder}/kept", "--no-reload"]
        return CliRunner().invoke(main, ["setup", "postfix", *places, *arguments])

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.postfix.iterdir()}

    def config(self) -> postfix_config.PostfixConfig:
        for path in self.postfix.iterdir():
            os.utime(path, (1_700_000_000, 1_700_000_000))
        return postfix_config.read(self.postfix)


@pytest.fixture(params=_SITES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("more", ["", _HOP], ids=["", "hop"])
def test_shown_applied_once_and_undone_to_the_octet(tmp_path: Path, name: str, more: str) -> None:
    place = Place(tmp_path, *_SITES[name], more)
    before = place.files()
    shown = place.run()
    assert (shown.exit_code, place.files()) == (0, before)
    assert "+smtpapi_milter = " in shown.stdout
    applied = place.run("--apply")
    assert applied.exit_code == 0, applied.output
    after = place.files()
    assert after != before
    again = place.run("--apply")
    assert ("Nothing to change." in again.stdout, place.files()) == (True, after)
    config = place.config()
    assert config.complaints == ()
    for service in config.smtpds():
        if (value := config.value("smtpd_milters", service)) != "":
            assert value.replace("{ ", "{").startswith("{unix:smtpapi/milter.sock"), service
    assert config.value("non_smtpd_milters").count("smtpapi/milter.sock") == 1
    assert place.run("--undo").exit_code == 0
    assert place.files() == before
    assert "Nothing to undo." in place.run("--undo").stdout


def test_samples_are_those_of_etc() -> None:
    for name, place in {
        "master.cf.hop": "postfix/master.cf.hop",
        "smtpapi_hop": "postfix/smtpapi_hop",
        "nginx.conf": "nginx/smtpapi.conf",
        "smtpapi.mc": "sendmail/smtpapi.mc",
    }.items():
        assert samples.text(name) == (Path(__file__).parents[2] / "etc" / place).read_text("utf-8")


def test_taking_out_the_hop_reminds_of_mail_that_waits(tmp_path: Path) -> None:
    place = Place(tmp_path, *_SITES["plain"], _HOP)
    place.run("--apply")
    assert "mail that waits for the hop" in place.run("--undo").stderr


def test_a_site_that_was_set_up_by_hand_is_left_as_it_is(tmp_path: Path) -> None:
    """With the files of etc/postfix added as docs/postfix.md says."""
    etc = Path(__file__).parents[2] / "etc" / "postfix"
    main_cf = "".join((etc / name).read_text() for name in ("main.cf.smtpapi", "main.cf.hop"))
    main_cf = main_cf.replace("/etc/postfix/", f"{tmp_path}/postfix/")
    master_cf = "smtp inet n - y - - smtpd\n" + (etc / "master.cf.hop").read_text()
    place = Place(tmp_path, main_cf, master_cf, _HOP.replace("10099", "10026"))
    (place.postfix / "smtpapi_hop").write_bytes((etc / "smtpapi_hop").read_bytes())
    changed = [line for line in place.run().stdout.splitlines() if line.startswith("+") and line[1:2] != "+"]
    assert [line.split() for line in changed] == [
        ["+cleanup", "unix", "n", "-", "y", "-", "0", "cleanup"],
        ["+", "-o", "message_size_limit=0"],
    ]


def test_what_was_there_is_kept_and_signers_stand_behind(tmp_path: Path) -> None:
    place = Place(tmp_path, *_SITES["signer"], _HOP)
    place.run("--apply")
    config = place.config()
    for name, service in (("smtpd_milters", None), ("smtpd_milters", config.service("587/inet"))):
        value = config.value(name, service)
        assert value.index("smtpapi/milter.sock") < min(
            value.index(each) for each in ("8891", "12301") if each in value
        )
    assert "opendkim/opendkim.sock" in config.value("smtpd_milters")
    assert "opendkim/opendkim.sock" in config.value("smtpapi_hop_milters")


def test_a_door_of_a_content_filter_without_milters_stays_without(tmp_path: Path) -> None:
    place = Place(tmp_path, *_SITES["content filter"], _HOP)
    done = place.run("--apply")
    config = place.config()
    assert config.value("smtpd_milters", config.service("127.0.0.1:10025/inet")) == ""
    assert "smtpd 127.0.0.1:10025 has no milters" in done.stderr
    assert config.value("milter_header_checks") == f"regexp:{place.postfix}/smtpapi_hop, pcre:/etc/own"


@pytest.mark.parametrize("more", ["", _HOP], ids=["", "hop"])
def test_undo_after_an_edit_takes_out_ours_alone(tmp_path: Path, more: str) -> None:
    place = Place(tmp_path, *_SITES["signer"], more)
    before = place.files()
    place.run("--apply")
    for name in ("main.cf", "master.cf"):
        path = place.postfix / name
        path.write_bytes(b"# a later remark\n" + path.read_bytes())
    assert place.run("--undo").exit_code == 0
    assert place.files() == {name: b"# a later remark\n" + text for name, text in before.items()}


def test_undo_where_our_own_line_was_edited_changes_nothing_and_says_which(tmp_path: Path) -> None:
    place = Place(tmp_path, *_SITES["plain"])
    place.run("--apply")
    path = place.postfix / "main.cf"
    path.write_text(path.read_text().replace("smtpapi_milter = {", "smtpapi_milter = { # mine\n {"))
    files = place.files()
    done = place.run("--undo")
    assert (done.exit_code, place.files()) == (1, files)
    assert "was edited where smtpapi had changed it" in done.stderr
    assert "smtpapi_milter = " in done.stderr


@pytest.mark.parametrize(
    ("file", "broken", "says"),
    [("main.cf", "no equal sign here\n", "missing '='"), ("master.cf", "smtp inet oops\n", "master.cf")],
)
def test_a_broken_file_is_left_alone_with_a_clear_word(
    tmp_path: Path, file: str, broken: str, says: str
) -> None:
    place = Place(tmp_path, *_SITES["plain"])
    with (place.postfix / file).open("a") as opened:
        opened.write(broken)
    before = place.files()
    done = place.run("--apply")
    assert (done.exit_code, place.files()) == (1, before)
    assert says in done.stderr
    assert "Nothing was changed" in done.stderr


def test_a_file_that_cannot_be_written_leaves_the_others_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, *_SITES["plain"], _HOP)
    before = place.files()
    replace = undoing.replace

    def raising(path: Path, content: bytes) -> None:
        if path.name == "master.cf" and content != before["master.cf"]:
            raise OSError(28, "No space left on device", str(path))
        replace(path, content)

    monkeypatch.setattr(undoing, "replace", raising)
    done = place.run("--apply")
    assert (done.exit_code, place.files()) == (1, before)
    assert "No space left on device" in done.stderr
    monkeypatch.undo()
    assert "Nothing to undo." in place.run("--undo").stdout


def test_a_socket_whose_folder_is_mounted_into_another_queue_is_seen_there(tmp_path: Path) -> None:
    """As several instances share a filter (docs/stacks/instances.md). A link leads out of a chroot."""
    (tmp_path / "first/smtpapi").mkdir(parents=True)
    socket = f"unix:{tmp_path}/first/smtpapi/milter.sock"
    (tmp_path / "mounted").symlink_to("first")  # the same folder under another name, as with a mount
    assert milters.seen_from(socket, tmp_path / "mounted") == f"unix:{tmp_path}/mounted/smtpapi/milter.sock"
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/smtpapi").symlink_to(tmp_path / "first/smtpapi")
    for other in ("linked", "none", "first"):
        assert milters.seen_from(socket, tmp_path / other) == socket
    assert milters.seen_from("inet:8891@127.0.0.1", tmp_path / "first") == "inet:8891@127.0.0.1"


def test_a_socket_that_a_chroot_hides_is_refused_with_the_line(tmp_path: Path) -> None:
    place = Place(tmp_path, *_SITES["plain"], 'milter { socket = "unix:/run/smtpapi/milter.sock" }\n')
    before = place.files()
    done = place.run("--apply")
    assert (done.exit_code, place.files()) == (1, before)
    assert 'socket = "unix:/var/spool/postfix/smtpapi/milter.sock"' in done.stderr
    assert "smtpapi.conf:3:" in done.stderr


def test_what_the_world_must_know_is_said(tmp_path: Path) -> None:
    place = Place(tmp_path, *_SITES["plain"])
    output = place.run().stdout
    assert "track.example.com.  300  IN  CNAME" in output
    assert "certbot" not in output  # links are written with http
    config = tmp_path / "smtpapi.conf"
    config.write_text(config.read_text().replace('Listen "', 'click_tracking_scheme = https Listen "'))
    assert "certbot certonly --webroot -w /var/www/html -d track.example.com" in place.run().stdout


def test_a_running_postfix_tracks_after_it_and_no_more_after_undo(tmp_path: Path) -> None:
    need_postfix()
    open_folders(tmp_path)
    ports = {name: free_port() for name in ("in", "hop")}
    postfix = PrivatePostfix(tmp_path / "postfix", [Smtpd(ports["in"])], maildir=tmp_path / "maildir")
    listeners = "".join(f'Listen ":{port}" {{ }} ' for port in ports.values())
    listener = (
        'ESMTP_Listener { tracking_domain = "track.example.test" click_tracking_enabled = true '
        f"open_tracking_enabled = true {listeners} }}\n"
        f'rewriting {{ several_recipients = split split_listener = "127.0.0.1:{ports["hop"]}" }}\n'
    )
    with postfix:
        ours = Filter(tmp_path / "filter", listener, socket_path=postfix.milter_socket)
        with ours:
            before = {path.name: path.read_bytes() for path in postfix.config.iterdir() if path.is_file()}
            command = [
                "--config",
                str(ours.config),
                "--postfix",
                str(postfix.config),
                "--state",
                f"{tmp_path}/k",
            ]
            done = CliRunner().invoke(main, ["setup", "postfix", *command, "--apply"])
            assert (done.exit_code, "Postfix reloaded" in done.stdout) == (0, True), done.output
            hand_in(ports["in"], "a@sender.test", ["one@rcpt.test", "two@rcpt.test"], html_mail())
            until(lambda: len(list(postfix.delivered())) == 2, 20, "both copies")
            owners = {
                opened.identity.recipient
                for file in postfix.delivered()
                for opened in ours.links(file.read_bytes())
            }
            assert owners == {"one@rcpt.test", "two@rcpt.test"}
            done = CliRunner().invoke(main, ["setup", "postfix", *command, "--undo"])
            assert (done.exit_code, "Postfix reloaded" in done.stdout) == (0, True), done.output
            after = {path.name: path.read_bytes() for path in postfix.config.iterdir() if path.is_file()}
            assert after == before
            hand_in(ports["in"], "a@sender.test", ["three@rcpt.test"], html_mail())
            until(lambda: len(list(postfix.delivered())) == 3, 20, "the third mail")
            assert sum(b"track.example.test" in file.read_bytes() for file in postfix.delivered()) == 2
