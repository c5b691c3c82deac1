"""Mail with other vendors' header fields: a folder is a case (README.md)."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.events.model import Injection
from engagement.links.keys import Ring
from engagement.settings import load_text
from engagement.settings.schema.scoped import VENDORS
from mta.hop_site import HopSite, running
from mta.mta_site import DOMAIN, until
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import Leave, Plan, Refuse
from smtpapi.pipeline.site import MessageResult, Site
from smtpapi.pipeline.transaction import consider, removable
from smtpapi.policy.hooks import parse as policy
from smtpapi.request import x_msys_api
from smtpapi.request.vendor_headers import names, translated
from smtpapi.request.vendor_rules import named
from smtpapi.rewrite import raw_message

_RING = Ring().rotated(bytes(range(32)), 1)
_NOW = 1_796_000_000.0
_OURS = Client("127.0.0.1")


@dataclass(frozen=True)
class Case:
    name: str
    mail: bytes
    facts: dict[str, Any]

    @property
    def vendors(self) -> str:
        return f"vendor_headers = ( {' '.join(self.facts['vendors'])} )"


CASES = [
    Case(file.parent.name, (file.parent / "mail.eml").read_bytes(), json.loads(file.read_text()))
    for file in sorted(Path(__file__).parent.glob("*/case.json"))
]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))


def _listener(options: str) -> str:
    return f"""smtpapi {{ }}
ESMTP_Listener {{
  tracking_domain = "{DOMAIN}" click_tracking_enabled = true open_tracking_enabled = true
  {options}
}}"""


def _considered(case: Case, options: str, client: Client = _OURS, text: str = "") -> MessageResult:
    site = Site.build(load_text(_listener(options)), _RING, policy(text, "p.py") if text else None)
    message = raw_message.split(case.mail.replace(b"\n", b"\r\n")).message
    envelope = Envelope(client, "a@sender.test", ("reader@a.sink.test",))
    return consider(site, envelope, message, now=_NOW, tick=time.monotonic)


def _removed(result: MessageResult) -> set[str]:
    assert isinstance(result.outcome, Plan)
    return {change.name.lower() for change in result.outcome.headers if change.value is None}


def _own(case: Case) -> set[str]:
    message = raw_message.split(case.mail).message
    own = set(names([named(name) for name in case.facts["vendors"]], message))
    return own | ({"x-msys-api"} & {each.name.lower() for each in message.fields})


def _labels(event: Injection) -> dict[str, Any]:
    return {
        "campaign": event.campaign,
        "tags": list(event.tags),
        "metadata": json.loads(event.metadata or "{}"),
        "clicks": event.clicks,
        "opens": event.opens,
    }


def test_every_vendor_of_the_option_has_its_rules_and_a_case() -> None:
    files = {file.stem for file in (Path(__file__).parents[2] / "milter/smtpapi/request/vendors").iterdir()}
    assert files == set(VENDORS) == {name for name in VENDORS if named(name).rules}
    assert set(VENDORS) <= {case.name for case in CASES}


@each_case
def test_the_event_says_what_the_vendors_fields_say(case: Case) -> None:
    result = _considered(case, case.vendors)
    (event,) = result.injections
    assert _labels(event) == case.facts["sees"]
    assert _removed(result) == _own(case)
    assert result.notes == tuple(case.facts.get("notes", ()))
    expected = ", ".join(case.facts.get("unread", ()))
    assert result.remarks == ((f"other vendors' fields, not read: {expected}",) if expected else ())


@each_case
def test_without_the_option_nothing_is_read_and_nothing_removed(case: Case) -> None:
    result = _considered(case, "")
    assert _removed(result) <= {"x-msys-api"}
    assert result.injections[0].tags == ()


@each_case
def test_a_strangers_mail_is_left_as_it_is(case: Case) -> None:
    result = _considered(case, case.vendors, Client("192.0.2.9"))
    assert isinstance(result.outcome, Leave)


@each_case
def test_what_policy_says_wins_and_what_it_breaks_leaves_no_field(case: Case) -> None:
    hook = "from smtpapi.policy import core\ndef validate_data_spool(msg, ac, vctx):\n    "
    policy = 'vctx.set(core.VCTX_MESS, "smtpapi_campaign_id", "policy")'
    result = _considered(case, case.vendors, text=hook + policy)
    assert result.injections[0].campaign == "policy"
    assert _removed(result) == _own(case)
    assert _removed(_considered(case, case.vendors, text=hook + "1 / 0")) == _own(case)
    bypass = 'vctx.set(core.VCTX_MESS, "__bypass_smtpapi", "true")'
    assert _removed(_considered(case, case.vendors, text=hook + bypass)) == _own(case)


@each_case
def test_a_fault_of_ours_leaves_no_field_either(case: Case) -> None:
    site = Site.build(load_text(_listener(case.vendors)), _RING)
    message = raw_message.split(case.mail).message
    envelope = Envelope(Client("127.0.0.1"), "a@sender.test", ("reader@a.sink.test",))
    assert {change.name.lower() for change in removable(site, envelope, message)} == _own(case)


def test_policy_sees_the_vendors_fields_and_may_write_x_msys_api_instead() -> None:
    case = next(case for case in CASES if case.name == "postmark")
    text = """
