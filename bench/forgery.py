"""Forge tokens by the million and count how many are believed (none may be).

    .venv/bin/python bench/forgery.py --mutations 1000000 --processes 2

Each mutation starts from genuine tokens of several kinds, keys and tenants and changes one thing; what comes
out is offered to `open_token`. Exit status 1 when a forgery opened, or anything but BadToken was raised. The
test suite runs a smaller number of the same mutations.
"""

import argparse
import base64
import json
import multiprocessing
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engagement.links.keys import Key, KeyStatus, Ring
from engagement.links.model import CLICKS, OPENS, Identity, Kind, Link
from engagement.links.token import BadToken, copy_sealer, open_token

ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
TENANTS = ("", "acme", "acme2", "münchen")
RING = Ring(
    (
        Key(1, KeyStatus.ACCEPTED, 0, bytes(range(32))),
        Key(2, KeyStatus.REVOKED, 0, bytes(range(1, 33))),
        Key(3, KeyStatus.SIGNING, 0, bytes(range(2, 34))),
    )
)


@dataclass(frozen=True, slots=True)
class Genuine:
    """A token of ours, the tenant it is good for, and its raw bytes."""

    token: bytes
    tenant: str
    raw: bytes


Mutation = tuple[bytes, str]  # a token and the tenant it is offered to
Mutator = Callable[[random.Random, Genuine, Genuine], Mutation]


