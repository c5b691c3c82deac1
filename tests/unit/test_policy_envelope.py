"""What a policy makes of the envelope of its mail: another sender, another recipient."""

from dataclasses import replace
from typing import Any

import pytest

from engagement.events.model import Injection, recipient_mark
from engagement.links.keys import SECRET_SIZE, Ring
from engagement.settings import load_text
from engagement.suppression.model import Entry, MailKind, Source
from engagement.suppression.snapshot import EMPTY, hash_of
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.granted_actions import GrantedActions
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import Discard, Leave, Plan, Recipient, Refuse, Why
from smtpapi.pipeline.site import MessageResult, Site
from smtpapi.pipeline.transaction import consider
from smtpapi.policy.hooks import parse

_RING = Ring().rotated(bytes(range(SECRET_SIZE)), 1)
_HOP = 2526
_CONFIG = f"""smtpapi {{}} ESMTP_Listener {{ click_tracking_enabled = true }}
rewriting {{ split_listener = "127.0.0.1:{_HOP}" added_recipients = shared several_recipients = """
_FIELDS = (
    Field("Message-ID", b" <1@s.test>"),
    Field("Date", b" Tue, 24 Nov 2026 10:00:00 +0000"),
    Field("Content-Type", b" text/html"),
)
_BODY = b'<a href="https://shop.example/">x</a>\r\n'
_EACH = "def validate_data_spool_each_rcpt(msg, ac, vctx): "
_SPOOL = "def validate_data_spool(msg, ac, vctx): "
_VERP = _EACH + "msg.set_mailfrom('b-' + msg.recipient.replace('@', '=') + '@s.test')"
_NOW = 1_795_514_400.0


def _site(source: str, mode: str, more: str = "") -> Site:
    policy = parse("from smtpapi.policy import core\n" + source, "p.py")
    return Site.build(load_text(f"{_CONFIG}{mode} }} {more}"), _RING, policy)


def _consider(source: str, *recipients: str, mode: str = "split", **more: Any) -> MessageResult:
    envelope = Envelope(Client("127.0.0.1", host="h.test"), "a@s.test", recipients or ("b@r.test",), "Q")
    message = Message(more.pop("fields", _FIELDS), more.pop("body", _BODY))
    return consider(_site(source, mode), envelope, message, now=_NOW, tick=lambda: 0.0, **more)


def _plan(result: MessageResult) -> Plan:
    assert isinstance(result.outcome, Plan), result
    return result.outcome


def _second_pass(
    source: str, first: MessageResult, recipient: str, body: bytes = _BODY, sender: str = "a@s.test"
) -> MessageResult:
    """Return the result of one recipient's copy, as the hop brings it back."""
    split = next(each.value for each in _plan(first).headers if each.name == "X-Smtpapi-Split")
    assert split is not None
    fields = (*_FIELDS, Field("X-Smtpapi-Split", b" " + split.encode()))
    client = Client("127.0.0.1", daemon_address="127.0.0.1", daemon_port=_HOP, host="h.test")
    envelope = Envelope(client, sender, (recipient,), "Q2")
    site = _site(source, "split")
    return consider(site, envelope, Message(fields, body), now=_NOW, tick=lambda: 0.0)


@pytest.mark.parametrize("head", [_EACH, _SPOOL])
def test_a_new_sender_goes_out_and_is_in_the_event(head: str) -> None:
    source = head + "msg.set_mailfrom('n@s.test'); assert msg.mailfrom == msg.sender == 'n@s.test'"
    result = _consider(source)
    assert (_plan(result).sender, _plan(result).why) == ("n@s.test", None)
    assert [each.sender for each in result.injections] == ["n@s.test"]


def test_the_sender_that_it_has_is_no_change() -> None:
    assert _plan(_consider(_SPOOL + "msg.set_mailfrom('a@s.test')")).sender is None
    back = f"{_SPOOL}msg.set_mailfrom('n@s.test')\n{_EACH}msg.set_mailfrom('a@s.test')"
    result = _consider(back)
    assert _plan(result).sender is None
    assert [each.sender for each in result.injections] == ["a@s.test"]


def test_mail_without_a_sender_is_left_alone_whoever_made_it_so() -> None:
    result = _consider(_SPOOL + "msg.set_mailfrom('')")
    assert result.outcome == Plan(why=Why.NULL_SENDER, sender="")


