"""Sampling models that the figures on policy-gradient estimators share, and how methods look.

Small enough that every moment is a finite sum; `flow` follows exact training from the uniform
policy to an almost deterministic one. Sources are those of the estimators.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from rltheory.analysis import plotting
from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.analysis.estimators.sampling_model import (
    SamplingModel,
    contextual_bandit,
    softmax_bandit,
)
from rltheory.analysis.estimators.trees import token_tree


@dataclass(frozen=True)
class Method:
    """How a method is called and drawn: numbers of its colour, line and marker."""

    title: str
    colour: int
    style: int

    def look(self, points: int | None = None) -> dict[str, Any]:
        """Return keywords for a curve; about eight of its `points` get the marker."""
        found: dict[str, Any] = {
            "color": plotting.COLOURS[self.colour],
            "linestyle": plotting.LINES[self.style],
            "marker": plotting.MARKERS[self.style],
        }
        if points is not None:
            step = max(1, points // 8)
            found["markevery"] = (self.style % step, step)
        return found


METHODS = {
    "reinforce": Method("REINFORCE", 7, 3),
    "mean": Method("group mean", 4, 1),
    "dr-grpo": Method("Dr. GRPO", 4, 1),
    "rloo": Method("leave-one-out", 0, 0),
    "value": Method("exact value", 5, 4),
    "optimal": Method("optimal baseline", 6, 7),
    "oblr": Method("OBLR", 2, 2),
    "oblr-own": Method("OBLR, own sample in", 2, 3),
    "oblr-po": Method("OBLR-PO", 2, 0),
    "mean-snr": Method("group mean, SNR step", 4, 4),
    "oracle": Method("optimal baseline, SNR step", 6, 4),
    "remax": Method("ReMax (greedy)", 3, 6),
    "reinforce++": Method("REINFORCE++", 3, 5),
    "grpo": Method("GRPO", 1, 5),
    "grpo-population": Method("GRPO, divisor G", 1, 2),
    "mean-length": Method("group mean, 1/length", 4, 7),
    "dapo": Method("DAPO's token mean", 1, 6),
    "gspo": Method("GSPO's clip", 3, 1),
    "sapo": Method("SAPO's gate", 2, 4),
    "ppo": Method("PPO's clip", 1, 3),
    "ratio": Method("ratio of responses", 6, 0),
    "token-ratio": Method("ratios of tokens", 5, 5),
    "stale": Method("no correction", 7, 6),
}
"""One look for a method in all figures: related methods share a colour and differ in the line."""


def bandit() -> SamplingModel:
    """Return a bandit of six arms, paid from 0 to 1, two of them almost alike."""
    return softmax_bandit(np.array([1.0, 0.8, 0.5, 0.3, 0.1, 0.0]))


def prompts(count: int = 6, arms: int = 5, features: int | None = 8) -> SamplingModel:
    """Return prompts whose answers pay 0, 1/2 or 1, easy ones first.

    In prompt x a share of the arms that falls from most to one pays 1. features: the number of
    shared random features, or None for logits of each prompt's own.
    """
    generator = np.random.default_rng(7)
    rewards = np.zeros((count, arms))
    for x in range(count):
        right = max(1, round((arms - 1) * (1 - x / max(count - 1, 1))))
        order = generator.permutation(arms)
        rewards[x, order[:right]] = 1.0
        rewards[x, order[right : right + 1]] = 0.5 * (x % 2)
    if features is None:
        return contextual_bandit(rewards)
    table = generator.standard_normal((count, arms, features)) / np.sqrt(features)
    return contextual_bandit(rewards, parametrisation=table)


def tree(end_token: int | None = 0) -> SamplingModel:
    """Return responses of up to three of three tokens, paid for 1s; the token 0 ends them."""
    return token_tree(3, 3, _paid, end_token=end_token)


def _paid(prompt: int, tokens: tuple[int, ...]) -> float:
    return tokens.count(1) / 3


FAMILIES = {
    "bandit": ("softmax bandit", bandit),
    "prompts": ("prompts, shared features", prompts),
    "tree": ("token tree", tree),
}
"""Title and maker of the three families."""


def flow(model: SamplingModel, times: Sequence[float] | FloatArray) -> list[Outcomes]:
    """Return the outcomes along gradient flow, d theta / d t = grad J, from the uniform policy.

    times: increasing, of which the first is 0. Integrated to a relative error of 1e-8 a step.
    """
    start = np.zeros(model.size)
    found = solve_ivp(
        lambda _, theta: model.at(theta).gradient,
        (times[0], times[-1]),
        start,
        method="LSODA",
        t_eval=times,
        rtol=1e-8,
        atol=1e-10,
    )
    return [model.at(theta) for theta in found.y.T]


def flow_parameters(model: SamplingModel, times: Sequence[float] | FloatArray) -> FloatArray:
    """Return the parameters (times, k) along the same flow."""
    points = flow(model, times)
    return np.stack([point.choices.parameters for point in points if point.choices is not None])


def plain_logarithm(axis: Any, name: str = "y", ticks: Sequence[float] = (1.0, 2.0, 5.0)) -> None:
    """Set a logarithmic axis with ticks, times powers of ten, written out."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    getattr(axis, f"set_{name}scale")("log")
    which = getattr(axis, f"{name}axis")
    which.set_major_locator(LogLocator(subs=ticks))
    which.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    which.set_minor_formatter(NullFormatter())


def angle(first: FloatArray, second: FloatArray) -> float:
    """Return the angle between two vectors in degrees, accurate for small ones."""
    one, two = (np.asarray(v, dtype=float) / np.linalg.norm(v) for v in (first, second))
    half = np.arctan2(np.linalg.norm(one - two), np.linalg.norm(one + two))
    return float(np.degrees(2 * half))
