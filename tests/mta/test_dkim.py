"""OpenDKIM behind the filter, on both passes: whatever the filter did, what arrives verifies."""

import base64
import re
from collections.abc import Callable, Iterator, Sequence

import dkim
import pytest

from mta.hop_site import FILTER, HopSite, running
from mta.opendkim import Keys, signing
from mta.site_parts import HTML, html_mail

pytestmark = pytest.mark.mta

_SIGNER = " { unix:milter/opendkim.sock, default_action=tempfail }"


@pytest.fixture(scope="module")
def keys() -> Keys:
    return Keys()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Iterator[HopSite]:
    folder = tmp_path_factory.mktemp("dkim")
    with (
        running(folder, milters=FILTER + _SIGNER) as one,
        signing(folder, keys, one.postfix.milter_socket.with_name("opendkim.sock")),
    ):
        yield one


def _quoted() -> bytes:
    mail = html_mail(b'<p>=C3=A4 <a href=3D"https://shop.example/q?a=3D1">x=\r\n</a></p></body>\r\n' * 3)
    return mail.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", 1)


def _encoded() -> bytes:
    body = base64.encodebytes(HTML * 20).replace(b"\n", b"\r\n")
    return html_mail(body).replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n", 1)


_MAILS: dict[str, Callable[[], bytes]] = {
    "tracked": html_mail,
    "asked": lambda: html_mail(X_MSYS_API='{"campaign_id": "c", "metadata": {"a": "b"}}'),
    "no link": lambda: html_mail(b"<p>nothing to follow\r\n").replace(b"text/html", b"application/x-odd"),
    "not wanted": lambda: html_mail(
        X_MSYS_API='{"options": {"click_tracking": false, "open_tracking": false}}'
    ),
    "quoted-printable": _quoted,
    "base64": _encoded,
    "trailing blank lines": lambda: html_mail(HTML + b"\r\n\r\n"),
    "large": lambda: html_mail(HTML + b"<p>filling, and more of it</p>\r\n" * 8000 + HTML),
}


@pytest.mark.parametrize("people", [["ann"], ["bob", "cyd", "dan"]], ids=["one", "several"])
@pytest.mark.parametrize("name", _MAILS)
def test_each_copy_has_one_signature_of_the_site_and_it_verifies(
    site: HopSite, keys: Keys, name: str, people: Sequence[str]
) -> None:
    label = re.sub("[^a-z]", "", name)
    people = [f"{label}@{who}.sink.test" for who in people]
    site.send(people, _MAILS[name]())
    for who in people:
        got = site.sink.wait_for(who)
        assert keys.selectors(got.message) == ["site"], who
        assert b"x-msys-api" not in got.head.lower()
        opened = [] if name in ("base64", "quoted-printable") else site.filter.links(got.body)
        assert {one.identity.recipient for one in opened} <= {who}
        assert bool(opened) == (name in ("tracked", "asked", "trailing blank lines", "large"))


@pytest.mark.parametrize("people", [["eve"], ["fay", "gus"]], ids=["one", "several"])
def test_a_signature_that_the_mail_came_with_stays_valid(
    site: HopSite, keys: Keys, people: Sequence[str]
) -> None:
    people = [f"x@{who}.sink.test" for who in people]
    mail = html_mail(From="first@other.test")
    signature = dkim.sign(mail, b"theirs", b"other.test", keys.make("theirs", "other.test"))
    site.send(people, signature + mail)
    for who in people:
        got = site.sink.wait_for(who)
        assert got.body == HTML
        assert sorted(keys.selectors(got.message)) == ["site", "theirs"]