def test_ids_are_those_of_the_mail_as_it_came() -> None:
    (unchanged,) = _consider("def validate_data(msg, ac, vctx): pass").injections
    (changed,) = _consider(_SPOOL + "msg.set_mailfrom('n@s.test'); msg.remove_header('Date')").injections
    (moved,) = _consider(_EACH + "msg.set_rcptto('n@r.test')").injections
    assert unchanged.id == changed.id == moved.id
    assert unchanged.message_id == changed.message_id == moved.message_id


def test_over_the_hop_the_message_s_sender_changes_before_and_a_copy_s_behind() -> None:
    source = f"{_SPOOL}msg.set_mailfrom('n@s.test')\n{_VERP}"
    first = _consider(source, "b@r.test", "c@r.test")
    assert (_plan(first).why, _plan(first).sender) == (Why.SPLIT, "n@s.test")
    copy = _second_pass(source, first, "c@r.test", sender="n@s.test")
    assert (_plan(copy).why, _plan(copy).sender) == (None, "b-c=r.test@s.test")
    assert [each.sender for each in copy.injections] == ["b-c=r.test@s.test"]


def test_senders_of_their_own_take_mail_over_the_hop_that_would_not_need_it() -> None:
    off = f"{_SPOOL}vctx.set(core.VCTX_MESS, 'smtpapi_click_tracking', '0')\n{_VERP}"
    first = _consider(off, "b@r.test", "c@r.test")
    assert (_plan(first).why, _plan(first).sender) == (Why.SPLIT, None)
    copy = _second_pass(off, first, "c@r.test")
    assert (_plan(copy).why, _plan(copy).sender) == (Why.TRACKING_OFF, "b-c=r.test@s.test")


def test_without_a_hop_a_sender_for_some_is_left_out_and_one_for_all_is_made() -> None:
    several = "b@r.test", "c@r.test"
    result = _consider(_VERP, *several, mode="untracked")
    assert result.outcome == Leave(Why.SEVERAL_RECIPIENTS)
    assert "for some recipients only" in "".join(result.notes)
    same = _EACH + "msg.set_mailfrom('n@s.test')"
    assert _plan(_consider(same, *several, mode="untracked")).sender == "n@s.test"


def test_another_recipient_gets_the_mail_with_links_of_their_own() -> None:
    source = _EACH + "msg.set_rcptto('n@r.test'); assert msg.recipient == 'n@r.test'"
    result = _consider(source)
    assert _plan(result).recipients == (Recipient("n@r.test", instead_of="b@r.test"),)
    assert _plan(result).why is None
    (injection,) = result.injections
    assert injection.recipient == "n@r.test"
    assert injection.recipient_mark == recipient_mark("h.test", "Q", "n@r.test")


def test_over_the_hop_a_recipient_changes_in_their_copy_alone() -> None:
    source = _EACH + "msg.set_rcptto('n@r.test') if msg.recipient == 'c@r.test' else None"
    first = _consider(source, "b@r.test", "c@r.test")
    assert (_plan(first).why, _plan(first).recipients) == (Why.SPLIT, ())
    assert _plan(_second_pass(source, first, "b@r.test")).recipients == ()
    copy = _second_pass(source, first, "c@r.test")
    assert _plan(copy).recipients == (Recipient("n@r.test", instead_of="c@r.test"),)
    assert [each.recipient for each in copy.injections] == ["n@r.test"]
    assert copy.injections[0].recipient_mark == recipient_mark("h.test", "Q2", "n@r.test")


def test_two_whose_mail_goes_to_one_have_an_event_each() -> None:
    source = _EACH + "msg.set_rcptto('n@r.test')"
    first = _consider(source, "b@r.test", "c@r.test")
    copies = [_second_pass(source, first, each).injections[0] for each in ("b@r.test", "c@r.test")]
    assert copies[0].recipient == copies[1].recipient == "n@r.test"
    assert copies[0].id != copies[1].id
    assert copies[0].message_id != copies[1].message_id


def test_without_a_hop_each_recipient_changes_all_the_same() -> None:
    source = _EACH + "msg.set_rcptto('n@r.test') if msg.recipient == 'C@r.test' else None"
    result = _consider(source, "b@r.test", "C@r.test", "C@R.test", mode="untracked")
    assert _plan(result).recipients == (
        Recipient("n@r.test", instead_of="C@r.test"),
        Recipient("n@r.test", instead_of="C@R.test"),
    )


