"""`smtpapi doctor` on a running site: Postfix with the hop, filter, OpenDKIM; and what goes wrong there."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from doctor.dns_server import DnsServer, zone
from doctor.reading import complete, only
from engagement.settings import load_file, load_text
from mta.hop_site import FILTER, HopSite, running
from mta.opendkim import Keys, signing
from smtpapi.commands import main
from smtpapi.doctor.finding import Finding, Level
from smtpapi.doctor.mta import mailboxes, probe, reach, sendmail
from smtpapi.setup import postfix_config

pytestmark = pytest.mark.mta

_SIGNER = " { unix:milter/opendkim.sock, default_action=tempfail }"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HopSite]:
    folder = tmp_path_factory.mktemp("doctor")
    keys = Keys()
    with (
        running(folder, milters=FILTER + _SIGNER, options={"virtual_mailbox_domains": "rcpt.test"}) as one,
        signing(folder, keys, one.postfix.milter_socket.with_name("opendkim.sock")),
        DnsServer(_key_records(keys)) as server,
    ):
        one.resolver = f"127.0.0.1:{server.port}"  # type: ignore[attr-defined] # beside its own fields
        yield one


def _key_records(keys: Keys) -> Iterator[tuple[str, str, str]]:
    yield from zone("sender.test")
    record = keys.lookup("site._domainkey.sender.test.")
    assert record is not None
    text = record.decode()
    pieces = " ".join(f'"{text[at : at + 200]}"' for at in range(0, len(text), 200))
    yield "site._domainkey.sender.test", "TXT", pieces


def _doctor(site: HopSite, *arguments: str, config: Path | None = None, folder: Path | None = None) -> Result:
    places = ["--config", str(config or site.filter.config), "--postfix", str(folder or site.postfix.config)]
    resolver: str = site.resolver  # type: ignore[attr-defined] # see above
    return CliRunner().invoke(main, ["doctor", *places, "--resolver", resolver, *arguments])


def _probe(site: HopSite, *arguments: str) -> Result:
    given = ["--only", "probe", "--sender", "a@sender.test", "--mailbox", str(site.postfix.maildir)]
    given += [
        "--probe",
        "ann@rcpt.test",
        "--probe",
        "bob@rcpt.test",
        "--server",
        f"127.0.0.1:{site.ports['in']}",
    ]
    return _doctor(site, *given, *arguments)


def _findings(done: Result) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(done.stdout)["findings"]
    return found


def test_a_site_that_is_well_has_no_errors(site: HopSite) -> None:
    done = _doctor(site, "--only", "config,milters,socket,hop,trust,keys,spool", "--json")
    bad = [each for each in _findings(done) if each["level"] == "error"]
    assert bad == [], bad
    assert done.exit_code in (0, 3)


def test_a_probe_to_two_comes_back_as_two_signed_copies_of_their_own(site: HopSite) -> None:
    """OpenDKIM as it ships does not sign List-Unsubscribe-Post: that alone is warned of."""
    done = _probe(site, "--json", "--seconds", "40")
    found = _findings(done)
    assert [each["level"] for each in found if each["level"] == "error"] == [], found
    assert any("2 copies of the probe are as they should be" in each["what"] for each in found), found
    warned = [each["what"] for each in found if each["level"] == "warning"]
    assert set(warned) == {"no DKIM signature of a copy covers List-Unsubscribe-Post"}
    assert done.exit_code == 3


def test_a_probe_of_a_client_that_is_not_trusted(site: HopSite) -> None:
    done = _probe(site, "--json", "--server", f"127.0.0.1:{site.ports['untrusted']}", "--seconds", "40")
    found = _findings(done)
    assert {each["what"] for each in found if each["level"] == "error"} == {
        "a copy still has its x-msys-api field",
        "a copy has no tracked link",
    }
    assert "Relay_Hosts" in found[0]["change"]
    assert done.exit_code == 1


def test_a_probe_that_is_not_taken_in(site: HopSite) -> None:
    done = _probe(site, "--server", "127.0.0.1:9")
    assert (done.exit_code, "the MTA does not take the probe" in done.stdout) == (1, True)


def test_no_probe_without_an_address(site: HopSite) -> None:
    done = _doctor(site, "--only", "probe")
    assert (done.exit_code, "no probe mail was sent" in done.stdout) == (0, True)


_REQUEST = probe.Request("a@sender.test", ("ann@rcpt.test", "bob@rcpt.test"), "1@x", ("127.0.0.1", 25))


def _copies(site: HopSite) -> list[bytes]:
    """What the probe of a test before has left in the Maildir."""
    files = [file.read_bytes() for file in site.postfix.delivered()]
    found = [each for each in files if b"smtpapi-doctor.invalid" in each and b"/f/a/" in each]
    first = re.search(rb"Message-ID: <(.*?)>", found[0])
    assert first is not None
    return mailboxes.copies([site.postfix.maildir], first[1].decode())


def _checked(site: HopSite, copies: list[bytes], decided: tuple[str, ...] = ()) -> list[Finding]:
    def nothing(name: object, timeout: int = 5) -> bytes | None:
        return None

    return complete(probe.check(_REQUEST, copies, decided, site.filter.ring, nothing, each_own=True))


def test_each_way_in_which_copies_are_wrong(site: HopSite) -> None:
    _probe(site, "--seconds", "40")
    first, second, *_ = _copies(site)

    def errors(*copies: bytes) -> str:
        return " | ".join(each.what for each in only(_checked(site, list(copies)), Level.ERROR, Level.NOTE))

    unsigned = [re.sub(rb"DKIM-Signature:.*\n(?:[ \t].*\n)*", b"", each) for each in (first, second)]
    assert errors(*unsigned) == ""
    assert "DKIM signature of sender.test fails" in errors(first, second)  # no key in this DNS
    assert "0 of 2 copies" in errors()
    assert "the links of 2 copies are of 1 recipient(s)" in errors(unsigned[0], unsigned[0])
    assert "still has its x-msys-api field" in errors(b"X-MSYS-API: {}\n" + unsigned[0], unsigned[1])
    assert "still has its x-smtpapi-split field" in errors(b"X-Smtpapi-Split: x\n" + unsigned[0], unsigned[1])
    bare = re.sub(rb'http[^"\s]+/f/a/[^"\s]+', b"https://example.org/smtpapi-doctor", unsigned[0])
    second_bare = bare.replace(b"/q/", b"/nothing/")
    assert "a copy has no tracked link" in errors(bare, unsigned[1])
    without = re.sub(rb"<img[^>]*>", b"", unsigned[0])
    assert "a copy has no pixel" in errors(without, unsigned[1])
    left = _checked(site, [bare, second_bare], decided=("split", "over-time", ""))
    assert [each.what for each in only(left, Level.ERROR)] == ["the filter left the probe alone: over-time"]


def test_a_signer_before_the_filter(tmp_path: Path) -> None:
    """A real one: the order is found, and the probe says what came of it."""
    with (
        running(tmp_path, milters=f"{_SIGNER} {FILTER}") as one,
        signing(tmp_path, Keys(), one.postfix.milter_socket.with_name("opendkim.sock")),
    ):
        one.resolver = "127.0.0.1:9"  # type: ignore[attr-defined] # beside its own fields
        (finding, *_) = _findings(_doctor(one, "--only", "milters", "--json"))
        assert "asks unix:milter/opendkim.sock, which signs, before the filter" in finding["what"]
        found = _findings(_probe(one, "--json", "--seconds", "40"))
    assert any("left the probe alone: dkim-signed" in each["what"] for each in found), found


def test_an_mbox_is_read_like_a_maildir(tmp_path: Path) -> None:
    mail = b"Message-ID: <1@x>\nSubject: s\n\nbody\n"
    (tmp_path / "mbox").write_bytes(b"From a\nMessage-ID: <2@x>\n\nother\n\nFrom b\n" + mail)
    assert mailboxes.copies([tmp_path / "mbox"], "1@x") == [mail]
    assert mailboxes.copies([tmp_path / "none"], "1@x") == []


@contextmanager
def _changed(path: Path, mode: int) -> Iterator[None]:
    before = path.stat().st_mode & 0o7777
    path.chmod(mode)
    try:
        yield
    finally:
        path.chmod(before)


def _reached(site: HopSite, folder: Path) -> list[Finding]:
    """The socket as smtpds of a copy of Postfix's configuration reach it."""
    for name in ("main.cf", "master.cf"):
        os.utime(folder / name, (1_700_000_000, 1_700_000_000))
    config, settings = postfix_config.read(folder), load_file(site.filter.config)
    return complete(each for one in reach.attempts(config, settings) for each in reach.check(one, settings))


