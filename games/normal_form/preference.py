"""Preference games: which response wins against which, the minimax winner, and self-play.

A preference P(x, y) = -P(y, x) in [-1, 1] is the payoff of a symmetric zero-sum game of value 0;
its equilibrium strategy, the minimax winner, loses to no response on average. One no-regret
learner that plays against itself finds it. Source: Swamy et al. (2024), A Minimaximalist Approach
to RLHF; Kreweras (1965) and Fishburn (1984) for the winner.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import (
    FloatArray,
    as_float_array,
    check_distributions,
    check_finite,
    check_positive_integer,
    read_only,
)
from rltheory.analysis.bounds import Bounds
from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.games.normal_form.dynamics import Dynamics
from rltheory.games.normal_form.learning import Trajectory, learn
from rltheory.games.normal_form.matrix_game import MatrixGame
from rltheory.games.normal_form.zero_sum import solve_matrix_game

WIN_RATE_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class Preferences:
    """An antisymmetric preference among K responses.

    matrix: (K, K), matrix[x, y] = P(x > y) - P(y > x) in [-1, 1]; read-only.
    Raises ValueError if it is not square or empty, holds entries that are not finite or above 1 in
    magnitude, or is not exactly antisymmetric.
    """

    matrix: FloatArray

    def __post_init__(self) -> None:
        matrix = as_float_array(self.matrix, "matrix", (None, None))
        if matrix.shape[0] != matrix.shape[1] or not matrix.size:
            raise ValueError(f"matrix has shape {matrix.shape}; expected (K, K) with K >= 1")
        check_finite(matrix, "matrix")
        if np.abs(matrix).max() > 1:
            x, y = (int(i) for i in np.argwhere(np.abs(matrix) > 1)[0])
            raise ValueError(
                f"matrix[{x}, {y}] is {matrix[x, y]}; preferences must lie in [-1, 1] "
                "(Preferences.from_win_rates takes probabilities of winning)"
            )
        if not np.array_equal(matrix, -matrix.T):
            x, y = (int(i) for i in np.argwhere(matrix != -matrix.T)[0])
            raise ValueError(
                f"matrix[{x}, {y}] is {matrix[x, y]} and matrix[{y}, {x}] is {matrix[y, x]}; "
                "a preference must be antisymmetric"
            )
        # -0.0 and 0.0 are one preference.
        object.__setattr__(self, "matrix", read_only(matrix + 0.0))

    @staticmethod
    def from_win_rates(rates: ArrayLike) -> "Preferences":
        """Return the preference with these chances (K, K) that the row wins, 1/2 on the diagonal.

        Raises ValueError unless rates[x, y] + rates[y, x] is 1 within 1e-9 everywhere.
        """
        given = as_float_array(rates, "rates", (None, None))
        if given.shape[0] != given.shape[1]:
            raise ValueError(f"rates has shape {given.shape}; expected (K, K)")
        check_finite(given, "rates")
        if given.size and (given.min() < 0 or given.max() > 1):
            x, y = (int(i) for i in np.argwhere((given < 0) | (given > 1))[0])
            raise ValueError(f"rates[{x}, {y}] is {given[x, y]}; expected a probability")
        off = np.abs(given + given.T - 1)
        if given.size and off.max() > WIN_RATE_TOLERANCE:
            x, y = (int(i) for i in np.argwhere(off > WIN_RATE_TOLERANCE)[0])
            raise ValueError(
                f"rates[{x}, {y}] + rates[{y}, {x}] is {given[x, y] + given[y, x]:.10g}; expected 1"
            )
        return Preferences(given - given.T)

    @property
    def responses(self) -> int:
        """Number of responses K."""
        return int(self.matrix.shape[0])

    @property
    def win_rates(self) -> FloatArray:
        """The chances (K, K) that the row's response is preferred."""
        return np.asarray((1 + self.matrix) / 2)

    @cached_property
    def game(self) -> MatrixGame:
        """The symmetric zero-sum game whose payoffs are the preferences."""
        return MatrixGame.zero_sum(self.matrix)

    def check_policy(self, policy: ArrayLike, name: str = "policy") -> FloatArray:
        """Return a distribution over responses (K,), or raise ValueError naming the argument."""
        array = as_float_array(policy, name, (self.responses,))
        check_distributions(array, name)
        return array

    def gap(self, policy: ArrayLike) -> Bounds:
        """Return certified bounds of the duality gap of a policy played by both sides.

        It is twice the largest preference of any response over the policy; 0 iff the policy is a
        minimax winner.
        """
        array = self.check_policy(policy)
        return self.game.nash_conv_bounds((array, array))

    def __repr__(self) -> str:
        return f"Preferences(responses={self.responses})"


@dataclass(frozen=True, eq=False)
class MinimaxWinner:
    """A policy (K,) that loses to no response by more than half the gap, and the certified gap."""

    policy: FloatArray
    gap: Bounds


@overload
def minimax_winner(
    preferences: Preferences | ArrayLike, *, arithmetic: Literal["float"] = "float"
) -> MinimaxWinner: ...


@overload
def minimax_winner(
    preferences: Preferences | ArrayLike, *, arithmetic: Literal["rational"]
) -> FractionArray: ...


