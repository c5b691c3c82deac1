"""One private Postfix with one filter, for all tests that need a real MTA."""

import os
import shutil
from collections.abc import Iterator

import pytest
from mta_site import DOMAIN, Filter, Mta, free_port, open_folders

from demo.postfix import PrivatePostfix, Smtpd

_POLICY = '''
"""Sets what the sender asks for in X-Test-Policy, so that a test can turn policy on for one message."""
from smtpapi.policy import core

def validate_data_spool(msg, ac, vctx):
    for value in msg.header("X-Test-Policy"):
        for word in value.split():
            name, _, text = word.partition("=")
            vctx.set(core.VCTX_MESS, name, text)
'''


@pytest.fixture(scope="session")
def mta(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mta]:
    if os.geteuid() != 0 or shutil.which("postfix", path="/usr/sbin") is None:
        pytest.fail("a real Postfix is needed, and root to start it: run `make test` as root")
    folder = tmp_path_factory.mktemp("mta")
    open_folders(folder)
    names = ("on", "off", "untrusted", "down", "accept-down", "manual", "context")
    ports = {name: free_port() for name in names}
    milters = "unix:milter/milter.sock"
    smtpds = [
        Smtpd(ports[name], {"smtpd_milters": milters}) for name in ("on", "off", "untrusted", "context")
    ]
    smtpds.append(Smtpd(ports["down"], {"smtpd_milters": "unix:milter/nobody.sock"}))
    smtpds.append(
        Smtpd(ports["accept-down"], {"smtpd_milters": "{ unix:milter/nobody.sock, default_action=accept }"})
    )
    postfix = PrivatePostfix(folder / "postfix", smtpds, maildir=folder / "maildir")
    (folder / "policy.py").write_text(_POLICY)
    listener = f"""
policy {{ file = "{folder}/policy.py" }}
ESMTP_Listener {{
  tracking_domain = "{DOMAIN}"
  Listen ":{ports["on"]}" {{ click_tracking_enabled = true open_tracking_enabled = true }}
  Listen ":{ports["off"]}" {{ click_tracking_enabled = false open_tracking_enabled = false }}
  Listen ":{ports["untrusted"]}" {{
    Relay_Hosts = ( "192.0.2.0/24" ) click_tracking_enabled = true open_tracking_enabled = true
  }}
  Listen ":{ports["context"]}" {{
    SMTP_Extensions = (XSETCONTEXT) click_tracking_enabled = true open_tracking_enabled = true
  }}
}}
"""
    with postfix:
        site = Filter(folder / "filter", listener, workers=2, socket_path=postfix.milter_socket)
        with site:
            yield Mta(postfix, site, ports)
