"""`web { recipients_seen_by }`: to roles below it no page and no export shows an address."""

import re
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from engagement.access.users import Role, Users
from engagement.registry.sqlite import SqliteRegistry
from engagement.settings import load_file
from tracker_web.pages.without_recipient import without_recipient
from tracker_web.web.app import create_app
from web.servers import Site
from web.shown_site import ADDRESS, CAMPAIGN, MESSAGE, PAGES, PERIOD, shown_site
from web.signing_in import HOST, PASSWORD, sign_in

ANY_ADDRESS = re.compile(r"friend\d*(?:@|%40|=)|192\.0\.2\.|198\.51\.100\.|203\.0\.113\.")
WITHOUT = ("/recipients", f"/recipients?address={ADDRESS}", "/suppression", f"/messages?q={ADDRESS}")


class Somebody:
    """One who signed in, with a role."""

    def __init__(self, site: Site, role: Role) -> None:
        registry = SqliteRegistry(site.folder / "registry.db")
        Users(registry).add(role.value, PASSWORD, role)
        registry.close()
        self._client = create_app(load_file(site.config)).test_client()
        assert sign_in(self._client, role.value).status_code == 303

    def get(self, path: str) -> TestResponse:
        for _ in range(60):  # on a busy machine a page may take longer than the server waits for it
            answer = self._client.get(path, headers=HOST)
            if answer.status_code != 503:
                break
            time.sleep(0.2)
        return answer


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = shown_site(tmp_path_factory.mktemp("seen"), mails=6)
    with made.config.open("a") as file:
        file.write('\nweb { recipients_seen_by = "manages" }\n')
    return made


@pytest.fixture(scope="module")
def looks(site: Site) -> Somebody:
    return Somebody(site, Role.LOOKS)


def test_no_page_and_no_export_shows_an_address(looks: Somebody) -> None:
    seen = 0
    for path in (*PAGES, "/live/new?after="):
        for of in ("", "&export=csv", "&export=json"):
            answer = looks.get(f"{path}{of if '?' in path else of.replace('&', '?', 1)}")
            assert answer.status_code in (200, 403, 404, 503), path
            text = answer.get_data(as_text=True)
            text = text.replace(quote(ADDRESS), "").replace(ADDRESS, "") if ADDRESS in path else text
            assert ANY_ADDRESS.search(text) is None, (path, ANY_ADDRESS.search(text))
            seen += answer.status_code == 200
    assert seen > 30
    assert "clicked" in looks.get(f"/messages/{MESSAGE}").get_data(as_text=True)


@pytest.mark.parametrize("path", WITHOUT)
def test_there_is_no_search_for_one(looks: Somebody, path: str) -> None:
    assert looks.get(path).status_code == 403
    assert 'href="/recipients"' not in looks.get(f"/{PERIOD}").get_data(as_text=True)


def test_who_manages_sees_them(site: Site) -> None:
    manages = Somebody(site, Role.MANAGES)
    assert ADDRESS in manages.get(f"/messages/{MESSAGE}").get_data(as_text=True)
    assert ADDRESS in manages.get(f"/reached/{CAMPAIGN}?export=csv").get_data(as_text=True)
    for path in WITHOUT:
        assert manages.get(path).status_code == 200


@given(st.from_regex(r"\A[a-z+.]{1,12}@[a-z]{1,9}\.example\Z"), st.text(), st.text())
def test_an_address_is_in_no_text(address: str, before: str, behind: str) -> None:
    texts = (address, address.upper(), quote(address), address.replace("@", "="))
    fields = {
        "type": "bounce",
        "raw_rcpt_to": address,
        "rcpt_to": address.lower(),
        "rcpt_meta": {"name": "x"},
        "target_link_url": f"{before}{texts[2]}{behind}",
        "msg_from": f"b-{texts[3]}@bounce.example",
        "subject": f"{texts[1]}",
        "raw_reason": f"550 <{address}>, <other.{address}>: unknown",
        "num_retries": "0",
    }
    made = without_recipient(fields)
    assert not {"raw_rcpt_to", "rcpt_to", "rcpt_meta"} & made.keys()
    assert made["num_retries"] == "0"
    for text in made.values():
        assert not any(each.lower() in text.lower() for each in texts)
    assert without_recipient({"type": "click", "x_client_class": "human", "ip_address": "192.0.2.1"}) == {
        "type": "click",
        "x_client_class": "human",
    }
