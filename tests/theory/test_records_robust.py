"""Robust records: claims hold on random tapes, the engine refutes controls and mutations."""

import pytest

from rltheory.theory.engine import examine, falsify
from rltheory.theory.records import (
    robust_adversary,
    robust_cvar,
    robust_divergence,
    robust_duality,
    robust_operator,
    robust_rectangularity,
    robust_risk,
    robust_sensitivity,
    robust_sets,
)
from rltheory.theory.sides import compare
from rltheory.theory.tape import Tape
from rltheory.theory.verdict import EXISTENTIAL

MODULES = (
    robust_operator,
    robust_adversary,
    robust_duality,
    robust_divergence,
    robust_rectangularity,
    robust_sensitivity,
    robust_sets,
    robust_cvar,
    robust_risk,
)
THEOREMS = [theorem for module in MODULES for theorem in module.THEOREMS]


def instances_of(theorem, count):
    """The first `count` admissible instances over the theorem's sizes."""
    drawn = (
        theorem.sample(Tape(seed=(seed, 11)), theorem.sizes[seed % len(theorem.sizes)])
        for seed in range(count * 4)
    )
    admitted = [instance for instance in drawn if theorem.admissible(instance)][:count]
    assert len(admitted) == count
    return admitted


@pytest.mark.parametrize("theorem", THEOREMS, ids=lambda theorem: theorem.id)
def test_claim_holds_on_random_tapes(theorem):
    for instance in instances_of(theorem, 1 if theorem.kind in EXISTENTIAL else 15):
        assert compare(theorem.kind, *theorem.sides(instance)).state == "satisfied"


@pytest.mark.slow
@pytest.mark.parametrize("theorem", THEOREMS, ids=lambda theorem: theorem.id)
def test_engine_says_that_it_holds(theorem):
    result = examine(theorem, "quick", seed=0)
    assert result.holds, result.reason
    assert result.control_refuted


@pytest.mark.parametrize("role", ["control", "sign", "constant"])
@pytest.mark.parametrize("theorem", THEOREMS, ids=lambda theorem: theorem.id)
def test_false_variants_fall(theorem, role):
    refuted, attempt = falsify(theorem, role=role, budget="quick")
    assert refuted, attempt
