"""No altered token opens. The long run of the same mutations: bench/forgery.py."""

import random

from bench.forgery import MUTATORS, RING, forge, genuine_tokens
from engagement.links.token import BadToken, open_token

_REFUSALS = {"length", "encoding", "version", "kind", "key", "forged"}


def test_twenty_thousand_mutations_are_refused_each_with_badtoken() -> None:
    outcomes = forge(seed=4, count=20_000)
    assert outcomes.total() == 20_000
    assert set(outcomes) == _REFUSALS  # no "accepted", nothing raised, and nothing came as far as the payload


def test_every_kind_of_mutation_is_tried() -> None:
    assert len(MUTATORS) >= 20
    assert len({mutate.__name__ for mutate in MUTATORS}) == len(MUTATORS)


def test_genuine_tokens_open() -> None:
    for one in genuine_tokens(random.Random(4)):
        open_token(one.token, RING, one.tenant)


def test_every_single_character_and_every_cut_counts() -> None:
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    one = genuine_tokens(random.Random(5), 1)[0]
    others = {
        one.token[:place] + bytes((character,)) + one.token[place + 1 :]
        for place in range(len(one.token))
        for character in alphabet
    }
    others |= {one.token[:cut] for cut in range(len(one.token))}
    others |= {one.token[cut:] for cut in range(1, len(one.token))}
    accepted = 0
    for other in others - {one.token}:
        try:
            open_token(other, RING, one.tenant)
        except BadToken:
            continue
        accepted += 1
    assert accepted == 0
    assert len(others) > 60 * len(one.token)
