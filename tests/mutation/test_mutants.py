"""Of small faults put into the core one at a time, nearly all are noticed by some test.

A long run: MUTANTS (300) of them, drawn with MUTANT_SEED. What survives and cannot matter stands, with why,
in equivalent.txt; every other survivor is printed and counts.

    pytest -m long -s tests/mutation

MUTANT_ONLY names a file of lines as they were printed: of the drawn, those alone are tried. MUTANT_TESTS:
with these tests alone, for a quick look at new ones.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import pytest

from mutation.judge import Map, Tree
from mutation.mutants import Mutant, modules, mutants_of, sample

ROOT = Path(__file__).parents[2]
SHARE = 0.97
WORKERS = 2


def known_equivalents() -> set[tuple[str, str, str, str]]:
    """(path, line's text, old, new) of mutants that change nothing that matters."""
    found = set()
    for line in (Path(__file__).with_name("equivalent.txt")).read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            path, text, old, new, _why = line.split("\t")
            found.add((path, text, old, new))
    return found


def key(mutant: Mutant) -> tuple[str, str, str, str]:
    text = (ROOT / mutant.path).read_text("utf-8").splitlines()[mutant.line - 1].strip()
    return mutant.path, text, " ".join(mutant.old.split()), " ".join(mutant.new.split())


def asked_for(drawn: list[Mutant]) -> list[Mutant]:
    """Those of MUTANT_ONLY, known by their text, as lines move; all without it."""
    if "MUTANT_ONLY" not in os.environ:
        return drawn
    lines = Path(os.environ["MUTANT_ONLY"]).read_text("utf-8").splitlines()
    wanted = {tuple(line.split("\t")[2:6]) for line in lines if line.startswith(("survived", "no test"))}
    return [mutant for mutant in drawn if key(mutant) in wanted]


def test_every_mutant_is_code_and_differs() -> None:
    for module in modules(ROOT)[::25]:
        source = module.read_bytes()
        for mutant in mutants_of(str(module.relative_to(ROOT)), source):
            assert mutant.applied(source) != source
            compile(mutant.applied(source), mutant.path, "exec")


@pytest.mark.long
@pytest.mark.timeout(14_400)
def test_h33_nearly_every_fault_in_the_core_is_noticed(tmp_path: Path) -> None:
    count, seed = int(os.environ.get("MUTANTS", "300")), int(os.environ.get("MUTANT_SEED", "33"))
    drawn = asked_for(sample(ROOT, count, seed))
    every = [Tree(ROOT, tmp_path / f"tree{number}") for number in range(WORKERS)]
    known = known_equivalents()
    tests = Map.measured(every[0])
    trees: SimpleQueue[Tree] = SimpleQueue()
    for tree in every:
        tree.open()
        trees.put(tree)

    def judged(mutant: Mutant) -> str:
        if key(mutant) in known:
            return "equivalent"
        tree = trees.get()
        try:
            place = mutant.path, mutant.line, mutant.line + mutant.old.count("\n")
            chosen = tests.tests(*place)
            noticed = tree.notices(mutant, chosen, tests.seconds(chosen), at_import=tests.at_import(*place))
            outcome = "noticed" if noticed else "survived" if chosen else "no test"
        finally:
            trees.put(tree)
        if outcome != "noticed":
            print("\t".join((outcome, str(mutant.line), *key(mutant))), flush=True)
        return outcome

    with ThreadPoolExecutor(WORKERS) as pool:
        outcomes = list(pool.map(judged, drawn))
    for tree in every:
        tree.close()
    counts = {each: outcomes.count(each) for each in sorted(set(outcomes))}
    matter = len(outcomes) - counts.get("equivalent", 0)
    print(f"seed {seed}: {counts}; {counts.get('noticed', 0) / matter:.1%} of {matter} noticed")
    assert counts.get("noticed", 0) >= SHARE * matter
