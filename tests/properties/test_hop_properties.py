"""Whatever is sent to whomever over the hop: each copy has its recipient's links, nothing of ours leaks."""

import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hop_mail import TO, Mail, identities, mail, site
from smtpapi.model.message import Field
from smtpapi.model.outcome import Discard, Leave, Plan, Refuse, Why
from smtpapi.pipeline.transaction import Site
from smtpapi.request import copies

SITES = {mode: site(mode) for mode in ("split", "readdress")}
OURS = ("x-msys-api", "x-smtpapi-split")

_ADDRESSES = st.sampled_from(
    [
        f"{local}@{domain}"
        for local in ("a", "A", "b+x", "c")
        for domain in ("d.example", "D.example", "e.example")
    ]
)
_ENTRIES = st.lists(
    _ADDRESSES | st.fixed_dictionaries({"email": _ADDRESSES, "name": st.text(max_size=9)}), max_size=4
)
_API = st.fixed_dictionaries(
    {},
    optional={
        "cc": _ENTRIES,
        "bcc": _ENTRIES,
        "archive": _ENTRIES,
        "campaign_id": st.text(max_size=9),
        "metadata": st.dictionaries(st.text(max_size=5), st.text(max_size=30), max_size=3),
        "tags": st.lists(st.text(max_size=5), max_size=3),
        "options": st.fixed_dictionaries({}, optional={"click_tracking": st.booleans()}),
    },
)
_FIELDS = st.lists(
    st.builds(
        Field,
        st.sampled_from(["Cc", "cc", "Bcc", "X-Smtpapi-Split", "X-Smtpapi-Id", "Subject", "X-MSYS-API"]),
        st.sampled_from(
            [b"", b" x@e.example", b" \xff", b" a@d.example,\r\n\t c@e.example", b" 1 1 AAAA", b"{"]
        ),
    ),
    max_size=4,
)
_BODIES = st.lists(
    st.sampled_from(
        [b'<a href="http://x.example/">x</a>', b"<p>", b"\r\n", b"</body>", b"\xe9", b"[[", b"--b"]
    ),
    max_size=5,
).map(b"".join)

_LONG_LINE = b'<a href="http://x.example/">x</a>' * 5  # too long for a line, once each link is ours


def sent(
    where: Site, api: dict[str, object], fields: list[Field], body: bytes, recipients: list[str]
) -> Mail | None:
    """The mail in the queue, None where it was refused."""
    header = Field("X-MSYS-API", json.dumps(api).encode())
    under_way = mail(where, header, *fields, body=body, recipients=tuple(recipients))
    outcome = under_way.consider().outcome
    if isinstance(outcome, Refuse):
        assert outcome.code == "550"
        return None
    assert not isinstance(outcome, Discard)
    assert outcome.why is not Why.INTERNAL_ERROR, outcome.note
    return under_way.queued()


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(SITES)), _API, _FIELDS, _BODIES, st.lists(_ADDRESSES, min_size=1, max_size=4))
@example("readdress", {"tags": ["0"], "metadata": {"0": "0" * 99}}, [], _LONG_LINE, ["a@d.example"])
def test_each_copy_is_for_its_recipient(
    mode: str, api: dict[str, object], fields: list[Field], body: bytes, recipients: list[str]
) -> None:
    queued = sent(SITES[mode], api, fields, body, recipients)
    if queued is None:
        return
    hopped = any(each.name == "X-Smtpapi-Split" for each in queued.message.fields)
    reached = {copies.same(each) for each in queued.recipients}
    for recipient in queued.recipients if hopped else ():
        copy = queued.hop(recipient)
        considered = copy.consider()
        assert isinstance(considered.outcome, Plan), considered.outcome
        assert considered.outcome.why is not Why.INTERNAL_ERROR, considered.outcome.note
        assert considered.outcome.recipients == ()
        (event,) = considered.injections
        delivered = copy.queued().message
        assert not [each for each in delivered.fields if each.name.lower() in OURS]
        whose = recipients[0] if event.rcpt_type == "archive" else recipient
        assert {copies.same(each.recipient) for each in identities(delivered.body)} <= {copies.same(whose)}
        bcc = [each.value for each in delivered.fields if each.name.lower() == "bcc"]
        # A Bcc field of the author's own is theirs where the header names no bcc.
        assert (len(bcc) == 1) is (event.rcpt_type == "bcc") or not api.get("bcc")
    if not hopped:
        assert not [each for each in queued.message.fields if each.name.lower() in OURS]
        assert {copies.same(each.recipient) for each in identities(queued.message.body)} <= reached
        assert len(reached) == 1 or not identities(queued.message.body)


@settings(max_examples=50, deadline=None)
@given(_API, _BODIES, st.binary(max_size=40))
def test_a_copy_with_another_body_has_no_links(api: dict[str, object], body: bytes, other: bytes) -> None:
    queued = sent(SITES["split"], api, [], body, list(TO))
    if queued is None or other == body:
        return
    copy = queued.hop(TO[0])
    copy.message = type(copy.message)(copy.message.fields, other)
    if any(each.name == "X-Smtpapi-Split" for each in copy.message.fields):
        assert isinstance(copy.consider().outcome, Plan | Leave)
        assert copy.queued().message.body == other
