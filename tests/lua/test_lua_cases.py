"""Policies of Momentum's customers, as they are, through a real Postfix: a folder is a case (README.md)."""

import smtplib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from lua.lua_site import Case, LuaSite, cases, facts_of, lua_site
from mta.mta_site import until

pytestmark = pytest.mark.mta


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LuaSite]:
    with lua_site(tmp_path_factory.mktemp("lua")) as one:
        yield one


@pytest.fixture
def absolute_files(case: Case) -> Iterator[None]:
    """Files that a policy names by a path of its own are there while the case runs."""
    made = [Path(name) for name in case.facts.get("files", {}) if name.startswith("/")]
    for path in made:
        assert not path.exists(), f"{path} is this machine's own"
    yield
    for path in made:
        path.unlink(missing_ok=True)


@pytest.mark.usefixtures("absolute_files")
@pytest.mark.parametrize("case", cases(), ids=lambda case: str(case.folder.name))
def test_the_policy_has_the_effect_that_its_case_names(site: LuaSite, case: Case) -> None:
    reported = site.load(case)
    if case.facts.get("refused"):
        assert case.facts["refused"] in reported
        return
    for mail in case.facts["mails"]:
        if "reply" in mail:
            with pytest.raises(smtplib.SMTPDataError) as refused:
                site.send(mail)
            answer = refused.value
            assert isinstance(answer.smtp_error, bytes)
            assert f"{answer.smtp_code} {answer.smtp_error.decode()}" == mail["reply"]
            assert site.nothing_for(mail["to"])
            continue
        site.send(mail)
        for recipient, expected in mail["sees"].items():
            if expected.get("nothing"):
                assert site.nothing_for([recipient])
                continue
            found = facts_of(site, site.got(recipient), expected, recipient)
            assert {name: found.get(name) for name in expected} == expected
        site.hop.idle()
        site.hop.sink.got.clear()
    if steps := case.facts.get("in_order"):
        until(partial(_says, site, steps[-1]), 5, "the last step in the log")
        text = site.hop.filter.log_text()
        assert [step for step in steps if step in text] == steps
        assert sorted(steps, key=text.index) == steps
    for line in case.facts.get("log", ()):
        until(partial(_says, site, line), 5, f"{line} in the log")


def _says(site: LuaSite, line: str) -> bool:
    return line in site.hop.filter.log_text()
