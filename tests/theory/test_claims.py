"""Every registered claim, on instances off random tapes: no search, no budget, no engine."""

from itertools import islice

import pytest

from rltheory.theory import registry
from rltheory.theory.sides import compare
from rltheory.theory.tape import Tape

INSTANCES = 20
# A sampler that is refused more often than not is to be mended.
TAPES = 40


def admitted(theorem):
    """The admissible instances off the tapes, over the theorem's sizes."""
    for seed in range(TAPES):
        size = theorem.sizes[seed % len(theorem.sizes)]
        instance = theorem.sample(Tape(seed=(seed, 7)), size)
        if theorem.admissible(instance):
            yield instance


@pytest.mark.parametrize("theorem", registry.theorems(), ids=lambda theorem: theorem.id)
def test_claim_holds_on_random_tapes(theorem):
    # Samplers of counterexamples draw witnesses: theirs must all be satisfied too.
    states = [
        compare(theorem.kind, *theorem.sides(instance)).state
        for instance in islice(admitted(theorem), INSTANCES)
    ]
    assert states == ["satisfied"] * INSTANCES
