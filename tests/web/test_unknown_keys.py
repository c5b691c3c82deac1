"""Links of a key that this host lacks are told of, and shown."""

import subprocess
import sys
from pathlib import Path

from engagement.links.keys import Ring
from web.servers import fetch, make_site, running
from web.web_cases import KEY, token

SMTPAPI = Path(sys.executable).with_name("smtpapi")


def test_h20_links_of_an_unknown_key_are_logged_once_counted_and_shown(tmp_path: Path) -> None:
    other = Ring((KEY,)).rotated(bytes(range(7, 39)), 1, 4711).signing
    site = make_site(tmp_path)
    with running(site):
        for _ in range(30):
            assert fetch(site.port, f"/f/a/{token(key=other)}").status == 404
        assert fetch(site.port, f"/f/a/{token()}").status == 302
    log = (tmp_path / "log").read_text()
    assert log.count("keys that this host's ring lacks") == 1
    assert "of key 4711 so far" in log
    command = [str(SMTPAPI), "ship", "--status", "--config", str(site.config)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "unknown   links of keys that the ring here lacks, answered with 404: 1 of key 4711" in output
