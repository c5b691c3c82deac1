"""A message's way from facts to orders: each step, and what it may not skip."""

from dataclasses import replace
from itertools import permutations
from types import ModuleType
from typing import Any

import pytest

from engagement.links.keys import Ring
from engagement.settings import load_text
from smtpapi.model.envelope import Client
from smtpapi.model.message import Field
from smtpapi.model.outcome import Discard, HeaderChange, Leave, Plan, Refuse, Why
from smtpapi.pipeline import site as pipeline_site
from smtpapi.pipeline import tracking
from smtpapi.pipeline.transaction import MessageResult, Site
from smtpapi.policy.hooks import parse as policy_of
from unit.step_site import API, BODY, LOCAL, NOW, RING, STRANGER, run, site


def why(considered: MessageResult) -> Why | None:
    assert not isinstance(considered.outcome, Refuse | Discard)
    return considered.outcome.why


def removed(considered: MessageResult) -> list[tuple[str, int]]:
    assert isinstance(considered.outcome, Plan)
    return [(change.name, change.index) for change in considered.outcome.headers if change.value is None]


def test_mail_is_tracked_and_marked() -> None:
    considered = run(site(), API)
    assert isinstance(considered.outcome, Plan)
    assert [edit.kind for edit in considered.outcome.edits] == ["link", "pixel"]
    assert removed(considered) == [("X-MSYS-API", 1)]
    added = [change for change in considered.outcome.headers if change.value is not None]
    assert [(change.name, change.index) for change in added] == [("X-Smtpapi-Id", 0)]
    assert considered.decision is not None
    assert considered.decision.campaign == "c"


# --- module and trust


@pytest.mark.parametrize("top", ["", "smtpapi { enabled = false }"])
def test_h32_without_the_module_nothing_but_the_header_is_touched(top: str) -> None:
    off = site(top=top)
    assert run(off).outcome == Leave(Why.MODULE_OFF)
    assert run(off, API).outcome == Plan((HeaderChange("X-MSYS-API", 1, None),), why=Why.MODULE_OFF)
    assert run(off, API, client=STRANGER).outcome == Leave(Why.MODULE_OFF)


def test_untrusted_header_changes_nothing() -> None:
    considered = run(site(), API, Field("X-Smtpapi-Id", b"forged"), client=STRANGER)
    assert considered.outcome == Leave(Why.UNTRUSTED)
    assert (considered.injections, considered.decision) == ((), None)


def test_an_untrusted_broken_header_is_not_refused() -> None:
    assert run(site(), Field("X-MSYS-API", b"{"), client=STRANGER).outcome == Leave(Why.UNTRUSTED)


def test_untrusted_mail_meets_no_policy() -> None:
    policy = "def validate_connect(ac, vctx): raise ValueError"
    assert run(site(policy=policy), client=STRANGER).outcome == Leave(Why.UNTRUSTED)


@pytest.mark.parametrize(
    ("client", "options"),
    [
        (Client("192.0.2.7", login="ida"), ""),
        (Client("192.0.2.7"), 'Relay_Hosts = ("192.0.2.0/24")'),
        (Client(""), ""),
        (Client("::1"), ""),
    ],
)
def test_trusted_injectors_are_served(client: Client, options: str) -> None:
    assert why(run(site(options), client=client)) is None


# --- the header's removal


def test_all_headers_are_removed_from_the_highest_index_down() -> None:
    """MTAs differ in whether they renumber the rest after a deletion."""
    considered = run(
        site(), API, Field("Subject", b" s"), Field("x-msys-api", b" {}"), Field("X-Msys-Api", b"")
    )
    assert removed(considered) == [("X-MSYS-API", 3), ("X-MSYS-API", 2), ("X-MSYS-API", 1)]
    assert considered.notes == ("3 X-MSYS-API fields; the first one counts",)