@pytest.fixture
def folder(site: HopSite, tmp_path: Path) -> Path:
    """A copy of Postfix's configuration whose smtpds run in the chroot."""
    for name in ("main.cf", "master.cf"):
        shutil.copy(site.postfix.config / name, tmp_path / name)
    master = tmp_path / "master.cf"
    master.write_text(re.sub(r"(127\.0\.0\.1:\d+ inet n) - n", r"\1 - y", master.read_text()))
    return tmp_path


def test_the_socket_from_the_chroot(site: HopSite, folder: Path) -> None:
    found = _reached(site, folder)
    assert {each.level for each in found} == {Level.OK}
    assert any(f"from its chroot {site.postfix.queue}" in each.what for each in found)


def test_a_socket_that_postfix_may_not_use(site: HopSite, folder: Path) -> None:
    with _changed(site.postfix.milter_socket, 0o700):
        found = only(_reached(site, folder))
    assert found, "Postfix's user is no root"
    assert all("Permission denied" in each.what and "2750" in each.change for each in found)


def test_a_socket_outside_the_chroot(site: HopSite, folder: Path) -> None:
    main_cf = folder / "main.cf"
    main_cf.write_text(main_cf.read_text() + f"smtpd_milters = unix:{site.postfix.milter_socket}\n")
    master = folder / "master.cf"
    master.write_text("127.0.0.1:25 inet n - y - - smtpd\n")
    (finding,) = only(_reached(site, folder))
    assert "No such file or directory" in finding.what


