"""GOLF, NORA, DOUHUA and their rivals without optimism, on finite classes by enumeration.

GOLF renews an optimistic critic before every episode and is greedy on it. NORA keeps its critic
until the data contradict it, and moves the policy by exponential weights, from uniform at each
renewal. DOUHUA evaluates the policy itself and never resets. NOAH and the hybrid Q-learning
baseline fit a critic without optimism and need data that cover. Sources: Jin, Liu and Miryoosefi
(2021), Algorithm 1; Tan, Fan and Wei (2025) for NORA, DOUHUA and NOAH, reconstructed from public
descriptions; Song, Zhou, Sekhari, Bagnell, Krishnamurthy and Sun (2023) for Hy-Q.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import (
    FloatArray,
    as_float_array,
    as_generator,
    check_finite,
    check_positive_integer,
    check_range,
    read_only,
)
from rltheory.linear_mdp.function_classes import loop
from rltheory.linear_mdp.function_classes.confidence import as_layers, theory_radii
from rltheory.linear_mdp.function_classes.finite import FiniteClass, check_class
from rltheory.tabular.finite_horizon import backward_induction
from rltheory.tabular.mdp import EpisodicMDP


@dataclass(frozen=True, eq=False)
class FiniteRun:
    """A run of an algorithm on a finite class.

    suboptimality (T,): exact values lost by the policies played, up to rounding; renewed (T,):
    before which episodes the critic was renewed, the first included; kept (T,): whether the member
    `truth`, the nearest to Q*, was in the confidence set then (None where targets are a policy's);
    distance: how far that member is from Q*; visits (H, S, A, S) and paid (H, S, A): all data.
    """

    algorithm: str
    suboptimality: FloatArray
    renewed: Any
    kept: Any
    truth: int
    distance: float
    visits: FloatArray
    paid: FloatArray

    @property
    def regret(self) -> FloatArray:
        """The sums of what was lost, (T,)."""
        return np.asarray(np.cumsum(self.suboptimality))

    @property
    def switches(self) -> int:
        """How often the critic was renewed after the first time."""
        return int(np.sum(self.renewed)) - 1


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    """What sets an algorithm apart; fields as in `loop.Rule`."""

    name: str
    on_policy: bool = False
    optimistic: bool = True
    always: bool = True
    greedy: bool = False
    reset: bool = False


ALGORITHMS = {
    "golf": Algorithm(name="GOLF", greedy=True),
    "nora": Algorithm(name="NORA", always=False, reset=True),
    "nora-no-reset": Algorithm(name="NORA without resets", always=False),
    "douhua": Algorithm(name="DOUHUA", on_policy=True),
    "noah": Algorithm(name="NOAH", optimistic=False, always=False, reset=True),
    "noah-policy": Algorithm(name="NOAH for the policy", optimistic=False, on_policy=True),
    "hy-q": Algorithm(name="Hy-Q", optimistic=False, greedy=True),
}
"""The family by name."""


def run_finite(
    mdp: EpisodicMDP,
    functions: FiniteClass,
    algorithm: str | Algorithm = "nora",
    *,
    episodes: int,
    seed: int | np.random.Generator,
    delta: float = 0.05,
    radius: float = 1.0,
    threshold: float = 5.0,
    step: float | None = None,
    visits: ArrayLike | None = None,
    paid: ArrayLike | None = None,
) -> FiniteRun:
    """Run an algorithm of `ALGORITHMS`, or one's own, for T episodes; rewards are their means.

    delta, radius: the confidence set has `radius` times `theory_radii(functions, delta)`, the
    theory's at 1. threshold: the critic is renewed when its excess loss passes this times the
    radii. step: of the exponential weights, in 1 / reward; by default (8 log A / T)^(1/2) over the
    horizon times the largest reward, Hedge's for one epoch. visits (H, S, A, S), paid (H, S, A):
    offline data that come first. O(H n_h n_{h+1} S A) for a renewal, O(H S A (S + n_h)) else.
    Raises ValueError or TypeError naming what does not fit.
    """
    check_class(mdp, functions)
    chosen = _algorithm(algorithm)
    count = check_positive_integer(episodes, "episodes")
    scale = check_range(radius, "radius", 0.0, np.inf, include_high=False)
    times = check_range(threshold, "threshold", 1.0, np.inf, include_high=False)
    # Rewards that do not differ leave no noise in the last step, only rounding.
    span = float(np.ptp(mdp.rewards)) or 1.0
    radii = scale * theory_radii(functions, delta, reward_span=span)
    solution = backward_induction(mdp)
    truth, distance = functions.nearest(mdp)
    shape = mdp.rewards.shape
    # A copy each: the loop adds to them.
    data = np.zeros((*shape, mdp.states)) if visits is None else np.array(
        as_float_array(visits, "visits", (*shape, mdp.states))
    )  # fmt: skip
    sums = np.zeros(shape) if paid is None else np.array(as_float_array(paid, "paid", shape))
    if (visits is None) != (paid is None):
        raise ValueError("one of visits and paid is given; expected both or none")
    check_finite(data, "visits")
    check_finite(sums, "paid")
    if data.min() < 0:
        raise ValueError(f"visits holds {data.min()}; expected numbers of at least 0")
    rule = loop.Rule(
        on_policy=chosen.on_policy,
        optimistic=chosen.optimistic,
        always=chosen.always,
        greedy=chosen.greedy,
        reset=chosen.reset,
        step=_step(step, mdp, count),
        radii=radii,
        threshold=times * radii,
    )
    model = loop.Model(
        transitions=np.ascontiguousarray(mdp.transitions),
        cumulative=np.cumsum(mdp.transitions, axis=-1),
        rewards=np.ascontiguousarray(mdp.rewards),
        initial=np.ascontiguousarray(mdp.initial),
        starts=np.cumsum(mdp.initial),
        optimum=float(mdp.initial @ solution.values[0]),
    )
    trace = loop.Trace(np.empty(count), np.empty(count, dtype=bool), np.empty(count, dtype=bool))
    draws = as_generator(seed).random((count, 1 + 2 * mdp.horizon))
    loop.run(model, as_layers(functions), rule, truth, data, sums, np.zeros(shape), draws, trace)
    return FiniteRun(
        algorithm=chosen.name,
        suboptimality=read_only(trace.lost),
        renewed=read_only(trace.renewed),
        kept=None if chosen.on_policy else read_only(trace.kept),
        truth=truth,
        distance=distance,
        visits=read_only(data),
        paid=read_only(sums),
    )


def golf(mdp: EpisodicMDP, functions: FiniteClass, **run: Any) -> FiniteRun:
    """Run GOLF; keywords as in `run_finite`. Source: Jin, Liu, Miryoosefi (2021), Algorithm 1."""
    return run_finite(mdp, functions, "golf", **run)


def nora(mdp: EpisodicMDP, functions: FiniteClass, **run: Any) -> FiniteRun:
    """Run NORA; keywords as in `run_finite`. Source: Tan, Fan and Wei (2025), reconstructed."""
    return run_finite(mdp, functions, "nora", **run)


def douhua(mdp: EpisodicMDP, functions: FiniteClass, **run: Any) -> FiniteRun:
    """Run DOUHUA; keywords as in `run_finite`. Source: Tan, Fan and Wei (2025), reconstructed.

    A finite class is hardly ever complete for the operators of all policies that come up: see
    `completeness` with a policy for by how much it is not.
    """
    return run_finite(mdp, functions, "douhua", **run)


def _algorithm(algorithm: Any) -> Algorithm:
    if isinstance(algorithm, Algorithm):
        return algorithm
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise ValueError(f"algorithm is {algorithm!r:.80}; expected one of {', '.join(ALGORITHMS)}")
    return ALGORITHMS[algorithm]


def _step(step: float | None, mdp: EpisodicMDP, episodes: int) -> float:
    if step is not None:
        return check_range(step, "step", 0.0, np.inf, include_high=False)
    largest = mdp.horizon * max(float(np.abs(mdp.rewards).max()), 1e-12)
    return float(np.sqrt(8.0 * np.log(max(mdp.actions, 2)) / episodes) / largest)
