"""Correlated and coarse correlated equilibria by linear programming, for any number of players.

A mediator draws a pure profile and tells everybody their part. In a correlated equilibrium nobody
gains by a rule "told a, play b"; in a coarse one nobody gains by ignoring the mediator altogether.
Both are polytopes over the pure profiles, optimised by HiGHS and checked afterwards: the violation
returned is computed from the distribution, not read off the solver.
Source: Aumann (1974, 1987); Moulin and Vial (1978).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from rltheory.analysis.arrays import FloatArray, as_float_array, check_distributions, check_finite
from rltheory.analysis.bounds import Bounds, down, rounding_error, up
from rltheory.games.normal_form.matrix_game import MatrixGame


@dataclass(frozen=True, eq=False)
class CorrelatedEquilibrium:
    """A distribution over pure profiles and how nearly it is an equilibrium.

    distribution: (A_1, ..., A_n); payoffs: (players,) expected; objective: its maximised value;
    violation: certified bounds of the most that a player gains by its best deviation rule.
    """

    distribution: FloatArray
    payoffs: FloatArray
    objective: float
    violation: Bounds


def correlated_equilibrium(
    game: MatrixGame, *, objective: ArrayLike | None = None
) -> CorrelatedEquilibrium:
    """Return the correlated equilibrium with the largest expected objective.

    objective: (A_1, ..., A_n) what a pure profile is worth, the sum of payoffs if None.
    Raises ValueError on another shape, RuntimeError with HiGHS' message should it fail.
    """
    return _optimise(game, objective, _obedience, correlated_violation)


def coarse_correlated_equilibrium(
    game: MatrixGame, *, objective: ArrayLike | None = None
) -> CorrelatedEquilibrium:
    """Return the coarse correlated equilibrium with the largest expected objective.

    Arguments and errors as of `correlated_equilibrium`.
    """
    return _optimise(game, objective, _participation, coarse_violation)


def correlated_violation(game: MatrixGame, distribution: ArrayLike) -> Bounds:
    """Return bounds of max over players of sum over a of max over b of the gain of b when told a.

    At most 0 + rounding iff the distribution (A_1, ..., A_n), over its sum, is a correlated
    equilibrium; always at least 0, as everybody may obey.
    """
    joint = _check_joint(game, distribution)
    gains = [gain.max(axis=1).sum() for gain in _switching_gains(game, joint)]
    return _rounded_outward(game, joint, max(gains))


def coarse_violation(game: MatrixGame, distribution: ArrayLike) -> Bounds:
    """Return bounds of max over players and actions of the gain of always playing that action.

    Below 0 where everybody loses by walking away; at most 0 + rounding iff the distribution, over
    its sum, is a coarse correlated equilibrium.
    """
    joint = _check_joint(game, distribution)
    gains = [gain.sum(axis=0).max() for gain in _switching_gains(game, joint)]
    return _rounded_outward(game, joint, max(gains))


def _check_joint(game: MatrixGame, distribution: ArrayLike) -> FloatArray:
    joint = as_float_array(distribution, "distribution", game.actions)
    check_distributions(joint.ravel(), "distribution")
    return joint


def _switching_gains(game: MatrixGame, joint: FloatArray) -> list[FloatArray]:
    """Return per player (A_i, A_i): what playing b instead of a earns, weighted by being told a."""
    gains = []
    for i, count in enumerate(game.actions):
        weights = np.moveaxis(joint, i, -1).reshape(-1, count)
        payoffs = np.moveaxis(game.payoffs[i], i, -1).reshape(-1, count)
        played = weights.T @ payoffs
        gains.append(played - np.diagonal(played)[:, None])
    return gains


def _rounded_outward(game: MatrixGame, joint: FloatArray, violation: float) -> Bounds:
    # A gain is two sums of at most N products, added up over at most max A_i recommendations;
    # dividing by a sum within `drift` of 1 changes it by at most 2 drift of its size.
    largest = float(np.abs(game.payoffs).max())
    depth = joint.size + max(game.actions) + 2
    drift = abs(float(joint.sum()) - 1.0) + rounding_error(joint.size, 2.0)
    error = rounding_error(depth, 4 * largest) + 4 * drift * largest
    return Bounds(down(violation - error), up(violation + error))


def _optimise(
    game: MatrixGame,
    objective: ArrayLike | None,
    constraints: Callable[[MatrixGame], Any],
    measure: Callable[[MatrixGame, ArrayLike], Bounds],
) -> CorrelatedEquilibrium:
    # A third of a second that only the linear programs should cost.
    from scipy.optimize import linprog

    if objective is None:
        worth = game.payoffs.sum(axis=0)
    else:
        worth = as_float_array(objective, "objective", game.actions)
        check_finite(worth, "objective")
    system = constraints(game)
    # HiGHS takes its tolerances in absolute terms.
    size = max(float(np.abs(worth).max()), np.finfo(np.float64).tiny)
    result = linprog(
        -worth.ravel() / size,
        A_ub=system,
        b_ub=np.zeros(system.shape[0]),
        A_eq=np.ones((1, worth.size)),
        b_eq=[1.0],
        bounds=(0, None),
        method="highs",
    )
    if result.status != 0:
        raise RuntimeError(f"HiGHS did not solve the program: {result.message}")
    joint = np.maximum(result.x, 0.0).reshape(game.actions)
    joint /= joint.sum()
    payoffs = (game.payoffs * joint).reshape(game.players, -1).sum(axis=1)
    return CorrelatedEquilibrium(joint, payoffs, float((worth * joint).sum()), measure(game, joint))


def _differences(game: MatrixGame, player: int, action: int) -> FloatArray:
    """Return what always playing the action would earn a player over each profile, scaled to 1."""
    payoffs = game.payoffs[player]
    spread = float(np.ptp(payoffs)) or 1.0
    chosen = np.take(payoffs, [action], axis=player)
    return np.asarray((chosen - payoffs) / spread)


def _obedience(game: MatrixGame) -> Any:
    """Return the matrix whose products with a distribution are the gains of "told a, play b"."""
    profiles = np.indices(game.actions).reshape(game.players, -1)
    blocks = []
    for i, count in enumerate(game.actions):
        columns = np.arange(profiles.shape[1])
        for b in range(count):
            gains = _differences(game, i, b).ravel()
            blocks.append(
                sparse.csr_array((gains, (profiles[i], columns)), shape=(count, len(columns)))
            )
    return sparse.vstack(blocks, format="csr")


def _participation(game: MatrixGame) -> Any:
    """Return the matrix whose products with a distribution are the gains of always playing b."""
    deviations = [(i, b) for i, count in enumerate(game.actions) for b in range(count)]
    return np.array([_differences(game, i, b).ravel() for i, b in deviations])
