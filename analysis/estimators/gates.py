r"""Gates: how an off-policy estimator weighs a response by its ratio and the advantage's sign.

A surrogate sum_i A_i f(w_i) with ratio w = pi / behaviour has the gradient sum_i A_i c(w_i) g_i,
where c(w) = w f'(w) depends on the sign of A_i. A gate is the pair (f, c). Its level says what w
is: the ratio of each choice ("token"), of the whole response ("sequence"), or its geometric mean
over the choices ("geometric"), whose gradient brings a factor of 1 / length.
Sources: Schulman et al. (2017) for PPO; Zheng et al. (2025) for GSPO; Gao et al. (2025) for SAPO.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import check_range
from rltheory.analysis.estimators.backends import namespace
from rltheory.analysis.estimators.outcomes import Outcomes

Level = Literal["token", "sequence", "geometric"]
Curve = Callable[[Any, bool], Any]


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A function of ratios and the sign of the advantage.

    surrogate(ratios, positive): f, whose product with the advantage is maximised;
    coefficient(ratios, positive): c = w f'(w), the weight of the score, same shape. `positive`
    says whether the advantage is (zero counts as positive). signed: whether it matters.
    Curves take arrays of NumPy or JAX and answer in kind.
    """

    name: str
    level: Level
    surrogate: Curve
    coefficient: Curve
    signed: bool = True

    def vectors(self, outcomes: Outcomes, positive: bool) -> Any:
        """Return the gradient (n, k) of each outcome's surrogate per unit of advantage.

        Raises ValueError if the gate reads choices and the outcomes come without.
        """
        if self.level == "sequence":
            return scaled_rows(self.coefficient(outcomes.ratios, positive), outcomes.scores)
        choices = outcomes.choices
        if choices is None:
            if np.any(outcomes.lengths != 1):
                raise ValueError(
                    f"gate {self.name!r} reads single choices; outcomes of length above 1 must "
                    "come with `choices`, as those of a SamplingModel do"
                )
            return scaled_rows(self.coefficient(outcomes.ratios, positive), outcomes.scores)
        if self.level == "token":
            return choices.scores(self.coefficient(choices.ratios, positive))
        # Past the end the ratio is 1, which adds nothing to the logarithm.
        mean = np.log(choices.ratios.astype(float)).sum(axis=1) / outcomes.lengths
        weight = self.coefficient(np.exp(mean), positive) / outcomes.lengths
        return scaled_rows(weight, outcomes.scores)


def scaled_rows(weights: NDArray[Any], table: Any) -> Any:
    """Return weights[i] times row i of an array or a CSR table."""
    if isinstance(table, np.ndarray):
        return weights[:, None] * table
    return table.multiply(weights[:, None]).tocsr()


def _identity(ratios: Any, positive: bool) -> Any:
    return ratios


SEQUENCE_RATIO = Gate(
    name="sequence ratio",
    level="sequence",
    surrogate=_identity,
    coefficient=_identity,
    signed=False,
)
"""Importance sampling of whole responses: unbiased; the identity on policy."""

TOKEN_RATIO = Gate(
    name="token ratio", level="token", surrogate=_identity, coefficient=_identity, signed=False
)
"""Importance sampling choice by choice, as PPO without its clip."""


def clip(
    low: float = 0.2, high: float | None = None, *, level: Level = "token", name: str = ""
) -> Gate:
    """Return the pessimistic clip min(w A, clip(w, 1 - low, 1 + high) A) of PPO.

    high: `low` by default. With level "geometric" this is GSPO. The gradient at a kink is that
    of the side towards 1. Raises ValueError if low is not in [0, 1] or high is negative.
    """
    below = 1.0 - check_range(low, "low", 0.0, 1.0)
    above = 1.0 + check_range(low if high is None else high, "high", 0.0, np.inf)

    def surrogate(ratios: Any, positive: bool) -> Any:
        xp = namespace(ratios)
        return xp.minimum(ratios, above) if positive else xp.maximum(ratios, below)

    def coefficient(ratios: Any, positive: bool) -> Any:
        open_side = ratios <= above if positive else ratios >= below
        return namespace(ratios).where(open_side, ratios, 0 * ratios)

    return Gate(
        name=name or f"clip {level}", level=level, surrogate=surrogate, coefficient=coefficient
    )


def soft_gate(positive_temperature: float = 1.0, negative_temperature: float = 1.05) -> Gate:
    """Return SAPO's gate f(w) = (4 / tau) sigmoid(tau (w - 1)), tau by the sign of the advantage.

    Its gradient weight is w sech^2(tau (w - 1) / 2), which is 1 at w = 1 for every tau.
    Raises ValueError unless both temperatures are positive.
    """
    temperatures = {}
    for sign, name, value in (
        (True, "positive_temperature", positive_temperature),
        (False, "negative_temperature", negative_temperature),
    ):
        temperatures[sign] = check_range(value, name, 0.0, np.inf)
        if value == 0:
            raise ValueError(f"{name} is 0; expected a positive number")

    def surrogate(ratios: Any, positive: bool) -> Any:
        tau = temperatures[positive]
        half = 0.5 * tau * (ratios - 1.0)
        # The sigmoid in its overflow-free form (1 + tanh(x / 2)) / 2.
        return 2.0 / tau * (1.0 + namespace(ratios).tanh(half))

    def coefficient(ratios: Any, positive: bool) -> Any:
        half = 0.5 * temperatures[positive] * (ratios - 1.0)
        return ratios * (1.0 - namespace(ratios).tanh(half) ** 2)

    return Gate(name="soft gate", level="token", surrogate=surrogate, coefficient=coefficient)


PPO_CLIP = clip(0.2, name="PPO clip")
GSPO_CLIP = clip(3e-4, 4e-4, level="geometric", name="GSPO clip")
SAPO_GATE = soft_gate()
