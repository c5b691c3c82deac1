"""`smtpapi setup nginx`: a real nginx takes what it writes; what nginx refuses is taken back."""

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from smtpapi.commands import main
from smtpapi.setup import nginx

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") or ""


class Place:
    def __init__(self, folder: Path, schemes: str = "") -> None:
        self.folder, self.file = folder, folder / "conf.d" / "smtpapi.conf"
        self.file.parent.mkdir()
        assert NGINX, "nginx is not installed: .ci/system test"
        (folder / "smtpapi.conf").write_text(
            'smtpapi { }\ntracker { listen = "127.0.0.1:8123" hosts = ("old.example.org") }\n'
            f'ESMTP_Listener {{ tracking_domain = "track.example.com" {schemes} Listen ":25" {{ }} }}\n'
        )
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
        # One worker's events alone: -t binds nothing where no address is free for it.
        (folder / "nginx.conf").write_text(
            f"pid {folder}/pid;\nerror_log stderr crit;\nevents {{ }}\n"
            f"http {{\n{temporary}include {folder}/conf.d/*.conf;\n}}\n"
        )

    def run(self, *arguments: str) -> Result:
        places = ["--config", f"{self.folder}/smtpapi.conf", "--file", str(self.file), "--nginx", NGINX]
        places += ["--nginx-conf", f"{self.folder}/nginx.conf", "--state", f"{self.folder}/kept"]
        return CliRunner().invoke(main, ["setup", "nginx", *places, *arguments])


def _certificate(folder: Path) -> tuple[str, str]:
    key, chain = folder / "key.pem", folder / "chain.pem"
    options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    options += " -subj /CN=x -addext subjectAltName=DNS:track.example.com"
    subprocess.run(
        ["openssl", *options.split(), "-keyout", key, "-out", chain], check=True, capture_output=True
    )
    return str(chain), str(key)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_shown_written_taken_by_nginx_and_undone(tmp_path: Path, tls: bool) -> None:
    place = Place(tmp_path)
    options = ["--certificate", *_certificate(tmp_path)] if tls else []
    assert "+    server_name old.example.org track.example.com;" in place.run(*options).stdout
    assert not place.file.exists()
    done = place.run(*options, "--apply", "--no-reload")
    assert done.exit_code == 0, done.output
    text = place.file.read_text()
    assert text.count("server 127.0.0.1:8123 ") == 2
    assert ("\n    listen 443 ssl" in text, "\n    ssl_certificate_key" in text) == (tls, tls)
    assert "Nothing to change." in place.run(*options, "--apply", "--no-reload").stdout
    place.run("--undo", "--no-reload")
    assert not place.file.exists()


def test_what_nginx_refuses_is_taken_back(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.file.write_text("# mine\n")
    (tmp_path / "conf.d" / "broken.conf").write_text("nonsense on;\n")
    done = place.run("--apply")
    assert done.exit_code == 1
    assert 'unknown directive "nonsense"' in done.stderr
    assert place.file.read_text() == "# mine\n"


def test_what_nginx_refuses_later_leaves_what_was_written_before(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.run("--apply", "--no-reload")
    first = place.file.read_bytes()
    config = tmp_path / "smtpapi.conf"
    config.write_text(config.read_text().replace("old.example.org", "older.example.org"))
    broken = tmp_path / "conf.d" / "broken.conf"
    broken.write_text("nonsense on;\n")
    assert place.run("--apply").exit_code == 1
    assert place.file.read_bytes() == first
    broken.unlink()
    assert place.run("--undo", "--no-reload").exit_code == 0
    assert not place.file.exists()


def test_a_certificate_that_is_not_for_each_host_is_told(tmp_path: Path) -> None:
    place = Place(tmp_path)
    done = place.run("--certificate", *_certificate(tmp_path))
    assert "is not for old.example.org: certbot certonly" in done.stderr
    assert "track.example.com:" not in done.stderr


def test_a_host_with_a_certificate_is_told_of_none(tmp_path: Path) -> None:
    place = Place(tmp_path, "click_tracking_scheme = https")
    assert "certonly --webroot -w /var/www/html -d track.example.com" in place.run().stdout
    output = place.run("--certificate", *_certificate(tmp_path)).stdout
    assert "Certificate of old.example.org" in output
    assert "Certificate of track.example.com" not in output


def test_a_site_without_a_host_of_links_is_told_which_line_is_missing(tmp_path: Path) -> None:
    place = Place(tmp_path)
    (tmp_path / "smtpapi.conf").write_text('smtpapi { }\nESMTP_Listener { Listen ":25" { } }\n')
    done = place.run("--apply")
    assert done.exit_code == 1
    assert "tracking_domain" in done.stderr


def test_http2_is_written_as_the_version_wants_it() -> None:
    pair = (Path("/chain"), Path("/key"))
    old, new = (nginx.configured(("a.test",), "127.0.0.1:1", pair, each) for each in ((1, 22, 1), (1, 27, 0)))
    assert "listen 443 ssl http2;" in old
    assert "\n    http2 on;" not in old
    assert "listen 443 ssl;" in new
    assert "\n    http2 on;" in new
