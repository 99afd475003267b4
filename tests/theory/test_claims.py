"""Every registered claim: it is listed, and holds off random tapes and after a long search.

Files on a topic test what its records compute with. What is asked of every record is asked here,
and in `test_mutations` of its false variants.
"""

import importlib
import math
import pkgutil
from itertools import islice

import pytest

from rltheory.theory import records, registry
from rltheory.theory.engine import examine
from rltheory.theory.search import BUDGETS
from rltheory.theory.sides import compare
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Theorem

INSTANCES = 10
# A sampler that is refused more often than not is to be mended.
TAPES, ADMITTED = 40, 20

RATIONAL = registry.select(["agnostic/*"])
"""Claims on both sides of which nothing but fractions may come out."""

LONG = registry.select(
    [
        *("alpha-rank/*", "cfr/*", "cfr-variants/*", "correlated/*", "double-oracle/*"),
        *("extensive/*", "learning/*", "matrix-game/*", "no-regret/*", "psro/*"),
        *("regret-matching/*", "sequence-form/*", "shor/*"),
        *("hdpo/*", "inpo/*", "rpo/*", "spo/*", "ts-ddr/*"),
        *("robust/kl-is-entropic-risk", "robust/small-radius-rate"),
        *("robust/policy-iteration-rate", "robust/contraction-curved-sets"),
        "robust/duality-penalised-chi-square",
    ]
)
"""Claims about long runs and large games: their search has the deep budget."""

each_theorem = pytest.mark.parametrize(
    "theorem", registry.theorems(), ids=lambda theorem: theorem.id
)


def admitted(theorem):
    """The admissible instances off the tapes, over the theorem's sizes."""
    for seed in range(TAPES):
        size = theorem.sizes[seed % len(theorem.sizes)]
        instance = theorem.sample(Tape(seed=(seed, 7)), size)
        if theorem.admissible(instance):
            yield instance


def test_every_record_that_a_module_defines_is_registered():
    known = {id(theorem) for theorem in registry.theorems()}
    for name in (module.name for module in pkgutil.iter_modules(records.__path__)):
        module = importlib.import_module(f"{records.__name__}.{name}")
        defined = [value for value in vars(module).values() if isinstance(value, Theorem)]
        assert module.THEOREMS, f"{name} lists no record"
        assert [t.id for t in (*defined, *module.THEOREMS) if id(t) not in known] == []


@each_theorem
def test_claim_holds_on_random_tapes(theorem):
    # Of dear claims no more than `verify` draws.
    most = math.ceil(BUDGETS["standard"].instances / theorem.cost)
    drawn = list(islice(admitted(theorem), min(ADMITTED, most)))
    assert len(drawn) == min(ADMITTED, most)
    wanted = min(INSTANCES, most)
    # Samplers of counterexamples draw witnesses: theirs must all be satisfied too.
    found = [compare(theorem.kind, *theorem.sides(instance)) for instance in drawn[:wanted]]
    assert [comparison.state for comparison in found] == ["satisfied"] * wanted
    if theorem in RATIONAL:
        assert all(comparison.exact for comparison in found)


@pytest.mark.slow
@each_theorem
def test_engine_says_that_it_holds(theorem):
    result = examine(theorem, "deep" if theorem in LONG else "standard", seed=3)
    # No claim rests on a tolerance; a fitted slope is never more than evidence.
    proved = (
        {"holds (exact)"} if theorem in RATIONAL else {"holds (exact)", "holds (certified bound)"}
    )
    assert result.verdict in ({"holds"} if theorem.kind == "rate" else proved), result.reason
    assert result.control_refuted