def validate_data_spool(msg, ac, vctx):
    msg.add_header("X-MSYS-API", '{"campaign_id": "%s"}' % msg.header("X-PM-Tag")[0])
    msg.remove_header("X-PM-Tag")
"""
    result = _considered(case, case.vendors, text=text)
    assert (result.injections[0].campaign, result.injections[0].tags) == ("welcome", ())
    assert _removed(result) == _own(case)


def test_an_empty_x_msys_api_counts_as_none() -> None:
    case = next(case for case in CASES if case.name == "postmark")
    for line in (b"X-MSYS-API:\n", b"x-msys-api: \n \nX-MSYS-API: {}\n"):
        result = _considered(Case(case.name, line + case.mail, case.facts), case.vendors)
        assert _labels(result.injections[0]) == case.facts["sees"]
        assert _removed(result) == _own(case) | {"x-msys-api"}
        assert isinstance(result.outcome, Plan)
        assert "x-msys-api" not in {each.name.lower() for each in result.outcome.headers if each.value}


_NAMES = st.sampled_from(
    [
        *("X-SMTPAPI", "X-Mailgun-Tag", "X-Mailgun-Variables", "X-Mailgun-Track", "X-PM-Metadata-a"),
        *("X-SES-MESSAGE-TAGS", "X-MC-Track", "X-MC-Metadata", "X-MJ-CustomID", "X-SparkPost", "X-PM-", "a"),
    ]
)
_VALUES = st.one_of(
    st.binary(max_size=60),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=12),
        lambda inner: st.lists(inner) | st.dictionaries(
            st.sampled_from(["category", "unique_args", "filters", "opentrack", "tags"]),
            inner,
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode()),
)  # fmt: skip


@given(st.lists(st.tuples(_NAMES, _VALUES), max_size=5))
def test_any_fields_give_an_x_msys_api_that_is_accepted(fields: list[tuple[str, bytes]]) -> None:
    message = Message(tuple(Field(name, value) for name, value in fields), b"")
    found = translated([named(name) for name in VENDORS], message)
    assert not isinstance(x_msys_api.parse([found.text.encode("ascii")]), Refuse)
    assert " " not in found.text


@pytest.mark.parametrize(
    ("value", "note"),
    [
        (b'["a"]', "X-SMTPAPI ignored: it is no JSON object"),
        (b'"a"', "X-SMTPAPI ignored: it is no JSON object"),
        (b'{"filters": 5}', "X-SMTPAPI ignored: filters is no JSON object"),
        (b'{"filters": {"opentrack": [1]}}', "X-SMTPAPI ignored: filters.opentrack is no JSON object"),
        (b'{"filters": null, "category": null}', ""),
    ],
)
def test_what_is_no_object_is_told(value: bytes, note: str) -> None:
    found = translated([named("sendgrid")], Message((Field("X-SMTPAPI", value),), b""))
    assert (found.text, found.notes) == ("", (note,) if note else ())


def test_a_pair_without_a_name_is_none() -> None:
    found = translated([named("ses")], Message((Field("X-SES-MESSAGE-TAGS", b"a=b, =c, ,d=e=f"),), b""))
    assert json.loads(found.text)["metadata"] == {"a": "b", "d": "e=f"}


def test_metadata_that_is_nested_too_deep_costs_the_fields_and_not_the_mail() -> None:
    deep = b'{"a":' * 64 + b"1" + b"}" * 64
    found = translated([named("mailgun")], Message((Field("X-Mailgun-Variables", deep),), b""))
    assert found.text == ""
    assert found.notes[-1].startswith("other vendors' fields ignored: JSON parsing error")


def test_metadata_in_encoded_words_is_read_and_one_that_is_said_twice_counts_as_it_stands_last() -> None:
    field = b'=?utf-8?q?{"a":"=C3=BC","b":"1",?= =?utf-8?q?"b":"2"}?='
    found = translated([named("mailgun")], Message((Field("X-Mailgun-Variables", field),), b""))
    assert json.loads(found.text)["metadata"] == {"a": "ü", "b": "2"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HopSite]:
    with running(tmp_path_factory.mktemp("vendors"), workers=1) as one:
        yield one


@pytest.mark.mta
@each_case
def test_through_postfix_each_recipients_event_says_it(site: HopSite, case: Case) -> None:
    recipients = [f"{case.name}@a.sink.test", f"{case.name}@b.sink.test"]
    template = site.filter._template
    site.filter.configure(template[0].replace("ESMTP_Listener {", f"ESMTP_Listener {{ {case.vendors}"))
    reloads = site.filter.counts().get("reloads", 0)
    site.filter.hup()
    until(lambda: site.filter.counts().get("reloads", 0) > reloads, what="the reload")
    site.send(recipients, case.mail.replace(b"\n", b"\r\n"))
    for recipient, copy in site.copies(recipients).items():
        head = copy.message.partition(b"\r\n\r\n")[0].lower().decode("latin-1")
        assert not [line for line in head.splitlines() if line.partition(":")[0] in _own(case)]
        until(lambda: any(each.recipient == recipient for each in site.filter.injections()))  # noqa: B023 - called within this turn of the loop
        (event,) = [each for each in site.filter.injections() if each.recipient == recipient]
        assert _labels(event) == case.facts["sees"]
