"""What a link costs: microseconds to seal, open and reject a token, and characters of the whole URL.

    .venv/bin/python bench/tokens.py [--json]

One process, one core. Times are the best of several rounds, as other work on the machine only ever adds.
Sealing is timed with the part in C, where it was built, and by its twin in Python.
Lengths are of https://track.example.com/f/a/TOKEN, mean of 200 made-up links, as links are sealed (metadata
deflated when that saves enough), with nothing deflated, and with the whole payload deflated.
"""

import argparse
import json
import random
import sys
import timeit
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgpack

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from bench import program  # noqa: F401 - finds what follows
from engagement.links.fast_seal import origin, seal_common, seal_common_by_parts
from engagement.links.keys import Ring
from engagement.links.model import Identity, Kind, Link, Opened
from engagement.links.payload import pack_link
from engagement.links.token import BadToken, copy_sealer, open_token, seal_by_parts
from engagement.links.urls import click_url, read_path, refusal

VOCABULARY = (
    "spring",
    "offer",
    "shop",
    "example",
    "account",
    "catalogue",
    "order",
    "news",
    "letter",
    "member",
    "sale",
)
RING = Ring().rotated(bytes(range(32)), 1_764_000_000)
ISSUED = 1_764_000_000
PREFIX = b"https://track.example.com/f/a/"


def target(rng: random.Random, size: int) -> bytes:
    """Make up a URL of `size` bytes as newsletters have them: words, then parameters with random values."""
    url = "https://shop.example.com/" + "/".join(rng.choices(VOCABULARY, k=2)) + "?utm_source=newsletter&id="
    while len(url) < size:
        url += f"{rng.getrandbits(40):x}&{rng.choice(VOCABULARY)}="
    return url[:size].encode()


def identity(rng: random.Random, metadata: int = 0) -> Identity:
    """Make up a recipient of 25 characters, a campaign of 12 and two tags of 8."""
    text = ""
    if metadata:
        values: dict[str, str] = {}
        while len(json.dumps(values, separators=(",", ":"))) < metadata:
            values[rng.choice(VOCABULARY) + str(len(values))] = f"{rng.getrandbits(32):x}"
        text = json.dumps(values, separators=(",", ":"))[: metadata - 2] + '"}'
    return Identity(
        rng.randbytes(16),
        rng.getrandbits(64),
        f"{rng.getrandbits(36):09x}@mail.example"[:25].ljust(25, "x"),
        ISSUED,
        ISSUED + 31_536_000,
        campaign="spring-offer",
        tags=("newslett", "customer"),
        metadata=text,
    )


def best(function: Callable[[], object], number: int = 5000, rounds: int = 9) -> float:
    """Time one call, in microseconds."""
    return min(timeit.repeat(function, number=number, repeat=rounds)) / number * 1e6


def times() -> dict[str, float]:
    """Measure each step; all in microseconds."""
    rng = random.Random(4)
    who, full, link = identity(rng), identity(rng, 500), Link(target(rng, 80))
    sealer = copy_sealer(RING.signing, who)
    token = sealer.seal(Kind.CLICK, link)
    forged = token[:-9] + (b"A" if token[-9:-8] != b"A" else b"B") + token[-8:]
    path = b"/f/a/" + token

    def reject() -> None:
        try:
            open_token(forged, RING)
        except BadToken:
            return
        raise AssertionError("a forgery opened")

    def both() -> Opened:
        return open_token(sealer.seal(Kind.CLICK, link), RING)

    packed = both().packed
    sealing, page = sealer.sealing(Kind.CLICK), [target(rng, 80) for _ in range(20)]
    origins = {found for one in page if (found := origin(one))}

    def run(seal: Callable[..., list[bytes]]) -> Callable[[], object]:
        return lambda: seal(sealing, PREFIX, 2000, origins, 16, page)

    measured = {
        "identity (once a copy)": best(lambda: copy_sealer(RING.signing, who)),
        "same, 500 bytes of metadata": best(lambda: copy_sealer(RING.signing, full)),
        "seal": best(lambda: sealer.seal(Kind.CLICK, link)),
        "seal, in Python": best(lambda: seal_by_parts(sealing, pack_link(link))),
        "URL of a usual link, of 20": best(run(seal_common), 1000) / len(page),
        "same, in Python": best(run(seal_common_by_parts), 1000) / len(page),
        "open": best(lambda: open_token(token, RING)),
        "seal+open": best(both),
        "reject": best(reject),
        "refusal of a target": best(lambda: refusal(link.target)),
        "read_path": best(lambda: read_path(path)),
    }
    for bits in (128, 256):
        cipher = AESSIV(bytes(range(bits // 4)))
        sealed = cipher.encrypt(packed, [b"head"])
        measured[f"AES-{bits}-SIV alone, seal"] = best(partial(cipher.encrypt, packed, [b"head"]))
        measured[f"AES-{bits}-SIV alone, open"] = best(partial(cipher.decrypt, sealed, [b"head"]))
    return measured


def lengths(samples: int = 200) -> list[dict[str, int]]:
    """Measure mean URL lengths over target and metadata sizes."""
    rows = []
    for size, metadata in ((0, 0), (80, 0), (150, 0), (80, 200), (150, 200), (300, 500), (300, 1000)):
        rng = random.Random(size * 10_000 + metadata)
        sealed, undeflated_size, whole = 0, 0, 0
        for _ in range(samples):
            who = identity(rng, metadata)
            link = Link(target(rng, size)) if size else None
            token = copy_sealer(RING.signing, who).seal(Kind.CLICK if link else Kind.OPEN, link)
            undeflated = _undeflated(open_token(token, RING).packed)
            sealed += len(click_url("https", "track.example.com", token))
            undeflated_size += _url_size(undeflated)
            whole += _url_size(_deflated(undeflated))
        row = {"target": size, "metadata": metadata}
        row |= {"as sealed": round(sealed / samples), "nothing deflated": round(undeflated_size / samples)}
        rows.append(row | {"whole payload deflated": round(whole / samples)})
    return rows


def _undeflated(packed: bytes) -> bytes:
    (*start, last), *link = msgpack.unpackb(packed)
    if len(start) == 6 and isinstance(last, bytes):
        last = zlib.decompress(last, -15).decode()
    return msgpack.packb([[*start, last], *link])


def _deflated(packed: bytes) -> bytes:
    coder = zlib.compressobj(9, zlib.DEFLATED, -15)
    return coder.compress(packed) + coder.flush()


def _url_size(payload: bytes) -> int:
    return len("https://track.example.com/f/a/") + -(-(20 + len(payload)) * 4 // 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    measured, rows = times(), lengths()
    if as_json:
        print(json.dumps({"microseconds": {k: round(v, 2) for k, v in measured.items()}, "characters": rows}))
        return
    for name, value in measured.items():
        print(f"{value:8.2f} µs  {name}")
    print("\ncharacters of the whole URL (target 0: an open pixel)")
    print(
        "".join(f"{name:>24}" for name in rows[0]).replace(
            "share that deflate shortens by 64 bytes", "64 bytes saved"
        )
    )
    for row in rows:
        print("".join(f"{value:>24}" for value in row.values()))


if __name__ == "__main__":
    main()
