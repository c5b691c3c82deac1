"""Tokens of released versions open to the same values for ever. Reads tests/golden/tokens; writes nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from engagement.links.keys import Ring
from engagement.links.model import Identity, Kind, Link
from engagement.links.token import BadToken, copy_sealer, open_token

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "tokens"
RING = Ring.parse((GOLDEN / "ring").read_text("utf-8"))
FORMATS = {
    name: [json.loads(line) for line in (GOLDEN / f"{name}.jsonl").read_text("utf-8").splitlines()]
    for name in ("v1", "v2")
}
LINES = [*FORMATS["v1"], *FORMATS["v2"]]


def _identity(values: dict[str, Any]) -> Identity:
    return Identity(
        **values | {"message_id": bytes.fromhex(values["message_id"]), "tags": tuple(values["tags"])}
    )


def _link(values: dict[str, Any] | None) -> Link | None:
    return None if values is None else Link(**values | {"target": values["target"].encode("latin-1")})


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["what"])
def test_golden_token_means_what_it_always_meant(line: dict[str, Any]) -> None:
    token = line["token"].encode("ascii")
    if not line["opens"]:
        with pytest.raises(BadToken, match="key"):
            open_token(token, RING, line["tenant"])
        return
    opened = open_token(token, RING, line["tenant"])
    assert opened.kind is Kind[line["kind"]]
    assert opened.key_id == line["key_id"]
    assert opened.identity == _identity(line["identity"])
    assert opened.link == _link(line["link"])


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["what"])
def test_golden_values_are_sealed_as_they_always_were(line: dict[str, Any]) -> None:
    """A message that comes again after an upgrade gets the links it had.

    Deflated metadata is left out: the bytes that deflate makes are zlib's choice.
    """
    identity = _identity(line["identity"])
    key = next(key for key in RING.keys if key.id == line["key_id"])
    token = copy_sealer(key, identity, line["tenant"]).seal(Kind[line["kind"]], _link(line["link"]))
    if len(identity.metadata) < 64:
        assert token == line["token"].encode("ascii")


def test_golden_tokens_cover_every_kind_and_both_outcomes() -> None:
    lines = FORMATS["v1"]
    assert {line["kind"] for line in lines} == {kind.name for kind in Kind}
    assert {line["opens"] for line in lines} == {True, False}
    assert len({line["what"] for line in LINES}) == len(LINES) >= 40
    assert {line["link"]["part"] for line in FORMATS["v2"] if line["link"]} == {"html", "text", "amp"}


def test_links_of_format_1_have_no_place() -> None:
    for line in FORMATS["v1"]:
        if line["opens"] and line["link"] is not None:
            link = open_token(line["token"].encode("ascii"), RING, line["tenant"]).link
            assert link is not None
            assert (link.ordinal, link.part) == (-1, "")
