"""Hosts that have seen the same changes have the same entries, in whatever order and however often."""

from hypothesis import given, settings
from hypothesis import strategies as st

from engagement.cluster.entries import (
    Clock,
    Copy,
    Entry,
    Stamp,
    fingerprint,
    joined,
    lacking,
    merged,
    noticed,
    part_of,
    values,
)

NAMES = st.sampled_from(["a", "b", "key/1", "@x.example"])
VALUES = st.one_of(st.none(), st.sampled_from(["", "1", "2"]))
STAMPS = st.builds(Stamp, st.integers(0, 3), st.sampled_from(["h1", "h2"]))
ENTRIES = st.dictionaries(NAMES, st.builds(Entry, STAMPS, VALUES), max_size=4)


@settings(max_examples=200, deadline=None)
@given(ENTRIES, ENTRIES, ENTRIES)
def test_merging_knows_no_order_and_no_number_of_times(
    one: dict[str, Entry], two: dict[str, Entry], three: dict[str, Entry]
) -> None:
    assert merged(one, two) == merged(two, one)
    assert merged(merged(one, two), three) == merged(one, merged(two, three))
    assert merged(one, one) == one
    assert not lacking(merged(one, two), two)


# What happens to a host: its file is edited, it exchanges with the store, or its clock jumps.
EDIT = st.tuples(st.just("edit"), st.integers(0, 2), NAMES, VALUES)
MEET = st.tuples(st.just("meet"), st.integers(0, 2), st.just(""), st.just(""))
STEPS = st.lists(st.one_of(EDIT, MEET), max_size=30)


class _Host:
    """A host reduced to its values."""

    def __init__(self, number: int) -> None:
        self.file: dict[str, str] = {}
        self.copy = Copy({}, {})
        self.clock = Clock(f"h{number}")

    def exchange(self, store: dict[str, Entry], now_ms: int) -> dict[str, Entry]:
        self.copy = noticed(self.copy.informed(store), self.file, self.clock, now_ms)
        self.file = values(self.copy.known)
        self.copy = Copy(self.copy.known, self.copy.known)
        return merged(store, self.copy.known)


@settings(max_examples=200, deadline=None)
@given(STEPS, st.lists(st.integers(0, 5), min_size=3, max_size=3))
def test_hosts_end_with_the_same_whatever_happened_and_the_last_writer_counts(
    steps: list[tuple[str, int, str, str | None]], skews: list[int]
) -> None:
    crew, store = [_Host(number) for number in range(3)], dict[str, Entry]()
    for at_ms, (what, number, name, value) in enumerate(steps):
        host = crew[number]
        if what == "edit" and value is None:
            host.file.pop(name, None)
        elif what == "edit":
            host.file[name] = str(value)
        else:
            store = host.exchange(store, at_ms + skews[number])
    for _ in range(2):
        for number, host in enumerate(crew):
            store = host.exchange(store, len(steps) + skews[number])
    assert crew[0].file == crew[1].file == crew[2].file == values(store)
    assert len({fingerprint(host.file) for host in crew}) == 1


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_a_change_that_saw_another_wins_over_it(steps: list[tuple[str, int, str, str | None]]) -> None:
    """Clocks that stand still, and one that was set back by years."""
    crew, store = [_Host(number) for number in range(3)], dict[str, Entry]()
    expected: dict[str, str] = {}
    for what, number, name, value in steps:
        if what != "edit":
            continue
        host = crew[number]
        store = host.exchange(store, 1000 if number else 0)  # it has seen all there is
        host.file.pop(name, None)
        expected.pop(name, None)
        if value is not None:
            host.file[name] = expected[name] = value
        store = host.exchange(store, 1000 if number else 0)
    assert values(store) == expected


def test_who_joins_changes_nothing_that_the_others_have() -> None:
    others = {"a": Entry(Stamp(5, "h1"), "theirs"), "gone": Entry(Stamp(6, "h1"), None)}
    copy = joined({"a": "mine", "gone": "mine", "new": "mine"}, others, "h2")
    assert values(copy.known) == {"a": "theirs", "new": "mine"}
    assert noticed(copy, {"a": "mine", "gone": "mine", "new": "mine"}, Clock("h2"), 9) == copy


def test_what_a_file_lost_is_no_change_where_it_only_grows() -> None:
    file = {"key/1": Entry(Stamp(5, "h1"), "x")}
    assert noticed(Copy(file, file), {}, Clock("h1"), 9, only_grows=True) == Copy(file, file)
    assert values(noticed(Copy(file, file), {}, Clock("h1"), 9).known) == {}


def test_parts_are_the_same_on_every_host() -> None:
    assert [part_of(name, 16) for name in ("campaigns/spring", "ida@example.net", "\ud800")] == [10, 5, 7]
