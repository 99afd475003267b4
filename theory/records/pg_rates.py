r"""How fast steps of the signal to noise ratio converge: slopes fitted to seeded runs in floats."""

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.bounds import Bounds
from rltheory.analysis.estimators.smoothness import ONE_CHOICE
from rltheory.analysis.rates import Rate, fit_rate
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

MARKS = 2 ** np.arange(6, 13)
"""Numbers of steps that the rate is fitted to."""

_RUNS = 64


class Task(NamedTuple):
    """Rewards of three arms, the probability of the best one at first, and whether b is E r."""

    rewards: tuple[float, float, float]
    first: float
    expected: bool


def sample_task(tape: Tape, size: int) -> Task:
    """Draw a start; one arm pays, the others pay the same."""
    return Task((1.0, 0.0, 0.0), tape.choice([0.25, 0.5, 0.75]), False)


def _expected(tape: Tape, size: int) -> Task:
    return sample_task(tape, size)._replace(expected=True)


def sample_graded(tape: Tape, size: int) -> Task:
    """Draw a start; of the two arms that are not best one pays a half."""
    return sample_task(tape, size)._replace(rewards=(1.0, 0.5, 0.0))


def sampled_losses(task: Task, seed: int = 0) -> FloatArray:
    """Return J* - J (runs, marks) of seeded runs, single samples, steps from exact moments."""
    rewards = np.array(task.rewards)
    start = np.array([task.first, *[(1 - task.first) / 2] * 2])
    logits = np.tile(np.log(start), (_RUNS, 1))
    draws = np.random.default_rng(seed).random((int(MARKS[-1]), _RUNS))
    smoothness = 2 * ONE_CHOICE * np.ptp(rewards)
    losses = []
    for t, draw in enumerate(draws, 1):
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        pi = weights / weights.sum(axis=1, keepdims=True)
        # Differences to the best arm, whose probability is near 1, are sums of small terms.
        short = rewards.max() - rewards
        loss = pi @ short
        gradient = pi * (loss[:, None] - short)
        others = 1 - pi
        energy = others**2 + (pi**2).sum(axis=1, keepdims=True) - pi**2
        if task.expected:
            away = loss[:, None] - short
        else:
            mass = pi * energy
            away = (mass @ short / mass.sum(axis=1))[:, None] - short
        square = (pi * energy * away**2).sum(axis=1)
        step = (gradient**2).sum(axis=1) / (smoothness * square)
        chosen = (pi.cumsum(axis=1) < draw[:, None]).sum(axis=1).clip(max=2)
        pull = step * away[np.arange(_RUNS), chosen]
        logits = logits - pull[:, None] * pi
        logits[np.arange(_RUNS), chosen] += pull
        if t in MARKS:
            weights = np.exp(logits - logits.max(axis=1, keepdims=True))
            losses.append(weights @ short / weights.sum(axis=1))
    return np.array(losses).T


@lru_cache(maxsize=8)
def fitted(task: Task) -> Rate:
    """Fit how the mean loss falls with the number of steps; the interval resamples runs."""
    return fit_rate(MARKS.astype(np.float64), sampled_losses(task))


def rate_sides(task: Task) -> tuple[Side, Side]:
    """Return the slope of the loss on logarithmic axes, enclosed, and the slope claimed."""
    return fitted(task).interval, Fraction(-97, 100)


def slow_sides(task: Task) -> tuple[Side, Side]:
    """Return the steepness of the loss on logarithmic axes, enclosed, and what it does not pass."""
    found = fitted(task).interval
    return Bounds(-found.upper, -found.lower), Fraction(11, 20)


def covered(task: Task) -> Mapping[str, Any]:
    """Return the fitted slope, its interval's level and the steps that were covered."""
    rate = fitted(task)
    return {"slope": rate.slope, "confidence": rate.confidence, "steps": list(rate.covered)}


_SETTING = (
    r"tabular softmax over three answers, the best of probability 1/4, 1/2 or 3/4 at first; "
    r"$\theta_{t+1} = \theta_t + \eta_t\, g\,(r - b_t)$ from one sample, $\eta_t = \frac1L"
    r"\mathrm{SNR}_t/(1+\mathrm{SNR}_t)$ from the exact moments at $\theta_t$",
    f"the slope of the mean over {_RUNS} seeded runs; a 95 % bootstrap interval over runs",
)

FAST = Theorem(
    id="oblr/rate-with-the-optimal-baseline",
    title="If all wrong answers pay the same, the optimal baseline makes the loss fall like 1 / t",
    source="Derived here; Huang, Sheng and Zheng (2025), abstract: convergence guarantees",
    statement=r"J^* - \mathbb{E}J_t = O(t^{-0.97}),\qquad 2^6 \le t \le 2^{12}",
    hypotheses=("$b_t = b^*_t$, rewards (1, 0, 0)", *_SETTING),
    kind="rate",
    sample=sample_task,
    sides=rate_sides,
    control=Control(
        name="expected reward as baseline",
        explanation=r"$b_t = \mathbb{E}\,r$, whose signal drowns near the optimum.",
        sample=_expected,
    ),
    sizes=(3,),
    notes=(
        r"With one right answer of probability $p = 1 - \epsilon$ the ratio with $b^*$ is at least "
        r"$p/(1-p)$, so steps stay near $1/L$; with $b = p$ it is of order $\epsilon$, steps "
        r"shrink with it, and $\dot\epsilon \approx -\epsilon^3$."
    ),
    details=covered,
    cost=100.0,
    sharpness=0.95,
)

SLOW = Theorem(
    id="oblr/rate-where-wrong-answers-differ",
    title="If wrong answers pay differently, noise halves the rate, optimal baseline or not",
    source="Derived here",
    statement=r"J^* - \mathbb{E}J_t = \Omega(t^{-0.55}),\qquad 2^6 \le t \le 2^{12}",
    hypotheses=(
        r"$b_t = b^*_t$, rewards $(1, \frac12, 0)$",
        *_SETTING,
        "compared as the steepness of the loss against 0.55",
    ),
    kind="rate",
    sample=sample_graded,
    sides=slow_sides,
    control=Control(
        name="wrong answers alike",
        explanation="Both wrong answers pay nothing: the loss falls like 1 / t.",
        sample=sample_task,
    ),
    sizes=(3,),
    notes=(
        r"Near the optimum $b^*$ is the mean reward of the wrong answers. If they differ, what is "
        r"left of their variance falls like $\epsilon$, the signal like $\epsilon^2$, and steps by "
        "the ratio shrink although none of them could do harm."
    ),
    details=covered,
    cost=100.0,
    sharpness=0.9,
)


THEOREMS = (FAST, SLOW)
