"""A plugin of pytest: tries mutants in one session, each in a fork of it, so that nothing is imported anew.

Jobs come one a line by the descriptor MUTANT_JOBS: mutant, tests, seconds at most. The answers go to
MUTANT_ANSWERS: first the names of all tests, then for each job "noticed", "too long", "survived", or "anew"
where the mutant is in code that runs at import.
"""

import ast
import contextlib
import functools
import gc
import json
import os
import select
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType

import pytest

from mutation.mutants import Mutant

NOTICED, TOO_LONG, SURVIVED, ANEW = "noticed", "too long", "survived", "anew"
_Pairs = list[tuple[CodeType, CodeType]]  # the code of a function, and what it is exchanged for


class Failed:
    """Whether a test of this process failed."""

    yes = False


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    Failed.yes = Failed.yes or report.failed


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    """Serve mutants instead of running what was collected."""
    items = {item.nodeid: item for item in session.items}
    answers = os.fdopen(int(os.environ["MUTANT_ANSWERS"]), "w")
    print(json.dumps(list(items)), file=answers, flush=True)
    for line in os.fdopen(int(os.environ["MUTANT_JOBS"])):
        mutant, tests, seconds = json.loads(line)
        chosen = [items[test] for test in tests if test in items]
        print(_tried(Mutant(*mutant), chosen, seconds), file=answers, flush=True)
    return True


def _tried(mutant: Mutant, items: list[pytest.Item], seconds: float) -> str:
    """Try it in forks; a test that fails without it as well, as on a busy machine, has noticed nothing."""
    place = Path(mutant.path)
    source = place.read_bytes()
    pairs = list(_changed(str(place.absolute()), source, mutant.applied(source)))
    outcome = ANEW
    while pairs and items:
        place.write_bytes(mutant.applied(source))  # for programs that the tests start
        try:
            outcome, passed = _forked(items, pairs, seconds)
        finally:
            place.write_bytes(source)
        if outcome != NOTICED or passed is None or _forked([items[passed]], [], seconds)[0] == SURVIVED:
            return outcome
        items = items[passed + 1 :]
        outcome = SURVIVED
    return outcome


def _forked(items: list[pytest.Item], pairs: _Pairs, seconds: float) -> tuple[str, int | None]:
    """Run tests in a fork. Return what became of it, and how many passed before one failed."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of threads that a fork leaves behind
            child = os.fork()
        if child == 0:
            _run(items, pairs, writer)
        outcome = _waited(child, seconds)
        with contextlib.suppress(BlockingIOError):
            return outcome, int(os.read(reader, 20))
        return outcome, None
    finally:
        os.close(reader)
        os.close(writer)


def _waited(child: int, seconds: float) -> str:
    descriptor = os.pidfd_open(child)
    in_time = bool(select.select([descriptor], [], [], seconds)[0])
    os.close(descriptor)
    try:
        os.killpg(child, signal.SIGKILL)  # what the tests have left behind, too
    except ProcessLookupError:
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if not in_time:
        return TOO_LONG
    return {0: SURVIVED, 3: ANEW}.get(status, NOTICED)


def _run(items: list[pytest.Item], pairs: _Pairs, descriptor: int) -> None:
    """Run the tests with the code exchanged, until one fails; ends the process.

    descriptor: where to write how many passed before the one that failed.
    """
    status = 1
    try:
        os.setpgid(0, 0)
        if pairs and not _exchanged(pairs):
            status = 3
            return
        for passed, (item, following) in enumerate(zip(items, [*items[1:], None], strict=True)):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if Failed.yes:
                os.write(descriptor, str(passed).encode())
                return
        status = 0
    finally:
        os._exit(status)


def _exchanged(pairs: _Pairs) -> bool:
    """Give the living functions the new code; False if the outermost has none."""
    new = dict(pairs)
    found = set()
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and each.__code__ in new:
            code = each.__code__
            if code.co_filename == pairs[0][0].co_filename and code.co_freevars == new[code].co_freevars:
                found.add(code)
                each.__code__ = new[code]
        elif isinstance(each, functools._lru_cache_wrapper):
            each.cache_clear()
    return pairs[0][0] in found


def is_at_import(mutant: Mutant, source: bytes) -> bool:
    """Tell whether a mutant is in no function, so that it only shows when its module is imported."""
    return not list(_changed(mutant.path, source, mutant.applied(source)))


def _changed(path: str, old: bytes, new: bytes) -> Iterator[tuple[CodeType, CodeType]]:
    """The code of functions that differs, the outermost first; none if what runs at import does."""
    try:
        before, after = (compile(ast.parse(source), path, "exec", dont_inherit=True) for source in (old, new))
    except SyntaxError:
        return
    found = list(_differing(before, after))
    if all(code.co_flags & _IN_FUNCTION for code, _ in found):
        yield from found


_IN_FUNCTION = 0x1 | 0x2  # CO_OPTIMIZED and CO_NEWLOCALS: neither a module's code nor a class's


def _differing(old: CodeType, new: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    if _own(old) != _own(new):
        yield old, new
    inner = [[each for each in code.co_consts if isinstance(each, CodeType)] for code in (old, new)]
    if len(inner[0]) == len(inner[1]):
        for one, other in zip(*inner, strict=True):
            for pair in _differing(one, other):
                if old.co_flags & _IN_FUNCTION and _own(old) == _own(new):
                    yield old, new  # it makes the inner one
                yield pair


def _own(code: CodeType) -> tuple[object, ...]:
    """What a code does by itself, wherever it stands."""
    constants = [(type(each), repr(each)) for each in code.co_consts if not isinstance(each, CodeType)]
    return code.co_code, constants, code.co_names, code.co_varnames