def genuine_tokens(rng: random.Random, count: int = 64) -> tuple[Genuine, ...]:
    """Seal tokens of all kinds, lengths, opening keys and tenants."""
    made = []
    for number in range(count):
        kind = list(Kind)[number % len(Kind)]
        identity = Identity(
            rng.randbytes(16),
            rng.getrandbits(64),
            "reader" * rng.randrange(4),
            1_764_000_000 + rng.randrange(10**6),
            1_795_000_000 + rng.randrange(10**6),
            campaign="spring"[: rng.randrange(7)],
            tags=("one", "two")[: rng.randrange(3)],
        )
        target = b"https://shop.example.com/" + b"x" * rng.randrange(200)
        link = None if kind in OPENS or (kind not in CLICKS and rng.randrange(2)) else Link(target)
        tenant = TENANTS[number // len(Kind) % len(TENANTS)]
        key = RING.keys[0] if number % 3 else RING.keys[2]
        token = copy_sealer(key, identity, tenant).seal(kind, link)
        made.append(Genuine(token, tenant, _raw(token)))
    return tuple(made)


def _raw(token: bytes) -> bytes:
    return base64.urlsafe_b64decode(token + b"=" * (-len(token) % 4))


def _text(raw: bytes | bytearray) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def _bit_flip(rng: random.Random, one: Genuine, other: Genuine) -> Mutation:
    raw = bytearray(one.raw)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    return _text(raw), one.tenant


def _byte_changed(rng: random.Random, one: Genuine, other: Genuine) -> Mutation:
    raw = bytearray(one.raw)
    raw[rng.randrange(len(raw))] = rng.randrange(256)
    return _text(raw), one.tenant


def _character_changed(rng: random.Random, one: Genuine, other: Genuine) -> Mutation:
    token = bytearray(one.token)
    token[rng.randrange(len(token))] = rng.choice(ALPHABET)
    return bytes(token), one.tenant


def _any_octet(rng: random.Random, one: Genuine, other: Genuine) -> Mutation:
    place = rng.randrange(len(one.token) + 1)
    return one.token[:place] + rng.randbytes(1) + one.token[place + rng.randrange(2) :], one.tenant


def _truncated(rng: random.Random, one: Genuine, other: Genuine) -> Mutation:
    cut = rng.randrange(len(one.token))
    return (one.token[:cut] if rng.randrange(3) else one.token[cut + 1 :]), one.tenant


def _longer(rng: random.Random, one: Genuine, other: Genuine) -> Mutation:
    more = bytes(rng.choice(ALPHABET) for _ in range(rng.randrange(1, 9)))
    return (one.token + more if rng.randrange(3) else more + one.token), one.tenant


def _hole(rng: random.Random, one: Genuine, other: Genuine) -> Mutation:
    start = rng.randrange(len(one.token))
    return one.token[:start] + one.token[start + rng.randrange(1, 9) :], one.tenant


def _kind_swapped(rng: random.Random, one: Genuine, other: Genuine) -> Mutation:
    kind = rng.choice([k for k in range(10) if k != one.raw[1]])
    return _text(one.raw[:1] + bytes((kind,)) + one.raw[2:]), one.tenant


def _key_swapped(rng: random.Random, one: Genuine, other: Genuine) -> Mutation:
    key_id = rng.choice((0, 1, 2, 3, 4, 256, 65535))
    return _text(one.raw[:2] + key_id.to_bytes(2, "big") + one.raw[4:]), one.tenant


def _version_swapped(rng: random.Random, one: Genuine, other: Genuine) -> Mutation:
    return _text(bytes((rng.randrange(256),)) + one.raw[1:]), one.tenant


def _tenant_swapped(rng: random.Random, one: Genuine, other: Genuine) -> Mutation:
    return one.token, rng.choice((*TENANTS, "ACME", "acme\x00", one.tenant + " "))


def _header_of_other(rng: random.Random, one: Genuine, other: Genuine) -> Mutation:
    return _text(other.raw[:4] + one.raw[4:]), rng.choice((one.tenant, other.tenant))


def _tag_of_other(rng: random.Random, one: Genuine, other: Genuine) -> Mutation:
    return _text(one.raw[:4] + other.raw[4:20] + one.raw[20:]), one.tenant


def _splice(rng: random.Random, one: Genuine, other: Genuine) -> Mutation:
    cut = rng.randrange(min(len(one.token), len(other.token)))
    return one.token[:cut] + other.token[cut:], rng.choice((one.tenant, other.tenant))


def _block_splice(rng: random.Random, one: Genuine, other: Genuine) -> Mutation:
    cut = 4 + 16 * rng.randrange(1, 8)
    return _text(one.raw[:cut] + other.raw[cut:]), one.tenant


def _blocks_swapped(rng: random.Random, one: Genuine, other: Genuine) -> Mutation:
    cut = 20 + 16 * rng.randrange(3)
    return _text(one.raw[:cut] + one.raw[cut + 16 : cut + 32] + one.raw[cut : cut + 16]), one.tenant


def _standard_alphabet(rng: random.Random, one: Genuine, other: Genuine) -> Mutation:
    standard = base64.b64encode(one.raw)
    return (standard if rng.randrange(2) else standard.rstrip(b"=")), one.tenant


def _padded(rng: random.Random, one: Genuine, other: Genuine) -> Mutation:
    return one.token + b"=" * rng.randrange(1, 4), one.tenant


def _spare_bits(rng: random.Random, one: Genuine, other: Genuine) -> Mutation:
    spare = 4 if len(one.raw) % 3 == 1 else 2
    last = ALPHABET.index(one.token[-1]) | rng.randrange(1, 1 << spare)
    return one.token[:-1] + ALPHABET[last : last + 1], one.tenant


def _blank_inside(rng: random.Random, one: Genuine, other: Genuine) -> Mutation:
    place = rng.randrange(len(one.token) + 1)
    blank = rng.choice((b" ", b"\n", b"\r\n", b"\t", b"=", b"\0", b"%", b"."))
    return one.token[:place] + blank + one.token[place:], one.tenant


def _case_changed(rng: random.Random, one: Genuine, other: Genuine) -> Mutation:
    changed = rng.choice((one.token.upper(), one.token.lower(), one.token.swapcase(), one.token[::-1]))
    return changed, one.tenant


def _noise(rng: random.Random, one: Genuine, other: Genuine) -> Mutation:
    return _text(one.raw[:4] + rng.randbytes(rng.randrange(0, 300))), one.tenant


MUTATORS: tuple[Mutator, ...] = (
    _bit_flip,
    _byte_changed,
    _character_changed,
    _any_octet,
    _truncated,
    _longer,
    _hole,
    _kind_swapped,
    _key_swapped,
    _version_swapped,
    _tenant_swapped,
    _header_of_other,
    _tag_of_other,
    _splice,
    _block_splice,
    _blocks_swapped,
    _standard_alphabet,
    _padded,
    _spare_bits,
    _blank_inside,
    _case_changed,
    _noise,
)


def forge(seed: int, count: int) -> Counter[str]:
    """Offer `count` forgeries; count them as "accepted", "raised NAME" or by BadToken's reason.

    A mutation that by chance is a genuine token for its tenant is no forgery: it is drawn again.
    """
    rng = random.Random(seed)
    genuine = genuine_tokens(rng)
    known = {(one.token, one.tenant) for one in genuine}
    outcomes: Counter[str] = Counter()
    tried = 0
    while tried < count:
        mutate = MUTATORS[tried % len(MUTATORS)]
        token, tenant = mutate(rng, rng.choice(genuine), rng.choice(genuine))
        if (token, tenant) in known:
            continue
        tried += 1
        try:
            open_token(token, RING, tenant)
        except BadToken as error:
            outcomes[error.reason] += 1
        except Exception as error:  # noqa: BLE001 - counting what escapes is the point
            outcomes[f"raised {type(error).__name__} ({mutate.__name__})"] += 1
        else:
            outcomes[f"accepted ({mutate.__name__})"] += 1
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    share = -(-options.mutations // options.processes)
    begun = time.perf_counter()
    jobs = [(options.seed + number, share) for number in range(options.processes)]
    with multiprocessing.Pool(options.processes) as pool:
        outcomes = sum(pool.starmap(forge, jobs), Counter())
    seconds = time.perf_counter() - begun
    bad = {name: n for name, n in outcomes.items() if name.startswith(("accepted", "raised"))}
    summary = {
        "mutations": outcomes.total(),
        "accepted": sum(n for name, n in bad.items() if name.startswith("accepted")),
        "raised": sum(n for name, n in bad.items() if name.startswith("raised")),
        "seed": options.seed,
        "seconds": round(seconds, 1),
    }
    if options.json:
        print(json.dumps(summary | {"outcomes": dict(outcomes.most_common())}))
    else:
        print("  ".join(f"{name} {value}" for name, value in summary.items()))
        for name, number in outcomes.most_common():
            print(f"{number:>10}  {name}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
