"""One private Postfix with one filter, for all tests that need a real MTA."""

from collections.abc import Iterator

import pytest

from mta.mta_site import Filter, Mta, free_port, open_folders
from mta.site_parts import four_listeners, need_postfix
from private_mta.postfix import PrivatePostfix, Smtpd

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
    need_postfix()
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
{four_listeners(ports)}
"""
    with postfix:
        site = Filter(folder / "filter", listener, workers=2, socket_path=postfix.milter_socket)
        with site:
            yield Mta(postfix, site, ports)
