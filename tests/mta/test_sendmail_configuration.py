"""The mc lines that ship, in a site's own configuration and as documented."""

import re
import subprocess
from pathlib import Path

import pytest

from engagement.settings.load import load_text
from private_mta.sendmail import PROGRAMS, SMTPAPI_MC, PrivateSendmail, make_cf

pytestmark = pytest.mark.mta

_CF = PROGRAMS / "usr/share/sendmail/cf"
_INSTALLED = "/usr/share/sendmail/cf"


def _debian(folder: Path, lines: str) -> str:
    """The sendmail.cf of Debian's own sendmail.mc with these lines at its end."""
    text = (_CF / "debian/sendmail.mc").read_text().replace(_INSTALLED, str(_CF))
    text = re.sub(r"include\(`/etc/mail/m4/.*\n", "", text)  # made by Debian's scripts at installation
    head = f"include(`{_CF}/m4/cf.m4')dnl\n"
    assert head in text
    text = text.replace(
        head, f"define(`_CF_DIR_', `{_CF}/')dnl\n{head}include(`{_CF}/debian/autoconf.m4')dnl\n"
    )
    mc = folder / "sendmail.mc"
    mc.write_text(text + lines)
    return make_cf(mc)


def _private(folder: Path) -> PrivateSendmail:
    sendmail = PrivateSendmail(
        folder, ports={"MTA": 25}, split_port=10025, next_hop=26, milter=folder / "milter.sock"
    )
    sendmail.configure()
    return sendmail


def test_debians_own_configuration_takes_the_lines_as_documented(tmp_path: Path) -> None:
    cf = _debian(tmp_path, f"include(`{SMTPAPI_MC}')dnl\n")
    assert "\nXsmtpapi, S=local:/run/smtpapi/milter.sock, F=T, T=C:10s;S:60s;R:60s;E:5m\n" in cf
    assert "\nO InputMailFilters=smtpapi\n" in cf
    assert "\nO DaemonPortOptions=Family=inet, Addr=127.0.0.1, Port=10025, Name=SMTPAPI-SPLIT, L=128" in cf
    assert re.search(r"\nMsmtpapisplit,\tP=\[IPC\],(?:.|\n\t)*\tA=TCP \[127\.0\.0\.1\] 10025\n", cf)
    assert cf.count("Port=smtp,") == 1  # what the site listens on stays


def test_the_two_definitions_are_obeyed(tmp_path: Path) -> None:
    lines = "define(`SMTPAPI_SOCKET', `inet:10026@127.0.0.1')dnl\ndefine(`SMTPAPI_PORT', `10027')dnl\n"
    cf = _debian(tmp_path, f"{lines}include(`{SMTPAPI_MC}')dnl\n")
    assert "\nXsmtpapi, S=inet:10026@127.0.0.1, F=T," in cf
    assert "Port=10027, Name=SMTPAPI-SPLIT" in cf
    assert "A=TCP [127.0.0.1] 10027\n" in cf


def test_a_signing_filter_that_is_named_later_comes_after(tmp_path: Path) -> None:
    signer = "INPUT_MAIL_FILTER(`opendkim', `S=local:/run/opendkim/opendkim.sock')dnl\n"
    cf = _debian(tmp_path, f"include(`{SMTPAPI_MC}')dnl\n{signer}")
    assert "\nO InputMailFilters=smtpapi,opendkim\n" in cf.replace(", ", ",")


def test_no_word_of_the_comments_reaches_the_configuration(tmp_path: Path) -> None:
    default = _debian(tmp_path, "")
    added = set(_debian(tmp_path, f"include(`{SMTPAPI_MC}')dnl\n").splitlines()) - set(default.splitlines())
    expected = r"[XCKSRM]|\t|O (InputMailFilters|DaemonPort|Milter)|#"
    odd = [line for line in added if not re.match(expected, line)]
    assert odd == []


def test_recipients_resolve_to_the_hop_only_once_the_order_was_given(tmp_path: Path) -> None:
    sendmail = _private(tmp_path)
    people = ("u@d.test", "u+x@d.test", '"a b"@d.test', "root", "u@[192.0.2.1]")
    before = sendmail.resolve(*people)
    assert "smtpapisplit" not in before
    ordered = sendmail.resolve(*people, macros={"smtpapi_hop": "yes"})
    assert ordered.count("parse            returns: $# smtpapisplit $@ [ 127 . 0 . 0 . 1 ] $: ") == len(
        people
    )


def test_the_order_is_no_address_before_the_end_of_a_message(tmp_path: Path) -> None:
    sendmail = _private(tmp_path)
    refused = 'parse            returns: $# error $@ 5 . 1 . 2 $: "553 No such domain"'
    assert refused in sendmail.resolve("hop@smtpapi.invalid")
    assert "returns: $# smtpapisplit" in sendmail.resolve(
        "hop@smtpapi.invalid", macros={"smtpapi_eom": "yes"}
    )


def test_sendmail_finds_no_fault_in_the_configuration(tmp_path: Path) -> None:
    sendmail = _private(tmp_path)
    (tmp_path / "milter.sock").touch()
    done = subprocess.run(
        [str(PROGRAMS / "usr/libexec/sendmail/sendmail"), f"-C{sendmail.config}", "-bP"],
        env={"LD_PRELOAD": str(PROGRAMS / "hostname.so")},
        capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    assert "sendmail.cf: line" not in done.stdout + done.stderr


def test_the_settings_named_in_the_lines_are_settings() -> None:
    (stanza,) = re.findall(r"(rewriting \{.*?\})", SMTPAPI_MC.read_text())
    settings = load_text(f"smtpapi {{ }}\n{stanza}\n")
    assert settings.rewriting.several_recipients == "readdress"
    assert settings.rewriting.split_listener == "127.0.0.1:10025"
