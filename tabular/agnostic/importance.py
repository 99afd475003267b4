"""Importance sampling: episodes with uniform actions, weighted by A^H where a policy agrees.

Unbiased for every policy at once, at a variance that grows as A^H; the baseline that needs nothing
of the class. Source: Kearns, Mansour and Ng (1999), section 5; variance derived here.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import as_generator
from rltheory.analysis.rational import to_fractions
from rltheory.tabular.agnostic.access import Online, Trajectories
from rltheory.tabular.agnostic.class_values import check_fit
from rltheory.tabular.agnostic.guarantees import (
    ClassEstimate,
    bernstein_deviation,
    bernstein_repetitions,
    check_returns,
    number_of,
)
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.agnostic.trees import check_class
from rltheory.tabular.mdp import EpisodicMDP

_ENTRIES = 2**21


def importance_sampling_erm(
    access: Online,
    policies: PolicyClass,
    *,
    episodes: int | None = None,
    accuracy: float | None = None,
    confidence: float = 0.9,
    seed: int | np.random.Generator = 0,
) -> ClassEstimate:
    """Return the values of a class estimated from episodes with uniform actions.

    With `accuracy` eps, as many episodes are run as Bernstein's inequality asks for, of order
    A^H log(P / (1 - confidence)) / eps^2; then the chosen policy is within eps of the best of the
    class with that confidence. seed: of the actions, which are the learner's own.
    Raises ValueError if returns leave [0, 1] or an argument does not fit, TypeError without
    online access.
    """
    if not hasattr(access, "run"):
        raise TypeError(f"access is {type(access).__name__}; expected one that runs episodes")
    check_class(access, policies)
    weight = float(access.actions) ** access.horizon
    size = len(policies)
    count = number_of(
        episodes,
        "episodes",
        accuracy,
        lambda eps: bernstein_repetitions(size, eps, confidence, weight=weight),
    )
    deviation = bernstein_deviation(size, count, confidence, weight=weight)
    generator = as_generator(seed)
    before = access.samples
    part = max(1, _ENTRIES // max(size, access.states * access.horizon))
    total = np.zeros(size)
    for first in range(0, count, part):
        runs = min(part, count - first)
        plans = generator.integers(access.actions, size=(runs, access.horizon, 1))
        played = access.run(np.broadcast_to(plans, (runs, access.horizon, access.states)), runs)
        check_returns(played.returns)
        total += agreement(played, policies) @ played.returns
    values = weight * total / count
    return ClassEstimate(
        values=values,
        best=int(np.argmax(values)),
        repetitions=count,
        samples=access.samples - before,
        deviation=deviation,
        confidence=confidence,
    )


def agreement(played: Trajectories, policies: PolicyClass) -> NDArray[np.bool_]:
    """Return whether each policy would have taken every action of each trajectory, (P, n)."""
    agrees = np.ones((len(policies), len(played.states)), dtype=bool)
    for t in range(played.states.shape[1]):
        agrees &= policies.table[:, played.start + t, played.states[:, t]] == played.actions[:, t]
    return agrees


def importance_variance(
    mdp: EpisodicMDP,
    policies: PolicyClass,
    *,
    rewards: str = "mean",
    arithmetic: str = "float",
) -> NDArray[Any]:
    """Return the exact variances (P,) of one episode's terms, A^H E_pi[G^2] - V^2.

    rewards: "mean" or "bernoulli", as the access pays; arithmetic: "float" or "rational".
    Raises ValueError naming the argument that does not fit.
    """
    check_fit(mdp, policies)
    if rewards not in ("mean", "bernoulli"):
        raise ValueError(f"rewards is {rewards!r}; expected 'mean' or 'bernoulli'")
    if arithmetic not in ("float", "rational"):
        raise ValueError(f"arithmetic is {arithmetic!r}; expected 'float' or 'rational'")
    arrays: Any = (
        (mdp.transitions, mdp.rewards, mdp.initial)
        if arithmetic == "float"
        else [to_fractions(a) for a in (mdp.transitions, mdp.rewards, mdp.initial)]
    )
    kernel, pay, initial = arrays
    squares = pay if rewards == "bernoulli" else pay**2
    size, states = len(policies), np.arange(mdp.states)
    first = np.zeros((size, mdp.states), dtype=pay.dtype)
    second = np.zeros((size, mdp.states), dtype=pay.dtype)
    for h in reversed(range(mdp.horizon)):
        chosen = policies.table[:, h].astype(np.int64)
        rows = kernel[h][states, chosen]  # (P, S, S)
        mean = (rows * first[:, None]).sum(axis=2)
        square = (rows * second[:, None]).sum(axis=2)
        now = pay[h][states, chosen]
        second = squares[h][states, chosen] + 2 * now * mean + square
        first = now + mean
    return np.asarray(mdp.actions**mdp.horizon * (second @ initial) - (first @ initial) ** 2)
