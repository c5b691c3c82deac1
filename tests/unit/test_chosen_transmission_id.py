"""A sender may choose the transmission id of a message (contract.md 3.7)."""

from typing import Any

import pytest

from engagement.events.model import Injection
from hop_mail import TO, Mail, api, mail, site
from smtpapi.request.x_msys_api import XMsysApi, parse

OWN = "73120948816540217"


def one(*fields: Any) -> Mail:
    return mail(site("untracked"), *fields, recipients=TO[:1])


def record(sent: Mail) -> Injection:
    (found,) = sent.consider().injections
    return found


def test_events_and_links_have_the_chosen_id() -> None:
    found = one(api(transmission_id=OWN))
    assert str(record(found).transmission_id) == OWN


def test_copies_over_the_hop_have_it_too() -> None:
    sent = mail(site(), api(transmission_id=OWN)).queued()
    assert {str(record(sent.hop(each)).transmission_id) for each in TO} == {OWN}


@pytest.mark.parametrize("wrong", ["0", "-1", "18446744073709551616", "1e3", "", " 7", "x", "\u0663"])
def test_what_is_no_id_is_ignored_with_a_warning(wrong: str) -> None:
    found = parse([b'{"transmission_id": "%s"}' % wrong.encode()])
    assert isinstance(found, XMsysApi)
    assert found.transmission_id is None
    assert len(found.warnings) == 1


@pytest.mark.parametrize("wrong", [7, ["7"], {"a": "7"}, True])
def test_another_type_is_refused(wrong: Any) -> None:
    outcome = one(api(transmission_id=wrong)).consider().outcome
    assert "'transmission_id' must be of type 'string'" in getattr(outcome, "text", "")


def test_the_message_id_stays_the_filter_s_own() -> None:
    assert record(one(api(transmission_id=OWN))).message_id == record(one(api())).message_id
