"""Recipients that lead to one person, through a real Sendmail: as many deliveries tracked as not (H27)."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mta.mta_site import until
from mta.sendmail_site import READDRESS, Site, running
from mta.site_parts import HTML, html_mail

pytestmark = pytest.mark.mta

_FEATURES = """\
undefine(`LOCAL_RELAY')dnl
define(`ALIAS_FILE', `{folder}/aliases')dnl
FEATURE(`virtusertable', `text -v1 -k0 {folder}/virtual')dnl
VIRTUSER_DOMAIN(`virtual.test')dnl
"""
_ALIASES = """\
team: bob@d.test, cat@d.test
others: cat@d.test, dan@d.test
solo: bob@d.test
"""
_HERE = "mail.example.test"
_BOB, _TEAM, _SOLO = "bob@d.test", f"team@{_HERE}", f"solo@{_HERE}"


@contextmanager
def _running(folder: Path, directive: str = "") -> Iterator[Site]:
    (folder / "sendmail").mkdir()
    (folder / "sendmail/aliases").write_text(_ALIASES)
    (folder / "sendmail/virtual").write_text("info@virtual.test bob@d.test\n")
    with running(folder, f"{READDRESS} {directive}", features=_FEATURES) as site:
        site.sendmail.new_aliases()
        yield site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with _running(tmp_path_factory.mktemp("sendmail")) as one:
        yield one


def _delivered(site: Site, people: list[str], port: str, number: int) -> tuple[Counter[str], set[str]]:
    """How many copies each got, and whose links stand in them."""
    name = f"{number}-{port}"
    site.send(people, html_mail(X_Number=name), port=port)
    until(lambda: any(each.field("X-Number") == name for each in site.sink.got), what="a delivery")
    site.idle()
    got = [each for each in site.sink.got if each.field("X-Number") == name]
    owners = {one.identity.recipient for each in got for one in site.filter.links(each.body)}
    return Counter(who.lower() for each in got for who in each.recipients), owners


_CASES = (
    (_TEAM, _BOB),
    (_BOB, _TEAM),
    (_SOLO, _BOB),
    (_TEAM, _SOLO),
    (_TEAM, f"others@{_HERE}"),
    ("team", "x@d.test"),
    ("info@virtual.test", _BOB),
    ("info@virtual.test", _TEAM),
    (_BOB, "bob@D.TEST"),
    (_BOB, _BOB),
)


@pytest.mark.parametrize("number", range(len(_CASES)), ids=["+".join(case) for case in _CASES])
def test_h27_as_many_deliveries_with_tracking_as_without(site: Site, number: int) -> None:
    people = list(_CASES[number])
    untracked, nobody = _delivered(site, people, "off", number)
    tracked, _ = _delivered(site, people, "on", number)
    assert nobody == set()
    assert tracked == untracked


def test_h27_mail_that_cannot_overlap_is_tracked_for_each(site: Site) -> None:
    _, owners = _delivered(site, [_BOB, "x@d.test", "y@e.test"], "on", 50)
    assert owners == {_BOB, "x@d.test", "y@e.test"}


def test_h27_an_alias_alone_is_tracked(site: Site) -> None:
    counts, owners = _delivered(site, [_TEAM], "on", 51)
    assert counts == {"bob@d.test": 1, "cat@d.test": 1}
    assert owners == {_TEAM}


_APART = [f"others@{_HERE}", _BOB]
_EACH_ONCE = {"bob@d.test": 1, "cat@d.test": 1, "dan@d.test": 1}


def test_h27_what_may_overlap_goes_untracked(site: Site) -> None:
    assert _delivered(site, _APART, "on", 52) == (_EACH_ONCE, set())
    bodies = {each.body for each in site.sink.got if each.field("X-Number") == "52-on"}
    assert bodies == {HTML}
    assert "one may be an alias of another" in site.filter.log_text()


def test_h27_an_operator_may_know_that_nothing_overlaps(tmp_path: Path) -> None:
    with _running(tmp_path, "overlapping_aliases = false") as site:
        assert _delivered(site, _APART, "on", 53) == (_EACH_ONCE, set(_APART))
