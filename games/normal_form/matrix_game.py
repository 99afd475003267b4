"""Games in normal form: one payoff tensor per player, and how far a profile is from equilibrium.

A profile of mixed strategies is judged by its NashConv, the sum over players of what the best
deviation gains; divided by the number of players it is the exploitability. Both are computed with
a bound on their rounding. Source: Lanctot et al. (2017), section 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rltheory.analysis.arrays import (
    FloatArray,
    as_float_array,
    check_distributions,
    check_finite,
    check_magnitude,
    read_only,
)
from rltheory.analysis.bounds import Bounds, down, rounding_error, up

Profile = tuple[FloatArray, ...]
"""One mixed strategy (A_i,) per player."""


@dataclass(frozen=True, eq=False, repr=False)
class MatrixGame:
    """A finite game of n players in normal form.

    payoffs: (players, A_1, ..., A_n), payoffs[i, a_1, ..., a_n] what player i gets; read-only.
    Raises ValueError without players or without actions, on a number of axes that does not fit
    the number of players, or on entries that are not finite.
    """

    payoffs: FloatArray

    def __post_init__(self) -> None:
        payoffs = as_float_array(self.payoffs, "payoffs")
        players = payoffs.shape[0] if payoffs.ndim else 0
        if players == 0:
            raise ValueError("payoffs has zero players; expected at least one")
        if payoffs.ndim != players + 1:
            raise ValueError(
                f"payoffs has shape {payoffs.shape}; expected (players, A_1, ..., A_n), which for "
                f"{players} players has {players + 1} axes (MatrixGame.zero_sum takes one matrix)"
            )
        if payoffs.size == 0:
            raise ValueError(
                f"payoffs has shape {payoffs.shape}; every player needs at least one action"
            )
        check_finite(payoffs, "payoffs")
        check_magnitude(float(np.abs(payoffs).max()), "payoffs has entries")
        object.__setattr__(self, "payoffs", read_only(payoffs))

    @staticmethod
    def zero_sum(matrix: ArrayLike) -> "MatrixGame":
        """Return the game in which the row player gets matrix[a, b] and the column player loses it.

        matrix: (A, B).
        """
        rows = as_float_array(matrix, "matrix", (None, None))
        return MatrixGame(np.stack([rows, -rows]))

    @staticmethod
    def bimatrix(row_payoffs: ArrayLike, column_payoffs: ArrayLike) -> "MatrixGame":
        """Return the game of two players with the given payoffs, both (A, B)."""
        rows = as_float_array(row_payoffs, "row_payoffs", (None, None))
        return MatrixGame(
            np.stack([rows, as_float_array(column_payoffs, "column_payoffs", rows.shape)])
        )

    @property
    def players(self) -> int:
        """Number of players n."""
        return int(self.payoffs.shape[0])

    @property
    def actions(self) -> tuple[int, ...]:
        """Number of actions of each player."""
        return tuple(int(count) for count in self.payoffs.shape[1:])

    @property
    def is_zero_sum(self) -> bool:
        """Whether there are two players whose payoffs are exactly opposite."""
        return self.players == 2 and bool(np.array_equal(self.payoffs[0], -self.payoffs[1]))

    @property
    def uniform(self) -> Profile:
        """The profile in which everybody plays every action equally often."""
        return tuple(np.full(count, 1.0 / count) for count in self.actions)

    def check_profile(self, strategies: Sequence[ArrayLike], name: str = "strategies") -> Profile:
        """Return a profile as float arrays; raise ValueError naming the strategy that is none."""
        if len(strategies) != self.players:
            raise ValueError(
                f"{name} has {len(strategies)} strategies; expected one for each of "
                f"{self.players} players"
            )
        profile = []
        for i, strategy in enumerate(strategies):
            array = as_float_array(strategy, f"{name}[{i}]", (self.actions[i],))
            check_distributions(array, f"{name}[{i}]")
            profile.append(array)
        return tuple(profile)

    def deviation_payoffs(self, strategies: Sequence[ArrayLike]) -> Profile:
        """Return for each player what every pure action earns against the others, (A_i,) each."""
        return tuple(deviation_payoffs(self.payoffs, self.check_profile(strategies)))

    def expected_payoffs(self, strategies: Sequence[ArrayLike]) -> FloatArray:
        """Return what each player earns when all follow the profile, (players,)."""
        profile = self.check_profile(strategies)
        gains = deviation_payoffs(self.payoffs, profile)
        return np.array([g @ s for g, s in zip(gains, profile, strict=True)])

    def nash_conv(self, strategies: Sequence[ArrayLike]) -> float:
        """Return the sum over players of best-response payoff minus own payoff; 0 iff Nash."""
        profile = self.check_profile(strategies)
        return max(0.0, _nash_conv(self.payoffs, profile))

    def nash_conv_bounds(self, strategies: Sequence[ArrayLike]) -> Bounds:
        """Return certified bounds of the NashConv of the profile, each strategy over its sum."""
        profile = self.check_profile(strategies)
        error = 2 * self.players * self.payoff_error(profile)
        convergence = _nash_conv(self.payoffs, profile)
        # The sum of 2n payoffs is itself rounded.
        size = 4 * self.players * float(np.abs(self.payoffs).max())
        error += rounding_error(2 * self.players, size)
        return Bounds(
            np.maximum(down(convergence - error), 0.0),
            np.maximum(up(convergence + error), 0.0),
        )

    def payoff_error(self, profile: Profile) -> float:
        """Bound the error of computed payoffs against those of the profile divided by its sums."""
        largest = float(np.abs(self.payoffs).max())
        total, drift = 1.0, 0.0
        for strategy in profile:
            total *= float(strategy.sum())
            drift += abs(float(strategy.sum()) - 1.0) + rounding_error(len(strategy), 2.0)
        # Sums within `drift` of 1 put their product within 2 drift of 1, as drift < 1 / 4 here.
        return rounding_error(sum(self.actions) + self.players, 2 * largest * total) + (
            4 * drift * largest
        )

    def exploitability(self, strategies: Sequence[ArrayLike]) -> float:
        """Return the NashConv divided by the number of players."""
        return self.nash_conv(strategies) / self.players

    def __repr__(self) -> str:
        kind = "zero-sum " if self.is_zero_sum else ""
        return f"MatrixGame({kind}players={self.players}, actions={self.actions})"


def deviation_payoffs(payoffs: NDArray[Any], profile: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Return each player's payoffs of pure actions, unchecked; Fractions work as well as floats."""
    gains = []
    for i in range(len(profile)):
        tensor = payoffs[i]
        # From the last axis down, so that the axes before keep their places.
        for j in range(len(profile) - 1, -1, -1):
            if j != i:
                tensor = np.moveaxis(tensor, j, -1) @ profile[j]
        gains.append(np.asarray(tensor))
    return gains


def _nash_conv(payoffs: FloatArray, profile: Profile) -> float:
    gains = deviation_payoffs(payoffs, profile)
    return float(sum(g.max() - g @ s for g, s in zip(gains, profile, strict=True)))
