r"""Gates: how an off-policy estimator weighs a response by its ratio and the advantage's sign.

A surrogate sum_i A_i f(w_i) with ratio w = pi / behaviour has the gradient sum_i A_i c(w_i) g_i,
where c(w) = w f'(w) depends on the sign of A_i. A gate is the pair (f, c). Its level says what w
is: the ratio of each choice ("token"), of the whole response ("sequence"), or its geometric mean
over the choices ("geometric"), whose gradient brings a factor of 1 / length.
Sources: Schulman et al. (2017) for PPO; Zheng et al. (2025) for GSPO; Gao et al. (2025) for SAPO;
MiniMax (2025) for CISPO.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import check_range
from rltheory.analysis.backends import namespace
from rltheory.analysis.estimators.outcomes import Outcomes

Level = Literal["token", "sequence", "geometric"]
Curve = Callable[[Any, bool], Any]


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A function of ratios and the sign of the advantage.

    surrogate(ratios, positive): f, whose product with the advantage is maximised;
    coefficient(ratios, positive): c = w f'(w), the weight of the score, same shape. `positive`
    says whether the advantage is (zero counts as positive). signed: whether it matters.
    rational: whether Fractions stay Fractions. Curves take arrays of NumPy or JAX and answer in
    kind. Raises ValueError for an unknown level.
    """

    name: str
    level: Level
    surrogate: Curve
    coefficient: Curve
    signed: bool = True
    rational: bool = False

    def __post_init__(self) -> None:
        if self.level not in get_args(Level):
            raise ValueError(f"level is {self.level!r}; expected one of {get_args(Level)}")

    def signs(self, outcomes: Outcomes) -> tuple[bool, ...]:
        """Return the signs (whether positive) that the weights of scores depend on, or (True,)."""
        if not self.signed:
            return (True,)
        on_policy = outcomes.behaviour is None
        if on_policy and self._at_one(outcomes, True) == self._at_one(outcomes, False):
            return (True,)
        return (True, False)

    def vectors(self, outcomes: Outcomes, positive: bool) -> Any:
        """Return the gradient (n, k) of each outcome's surrogate per unit of advantage.

        Raises ValueError if the gate reads single choices and the outcomes come without them;
        TypeError if the outcomes are Fractions and the gradient is none.
        """
        long = bool(np.any(outcomes.lengths != 1))
        rooted = self.level == "geometric" and long
        if outcomes.behaviour is None:
            # All ratios are 1.
            weight = self._at_one(outcomes, positive)
            if rooted:
                return scaled_rows(weight / outcomes.lengths, outcomes.scores)
            return outcomes.scores if weight == 1 else weight * outcomes.scores
        if outcomes.exact and (rooted or not self.rational):
            raise TypeError(
                f"gate {self.name!r} makes ratios irrational; give the outcomes as floats"
            )
        if rooted:
            mean = outcomes.ratios ** (1.0 / outcomes.lengths)
            return scaled_rows(self.coefficient(mean, positive) / outcomes.lengths, outcomes.scores)
        if self.level == "token" and outcomes.choices is not None:
            return outcomes.choices.scores(self.coefficient(outcomes.choices.ratios, positive))
        if self.level == "token" and long:
            raise ValueError(
                f"gate {self.name!r} reads single choices; outcomes of length above 1 must "
                "come with `choices`, as those of a SamplingModel do"
            )
        return scaled_rows(self.coefficient(outcomes.ratios, positive), outcomes.scores)

    def _at_one(self, outcomes: Outcomes, positive: bool) -> Any:
        exact = outcomes.exact and self.rational
        weight = self.coefficient(np.array([Fraction(1) if exact else 1.0]), positive)[0]
        return Fraction(weight) if outcomes.exact else float(weight)


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
    rational=True,
)
"""Importance sampling of whole responses: unbiased; the identity on policy."""

TOKEN_RATIO = replace(SEQUENCE_RATIO, name="token ratio", level="token")
"""Importance sampling choice by choice, as PPO without its clip."""


