"""Append cases that v1.jsonl and v2.jsonl do not hold yet. Lines there never change: such links were sent.

    .venv/bin/python tests/golden/tokens/append.py

Run by hand when a case is added below; the test only reads.
"""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from engagement.links.keys import Key, KeyStatus, Ring
from engagement.links.model import Identity, Kind, Link
from engagement.links.token import copy_sealer

HERE = Path(__file__).resolve().parent
IDS: dict[str, Any] = {"message_id": bytes(range(16)), "transmission_id": 1234567890123456789}
BARE = Identity(
    **IDS,
    recipient="reader@mail.example",
    issued=1_764_000_000,
    expiry=1_795_536_000,
    campaign="spring-offer",
    tags=("newsletter", "customer"),
)
EMPTY = Identity(bytes(16), 0, "", 0, 0)
FULL = Identity(
    b"\xff" * 16,
    2**64 - 1,
    "Greta.Größe@büro.example",
    1_764_000_000,
    1_764_000_000 + 90 * 86400,
    "archive",
    "Frühling & Söhne",
    ("rot", "grün", "blau", "タグ", "🙂", "a b", "", "x" * 64, "9", "10"),
    '{"user":{"id":17,"name":"Größe"},"flags":[true,false,null],"note":"' + "seventeen words " * 20 + '"}',
    "customer-42",
    True,
)
SHOP = b"https://shop.example.com/path?utm_source=letter&id=17#top"

TIMED = Identity(
    (1_764_000_000).to_bytes(4, "big") + bytes(range(12)),
    1234567890123456789,
    "reader@mail.example",
    1_764_000_000,
    1_795_536_000,
    campaign="spring-offer",
    tags=("newsletter", "customer"),
)
# Format 2: the message id begins with time, and a link says its ordinal and part.
PLACES: dict[str, tuple[int, str, Kind, Identity, Link | None]] = {
    f"{part} link {ordinal}{' unsubscribe' if out else ''}{' named' if name else ''}": (
        7,
        "",
        Kind.AMP_CLICK if part == "amp" else Kind.CLICK,
        TIMED,
        Link(target, name, out, ordinal, part),
    )
    for part, ordinal, out, name, target in (
        ("html", 0, False, "", SHOP),
        ("html", 1, False, "", SHOP),
        ("text", 0, False, "", SHOP),
        ("amp", 0, False, "", SHOP),
        ("html", 6, True, "Leave", SHOP),
        ("html", 7, False, "", b"https://www.example.com/"),
        ("text", 14, True, "", b"http://example.com/"),
        ("text", 15, False, "", b"HTTPS://Example.COM/Path"),
        ("html", 4094, False, "", SHOP),
        ("html", 4095, False, "", SHOP),
        ("text", 131_069, True, "x", SHOP),
        ("html", 3, False, "", b"https://example.com/" + b"x" * 300),
    )
}
PLACES["open with time"] = (7, "", Kind.OPEN, TIMED, None)
PLACES["a revoked key, with place"] = (2, "", Kind.CLICK, TIMED, Link(SHOP, "", False, 0, "html"))