def _suppressed(address: str, source: str, *recipients: str, mode: str = "untracked") -> MessageResult:
    site = replace(
        _site(source, mode, "suppression_action = remove"),
        suppressed=lambda: EMPTY.changed(
            {hash_of(Entry(address, MailKind.NON_TRANSACTIONAL).key): Source.MANUALLY_ADDED}
        ),
    )
    envelope = Envelope(Client("127.0.0.1", host="h.test"), "a@s.test", recipients, "Q")
    return consider(site, envelope, Message(_FIELDS, _BODY), now=_NOW, tick=lambda: 0.0)


@pytest.mark.parametrize("mode", ["untracked", "split"])
def test_the_suppression_list_is_asked_for_who_would_get_the_mail(mode: str) -> None:
    source = _EACH + "msg.set_rcptto('n@r.test') if msg.recipient == 'c@r.test' else None"
    result = _suppressed("n@r.test", source, "b@r.test", "c@r.test", mode=mode)
    assert (_plan(result).leaving, _plan(result).recipients) == (("c@r.test",), ())
    assert [each.recipient for each in result.suppressed if isinstance(each, Injection)] == ["n@r.test"]
    result = _suppressed("c@r.test", source, "c@r.test")
    assert _plan(result).recipients == (Recipient("n@r.test", instead_of="c@r.test"),)
    assert isinstance(_suppressed("n@r.test", source, "c@r.test").outcome, Discard)


def test_the_list_is_asked_for_who_would_get_a_copy_too() -> None:
    header = 'msg.set_header(\'X-MSYS-API\', \'{"cc": [{"email": "c@r.test"}]}\')'
    source = f"{_SPOOL}{header}\n{_EACH}msg.set_rcptto('n@r.test') if msg.recipient == 'c@r.test' else None"
    assert _plan(_suppressed("n@r.test", source, "b@r.test", mode="split")).why is None
    first = _suppressed("c@r.test", source, "b@r.test", mode="split")
    assert _plan(first).recipients == (Recipient("c@r.test"),)


def test_the_list_is_asked_for_who_would_get_an_archive_copy() -> None:
    header = 'msg.set_header(\'X-MSYS-API\', \'{"archive": [{"email": "c@r.test"}]}\')'
    source = f"{_SPOOL}{header}\n{_EACH}msg.set_rcptto('n@r.test') if msg.recipient == 'c@r.test' else None"
    assert _plan(_suppressed("n@r.test", source, "b@r.test", mode="split")).why is None
    first = _suppressed("c@r.test", source, "b@r.test", mode="split")
    assert _plan(first).recipients == (Recipient("c@r.test"),)


@pytest.mark.parametrize("mode", ["untracked", "split"])
def test_who_remains_alone_has_what_policy_made_of_their_copy(mode: str) -> None:
    result = _suppressed("c@r.test", _VERP, "b@r.test", "c@r.test", mode=mode)
    assert (_plan(result).why, _plan(result).sender) == (None, "b-b=r.test@s.test")
    assert [each.sender for each in result.injections] == ["b-b=r.test@s.test"]
    source = _EACH + "msg.set_mailfrom('' if msg.recipient == 'b@r.test' else 'n@s.test')"
    outcome = _plan(_suppressed("c@r.test", source, "b@r.test", "c@r.test", mode=mode))
    assert (outcome.why, outcome.sender) == (Why.NULL_SENDER, "")


def test_a_recipient_that_policy_added_may_be_another_by_then() -> None:
    source = (
        "def validate_rcptto(msg, r, ac, vctx): msg.add_recipient('x@r.test')\n"
        f"{_EACH}msg.set_rcptto('n@r.test') if msg.recipient == 'x@r.test' else None"
    )
    assert _plan(_consider(source, mode="untracked")).recipients == (Recipient("n@r.test"),)


_CHANGES = "msg.set_mailfrom('n@s.test'); msg.set_rcptto('n@r.test'); msg.set_body(b'x')"


def test_a_copy_whose_policy_fails_goes_as_it_came() -> None:
    outcome = _consider(f"{_EACH}{_CHANGES}; 1 / 0").outcome
    assert isinstance(outcome, Leave)
    assert outcome.why is Why.POLICY_FAILED


