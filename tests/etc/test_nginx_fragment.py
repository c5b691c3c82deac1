"""The nginx fragment as an operator ends up with it: plain, and with the lines for TLS in force."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

FRAGMENT = Path(__file__).parents[2] / "etc" / "nginx" / "smtpapi.conf"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
OPENSSL = shutil.which("openssl")


def with_tls(text: str) -> str:
    """The fragment with its lines for TLS; not `http2`, which each version of nginx spells its own way."""
    text = re.sub(r"(?m)^( +)# (listen (?:\[::\]:)?443 |ssl_)", r"\1\2", text)
    assert text.count("443 ssl") == 6 + text.count("`listen 443 ssl http2`")
    return text


def whole() -> str:
    """The fragment with its optional servers and its lines for TLS in force."""
    return with_tls(re.sub(r"(?m)^#(?:catch-all|web) ", "", FRAGMENT.read_text()))


@pytest.mark.parametrize("text", [FRAGMENT.read_text, whole])
def test_nginx_takes_the_fragment_as_it_is(tmp_path: Path, text: Callable[[], str]) -> None:
    assert NGINX is not None, "nginx is not installed: .ci/system test, or apt-get install nginx-light"
    assert OPENSSL is not None, "openssl is not installed: .ci/system test, or apt-get install openssl"
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            OPENSSL, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-subj", "/CN=track.example.com", "-keyout", str(key), "-out", str(certificate),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    fragment = re.sub(r"/etc/letsencrypt/live/\S+/fullchain\.pem", str(certificate), text())
    fragment = re.sub(r"/etc/letsencrypt/live/\S+/privkey\.pem", str(key), fragment)
    fragment = fragment.replace("/var/log/nginx", str(tmp_path))
    # A test of the configuration binds the ports, too: on an address that nobody else uses.
    fragment = re.sub(r"listen \[::\]:\d+[^;]*;\n", "", fragment)
    fragment = re.sub(r"listen (80|443|8081)\b", r"listen 127.86.75.30:\1", fragment)
    (tmp_path / "fragment.conf").write_text(fragment)
    folders = "".join(
        f"{name}_temp_path {tmp_path}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid;\nerror_log stderr warn;\nevents {{ }}\n"
        f"http {{\n{folders}include {tmp_path}/fragment.conf;\n}}\n"
    )
    done = subprocess.run(
        [NGINX, "-t", "-q", "-e", "stderr", "-c", str(tmp_path / "nginx.conf")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
