"""One robust backup: the agent's choice against the adversary's, in every state at once.

Under (s,a)-rectangularity the adversary moves each row within its own radius, and the backup is a
maximum of inner problems. Under s-rectangularity the actions of a state share the radius, and the
backup is a saddle point (`tabular.saddle`). Both return a lower and an upper value of the backup,
so that residuals certify the fixed point. Sources: Iyengar (2005), Theorem 3.2; Wiesemann, Kuhn
and Rustem (2013).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import ROW_SUM_TOLERANCE, FloatArray
from rltheory.analysis.bounds import rounding_error
from rltheory.tabular.policies import greedy
from rltheory.tabular.saddle import least_mixture, saddle_point
from rltheory.tabular.uncertainty.base import Ball, Inner, Rows, UncertaintySet
from rltheory.tabular.uncertainty.interval import Interval
from rltheory.tabular.uncertainty.penalised import Penalised

RECTANGULARITIES = ("sa", "s")


@dataclass(frozen=True, eq=False)
class Backup:
    """The image of values under a robust operator.

    lower, upper (S,) enclose it up to `error`; action_values (S, A) against the adversary's choice;
    policy (S, A) that secures `lower`; budgets (S * A,) spent by an adversary that allows no
    more than `upper`.
    """

    lower: FloatArray
    upper: FloatArray
    action_values: FloatArray
    policy: FloatArray
    budgets: FloatArray
    error: float


@dataclass(frozen=True, eq=False)
class RobustOperator:
    """Robust Bellman backups r + g * inf q . v over one kernel; see `backup` and `evaluate`.

    rows: nominal kernel (S * A rows); rewards (S, A), -inf where unavailable; budgets: the radius
    or penalty of each row (S * A,), or of each state (S,) where actions share it (`shared`).
    The inner problems and the shared budgets are warm-started from call to call.
    """

    rows: Rows
    rewards: FloatArray
    discount: float
    uncertainty: UncertaintySet
    budgets: FloatArray
    shared: bool
    inner: Inner
    spent: FloatArray = field(repr=False)

    @staticmethod
    def of(
        kernel: Any,
        rewards: FloatArray,
        discount: float,
        uncertainty: UncertaintySet,
        rectangularity: str,
    ) -> RobustOperator:
        """Build for a kernel (S * A, S), dense or CSR. Raises TypeError or ValueError by name."""
        if not isinstance(uncertainty, UncertaintySet):
            raise TypeError(f"uncertainty is {uncertainty!r}; expected a set such as L1(0.1)")
        if rectangularity not in RECTANGULARITIES:
            raise ValueError(
                f"rectangularity is {rectangularity!r}; expected one of {RECTANGULARITIES}"
            )
        # Intervals bound every row by itself: sharing changes nothing.
        shared = rectangularity == "s" and not isinstance(uncertainty, Interval)
        if shared and not isinstance(uncertainty, Ball):
            raise ValueError(
                f"rectangularity is 's', which shares a radius over actions; expected a ball, "
                f"got {type(uncertainty).__name__}"
            )
        rows = Rows.of(kernel)
        rows = rows.densified() if uncertainty.moves_anywhere else rows
        states, actions = rewards.shape
        available = np.isfinite(rewards)
        uncertainty.check(rows, available.ravel())
        budgets = uncertainty.budgets((states,) if shared else (states, actions))
        return RobustOperator(
            rows=rows,
            rewards=rewards,
            discount=discount,
            uncertainty=uncertainty,
            budgets=budgets,
            shared=shared,
            inner=Inner.empty(rows.count),
            spent=even_split(budgets, available) if shared else np.zeros(rewards.shape),
        )

    @property
    def available(self) -> NDArray[np.bool_]:
        """(S, A) mask of the actions that may be taken."""
        return np.isfinite(self.rewards)

    def backup(self, values: FloatArray, accuracy: float) -> Backup:
        """Return max over the agent's rows of min over the adversary's, as a Backup.

        accuracy: how close lower and upper should be where they are found by iteration.
        """
        if self.shared:
            return self._shared(values, accuracy)
        lower, upper, error = self._response(values, self.budgets)
        return Backup(
            lower.max(axis=1), upper.max(axis=1), lower, greedy(lower), self.budgets, error
        )

    def evaluate(self, policy: FloatArray, values: FloatArray, accuracy: float) -> Backup:
        """Return the backup of a fixed policy (S, A): only the adversary chooses."""
        if self.shared:
            return self._shared(values, accuracy, policy)
        lower, upper, error = self._response(values, self.budgets)
        low, high = mixture(policy, lower), mixture(policy, upper)
        # The probabilities of a policy may sum to more than 1 by their tolerance.
        mass = 1.0 + ROW_SUM_TOLERANCE
        largest = mass * max(_largest(lower), _largest(upper))
        error = mass * error + rounding_error(policy.shape[1] + 1, largest)
        return Backup(low, high, lower, policy, self.budgets, error)

    def response(self, values: FloatArray, budgets: FloatArray) -> tuple[Any, FloatArray]:
        """Return the adversary's kernel (S * A, S), worst for `values` within the given budgets.

        With it the rewards (S, A) of the agent under it: the MDP's own, and what a penalised
        adversary pays for the kernel.
        """
        inner = self.uncertainty.solve(self.rows, values, budgets, Inner.empty(self.rows.count))
        kernel = self.uncertainty.members(self.rows, values, budgets, inner)
        if not isinstance(self.uncertainty, Penalised):
            return kernel, self.rewards
        paid = (inner.upper - kernel @ values).reshape(self.rewards.shape)
        return kernel, np.where(self.available, self.rewards + self.discount * paid, -np.inf)

    def _response(
        self, values: FloatArray, budgets: FloatArray
    ) -> tuple[FloatArray, FloatArray, float]:
        """Return lower and upper action values at the given budgets, and their rounding error."""
        inner = self.uncertainty.solve(self.rows, values, budgets, self.inner)
        error = self.uncertainty.error(self.rows, values, budgets, inner)
        lower = self._action_values(inner.lower)
        upper = self._action_values(inner.upper)
        worst = self.discount * float(error[self.available.ravel()].max())
        # The product and the sum of r + g * e, where |g * e| is at most |r| + |r + g * e|.
        terms = _largest(self.rewards) + max(_largest(lower), _largest(upper))
        return lower, upper, worst + rounding_error(3, terms)

    def _action_values(self, expectations: FloatArray) -> FloatArray:
        q = self.rewards + self.discount * expectations.reshape(self.rewards.shape)
        # What a set makes of the empty row of an unavailable action is of no account.
        return np.where(self.available, q, -np.inf)

    def _shared(
        self, values: FloatArray, accuracy: float, policy: FloatArray | None = None
    ) -> Backup:
        errors: list[float] = []

        def respond(budgets: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
            lower, upper, error = self._response(values, budgets.ravel())
            errors.append(error)
            slopes = self.inner.multiplier.reshape(budgets.shape)
            # A vertical slope of what is discounted away is flat.
            return lower, upper, self.discount * slopes if self.discount else np.zeros_like(slopes)

        even = even_split(self.budgets, self.available)
        if policy is None:
            point = saddle_point(respond, self.budgets, self.spent, even, accuracy)
        else:
            point = least_mixture(respond, policy, self.budgets, self.spent, even, accuracy)
        self.spent[:] = point.budgets
        # Heights, and slopes times budgets, are at most the range of the values at one step.
        scale = 4.0 * (_largest(point.action_values) + self.discount * float(np.ptp(values)))
        error = max(errors) + rounding_error(self.rewards.shape[1] + 32, scale)
        return Backup(
            point.lower,
            point.upper,
            point.action_values,
            point.policy,
            point.budgets.ravel(),
            error,
        )


def even_split(radius: FloatArray, available: NDArray[np.bool_]) -> FloatArray:
    """Return the radius (S,) split evenly over the available actions, (S, A)."""
    return np.asarray(radius[:, None] * available / available.sum(axis=1, keepdims=True))


def mixture(policy: FloatArray, q: FloatArray) -> FloatArray:
    """Return sum_a policy(a) q(a) per state; actions of probability zero may hold -inf."""
    return np.asarray((policy * np.where(policy > 0, q, 0.0)).sum(axis=1))


def _largest(q: FloatArray) -> float:
    return float(np.abs(q[np.isfinite(q)]).max(initial=0.0))
