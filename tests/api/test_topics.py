"""Tracking domains, recipients, single messages: what each call does to whom."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dns.message
import dns.rdataclass
import dns.rdatatype
import dns.resolver
import dns.rrset
import pytest
from click.testing import CliRunner

from api.api_site import ApiSite, make_api_site
from contract.store_samples import SampleRows
from engagement.events.record import encode
from engagement.links.model import Kind
from engagement.registry import open_registry
from engagement.settings import load_file
from engagement.spool.write import SpoolWriter
from engagement.tracking_domains.documents import TrackingDomains
from engagement.tracking_domains.model import domain_name
from smtpapi.commands import main
from tracker_web.domains.verify import answers, verify
from tracker_web.links.well_known import INSTALLATION, installation
from web.web_cases import HOST, TARGET, token
from web.web_events import a_hit

MAIL = (
    "From: news@example.org\r\nTo: a@example.net\r\nSubject: Autumn\r\nMIME-Version: 1.0\r\n"
    "Content-Type: text/html; charset=utf-8\r\n\r\n"
    '<html><body><a href="https://shop.example.org/a">shop</a> <a href="mailto:a@b">mail</a></body></html>'
)


@pytest.fixture
def site(tmp_path: Path) -> ApiSite:
    return make_api_site(tmp_path)


# --- tracking domains ---


def test_life_of_a_tracking_domain(site: ApiSite) -> None:
    key = site.key()
    name = "click.news.example.org"
    assert site.get("/tracking-domains", key).json == {"results": []}
    made = site.call("POST", "/tracking-domains", key, json={"domain": "Click.News.Example.org"})
    assert (made.status_code, made.json) == (200, {"results": {"domain": name}})
    again = site.call("POST", "/tracking-domains", key, json={"domain": name})
    assert (again.status_code, again.json["errors"][0]["message"]) == (
        409,
        "The tracking domain already exists",
    )
    shown = site.get(f"/tracking-domains/{name.upper()}", key).json["results"]
    assert (shown["domain"], shown["port"], shown["secure"], shown["default"]) == (name, 80, False, False)
    assert shown["status"]["verified"] is False
    refused = site.call("PUT", f"/tracking-domains/{name}", key, json={"default": True})
    assert (refused.status_code, refused.json["errors"][0]["message"]) == (
        422,
        f"Tracking domain '{name}' unverified.",
    )
    assert site.call("PUT", f"/tracking-domains/{name}", key, json={"secure": True}).status_code == 200
    assert site.get(f"/tracking-domains/{name}", key).json["results"]["port"] == 443
    gone = site.call("DELETE", f"/tracking-domains/{name}/", key)
    assert (gone.status_code, gone.data, "Content-Type" in gone.headers) == (204, b"", False)
    assert site.get(f"/tracking-domains/{name}", key).status_code == 404


@pytest.mark.parametrize(
    "name", ["", "example", "example.org", "-a.example.org", "a..b.c", "10.0.0.1", "å.b.c", "a" * 300]
)
def test_names_that_are_no_tracking_domain(site: ApiSite, name: str) -> None:
    with pytest.raises(ValueError, match="valid"):
        domain_name(name)
    assert site.call("POST", "/tracking-domains", json={"domain": name}).status_code == 422


def test_domain_belongs_to_one_tenant(site: ApiSite) -> None:
    north, south = site.key(tenant="north"), site.key(tenant="south")
    assert site.call("POST", "/tracking-domains", north, json={"domain": "a.b.example"}).status_code == 200
    assert site.call("POST", "/tracking-domains", south, json={"domain": "a.b.example"}).status_code == 409
    assert site.get("/tracking-domains", south).json == {"results": []}
    for method, path in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/verify")):
        assert site.call(method, f"/tracking-domains/a.b.example{path}", south, json={}).status_code == 404


class Zone:
    """A resolver of a small zone: name to its records."""

    nameservers = ("192.0.2.53",)

    def __init__(self, **lines: str) -> None:
        self.lines = [line for text in lines.values() for line in text.splitlines()]

    def resolve(self, name: Any, kind: Any, *, lifetime: float) -> Any:
        question = dns.message.make_query(str(name), kind)
        answer = dns.message.make_response(question)
        searched = f"{name}."
        for _ in range(5):
            for line in self.lines:
                owner, sort, value = line.split()
                if owner == searched and (sort == "CNAME" or sort == dns.rdatatype.to_text(kind)):
                    answer.answer.append(dns.rrset.from_text(owner, 60, "IN", sort, value))
                    searched = value if sort == "CNAME" else ""
        if not any(line.startswith(f"{name}.") for line in self.lines):
            raise dns.resolver.NXDOMAIN(qnames=[question.question[0].name], responses={})
        read: Any = dns.message.from_wire(answer.to_wire())
        return dns.resolver.Answer(question.question[0].name, kind, dns.rdataclass.IN, read)


OURS = f"{HOST}. A 192.0.2.7"


@pytest.mark.parametrize(
    ("zone", "status"),
    [
        ("click.x.example. CNAME track.example.com.", "valid"),
        ("click.x.example. CNAME other.x.example.\nother.x.example. CNAME track.example.com.", "valid"),
        ("click.x.example. A 192.0.2.7", "valid"),
        ("click.x.example. A 192.0.2.8", "invalid"),
        ("click.x.example. CNAME elsewhere.example.\nelsewhere.example. A 192.0.2.8", "invalid"),
        ("", "pending"),
    ],
)
def test_dns_decides_and_the_answer_says_what_was_seen_and_expected(
    site: ApiSite, zone: str, status: str
) -> None:
    queries = []

    def ask(name: str, address: str, port: int, secure: bool, expected: bytes) -> str:
        queries.append((name, address, port, secure, expected))
        return ""

    found = verify(
        site.settings, "click.x.example", secure=False, resolver=Zone(ours=OURS, theirs=zone), ask=ask
    )
    assert (found.status, found.verified) == (status, status == "valid")
    assert "192.0.2.7" in found.addresses
    assert HOST in found.names
    assert found.resolvers == ("192.0.2.53",)
    expected = [("click.x.example", "192.0.2.7", 80, False, installation(site.settings))]
    assert queries == (expected if status == "valid" else [])


@contextmanager
def _server(body: bytes, status: int = 200) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == INSTALLATION else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_who_answers_is_this_installation_or_the_reason_is_told(site: ApiSite) -> None:
    right = installation(site.settings)
    with _server(right) as port:
        assert answers("click.x.example", "127.0.0.1", port, False, right) == ""
        assert "another installation" in answers("click.x.example", "127.0.0.1", port, False, b"x")
        assert answers("click.x.example", "127.0.0.1", port, True, right) != ""
    with _server(b"", 503) as port:
        assert "answered 503" in answers("click.x.example", "127.0.0.1", port, False, right)
    assert "refused" in answers("click.x.example", "127.0.0.1", port, False, right)


def test_verified_domain_can_be_the_one_default(site: ApiSite) -> None:
    key, domains = site.key(), TrackingDomains(open_registry(site.settings), "")
    for name in ("a.b.example", "c.d.example"):
        domains.checked(domains.add(name, secure=False), "valid", verified=True)
        assert site.call("PUT", f"/tracking-domains/{name}", key, json={"default": True}).status_code == 200
    defaults = site.get("/tracking-domains?default=true", key).json["results"]
    assert [each["domain"] for each in defaults] == ["c.d.example"]


# --- recipients ---


def test_export_gives_all_of_one_recipient_by_pages(site: ApiSite) -> None:
    sample = SampleRows()
    mine = sample.injection() + sample.hit() + sample.hit(at=1, expired=True)
    site.add(mine + sample.hit(message=2, recipient="ole@example.net"))
    key = site.key("recipients/view")
    first = site.get("/x/recipients/Ida%40Example.NET?per_page=2", key).json
    second = site.get(first["links"]["next"].removeprefix("/api/v1"), key).json
    found = [event["event_id"] for event in first["results"] + second["results"]]
    assert sorted(found) == sorted(row.event_id for row in mine)
    assert (first["total_count"], second["links"]) == (3, {})
    other = first["links"]["next"].replace("Ida%40Example.NET", "ole@example.net")
    assert site.get(other.removeprefix("/api/v1"), key).status_code == 400
    assert site.get("/x/recipients/ida@example.net", site.key(tenant="north")).json["results"] == []
    assert site.get("/x/recipients/nonsense", key).status_code == 400


def test_erasure_is_carried_out_by_the_shipper(site: ApiSite) -> None:
    """Also of what only waits in the spool when it is asked for."""
    writer = SpoolWriter(site.site.spool)
    writer.append(encode(a_hit(Kind.OPEN)))
    writer.close()
    key = site.key()
    answer = site.call("DELETE", "/x/recipients/Ida.Holm@Example.net", key)
    assert (answer.status_code, answer.json["results"]["message"]) == (202, "Request saved.")
    name = answer.json["results"]["id"]
    assert site.get(f"/x/erasures/{name}", key).json["results"]["done"] is False
    assert site.get(f"/x/erasures/{name}", site.key(tenant="north")).status_code == 404
    shipped = CliRunner().invoke(main, ["ship", "--once", "--config", str(site.site.config)])
    assert shipped.exit_code == 0, shipped.output
    done = site.get(f"/x/erasures/{name}", key).json["results"]
    assert (done["done"], done["events"]) == (True, 1)
    assert site.get("/x/recipients/ida.holm@example.net", key).json["results"] == []
    registry = Path(site.settings.registry.path)
    files = [path.read_bytes().lower() for path in registry.parent.glob(f"{registry.name}*")]
    assert [b"ida.holm@example.net" in content for content in files] == [False] * len(files)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"recipients": ["a@example.net"] * 1001}, "Exceeded maximum number of recipients (1000)"),
        ({"recipients": ["nobody"]}, "invalid email address"),
        ({"recipients": []}, "'recipients' is required"),
    ],
)
def test_what_privacy_calls_refuse(site: ApiSite, body: dict[str, Any], message: str) -> None:
    for path in ("rtbf-request", "opt-out-request"):
        answer = site.call("POST", f"/data-privacy/{path}", json=body)
        assert (answer.status_code, answer.json["errors"][0]["message"]) == (400, message)


def test_opt_out_goes_on_the_list_that_the_tracker_reads(tmp_path: Path) -> None:
    listed = tmp_path / "objections"
    listed.write_text("# who objected\n@example.com")
    site = make_api_site(tmp_path, f'privacy {{ objections = "{listed}" }}')
    body = {"recipients": ["Ida.Holm@example.net", "ole@example.net", "ida.holm@example.net"]}
    for _ in range(2):
        answer = site.call("POST", "/data-privacy/opt-out-request", json=body)
        assert (answer.status_code, answer.json) == (200, {"results": {"message": "Request saved."}})
    assert listed.read_text() == "# who objected\n@example.com\nida.holm@example.net\nole@example.net\n"
    listed.unlink()
    assert site.call("POST", "/data-privacy/opt-out-request", json=body).status_code == 503


def test_opt_out_without_a_list_says_what_is_missing(site: ApiSite) -> None:
    answer = site.call("POST", "/data-privacy/opt-out-request", json={"recipients": ["a@example.net"]})
    assert answer.status_code == 422
    assert "privacy { objections }" in answer.json["errors"][0]["message"]


# --- single messages ---


def test_timeline_tells_a_message_oldest_first(site: ApiSite) -> None:
    sample = SampleRows()
    site.add(sample.injection() + sample.hit(at=5) + sample.hit(Kind.OPEN, at=1))
    found = site.get("/x/messages/" + "00" * 15 + "01/timeline").json["results"]
    assert [event["type"] for event in found["events"]] == ["injection", "open", "click"]
    assert (found["subject"], found["campaign_id"]) == ("Autumn", "autumn")
    assert found["events"][1]["x_client_class"] == "human"
    assert site.get("/x/messages/" + "00" * 15 + "01/timeline", site.key(tenant="north")).status_code == 404
    for name in ("00" * 16, "nonsense", "00" * 15 + "01,x"):
        assert site.get(f"/x/messages/{name}/timeline").status_code == 404


def test_decode_tells_what_a_link_holds(site: ApiSite) -> None:
    url = f"https://{HOST}/f/a/{token()}"
    answer = site.call("POST", "/x/links/decode", json={"urls": [url, "https://example.org/"]})
    good, bad = answer.json["results"]
    assert (good["url"], good["target"], good["recipient"]) == (
        url,
        TARGET.decode(),
        "Ida.Holm@Example.net",
    )
    assert "not a tracked link" in bad["error"]
    alone = site.call("POST", "/x/links/decode", json={"url": url}).json["results"]
    assert alone == [good]
    stranger = site.call("POST", "/x/links/decode", site.key(tenant="north"), json={"url": url}).json[
        "results"
    ]
    assert set(stranger[0]) == {"url", "error"}
    bodies: tuple[dict[str, Any], ...] = (
        {},
        {"urls": []},
        {"urls": ["x"] * 101},
        {"url": "x" * 9000},
        {"urls": "x"},
        {"urls": [7]},
    )
    for body in bodies:
        assert site.call("POST", "/x/links/decode", json=body).status_code == 422


def test_decode_without_a_readable_ring_says_so(site: ApiSite) -> None:
    Path(site.settings.keys.ring).unlink()
    answer = site.call("POST", "/x/links/decode", json={"url": "https://example.org/"})
    assert answer.status_code == 503
    assert "key ring" in answer.json["errors"][0]["message"]


def test_preview_shows_what_the_filter_would_do(site: ApiSite, monkeypatch: pytest.MonkeyPatch) -> None:
    site.site.config.write_text(
        site.site.config.read_text().replace(
            'Listen ":2525" {', 'click_tracking_enabled = true open_tracking_enabled = true Listen ":2525" {'
        )
    )
    load_file(site.site.config)
    monkeypatch.setenv("SMTPAPI_CONFIG", str(site.site.config))
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parents[2]}/milter:{Path(__file__).parents[2]}")
    answer = site.call("POST", "/x/preview", json={"email_rfc822": MAIL})
    assert answer.status_code == 200, answer.json
    found = answer.json["results"]
    assert (found["subject"], found["tracked"]) == ("Autumn", True)
    shop = next(link for link in found["links"] if link["before"] == "https://shop.example.org/a")
    assert (shop["changed"], shop["after"].startswith(f"http://{HOST}/f/a/")) == (True, True)
    mail = next(link for link in found["links"] if link["before"].startswith("mailto:"))
    assert (mail["changed"], bool(mail["note"])) == (False, True)
    for body in ({}, {"email_rfc822": ""}, {"email_rfc822": MAIL, "recipient": "a\nb"}, {"email_rfc822": 7}):
        assert site.call("POST", "/x/preview", json=body).status_code == 422
