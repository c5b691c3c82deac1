"""What a policy puts in the place of a mail's body: it is tracked as if it had come so."""

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.links.keys import SECRET_SIZE, Ring
from engagement.settings import load_text
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.message import Field, HashedBody, Message
from smtpapi.model.outcome import Leave, Plan, Why
from smtpapi.mta.modifications import modifications_of
from smtpapi.pipeline.site import MessageResult, Site
from smtpapi.pipeline.transaction import consider
from smtpapi.policy.hooks import parse
from smtpapi.policy.views import PolicyMessage
from smtpapi.process.html_keeper import html_sent
from smtpapi.rewrite.raw_message import split

_RING = Ring().rotated(bytes(range(SECRET_SIZE)), 1)
_HOP = 2526
_CONFIG = f"""smtpapi {{}} limits {{ max_message_size = 10240 }}
ESMTP_Listener {{ click_tracking_enabled = true open_tracking_enabled = false }}
rewriting {{ split_listener = "127.0.0.1:{_HOP}" added_recipients = shared several_recipients = """
_FIELDS = (
    Field("Message-ID", b" <1@s.test>"),
    Field("Date", b" Tue, 24 Nov 2026 10:00:00 +0000"),
    Field("Content-Type", b" text/html"),
)
_BODY = b'<a href="https://old.example/">x</a>\r\n'
_NEW = b'<p>another</p><a href="https://new.example/">y</a>'
_EACH = "def validate_data_spool_each_rcpt(msg, ac, vctx): "
_SPOOL = "def validate_data_spool(msg, ac, vctx): "
_PUT = f"msg.set_body({_NEW!r})"


def _consider(
    source: str, *recipients: str, mode: str = "split", envelope: Envelope | None = None, **mail: Any
) -> MessageResult:
    policy = parse("from smtpapi.policy import core\n" + source, "p.py")
    site = Site.build(load_text(f"{_CONFIG}{mode} }}"), _RING, policy)
    envelope = envelope or Envelope(Client("127.0.0.1"), "a@s.test", recipients or ("b@r.test",), "Q")
    message = Message(mail.get("fields", _FIELDS), mail.get("body", _BODY), hashed=mail.get("hashed"))
    return consider(site, envelope, message, now=1_795_514_400.0, tick=lambda: 0.0)


def _plan(result: MessageResult) -> Plan:
    assert isinstance(result.outcome, Plan), result
    return result.outcome


def _sent(result: MessageResult, body: bytes = _BODY) -> bytes | None:
    changes = modifications_of(result.outcome, Message(_FIELDS, body))
    return changes.body if changes is not None else None


@pytest.mark.parametrize("head", [_EACH, _SPOOL])
def test_the_new_body_is_tracked_in_the_old_one_s_place(head: str) -> None:
    result = _consider(f"{head}{_PUT}; assert msg.body == {_NEW + bytes([13, 10])!r}")
    sent = _sent(result)
    assert sent is not None
    assert sent.startswith(b'<p>another</p><a href="http')
    assert b"old.example" not in sent
    assert b"new.example" not in sent
    assert sent.endswith(b">y</a>\r\n")
    (injection,) = result.injections
    assert (injection.links, injection.clicks) == (1, True)
    assert injection.size == Message(_FIELDS, _NEW + b"\r\n").header_size + 2 + len(_NEW) + 2


def test_a_header_changed_with_it_goes_out_with_it() -> None:
    result = _consider(
        f"{_SPOOL}msg.set_header('Content-Type', 'text/plain'); msg.set_body(b'see https://n.example/')"
    )
    sent = _sent(result)
    assert sent is not None
    assert sent.startswith(b"see http")
    assert b"n.example" not in sent


def test_where_nothing_is_tracked_the_body_changes_all_the_same() -> None:
    off = "vctx.set(core.VCTX_MESS, '__bypass_smtpapi', 'true'); "
    assert _consider(f"{_SPOOL}{off}{_PUT}").outcome == Plan(why=Why.BYPASSED, body=_NEW + b"\r\n")
    assert _consider(f"{_SPOOL}msg.set_body(b'')").outcome == Plan(why=Why.NO_LINK, parts=1, body=b"")


def test_a_body_over_the_limit_passes_as_such_mail_does() -> None:
    result = _consider(f"{_SPOOL}msg.set_body(b'x' * 20_000)")
    assert (_plan(result).why, len(_sent(result) or b"")) == (Why.TOO_LARGE, 20_002)


def test_a_body_whose_structure_is_ambiguous_passes_as_such_mail_does() -> None:
    fields = (*_FIELDS[:2], Field("Content-Type", b" multipart/mixed; boundary=x"))
    came = b"--x\r\nContent-Type: text/html\r\n\r\n" + _BODY + b"--x--\r\n"
    bad = came.replace(b"Content-Type: text/html", b"Content-Type: multipart/mixed; boundary=x")
    assert _plan(_consider(f"{_SPOOL}pass", fields=fields, body=came)).why is None
    result = _consider(f"{_SPOOL}msg.set_body({bad!r})", fields=fields, body=came)
    assert (_plan(result).why, _sent(result, came)) == (Why.AMBIGUOUS_MIME, bad)


