"""Small changes to the code, each of which some test should notice. Pure: source text in, mutants out.

A mutant replaces one span of one module: a comparison, an operator, a constant, a condition, a statement.
Left out is what no test could or should notice: docstrings, annotations, texts of errors and of the log,
imports, names of codecs (Python reads them with any punctuation behind them), and what is marked for the type
checker alone.
"""

import ast
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Where a fault would hurt a mail, a link or an event; not the commands, which print, nor the pages.
CORE = (
    "engagement/bounces/*.py",
    "engagement/classify/*.py",
    "engagement/events/*.py",
    "engagement/figures/*.py",
    "engagement/links/*.py",
    "engagement/maillogs/*.py",
    "engagement/objections.py",
    "engagement/settings/option_types/*.py",
    "engagement/settings/scopes.py",
    "engagement/shipper/*.py",
    "engagement/spool/*.py",
    "engagement/stores/*.py",
    "engagement/stores/cassandra/figures/counting.py",
    "engagement/stores/sqlite/**/*.py",
    "milter/smtpapi/find/**/*.py",
    "milter/smtpapi/hop/*.py",
    "milter/smtpapi/mime/*.py",
    "milter/smtpapi/model/*.py",
    "milter/smtpapi/mta/*.py",
    "milter/smtpapi/pipeline/*.py",
    "milter/smtpapi/policy/**/*.py",
    "milter/smtpapi/request/*.py",
    "milter/smtpapi/rewrite/*.py",
    "milter/smtpapi/telemetry/*.py",
    "tracker_web/links/*.py",
)
# Sockets, signals and processes: held by tests through real programs, which take minutes a mutant.
RIM = frozenset({"connection", "heap", "milter_loop", "services", "files", "memory"})

_COMPARISONS = {
    ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.Is: ("is", "is not"), ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"), ast.NotIn: ("not in", "in"),
}  # fmt: skip
_OPERATORS = {ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "+"), ast.FloorDiv: ("//", "*")}
_MAKERS_OF_TEXT = re.compile(
    r"(^|\.)(_?log|maillog|logging|_details|click|warnings)\b|Error$|Failed$|_tell$|_report$"
)


class Mutant(NamedTuple):
    """source[start:stop] of path, in bytes, becomes new. line: from 1."""

    path: str
    line: int
    start: int
    stop: int
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.old} -> {self.new}"

    def applied(self, source: bytes) -> bytes:
        """Return the module's source with the change made."""
        return source[: self.start] + self.new.encode() + source[self.stop :]


def modules(root: Path) -> list[Path]:
    """Return the modules of the core, in order of their names."""
    found = {path for pattern in CORE for path in root.glob(pattern)}
    return sorted(path for path in found if path.stem not in RIM)


def sample(root: Path, count: int, seed: int) -> list[Mutant]:
    """Return count mutants of all modules, drawn with the seed.

    Each draws its own lot, made of the seed and its text, so that a change to the code replaces a few of them
    and not the whole sample.
    """
    lots: dict[bytes, Mutant] = {}
    for path in modules(root):
        source = path.read_bytes()
        name = str(path.relative_to(root))
        lines = source.splitlines()
        seen: Counter[str] = Counter()
        for mutant in mutants_of(name, source):
            text = "\0".join((name, lines[mutant.line - 1].strip().decode(), mutant.old, mutant.new))
            seen[text] += 1
            lots[hashlib.blake2b(f"{seed}\0{text}\0{seen[text]}".encode()).digest()] = mutant
    return [lots[lot] for lot in sorted(lots)[:count]]


def mutants_of(path: str, source: bytes) -> list[Mutant]:
    """Return all mutants of a module."""
    return list(_Finder(path, source).all())