def clip(
    low: float | Fraction = Fraction(1, 5),
    high: float | Fraction | None = None,
    *,
    dual: float | Fraction | None = None,
    level: Level = "token",
    name: str = "",
) -> Gate:
    """Return the pessimistic clip min(w A, clip(w, 1 - low, 1 + high) A) of PPO.

    high: `low` by default. dual: for A < 0 the surrogate is no less than dual * A, the dual clip;
    none by default. With level "geometric" this is GSPO. The gradient at a kink is that of the
    side towards 1. Bounds given as Fractions are kept for ratios that are Fractions.
    Raises ValueError if low is not in [0, 1], high is negative, or dual is not above 1.
    Sources: Schulman et al. (2017), equation 7; Ye et al. (2020) for the dual clip.
    """
    if high is None:
        high = low
    check_range(cast(float, low), "low", 0.0, 1.0)
    check_range(cast(float, high), "high", 0.0, np.inf)
    if dual is not None and not check_range(cast(float, dual), "dual", 1.0, np.inf) > 1.0:
        raise ValueError(f"dual is {dual}; expected a number above 1")
    below, above, most = 1 - low, 1 + high, np.inf if dual is None else dual

    def surrogate(ratios: Any, positive: bool) -> Any:
        xp = namespace(ratios)
        if positive:
            return xp.minimum(ratios, _bound(above, ratios))
        return xp.minimum(xp.maximum(ratios, _bound(below, ratios)), _bound(most, ratios))

    def coefficient(ratios: Any, positive: bool) -> Any:
        if positive:
            inside = ratios <= _bound(above, ratios)
        else:
            inside = (ratios >= _bound(below, ratios)) & (ratios <= _bound(most, ratios))
        return namespace(ratios).where(inside, ratios, 0 * ratios)

    return Gate(
        name=name or f"clip {level}",
        level=level,
        surrogate=surrogate,
        coefficient=coefficient,
        rational=True,
    )


def stopped_clip(
    low: float | Fraction = 1.0,
    high: float | Fraction = 4.0,
    *,
    level: Level = "token",
    name: str = "",
) -> Gate:
    """Return CISPO's gate: scores are weighed by clip(w, 1 - low, 1 + high), which is held fixed.

    No choice loses its gradient. A surrogate with this gradient is c (1 + log(w / c)) with c the
    clipped ratio: w inside the band, a logarithm outside. There is no lower clip by default.
    Raises ValueError if low is not in [0, 1] or high is negative.
    Source: MiniMax (2025), CISPO.
    """
    check_range(cast(float, low), "low", 0.0, 1.0)
    check_range(cast(float, high), "high", 0.0, np.inf, include_high=False)
    below, above = 1 - low, 1 + high

    def coefficient(ratios: Any, positive: bool) -> Any:
        xp = namespace(ratios)
        return xp.minimum(xp.maximum(ratios, _bound(below, ratios)), _bound(above, ratios))

    def surrogate(ratios: Any, positive: bool) -> Any:
        clipped = coefficient(ratios, positive)
        xp = namespace(ratios)
        # A ratio of 0 without a lower clip: the value is the limit 0.
        safe = xp.where(clipped > 0, clipped, 1.0)
        return clipped * (1.0 + xp.log(xp.where(clipped > 0, ratios, 1.0) / safe))

    return Gate(
        name=name or f"stopped clip {level}",
        level=level,
        surrogate=surrogate,
        coefficient=coefficient,
        signed=False,
        rational=True,
    )


def soft_gate(positive_temperature: float = 1.0, negative_temperature: float = 1.05) -> Gate:
    """Return SAPO's gate f(w) = (4 / tau) sigmoid(tau (w - 1)), tau by the sign of the advantage.

    Its gradient weight is w sech^2(tau (w - 1) / 2), which is 1 at w = 1 for every tau.
    Raises ValueError unless both temperatures are positive and finite.
    """
    temperatures = {}
    for sign, name, value in (
        (True, "positive_temperature", positive_temperature),
        (False, "negative_temperature", negative_temperature),
    ):
        temperatures[sign] = check_range(value, name, 0.0, np.inf, include_high=False)
        if value == 0:
            raise ValueError(f"{name} is 0; expected a positive number")

    def surrogate(ratios: Any, positive: bool) -> Any:
        tau = temperatures[positive]
        half = 0.5 * tau * (ratios - 1.0)
        # The sigmoid in its overflow-free form (1 + tanh(x / 2)) / 2.
        return 2.0 / tau * (1.0 + namespace(ratios).tanh(half))

    def coefficient(ratios: Any, positive: bool) -> Any:
        xp = namespace(ratios)
        # sech^2(x / 2) = 4 e / (1 + e)^2 with e = exp(-|x|), to all digits also far out.
        small = xp.exp(-temperatures[positive] * xp.abs(ratios - 1.0))
        return ratios * 4.0 * small / (1.0 + small) ** 2

    return Gate(name="soft gate", level="token", surrogate=surrogate, coefficient=coefficient)


def _bound(number: Any, ratios: Any) -> Any:
    """Return a bound as the ratios want it: a Fraction as it is for Fractions, else a float."""
    return number if ratios.dtype == object else float(number)


PPO_CLIP = clip(Fraction(1, 5), name="PPO clip")
DAPO_CLIP = clip(Fraction(1, 5), Fraction(7, 25), name="DAPO clip")
CISPO_CLIP = stopped_clip(name="CISPO clip")
GSPO_CLIP = clip(3e-4, 4e-4, level="geometric", name="GSPO clip")
SAPO_GATE = soft_gate()