_LEFT = [
    (Why.TRACKING_OFF, {"context": {"smtpapi_open_tracking": "0", "smtpapi_click_tracking": "0"}}),
    (Why.NULL_SENDER, {"sender": ""}),
    (Why.SEVERAL_RECIPIENTS, {"recipients": ("b@example.net", "c@example.net")}),
    (Why.BYPASSED, {"context": {"__bypass_smtpapi": "true"}}),
    (Why.NO_LINK, {"body": b"<p>nothing</p>\r\n", "context": {"smtpapi_open_tracking": "0"}}),
]


@pytest.mark.parametrize(("reason", "facts"), _LEFT)
def test_untracked_mail_loses_the_header_and_nothing_else(reason: Why, facts: dict[str, Any]) -> None:
    considered = run(site(), API, **facts)
    assert isinstance(considered.outcome, Plan)
    assert considered.outcome.edits == ()
    assert considered.outcome.headers == (HeaderChange("X-MSYS-API", 1, None),)
    assert considered.outcome.why is reason


@pytest.mark.parametrize(("reason", "facts"), _LEFT)
def test_untracked_mail_without_the_header_is_not_touched(reason: Why, facts: dict[str, Any]) -> None:
    outcome = run(site(), **facts).outcome
    assert not isinstance(outcome, Refuse | Discard)
    assert outcome.why is reason
    assert isinstance(outcome, Leave) or replace(outcome, parts=0) == Plan(why=reason)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("DKIM-Signature", Why.DKIM_SIGNED),
        ("ARC-Seal", Why.ARC_SEALED),
        ("ARC-Message-Signature", Why.ARC_SEALED),
    ],
)
def test_mail_signed_by_others_is_not_tracked(name: str, reason: Why) -> None:
    considered = run(site(), API, Field(name, b" v=1"))
    assert why(considered) is reason
    assert removed(considered) == [("X-MSYS-API", 1)]


def test_without_a_key_nothing_is_tracked_and_the_header_still_goes() -> None:
    for ring in (None, Ring()):
        considered = run(site(ring=ring), API)
        assert why(considered) is Why.NO_KEY
        assert removed(considered) == [("X-MSYS-API", 1)]


@pytest.mark.parametrize("mode", ["off"])
def test_privacy_off_is_a_ceiling(mode: str) -> None:
    considered = run(site(top=f'smtpapi {{ }} privacy {{ mode = "{mode}" }}'), API)
    assert why(considered) is Why.PRIVACY_OFF
    assert removed(considered) == [("X-MSYS-API", 1)]
    assert considered.injections[0].recipient == ""


# --- refusals


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"{", "JSON parsing error in X-MSYS-API: expected a name in double quotes at character 2"),
        (b'{"metadata":1}', "X-MSYS-API 'metadata' must be of type 'json object'"),
        (b'{"campaign_id":"' + b"x" * 65 + b'"}', "smtpapi_campaign_id context is limited to 64 bytes"),
    ],
)
def test_a_bad_header_of_a_trusted_client_is_refused(value: bytes, text: str) -> None:
    considered = run(site(), Field("X-MSYS-API", value))
    assert considered.outcome == Refuse("550", "5.6.0", text)
    assert considered.injections == ()


def test_the_header_counts_even_with_tracking_off() -> None:
    context = {"smtpapi_open_tracking": "0", "smtpapi_click_tracking": "0"}
    assert isinstance(run(site(), Field("X-MSYS-API", b"{"), context=context).outcome, Refuse)
    assert run(site(), API, context=context).injections[0].campaign == "c"


def test_a_bad_header_refuses_all_recipients() -> None:
    recipients = ("b@example.net", "c@example.net")
    assert isinstance(run(site(), Field("X-MSYS-API", b"{"), recipients=recipients).outcome, Refuse)


# --- policy