class _Finder:
    def __init__(self, path: str, source: bytes) -> None:
        self._path = path
        self._source = source
        lines = source.split(b"\n")
        self._starts = [0]
        for line in lines:
            self._starts.append(self._starts[-1] + len(line) + 1)

    def all(self) -> Iterator[Mutant]:
        yield from self._in(ast.parse(self._source))

    def _in(self, node: ast.AST) -> Iterator[Mutant]:
        yield from self._of(node)
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "bases"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not self._left_out(child) and not _is_codec(node, child):
                    yield from self._in(child)

    def _left_out(self, node: ast.AST) -> bool:
        match node:
            case ast.Import() | ast.ImportFrom() | ast.Assert() | ast.JoinedStr() | ast.Raise():
                return True
            case ast.Expr(value=ast.Constant()):
                return True
            case ast.Call(func=function):
                return bool(_MAKERS_OF_TEXT.search(ast.unparse(function)))
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                return True
            case ast.Assign(targets=[ast.Name(id="__all__" | "__slots__")]):
                return True
            case ast.AnnAssign(value=None) | ast.Subscript(value=ast.Name(id="Literal")):
                return True
        return False

    def _of(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
                yield from self._between(left, right, *_COMPARISONS[type(op)])
            case ast.BoolOp(op=op, values=[first, second, *_]):
                operators = ("and", "or") if isinstance(op, ast.And) else ("or", "and")
                yield from self._between(first, second, *operators)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                yield from self._between(left, right, *_OPERATORS[type(op)])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield self._mutant(node, ast.unparse(node), self._text(operand))
            case ast.Constant(value=bool() as value):
                yield self._mutant(node, str(value), str(not value))
            case ast.Constant(value=int() as value):
                yield self._mutant(node, str(value), str(value + 1))
            case ast.Constant(value=str() | bytes() as value) if value:
                text = self._text(node)
                if text and text[-1] in "\"'" and "\n" not in text:
                    end = 3 if text.endswith(('"""', "'''")) else 1
                    yield self._mutant(node, text, text[:-end] + "~" + text[-end:])
            case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
                if not isinstance(test, ast.Compare | ast.UnaryOp | ast.Constant):
                    yield self._mutant(test, self._text(test), f"(not ({self._text(test)}))")
            case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
                yield self._mutant(value, self._text(value), "None")
            case ast.Expr(value=ast.Call()) | ast.AugAssign():
                yield self._mutant(node, self._text(node), "pass")
            case ast.Continue():
                yield self._mutant(node, "continue", "break")
            case ast.Break():
                yield self._mutant(node, "break", "continue")

    def _between(self, left: ast.expr, right: ast.expr, old: str, new: str) -> Iterator[Mutant]:
        start, stop = self._end(left), self._start(right)
        pattern = re.escape(old.encode()).replace(rb"\ ", rb"\s+")
        found = re.search(pattern, self._source[start:stop])
        if found:
            at = start + found.start()
            yield Mutant(self._path, left.end_lineno or 0, at, start + found.end(), old, new)

    def _mutant(self, node: ast.AST, old: str, new: str) -> Mutant:
        start, stop = self._start(node), self._end(node)
        return Mutant(self._path, getattr(node, "lineno", 0), start, stop, old, new)

    def _text(self, node: ast.AST) -> str:
        return self._source[self._start(node) : self._end(node)].decode()

    def _start(self, node: ast.AST) -> int:
        return self._starts[getattr(node, "lineno", 1) - 1] + int(getattr(node, "col_offset", 0))

    def _end(self, node: ast.AST) -> int:
        return self._starts[getattr(node, "end_lineno", 1) - 1] + int(getattr(node, "end_col_offset", 0))


def _is_codec(node: ast.AST, child: ast.AST) -> bool:
    """Return whether child is the name of a codec: what is decoded from or encoded to."""
    if not isinstance(child, ast.Constant) or not isinstance(child.value, str):
        return False
    match node:
        case ast.Call(func=ast.Attribute(attr="decode" | "encode"), args=[first, *_]):
            return first is child
        case ast.keyword(arg="encoding"):
            return True
    return False
