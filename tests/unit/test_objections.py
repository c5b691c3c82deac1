"""The list of readers who objected: what a line may be, and how the list follows its file."""

import os
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement import objections
from engagement.objections import (
    Objections,
    ObjectionsError,
    ObjectionsFile,
    add,
    begin,
    extend,
    load,
    parse,
    remove,
)


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
    assert (found.addresses, found.domains) == (frozenset({"ole@example.net"}), frozenset())
    assert found.strange == tuple(
        f"list:{number}: neither an address nor @domain; the line has no effect" for number in (1, 2, 3)
    )


@pytest.mark.parametrize(
    "line",
    [
        "<ida@example.net>",
        "mailto:<ida@example.net>",
        "\ufeffida@example.net",
        "ida\u200b@example.net",
        "ida\u2009holm@example.net",
        "ida@example.net\0",
        "ida@exa\x7fmple.net",
        "@\ufeffexample.net",
        "@<example.net>",
        "ida@example.net,",
        "ida@example.net;",
        "ida@example..net",
        'ida@-example.net"',
    ],
)
def test_line_that_no_recipient_could_match_is_told(line: str) -> None:
    found = parse(f"ole@example.net\n{line}\n", "list")
    assert found.addresses == {"ole@example.net"}
    assert found.domains == frozenset()
    assert found.strange == ("list:2: neither an address nor @domain; the line has no effect",)


@pytest.mark.parametrize(
    ("entry", "recipient"),
    [
        ("m@bücher.example", "m@xn--bcher-kva.example"),
        ("m@xn--bcher-kva.example", "m@bücher.example"),
        ("m@BÜCHER.example", "M@XN--BCHER-KVA.example"),
        ("m@b\u0075\u0308cher.example", "m@bücher.example"),
        ("m@bücher。example", "m@xn--bcher-kva.example"),
        ("@straße.example", "m@xn--strae-oqa.example"),  # IDNA 2008; 2003 had strasse
        ("@bücher.example", "m@xn--bcher-kva.example"),
        ("m@example.net.", "m@example.net"),
        ("jørgen@example.no", "JØRGEN@example.no"),
        ("ida+news@mail_1.example.net", "ida+news@mail_1.example.net"),
        ("ida@[192.0.2.1]", "ida@[192.0.2.1]"),
        ("ida@[IPv6:2001:db8::1]", "ida@[ipv6:2001:DB8::1]"),
        ("\udce9va@example.net", "\udce9va@example.net"),
    ],
)
def test_domain_is_the_same_in_letters_and_in_idna(entry: str, recipient: str) -> None:
    found = parse(entry, "list")
    assert found.strange == ()
    assert found.hold(recipient)


def test_strasse_is_not_the_other_street() -> None:
    assert not parse("@straße.example", "list").hold("m@strasse.example")


def test_mark_that_an_editor_puts_at_the_start_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "objections"
    path.write_bytes(b"\xef\xbb\xbfida@example.net\r\nk\xe9@example.net\r\n")
    found = load(path)
    assert found.hold("ida@example.net")
    assert found.hold("k\udce9@example.net")
    assert found.strange == ()


_LISTS = st.lists(
    st.sampled_from(
        [
            b"",
            b"ida@example.net",
            b"IDA@example.net  # twice",
            b"@example.com",
            b"kim",
            b"\xff@example.net",
            b"\xef\xbb\xbfole@example.net",
            "åse@blå.example".encode(),
            b"a@b.example\rc@d.example",
        ]
    )
).flatmap(lambda lines: st.sampled_from([b"\n".join(lines), b"".join(line + b"\n" for line in lines)]))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def reports() -> list[str]:
    return []


def follow(path: Path, reports: list[str]) -> tuple[ObjectionsFile, Clock]:
    clock = Clock()
    return ObjectionsFile(path, reports.append, clock), clock


def write(path: Path, text: str, at: int) -> None:
    path.write_text(text)
    os.utime(path, ns=(at * 10**9, at * 10**9))


def test_list_follows_its_file_within_a_second(tmp_path: Path, reports: list[str]) -> None:
    path = tmp_path / "objections"
    write(path, "", 1)
    file, clock = follow(path, reports)
    assert not file.current().hold("ida@example.net")
    write(path, "ida@example.net\n", 2)
    clock.now += 0.5
    assert not file.current().hold("ida@example.net")
    clock.now += 0.6
    assert file.current().hold("ida@example.net")
    assert reports == []


def test_list_that_was_read_stays_in_force_while_its_file_is_away(tmp_path: Path, reports: list[str]) -> None:
    path = tmp_path / "objections"
    write(path, "ida@example.net\n", 1)
    file, clock = follow(path, reports)
    file.current()
    path.unlink()
    for _ in range(3):
        clock.now += 2
        assert file.current().hold("ida@example.net")
    assert reports == [
        f"{path}: No such file or directory; make it, empty if nobody objected, or correct privacy.objections"
    ]
    write(path, "kim@example.net\n", 3)
    clock.now += 2
    assert file.current() == Objections(frozenset({"kim@example.net"}))


def test_list_that_was_never_read_is_an_error_until_it_is(tmp_path: Path, reports: list[str]) -> None:
    path = tmp_path / "objections"
    file, clock = follow(path, reports)
    with pytest.raises(ObjectionsError, match="never read"):
        file.current()
    path.write_text("")
    clock.now += 2
    assert file.current() == Objections()


