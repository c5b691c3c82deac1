"""Tracking domains that people entered, in links: only verified ones, the default of the mail's customer."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from engagement.links.domains_file import DomainsFile
from engagement.registry import open_registry
from engagement.registry.port import RegistryError
from engagement.settings import load_text
from engagement.tracking_domains import copy_file
from engagement.tracking_domains.copy_file import CopyFile
from engagement.tracking_domains.documents import TrackingDomains
from engagement.tracking_domains.follow import CopyWriter
from engagement.tracking_domains.model import (
    NONE,
    CopyError,
    EnteredDomains,
    TrackingDomain,
    decoded,
    encoded,
)
from smtpapi.commands.configuration.check_config import command
from smtpapi.model.message import Field
from smtpapi.model.outcome import Plan
from smtpapi.pipeline.site import Site, with_entered
from tracker_web.links.hosts import entered_names
from tracker_web.server.build import otherwise
from unit.step_site import run, site

SHOP = TrackingDomain("links.shop.example", "shop", secure=True, default=True, verified=True)
OURS = TrackingDomain("go.ours.example", "", default=True, verified=True)
OTHER = TrackingDomain("l.other.example", "other", default=False, verified=True)
BAD = TrackingDomain("bad.ours.example", "bad", secure=True, default=True, verified=False)
ALL = decoded(encoded([SHOP, OURS, OTHER, BAD]))
OPTIONS = "list_unsubscribe_enabled = true"


def links(where: Site, customer: str = "", **context: str) -> list[str]:
    """Where the link, the pixel and the List-Unsubscribe of a mail lead: scheme and host."""
    variables = context | ({"mo_customer_id": customer} if customer else {})
    plan = run(where, context=variables).outcome
    assert isinstance(plan, Plan)
    texts = [edit.new.decode("latin-1") for edit in plan.edits]
    texts += [str(change.value) for change in plan.headers if change.name == "List-Unsubscribe"]
    return ["/".join(text[text.index("http") :].split("/")[:3]) for text in texts]


@pytest.mark.parametrize(
    ("customer", "expected"),
    [
        ("shop", ["https://links.shop.example"] * 3),
        # no certificate is known of: what must be https stays where the configuration has it
        ("", ["http://go.ours.example"] * 2 + ["https://t.example.net"]),
        ("other", ["http://go.ours.example"] * 2 + ["https://t.example.net"]),
        ("bad", ["http://go.ours.example"] * 2 + ["https://t.example.net"]),
    ],
)
def test_new_links_get_the_verified_default_of_their_customer(customer: str, expected: list[str]) -> None:
    assert links(with_entered(site(OPTIONS), ALL), customer) == expected


def test_without_any_the_configuration_counts() -> None:
    only_shop = EnteredDomains(frozenset({SHOP.domain}), {"shop": SHOP})
    assert links(with_entered(site(OPTIONS), only_shop), "else") == links(site(OPTIONS), "else")
    assert links(with_entered(site(OPTIONS), NONE)) == links(site(OPTIONS))


def test_policy_goes_first() -> None:
    where = with_entered(site(OPTIONS), ALL)
    assert links(where, "shop", smtpapi_tracking_domain="p.example.org") == [
        *["http://p.example.org"] * 2,
        "https://p.example.org",
    ]
    found = links(where, "", smtpapi_click_tracking_scheme="https")
    assert found == ["https://go.ours.example", "http://go.ours.example", "https://t.example.net"]


def test_links_to_them_are_known_as_our_own_also_when_they_are_gone() -> None:
    where = with_entered(with_entered(site(), ALL), NONE)
    assert {b"links.shop.example", b"l.other.example", b"t.example.net"} <= where.rules.own_hosts
    assert b"bad.ours.example" not in where.rules.own_hosts


def test_the_copy_has_what_is_verified_and_says_the_same_for_the_same() -> None:
    assert ALL.names == {"links.shop.example", "go.ours.example", "l.other.example"}
    assert set(ALL.defaults) == {"shop", ""}
    assert encoded([OTHER, BAD, SHOP, OURS]) == encoded([SHOP, OURS, OTHER])


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"version": 1}', '{"version": 1, "domains": [{"domain": "a b.c.d"}]}', '{"version": 2}'],
)
def test_a_copy_that_says_something_else_is_refused(text: str) -> None:
    with pytest.raises(CopyError):
        decoded(text.encode())


def test_a_broken_file_changes_nothing_and_is_told_once(tmp_path: Path) -> None:
    reports: list[str] = []
    now = iter(range(100))
    file = CopyFile(tmp_path / "copy", reports.append, lambda: next(now) * 2.0)
    assert file.current() is NONE
    copy_file.write(tmp_path / "copy", encoded([SHOP]))
    assert file.current().names == {SHOP.domain}
    (tmp_path / "copy").write_bytes(b"{")
    assert file.current().names == file.current().names == {SHOP.domain}
    (tmp_path / "copy").unlink()
    assert file.current().names == {SHOP.domain}
    assert [text.split(": ")[1][:12] for text in reports] == ["there is no ", "it holds no ", "there is no "]


def test_the_shipper_writes_what_was_verified(tmp_path: Path) -> None:
    settings = load_text(
        f'store {{ path = "{tmp_path}/e.db" }} registry {{ path = "{tmp_path}/r.db" }}\n'
        f'tracker {{ listen = "127.0.0.1:1" }} spool {{ directory = "{tmp_path}" }} smtpapi {{ }}\n'
        f'entered_domains {{ enabled = true snapshot = "{tmp_path}/copy" }}'
    )
    writer = CopyWriter(lambda: open_registry(settings), tmp_path / "copy")
    names = entered_names(settings, lambda _text: None)
    assert names() == frozenset()
    domains = TrackingDomains(open_registry(settings), "shop")
    made = domains.add("links.shop.example", secure=True)
    assert writer.step()
    assert decoded((tmp_path / "copy").read_bytes()) == NONE
    domains.change(domains.checked(made, "valid", verified=True), default=True)
    assert writer.step()
    assert not writer.step()
    assert decoded((tmp_path / "copy").read_bytes()).of("shop") == replace(SHOP, status="valid")
    assert entered_names(settings, lambda _text: None)() == {"links.shop.example"}
    domains.checked(made, "invalid", verified=False)
    assert writer.step()
    assert json.loads((tmp_path / "copy").read_bytes())["domains"] == []


def test_the_tracker_answers_under_them_also_without_a_token() -> None:
    statuses: list[str] = []
    answer = otherwise(frozenset({"t.example.net"}), "Shop", entered=lambda: ALL.names)
    for host in ("t.example.net", "LINKS.shop.example:80", "bad.ours.example"):
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_HOST": host}
        list(answer(environ, lambda status, _headers, _error=None: statuses.append(status)))  # type: ignore[arg-type] # notes the status alone
    assert [status[:3] for status in statuses] == ["200", "200", "404"]


def test_a_registry_that_fails_is_told_and_asked_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fails() -> None:
        raise RegistryError("not for now")

    writer = CopyWriter(fails, tmp_path / "copy")  # type: ignore[arg-type] # it never returns
    assert [writer.attempt(), writer.attempt()] == [False, False]
    assert caplog.text.count("not for now") == 1


def test_check_config_knows_that_they_are_used(tmp_path: Path) -> None:
    config = tmp_path / "smtpapi.conf"
    text = f'smtpapi {{ }}\nspool {{ directory = "{tmp_path}" }}\ntracker {{ listen = "127.0.0.1:1" }}\n'
    DomainsFile(tmp_path, pytest.fail).used("links.shop.example", 10**6)
    copy_file.write(tmp_path / "c", encoded([SHOP]))
    entered = f'entered_domains {{ enabled = true snapshot = "{tmp_path}/c" }}'
    for more, expected in (("", True), (entered, False)):
        config.write_text(text + more)
        output = CliRunner().invoke(command, [str(config)]).output
        assert ("links to links.shop.example were sent" in output) is expected, output


def test_a_mail_is_not_said_to_be_for_others(tmp_path: Path) -> None:
    """A field that names another customer does not change whose domain it gets: policy sets that alone."""
    where = with_entered(site(), ALL)
    outcome = run(where, Field("X-MSYS-API", b' {"metadata":{"mo_customer_id":"shop"}}')).outcome
    assert isinstance(outcome, Plan)
    assert all(b"shop" not in edit.new.split(b"/f/")[0] for edit in outcome.edits)