@pytest.mark.parametrize(
    "mail", [{"body": b"x" * 10_241}, {"body": b"", "hashed": HashedBody(10_241, bytes(32))}]
)
def test_what_was_not_kept_whole_cannot_be_changed(mail: dict[str, Any]) -> None:
    outcome = _consider(_SPOOL + "msg.set_body(msg.body + b'.')", **mail).outcome
    assert isinstance(outcome, Leave)
    assert outcome.why is Why.POLICY_FAILED
    assert "max_message_size" in outcome.note


def test_text_is_no_body() -> None:
    outcome = _consider(_SPOOL + "msg.set_body('x')").outcome
    assert isinstance(outcome, Leave)
    assert "a body is bytes" in outcome.note


def _second_pass(source: str, first: MessageResult, body: bytes) -> MessageResult:
    value = next(each.value for each in _plan(first).headers if each.name == "X-Smtpapi-Split")
    assert value is not None
    client = Client("127.0.0.1", daemon_address="127.0.0.1", daemon_port=_HOP)
    fields = (*_FIELDS, Field("X-Smtpapi-Split", b" " + value.encode()))
    return _consider(
        source, envelope=Envelope(client, "a@s.test", ("c@r.test",), "Q2"), fields=fields, body=body
    )


def test_the_message_s_new_body_goes_over_the_hop_and_is_known_there() -> None:
    source = _SPOOL + _PUT
    first = _consider(source, "b@r.test", "c@r.test")
    assert (_plan(first).why, _sent(first)) == (Why.SPLIT, _NEW + b"\r\n")
    copy = _second_pass(source, first, _NEW + b"\r\n")
    assert (_plan(copy).why, _plan(copy).body) == (None, None)
    assert b"new.example" not in (_sent(copy, _NEW + b"\r\n") or b"")
    assert _plan(_second_pass(source, first, _BODY)).why is Why.SEVERAL_RECIPIENTS  # that is another mail


def test_a_copy_s_own_body_is_made_behind_the_hop() -> None:
    source = _EACH + "msg.set_body(msg.recipient.encode() + b' ' + msg.body)"
    first = _consider(source, "b@r.test", "c@r.test")
    assert (_plan(first).why, _plan(first).body) == (Why.SPLIT, None)
    sent = _sent(_second_pass(source, first, _BODY))
    assert sent is not None
    assert sent.startswith(b'c@r.test <a href="http')
    assert b"old.example" not in sent


def test_bodies_of_their_own_take_mail_over_the_hop_that_would_not_need_it() -> None:
    source = _EACH + "msg.set_body(msg.recipient.encode())"
    several = "b@r.test", "c@r.test"
    assert (
        _plan(_consider(source, *several, fields=(*_FIELDS, Field("DKIM-Signature", b" x")))).why is Why.SPLIT
    )
    result = _consider(source, *several, mode="untracked")
    assert result.outcome == Leave(Why.SEVERAL_RECIPIENTS)
    assert "for some recipients only" in "".join(result.notes)


@given(st.text("\r\n.a", max_size=20))
def test_a_body_has_whole_lines_that_end_in_crlf(text: str) -> None:
    message = PolicyMessage(Envelope(Client(""), "", ("b@r.test",)), Message((), b""))
    message.set_body(text.encode())
    body = message.body
    assert not set(body.replace(b"\r\n", b"")) & set(b"\r\n")
    assert body == b"" or body.endswith(b"\r\n")
    message.set_body(body)
    assert message.body == body


def test_a_report_shows_the_body_as_one_change_with_its_own_within() -> None:
    raw = split(b"Content-Type: text/html\r\n\r\n" + _BODY)
    plan = _plan(_consider(_SPOOL + _PUT))
    (whole,) = (edit for edit in raw.edits(plan) if edit.kind == "body")
    assert (whole.start, whole.stop) == (raw.body_start, len(raw.raw))
    assert [edit.kind for edit in whole.inner] == ["link"]
    assert raw.apply(plan).endswith(whole.new)
    assert (html_sent(Message(_FIELDS, _BODY), plan) or "").startswith("<p>another</p>")


@pytest.mark.parametrize("mode", ["untracked", "split"])
@pytest.mark.parametrize("kind", [b" text/html", b" application/x-none"])
def test_what_a_header_says_of_the_body_that_came_goes_with_it(kind: bytes, mode: str) -> None:
    """A mailbox's reader that believes Content-Length would end the mail there (H16)."""
    fields = (*_FIELDS[:2], Field("Content-MD5", b" x"), Field("content-length", b" 3"))
    source = f"{_SPOOL}msg.set_header('Subject', 's'); {_PUT}"
    typed = (*fields, Field("Content-Type", kind))
    outcome = _plan(_consider(source, "b@r.test", "c@r.test", mode=mode, fields=typed))
    gone = [(each.name.lower(), each.index) for each in outcome.headers if each.value is None]
    assert sorted(gone) == [("content-length", 1), ("content-md5", 1)]


def test_one_body_for_all_is_kept_once() -> None:
    recipients = [f"u{number}@r.test" for number in range(200)]
    tracemalloc.start()
    try:
        result = _consider(_EACH + "msg.set_body(b'y' * 200_000)", *recipients, mode="untracked")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(_plan(result).body or b"") == 200_002
    assert peak < 10_000_000
