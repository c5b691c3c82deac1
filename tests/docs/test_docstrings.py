"""Docstrings of the product say first what is done, and name each exception that a caller may meet.

A crude rule that is read from syntax trees, not a check of English. A function counts if neither it nor a
class around it begins with an underscore; special methods count too. It can raise if a `raise` stands in its
own body and no handler around that catches it; the functions that it calls are not followed. Commands of
click are left out, since their docstrings are the help that users read.
"""

import ast
import builtins
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = {"command", "group"}  # decorators of click
FOLDERS = ("milter/smtpapi", "engagement", "tracker_web", "private_mta", "demo")

# What a function does, in the imperative. Add a verb that is missing; nouns and third persons stay out.
VERB = re.compile(
    r"Add|Answer|Append|Apply|Ask|Begin|Bind|Bring|Build|Call|Carry|Change|Check|Choose|Classify|Close|"
    r"Collect|Compare|Compute|Configure|Connect|Convert|Copy|Count|Create|Cut|Decide|Decode|Delete|"
    r"Derive|Describe|Discard|Do|Drop|Encode|End|Erase|Escape|Fetch|Fill|Find|Finish|Flush|Fold|"
    r"Follow|Forget|Free|Give|Go|Group|Guard|Hand|Handle|Import|Join|Judge|Keep|Kill|Let|List|Load|"
    r"Log|Look|Make|Mark|Match|Merge|Move|Name|Note|Open|Order|Overwrite|Parse|Point|Print|Put|Raise|"
    r"Read|Record|Refuse|Release|Remember|Remove|Rename|Render|Replace|Report|Request|Reset|Restore|"
    r"Return|Rewrite|Run|Save|Say|Seal|Search|See|Select|Send|Serve|Set|Ship|Show|Sort|Split|Start|"
    r"Stop|Store|Switch|Take|Tell|Terminate|Turn|Undo|Update|Use|Verify|Wait|Wake|Walk|Warn|Write|"
    r"Yield"
)


