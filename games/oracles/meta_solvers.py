"""Meta-solvers of PSRO: from the payoffs among populations of policies to a mixture over each.

A meta-solver is a record of settings that is called with the payoff tensor (players, k_1, ..., k_n)
and the PSRO iteration (from 1), and returns one mixed strategy per player. Some come in two forms,
one that chooses what best responses are trained against and one whose strategies are reported;
`meta_solver` returns both by name. Source: Lanctot et al. (2017), section 3; Muller et al. (2020).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import check_positive_integer, check_range
from rltheory.games.normal_form.dynamics import (
    optimistic_gradient,
    projected_replicator,
    regret_matching,
)
from rltheory.games.normal_form.learning import learn
from rltheory.games.normal_form.matrix_game import MatrixGame, Profile
from rltheory.games.normal_form.zero_sum import solve_matrix_game
from rltheory.games.oracles.alpha_rank import AlphaRank
from rltheory.games.oracles.shor import Shor


class MetaSolver(Protocol):
    """Anything that mixes populations: call it with payoffs and the PSRO iteration."""

    def __call__(self, payoffs: ArrayLike, iteration: int = 1) -> Profile:
        """Return one mixed strategy (k_i,) per player for payoffs (players, k_1, ..., k_n)."""
        ...


@dataclass(frozen=True)
class Uniform:
    """Mix all policies equally: fictitious play on populations."""

    def __call__(self, payoffs: ArrayLike, iteration: int = 1) -> Profile:
        """Return the uniform profile."""
        return MatrixGame(np.asarray(payoffs)).uniform


@dataclass(frozen=True)
class NashLP:
    """Play a Nash equilibrium of the two-player zero-sum meta-game: double oracle.

    tolerance: how far the two payoffs may sum to, relative to the largest of them: evaluating
    policies rounds, and a sum of 1e-9 moves the equilibrium's exploitability by no more than that.
    """

    tolerance: float = 1e-9

    def __post_init__(self) -> None:
        check_range(self.tolerance, "tolerance", 0.0, 1.0)

    def __call__(self, payoffs: ArrayLike, iteration: int = 1) -> Profile:
        """Return maximin strategies; raise ValueError unless the game is two-player zero-sum."""
        game = MatrixGame(np.asarray(payoffs))
        largest = float(np.abs(game.payoffs).max())
        total = float(np.abs(game.payoffs.sum(axis=0)).max()) if game.players == 2 else np.inf
        if not total <= self.tolerance * largest:
            raise ValueError(
                f"payoffs of {game.players} players sum to {total:g} in absolute value somewhere; "
                "NashLP needs two players with opposite payoffs"
            )
        return solve_matrix_game((game.payoffs[0] - game.payoffs[1]) / 2).strategies


@dataclass(frozen=True)
class ProjectedReplicator:
    """Average of projected replicator dynamics from the uniform profile.

    The defaults cover the time that OpenSpiel's do, step * iterations = 100, in steps ten times as
    long (there 0.001); the floor is the same.
    """

    step: float = 1e-2
    floor: float = 1e-6
    iterations: int = 10_000

    def __post_init__(self) -> None:
        check_range(self.step, "step", 0.0, np.inf)
        check_range(self.floor, "floor", 0.0, 1.0)
        check_positive_integer(self.iterations, "iterations")

    def __call__(self, payoffs: ArrayLike, iteration: int = 1) -> Profile:
        """Return the averages over time."""
        rule = projected_replicator(self.step, self.floor)
        game = MatrixGame(np.asarray(payoffs))
        return learn(game, rule, iterations=self.iterations).average


@dataclass(frozen=True)
class RegretMatching:
    """Average of simultaneous regret matching from the uniform profile."""

    iterations: int = 10_000

    def __post_init__(self) -> None:
        check_positive_integer(self.iterations, "iterations")

    def __call__(self, payoffs: ArrayLike, iteration: int = 1) -> Profile:
        """Return the averages over time."""
        game = MatrixGame(np.asarray(payoffs))
        return learn(game, regret_matching(), iterations=self.iterations).average


@dataclass(frozen=True)
class ProjectionMatching:
    """Our own reconstruction of PM-PSRO's solver, whose text we have not seen.

    Optimistic projected gradient ascent on the simplex: strategies are matched to payoffs by
    projection, no regrets are kept. `step` is divided by the largest payoff difference of the
    player's tensors over all players; `last` chooses the last strategies over the average.
    Nothing here is meant to reproduce the published PM-PSRO number by number.
    """

    step: float = 0.1
    iterations: int = 5000
    last: bool = False

    def __post_init__(self) -> None:
        check_range(self.step, "step", 0.0, np.inf)
        check_positive_integer(self.iterations, "iterations")

    def __call__(self, payoffs: ArrayLike, iteration: int = 1) -> Profile:
        """Return the average or the last strategies."""
        game = MatrixGame(np.asarray(payoffs))
        spread = max(float(np.ptp(tensor)) for tensor in game.payoffs)
        rule = optimistic_gradient(self.step / spread if spread > 0 else self.step)
        result = learn(game, rule, iterations=self.iterations)
        return result.last if self.last else result.average


def _both(solver: MetaSolver) -> Callable[[], tuple[MetaSolver, MetaSolver]]:
    return lambda: (solver, solver)


META_SOLVERS: Mapping[str, Callable[[], tuple[MetaSolver, MetaSolver]]] = {
    "uniform": _both(Uniform()),
    "nash": _both(NashLP()),
    "alpha_rank": _both(AlphaRank()),
    "projected_replicator": _both(ProjectedReplicator()),
    "regret_matching": _both(RegretMatching()),
    "shor": lambda: (Shor.training(), Shor.evaluation()),
    "projection_matching": lambda: (ProjectionMatching(), ProjectionMatching(iterations=20_000)),
}
"""The training and the evaluation form of each meta-solver with default settings, by name."""


def meta_solver(name: str | MetaSolver) -> tuple[MetaSolver, MetaSolver]:
    """Return the (training, evaluation) forms of a named meta-solver; an object stands for both.

    Raises ValueError for an unknown name.
    """
    if not isinstance(name, str):
        return name, name
    if name not in META_SOLVERS:
        raise ValueError(f"meta_solver is {name!r}; expected one of {[*META_SOLVERS]}")
    return META_SOLVERS[name]()
