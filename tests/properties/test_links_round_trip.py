"""Whatever may be sealed comes back equal, through token, URL and gateways; whatever comes in is answered."""

from contextlib import suppress
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from engagement.links.keys import Key, KeyStatus, Ring, RingError
from engagement.links.model import CLICKS, OPENS, Identity, Kind, Link
from engagement.links.token import BadToken, copy_sealer, open_token, unpack
from engagement.links.urls import click_url, pixel_url, read_path, read_url, refusal

RING = Ring((Key(1, KeyStatus.ACCEPTED, 0, bytes(32)), Key(2, KeyStatus.SIGNING, 0, bytes(range(32)))))

texts = st.text(max_size=60) | st.text(st.characters(codec=None), max_size=20)  # surrogates too
identities = st.builds(
    Identity,
    message_id=st.binary(min_size=16, max_size=16),
    transmission_id=st.integers(0, 2**64 - 1),
    recipient=texts,
    issued=st.integers(0, 2**40),
    expiry=st.integers(-(2**40), 2**40),
    rcpt_type=st.sampled_from(["", "cc", "bcc", "archive"]),
    campaign=texts,
    tags=st.lists(texts, max_size=10).map(tuple),
    metadata=texts | st.text('{}":,ab1', max_size=900),
    customer_id=texts,
    transactional=st.booleans(),
)
fit = st.binary(max_size=120).map(lambda data: bytes(0x21 + byte % 94 for byte in data).replace(b"\\", b"/"))
targets = st.builds(
    lambda scheme, host, rest: scheme + host + rest,
    st.sampled_from([b"http://", b"https://", b"HTTP://", b"hTTps://"]),
    st.sampled_from(
        [b"example.com", b"www.example.com", b"localhost:8080", b"1.2.3.4", b"[::1]", b"a_b.example"]
    ),
    st.just(b"") | st.builds(lambda sign, rest: sign + rest, st.sampled_from([b"/", b"?", b"#"]), fit),
)
places = st.tuples(st.integers(0, 100_000), st.sampled_from(["html", "text"])) | st.just((-1, ""))
links = st.tuples(targets, texts, st.booleans(), places).map(lambda given: Link(*given[:3], *given[3]))
tenants = st.sampled_from(["", "acme", "münchen"])
sublinks = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


@given(identities, links, st.sampled_from(Kind), tenants, sublinks)
def test_what_was_sealed_comes_back(who: Identity, link: Link, kind: Kind, tenant: str, sub: str) -> None:
    assert refusal(link.target) is None
    if kind is Kind.AMP_CLICK and link.part == "html":
        link = link._replace(part="amp")
    carried = None if kind in OPENS else link
    sealer = copy_sealer(RING.signing, who, tenant)
    token = sealer.seal(kind, carried)
    assert sealer.seal(kind, carried) == token
    assert token[:1].isalnum()
    assert token[-1:].isalnum()

    url = (
        pixel_url("http", "t.example", token)
        if kind in OPENS
        else click_url("https", "t.example", token, sub)
    )
    requested = read_url(url)
    assert requested is not None
    assert (requested.token, requested.spoiled) == (token, False)
    assert (requested.family == "open") == (kind in OPENS)

    opened = open_token(requested.token, RING, tenant)
    assert (opened.kind, opened.key_id, opened.identity, opened.link) == (kind, 2, who, carried)
    assert unpack(kind, opened.packed) == (who, carried)
    assert copy_sealer(RING.signing, opened.identity, tenant).seal(opened.kind, opened.link) == token


@given(st.binary(max_size=80))
def test_target_that_is_not_refused_can_stand_in_a_header(data: bytes) -> None:
    for target in (data, b"http://" + data, b"https://example.com" + data, b"http://example.com/" + data):
        if refusal(target) is None:
            assert all(0x21 <= byte <= 0x7E for byte in target)
            assert b"\\" not in target
            token = copy_sealer(RING.signing, _SOMEBODY).seal(Kind.CLICK, Link(target))
            assert open_token(token, RING).link == Link(target)


_SOMEBODY = Identity(bytes(16), 1, "a@example.com", 1_764_000_000, 1_795_536_000)


@given(fit.map(lambda rest: b"http://example.com/" + rest))
def test_any_path_of_printable_ascii_is_carried(target: bytes) -> None:
    assert refusal(target) is None


@given(st.binary(max_size=300) | st.text("ABab01-_=", max_size=300).map(str.encode))
def test_any_bytes_are_answered_with_badtoken_and_nothing_else(data: bytes) -> None:
    for token in (data, b"AQEAAg" + data):
        try:
            open_token(token, RING)
        except BadToken:
            continue
        raise AssertionError(token)


@given(st.binary(max_size=300), st.sampled_from(Kind))
def test_any_payload_is_read_or_refused(data: bytes, kind: Kind) -> None:
    try:
        identity, link = unpack(kind, data)
    except BadToken:
        return
    assert isinstance(identity, Identity)
    assert (link is not None) or kind not in CLICKS


@given(st.binary(max_size=200), st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=4))
def test_damaged_payload_is_read_or_refused(rest: bytes, damage: list[tuple[int, int]]) -> None:
    who = replace(_SOMEBODY, metadata='{"a":"b"}' * 12, tags=("x", "y"))
    token = copy_sealer(RING.signing, who).seal(Kind.CLICK, Link(b"http://example.com/" + rest))
    packed = bytearray(open_token(token, RING).packed)
    for place, byte in damage:
        packed[place % len(packed)] = byte
    with suppress(BadToken):
        unpack(Kind.CLICK, bytes(packed))


@given(identities, st.lists(st.booleans(), min_size=900, max_size=900), st.binary(max_size=12))
@settings(max_examples=50)
def test_link_that_gateways_escaped_and_people_spoiled_still_resolves(
    who: Identity, which: list[bool], tail: bytes
) -> None:
    token = copy_sealer(RING.signing, replace(who, metadata="")).seal(Kind.OPEN)
    path = b"/q/" + token
    escaped = b"".join(
        b"%%%02x" % byte if flag else bytes((byte,))
        for byte, flag in zip(path, which + [False] * len(path), strict=False)
    )
    requested = read_path(escaped)
    assert requested is not None
    assert (requested.token, requested.spoiled) == (token, False)
    requested = read_path(escaped + b"'" + tail)
    assert requested is not None
    assert (requested.token, requested.spoiled) == (token, True)


@given(st.binary(max_size=200) | st.text("/fqa%2F-_.?", max_size=60).map(str.encode))
def test_any_path_is_answered(path: bytes) -> None:
    requested = read_path(path)
    if requested is not None:
        assert requested.token[:1].isalnum()
        assert requested.token[-1:].isalnum()
    read_url(path)


secrets = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=6, unique=True)


@given(secrets, st.lists(st.integers(1, 6), max_size=4), st.integers(0, 253_402_300_799))
def test_any_ring_survives_its_text_form(values: list[bytes], revoke: list[int], now: int) -> None:
    ring = Ring()
    for secret in values:
        ring = ring.rotated(secret, now)
    for key_id in set(revoke):
        if key_id < len(values):
            ring = ring.revoked(key_id)
    assert Ring.parse(ring.dump()) == ring


@given(st.text(max_size=200) | st.text("1 signing\n#accepted2026-01-05T08:00:00Z", max_size=200))
def test_any_text_is_a_ring_or_an_error_with_its_place(text: str) -> None:
    try:
        Ring.parse(text, "ring")
    except RingError as error:
        message = str(error)
    else:
        return
    assert message.startswith("ring:")