def test_nobody_and_no_milter_at_the_socket(site: HopSite, folder: Path) -> None:
    config = postfix_config.read(folder)
    settings = load_file(site.filter.config)
    attempt = next(iter(reach.attempts(config, settings)))
    assert attempt.trouble == ""
    for step, trouble, change in (
        ("connect", "Connection refused", "systemctl start smtpapi-milter"),
        ("answer", "what listens there is no milter", "ss -xlp"),
    ):
        (finding,) = complete(reach.check(replace(attempt, step=step, trouble=trouble), settings))
        assert change in finding.change


def test_what_listens_is_no_milter(site: HopSite, folder: Path) -> None:
    """An SMTP server, which says its greeting first."""
    port = site.ports["sink"]
    config = folder / "ours.conf"
    text = site.filter.config.read_text()
    config.write_text(re.sub(r'socket = "[^"]*"', f'socket = "inet:{port}@127.0.0.1"', text))
    (folder / "master.cf").write_text("127.0.0.1:25 inet n - n - - smtpd\n")
    main_cf = folder / "main.cf"
    main_cf.write_text(main_cf.read_text() + f"smtpd_milters = inet:127.0.0.1:{port}\n")
    os.utime(main_cf, (1_700_000_000, 1_700_000_000))
    found = reach.attempts(postfix_config.read(folder), load_file(config))
    assert [each.step for each in found] == ["answer"]


def test_a_broken_main_cf_is_one_finding_and_no_traceback(site: HopSite, folder: Path) -> None:
    (folder / "main.cf").write_text("oops\n")
    done = _doctor(site, "--only", "milters,hop", "--json", folder=folder)
    found = _findings(done)
    assert [each["level"] for each in found] == ["error", "error"]
    assert "missing '='" in found[0]["what"]


def test_a_host_without_an_mta(site: HopSite, tmp_path: Path) -> None:
    done = _doctor(
        site, "--only", "milters,socket,hop", "--json", "--sendmail", str(tmp_path), folder=tmp_path
    )
    assert {each["level"] for each in _findings(done)} == {"skipped"}


_CF = """\
O InputMailFilters=smtpapi, opendkim
Xsmtpapi, S=local:{socket}, F=T, T=C:10s;S:30s
Xopendkim, S=inet:8891@localhost
O DaemonPortOptions=Name=MTA, Port=smtp
O DaemonPortOptions=Family=inet, Addr=127.0.0.1, Port=10025, Name=SMTPAPI-SPLIT, L=128, M=E
"""


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (("", ""), ""),
        (("smtpapi, opendkim", "opendkim, smtpapi"), "asks opendkim, which signs, before the filter"),
        (("F=T, ", ""), "has no F=T"),
        (("=smtpapi, ", "="), "does not ask the filter"),
        (("Port=10025", "Port=10026"), "names 127.0.0.1:10025 for the second pass"),
    ],
    ids=["well", "order", "flag", "not asked", "port"],
)
def test_sendmails_configuration(site: HopSite, tmp_path: Path, edit: tuple[str, str], says: str) -> None:
    config = tmp_path / "smtpapi.conf"
    config.write_text(
        'smtpapi { }\nmilter { socket = "unix:/run/smtpapi/milter.sock" }\n'
        'rewriting { several_recipients = readdress split_listener = "127.0.0.1:10025" }\n'
    )
    text = _CF.format(socket="/run/smtpapi/milter.sock").replace(*edit)
    (tmp_path / "sendmail.cf").write_text(text)
    done = _doctor(
        site, "--only", "milters,hop", "--json", "--sendmail", str(tmp_path), config=config, folder=tmp_path
    )
    found = [each["what"] for each in _findings(done) if each["level"] in ("error", "warning")]
    assert [says in each for each in found] == ([True] if says else [])


def test_the_socket_as_sendmail_reaches_it(site: HopSite, tmp_path: Path) -> None:
    (tmp_path / "sendmail.cf").write_text("")
    arguments = ["--only", "socket", "--json", "--sendmail", str(tmp_path)]
    (finding,) = _findings(_doctor(site, *arguments, folder=tmp_path))
    assert (finding["level"], "Sendmail reaches unix:" in finding["what"]) == ("ok", True)


def test_postfixs_hop_behind_sendmail() -> None:
    conf = 'smtpapi { }\nmilter { socket = "unix:/s" }\nrewriting { several_recipients = split }'
    found = complete(sendmail.check_hop(_CF.format(socket="/s"), "sendmail.cf", load_text(conf)))
    assert ["split is Postfix's hop" in each.what for each in only(found)] == [True]
