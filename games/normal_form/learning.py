"""Learning dynamics on matrix games: everybody follows one rule of `games.dynamics`.

The average of no-regret play is an equilibrium in the limit of a zero-sum game, the last iterate
need not be; both come out, with certified exploitability, and on request a trajectory for pictures
on the simplex. Source of the reduction: Freund and Schapire (1999).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import (
    FloatArray,
    IntArray,
    as_float_array,
    check_distributions,
    check_finite,
    check_positive_integer,
    check_range,
)
from rltheory.analysis.bounds import Bounds, down, up
from rltheory.games.normal_form.dynamics import PROX, REPLY, Dynamics, as_dynamics
from rltheory.games.normal_form.learning_kernels import run_against, run_dynamics
from rltheory.games.normal_form.matrix_game import MatrixGame, Profile
from rltheory.games.normal_form.payoff_kernels import flatten, pack, unflatten

Order = Literal["simultaneous", "alternating"]


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What was played on the way.

    times: (k,), the number of strategies played before each point, the first one 1.
    current, average: per player (k, A_i), the strategy played last and the average so far.
    current_exploitability, average_exploitability: (k,).
    """

    times: IntArray
    current: Profile
    average: Profile
    current_exploitability: FloatArray
    average_exploitability: FloatArray


@dataclass(frozen=True, eq=False)
class LearningResult:
    """The outcome of a run of learning dynamics.

    average, last: profiles, the (weighted) average of the strategies played and the last of them.
    exploitability, last_exploitability: certified bounds for these two.
    regrets: (players,), the largest gain in hindsight, by one action, over the strategies played:
        sum over time, unweighted.
    trajectory: at every `every`-th iteration, None if not asked for.
    """

    average: Profile
    last: Profile
    exploitability: Bounds
    last_exploitability: Bounds
    regrets: FloatArray
    iterations: int
    dynamics: Dynamics
    trajectory: Trajectory | None


@dataclass(frozen=True, eq=False)
class LearnerRecord:
    """One learner against given payoffs: strategies (T, A) played, and its regret over the run."""

    strategies: FloatArray
    regret: float


def learn(
    game: MatrixGame,
    dynamics: Dynamics | str = "regret_matching_plus",
    *,
    iterations: int = 1000,
    order: Order = "simultaneous",
    averaging: float = 0.0,
    start: Sequence[ArrayLike] | None = None,
    every: int | None = None,
) -> LearningResult:
    """Let all players of a matrix game follow one learning rule; return a LearningResult.

    iterations: T, the number of strategies played; order: whether players move at once or in turn,
    each seeing what those before it have just become; averaging: strategy t has weight
    t ** averaging; start: the profile played first, uniform if None; every: iterations between the
    points of the trajectory.
    In two-player zero-sum games the exploitability of the average is at most the mean of the
    regrets / T for simultaneous moves and uniform weights.
    Raises ValueError naming the argument that does not fit; among them a start with a zero
    where the rule multiplies weights and could never leave it.
    """
    rule = as_dynamics(dynamics)
    check_positive_integer(iterations, "iterations")
    check_range(averaging, "averaging", 0.0, 100.0)
    if order not in ("simultaneous", "alternating"):
        raise ValueError(f"order is {order!r}; expected 'simultaneous' or 'alternating'")
    if order == "alternating" and rule.rule == PROX:
        raise ValueError("order is 'alternating'; mirror_prox is defined for simultaneous moves")
    profile = game.uniform if start is None else game.check_profile(start, "start")
    _check_start(rule, profile)
    payoffs, actions = pack(game.payoffs)
    step = iterations if every is None else check_positive_integer(every, "every")
    points = (iterations - 1) // step + 1 if every is not None else 0
    strategies = flatten(profile)
    average, regrets, path, marks = run_dynamics(
        payoffs,
        actions,
        *_settings(rule),
        iterations,
        order == "alternating",
        float(averaging),
        strategies,
        points,
        step,
    )
    final = unflatten(average, actions)
    last = unflatten(strategies, actions)
    trajectory = None
    if every is not None:
        trajectory = Trajectory(
            1 + step * np.arange(points),
            unflatten(path[0], actions),
            unflatten(path[1], actions),
            *(marks / game.players),
        )
    return LearningResult(
        final,
        last,
        _exploitability(game, final),
        _exploitability(game, last),
        regrets,
        iterations,
        rule,
        trajectory,
    )


def learn_against(
    payoffs: ArrayLike, dynamics: Dynamics | str = "regret_matching_plus"
) -> LearnerRecord:
    """Let one learner face a given sequence of payoffs; return what it played and its regret.

    payoffs: (T, A), row t what the actions earn at time t, seen after the learner has played. The
    rules that read more of the game than this, mirror_prox and fictitious_play, raise ValueError.
    """
    sequence = as_float_array(payoffs, "payoffs", (None, None))
    check_finite(sequence, "payoffs")
    if not sequence.size:
        raise ValueError(f"payoffs has shape {sequence.shape}; expected (T, A), both at least 1")
    rule = as_dynamics(dynamics)
    if rule.rule in (PROX, REPLY):
        raise ValueError(f"dynamics is {rule.name!r}, which needs a game, not a payoff sequence")
    uniform = np.full(sequence.shape[1], 1.0 / sequence.shape[1])
    _check_start(rule, (uniform,))
    strategies = run_against(np.array(sequence), *_settings(rule), uniform)
    regret = float(sequence.sum(axis=0).max() - (strategies * sequence).sum())
    return LearnerRecord(strategies, regret)


def _settings(rule: Dynamics) -> tuple[int, float, float, int, float]:
    """Return what the kernels take, in types for which they are compiled once."""
    return rule.rule, float(rule.step), float(rule.weight), int(rule.refresh), float(rule.floor)


def _check_start(rule: Dynamics, profile: Profile) -> None:
    multiplies = rule.name in (
        "hedge",
        "optimistic_hedge",
        "mirror_prox",
        "projected_replicator",
        "magnetic_mirror_descent",
    )
    for i, strategy in enumerate(profile):
        check_distributions(strategy, f"start[{i}]")
        if multiplies and strategy.min() <= 0:
            raise ValueError(
                f"start[{i}] has a zero; {rule.name} multiplies probabilities, so expected none"
            )
        if rule.floor * len(strategy) > 1.0:
            raise ValueError(f"floor is {rule.floor}; expected at most 1 / {len(strategy)}")


def _exploitability(game: MatrixGame, profile: Profile) -> Bounds:
    bounds = game.nash_conv_bounds(profile)
    lower = np.maximum(down(bounds.lower / game.players), 0.0)
    return Bounds(lower, up(bounds.upper / game.players))
