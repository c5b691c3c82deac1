"""`/suppression-list`, as SparkPost's clients call it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from api.api_site import ApiSite, make_api_site
from engagement.registry import open_registry
from engagement.suppression import book
from engagement.suppression.model import Entry, MailKind, Source

T, N = MailKind.TRANSACTIONAL, MailKind.NON_TRANSACTIONAL
LIST = "/suppression-list"


@pytest.fixture
def site(tmp_path: Path) -> ApiSite:
    return make_api_site(tmp_path)


def errors(answer: Any) -> list[str]:
    return [each["message"] for each in answer.json["errors"]]


def recipients(answer: Any) -> list[tuple[str, str]]:
    assert answer.status_code == 200, answer.text
    return [(each["recipient"], each["type"]) for each in answer.json["results"]]


def test_what_clients_put_is_found_and_removed(site: ApiSite) -> None:
    put = site.call("PUT", f"{LIST}/a+b@x.test", json={"transactional": True, "description": "asked"})
    assert (put.status_code, put.json) == (
        200,
        {"results": {"message": "Suppression list successfully updated"}},
    )
    body: Any = {"recipients": [{"email": "C@X.test", "non_transactional": True}, {"recipient": "d@y.test"}]}
    wrong = site.call("PUT", LIST, json=body)
    assert wrong.status_code == 400
    assert errors(wrong) == ["PUT body contains 1 invalid or malformed recipient(s): d@y.test"]
    body["recipients"][1]["type"] = "transactional"
    many = site.call("PUT", f"{LIST}/", json=body)
    assert many.json == {"results": {"message": "Suppression List successfully updated"}}
    assert recipients(site.get(LIST)) == [
        ("a+b@x.test", "transactional"),
        ("c@x.test", "non_transactional"),
        ("d@y.test", "transactional"),
    ]
    one = site.get(f"{LIST}/A%2Bb%40x.test")
    assert (one.json["links"], one.json["total_count"]) == ([], 1)
    assert one.json["results"][0]["description"] == "asked"
    assert site.call("DELETE", f"{LIST}/a+b@x.test").status_code == 204
    gone = site.get(f"{LIST}/a+b@x.test")
    assert (gone.status_code, errors(gone)) == (404, ["Recipient could not be found"])
    again = site.call("DELETE", f"{LIST}/a+b@x.test")
    assert (again.status_code, errors(again)) == (404, ["Recipient could not be found"])


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "Must supply a suppression type"),
        ({"type": "both"}, "Type must be one of: 'transactional', 'non_transactional'"),
        ({"type": "transactional", "list_id": "a..b"}, "list_id must have"),
    ],
)
def test_a_wrong_entry_is_told_in_sparkposts_words(site: ApiSite, body: dict[str, str], text: str) -> None:
    answer = site.call("PUT", f"{LIST}/a@x.test", json=body)
    assert answer.status_code == 400
    assert errors(answer)[0].startswith(text)


def fill(site: ApiSite) -> None:
    registry = open_registry(site.settings)
    book.add_many(
        registry,
        [
            Entry("a@x.test", N, Source.SPAM_COMPLAINT, "said so", updated_ms=1_793_000_000_000),
            Entry("a@x.test", T, Source.BOUNCE_RULE, "", updated_ms=1_793_000_001_000),
            Entry("b@y.test", N, Source.LIST_UNSUBSCRIBE, "", "news", updated_ms=1_793_000_002_000),
            Entry("c@y.test", N, Source.COMPLIANCE, "", updated_ms=1_793_000_003_000),
            Entry("z@y.test", N, tenant="31"),
        ],
    )
    registry.close()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "aabc"),
        ("types=transactional", "a"),
        ("types=transactional&types=non_transactional", "aabc"),
        ("sources=Spam%20Complaint,bounce_rule", "aa"),
        ("domain=y.test", "bc"),
        ("description=SAID", "a"),
        ("description=said&description_strict=true", ""),
        ("list_id=news", "b"),
        ("list_id=", "aac"),
        ("from=2026-10-26T07:33:22&to=2026-10-26T07:33:23Z", "b"),
        ("sort=desc", "cbaa"),
        ("limit=2", "aa"),
        ("per_page=3&page=2", "c"),
        ("cursor=initial", "aabc"),
    ],
)
def test_entries_are_searched(site: ApiSite, query: str, found: str) -> None:
    fill(site)
    answer = site.get(f"{LIST}?{query}")
    assert "".join(address[0] for address, _ in recipients(answer)) == found


@pytest.mark.parametrize("sort", ["", "asc", "desc"])
def test_links_lead_through_all_pages(site: ApiSite, sort: str) -> None:
    fill(site)
    key, path, seen = site.key(), f"{LIST}?per_page=1&sort={sort}&types=non_transactional", []
    while path:
        answer = site.get(path, key)
        seen += recipients(answer)
        assert answer.json["total_count"] == 3
        links = answer.json["links"]
        path = links[0]["href"].removeprefix("/api/v1") if links else ""
    assert [address[0] for address, _ in seen] == (list("cba") if sort == "desc" else list("abc"))


@pytest.mark.parametrize(
    "query",
    [
        *("types=x", "sources=x", "list_id=a..b", "per_page=0", "per_page=10001", "page=11", "sort=x"),
        *("cursor=%21", "sort=asc&cursor=eA=="),
    ],
)
def test_a_wrong_search_is_refused(site: ApiSite, query: str) -> None:
    assert site.get(f"{LIST}?{query}").status_code == 400


def test_the_summary_counts_by_source(site: ApiSite) -> None:
    fill(site)
    assert site.get(f"{LIST}/summary").json == {
        "results": {
            "compliance": 1,
            "manually_added": 0,
            "unsubscribe_link": 0,
            "bounce_rule": 1,
            "list_unsubscribe": 1,
            "spam_complaint": 1,
            "total": 4,
        }
    }


def test_entries_are_removed_by_type_and_list_and_compliance_stays(site: ApiSite) -> None:
    fill(site)
    assert site.call("DELETE", f"{LIST}/b@y.test?list_id=").status_code == 404
    assert site.call("DELETE", f"{LIST}/b@y.test?list_id=news").status_code == 204
    assert site.call("DELETE", f"{LIST}/a@x.test", json={"type": "transactional"}).status_code == 204
    assert recipients(site.get(f"{LIST}/a@x.test")) == [("a@x.test", "non_transactional")]
    assert site.call("DELETE", f"{LIST}/a@x.test", json={"type": "x"}).status_code == 400
    stays = site.call("DELETE", f"{LIST}/c@y.test")
    assert (stays.status_code, errors(stays)) == (403, ["Recipient could not be removed - Compliance"])


def test_a_key_sees_and_changes_its_tenants_entries_alone(site: ApiSite) -> None:
    fill(site)
    theirs = site.key(tenant="31")
    assert recipients(site.get(LIST, theirs)) == [("z@y.test", "non_transactional")]
    assert site.get(f"{LIST}/a@x.test", theirs).status_code == 404
    assert site.call("DELETE", f"{LIST}/a@x.test", theirs).status_code == 404
    site.call("PUT", f"{LIST}/a@x.test", theirs, json={"type": "transactional"})
    assert len(recipients(site.get(f"{LIST}/a@x.test"))) == 2
    assert site.get(f"{LIST}/summary", theirs).json["results"]["total"] == 2


def test_too_many_entries_are_refused(site: ApiSite) -> None:
    entries = [{"recipient": f"a{number}@x.test", "type": "transactional"} for number in range(10_001)]
    key = site.key()
    assert site.call("PUT", LIST, key, json={"recipients": entries}).status_code == 400
    assert site.call("PUT", LIST, key, json={"recipients": entries[1:]}).status_code == 200
    deadline = time.monotonic() + 120
    while (answer := site.get(f"{LIST}/summary", key)).status_code == 503:  # it is still being read
        assert time.monotonic() < deadline
    assert answer.json["results"]["manually_added"] == 10_000
