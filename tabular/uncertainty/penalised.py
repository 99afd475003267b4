"""Penalised sets: the adversary pays for distance instead of having a budget of it.

min over q of q . v + penalty * D(q, p), with D the distance of any ball: the Lagrangian form of the
constrained problem, and a convex risk measure of v. Sources: Hansen and Sargent (2001), multiplier
preferences; Föllmer and Schied (2002).
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.tabular.uncertainty.base import (
    Ball,
    Inner,
    Rows,
    UncertaintySet,
    parameter,
    spread,
)
from rltheory.tabular.uncertainty.chi_square import ChiSquare
from rltheory.tabular.uncertainty.kullback_leibler import KullbackLeibler
from rltheory.tabular.uncertainty.sums import FLAT
from rltheory.tabular.uncertainty.total_variation import TotalVariation


@dataclass(frozen=True, eq=False)
class Penalised(UncertaintySet):
    """min over q of q . v + penalty * D(q, p), as in `Penalised(Wasserstein(0.0, cost), 2.0)`.

    ball: gives the distance D; its radius plays no part. penalty: nonnegative, a scalar or one per
    row; 0 lets the adversary go as far as the distance is finite.
    Raises TypeError if `ball` is not one, ValueError if the penalty is negative.
    """

    ball: Ball
    penalty: Any

    def __post_init__(self) -> None:
        if not isinstance(self.ball, Ball):
            raise TypeError(f"ball is {self.ball!r}; expected a set with a radius, such as L2(0.0)")
        penalty = parameter(self.penalty, "penalty")
        small = penalty[(penalty > 0) & (penalty < FLAT)]
        if isinstance(self.ball, ChiSquare) and small.size:
            raise ValueError(f"penalty holds {small.max()}; expected 0 or at least {FLAT:g}")
        object.__setattr__(self, "penalty", penalty)

    @property
    def moves_anywhere(self) -> bool:  # type: ignore[override]
        """Whether minimisers may spread mass over states outside the nominal support."""
        return self.ball.moves_anywhere

    def budgets(self, shape: tuple[int, ...]) -> FloatArray:
        """Return the penalty of each row, (n,)."""
        return spread(self.penalty, "penalty", shape)

    def solve(self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner) -> Inner:
        """See `UncertaintySet.solve`; the multipliers are the penalties."""
        inner.upper[:], _ = self.ball.penalised(rows, values, budgets)
        inner.lower[:] = inner.upper
        inner.multiplier[:] = budgets
        return inner

    def members(self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner) -> Any:
        """See `UncertaintySet.members`."""
        return self.ball.penalised_members(rows, values, budgets)

    def error(
        self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner
    ) -> FloatArray:
        """See `UncertaintySet.error`: as for a ball of radius 1.

        What is paid, penalty times distance, is at most the range of the values.
        """
        paid = Inner(inner.lower, inner.upper, np.minimum(inner.multiplier, np.ptp(values)))
        return self.ball.error(rows, values, np.ones(rows.count), paid)


@dataclass(frozen=True, eq=False)
class PenalisedTotalVariation(Penalised):
    """min over q of q . v + penalty * TV(q, p), which is E_p[min(v, min v + penalty)].

    penalty: nonnegative, a scalar or one per row. Raises ValueError if it is negative.
    """

    ball: Ball = field(default=TotalVariation(0.0), init=False, repr=False)


@dataclass(frozen=True, eq=False)
class PenalisedKullbackLeibler(Penalised):
    """min over q of q . v + penalty * KL(q, p) = -penalty * log E_p[exp(-v / penalty)].

    The entropic risk measure. penalty: nonnegative, a scalar or one per row; 0 gives the least
    value of the support. Raises ValueError if it is negative.
    """

    ball: Ball = field(default=KullbackLeibler(0.0), init=False, repr=False)


@dataclass(frozen=True, eq=False)
class PenalisedChiSquare(Penalised):
    """min over q of q . v + penalty * sum (q - p)^2 / p, the mean-variance measure when truncated.

    It is p . v - Var_p(v) / (4 penalty) unless the adversary would need negative probabilities.
    penalty: nonnegative, a scalar or one per row; 0 gives the least value of the support.
    Raises ValueError if it is negative.
    """

    ball: Ball = field(default=ChiSquare(0.0), init=False, repr=False)
