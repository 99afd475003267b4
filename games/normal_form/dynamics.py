"""Learning rules for one player of a matrix game, as records and one compiled update.

A rule turns what the actions earned into the next mixed strategy; `games.learning` runs one rule
for all players. With u the payoffs of the actions, r = u - x.u, [.]+ the positive part:

  regret_matching        R += r,          x ~ [R]+           Hart and Mas-Colell (2000)
  regret_matching_plus   R = [R + r]+,    x ~ R              Tammelin (2014)
  predictive_plus        R = [R + r]+,    x ~ [R + r]+       Farina, Kroer and Sandholm (2021)
  hedge                  x ~ x exp(step u)                   Freund and Schapire (1999)
  optimistic_hedge       the same with 2u - u_last for u     Rakhlin and Sridharan (2013)
  mirror_prox            hedge, with u taken at the point that one such step leads to
                                                             Nemirovski (2004)
  fictitious_play        a best reply to the others' averages        Brown (1951)
  projected_replicator   x += step x (u - x.u), entries at least floor
                                                             Lanctot et al. (2017), section 3.1
  optimistic_gradient    x = P(y + step u), y = P(y + step u)        Popov (1980)
  magnetic_mirror_descent  log x = (log x + step u + step w log magnet) / (1 + step w)
                                                             Sokota et al. (2023), section 3
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numba import njit

from rltheory.analysis.arrays import check_range
from rltheory.games.normal_form.payoff_kernels import (
    positive_part_into,
    project_in_place,
    softmax_into,
)

REGRET, PLUS, PREDICTIVE, HEDGE, OPTIMISTIC, PROX, REPLY, REPLICATOR, GRADIENT, MAGNETIC = range(10)


@dataclass(frozen=True)
class Dynamics:
    """A learning rule with its settings; build one by the functions of this module.

    rule: which update; step: what payoffs are multiplied by; weight: of the pull to the magnet;
    refresh: iterations between moves of the magnet to the current strategy, 0 for a fixed one;
    floor: the least probability of an action.
    """

    name: str
    rule: int
    step: float = 1.0
    weight: float = 0.0
    refresh: int = 0
    floor: float = 0.0

    def __post_init__(self) -> None:
        check_range(self.step, "step", 0.0, np.inf)
        check_range(self.weight, "weight", 0.0, np.inf)
        check_range(self.refresh, "refresh", 0, np.inf)
        check_range(self.floor, "floor", 0.0, 1.0)


def regret_matching() -> Dynamics:
    """Play in proportion to positive regret."""
    return Dynamics("regret_matching", REGRET)


def regret_matching_plus() -> Dynamics:
    """Regret matching on regrets that never fall below zero."""
    return Dynamics("regret_matching_plus", PLUS)


def predictive_regret_matching_plus() -> Dynamics:
    """Regret matching+ that expects the last regrets again."""
    return Dynamics("predictive_regret_matching_plus", PREDICTIVE)


def hedge(step: float = 0.1) -> Dynamics:
    """Multiplicative weights with the given step."""
    return Dynamics("hedge", HEDGE, step=step)


def optimistic_hedge(step: float = 0.1) -> Dynamics:
    """Multiplicative weights that expect the last payoffs again."""
    return Dynamics("optimistic_hedge", OPTIMISTIC, step=step)


def mirror_prox(step: float = 0.1) -> Dynamics:
    """Entropic extragradient: two payoff evaluations per iteration, the played point the inner one.

    The last iterate of `LearningResult` is the inner point too.
    """
    return Dynamics("mirror_prox", PROX, step=step)


def fictitious_play() -> Dynamics:
    """Best reply to the averages of the others, uniform over best actions."""
    return Dynamics("fictitious_play", REPLY)


def projected_replicator(step: float = 1e-3, floor: float = 0.0) -> Dynamics:
    """Euler steps of the replicator equation, projected to probabilities of at least `floor`."""
    return Dynamics("projected_replicator", REPLICATOR, step=step, floor=floor)


def optimistic_gradient(step: float = 0.1) -> Dynamics:
    """Projected gradient ascent that expects the last payoffs again."""
    return Dynamics("optimistic_gradient", GRADIENT, step=step)


def magnetic_mirror_descent(
    step: float = 0.1, weight: float = 0.1, *, refresh: int = 0
) -> Dynamics:
    """Mirror descent pulled to a magnet, at first the starting strategy.

    With a fixed magnet it goes to the regularised equilibrium of that weight (with a uniform one a
    quantal response equilibrium), linearly where step <= weight / (largest payoff)^2 in a zero-sum
    game; moving the magnet every `refresh` iterations lets it go on to Nash.
    """
    return Dynamics("magnetic_mirror_descent", MAGNETIC, step=step, weight=weight, refresh=refresh)


DYNAMICS: Mapping[str, Callable[[], Dynamics]] = {
    rule.__name__: rule
    for rule in (
        regret_matching,
        regret_matching_plus,
        predictive_regret_matching_plus,
        hedge,
        optimistic_hedge,
        mirror_prox,
        fictitious_play,
        projected_replicator,
        optimistic_gradient,
        magnetic_mirror_descent,
    )
}
"""Rules with their default settings, by name."""


def as_dynamics(dynamics: Dynamics | str) -> Dynamics:
    """Return the rule itself, or the one of that name. Raises ValueError for an unknown name."""
    if isinstance(dynamics, Dynamics):
        return dynamics
    if dynamics not in DYNAMICS:
        raise ValueError(f"dynamics is {dynamics!r}; expected a Dynamics or one of {[*DYNAMICS]}")
    return DYNAMICS[dynamics]()


@njit(cache=True, nogil=True)
def prepare(rule, strategy, state):  # type: ignore[no-untyped-def]
    """Write into state what a rule remembers before the first update: logits, a point, or zeros."""
    for a in range(strategy.shape[0]):
        if rule == GRADIENT:
            state[a] = strategy[a]
        elif rule in (HEDGE, OPTIMISTIC, PROX, MAGNETIC):
            state[a] = np.log(strategy[a])
        else:
            state[a] = 0.0


@njit(cache=True, nogil=True)
def advance(rule, step, weight, floor, u, strategy, state, scratch, magnet):  # type: ignore[no-untyped-def]
    """Replace a player's strategy by the next one, given the payoffs u of its actions.

    strategy, state: (A,), updated in place, state as prepared; magnet: (A,) logarithms; scratch:
    (A,).
    """
    n = u.shape[0]
    if rule <= PREDICTIVE or rule == REPLICATOR:
        own = 0.0
        for a in range(n):
            own += strategy[a] * u[a]
    if rule <= PREDICTIVE:
        for a in range(n):
            regret = u[a] - own
            state[a] += regret
            if rule != REGRET:
                state[a] = max(state[a], 0.0)
            scratch[a] = state[a] + regret if rule == PREDICTIVE else state[a]
        positive_part_into(scratch, strategy)
    elif rule in (HEDGE, PROX):
        for a in range(n):
            state[a] += step * u[a]
        softmax_into(state, 1.0, strategy)
    elif rule == OPTIMISTIC:
        for a in range(n):
            state[a] += step * u[a]
            # State sums the payoffs; the expected next ones are the last again.
            scratch[a] = state[a] + step * u[a]
        softmax_into(scratch, 1.0, strategy)
    elif rule == REPLY:
        best = u[0]
        for a in range(1, n):
            best = max(best, u[a])
        ties = 0
        for a in range(n):
            if u[a] == best:
                ties += 1
        for a in range(n):
            strategy[a] = 1.0 / ties if u[a] == best else 0.0
    elif rule == REPLICATOR:
        for a in range(n):
            strategy[a] += step * strategy[a] * (u[a] - own)
        project_in_place(strategy, floor)
    elif rule == GRADIENT:
        for a in range(n):
            state[a] += step * u[a]
        project_in_place(state, 0.0)
        for a in range(n):
            strategy[a] = state[a] + step * u[a]
        project_in_place(strategy, 0.0)
    elif rule == MAGNETIC:
        pull = step * weight
        for a in range(n):
            state[a] = (state[a] + step * u[a] + pull * magnet[a]) / (1.0 + pull)
        softmax_into(state, 1.0, strategy)
