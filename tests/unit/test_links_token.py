"""The token: short, canonical, deterministic, and bounded at both ends."""

import base64
import random
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import msgpack
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from engagement.links import payload as payload_module
from engagement.links.keys import Key, KeyStatus, Ring
from engagement.links.model import CLICKS, OPENS, Identity, Kind, Link
from engagement.links.payload import (
    MAX_METADATA,
    MAX_PAYLOAD,
    MAX_TAGS,
    MAX_TARGET,
    MAX_TEXT,
    pack_identity,
    pack_link,
    payload,
)
from engagement.links.token import BadToken, CannotSeal, copy_sealer, open_token, unpack
from engagement.links.urls import click_url

RING = Ring(
    (
        Key(1, KeyStatus.ACCEPTED, 0, bytes(range(32))),
        Key(2, KeyStatus.REVOKED, 0, bytes(range(1, 33))),
        Key(515, KeyStatus.SIGNING, 0, bytes(range(2, 34))),
    )
)
WHO = Identity(
    bytes(range(16)),
    2**63 + 12345,
    "a.reader17@mail.example.x",
    1_764_000_000,
    1_795_536_000,
    campaign="spring-offer",
    tags=("newslett", "customer"),
)
SHOP = Link(b"https://shop.example.com/spring/catalogue?utm_source=newsletter&id=8842-17c9f3a2")


def seal(link: Link | None = SHOP, kind: Kind = Kind.CLICK, who: Identity = WHO, tenant: str = "") -> bytes:
    return copy_sealer(RING.signing, who, tenant).seal(kind, link)


def reason(token: bytes, tenant: str = "", ring: Ring = RING) -> str:
    with pytest.raises(BadToken) as caught:
        open_token(token, ring, tenant)
    return caught.value.reason


def raw(token: bytes) -> bytes:
    return base64.urlsafe_b64decode(token + b"=" * (-len(token) % 4))