def test_list_handed_over_holds_until_the_file_can_be_read(tmp_path: Path, reports: list[str]) -> None:
    path, clock = tmp_path / "objections", Clock()
    file = ObjectionsFile(path, reports.append, clock, first=parse("ida@example.net", "list"))
    assert file.current().hold("ida@example.net")
    assert len(reports) == 1
    path.write_text("kim@example.net\n")
    clock.now += 2
    assert not file.current().hold("ida@example.net")


@given(_LISTS, _LISTS | st.none())
def test_list_that_grew_or_was_written_anew_is_as_if_it_were_read_for_the_first_time(
    tmp_path_factory: pytest.TempPathFactory, before: bytes, other: bytes | None
) -> None:
    path = tmp_path_factory.mktemp("list") / "objections"
    path.write_bytes(before)
    known = load(path)
    path.write_bytes(before + b"kim@example.net\nida\n" if other is None else other)
    found, anew = load(path, known), load(path)
    assert found == anew
    assert found.content == anew.content


def test_added_lines_alone_are_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, parsed = tmp_path / "objections", list[str]()
    path.write_text("# who objected\nida@example.net\n@example.com\n")
    known = load(path)
    extend(path, ["kim@example.net", "no address"])
    parse_lines = objections._parse
    monkeypatch.setattr(
        objections, "_parse", lambda lines, *of: parsed.extend(lines) or parse_lines(lines, *of)
    )
    found = load(path, known)
    assert parsed == ["kim@example.net", "no address"]
    assert found.addresses == {"ida@example.net", "kim@example.net"}
    assert found.domains == {"example.com"}
    assert found.strange == (f"{path}:5: neither an address nor @domain; the line has no effect",)


def test_list_handed_over_is_not_read_again_but_its_strange_lines_are_told(
    tmp_path: Path, reports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, clock = tmp_path / "objections", Clock()
    path.write_text("ida@example.net\nkim\n")
    first = load(path)
    monkeypatch.setattr(objections, "load", lambda *_: pytest.fail("it was read again"))
    file = ObjectionsFile(path, reports.append, clock, first=first)
    for _ in range(3):
        assert file.current().hold("ida@example.net")
        clock.now += 2
    assert reports == [f"{path}:2: neither an address nor @domain; the line has no effect"]


def test_strange_line_is_told_once(tmp_path: Path, reports: list[str]) -> None:
    path = tmp_path / "objections"
    write(path, "ida\n", 1)
    file, clock = follow(path, reports)
    for _ in range(3):
        clock.now += 2
        file.current()
    assert reports == [f"{path}:1: neither an address nor @domain; the line has no effect"]


def test_nobody_waits_for_another_who_reads_the_list_anew(tmp_path: Path) -> None:
    path = tmp_path / "objections"
    write(path, "ida@example.net\n", 1)
    found: list[bool] = []

    def beside(_trouble: str) -> None:
        clock.now += 2  # so that it is time to look for the other, too
        reader = Thread(target=lambda: found.append(file.current().hold("ida@example.net")), daemon=True)
        reader.start()
        reader.join(10)

    clock = Clock()
    file = ObjectionsFile(path, beside, clock)
    file.current()
    write(path, "ida@example.net\nnobody\n", 2)
    clock.now += 2
    file.current()
    assert found == [True]


def test_an_address_is_added_on_a_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "objections"
    for before, after in (
        ("", "kim@example.net\n"),
        ("ida@example.net", "ida@example.net\nkim@example.net\n"),
        ("ida@example.net\n", "ida@example.net\nkim@example.net\n"),
        ("Kim@example.net", "Kim@example.net"),
    ):
        path.write_text(before)
        assert add(path, ["KIM@example.net", "kim@example.net"]) == (after != before)
        assert path.read_text() == after


def test_lines_are_taken_out_by_what_they_name_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "objections"
    text = (
        "# kept by hand\nIda@example.net\n@sea.example\n\nkim@example.net  # since May\n@SEA.example\nno line"
    )
    path.write_text(text)
    path.chmod(0o640)
    remove(path, {"other@example.net", "sea.example", "@example.net"})
    assert path.read_text() == text
    remove(path, {"ida@example.net", "@sea.example"})
    assert path.read_text() == "# kept by hand\n\nkim@example.net  # since May\nno line"
    assert path.stat().st_mode & 0o777 == 0o640
    remove(path, {"kim@example.net"})
    assert path.read_text() == "# kept by hand\n\nno line"
    assert [each.name for each in tmp_path.iterdir()] == ["objections"]
    with pytest.raises(ObjectionsError, match="this program must be able to write it"):
        remove(tmp_path / "none", {"kim@example.net"})


def test_many_lines_are_added_as_they_are_behind_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "objections"
    begin(path)
    assert (path.read_text(), path.stat().st_mode & 0o027) == ("", 0)
    for lines, after in (
        ([], ""),
        (["a@b.example", "@c.example"], "a@b.example\n@c.example\n"),
        ([], "a@b.example\n@c.example\n"),
        (["d@b.example"], "a@b.example\n@c.example\nd@b.example\n"),
    ):
        extend(path, lines)
        begin(path)
        assert path.read_text() == after
