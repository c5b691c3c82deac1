"""`smtpapi setup sendmail`: m4 makes a sendmail.cf of what it writes."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mta.mta_site import Filter, free_port
from mta.site_parts import hand_in, html_mail
from mta.smtp_sink import Sink
from private_mta.sendmail import PROGRAMS, PrivateSendmail, make_cf
from smtpapi.commands import main

pytestmark = pytest.mark.mta

_MC = f"""\
divert(-1)
define(`_CF_DIR_', `{PROGRAMS}/usr/share/sendmail/cf/')
include(`{PROGRAMS}/usr/share/sendmail/cf/m4/cf.m4')
divert(0)dnl
OSTYPE(`linux')dnl
DAEMON_OPTIONS(`Name=MTA, Port=smtp')dnl
INPUT_MAIL_FILTER(`opendkim', `S=inet:8891@localhost')dnl
MAILER(`local')dnl
MAILER(`smtp')dnl
dnl the end
"""


class Place:
    def __init__(self, folder: Path, text: str = _MC) -> None:
        self.folder = folder
        (folder / "sendmail.mc").write_text(text)
        (folder / "smtpapi.conf").write_text(
            'smtpapi { }\nmilter { socket = "unix:/run/smtpapi/milter.sock" }\n'
            'rewriting { several_recipients = readdress split_listener = "127.0.0.1:10031" }\n'
            'ESMTP_Listener { tracking_domain = "track.example.com" Listen ":25" { } }\n'
        )

    def run(self, *arguments: str) -> Result:
        places = ["--config", f"{self.folder}/smtpapi.conf", "--sendmail", str(self.folder)]
        places += ["--programs", str(PROGRAMS), "--state", f"{self.folder}/kept"]
        return CliRunner().invoke(main, ["setup", "sendmail", *places, *arguments])


def test_shown_applied_once_and_undone_to_the_octet(tmp_path: Path) -> None:
    place = Place(tmp_path)
    shown = place.run()
    assert f"+include(`{tmp_path}/smtpapi.mc')dnl" in shown.stdout, shown.output
    assert (tmp_path / "sendmail.mc").read_text() == _MC
    done = place.run("--apply")
    assert (done.exit_code, "make -C" in done.stdout) == (0, True), done.output
    made = make_cf(tmp_path / "sendmail.mc")
    assert re.search(r"^O InputMailFilters=smtpapi, opendkim$", made, re.MULTILINE), "signers stand behind"
    assert "Xsmtpapi, S=local:/run/smtpapi/milter.sock, F=T" in made
    assert "Port=10031" in made
    assert "Nothing to change." in place.run("--apply").stdout
    place.run("--undo")
    assert (tmp_path / "sendmail.mc").read_text() == _MC
    assert not (tmp_path / "smtpapi.mc").exists()


def test_another_socket_later_keeps_the_signer_behind(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.run("--apply")
    config = tmp_path / "smtpapi.conf"
    config.write_text(config.read_text().replace("/run/smtpapi/", "/run/other/"))
    assert place.run("--apply").exit_code == 0
    made = make_cf(tmp_path / "sendmail.mc")
    assert "O InputMailFilters=smtpapi, opendkim" in made
    assert "S=local:/run/other/milter.sock" in made
    place.run("--undo")
    assert (tmp_path / "sendmail.mc").read_text() == _MC


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (_MC.replace("MAILER(", "NOMAILER("), "has no MAILER line"),
        (_MC.replace("INPUT_MAIL_FILTER(`opendkim', `S=inet:8891@localhost')",
        "define(`confINPUT_MAIL_FILTERS', `a')"), "names the filters and their order"),
        (_MC.replace("OSTYPE(`linux')", "OSTYPE(`nothing')"), "m4 makes no sendmail.cf"),
    ],
    ids=["no mailer", "own order", "m4 fails"],
)  # fmt: skip
def test_what_cannot_be_changed_is_left_alone_with_a_clear_word(tmp_path: Path, text: str, says: str) -> None:
    place = Place(tmp_path, text)
    done = place.run("--apply")
    assert done.exit_code == 1
    assert says in done.stderr
    assert (tmp_path / "sendmail.mc").read_text() == text
    assert not (tmp_path / "smtpapi.mc").exists()


class _SetUp(PrivateSendmail):
    """A real Sendmail whose site's own sendmail.mc has no line of ours but those that setup put in."""

    def configure(self) -> None:
        super().configure()
        mc = self.directory / "sendmail.mc"
        lines = mc.read_text().splitlines(keepends=True)
        mc.write_text("".join(line for line in lines if "SMTPAPI_" not in line and "smtpapi.mc" not in line))
        options = ["--config", f"{self.directory}/smtpapi.conf", "--sendmail", str(self.directory)]
        options += ["--programs", str(PROGRAMS), "--state", f"{self.directory}/kept", "--apply"]
        done = CliRunner().invoke(main, ["setup", "sendmail", *options])
        assert done.exit_code == 0, done.output
        self.config.write_text(make_cf(mc))


def test_a_running_sendmail_tracks_each_copy_after_it(tmp_path: Path) -> None:
    ports = {name: free_port() for name in ("in", "split", "next")}
    listeners = "".join(f'Listen ":{ports[name]}" {{ }} ' for name in ("in", "split"))
    ours = Filter(
        tmp_path / "filter",
        'ESMTP_Listener { tracking_domain = "track.example.test" click_tracking_enabled = true '
        f"open_tracking_enabled = true {listeners} }}\n"
        f'rewriting {{ several_recipients = readdress split_listener = "127.0.0.1:{ports["split"]}" }}\n',
    )
    mta = _SetUp(
        tmp_path / "mta",
        ports={"MTA": ports["in"]},
        split_port=ports["split"],
        next_hop=ports["next"],
        milter=ours.socket,
    )
    mta.directory.mkdir()
    (mta.directory / "smtpapi.conf").write_text(ours.config.read_text())
    with Sink(ports["next"]) as sink, ours, mta:
        hand_in(ports["in"], "a@sender.test", ["one@rcpt.test", "two@rcpt.test"], html_mail())
        for who in ("one@rcpt.test", "two@rcpt.test"):
            links = ours.links(sink.wait_for(who).message)
            assert {each.identity.recipient for each in links} == {who}