def test_hooks_run_in_the_order_of_their_phases() -> None:
    policy = """
from smtpapi.policy import core
def note(vctx, what):
    seen = vctx.get(core.VCTX_CONN, "cust_seen") or ""
    vctx.set(core.VCTX_CONN, "cust_seen", seen + " " + what)
def validate_data_spool_each_rcpt(msg, ac, vctx): note(vctx, "each:" + msg.recipient)
def validate_data_spool(msg, ac, vctx): note(vctx, "spool")
def validate_data(msg, ac, vctx): note(vctx, "data")
def validate_rcptto(msg, recipient, ac, vctx): note(vctx, "rcptto:" + recipient)
def validate_mailfrom(sender, ac, vctx): note(vctx, "mailfrom:" + sender)
def validate_ehlo(ehlo, ac, vctx): note(vctx, "ehlo:" + ehlo)
def validate_connect(ac, vctx): note(vctx, "connect:" + ac.remote_addr)
"""
    client = Client("127.0.0.1", helo="h")
    first = run(site(policy=policy), client=client)
    assert first.decision is not None
    assert dict(first.decision.custom)["cust_seen"] == (
        " connect:127.0.0.1 ehlo:h mailfrom:a@example.org rcptto:b@example.net data spool each:b@example.net"
    )
    # The session's second message: its context lives on, and the hooks of the connection do not run again.
    second = run(
        site(policy=policy), recipients=("c@d.example", "e@d.example"), context=dict(first.connection_context)
    )
    assert second.decision is not None
    assert dict(second.decision.custom)["cust_seen"].endswith(
        "each:b@example.net mailfrom:a@example.org rcptto:c@d.example rcptto:e@d.example data spool"
        " each:c@d.example"
    )


def test_xsetcontext_overwrites_what_the_hooks_of_the_connection_set() -> None:
    """All hooks run at the end of a message; by phases XSETCONTEXT follows connect and ehlo."""
    policy = """
from smtpapi.policy import core
def validate_connect(ac, vctx):
    vctx.set(core.VCTX_CONN, "cust_a", "hook")
    vctx.set(core.VCTX_CONN, "cust_b", "hook")
def validate_mailfrom(sender, ac, vctx): vctx.set(core.VCTX_CONN, "cust_c", "hook")
"""
    decision = run(site(policy=policy), context={"cust_a": "client", "cust_c": "client"}).decision
    assert decision is not None
    assert decision.custom == (("cust_a", "client"), ("cust_b", "hook"), ("cust_c", "hook"))


def test_policy_beats_the_header_and_the_header_the_configuration() -> None:
    header = Field("X-MSYS-API", b'{"options":{"click_tracking":false,"open_tracking":false}}')
    policy = """
from smtpapi.policy import core
def validate_data_spool(msg, ac, vctx): vctx.set(core.VCTX_MESS, "smtpapi_click_tracking", "1")
"""
    decision = run(site(policy=policy), header).decision
    assert decision is not None
    assert (decision.clicks, decision.opens) == (True, False)


def test_context_in_the_configuration_beats_the_header() -> None:
    """Momentum's way: a context is policy, wherever it is written."""
    header = Field("X-MSYS-API", b'{"options":{"open_tracking":true}}')
    decision = run(site('context = [ smtpapi_open_tracking = "0" ]'), header).decision
    assert decision is not None
    assert decision.opens is False


def test_message_level_values_do_not_reach_the_next_message() -> None:
    policy = """
from smtpapi.policy import core
def validate_data_spool(msg, ac, vctx):
    if msg.sender == "first@example.org":
        vctx.set(core.VCTX_MESS, "smtpapi_campaign_id", "one")
        vctx.set(core.VCTX_CONN, "cust_all", "kept")
"""
    first = run(site(policy=policy), sender="first@example.org")
    second = run(site(policy=policy), context=dict(first.connection_context))
    assert first.decision is not None
    assert second.decision is not None
    assert (first.decision.campaign, second.decision.campaign) == ("one", "")
    assert second.decision.custom == (("cust_all", "kept"),)


def test_policy_names_the_pathway() -> None:
    policy = """
from smtpapi.policy import core
def validate_data_spool(msg, ac, vctx): vctx.set(core.VCTX_MESS, "pathway", "special")
"""
    top = """smtpapi { }
    Pathway "special" { tracking_link_expiry = 77 context = [ cust_way = "special" ] }"""
    decision = run(site(top=top, policy=policy)).decision
    assert decision is not None
    assert decision.expiry == 77
    assert decision.custom == (("cust_way", "special"),)


