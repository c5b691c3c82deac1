"""SparkPost's own clients, unchanged, against the running program; and the table of docs/api.md."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cassandra_site import Node
from clients.client_calls import CALLS, NAMES, REFUSED, Results, check_table, every_call, failed_calls
from clients.client_site import ClientSite, client_site
from mta.smtp_sink import Delivery


class Played:
    """What every client that can run here told, and the place that it told it of."""

    def __init__(self, place: ClientSite) -> None:
        self.place = place
        self.results = every_call(place)

    def mails(self, name: str) -> dict[str, Delivery]:
        """The mails of a client's domain of recipients, by recipient."""
        return {
            each.recipients[0]: each for each in self.place.sink.got if each.recipients[0].startswith(name)
        }


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with client_site(tmp_path_factory.mktemp("clients")) as place:
        yield Played(place)


def results_of(played: Played, name: str) -> Results:
    if name not in played.results:
        pytest.skip(f"{NAMES[name]} is not there: .ci/system test, .ci/sparkpost_{name}")
    return played.results[name]


@pytest.mark.parametrize("name", NAMES)
def test_each_call_is_done(played: Played, name: str) -> None:
    assert failed_calls(results_of(played, name), name) == {}


@pytest.mark.parametrize("name", NAMES)
def test_each_call_is_in_the_table(played: Played, name: str) -> None:
    results = results_of(played, name)
    assert set(results) == {call for names in CALLS.values() for call in names.get(name, ())} | set(
        REFUSED[name]
    )


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_offered_is_an_error_that_the_client_tells(played: Played, name: str) -> None:
    results = results_of(played, name)
    for call, status in REFUSED[name].items():
        assert results[call]["error"], call
        assert results[call].get("status") == status, results[call]


@pytest.mark.parametrize("name", NAMES)
def test_the_mail_is_as_the_client_meant_it(played: Played, name: str) -> None:
    results_of(played, name)
    mails = played.mails(name)
    to, cc = mails[f"{name}.to@rcpt.test"], mails[f"{name}.cc@rcpt.test"]
    for mail in (to, cc):
        assert f"{name}.to@rcpt.test" in mail.field("To")
        assert f"{name}.cc@rcpt.test" in mail.field("Cc")
        assert "bcc" not in mail.head.decode().lower()
        field = mail.field("X-MSYS-API").replace("\\u0020", " ")
        assert f'"campaign_id": "{name} letter"' in field
        assert f'"from": "{name}"' in field
        assert '"click_tracking": false' in field
    if name != "go":
        assert mails[f"{name}.bcc@rcpt.test"].field("Bcc") == ""


def test_answers_say_who_got_it_and_by_which_id(played: Played) -> None:
    python = played.results["python"]["transmissions.send"]["result"]
    assert (python["total_accepted_recipients"], python["total_rejected_recipients"]) == (3, 0)
    assert python["id"] in played.mails("python")["python.to@rcpt.test"].field("X-MSYS-API")
    anymail = played.results["anymail"]["send"]["result"]
    assert set(anymail["recipients"].values()) == {"queued"}
    assert anymail["id"] in played.mails("anymail")["anymail.to@rcpt.test"].field("X-MSYS-API")


def test_anymail_merges_data_and_header_fields(played: Played) -> None:
    mails = played.mails("anymail")
    for who, number in (("One", "1"), ("Two", "2")):
        mail = mails[f"anymail.{who.lower()}@rcpt.test"]
        assert mail.field("Subject") == f"Hi {who}"
        assert mail.body.strip() == f"{who} Shop".encode()
        assert mail.field("X-Who") == number
        assert f'"n": {number}' in mail.field("X-MSYS-API")


def test_go_reads_every_event_as_what_it_is_over_pages(played: Played) -> None:
    results = results_of(played, "go")
    assert sorted(results["MessageEventsSearch, Next"]["result"]) == [
        "click",
        "click",
        "open",
        "open",
        "open",
    ]
    assert set(results["EventSamples"]["result"]) == {"open", "click", "bounce"}
    assert "track_event/click" in results["EventDocumentation"]["result"]
    (figures,) = results["QueryMetrics ()"]["result"]
    assert figures["count_clicked"] == 2


def test_node_gets_both_forms_of_links(played: Played) -> None:
    results = results_of(played, "node")
    assert "next" in results["events.searchMessage"]["result"]["links"]
    assert results["messageEvents.search"]["result"]["links"][0]["rel"] == "next"
    assert len(results["messageEvents.search"]["result"]["results"]) == 2


def test_the_lists_of_names_are_read_without_a_window(played: Played) -> None:
    assert played.results["python"]["metrics.campaigns.list"]["result"] == ["autumn"]
    assert played.results["python"]["metrics.domains.list"]["result"] == ["example.net"]


def test_old_booleans_are_two_entries(played: Played) -> None:
    found = played.results["python"]["suppression_list.get"]["result"]
    assert {(each["recipient"], each["type"]) for each in found} == {
        ("python+one@rcpt.test", "transactional"), ("python+one@rcpt.test", "non_transactional"),
    }  # fmt: skip


def test_the_page_has_the_table(played: Played) -> None:
    check_table(played.results)


@pytest.mark.long
def test_the_same_in_a_cluster(cassandra_node: Node, tmp_path: Path) -> None:
    cassandra_node.migrated("clients")
    store = cassandra_node.stanza("clients")
    with client_site(tmp_path, store) as place:
        played = Played(place)
        for name in played.results:
            test_each_call_is_done(played, name)
            test_what_is_not_offered_is_an_error_that_the_client_tells(played, name)
            test_the_mail_is_as_the_client_meant_it(played, name)
