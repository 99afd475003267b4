"""First-order methods on the sequence form of two-player zero-sum games, with last iterates.

The strategies of both players are plans over sequences, payoffs are bilinear in them, and a step of
mirror descent with the dilated entropy has a closed form, a softmax at each information set from
the last to the first. With weight one at every set this entropy is as good as any up to logarithms
(Fan, Kroer and Farina, 2024), and its mirror descent plays what multiplicative weights on the
normal form would. Three methods use it:

  mirror_prox                 the gradient of a point ahead; averages close in on Nash like 1/T
                              (Nemirovski, 2004)
  optimistic_mirror_descent   expects the last gradient again; last iterates converge, for small
                              steps (Lee, Kroer and Luo, 2021)
  magnetic_mirror_descent     pulled to a magnet; last iterates go to a quantal response equilibrium
                              linearly, or to Nash as the pull fades (Sokota et al., 2023)

`quantal_residual` says how far a profile is from the equilibrium of the pulled game.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import (
    FloatArray,
    IntArray,
    as_float_array,
    check_finite,
    check_positive_integer,
    check_range,
    read_only,
)
from rltheory.analysis.checkpoints import checkpoint_iterations
from rltheory.games import kernels
from rltheory.games.baselines.first_order_kernels import (
    magnetic_steps,
    mirror_prox_steps,
    optimistic_steps,
    quantal_responses,
)
from rltheory.games.best_response import exploitability
from rltheory.games.forms.extensive import ExtensiveGame

# What steps and temperatures may be, and the exponents by which they fall.
_SCALES, _DECAYS = (1e-12, 1e12), (0.0, 2.0)


@dataclass(frozen=True, eq=False)
class FirstOrderResult:
    """A run of a first-order method.

    average (slots,): the behaviour of the averaged plans. last (slots,): the point that the last
    step led to; for `mirror_prox` the last point ahead. iterations, exploitability,
    last_exploitability (checkpoints,): of the two, exact up to rounding. residual (checkpoints,):
    the `quantal_residual` of `last` at the temperature of the time, None but for
    `magnetic_mirror_descent`. temperature: the last one, 0 where there is none.
    """

    game: str
    method: str
    average: FloatArray
    last: FloatArray
    iterations: IntArray
    exploitability: FloatArray
    last_exploitability: FloatArray
    residual: FloatArray | None
    temperature: float


def mirror_prox(
    game: ExtensiveGame,
    *,
    iterations: int = 1000,
    step: float = 2.0,
    averaging: float = 0.0,
    start: ArrayLike | None = None,
    checkpoints: int | Sequence[int] = 50,
) -> FirstOrderResult:
    """Run mirror prox: two gradients an iteration, the second at a point ahead.

    step: what payoffs are multiplied by. The guarantee asks for at most 1 / L, L the Lipschitz
    constant of the payoffs in the entropy's norm; larger steps often are better, and the
    exploitability shows it when they are too large. averaging: the point ahead of iteration t has
    weight t ** averaging, averaging at most 16. start: the first profile, uniform if None.
    checkpoints: as in `cfr`.

    Raises ValueError unless the game is two-player zero-sum and the start has no zero.
    Source: Nemirovski (2004), with the dilated entropy of Hoda et al. (2010).
    """
    run = _Run(game, iterations, checkpoints, start, step, averaging)

    def advance(begin: int, end: int) -> None:
        mirror_prox_steps(game.compiled, *run.arrays(begin, end), run.inner)

    return run.result("mirror_prox", advance)


def optimistic_mirror_descent(
    game: ExtensiveGame,
    *,
    iterations: int = 1000,
    step: float = 2.0,
    averaging: float = 0.0,
    start: ArrayLike | None = None,
    checkpoints: int | Sequence[int] = 50,
) -> FirstOrderResult:
    """Run optimistic mirror descent, both players at once, one gradient an iteration.

    step, averaging, start, checkpoints: as in `mirror_prox`. Last iterates converge for steps
    small enough; too large ones may circle, which `last_exploitability` shows.

    Raises ValueError unless the game is two-player zero-sum and the start has no zero.
    Source: Lee, Kroer and Luo (2021), DOMWU.
    """
    run = _Run(game, iterations, checkpoints, start, step, averaging)
    ahead = np.empty_like(run.worth)

    def advance(begin: int, end: int) -> None:
        optimistic_steps(game.compiled, *run.arrays(begin, end), run.inner, ahead)

    return run.result("optimistic_mirror_descent", advance)


def magnetic_mirror_descent(
    game: ExtensiveGame,
    *,
    iterations: int = 1000,
    step: float = 1.0,
    temperature: float = 0.1,
    slowing: float = 0.0,
    cooling: float = 0.0,
    refresh: int = 0,
    magnet: ArrayLike | None = None,
    averaging: float = 0.0,
    start: ArrayLike | None = None,
    checkpoints: int | Sequence[int] = 50,
) -> FirstOrderResult:
    """Run magnetic mirror descent in the dilated form, both players at once.

    Each payoff is regularised by -temperature times the dilated divergence from the magnet. With
    all fixed the last iterate goes to the equilibrium of that game, linearly for
    step <= temperature / L^2, L the payoffs' Lipschitz constant: the logit quantal response
    equilibrium over counterfactual values that `quantal_residual` measures.
    magnet (slots,): positive weights, uniform strategies if None. Weights of a set need not sum to
    1: with all of them one, what is subtracted is the plain dilated entropy, and the equilibrium is
    the logit quantal response equilibrium of the reduced normal form (Ling, Fang and Kolter, 2018).
    To reach Nash, iteration t = 1, 2, ... has step * t ** -slowing and
    temperature * t ** -cooling; or the magnet moves to the play after every `refresh` iterations.

    Raises ValueError unless the game is two-player zero-sum, and the start and the magnet's weights
    are positive. Source: Sokota et al. (2023), section 3, on plans.
    """
    run = _Run(game, iterations, checkpoints, start, step, averaging, slowing)
    check_range(temperature, "temperature", *_SCALES)
    check_range(cooling, "cooling", *_DECAYS)
    every = 0 if refresh == 0 else check_positive_integer(refresh, "refresh")
    temperatures = _powers(run.total, temperature, cooling)
    pull_to = _log_magnet(game, magnet)

    def advance(begin: int, end: int) -> None:
        magnetic_steps(
            game.compiled, *run.arrays(begin, end), temperatures[begin:end], pull_to, begin, every
        )

    def residual(done: int) -> float:
        return _residual(game, run.last, float(temperatures[done - 1]), pull_to)

    return run.result("magnetic_mirror_descent", advance, residual, float(temperatures[-1]))


def quantal_residual(
    game: ExtensiveGame,
    strategies: ArrayLike,
    *,
    temperature: float,
    magnet: ArrayLike | None = None,
) -> float:
    """Return how far a profile (slots,) is from answering itself in the regularised game.

    The largest difference, over all actions, between the profile and the strategies
    b(a) ~ magnet(a) exp(v(a) / temperature), v the counterfactual value of a when its player goes
    on with b and pays temperature times the divergence from the magnet. It is 0 exactly at the
    quantal response equilibrium; with one set for each player, v are plain payoffs. magnet: as in
    `magnetic_mirror_descent`.

    Raises ValueError unless `strategies` is a profile, and the temperature and the magnet's weights
    are positive. Source: Sokota et al. (2023), section 2; Ling, Fang and Kolter (2018), Theorem 1.
    """
    profile = game.check_strategies(strategies)
    check_range(temperature, "temperature", *_SCALES)
    return _residual(game, profile, temperature, _log_magnet(game, magnet))


class _Run:
    """What all methods have: checked arguments, checkpoints, and the arrays that a run works on."""

    def __init__(
        self,
        game: ExtensiveGame,
        iterations: int,
        checkpoints: int | Sequence[int],
        start: ArrayLike | None,
        step: float,
        averaging: float,
        slowing: float = 0.0,
    ) -> None:
        if game.players != 2 or not game.zero_sum:
            raise ValueError(
                f"game {game.name!r} has {game.players} players and is "
                f"{'zero-sum' if game.zero_sum else 'not zero-sum'}; "
                "expected a two-player zero-sum game"
            )
        self.game = game
        self.total = check_positive_integer(iterations, "iterations")
        self.marks = checkpoint_iterations(checkpoints, self.total)
        check_range(step, "step", *_SCALES)
        check_range(slowing, "slowing", *_DECAYS)
        # The largest iteration, 2 ** 53, to the power of 16 still is a float.
        check_range(averaging, "averaging", 0.0, 16.0)
        self.steps = _powers(self.total, step, slowing)
        self.weights = _powers(self.total, 1.0, -averaging)
        self.last = _interior(game, start, "start")
        self.logs = np.log(self.last)
        self.inner = np.empty(game.slots)
        self.plan = np.zeros(game.slots)
        self.reach, self.worth = np.ones((2, game.slots + game.players))

    def arrays(self, begin: int, end: int) -> tuple[FloatArray, ...]:
        """Return what the kernels of all methods take for these iterations."""
        during = self.steps[begin:end], self.weights[begin:end]
        return (*during, self.logs, self.plan, self.last, self.reach, self.worth)

    def result(
        self,
        method: str,
        advance: Callable[[int, int], None],
        residual: Callable[[int], float] | None = None,
        temperature: float = 0.0,
    ) -> FirstOrderResult:
        """Advance from checkpoint to checkpoint and measure at each."""
        done, measured, residuals = 0, [], []
        average = np.empty(self.game.slots)
        for mark in self.marks:
            advance(done, mark)
            done = mark
            kernels.normalise(self.game.compiled, self.plan, average)
            measured.append([exploitability(self.game, p) for p in (average, self.last)])
            if residual is not None:
                residuals.append(residual(mark))
        of_average, of_last = np.array(measured).T
        return FirstOrderResult(
            game=self.game.name,
            method=method,
            average=read_only(average),
            last=read_only(self.last),
            iterations=read_only(np.array(self.marks)),
            exploitability=read_only(of_average.copy()),
            last_exploitability=read_only(of_last.copy()),
            residual=None if residual is None else read_only(np.array(residuals)),
            temperature=temperature,
        )


def _powers(count: int, first: float, decay: float) -> FloatArray:
    """first * t ** -decay for t = 1, ..., count."""
    powers: FloatArray = first * np.arange(1.0, count + 1) ** -decay
    return powers


def _interior(game: ExtensiveGame, strategies: ArrayLike | None, name: str) -> FloatArray:
    """A profile in which every action has a chance; uniform if None."""
    if strategies is None:
        return game.uniform()
    profile = game.check_strategies(strategies, name)
    if len(profile) and profile.min() <= 0:
        raise ValueError(f"{name} has a zero; probabilities are multiplied, so expected none")
    return profile


def _log_magnet(game: ExtensiveGame, magnet: ArrayLike | None) -> FloatArray:
    weights = game.uniform() if magnet is None else as_float_array(magnet, "magnet", (game.slots,))
    check_finite(weights, "magnet")
    if len(weights) and weights.min() <= 0:
        raise ValueError(
            f"magnet[{weights.argmin()}] is {weights.min()}; expected positive weights"
        )
    logs: FloatArray = np.log(weights)
    return logs


def _residual(
    game: ExtensiveGame, profile: FloatArray, temperature: float, magnet: FloatArray
) -> float:
    reach, worth = np.ones((2, game.slots + game.players))
    logs, response = np.empty((2, game.slots))
    quantal_responses(
        game.compiled, float(temperature), magnet, profile, reach, worth, logs, response
    )
    return float(np.abs(response - profile).max(initial=0.0))