def minimax_winner(
    preferences: Preferences | ArrayLike, *, arithmetic: str = "float"
) -> MinimaxWinner | FractionArray:
    """Return a minimax winner with its certified gap, or an exact one (K,) of Fractions.

    There may be others; exact ones have gap zero for the preferences as stored.
    Raises ValueError for an unknown arithmetic or what is no preference.
    """
    given = as_preferences(preferences)
    if arithmetic == "rational":
        return solve_matrix_game(given.game, arithmetic="rational").strategies[0]
    if arithmetic != "float":
        raise ValueError(f"arithmetic is {arithmetic!r}; expected 'float' or 'rational'")
    # Either side's strategy is a winner, as the game looks alike to both.
    solution = solve_matrix_game(given.game)
    found = [MinimaxWinner(policy, given.gap(policy)) for policy in solution.strategies]
    return min(found, key=lambda winner: float(winner.gap.upper))


def as_preferences(preferences: Preferences | ArrayLike) -> Preferences:
    """Return the argument as Preferences; arrays (K, K) are validated."""
    if isinstance(preferences, Preferences):
        return preferences
    return Preferences(np.asarray(preferences))


def condorcet_winner(preferences: Preferences | ArrayLike) -> int | None:
    """Return the response that is preferred to every other one, None if there is none."""
    matrix = as_preferences(preferences).matrix
    beats = (matrix > 0).sum(axis=1) == len(matrix) - 1
    return int(np.argmax(beats)) if beats.any() else None


def borda_scores(preferences: Preferences | ArrayLike) -> FractionArray:
    """Return the mean preference over all responses (K,), as Fractions so that ties show."""
    matrix = to_fractions(as_preferences(preferences).matrix)
    return np.asarray(matrix.sum(axis=1) / len(matrix))


def copeland_scores(preferences: Preferences | ArrayLike) -> Any:
    """Return how many responses each one beats less how many beat it, (K,) integers."""
    return np.sign(as_preferences(preferences).matrix).sum(axis=1).astype(np.int64)


@dataclass(frozen=True, eq=False)
class SelfPlay:
    """The outcome of one learner that plays against itself.

    average, last: policies (K,), the uniform mixture of what was played and the last of it.
    gap, last_gap: certified duality gaps of these two.
    regret: of the learner over the run, by one response in hindsight; `gap` is 2 regret / T.
    trajectory: strategies on the way where asked for, both players alike; its exploitabilities are
        half the gaps.
    """

    average: FloatArray
    last: FloatArray
    gap: Bounds
    last_gap: Bounds
    regret: float
    iterations: int
    trajectory: Trajectory | None


def self_play(
    preferences: Preferences | ArrayLike,
    dynamics: Dynamics | str = "hedge",
    *,
    iterations: int = 1000,
    start: ArrayLike | None = None,
    every: int | None = None,
) -> SelfPlay:
    """Let one learning rule play against itself for T iterations; return a SelfPlay.

    The reward of a response is its mean preference over what the policy itself plays. Such rewards
    of the policy are zero, so that the average's gap is exactly 2 regret / T; for hedge with step
    sqrt(2 log K / T) that is at most 2 sqrt(2 log K / T). dynamics: a rule of
    `games.normal_form.dynamics`; start: the first policy, uniform if None; every: iterations
    between points of the trajectory. Raises ValueError naming the argument that does not fit.
    """
    given = as_preferences(preferences)
    check_positive_integer(iterations, "iterations")
    first = None if start is None else given.check_policy(start, "start")
    profile = None if first is None else (first, first)
    # Both players of the symmetric game see the same payoffs and stay alike.
    result = learn(given.game, dynamics, iterations=iterations, start=profile, every=every)
    return SelfPlay(
        result.average[0],
        result.last[0],
        given.gap(result.average[0]),
        given.gap(result.last[0]),
        float(result.regrets[0]),
        iterations,
        result.trajectory,
    )


def cyclic(responses: int, *, strength: float = 1.0) -> Preferences:
    """Return a cycle of an odd number of responses: each beats the half that follows it.

    Nobody wins against all, scores tie, and uniform play is a minimax winner.
    Raises ValueError for an even number or a strength outside [0, 1].
    """
    count = check_positive_integer(responses, "responses")
    if count % 2 == 0:
        raise ValueError(f"responses is {responses}; expected an odd number")
    if not 0 <= strength <= 1:
        raise ValueError(f"strength is {strength}; expected a number in [0, 1]")
    ahead = (np.arange(count)[None] - np.arange(count)[:, None]) % count
    matrix = np.where(ahead == 0, 0.0, np.where(ahead <= count // 2, strength, -strength))
    return Preferences(matrix)


def borda_trap(weak: int = 3, margin: float = 0.5) -> Preferences:
    """Return preferences whose Borda winner loses to the Condorcet winner by `margin`.

    Response 0 beats all others, but the `weak` last ones only by a quarter of the margin; response
    1 loses to 0 and crushes the weak ones, which is what a mean over opponents rewards: with three
    weak ones or more it is the Borda winner at any margin.
    """
    count = check_positive_integer(weak, "weak") + 2
    if not 0 < margin <= 1:
        raise ValueError(f"margin is {margin}; expected a number in (0, 1]")
    matrix = np.zeros((count, count))
    matrix[0, 1], matrix[0, 2:], matrix[1, 2:] = margin, margin / 4, 1.0
    return Preferences(matrix - matrix.T)