def test_a_copy_that_policy_refuses_is_not_changed_first() -> None:
    assert isinstance(_consider(f"{_EACH}{_CHANGES}; vctx.set_code(550, 'no')").outcome, Refuse)


def test_one_copy_whose_policy_fails_has_what_the_message_s_hooks_set() -> None:
    source = f"{_SPOOL}msg.set_mailfrom('n@s.test')\n{_EACH}{_CHANGES}; 1 / (msg.mailfrom == '' or 0)"
    outcome = _consider(source).outcome
    assert isinstance(outcome, Plan)
    assert (outcome.why, outcome.sender, outcome.recipients, outcome.body) == (
        Why.POLICY_FAILED,
        "n@s.test",
        (),
        None,
    )


def test_a_message_whose_policy_fails_goes_as_it_came() -> None:
    outcome = _consider(_SPOOL + "msg.set_mailfrom('n@s.test'); msg.set_body(b'x'); 1 / 0").outcome
    assert isinstance(outcome, Leave)
    assert outcome.why is Why.POLICY_FAILED


@pytest.mark.parametrize(
    ("hook", "says"),
    [
        (_SPOOL + "msg.set_rcptto('n@r.test')", "hooks for each recipient"),
        (_EACH + "msg.set_rcptto('')", "not an address"),
        (_EACH + "msg.set_rcptto('<n@r.test>')", "not an address"),
        (_EACH + "msg.set_mailfrom('n@r.test x')", "not an address"),
    ],
)
def test_what_cannot_be_done_fails_the_policy(hook: str, says: str) -> None:
    outcome = _consider(hook).outcome
    assert isinstance(outcome, Leave)
    assert outcome.why is Why.POLICY_FAILED
    assert says in outcome.note


@pytest.mark.parametrize(
    ("call", "action"),
    [
        ("msg.set_mailfrom('n@s.test')", "CHGFROM"),
        ("msg.set_rcptto('n@s.test')", "DELRCPT"),
        ("msg.set_body(b'x')", "CHGBODY"),
    ],
)
def test_what_the_mta_does_not_grant_fails_the_policy(call: str, action: str) -> None:
    rights = GrantedActions(GrantedActions().granted - {action})
    outcome = _consider(_EACH + call, rights=rights).outcome
    assert isinstance(outcome, Leave)
    assert f"the MTA does not grant {action}" in outcome.note


@pytest.mark.parametrize(
    "address",
    [
        *('"q@r.test', r'"q\"@r.test', 'q"w"e@r.test', r"q\@r.test", "q@w@r.test", "-q@r.test", "[q@r.test"),
        *("q@r..test", "q@.", "q@-", "q@-r.test", "q@r-.test", "q@r.test.", f"q@{'r' * 64}.test"),
        "q@192.0.2.1",
    ],
)
@pytest.mark.parametrize("call", ["set_mailfrom", "set_rcptto"])
def test_what_an_mta_reads_otherwise_or_bounces_is_no_address(address: str, call: str) -> None:
    outcome = _consider(f"{_EACH}msg.{call}({address!r})").outcome
    assert isinstance(outcome, Leave)
    assert outcome.why is Why.POLICY_FAILED
    assert "not an address" in outcome.note


@pytest.mark.parametrize("address", ['"q.@r"@r.test', r'"q\""@r.test', ".q.@r.test", "b=q@xn--r_1.a", "ü@r"])
def test_odd_addresses_that_mtas_take_are_addresses(address: str) -> None:
    plan = _plan(_consider(f"{_EACH}msg.set_rcptto({address!r}); msg.set_mailfrom({address!r})"))
    assert (plan.sender, plan.recipients[0].address) == (address, address)


@pytest.mark.parametrize("odd", ["b\udce9@r.test", "@x.test:b@r.test"], ids=["no UTF-8", "with a route"])
def test_an_address_that_the_mta_would_not_find_again_keeps_its_mail(odd: str) -> None:
    """pymilter cannot name the one; of the other Postfix takes out nobody, and both would have the mail."""
    outcome = _consider(_EACH + "msg.set_rcptto('n@r.test')", odd).outcome
    assert isinstance(outcome, Leave)
    assert outcome.why is Why.POLICY_FAILED
    assert "cannot be replaced" in outcome.note
