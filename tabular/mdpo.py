"""Mirror descent policy optimisation: a mirror step approached by a few gradient steps on logits.

The objective of iteration k in each state is <pi, Q> - KL(pi || pi_k) / step, whose maximiser is
pi_k exp(step * Q), normalised: `mirror_descent`. With few inner steps it is something between
that and the policy gradient. Source: Tomar, Shani, Efroni and Ghavamzadeh (2022).
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import FloatArray, check_positive_integer, check_range
from rltheory.analysis.simplex import KL, log_softmax, softmax
from rltheory.tabular.mdp import DiscountedMDP, check_discounted
from rltheory.tabular.policy_optimisation import (
    PolicyOptimisation,
    as_steps,
    check_positive,
    run_ascent,
    start_policy,
)

INNER = ("gradient", "natural")


def mdpo(
    mdp: DiscountedMDP,
    *,
    step: ArrayLike,
    iterations: int,
    inner_steps: int,
    inner_rate: float,
    inner: str = "gradient",
    initial_policy: Any = None,
) -> PolicyOptimisation:
    """Take `inner_steps` ascent steps on each iteration's objective instead of its maximiser.

    step: positive, a number or one per iteration (T,), units of 1 / reward: the exponent of the
    exact mirror step is step * Q, so 1 / step is the weight of the divergence.
    inner: "gradient" ascends step * objective in the softmax logits of every state; "natural"
    preconditions by the inverse Fisher information and, for inner_rate at most 1, comes to the
    exact mirror step of the smaller size step * (1 - (1 - inner_rate)^inner_steps).
    inner_rate: positive, at most 1 if natural. initial_policy: (S, A), positive,
    uniform by default.

    With one inner gradient step the divergence plays no part: it is a policy gradient step in
    which all states weigh the same.
    Returns a PolicyOptimisation; raises ValueError for a bad argument.
    """
    check_discounted(mdp)
    steps = as_steps(step, iterations)
    count = check_positive_integer(inner_steps, "inner_steps")
    if inner not in INNER:
        raise ValueError(f"inner is {inner!r}; expected one of {INNER}")
    natural = inner == "natural"
    most = 1.0 if natural else np.finfo(float).max
    rate = check_range(inner_rate, "inner_rate", np.finfo(float).tiny, most)
    start = check_positive(start_policy(mdp, initial_policy), mdp, "initial_policy")

    def climb(current: FloatArray, q: FloatArray, k: int) -> FloatArray:
        moved = current
        for _ in range(count):
            moved = inner_step(moved, current, steps[k] * q, rate, natural=natural)
        return moved

    return run_ascent(mdp, KL.coordinates(start), softmax, climb, iterations, None)


def inner_step(
    logs: FloatArray, old_logs: FloatArray, ascent: FloatArray, rate: float, *, natural: bool
) -> FloatArray:
    """Return log-probabilities (S, A) after one step up <pi, ascent> - KL(pi || old) in each state.

    Entries of -inf, of actions that are not available, stay.
    """
    usable = np.isfinite(logs)
    moved = np.where(usable, logs, 0.0) - np.where(usable, old_logs, 0.0)
    pull = np.where(usable, ascent, 0.0) - moved
    if not natural:
        policy = np.exp(logs)
        pull = policy * (pull - (policy * pull).sum(axis=1, keepdims=True))
    return log_softmax(logs + rate * pull)
