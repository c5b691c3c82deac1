"""The grammar of ecelerity.conf, piece by piece (contract.md 2.1); whole files stand in tests/config."""

import pytest

from engagement.settings.errors import Place
from engagement.settings.syntax import MAX_DEPTH, SyntaxProblem, parse
from engagement.settings.syntax_tree import (
    AssignNode,
    IncludeNode,
    PairsNode,
    ScopeNode,
    TextListNode,
    TextNode,
)

ANYWHERE = Place("f")


def text(word: str) -> TextNode:
    return TextNode(word, ANYWHERE)


def assign(name: str, *values: str) -> AssignNode:
    return AssignNode(name, text(values[0]), ANYWHERE)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("a = b", "b"),
        ("a=b", "b"),
        ("a\n=\n\tb", "b"),
        ('a = ""', ""),
        ('a = "b c"', "b c"),
        ('a = "b # c"', "b # c"),
        ('a = "b /* c */"', "b /* c */"),
        ('a = "two\nlines"', "two\nlines"),
        (r'a = "\"q\" \\ \n\r\t"', '"q" \\ \n\r\t'),
        (r'a = "x\.y\\.z"', r"x\.y\.z"),
        (r"a = x\.y\\.z", r"x\.y\\.z"),
        ("a = /var/log/mail.log", "/var/log/mail.log"),
        ("a = it's", "it's"),
        ("a = 'b'", "'b'"),
        ("a = -5", "-5"),
        ("a = 60/3", "60/3"),
        ("a = b#c", "b"),
        ("a = b # c", "b"),
        ("a /* x */ = /* y\n z */ b", "b"),
        ("a = /*x*/b", "b"),
        ("a = /dir/*.conf", "/dir/*.conf"),
        ("a = \u201cb c\u201d", "b c"),
        ("\ufeffa = b", "b"),
        ("a\u00a0= b", "b"),
    ],
)
def test_value_is_read_as_written(written: str, read: str) -> None:
    assert parse(written, "f").items == (assign("a", read),)


def test_line_ends_mean_nothing() -> None:
    assert parse("a = 1 b = 2\nc = 3", "f").items == (assign("a", "1"), assign("b", "2"), assign("c", "3"))


def test_lists_and_pairs_may_stand_without_an_equals_sign() -> None:
    with_equals = parse("a = ( x y ) b = [ k = v ]", "f").items
    assert parse("a ( x y ) b [ k = v ]", "f").items == with_equals
    assert with_equals == (
        AssignNode("a", TextListNode((text("x"), text("y")), ANYWHERE), ANYWHERE),
        AssignNode("b", PairsNode(((text("k"), text("v")),), ANYWHERE), ANYWHERE),
    )


def test_keys_of_pairs_may_be_quoted_and_hold_dots_and_hyphens() -> None:
    (item,) = parse('a = [ "0" = x yahoo.net = y NAS-IP-Address = z ]', "f").items
    assert isinstance(item, AssignNode)
    assert isinstance(item.value, PairsNode)
    assert [key.text for key, _ in item.value.pairs] == ["0", "yahoo.net", "NAS-IP-Address"]


@pytest.mark.parametrize(
    ("written", "instance"),
    [
        ("a { }", None),
        ("a{}", None),
        ("a\n{\n}", None),
        ("a = { }", None),
        ('a "x y" { }', "x y"),
        ("a mta1.example.com { }", "mta1.example.com"),
        ("a accept-pool{}", "accept-pool"),
        (r"a /yahoo\.co(m|\.uk)$/ { }", r"/yahoo\.co(m|\.uk)$/"),
        (r"a /x[0-9]{2}$/{ }", "/x[0-9]{2}$/"),
        ("a /x#y/ { }", "/x#y/"),
        ("a /tmp/2025 { }", "/tmp/2025"),
    ],
)
def test_scope_has_a_bare_or_quoted_name_or_none(written: str, instance: str | None) -> None:
    expected = None if instance is None else text(instance)
    assert parse(written, "f").items == (ScopeNode("a", expected, (), ANYWHERE),)


@pytest.mark.parametrize("written", ['include "x"', 'INCLUDE "x"', "include x", "include \u201cx\u201d"])
def test_include_takes_a_target(written: str) -> None:
    assert parse(written, "f").items == (IncludeNode(text("x"), False, ANYWHERE),)


def test_include_is_only_a_word_where_no_target_follows() -> None:
    assert parse("include = x", "f").items == (assign("include", "x"),)


def test_every_node_keeps_its_place() -> None:
    (scope,) = parse('\n# x\n  A "b" {\n    c = ( d\n e )\n}', "f").items
    assert isinstance(scope, ScopeNode)
    (item,) = scope.items
    assert isinstance(item, AssignNode)
    assert isinstance(item.value, TextListNode)
    assert scope.instance is not None
    places = [scope.place, scope.instance.place, item.place, item.value.place, item.value.items[1].place]
    assert [(each.line, each.column) for each in places] == [(3, 3), (3, 5), (4, 5), (4, 9), (5, 2)]
    assert {each.file for each in places} == {"f"}


def test_typographic_quotes_are_told_with_their_places() -> None:
    parsed = parse('a = \u201cb\u201d\nc = "d\u201d\ne = "f"', "f")
    assert [(place.line, place.column) for place in parsed.curly] == [(1, 5), (2, 5)]


def test_deepest_allowed_nesting_is_read() -> None:
    parse("a { " * MAX_DEPTH + "}" * MAX_DEPTH, "f")
    with pytest.raises(SyntaxProblem, match="nested too deeply"):
        parse("a { " * (MAX_DEPTH + 1) + "}" * (MAX_DEPTH + 1), "f")


def test_a_failed_parse_leaves_nothing_behind() -> None:
    with pytest.raises(SyntaxProblem):
        parse("a = \u201cb\u201d }", "f")
    assert parse("a = b", "g").curly == ()


@pytest.mark.parametrize(
    "written", ["a", "a =", "= a", "a b", "( a )", "a = b c", "a = ( b", "a = [ b ]", "a { b"]
)
def test_half_an_item_is_an_error_with_momentums_line(written: str) -> None:
    with pytest.raises(SyntaxProblem) as caught:
        parse(written, "f.conf")
    ours, momentums = caught.value.problem.lines()
    assert ours.startswith("f.conf:1:")
    assert ", expected " in ours
    assert momentums.startswith("Syntax error in f.conf at line 1 near '")