@dataclass(frozen=True)
class Documented:
    """Something public that has a docstring. name: dotted, as in `Store.add`; empty for a module."""

    path: str
    name: str
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    around: ast.ClassDef | None

    def __str__(self) -> str:
        return f"{self.path} {self.name}".strip()

    @property
    def text(self) -> str:
        return ast.get_docstring(self.node) or ""

    @property
    def is_function(self) -> bool:
        return isinstance(self.node, ast.FunctionDef | ast.AsyncFunctionDef)

    def decorators(self) -> set[str]:
        """Last names of what decorates it: `command` for `@main.command("check")`."""
        found = set()
        for node in getattr(self.node, "decorator_list", ()):
            called = node.func if isinstance(node, ast.Call) else node
            found.add(called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", ""))
        return found


def public(path: str, text: str) -> Iterator[Documented]:
    """The module, its public classes, functions and methods, and special methods of public classes."""
    module = ast.parse(text)
    yield Documented(path, "", module, None)
    yield from _within(path, module, (), None)


def _within(
    path: str, node: ast.AST, names: tuple[str, ...], around: ast.ClassDef | None
) -> Iterator[Documented]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield Documented(path, ".".join((*names, child.name)), child, around)
            yield from _within(path, child, (*names, child.name), child)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            if not child.name.startswith("_") or child.name.endswith("__"):
                yield Documented(path, ".".join((*names, child.name)), child, around)
        elif isinstance(child, ast.If | ast.Try):
            yield from _within(path, child, names, around)


def raised(node: ast.AST, handled: tuple[str, ...] = ()) -> Iterator[str]:
    """What a body raises and does not catch: names of classes; "" for a `raise` that says none."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.Try):
            caught = (*handled, *(name for handler in child.handlers for name in _caught_by(handler)))
            yield from raised(ast.Module(child.body, []), caught)
            yield from raised(ast.Module([*child.handlers, *child.orelse, *child.finalbody], []), handled)  # type: ignore[list-item] # handlers stand in for statements
        elif isinstance(child, ast.Raise):
            name = _class_name(child.exc)
            if not any(_catches(one, name) for one in handled):
                yield name
        else:
            yield from raised(child, handled)


def _class_name(node: ast.expr | None) -> str:
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _caught_by(handler: ast.ExceptHandler) -> list[str]:
    if handler.type is None:
        return ["BaseException"]
    each = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return [_class_name(one) for one in each]


def _catches(caught: str, name: str) -> bool:
    if caught in (name, "Exception", "BaseException"):
        return bool(name) or caught == "BaseException"
    above, below = getattr(builtins, caught, None), getattr(builtins, name, None)
    return isinstance(above, type) and isinstance(below, type) and issubclass(below, above)


def begins_with_a_verb(one: Documented) -> bool:
    """Properties are values: they may be named like one. A special method may have no docstring."""
    if not one.is_function or not one.text or one.decorators() & {"property", "cached_property", *COMMANDS}:
        return True
    return VERB.fullmatch(one.text.split()[0].rstrip(",:.")) is not None


def has_a_capital(one: Documented) -> bool:
    return not one.text or one.text[0].isupper() or (not one.name and one.text.startswith("`smtpapi "))


def says_what_it_raises(one: Documented) -> bool:
    """Whether it names each class that its body raises. What is raised from a variable needs only the verb.

    `__init__` and its kind may say so in their class. "See the port" leads to where it is said.
    """
    if not one.is_function or one.decorators() & COMMANDS or not (names := set(raised(one.node))):
        return True
    text = one.text
    if one.node.name.startswith("__") and one.around is not None:  # type: ignore[union-attr] # a function, see above
        text += ast.get_docstring(one.around) or ""
    classes = {name for name in names if name[:1].isupper()}
    says = re.search(r"\b[Rr]aises\b", text) is not None and all(name in text for name in classes)
    return says or text.startswith("See ")


def everything() -> list[Documented]:
    return [
        one
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for one in public(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))
    ]


def function(text: str) -> Documented:
    return next(one for one in public("x.py", text) if one.is_function)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("raise ValueError('x')", ["ValueError"]),
        ("raise errors.Odd", ["Odd"]),
        ("if x:\n  raise ValueError", ["ValueError"]),
        ("try:\n  raise ValueError\n except ValueError:\n  pass", []),
        ("try:\n  raise ValueError\n except (KeyError, Exception):\n  pass", []),
        ("try:\n  raise KeyError\n except LookupError:\n  pass", []),
        ("try:\n  raise LookupError\n except KeyError:\n  pass", ["LookupError"]),
        ("try:\n  x()\n except OSError as e:\n  raise Failed from e", ["Failed"]),
        ("try:\n  x()\n except OSError:\n  raise", [""]),
        ("def inner():\n  raise ValueError\n return inner", []),
    ],
)
def test_a_raise_counts_where_nothing_around_it_catches_it(body: str, names: list[str]) -> None:
    assert list(raised(function(f"def f():\n {body}").node)) == names


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("def f():\n '''Return it. Raises ValueError for x.'''\n raise ValueError", True),
        ("def f():\n '''Return it.'''\n raise ValueError", False),
        ("def f():\n '''Return it. Raises KeyError for x.'''\n raise ValueError", False),
        ("def f(e):\n '''Return it. Raises what x raised.'''\n raise e", True),
        ("def f():\n '''See `Port.f`.'''\n raise ValueError", True),
        ("def f():\n '''Return it.'''", True),
        ("class A:\n '''An A. Raises ValueError for x.'''\n def __init__(self):\n  raise ValueError", True),
        ("class A:\n '''An A. Raises ValueError for x.'''\n def f(self):\n  raise ValueError", False),
        ("@x.command('f')\ndef f():\n '''Do it.'''\n raise Failed", True),
    ],
)
def test_a_docstring_has_to_say_what_is_raised(text: str, fine: bool) -> None:
    assert says_what_it_raises(function(text)) is fine


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("def f():\n '''Return it.'''", True),
        ("def f():\n '''Returns it.'''", False),
        ("def f():\n '''The value.'''", False),
        ("def f():\n '''Whether it is.'''", False),
        ("@property\ndef f():\n '''The value.'''", True),
    ],
)
def test_a_docstring_has_to_begin_with_a_verb(text: str, fine: bool) -> None:
    assert begins_with_a_verb(function(text)) is fine


def test_every_public_docstring_begins_with_a_capital_and_a_function_with_a_verb() -> None:
    """Modules of commands may begin with the command's name."""
    found = {str(one) for one in everything() if not begins_with_a_verb(one) or not has_a_capital(one)}
    assert sorted(found) == [], "begin with a capital, and functions with a verb (VERB above)"


def test_every_public_function_that_raises_says_so() -> None:
    found = {str(one) for one in everything() if not says_what_it_raises(one)}
    assert sorted(found) == [], 'say "Raises X for …"'
