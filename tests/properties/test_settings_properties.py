"""What holds for any text and any tree of the configuration language."""

from hypothesis import given, settings
from hypothesis import strategies as st

from engagement.settings import Problem, Settings, SettingsError, Where, load_text
from engagement.settings.errors import Place
from engagement.settings.schema import SCOPED, STANZAS
from engagement.settings.syntax import SyntaxProblem, parse
from engagement.settings.syntax_tree import (
    AssignNode,
    IncludeNode,
    Item,
    PairsNode,
    ScopeNode,
    TextListNode,
    TextNode,
    lines,
)

ANYWHERE = Place("f")
TOKENS = [
    *"{}[]()=#\"'/\\\n \t\u201c\u201d",
    "/*",
    "*/",
    "include",
    "smtpapi",
    "ESMTP_Listener",
    "Listen",
    '":25"',
    "Peer",
    "10.0.0.0/8",
    "pathway",
    "pathway_group",
    "context",
    "true",
    "-1",
    "99999999999999999999999",
    "tracking_domain",
    "skip_patterns",
    "(?P<a>",
    "\x00",
    "\ud800",
    "\ufeff",
]
soup = st.lists(st.sampled_from(TOKENS), max_size=40).flatmap(
    lambda tokens: st.sampled_from(["", " "]).map(lambda gap: gap.join(tokens))
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).map(
    lambda text: TextNode(text, ANYWHERE)
)
option_names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,7}", fullmatch=True).filter(
    lambda name: name.lower() not in ("include", "readonly_include")
)
scope_names = st.from_regex(r"[A-Za-z0-9_]{1,8}", fullmatch=True).filter(
    lambda name: name.lower() not in ("include", "readonly_include")
)
text_lists = st.lists(texts, max_size=3).map(lambda items: TextListNode(tuple(items), ANYWHERE))
values = st.recursive(
    texts | text_lists,
    lambda inner: st.lists(st.tuples(texts, inner), max_size=3).map(
        lambda found: PairsNode(tuple(found), ANYWHERE)
    ),
    max_leaves=4,
)
assigns = st.builds(AssignNode, option_names, values, st.just(ANYWHERE))
includes = st.builds(IncludeNode, texts, st.booleans(), st.just(ANYWHERE))
items: st.SearchStrategy[Item] = st.recursive(
    assigns | includes,
    lambda inner: st.builds(
        ScopeNode,
        scope_names,
        st.none() | texts,
        st.lists(inner, max_size=3).map(tuple),
        st.just(ANYWHERE),
    ),
    max_leaves=8,
)


def syntax_problem(text: str) -> Problem | None:
    try:
        parse(text, "f")
    except SyntaxProblem as error:
        return error.problem
    return None


def loaded_or_error(text: str) -> Settings | SettingsError:
    try:
        return load_text(text)
    except SettingsError as error:
        return error


@settings(max_examples=100, deadline=None)
@given(st.lists(items, max_size=4).map(tuple))
def test_printing_a_tree_and_reading_it_gives_the_same_tree(tree: tuple[Item, ...]) -> None:
    assert parse("\n".join(lines(tree)), "f").items == tree


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60) | soup)
def test_parser_raises_nothing_but_its_own_error(text: str) -> None:
    problem = syntax_problem(text)
    if problem is not None:
        assert problem.place.file == "f"
        assert problem.place.line >= 1
        assert problem.expected


@settings(max_examples=100, deadline=None)
@given(soup)
def test_loader_raises_nothing_but_settings_errors(text: str) -> None:
    loaded = loaded_or_error(text)
    if isinstance(loaded, SettingsError):
        assert loaded.problems
        assert all(line for line in str(loaded).split("\n"))
    else:
        assert set(loaded.scoped(Where("192.0.2.1", 25, "10.0.0.1")).values) == set(SCOPED)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(
        sorted(SCOPED) + [option for stanza in STANZAS.values() for option in stanza.__annotations__]
    ),
    values,
    st.sampled_from(["ESMTP_Listener", *STANZAS]),
)
def test_any_value_of_any_option_is_read_or_refused_in_words(name: str, value: object, scope: str) -> None:
    assert isinstance(value, TextNode | TextListNode | PairsNode)
    tree = (ScopeNode(scope, None, (AssignNode(name, value, ANYWHERE),), ANYWHERE),)
    loaded = loaded_or_error("\n".join(lines(tree)))
    if isinstance(loaded, SettingsError):
        assert all(problem.what and problem.expected for problem in loaded.problems)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=20), st.none() | st.integers(), st.text(max_size=20), st.text(max_size=10))
def test_any_connection_has_all_values(local: str, port: int | None, client: str, pathway: str) -> None:
    loaded = load_text("""
        ESMTP_Listener { Listen ":25" { } Listen "[*]:26" { } Listen "192.0.2.1:25" { Peer "::/0" { } } }
        pathway default { }
    """)
    assert set(loaded.scoped(Where(local, port, client, pathway)).values) == set(SCOPED)
