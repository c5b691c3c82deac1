"""Without consent no open tells whose it was: shared pixels, `consent` and what the tracker records."""

import re
from typing import Any

import pytest

from engagement.events.fields import to_fields
from engagement.events.model import Hit, Injection
from engagement.events.record import decode, encode
from engagement.events.rows import repeats, rows
from engagement.links.model import OPENS, Identity, Kind, shared_identity
from engagement.links.token import open_token
from engagement.links.urls import read_path
from engagement.spool.fold import Folding
from engagement.spool.write import SpoolWriter
from engagement.stores.memory import MemoryStore
from engagement.stores.port import Query
from engagement.stores.sqlite.store import SqliteStore
from hop_mail import BODY, NOW, RING, TO, Mail, api, mail
from hop_mail import site as hop_site
from smtpapi.pipeline.transaction import Site
from tracker_web.links.privacy_spool import SharedPixelSpool
from unit.event_samples import AT, hit, identity
from web.web_cases import MemorySpool

SHARED = "privacy { pixel = shared }"
REQUIRED = "privacy { require_consent = true }"
_POLICY = """
from smtpapi.policy import core
def validate_data_spool_each_rcpt(msg, ac, vctx):
"""


def where(top: str = "", policy: str = "") -> Site:
    options = "initial_open_tracking_enabled = true"
    return hop_site("untracked", options, policy=policy, added="shared", top=top)


def says(**variables: str) -> str:
    lines = (f"    vctx.set(core.VCTX_RCPT, {name!r}, {value!r})\n" for name, value in variables.items())
    return _POLICY + "".join(lines)


def record(sent: Mail) -> Injection:
    (found,) = sent.consider().injections
    return found


def pixels(sent: Mail) -> list[tuple[bytes, Identity]]:
    """Path and identity of each pixel that the mail has after the filter."""
    found = []
    for path in re.findall(rb"http://t\.example\.net(/q/[^\"]+)", sent.queued().message.body):
        requested = read_path(path)
        assert requested is not None
        found.append((path, open_token(requested.token, RING).identity))
    assert found
    return found


def one(site: Site, *fields: Any, **facts: Any) -> Mail:
    return mail(site, *fields, **{"recipients": TO[:1]} | facts)


def is_individual(sent: Mail) -> bool:
    (individual,) = {not identity.is_shared for _, identity in pixels(sent)}
    return individual


@pytest.mark.parametrize(
    ("top", "header", "policy", "individual"),
    [
        ("", None, {}, True),
        ("", True, {}, True),
        ("", False, {}, False),
        (REQUIRED, None, {}, False),
        (REQUIRED, True, {}, True),
        (REQUIRED, False, {}, False),
        (SHARED, True, {}, False),
        # policy before header; what is neither yes nor no is no
        ("", True, {"smtpapi_consent": "false"}, False),
        ("", False, {"smtpapi_consent": "true"}, True),
        (REQUIRED, None, {"smtpapi_consent": "1"}, True),
        (REQUIRED, True, {"smtpapi_consent": ""}, True),
        ("", True, {"smtpapi_consent": "perhaps"}, False),
    ],
)
def test_an_open_tells_its_message_only_with_consent(
    top: str, header: bool | None, policy: dict[str, str], individual: bool
) -> None:
    fields = (api(options={"consent": header}),) if header is not None else ()
    assert is_individual(one(where(top, says(**policy) if policy else ""), *fields)) == individual


def test_one_pixel_stands_for_a_campaign_and_a_day() -> None:
    def paths(to: str, campaign: str = "c", now: float = NOW, **facts: Any) -> set[bytes]:
        fields = api(campaign_id=campaign, tags=[to], metadata={"to": to}, options={"initial_open": True})
        sent = one(where(SHARED), fields, recipients=(to,), now=now, **facts)
        return {path for path, _ in pixels(sent)}

    first = paths("ann@example.net")
    assert len(first) == 2  # initial and last
    assert first == paths("bob@example.org", sender="other@example.org")
    assert not first & paths("ann@example.net", "d")
    hour = BODY.replace(b"x.example", b"y.example")
    assert first == paths("eve@example.net", now=NOW + 3600, body=hour)


def test_links_of_such_mail_are_the_reader_s_as_the_mode_says() -> None:
    sent = one(where(SHARED))
    (path,) = re.findall(rb"http://t\.example\.net(/f/[^\"]+)", sent.queued().message.body)
    requested = read_path(path)
    assert requested is not None
    assert open_token(requested.token, RING).identity.recipient == TO[0]


def test_consent_holds_over_the_hop() -> None:
    for consent in (True, False):
        options = {"consent": consent, "consent_reference": "form 7"}
        copy = mail(hop_site(), api(options=options)).queued().hop(TO[1])
        assert is_individual(copy) == consent
        assert record(copy).consent == ("form 7" if consent else "")


