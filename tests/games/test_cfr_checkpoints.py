"""Checkpoints of CFR: where they lie, which are refused, and that runs do not depend on them."""

import sys

import numpy as np
import pytest

from rltheory.analysis.checkpoints import checkpoint_iterations
from rltheory.games.library import load
from rltheory.games.regret.cfr import cfr


def test_runs_are_the_same_whatever_the_block_compiled_code_runs_at_a_time(monkeypatch):
    game = load("kuhn_poker")
    whole = cfr(game, "vad_cfr", iterations=520, checkpoints=1)
    monkeypatch.setattr(sys.modules[cfr.__module__], "BLOCK", 7)
    blocks = cfr(game, "vad_cfr", iterations=520, checkpoints=1)
    for name, array in whole.state.copies().items():
        assert np.array_equal(array, blocks.state.copies()[name])


def test_any_number_of_checkpoints_beyond_the_iterations_is_all_of_them():
    assert checkpoint_iterations(10**12, 10) == list(range(1, 11))
    for n in range(1, 60):
        fewest = int(2 * n * (np.log(n) + 1)) + 1  # the largest count that is still spaced
        assert checkpoint_iterations(fewest, n) == list(range(1, n + 1))


@pytest.mark.parametrize("checkpoints", [None, np.nan, 2.5, 0])
def test_checkpoints_that_are_no_number_are_refused(checkpoints):
    with pytest.raises(ValueError, match=r"checkpoints is .*; expected an integer of at least 1"):
        checkpoint_iterations(checkpoints, 10)


def test_more_iterations_than_floats_can_count_are_refused():
    with pytest.raises(ValueError, match=r"iterations is 10+; expected at most 2\*\*53"):
        checkpoint_iterations(10, 10**30)
