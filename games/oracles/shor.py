"""SHOR-PSRO's meta-solver: optimistic regret matching+ blended with a soft best response.

Players move in turn. Each forms gains over the mean of its actions, extrapolates them (momentum),
adds a bonus for actions that it neglects (diversity), accumulates them as regret matching+ does,
and mixes the outcome with a softmax of its payoffs. In training the mixture sharpens with the
PSRO iteration and the average is returned; evaluation is sharp and returns the last strategies.
Source: Li, Schultz, Hennes and Lanctot (2026), arXiv 2602.16928v1, listing of SHOR-PSRO.

The listing subtracts the plain mean of the payoffs, not what the current strategy earns, so that
what it accumulates is not regret. `baseline="strategy"` subtracts the latter: with blend, momentum
and diversity 0 and without normalisation the solver then is regret matching+ with alternating
updates and uniform averaging, which it is not with `baseline="mean"`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import check_positive_integer, check_range
from rltheory.games.normal_form.matrix_game import MatrixGame, Profile
from rltheory.games.normal_form.payoff_kernels import flatten, pack, unflatten
from rltheory.games.oracles.shor_kernels import Inner, shor_on_tensor

Baseline = Literal["mean", "strategy"]
Output = Literal["average", "last"]


@dataclass(frozen=True)
class Shor:
    """SHOR with its schedules; call it with payoffs and the PSRO iteration.

    iterations: (first, growth, last): the inner iterations for n policies (the most that a player
        has) are first + growth * (n - 1), clipped to [first, last].
    blend, temperature, diversity: (start, end), linear in min(1, psro_iteration / annealing).
    momentum: weight of the extrapolation of gains.
    output: whether the average or the last strategies are returned.
    normalise: whether gains are divided by the largest of their absolute values.
    baseline: what gains are measured from, the "mean" of the payoffs as in the paper's listing or
        what the current "strategy" earns.

    Raises ValueError naming the setting that does not fit.
    """

    iterations: tuple[int, int, int] = (1000, 20, 5000)
    blend: tuple[float, float] = (0.3, 0.05)
    temperature: tuple[float, float] = (0.5, 0.01)
    diversity: tuple[float, float] = (0.05, 0.001)
    momentum: float = 0.5
    annealing: int = 75
    output: Output = "average"
    normalise: bool = True
    baseline: Baseline = "mean"

    def __post_init__(self) -> None:
        first, growth, last = self.iterations
        check_positive_integer(first, "iterations[0]")
        check_range(growth, "iterations[1]", 0, np.inf)
        check_range(last, "iterations[2]", first, np.inf)
        check_positive_integer(self.annealing, "annealing")
        for end in range(2):
            check_range(self.blend[end], f"blend[{end}]", 0.0, 1.0)
            check_range(self.temperature[end], f"temperature[{end}]", 1e-12, np.inf)
            check_range(self.diversity[end], f"diversity[{end}]", 0.0, np.inf)
        check_range(self.momentum, "momentum", 0.0, np.inf)
        if self.output not in ("average", "last"):
            raise ValueError(f"output is {self.output!r}; expected 'average' or 'last'")
        if self.baseline not in ("mean", "strategy"):
            raise ValueError(f"baseline is {self.baseline!r}; expected 'mean' or 'strategy'")

    @staticmethod
    def training() -> "Shor":
        """Return the solver that chooses what best responses are trained against."""
        return Shor()

    @staticmethod
    def evaluation() -> "Shor":
        """Return the solver whose strategies are reported."""
        return Shor(
            iterations=(8000, 50, 15000),
            blend=(0.01, 0.01),
            temperature=(0.001, 0.001),
            diversity=(0.0, 0.0),
            momentum=0.2,
            output="last",
        )

    def settings_at(self, policies: int, iteration: int) -> tuple[int, float, float, float]:
        """Return inner iterations, blend, temperature and diversity at a PSRO iteration."""
        first, growth, last = self.iterations
        progress = min(1.0, iteration / self.annealing)
        blend, temperature, diversity = (
            start + (end - start) * progress
            for start, end in (self.blend, self.temperature, self.diversity)
        )
        return min(max(first + growth * (policies - 1), first), last), blend, temperature, diversity

    def inner_at(self, policies: int, iteration: int) -> Inner:
        """Return what `shor_kernels` take at a PSRO iteration."""
        iterations, blend, temperature, diversity = self.settings_at(policies, iteration)
        return Inner(
            check_positive_integer(iterations, "iterations"),
            float(blend),
            1.0 / temperature,
            float(self.momentum),
            float(diversity),
            self.normalise,
            self.baseline == "mean",
        )

    def __call__(self, payoffs: ArrayLike, iteration: int = 1) -> Profile:
        """Return one mixed strategy per player.

        payoffs: (players, k_1, ..., k_n); iteration: of PSRO, from 1.
        """
        game = MatrixGame(np.asarray(payoffs))
        check_positive_integer(iteration, "iteration")
        average, last = _solve(game, self.inner_at(max(game.actions), iteration))
        return average if self.output == "average" else last


def solve_shor(
    game: MatrixGame,
    iterations: int,
    *,
    blend: float,
    temperature: float,
    momentum: float,
    diversity: float,
    normalise: bool = True,
    baseline: Baseline = "mean",
) -> tuple[Profile, Profile]:
    """Run SHOR's inner solver with fixed settings; return average and last strategies.

    The average is over the strategies after each of the `iterations` updates.
    """
    iterations = check_positive_integer(iterations, "iterations")
    check_range(temperature, "temperature", 1e-12, np.inf)
    return _solve(
        game,
        Inner(
            iterations,
            float(blend),
            1.0 / temperature,
            float(momentum),
            float(diversity),
            normalise,
            baseline == "mean",
        ),
    )


def _solve(game: MatrixGame, inner: Inner) -> tuple[Profile, Profile]:
    payoffs, actions = pack(game.payoffs)
    strategies = flatten(game.uniform)
    average = shor_on_tensor(payoffs, actions, np.ones(len(strategies)), inner, strategies)
    return unflatten(average, actions), unflatten(strategies, actions)