def test_mail_whose_policy_fails_is_left_but_for_the_header() -> None:
    policy = "\ndef validate_data(msg, ac, vctx):\n    1 / 0\n"
    considered = run(site(policy=policy), API, Field("X-Smtpapi-Id", b"forged"))
    assert why(considered) is Why.POLICY_FAILED
    assert removed(considered) == [("X-MSYS-API", 1), ("X-Smtpapi-Id", 1)]
    note = "p.py:3: validate_data: ZeroDivisionError: division by zero"
    assert isinstance(considered.outcome, Plan)
    assert considered.outcome.note == note
    assert run(site(policy=policy)).outcome == Leave(Why.POLICY_FAILED, note)


def test_bypassed_mail_is_not_refused_for_its_header() -> None:
    considered = run(site(), Field("X-MSYS-API", b"{"), context={"__bypass_smtpapi": "true"})
    assert why(considered) is Why.BYPASSED


# --- faults of ours


@pytest.mark.parametrize(
    ("module", "step"),
    [
        (tracking, "plan"),
        (pipeline_site, "decide"),
        (tracking, "Fingerprint"),
        (tracking, "issued_at"),
        (tracking, "describe"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_fault_of_ours_costs_no_mail(
    module: ModuleType, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("address@example.net")

    monkeypatch.setattr(module, step, fails)
    considered = run(site(), API)
    assert isinstance(considered.outcome, Plan)
    assert considered.outcome.headers == (HeaderChange("X-MSYS-API", 1, None),)
    assert (considered.outcome.why, considered.outcome.edits) == (Why.INTERNAL_ERROR, ())
    assert considered.outcome.note.startswith("RuntimeError in fails (test_transaction_steps.py:")
    assert "address" not in considered.outcome.note
    assert why(run(site())) is Why.INTERNAL_ERROR


def test_a_fault_before_trust_is_known_leaves_the_header_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(pipeline_site, "is_trusted", fails)
    outcome = run(site(), API).outcome
    assert isinstance(outcome, Leave)
    assert outcome.why is Why.INTERNAL_ERROR


# --- labels and bounds


def test_the_longest_metadata_costs_no_tracking() -> None:
    noise = "".join(chr(0x4E00 + n * 7919 % 20000) for n in range(2700))
    fields = Field("X-MSYS-API", f'{{"metadata":{{"k":"{noise}"}}}}'.encode())
    where = site(top="smtpapi { } engagement_tracker { max_metadata_len = 8192 }")
    considered = run(where, fields)
    assert isinstance(considered.outcome, Plan)
    assert considered.outcome.edits


@pytest.mark.parametrize("expiry", ["0", "-1", str(2**62), str(-(2**62))])
def test_any_expiry_of_the_configuration_makes_links(expiry: str) -> None:
    considered = run(site(f"tracking_link_expiry = {expiry}"))
    assert isinstance(considered.outcome, Plan)
    assert considered.outcome.edits


# --- what is written down


def test_an_injection_says_what_the_api_shows() -> None:
    fields = (
        API,
        Field("From", b' "News, daily" <News@Example.org>'),
        Field("Subject", b" =?utf-8?q?h=C3=A9?=\r\n =?utf-8?q?llo?= \xff"),
    )
    record = run(site('context = [ cust_a = "1" mo_customer_id = "17" ]'), *fields).injections[0]
    assert record.recipient == "b@example.net"
    assert record.sender == "a@example.org"
    assert record.friendly_from == "News@Example.org"
    assert record.subject == "héllo \ufffd"
    assert (record.campaign, record.customer_id, record.context) == ("c", "17", {"cust_a": "1"})
    assert (record.opens, record.clicks, record.initial_opens, record.amp) == (True, True, False, False)
    assert (record.outcome, record.queue_id, record.at_ms) == ("", "Q1", int(NOW * 1000))
    assert len(record.message_id) == 16


def test_untracked_mail_is_counted_with_its_reason() -> None:
    record = run(site(), sender="").injections[0]
    assert (record.outcome, record.opens, record.clicks) == ("null-sender", False, False)


def test_several_recipients_are_several_injections_of_one_transmission() -> None:
    recipients = tuple(f"r{n}@example.net" for n in range(3))
    records = run(site(), recipients=recipients).injections
    assert tuple(record.recipient for record in records) == recipients
    assert len({record.message_id for record in records}) == 3
    assert len({record.id for record in records}) == 3
    assert len({record.transmission_id for record in records}) == 1


@pytest.mark.parametrize("mode", ["aggregate", "hygiene"])
def test_privacy_modes_keep_the_address_out_of_records(mode: str) -> None:
    where = site(top=f'smtpapi {{ }} privacy {{ mode = "{mode}" }}')
    record = run(where, API).injections[0]
    assert "b@example.net" not in record.recipient
    assert record.recipient == "" or record.recipient.endswith("@pseudonym.invalid")
    again = run(where, Field("X", b"y"), recipients=("B@example.net",)).injections[0]
    assert again.recipient == record.recipient


VERP = (
    ("bounces+ann=example.net@sender.test", "@sender.test"),
    ("b-000017-4711@sender.test", "@sender.test"),  # a number names its reader to who has the list
    ('"odd@local"@sender.test', "@sender.test"),
    ("root", ""),
    ("", ""),
)


@pytest.mark.parametrize("mode", ["aggregate", "hygiene", "off"])
@pytest.mark.parametrize(("sender", "expected"), VERP)
def test_privacy_modes_keep_the_domain_of_a_sender_alone(mode: str, sender: str, expected: str) -> None:
    """A sender made for one reader (VERP) names that reader."""
    where = site(top=f'smtpapi {{ }} privacy {{ mode = "{mode}" }}')
    several = ("ann@example.net", "bo@example.net")
    records = run(where, API, sender=sender, recipients=several).injections
    assert [record.sender for record in records] == [expected, expected]


@pytest.mark.parametrize("sender", [sender for sender, _ in VERP])
def test_mode_full_keeps_the_sender(sender: str) -> None:
    where = site(top='smtpapi { } privacy { mode = "full" }')
    assert [record.sender for record in run(where, API, sender=sender).injections] == [sender]


def test_a_message_without_recipients_is_no_error() -> None:
    """`smtpapi rewrite` may name none."""
    assert isinstance(run(site(), recipients=()).outcome, Plan)


def test_a_considered_message_can_be_considered_again() -> None:
    assert run(site(), API) == run(site(), API)
    assert run(site(), API)._replace(notes=()) == run(site(), API)


_WAYS: tuple[dict[str, Any], ...] = (  # fields and facts of mail that a site may have seen before
    {},
    {"fields": (API,)},
    {"fields": (Field("x-msys-api", b' {"options":{"click_tracking":false}}'),)},
    {"context": {"smtpapi_campaign_id": "session", "cust_a": "1"}},
    {"context": {"pathway": "other"}},
    {"client": Client("127.0.0.1", login="ida"), "recipients": ("c@example.net",)},
    {"client": STRANGER},
    {"client": Client("192.0.2.7", login="ida")},
    {"client": Client("127.0.0.1", daemon_address="127.0.0.1", daemon_port=25)},
)
_PLACES = """context = [ cust_b = "2"
        smtpapi_open_tracking = "maybe" ]
    Peer "192.0.2.0/24" { tracking_link_expiry = 77 }"""
_POLICY = """
def validate_data(msg, ac, vctx):
    vctx.set("message", "mo_customer_id", ac.login or "none")
"""


@pytest.mark.parametrize("policy", ["", _POLICY.replace('"message"', "core.VCTX_MESS")])
def test_mail_that_came_before_changes_no_judgement(policy: str) -> None:
    """What a site keeps of its configuration holds nothing of a mail."""
    policy = policy and f"from smtpapi.policy import core\n{policy}"
    top = 'smtpapi { }\nPathway "other" { click_tracking_enabled = false tracking_domain = "o.example" }'

    def decided(where: Site, way: dict[str, Any]) -> MessageResult:
        return run(where, *way.get("fields", ()), **{k: v for k, v in way.items() if k != "fields"})

    first = [decided(site(_PLACES, top, policy), way) for way in _WAYS]
    assert len({repr(each) for each in first}) > len(_WAYS) - 2
    for one, other in permutations(range(len(_WAYS)), 2):
        where = site(_PLACES, top, policy)
        decided(where, _WAYS[one])
        assert decided(where, _WAYS[other]) == first[other]
        assert decided(where, _WAYS[one]) == first[one]


def test_local_submission_comes_by_no_listen_but_has_a_peer() -> None:
    """contract.md 2.5."""
    where = Site.build(
        load_text(
            """smtpapi { }
            ESMTP_Listener {
                click_tracking_enabled = true
                Listen ":25" { tracking_domain = "listen.example" }
                Peer "127.0.0.1" { tracking_link_expiry = 77 }
            }"""
        ),
        RING,
    )
    local, network = run(where, client=Client("")).decision, run(where, client=LOCAL).decision
    assert local is not None
    assert network is not None
    assert (local.domain, network.domain) == ("localhost:8080", "listen.example")
    assert (local.expiry, network.expiry) == (77, 77)


@pytest.mark.parametrize("configured", [False, True])
@pytest.mark.parametrize("requested", [False, True])
@pytest.mark.parametrize("policy", [None, False, True])
def test_precedence_holds_from_the_configuration_s_text_to_the_orders(
    configured: bool, requested: bool, policy: bool | None
) -> None:
    where = Site.build(
        load_text(
            f"""smtpapi {{ }}
            ESMTP_Listener {{
                click_tracking_enabled = {str(configured).lower()}
                open_tracking_enabled = {str(configured).lower()}
                tracking_domain = "t.example.net"
            }}"""
        ),
        RING,
        policy_of(
            f"""
from smtpapi.policy import core
def validate_data_spool_each_rcpt(msg, ac, vctx):
    value = {"" if policy is None else str(int(policy))!r}
    vctx.set(core.VCTX_RCPT, "smtpapi_open_tracking", value)
    vctx.set(core.VCTX_RCPT, "smtpapi_click_tracking", value)
""",
            "p.py",
        ),
    )
    word = str(requested).lower().encode()
    header = Field("X-MSYS-API", b'{"options":{"open_tracking":%b,"click_tracking":%b}}' % (word, word))
    outcome = run(where, header).outcome
    assert isinstance(outcome, Plan)
    tracked = requested if policy is None else policy
    assert [edit.kind for edit in outcome.edits] == (["link", "pixel"] if tracked else [])


def test_an_address_that_no_link_can_hold_costs_no_mail() -> None:
    long = ("x" * 1100 + "@example.net",)
    considered = run(site(), API, recipients=long)
    assert considered.outcome == Plan(
        headers=(HeaderChange("X-MSYS-API", 1, None),),
        why=Why.INTERNAL_ERROR,
        note="no link can be made: a field of the identity is over its bound",
    )
    assert isinstance(run(site(), recipients=long).outcome, Leave)


def test_what_rewriting_leaves_still_loses_the_header() -> None:
    where = site(top="smtpapi { } limits { max_message_size = 1024 }")
    considered = run(where, API, body=BODY * 20)
    assert why(considered) is Why.TOO_LARGE
    assert removed(considered) == [("X-MSYS-API", 1)]
    assert isinstance(considered.outcome, Plan)
    assert considered.outcome.note == "body over 1024 bytes"
    assert considered.injections[0].outcome == "too-large"


def test_bad_labels_of_policy_refuse_the_mail() -> None:
    considered = run(site(), context={"smtpapi_tags": "cat"})
    text = "JSON parsing error in smtpapi_tags: expected a value at character 1"
    assert considered.outcome == Refuse("550", "5.6.0", text)
