"""Pages in the language that somebody chose, or that their browser asks for; and never in another's."""

import re
import time
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from engagement.settings import load_file
from tracker_web.languages.catalogues import COOKIE
from tracker_web.web.app import create_app
from web.servers import Site, make_site
from web.web_events import a_hit, an_injection, put

PAGES = (
    *("/", "/campaigns", "/messages", "/recipients", "/machines", "/live"),
    *("/suppression", "/webhooks", "/domains", "/access", "/pipeline"),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("languages"))


@pytest.fixture(scope="module")
def app(site: Site) -> Flask:
    return create_app(load_file(site.config))


@pytest.fixture
def client(app: Flask, site: Site) -> Iterator[FlaskClient]:
    with app.test_client() as client:
        token = (site.folder / "web-token").read_text().strip()
        client.get(f"/?token={token}")
        yield client


def page(client: FlaskClient, path: str = "/", accepted: str = "de") -> str:
    end = time.monotonic() + 60
    while (answer := client.get(path, headers={"Accept-Language": accepted})).status_code == 503:
        assert time.monotonic() < end  # a page that is late says so, and is asked for again
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


@pytest.mark.parametrize("path", PAGES)
def test_each_page_is_in_german_for_who_asks_for_it(client: FlaskClient, path: str) -> None:
    german, english = page(client, path), page(client, path, "en")
    assert '<html lang="de">' in german
    assert '<html lang="en">' in english
    headings = [re.findall(r"<h1>(.*?)</h1>|<title>(.*?)</title>", each) for each in (german, english)]
    assert headings[0] != headings[1] or path in ("/live", "/webhooks", "/pipeline")
    assert ">Kampagnen</a>" in german
    assert ">Campaigns</a>" in english


def test_a_choice_is_kept_and_goes_before_the_browsers(client: FlaskClient) -> None:
    found = re.search(r'name="form" value="([^"]+)"', page(client, "/campaigns", "en"))
    assert found is not None
    form = {"form": found[1], "language": "de", "back": "/campaigns?period=7d"}
    answer = client.post("/language", data=form)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/campaigns?period=7d")
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    assert '<html lang="de">' in page(client, "/", "en")
    assert client.post("/language", data=form | {"language": ""}).status_code == 303
    assert '<html lang="en">' in page(client, "/", "en")


@pytest.mark.parametrize(
    "back", ["//elsewhere.example/", "/\\elsewhere.example", "https://elsewhere.example", ""]
)
def test_a_choice_leads_nowhere_else(client: FlaskClient, back: str) -> None:
    found = re.search(r'name="form" value="([^"]+)"', page(client))
    assert found is not None
    answer = client.post("/language", data={"form": found[1], "language": "de", "back": back})
    assert answer.headers["Location"] == "/"


def test_a_choice_needs_the_form_of_the_session(client: FlaskClient) -> None:
    assert client.post("/language", data={"language": "de", "back": "/"}).status_code == 400
    assert client.get_cookie(COOKIE) is None


def test_the_form_to_sign_in_has_a_language_too(app: Flask) -> None:
    with app.test_client() as client:
        answer = client.get("/", headers={"Accept-Language": "de"})
        assert answer.status_code == 401
        text = answer.get_data(as_text=True)
        assert '<html lang="de">' in text
        assert "<h1>Anmelden</h1>" in text
        client.set_cookie(COOKIE, "en")
        assert "<h1>Sign in</h1>" in client.get("/", headers={"Accept-Language": "de"}).get_data(as_text=True)


def test_numbers_and_dates_are_those_of_the_language_and_exports_of_none(
    client: FlaskClient, site: Site
) -> None:
    put(site, an_injection(1), a_hit(seconds=1), a_hit(seconds=2))
    day = page(client, "/messages", "en")
    assert re.search(r'<li class="day">\d+ [A-Z][a-z]+ \d{4}</li>', day)
    assert re.search(r'<li class="day">\d+\. \w+ \d{4}</li>', page(client, "/messages"))
    english, german = (page(client, "/messages?export=csv&table=events", each) for each in ("en", "de"))
    assert english == german
