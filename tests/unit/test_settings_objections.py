"""The list of readers who objected: what a line may be, and how the list follows its file."""

import os
from pathlib import Path

import pytest

from engagement.settings.objections import Objections, ObjectionsError, ObjectionsFile, parse


@pytest.mark.parametrize(
    ("recipient", "held"),
    [
        ("ida.holm@example.net", True),
        ("Ida.Holm@Example.NET", True),
        ("ida.holm@example.org", False),
        ("anyone@no-tracking.example", True),
        ("anyone@sub.no-tracking.example", False),
        ("no-tracking.example", False),
        ("", False),
    ],
)
def test_addresses_and_domains_hold_in_any_letter_case(recipient: str, held: bool) -> None:
    found = parse("# who objected\n IDA.holm@example.net  # by letter\n\n@No-Tracking.example\n", "list")
    assert found.hold(recipient) is held
    assert found.strange == ()


def test_line_that_is_neither_is_told_without_its_words_and_costs_no_other() -> None:
    found = parse("ida\na b@example.net\nkim@\nole@example.net\n", "list")
    assert (found.addresses, found.domains) == ({"ole@example.net"}, frozenset())
    assert found.strange == tuple(
        f"list:{number}: neither an address nor @domain; the line has no effect" for number in (1, 2, 3)
    )


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def told() -> list[str]:
    return []


def follow(path: Path, told: list[str]) -> tuple[ObjectionsFile, Clock]:
    clock = Clock()
    return ObjectionsFile(path, told.append, clock), clock


def write(path: Path, text: str, at: int) -> None:
    path.write_text(text)
    os.utime(path, ns=(at * 10**9, at * 10**9))


def test_list_follows_its_file_within_a_second(tmp_path: Path, told: list[str]) -> None:
    path = tmp_path / "objections"
    write(path, "", 1)
    file, clock = follow(path, told)
    assert not file.current().hold("ida@example.net")
    write(path, "ida@example.net\n", 2)
    clock.now += 0.5
    assert not file.current().hold("ida@example.net")
    clock.now += 0.6
    assert file.current().hold("ida@example.net")
    assert told == []


def test_list_that_was_read_stays_in_force_while_its_file_is_away(tmp_path: Path, told: list[str]) -> None:
    path = tmp_path / "objections"
    write(path, "ida@example.net\n", 1)
    file, clock = follow(path, told)
    file.current()
    path.unlink()
    for _ in range(3):
        clock.now += 2
        assert file.current().hold("ida@example.net")
    assert told == [
        f"{path}: No such file or directory; make it, empty if nobody objected, or correct privacy.objections"
    ]
    write(path, "kim@example.net\n", 3)
    clock.now += 2
    assert file.current() == Objections(frozenset({"kim@example.net"}))


def test_list_that_was_never_read_is_an_error_until_it_is(tmp_path: Path, told: list[str]) -> None:
    path = tmp_path / "objections"
    file, clock = follow(path, told)
    with pytest.raises(ObjectionsError, match="never read"):
        file.current()
    path.write_text("")
    clock.now += 2
    assert file.current() == Objections()


def test_list_handed_over_holds_until_the_file_can_be_read(tmp_path: Path, told: list[str]) -> None:
    path, clock = tmp_path / "objections", Clock()
    file = ObjectionsFile(path, told.append, clock, first=parse("ida@example.net", "list"))
    assert file.current().hold("ida@example.net")
    assert len(told) == 1
    path.write_text("kim@example.net\n")
    clock.now += 2
    assert not file.current().hold("ida@example.net")


def test_strange_line_is_told_once(tmp_path: Path, told: list[str]) -> None:
    path = tmp_path / "objections"
    write(path, "ida\n", 1)
    file, clock = follow(path, told)
    for _ in range(3):
        clock.now += 2
        file.current()
    assert told == [f"{path}:1: neither an address nor @domain; the line has no effect"]