def test_a_shared_pixel_counts_as_long_as_the_last_mail_of_its_day() -> None:
    shared = shared_identity("c", "7", 1_795_501_800, 600)
    assert shared.issued == 1_795_478_400
    assert shared.expiry >= shared.issued + 86_399 + 600
    assert (shared.campaign, shared.customer_id, shared.recipient) == ("c", "7", "")
    over = shared_identity("c", "7", 1_795_501_800, 0)
    assert over.expiry <= over.issued  # of no time at all, as before


@pytest.mark.parametrize(
    ("options", "policy", "expected"),
    [
        ({"consent": True, "consent_reference": "form 7"}, {}, "form 7"),
        ({"consent": False, "consent_reference": "form 7"}, {}, ""),
        ({"consent_reference": "form 7"}, {}, ""),
        ({"consent": True, "consent_reference": "x" * 256}, {}, ""),
        ({"consent": True, "consent_reference": "a\nb"}, {}, ""),
        ({}, {"smtpapi_consent": "true", "smtpapi_consent_reference": "row 9"}, "row 9"),
        ({"consent_reference": "form 7"}, {"smtpapi_consent": "true"}, "form 7"),
        ({"consent": True}, {"smtpapi_consent_reference": "x" * 256}, ""),
    ],
)
def test_the_reference_is_kept_with_the_injection(
    options: dict[str, Any], policy: dict[str, str], expected: str
) -> None:
    found = record(one(where(policy=says(**policy) if policy else ""), api(options=options)))
    assert found.consent == expected
    assert to_fields(found).get("x_consent", "") == expected


@pytest.mark.parametrize("mode", ["aggregate", "hygiene", "off"])
def test_modes_that_name_no_reader_keep_no_reference(mode: str) -> None:
    options = {"consent": True, "consent_reference": "form 7"}
    assert record(one(where(f"privacy {{ mode = {mode} }}"), api(options=options))).consent == ""


def test_a_wrong_consent_is_refused_like_every_switch() -> None:
    for options in ({"consent": "perhaps"}, {"consent_reference": 7}):
        outcome = one(where(), api(options=options)).consider().outcome
        assert "must be of type" in getattr(outcome, "text", "")


# --- the tracker's side

NOBODY = shared_identity("autumn-letter", "12", AT // 1000, 86_400)


@pytest.mark.parametrize("kind", sorted(OPENS))
def test_a_hit_of_a_shared_pixel_says_nothing_of_its_reader(kind: Kind) -> None:
    spool = MemorySpool()
    SharedPixelSpool(spool, every=False).append(encode(hit(kind, whose=NOBODY, signals=1)))
    found = decode(spool.records[0])
    assert isinstance(found, Hit)
    assert (found.client_address, found.accept_language, found.signals) == ("", "", 1)
    assert "Firefox/140" not in found.user_agent
    fields = to_fields(found)
    assert (fields["campaign_id"], fields["customer_id"], fields["x_shared"]) == ("autumn-letter", "12", True)
    assert not {"message_id", "transmission_id", "rcpt_to", "ip_address"} & fields.keys()


def test_other_hits_are_left_as_they_are() -> None:
    spool = MemorySpool()
    records = [encode(hit()), encode(hit(Kind.OPEN)), encode(hit(whose=identity(0)))]
    for each in records:
        SharedPixelSpool(spool, every=False).append(each)
    assert spool.records == records


def test_the_option_holds_for_mail_already_sent() -> None:
    spool = MemorySpool()
    shared = SharedPixelSpool(spool, every=True)
    click = encode(hit())
    for each in (encode(hit(Kind.OPEN)), encode(hit(Kind.OPEN, whose=NOBODY)), click):
        shared.append(each)
    old, new, other = spool.records
    assert other == click
    for each in (old, new):
        (row,) = rows(decode(each))
        assert (row.message_id, row.recipient, row.campaign) == ("", "", "autumn-letter")


def test_readers_of_a_shared_pixel_are_not_repeats_of_each_other(tmp_path: Any) -> None:
    spool = MemorySpool()
    shared = SharedPixelSpool(spool, every=False)
    folding = Folding(SpoolWriter(tmp_path))
    for number in range(5):
        facts: dict[str, Any] = {"at_ms": AT + number, "client_address": f"192.0.2.{number}"}
        shared.append(encode(hit(Kind.OPEN, whose=NOBODY, **facts)))
    assert all(folding.append(each) for each in spool.records)
    folding.close()
    assert not list(tmp_path.glob("*.repeats"))
    found = [row for each in spool.records for row in rows(decode(each))]
    assert not repeats(found)
    for store in (MemoryStore(), SqliteStore(tmp_path / "events.db", writing=True)):
        store.add(found)
        store.roll_up()
        assert store.counts(Query())["open"].counted == 5
