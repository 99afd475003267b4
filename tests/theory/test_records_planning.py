"""Planning records: claims hold on random tapes, controls fail, sides agree with other sums."""

import numpy as np
import pytest

from rltheory.tabular import value_iteration
from rltheory.theory.records import bellman
from rltheory.theory.sides import compare
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import false_twin

MODULES = (bellman,)
THEOREMS = [theorem for module in MODULES for theorem in module.THEOREMS]


def instances_of(theorem, count):
    """The first `count` admissible instances over the theorem's sizes."""
    seeds = range(count * 4)
    drawn = (
        theorem.sample(Tape(seed=(seed, 7)), theorem.sizes[seed % len(theorem.sizes)])
        for seed in seeds
    )
    admitted = [instance for instance in drawn if theorem.admissible(instance)][:count]
    assert len(admitted) == count
    return admitted


def judged(theorem, instance):
    left, right = theorem.sides(instance)
    rounding = None if theorem.rounding is None else theorem.rounding(instance)
    return compare(theorem.kind, left, right, rounding)


@pytest.mark.parametrize("theorem", THEOREMS, ids=lambda theorem: theorem.id)
def test_claim_holds_on_random_tapes(theorem):
    for instance in instances_of(theorem, 20):
        assert judged(theorem, instance).state == "satisfied"


@pytest.mark.parametrize("theorem", THEOREMS, ids=lambda theorem: theorem.id)
def test_control_is_violated_somewhere(theorem):
    twin = false_twin(theorem)
    states = [judged(twin, instance).state for instance in instances_of(twin, 150)]
    assert "violated" in states


def test_macqueen_bracket_encloses_float_value_iteration():
    instance = bellman.sample_residual(Tape(seed=3), 5)
    lower, upper = bellman.bracket_sides(instance)
    best = value_iteration(instance.mdp, tolerance=1e-12).values
    assert np.all(lower[:5].astype(float) <= best + 1e-11)
    assert np.all(upper[5:].astype(float) >= best - 1e-11)
