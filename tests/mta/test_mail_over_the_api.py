"""Mail that an application hands in over the API, through a real Postfix and the filter."""

import re
from email import message_from_bytes
from pathlib import Path

import pytest

from api.api_site import make_api_site
from mta.mta_site import Mta
from smtpapi.request.x_msys_api import NAME

pytestmark = pytest.mark.mta


def test_each_recipient_s_mail_is_tracked_under_the_id_of_the_answer(mta: Mta, tmp_path: Path) -> None:
    site = make_api_site(
        tmp_path, f'transmissions {{ enabled = true relay = "127.0.0.1:{mta.ports["on"]}" }}'
    )
    people = {"api.one@rcpt.test": "Zoë", "api.two@rcpt.test": "Two"}
    answer = site.call(
        "POST",
        "/transmissions",
        json={
            "campaign_id": "spring letter",
            "content": {
                "from": {"email": "news@sender.test", "name": "Nöws"},
                "subject": "Hello {{name}}",
                "html": '<p>Hi {{name}}, <a href="https://shop.example/?n={{name}}">look</a></p>',
                "text": "Hi {{name}}",
            },
            "recipients": [
                {
                    "address": who,
                    "tags": ["a b"],
                    "metadata": {"n": "  é" * 60},
                    "substitution_data": {"name": name},
                }
                for who, name in people.items()
            ],
        },
    )
    assert answer.status_code == 200, answer.json
    assert answer.json["results"]["total_accepted_recipients"] == 2
    records = {}
    for who in people:
        got = mta.delivered(who)
        *_, html = message_from_bytes(got).walk()  # in quoted-printable, links are folded
        body = html.get_payload(decode=True)
        assert isinstance(body, bytes)
        opened = mta.filter.links(body)
        assert {one.identity.recipient for one in opened} == {who}
        assert {str(one.identity.transmission_id) for one in opened} == {answer.json["results"]["id"]}
        assert {one.identity.campaign for one in opened} == {"spring letter"}
        assert re.search(rb"(?mi)^%s:" % NAME.encode(), got.partition(b"\r\n\r\n")[0]) is None
        (records[who],) = [each for each in mta.filter.injections() if each.recipient == who]
    assert {str(each.transmission_id) for each in records.values()} == {answer.json["results"]["id"]}
    assert {each.tags for each in records.values()} == {("a b",)}
    assert "  é" * 60 in records["api.one@rcpt.test"].metadata
