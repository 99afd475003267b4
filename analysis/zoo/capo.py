r"""CAPO: tokens whose own update would not be safe, by a second-order model of the last layer.

With logits W h the policy gradient, its Hessian and the Fisher matrix are sums over tokens of
(e_a - pi) h^T and its squares. For a step D with logit changes d = D h, and x = d_a - E_pi d,
    m_H(D) = E A (x + (x^2 - Var_pi d) / 2)   and   m_F(D) = E x^2 / 2
model the gain of the surrogate E A pi_new / pi and the divergence of the policies.
Source: Melo, Abate and Gal (2025), arXiv 2510.00819, section 4 and Theorem 5.1.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rltheory.analysis.arrays import (
    FloatArray,
    IntArray,
    as_float_array,
    check_distributions,
    check_finite,
    check_range,
    check_shape,
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Tokens:
    """Tokens of a batch, the policy's last layer where they were drawn, and their advantages.

    policy: (C, V) probabilities in each context; features: (C, d) the last layer's inputs h.
    contexts, actions: (n,) where each token stands and what it is; advantages: (n,).
    weights: (n,) of the tokens in the batch's mean, 1 / n each by default.

    Arrays of floats, or of Fractions throughout. Raises ValueError naming the argument whose shape
    or entries do not fit.
    """

    policy: NDArray[Any]
    features: NDArray[Any]
    contexts: IntArray
    actions: IntArray
    advantages: NDArray[Any]
    weights: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        rows = as_float_array(self.policy, "policy", (None, None))
        check_distributions(rows, "policy")
        check_finite(as_float_array(self.features, "features", (len(rows), None)), "features")
        contexts, actions = np.asarray(self.contexts), np.asarray(self.actions)
        check_shape(contexts, "contexts", (None,))
        for array, name, end in zip(
            (contexts, actions), ("contexts", "actions"), rows.shape, strict=True
        ):
            check_shape(array, name, contexts.shape)
            if array.dtype.kind not in "iu" or not array.size or array.min() < 0:
                raise ValueError(f"{name} must be one or more integers of at least 0")
            if array.max() >= end:
                raise ValueError(f"{name} holds {array.max()}; expected at most {end - 1}")
        floats = as_float_array(self.advantages, "advantages", contexts.shape)
        check_finite(floats, "advantages")
        if self.weights is not None:
            check_distributions(as_float_array(self.weights, "weights", contexts.shape), "weights")

    @property
    def shares(self) -> NDArray[Any]:
        """The weights (n,) of the tokens."""
        if self.weights is not None:
            return self.weights
        one = self.advantages * 0 + 1
        return np.asarray(one / len(one))

    def scores(self) -> NDArray[Any]:
        """Return the gradient (n, V, d) of the log probability of each token."""
        rows = -self.policy[self.contexts]
        rows[np.arange(len(rows)), self.actions] += 1
        return np.asarray(rows[:, :, None] * self.features[self.contexts][:, None, :])

    def gradients(self) -> NDArray[Any]:
        """Return the gradient (n, V, d) of each token alone, its advantage times its score."""
        return np.asarray(self.advantages[:, None, None] * self.scores())

    def gradient(self) -> NDArray[Any]:
        """Return the gradient (V, d) of the batch."""
        return np.asarray((self.shares[:, None, None] * self.gradients()).sum(axis=0))


class Model(NamedTuple):
    """What a step does, to second order: `gain` of the surrogate and `shift` of the policy."""

    gain: Any
    shift: Any


def second_order(tokens: Tokens, step: NDArray[Any]) -> Model:
    """Return m_H and m_F of a step (V, d), without forming a matrix of curvatures.

    Floats are as accurate as their sums; Fractions exact. Raises ValueError for another shape.
    """
    check_shape(step, "step", (tokens.policy.shape[1], tokens.features.shape[1]))
    changes = tokens.features @ step.T
    means = (tokens.policy * changes).sum(axis=1)
    spread = changes - means[:, None]
    variances = (tokens.policy * spread * spread).sum(axis=1)
    x = spread[tokens.contexts, tokens.actions]
    share = tokens.shares
    gain = share @ (tokens.advantages * (x + (x * x - variances[tokens.contexts]) / 2))
    return Model(gain, share @ (x * x) / 2)


def adam_step(
    gradient: FloatArray,
    *,
    rate: float,
    first: ArrayLike = 0.0,
    second: ArrayLike = 0.0,
    count: int = 1,
    decays: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
) -> FloatArray:
    """Return the ascent step that Adam would take, shape of the gradient.

    first, second: its moments before this gradient; count: the number of the step, from 1. At the
    first step it is rate times the signs of the gradient, whatever the gradient's size.
    """
    check_range(rate, "rate", 0.0, np.inf, include_high=False)
    slow, squared = (1.0 - decay**count for decay in decays)
    moment = decays[0] * np.asarray(first) + (1.0 - decays[0]) * gradient
    square = decays[1] * np.asarray(second) + (1.0 - decays[1]) * gradient**2
    return np.asarray(rate * (moment / slow) / (np.sqrt(square / squared) + epsilon))


def token_mask(
    tokens: Tokens,
    steps: NDArray[Any],
    *,
    least_gain: Any = 0.0,
    largest_gain: Any = np.inf,
    largest_shift: Any = np.inf,
) -> NDArray[np.bool_]:
    """Return which tokens are kept, (n,): those whose candidate step alone passes both models.

    steps: (n, V, d), what the optimiser would do with each token's gradient. That each kept step
    passes does not make their sum or mean pass.
    """
    check_shape(steps, "steps", (len(tokens.actions), None, None))
    models = [second_order(tokens, step) for step in steps]
    return np.array(
        [bool(least_gain <= m.gain <= largest_gain and m.shift <= largest_shift) for m in models]
    )


def guaranteed_improvement(
    *, gain: float, divergence: float, largest_advantage: float, discount: float
) -> float:
    r"""Return gain - sqrt(2 D) g e / (1 - g)^2, a lower bound of J(new) - J(old).

    gain: the surrogate's, E_d A_bar / (1 - g); divergence D: the mean of KL(old || new) over the
    states the old policy visits, in nats, not its quadratic model; largest_advantage e: of
    |A_bar(s)|, the expected advantage of the new policy, over all states; discount g in [0, 1).
    The constant is half of that of the paper's Theorem 5.1.
    Source: Achiam, Held, Tamar and Abbeel (2017), Corollary 2, with Pinsker's inequality.
    """
    factor = check_range(discount, "discount", 0.0, 1.0, include_high=False)
    moved = check_range(divergence, "divergence", 0.0, np.inf)
    largest = check_range(largest_advantage, "largest_advantage", 0.0, np.inf)
    return float(gain) - sqrt(2.0 * moved) * factor * largest / (1.0 - factor) ** 2