CASES: dict[str, tuple[int, str, Kind, Identity, Link | None]] = {
    "plain click": (7, "", Kind.CLICK, BARE, Link(SHOP, "Read more")),
    "plain open": (7, "", Kind.OPEN, BARE, None),
    "initial open": (7, "", Kind.INITIAL_OPEN, BARE, None),
    "amp click": (7, "", Kind.AMP_CLICK, BARE, Link(SHOP)),
    "amp open": (7, "", Kind.AMP_OPEN, BARE, None),
    "amp initial open": (7, "", Kind.AMP_INITIAL_OPEN, BARE, None),
    "list-unsubscribe without a link": (7, "", Kind.LIST_UNSUBSCRIBE, BARE, None),
    "list-unsubscribe with a link": (7, "", Kind.LIST_UNSUBSCRIBE, BARE, Link(b"mailto:leave@example.com")),
    "unsubscribe link in the body": (7, "", Kind.CLICK, BARE, Link(SHOP, "Leave", unsubscribe=True)),
    "nothing filled in, open": (7, "", Kind.OPEN, EMPTY, None),
    "nothing filled in, click": (7, "", Kind.CLICK, EMPTY, Link(b"")),
    "all filled in, open": (7, "", Kind.OPEN, FULL, None),
    "all filled in, click": (7, "", Kind.CLICK, FULL, Link(b"http://www.example.com/?q=a&b=", "ネーム")),
    "https www": (7, "", Kind.CLICK, BARE, Link(b"https://www.example.com/")),
    "http": (7, "", Kind.CLICK, BARE, Link(b"http://example.com/")),
    "letter case of the scheme": (7, "", Kind.CLICK, BARE, Link(b"HTTPS://Example.COM/Path")),
    "every byte a target may hold": (
        7,
        "",
        Kind.CLICK,
        BARE,
        Link(b"https://example.com/?" + bytes(range(0x21, 0x7F)).replace(b"\\", b"")),
    ),
    "target of 4096 bytes": (7, "", Kind.CLICK, EMPTY, Link(SHOP + b"x" * (4096 - len(SHOP)))),
    "expired on arrival": (
        7,
        "",
        Kind.CLICK,
        Identity(**IDS, recipient="a@b.example", issued=1_764_000_000, expiry=1_763_999_999),
        Link(SHOP),
    ),
    "expired in 2001": (
        7,
        "",
        Kind.OPEN,
        Identity(**IDS, recipient="a@b.example", issued=978_307_200, expiry=978_307_260),
        None,
    ),
    "never expires": (
        7,
        "",
        Kind.OPEN,
        Identity(**IDS, recipient="a@b.example", issued=1_764_000_000, expiry=1_764_000_000 + 10**12),
        None,
    ),
    "carbon copy": (
        7,
        "",
        Kind.OPEN,
        Identity(**IDS, recipient="c@c.example", issued=1_764_000_000, expiry=1_795_536_000, rcpt_type="cc"),
        None,
    ),
    "blind copy, transactional": (
        7,
        "",
        Kind.CLICK,
        Identity(
            **IDS,
            recipient="b@b.example",
            issued=1_764_000_000,
            expiry=1_795_536_000,
            rcpt_type="bcc",
            transactional=True,
        ),
        Link(SHOP),
    ),
    "text that is no UTF-8": (
        7,
        "",
        Kind.CLICK,
        Identity(**IDS, recipient="caf\udce9@b.example", issued=1_764_000_000, expiry=1_764_086_400),
        Link(SHOP, "half a pair: \ud83d"),
    ),
    "metadata too short to deflate": (
        7,
        "",
        Kind.CLICK,
        Identity(**IDS, recipient="", issued=1_764_000_000, expiry=1_795_536_000, metadata='{"a":1}'),
        Link(SHOP),
    ),
    "transactional, nothing else": (
        7,
        "",
        Kind.OPEN,
        Identity(bytes(16), 1, "a@b.example", 1_764_000_000, 1_795_536_000, transactional=True),
        None,
    ),
    "unsubscribe link, not http": (7, "", Kind.CLICK, EMPTY, Link(b"HTTP://example.com/", "", True)),
    "unsubscribe link, http": (7, "", Kind.CLICK, EMPTY, Link(b"http://example.com/", "", True)),
    "customer id, nothing else": (7, "", Kind.OPEN, Identity(bytes(16), 1, "", 1, 2, customer_id="c"), None),
    "tags, nothing else": (7, "", Kind.OPEN, Identity(bytes(16), 1, "", 1, 2, tags=("",)), None),
    "another tenant": (7, "acme", Kind.CLICK, BARE, Link(SHOP)),
    "a tenant with other letters": (7, "münchen", Kind.OPEN, BARE, None),
    "a key that signs no more": (1, "", Kind.CLICK, BARE, Link(SHOP)),
    "a key with the highest id": (65535, "", Kind.CLICK, BARE, Link(SHOP)),
    "a revoked key": (2, "", Kind.CLICK, BARE, Link(SHOP)),
}


def line(what: str) -> dict[str, Any]:
    """Seal one case."""
    key_id, tenant, kind, identity, link = (CASES | PLACES)[what]
    key = next(key for key in ring().keys if key.id == key_id)
    values = asdict(identity) | {"message_id": identity.message_id.hex()}
    return {
        "what": what,
        "token": copy_sealer(key, identity, tenant).seal(kind, link).decode("ascii"),
        "tenant": tenant,
        "key_id": key_id,
        "opens": key.status is not KeyStatus.REVOKED,
        "kind": kind.name,
        "identity": values,
        "link": {
            name: value
            for name, value in (link._asdict() | {"target": link.target.decode("latin-1")}).items()
            if link.ordinal >= 0 or name not in ("ordinal", "part")  # as the lines of format 1 are
        }
        if link
        else None,
    }


def ring() -> Ring:
    """Read the fixed ring; these secrets protect nothing."""
    return Ring.parse((HERE / "ring").read_text("utf-8"), "ring")


def main() -> None:
    if not (HERE / "ring").exists():
        keys = (
            Key(1, KeyStatus.ACCEPTED, 1_700_000_000, bytes(range(32))),
            Key(2, KeyStatus.REVOKED, 1_710_000_000, bytes(range(32, 64))),
            Key(7, KeyStatus.SIGNING, 1_720_000_000, bytes(range(64, 96))),
            Key(65535, KeyStatus.ACCEPTED, 1_730_000_000, bytes(range(96, 128))),
        )
        (HERE / "ring").write_text(Ring(keys).dump(), "utf-8")
    append(HERE / "v1.jsonl", CASES)
    append(HERE / "v2.jsonl", PLACES)


def append(path: Path, cases: Iterable[str]) -> None:
    """Append the cases that the file lacks."""
    there = path.read_text("utf-8").splitlines() if path.exists() else []
    known = {json.loads(one)["what"] for one in there}
    new = [json.dumps(line(what)) + "\n" for what in cases if what not in known]
    with path.open("a", encoding="utf-8") as file:
        file.writelines(new)
    print(f"{path.name}: {len(new)} appended, {len(known)} were there")


if __name__ == "__main__":
    main()
