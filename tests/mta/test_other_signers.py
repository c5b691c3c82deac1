"""rspamd and dkimpy-milter behind the filter: whether their signatures cover both fields of one click.

Real Postfix, signers of Debian (.ci/signers unpacks them), dkimpy as the judge of docs/unsubscribe.md.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import dkim
import pytest

from mta import hop_site, other_signers
from mta.hop_site import FILTER
from mta.opendkim import Keys
from mta.site_parts import html_mail
from web.servers import ROOT

pytestmark = [pytest.mark.mta, pytest.mark.long, pytest.mark.timeout(900)]

Signer = Callable[[Path, Keys, Path, str], AbstractContextManager[None]]

BOTH = {"list-unsubscribe", "list-unsubscribe-post"}
MORE = "ESMTP_Listener { list_unsubscribe_enabled = true }"
PAGE = (ROOT / "docs/unsubscribe.md").read_text("utf-8")


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    other_signers.unpacked()


@contextmanager
def signed_mail(folder: Path, signer: Signer, headers: str) -> Iterator[tuple[bytes, Keys]]:
    """A mail that the filter and then the signer saw."""
    keys = Keys()
    behind = " { unix:milter/signer.sock, default_action=tempfail }"
    with (
        hop_site.running(folder, milters=FILTER + behind, more=MORE) as mta,
        signer(folder, keys, mta.postfix.milter_socket.with_name("signer.sock"), headers),
    ):
        mta.send(["ann@sign.sink.test"], html_mail())
        yield mta.sink.wait_for("ann@sign.sink.test", 60).message, keys


def covered(message: bytes, keys: Keys) -> set[str]:
    """The fields that the site's signature covers; it holds, as dkimpy sees it."""
    assert keys.selectors(message) == ["site"]
    (value,) = (value for name, value in dkim.DKIM(message).headers if name.lower() == b"dkim-signature")
    found = re.search(rb"\bh=([^;]+)", value)
    assert found is not None
    return {name.strip().lower() for name in found[1].decode().split(":")}


def documented(signer: str) -> str:
    """What the page tells to write for a signer."""
    (row,) = re.findall(rf"(?m)^\| {signer}[^|]*\|[^|]*\|(.*)\|$", PAGE)
    found = re.search(r"`SignHeaders ([^`]+)`", row)
    assert found is not None
    return found[1]


OWN = "from:to:subject:date:list-unsubscribe"
CASES = [
    pytest.param(other_signers.rspamd, "", BOTH, id="rspamd as it comes"),
    pytest.param(
        other_signers.rspamd,
        "from:to:subject:date:list-unsubscribe",
        {"list-unsubscribe"},
        id="rspamd, own list",
    ),
    pytest.param(other_signers.dkimpy_milter, "", {"list-unsubscribe"}, id="dkimpy-milter as it comes"),
    pytest.param(other_signers.dkimpy_milter, "documented", BOTH, id="dkimpy-milter as documented"),
]


@pytest.mark.parametrize(("signer", "headers", "expected"), CASES)
def test_what_the_signature_covers(tmp_path: Path, signer: Signer, headers: str, expected: set[str]) -> None:
    if headers == "documented":
        headers = documented("dkimpy-milter")
    with signed_mail(tmp_path, signer, headers) as (message, keys):
        assert covered(message, keys) & BOTH == expected
        for field in (b"List-Unsubscribe: <https://", b"List-Unsubscribe-Post: List-Unsubscribe=One"):
            assert field in message
            changed = message.replace(field, field + b"x")
            is_covered = field.partition(b":")[0].decode().lower() in expected
            assert dkim.DKIM(changed).verify(dnsfunc=keys.lookup) is not is_covered