def text(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def forged_by_ourselves(payload: bytes, kind: Kind = Kind.CLICK, version: int = 1) -> bytes:
    """Seal any bytes with the real key, as no program of ours would."""
    header = bytes((version, kind)) + (515).to_bytes(2, "big")
    cipher = AESSIV(RING.signing.derive(b"link", "", 64))
    return text(header + cipher.encrypt(payload, [header]))


def test_plain_link_with_campaign_and_two_tags_fits_300_characters() -> None:
    assert len(SHOP.target) == 80
    assert len(WHO.recipient) == 25
    assert len(WHO.campaign) == 12
    assert {len(tag) for tag in WHO.tags} == {8}
    assert len(click_url("https", "track.example.com", seal())) == 281


def test_metadata_is_deflated_when_that_shortens_the_link() -> None:
    long = '{"plan":"enterprise","segment":"spring","variant":"enterprise-spring","store":"spring-store"}'
    assert len(seal(who=replace(WHO, metadata=long))) < len(seal()) + len(long)
    assert open_token(seal(who=replace(WHO, metadata=long)), RING).identity.metadata == long


@pytest.mark.parametrize(("size", "deflated"), [(63, False), (64, True), (1000, True)])
def test_metadata_is_deflated_from_64_bytes_on(size: int, deflated: bool) -> None:
    sealed = [len(seal(None, Kind.OPEN, replace(WHO, metadata=text))) for text in ("m" * size, "")]
    assert (sealed[0] - sealed[1] < 30) == deflated


def test_metadata_that_deflate_hardly_shortens_stays_as_it_is() -> None:
    noise = "0f8e3a91c7d26b54e09a7c1d3f6b82e5a49d07c36e1b58f2a3d94c70e6b1f852d9"
    packed = open_token(seal(None, Kind.OPEN, replace(WHO, metadata=noise)), RING).packed
    assert noise.encode() in packed


def test_equal_arguments_give_equal_tokens() -> None:
    assert seal() == seal()
    assert seal() != seal(who=replace(WHO, recipient="b.reader17@mail.example.x"))


def test_nothing_of_the_payload_is_readable_in_the_token() -> None:
    clear = raw(seal())
    assert all(part not in clear for part in (b"reader", b"shop", b"spring", WHO.message_id))


@pytest.mark.parametrize("kind", Kind)
def test_every_length_begins_and_ends_with_a_letter_or_digit(kind: Kind) -> None:
    for size in range(40):
        link = None if kind in OPENS else Link(b"https://example.com/" + b"x" * size)
        token = seal(link, kind, replace(WHO, campaign="c" * size))
        assert token[:1].isalnum(), token
        assert token[-1:].isalnum(), token
        assert len(raw(token)) % 3 != 0
        assert len(token) % 4 != 0  # so nobody needs padding


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_has_a_link_or_none(kind: Kind) -> None:
    for link in (None, SHOP):
        allowed = kind not in (CLICKS if link is None else OPENS)
        if allowed:
            assert open_token(seal(link, kind), RING).link == link
        else:
            with pytest.raises(CannotSeal):
                seal(link, kind)


def test_threads_share_sealers_and_ciphers_without_harm() -> None:
    links = [Link(b"https://example.com/%d/" % number + b"x" * number) for number in range(200)]
    sealer = copy_sealer(RING.signing, WHO)
    expected = [sealer.seal(Kind.CLICK, link) for link in links]
    with ThreadPoolExecutor(8) as pool:
        rounds = list(pool.map(lambda _: [sealer.seal(Kind.CLICK, link) for link in links], range(16)))
        opened = list(pool.map(lambda token: open_token(token, RING).link, expected * 8))
    assert all(tokens == expected for tokens in rounds)
    assert opened == links * 8


def test_expired_token_opens() -> None:
    gone = replace(WHO, expiry=WHO.issued - 1)
    assert open_token(seal(who=gone), RING).identity == gone


def test_packed_payload_is_enough_to_read_the_link_again() -> None:
    opened = open_token(seal(), RING)
    assert unpack(opened.kind, opened.packed) == (WHO, SHOP)


@pytest.mark.parametrize(
    "who",
    [
        replace(WHO, message_id=bytes(15)),
        replace(WHO, transmission_id=2**64),
        replace(WHO, transmission_id=-1),
        replace(WHO, rcpt_type="fcc"),
        replace(WHO, recipient="r" * (MAX_TEXT + 1)),
        replace(WHO, campaign="c" * (MAX_TEXT + 1)),
        replace(WHO, customer_id="c" * (MAX_TEXT + 1)),
        replace(WHO, tags=("t",) * (MAX_TAGS + 1)),
        replace(WHO, tags=("t" * (MAX_TEXT + 1),)),
        replace(WHO, metadata="m" * (MAX_METADATA + 1)),
        replace(WHO, metadata="é" * (MAX_METADATA // 2 + 1)),
        replace(WHO, issued=-1),
        replace(WHO, issued=2**54, expiry=2**54),
        replace(WHO, expiry=2**60),
    ],
)
def test_identity_over_a_bound_is_not_sealed(who: Identity) -> None:
    with pytest.raises(CannotSeal):
        copy_sealer(RING.signing, who)


@pytest.mark.parametrize("link", [Link(b"x" * (MAX_TARGET + 1)), Link(b"x", "n" * (MAX_TEXT + 1))])
def test_link_over_a_bound_is_not_sealed(link: Link) -> None:
    with pytest.raises(CannotSeal):
        seal(link)
    with pytest.raises(CannotSeal, match="a target over"):
        pack_link(link)


def test_what_is_just_within_the_bounds_comes_back() -> None:
    who = Identity(
        b"\xff" * 16,
        2**64 - 1,
        "r" * MAX_TEXT,
        2**53,
        2**53 + 31_536_000 - 2**53,
        metadata="m" * MAX_METADATA,
        tags=("t",) * MAX_TAGS,
        campaign="é" * MAX_TEXT,
    )
    link = Link(b"x" * MAX_TARGET)
    assert open_token(seal(link, who=who), RING) == replace(
        open_token(seal(link, who=who), RING), identity=who, link=link
    )


def test_longest_texts_come_back() -> None:
    who = replace(WHO, customer_id="c" * MAX_TEXT, tags=("t" * MAX_TEXT,))
    link = Link(b"http://example.com/", "n" * MAX_TEXT)
    opened = open_token(seal(link, who=who), RING)
    assert (opened.identity, opened.link) == (who, link)


def test_payload_over_the_cap_is_not_sealed() -> None:
    who = replace(WHO, recipient="é" * MAX_TEXT, campaign="é" * MAX_TEXT, tags=("é" * 100,) * 10)
    seal(Link(b""), who=who)
    with pytest.raises(CannotSeal, match=str(MAX_PAYLOAD)):
        seal(Link(b"x" * MAX_TARGET), who=who)


def test_payload_of_just_the_cap_is_sealed() -> None:
    who = replace(WHO, recipient="é" * MAX_TEXT, campaign="é" * MAX_TEXT)
    left = MAX_PAYLOAD - len(open_token(seal(Link(b"x" * 256), who=who), RING).packed) - 8
    sizes = set()
    for size in range(left, left + 16):
        try:
            token = seal(Link(b"x" * (256 + size)), who=who)
        except CannotSeal:
            break
        sizes.add(len(open_token(token, RING).packed))
    assert max(sizes) == MAX_PAYLOAD


@pytest.mark.parametrize("start", [b"", b"x", b"http://", b"https://", b"https://www.", b"https://www"])
@pytest.mark.parametrize("unsubscribe", [False, True])
def test_every_beginning_of_a_target_comes_back(start: bytes, unsubscribe: bool) -> None:
    for target in (start, start + b"example.com/", start + start):
        link = Link(target, "", unsubscribe)
        assert open_token(seal(link), RING).link == link


def test_bounds_are_those_of_the_documentation() -> None:
    assert (MAX_PAYLOAD, MAX_TARGET, MAX_METADATA, MAX_TEXT, MAX_TAGS) == (8192, 4096, 8192, 1024, 64)


def test_longest_token_is_opened_and_a_longer_one_is_not_even_decoded() -> None:
    longest = forged_by_ourselves(bytes(MAX_PAYLOAD))
    assert len(longest) == 10_950
    assert reason(longest) == "payload"
    assert reason(b"A" * 10_950) == "version"
    assert reason(b"A" * 10_951) == "length"


def test_each_fault_has_its_reason() -> None:
    token = seal()
    good = raw(token)
    assert reason(b"") == "length"
    assert reason(b"A" * 20_000) == "length"
    assert reason(text(good[:20])) == "length"
    assert reason(token + b"=") == "encoding"
    assert reason(token[:-1] + b"!") == "encoding"
    assert reason("é".encode()) == "encoding"
    assert reason(text(b"\x00" + good[1:])) == "version"
    assert reason(text(b"\x02" + good[1:])) == "version"
    assert reason(text(good[:1] + b"\x00" + good[2:])) == "kind"
    assert reason(text(good[:2] + b"\x00\x09" + good[4:])) == "key"
    assert reason(text(good[:2] + b"\x00\x02" + good[4:])) == "key"
    assert reason(text(good[:2] + b"\x00\x01" + good[4:])) == "forged"
    assert reason(text(good[:-1])) == "forged"
    assert reason(token, "acme") == "forged"
    assert reason(forged_by_ourselves(b"\x90")) == "payload"


def test_other_spellings_of_the_same_bytes_are_refused() -> None:
    tokens = [seal(SHOP._replace(name="x" * n)) for n in range(8)]
    tried = 0
    for token in tokens:
        data = raw(token)
        others = {base64.b64encode(data), base64.b64encode(data).rstrip(b"="), base64.urlsafe_b64encode(data)}
        others |= {token + b"=", token + b"==", token + b"\n", b" " + token, token[:9] + b"\n" + token[9:]}
        alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        others |= {token[:-1] + bytes((last,)) for last in alphabet}
        for other in others - {token}:
            assert reason(other) in ("encoding", "forged"), other
            tried += 1
    assert tried > 500


def _identity_fields(**changes: object) -> list[object]:
    fields: list[object] = [bytes(24), "", 0, 0, "", [], "", 0, ""]
    names = ("ids", "recipient", "issued", "life", "campaign", "tags", "metadata", "flags", "customer")
    for name, value in changes.items():
        fields[names.index(name)] = value
    return fields


_BOMB = zlib.compress(bytes(50_000_000), 9, -15)


@pytest.mark.parametrize(
    "items",
    [
        None,
        7,
        b"bytes",
        [],
        [[]],
        {"a": 1},
        [_identity_fields()],  # a click without a link
        [_identity_fields(), None],
        [_identity_fields(), [0, b""], 0],
        [_identity_fields(), [0, b""], None, None],
        [_identity_fields(), None, [0, b""]],
        [[*_identity_fields(), 0], [0, b""]],
        [_identity_fields()[:3], [0, b""]],
        [_identity_fields(ids=bytes(23)), [0, b""]],
        [_identity_fields(ids="x" * 24), [0, b""]],
        [_identity_fields(recipient=b"bytes"), [0, b""]],
        [_identity_fields(recipient="x" * (MAX_TEXT + 1)), [0, b""]],
        [_identity_fields(issued=-1), [0, b""]],
        [_identity_fields(issued=True), [0, b""]],
        [_identity_fields(issued=1.5), [0, b""]],
        [_identity_fields(life=2**60), [0, b""]],
        [_identity_fields(campaign=0), [0, b""]],
        [_identity_fields(tags="tags"), [0, b""]],
        [_identity_fields(tags=[1]), [0, b""]],
        [_identity_fields(tags=["t"] * (MAX_TAGS + 1)), [0, b""]],
        [_identity_fields(metadata=[]), [0, b""]],
        [_identity_fields(metadata=b"no deflate"), [0, b""]],
        [_identity_fields(metadata=zlib.compress(b"\xff", 9, -15)), [0, b""]],
        [_identity_fields(metadata=zlib.compress(b"cut off", 9, -15)[:-1]), [0, b""]],
        [_identity_fields(metadata=zlib.compress(b"more behind", 9, -15) + b"x"), [0, b""]],
        [_identity_fields(metadata=zlib.compress(b"m" * (MAX_METADATA + 1), 9, -15)), [0, b""]],
        [_identity_fields(metadata=_BOMB[:8000]), [0, b""]],
        [_identity_fields(metadata=zlib.compress(("é" * 4096 + "m").encode(), 9, -15)), [0, b""]],
        [_identity_fields(life=1.5), [0, b""]],
        [_identity_fields(life=True), [0, b""]],
        [_identity_fields(flags=True), [0, b""]],
        [_identity_fields(flags=1.5), [0, b""]],
        [_identity_fields(flags=8), [0, b""]],
        [_identity_fields(flags=-1), [0, b""]],
        [_identity_fields(customer=None), [0, b""]],
        [_identity_fields(), [0]],
        [_identity_fields(), [0, b"", "", ""]],
        [_identity_fields(), [8, b""]],
        [_identity_fields(), [-1, b""]],
        [_identity_fields(), [False, b""]],
        [_identity_fields(), [0, "text"]],
        [_identity_fields(), [0, b"", b"name"]],
        [_identity_fields(), [0, b"", "x" * (MAX_TEXT + 1)]],
        [_identity_fields(), [1, b"x" * MAX_TARGET]],
        [_identity_fields(), {}],
        [_identity_fields(), msgpack.Timestamp(1, 1)],
    ],
    ids=lambda items: str(items).replace(r"\x00", "")[:80],
)
def test_genuine_token_with_contents_of_no_known_shape_is_refused(items: object) -> None:
    packed = msgpack.packb(items)
    assert reason(forged_by_ourselves(packed)) == "payload"
    with pytest.raises(BadToken, match="payload"):
        unpack(Kind.CLICK, packed)


@pytest.mark.parametrize(
    "packed", [b"", b"\xc1", b"\x91", b"\x92" * 8000, b"\x91" * 9000, b"\x90\x90", b"\xd9\x01\xff"]
)
def test_bytes_that_are_no_msgpack_are_refused(packed: bytes) -> None:
    with pytest.raises(BadToken, match="payload"):
        unpack(Kind.CLICK, packed)


def test_payload_over_the_cap_is_not_even_parsed() -> None:
    smiles = "🙂" * MAX_TEXT
    packed = msgpack.packb([_identity_fields(recipient=smiles, campaign=smiles), [0, b""]])
    assert len(packed) > MAX_PAYLOAD
    with pytest.raises(BadToken, match="payload"):
        unpack(Kind.CLICK, packed)


def test_pixel_with_a_link_inside_is_refused() -> None:
    packed = msgpack.packb([_identity_fields(), [0, b""]])
    assert reason(forged_by_ourselves(packed, Kind.OPEN)) == "payload"


def test_every_cut_of_a_payload_is_refused_with_badtoken_alone() -> None:
    packed = open_token(seal(who=replace(WHO, metadata='{"a":"bcd"}' * 9)), RING).packed
    for cut in range(len(packed)):
        with pytest.raises(BadToken, match="payload"):
            unpack(Kind.CLICK, packed[:cut])


@pytest.mark.parametrize("size", [0, 1, 31, 255, 256, 4000])
def test_a_link_is_packed_as_msgpack_packs_it(size: int) -> None:
    for flags, unsubscribe in ((2, False), (6, True)):
        packed = pack_link(Link(b"https://" + b"x" * size, unsubscribe=unsubscribe))
        assert packed == msgpack.packb((flags, b"x" * size))


def test_the_short_way_reads_what_the_long_one_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    chance, seen, common = random.Random(5), set[bool](), payload_module._common
    for _ in range(4000):
        kind = chance.choice(list(Kind))
        link = (
            pack_link(Link(b"https://example.org/%d" % chance.randrange(9), "top"))
            if chance.random() < 0.7
            else b""
        )
        changed = bytearray(payload(pack_identity(WHO), link, filler=chance.random() < 0.2))
        for _ in range(chance.choice((0, 0, 1, 2))):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        if chance.random() < 0.2:
            changed[0] = chance.choice((0x90, 0x91, 0x92, 0x93, 0x94))
        packed, reports = bytes(changed), list[object]()
        for way in (common, lambda _kind, _packed: None):
            monkeypatch.setattr(payload_module, "_common", way)
            try:
                reports.append(payload_module.unpack(kind, packed))
            except BadToken as error:
                reports.append(error.reason)
        assert reports[0] == reports[1]
        seen.add(reports[0] == "payload")
    assert seen == {False, True}
