"""OpenDKIM behind the filter in Sendmail, on both passes: what arrives verifies."""

from collections.abc import Iterator, Sequence

import dkim
import pytest

from mta.opendkim import Keys, signing
from mta.sendmail_site import READDRESS, Site, running
from mta.site_parts import HTML, html_mail

pytestmark = pytest.mark.mta

_DIRECTIVE = '{"campaign_id": "c", "metadata": {"a": "b"}}'
_OPTED_OUT = '{"options": {"click_tracking": false, "open_tracking": false}}'


@pytest.fixture(scope="module")
def keys() -> Keys:
    return Keys()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("sendmail")
    path = folder / "opendkim.sock"
    signer = f"INPUT_MAIL_FILTER(`opendkim', `S=local:{path}, F=T')dnl"
    with signing(folder, keys, path), running(folder, READDRESS, signer) as one:
        yield one


@pytest.mark.parametrize("people", [["ann"], ["bob", "cyd", "dan"]], ids=["one", "several"])
@pytest.mark.parametrize(
    ("name", "message", "tracked"),
    [
        ("plain", html_mail(), True),
        ("asked", html_mail(X_MSYS_API=_DIRECTIVE), True),
        ("unlabelled", html_mail(labels=False), True),
        ("unwanted", html_mail(X_MSYS_API=_OPTED_OUT), False),
        ("two lines", html_mail(Cc="b@d.test, c@d.test,\r\n  Dee <d@d.test>"), True),
        ("large", html_mail(HTML + b"<p>filling, and more of it</p>\r\n" * 8000 + HTML), True),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_copy_has_one_signature_of_the_site_and_it_verifies(
    site: Site, keys: Keys, name: str, message: bytes, tracked: bool, people: Sequence[str]
) -> None:
    people = [f"{who}@{name.replace(' ', '-')}.test" for who in people]
    site.send(people, message)
    for who in people:
        got = site.sink.wait_for(who)
        assert keys.selectors(got.message) == ["site"], who
        opened = site.filter.links(got.body)
        assert {one.identity.recipient for one in opened} <= {who}
        assert bool(opened) == tracked


@pytest.mark.parametrize("people", [["eve@s.test"], ["fay@s.test", "gus@s.test"]], ids=["one", "several"])
def test_a_signature_that_the_mail_came_with_stays_valid(site: Site, keys: Keys, people: list[str]) -> None:
    message = html_mail().replace(b"sender@sender.test", b"first@other.test")
    signature = dkim.sign(message, b"theirs", b"other.test", keys.make("theirs", "other.test"))
    site.send(people, signature + message)
    for who in people:
        got = site.sink.wait_for(who)
        assert got.body == HTML
        assert "theirs" in keys.selectors(got.message)
