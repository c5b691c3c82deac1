"""`check-config --postfix`: what Postfix's own postconf(1) says of a configuration, and what is warned of."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from smtpapi.commands import main

pytestmark = pytest.mark.mta

_FRONT = "smtp inet n - y - - smtpd\n  -o smtpd_proxy_filter=127.0.0.1:10024\n"
_BACK = "127.0.0.1:10025 inet n - n - - smtpd\n"
_ALONE = "its milters are not shown mail"
_OPTIONS = {
    "milters": "  -o { smtpd_milters = { unix:smtpapi/milter.sock, default_action=tempfail } }\n",
    "none": "  -o smtpd_milters=\n",
    "switched off": "  -o receive_override_options=no_header_body_checks,no_milters\n",
}


def _checked(folder: Path, **files: str) -> Result:
    for name, text in files.items():
        (folder / f"{name}.cf").write_text(text)
    config = folder / "smtpapi.conf"
    config.write_text('smtpapi { }\nESMTP_Listener { Listen ":25" { } }\n')
    return CliRunner().invoke(main, ["check-config", "--postfix", str(folder), str(config)])


@pytest.mark.parametrize(
    ("options", "services", "says"),
    [
        ("smtpd_milters = unix:x\n", _FRONT + _BACK, ""),
        ("smtpd_milters = unix:x\n", _FRONT + _BACK + _OPTIONS["none"], _ALONE),
        ("smtpd_milters = unix:x\n", _FRONT + _BACK + _OPTIONS["switched off"], _ALONE),
        ("", _FRONT + _OPTIONS["milters"] + _BACK, _ALONE),
        ("", _FRONT + _BACK, "no milter is asked there"),
        ("", _FRONT + _BACK + _OPTIONS["milters"], ""),
        ("smtpd_milters = unix:x\n", "smtp inet n - y - - smtpd\n", ""),
        ("smtpd_proxy_filter = inet:127.0.0.1:1\nsmtpd_milters = $x\nx = unix:x\n",
         "587 inet n - y - - smtpd\n", "smtpd 587 hands mail to smtpd_proxy_filter inet:127.0.0.1:1"),
    ],
)  # fmt: skip
def test_a_proxy_filter_that_keeps_mail_from_the_filter(
    tmp_path: Path, options: str, services: str, says: str
) -> None:
    done = _checked(tmp_path, main=options, master=services)
    assert done.exit_code == 0, done.output
    assert ("smtpd_proxy_filter" in done.stderr, says in done.stderr) == (bool(says), True)


def test_a_folder_without_a_postfix(tmp_path: Path) -> None:
    done = _checked(tmp_path, master="smtp inet n - y - - smtpd\n")
    assert done.exit_code == 0
    assert "warning: --postfix: /usr/sbin/postconf -c" in done.stderr
