"""Of small faults put into the core one at a time, nearly all are noticed by some test.

A long run: MUTANTS (300) of them, drawn with MUTANT_SEED. What survives and cannot matter stands, with why,
in equivalent.txt, is not tried and is counted apart; every other survivor counts. What becomes of each is
printed at once. The report at the end has each survivor as a diff, how many were drawn, equivalent and
noticed, and the share.

    pytest -m long -s tests/mutation

MUTANT_ONLY names a file of lines as they were printed: of the drawn, those alone are tried. MUTANT_TESTS:
with these tests alone, for a quick look at new ones. MUTANT_MAP: a file that keeps which tests run which line
(`which_tests.Map.cached`), so that a second run measures only what has changed. MUTANT_WORKERS (2): how many
are tried at once, and in how many processes tests are measured.
"""

import difflib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from queue import SimpleQueue

import pytest

from mutation.inside import SURVIVED, TOO_LONG, is_at_import
from mutation.judge import Tree
from mutation.mutants import Mutant, modules, mutants_of, sample
from mutation.which_tests import SLOWER, Map, files_of_tests

ROOT = Path(__file__).parents[2]
SHARE = 0.97
_SLOWER_SECONDS = 300.0  # several times what they take on a busy machine
WORKERS = int(os.environ.get("MUTANT_WORKERS", "2"))
Key = tuple[str, str, str, str]  # path, line's text, old, new


def known_equivalents() -> dict[Key, str]:
    """Return why, for each mutant that changes nothing that matters."""
    found = {}
    for line in (Path(__file__).with_name("equivalent.txt")).read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            path, text, old, new, why = line.split("\t")
            found[path, text, old, new] = why
    return found


def key(mutant: Mutant) -> Key:
    text = _lines(mutant.path)[mutant.line - 1].strip()
    return mutant.path, text, " ".join(mutant.old.split()), " ".join(mutant.new.split())


@cache
def _lines(path: str) -> list[str]:
    """Return the lines of a module as they are when it is first asked for."""
    return (ROOT / path).read_text("utf-8").splitlines()


def selected(drawn: list[Mutant]) -> list[Mutant]:
    """Those of MUTANT_ONLY, known by their text, as lines move; all without it."""
    if "MUTANT_ONLY" not in os.environ:
        return drawn
    lines = Path(os.environ["MUTANT_ONLY"]).read_text("utf-8").splitlines()
    chosen = {tuple(line.split("\t")[2:6]) for line in lines if line.startswith(SURVIVED)}
    return [mutant for mutant in drawn if key(mutant) in chosen]


def diff(mutant: Mutant) -> str:
    """Return the change as a unified diff without context."""
    source = (ROOT / mutant.path).read_bytes()
    before, after = (each.decode().splitlines() for each in (source, mutant.applied(source)))
    names = f"a/{mutant.path}", f"b/{mutant.path}"
    return "\n".join(difflib.unified_diff(before, after, *names, lineterm="", n=0))


def report(seed: int, outcomes: dict[Mutant, str], known: dict[Key, str]) -> Iterator[str]:
    """Yield the lines of the report."""
    named = [mutant for mutant, outcome in outcomes.items() if outcome == "equivalent"]
    left = [mutant for mutant, outcome in outcomes.items() if outcome == SURVIVED]
    slow = [mutant for mutant, outcome in outcomes.items() if outcome == TOO_LONG]
    yield f"\nequivalent, and not tried ({len(named)}):"
    for mutant in named:
        yield f"{mutant}: {known[key(mutant)]}"
    yield f"\nnoticed as tests with them run for ever ({len(slow)}):"
    yield from map(str, slow)
    yield f"\nnoticed by no test ({len(left)}):"
    for mutant in left:
        yield f"{mutant.path}:{mutant.line}:\n{diff(mutant)}"
    matter = len(outcomes) - len(named)
    noticed = matter - len(left)
    yield f"\nseed {seed}: {len(outcomes)} drawn, {len(named)} equivalent, {noticed} noticed, {len(left)} not"
    yield f"{noticed / matter:.1%} of {matter} noticed"


def test_every_mutant_is_code_and_differs() -> None:
    for module in modules(ROOT)[::25]:
        source = module.read_bytes()
        for mutant in mutants_of(str(module.relative_to(ROOT)), source):
            assert mutant.applied(source) != source
            compile(mutant.applied(source), mutant.path, "exec")


def test_what_is_named_equivalent_may_be_drawn() -> None:
    known = known_equivalents()
    paths = sorted({path for path, *_ in known})
    assert [path for path in paths if ROOT / path not in modules(ROOT)] == []
    found = {key(mutant) for path in paths for mutant in mutants_of(path, (ROOT / path).read_bytes())}
    assert [each for each in known if each not in found] == []


@pytest.mark.long
@pytest.mark.timeout(14_400)
def test_h33_nearly_every_fault_in_the_core_is_noticed(tmp_path: Path) -> None:
    count, seed = int(os.environ.get("MUTANTS", "300")), int(os.environ.get("MUTANT_SEED", "37"))
    drawn = selected(sample(ROOT, count, seed))
    every = [Tree(ROOT, tmp_path / f"tree{number}") for number in range(WORKERS)]
    known = known_equivalents()
    cached_map = os.environ.get("MUTANT_MAP")
    tests = (
        Map.cached(every, ROOT, Path(cached_map)) if cached_map else Map.measured(every, files_of_tests(ROOT))
    )
    trees: SimpleQueue[Tree] = SimpleQueue()

    def opened(tree: Tree) -> None:
        tree.open()
        trees.put(tree)

    def outcome_of(mutant: Mutant) -> str:
        if key(mutant) in known:
            return "equivalent"
        tree = trees.get(timeout=1800)
        try:
            place = mutant.path, mutant.line, mutant.line + mutant.old.count("\n")
            at_import = is_at_import(mutant, (ROOT / mutant.path).read_bytes())
            for wide in sorted(
                {at_import, True}
            ):  # what survives may be run at import alone, to make a table
                chosen = tests.tests(*place, at_import=wide)
                outcome = tree.outcome(mutant, chosen, tests.seconds(chosen), at_import=wide)
                if outcome != SURVIVED:
                    break
            for files in (files for room, files in SLOWER.items() if mutant.path.startswith(room)):
                if outcome == SURVIVED:
                    outcome = tree.outcome_anew(mutant, list(files), _SLOWER_SECONDS)
        finally:
            trees.put(tree)
        print("\t".join((outcome, str(mutant.line), *key(mutant))), flush=True)
        return outcome

    with ThreadPoolExecutor(WORKERS) as openers, ThreadPoolExecutor(WORKERS) as pool:
        opening = openers.map(opened, every)
        outcomes = list(pool.map(outcome_of, drawn))
        list(opening)  # raises what kept one from it
    for tree in every:
        tree.close()
    matter = len(drawn) - outcomes.count("equivalent")
    noticed = matter - outcomes.count(SURVIVED)
    print("\n".join(report(seed, dict(zip(drawn, outcomes, strict=True)), known)))
    assert noticed >= SHARE * matter
