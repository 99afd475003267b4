"""What VAD-CFR's volatility does inside a run: its numbers at every information set, over time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import FloatArray
from rltheory.games.forms.extensive import ExtensiveGame
from rltheory.games.regret.cfr import cfr
from rltheory.games.regret.cfr_run import initial_state
from rltheory.games.regret.variant import Variant
from rltheory.games.regret.variants import vad_cfr
from rltheory.paper_figures.cfr_runs import WARM_UP


@dataclass(frozen=True, eq=False)
class Moment:
    """One iteration, all arrays (infosets,).

    sizes: the largest instantaneous regret of each set; averages: the moving average of sizes that
    the set's update used; alpha and beta: the exponents of its discounts; optimism: the weight of
    its prediction; weights: of its strategy in the average (zero in the warm-up).
    """

    iteration: int
    sizes: FloatArray
    averages: FloatArray
    alpha: FloatArray
    beta: FloatArray
    optimism: FloatArray
    weights: FloatArray


def keep_regret(R, r, m, c):  # type: ignore[no-untyped-def]
    """Remember the instantaneous regret, which VAD-CFR itself has no use for."""
    return r


def trace(game: ExtensiveGame, reading: str, marks: Sequence[int]) -> Iterator[Moment]:
    """Yield the moments of a run with alternating updates, after the iterations `marks` >= 2.

    The run keeps each action's last regret in the memory that the variant leaves free; the signals
    are computed from it by the variant's own functions, as the traversal computes them.
    """
    rule = replace(vad_cfr(volatility=reading, warm_up=WARM_UP), memory=keep_regret)
    state = initial_state(game)
    for mark in marks:
        state = cfr(game, rule, iterations=mark - 1, checkpoints=1, state=state).state
        before = state.states
        state = cfr(game, rule, iterations=mark, checkpoints=1, state=state).state
        sizes = np.maximum.reduceat(np.abs(state.memories), game.form.first[:-1])
        yield _moment(rule, mark, sizes, moving_averages(rule, sizes, before, mark))


def moving_averages(rule: Variant, sizes: FloatArray, before: FloatArray, t: int) -> FloatArray:
    """Each set's moving average in iteration t, from the sizes and the states before it.

    With a shared state it runs through the sets in their order, which is that of the updates.
    """
    c = rule.schedule(t, t)
    averages = np.empty(len(sizes))
    for i, size in enumerate(sizes):
        last = averages[i - 1] if rule.shared_state and i else before[i]
        averages[i] = rule.track(size, last, c)
    return averages


def _moment(rule: Variant, t: int, sizes: FloatArray, averages: FloatArray) -> Moment:
    c = rule.schedule(t, t)
    signals = np.array([rule.signal(*pair, c) for pair in zip(sizes, averages, strict=True)])
    alpha, beta = (_exponent(signals[:, column], t) for column in (0, 1))
    return Moment(t, sizes, averages, alpha, beta, signals[:, 2], signals[:, 3])


def _exponent(discount: NDArray[np.float64], t: int) -> FloatArray:
    """The exponent a of a discount t^a / (t^a + 1)."""
    exponents: FloatArray = -np.log(1.0 / discount - 1.0) / np.log(t)
    return exponents
