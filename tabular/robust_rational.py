"""Robust MDPs over the rationals: policy iteration for both players, without rounding.

Against a polyhedral set every row has finitely many worst members, one for each order of the
values: the adversary's policy iteration ends at the exact value of a policy, and the agent's at
the exact optimum. Sources: Iyengar (2005), section 3; Kaufman and Schaefer (2013).
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.rational import FractionArray, solve, to_fractions
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.policies import greedy
from rltheory.tabular.uncertainty.base import UncertaintySet
from rltheory.tabular.uncertainty.rational import one_per_row, worst_member


class RationalModel(NamedTuple):
    """A robust MDP in Fractions: transitions (S, A, S), rewards (S, A), discount, and its set.

    Unavailable actions hold the reward -inf; the set has one parameter, or one per row s * A + a.
    """

    transitions: FractionArray
    rewards: FractionArray
    discount: Fraction
    uncertainty: UncertaintySet

    @staticmethod
    def of(mdp: DiscountedMDP, uncertainty: UncertaintySet) -> RationalModel:
        """Take the stored arrays at their exact values.

        Raises TypeError for a set that is not polyhedral, ValueError if it does not fit the MDP.
        """
        rewards = to_fractions(np.where(mdp.available, mdp.rewards, 0.0))
        rewards[~mdp.available] = -np.inf
        return RationalModel(
            transitions=to_fractions(mdp.to_dense().transitions),
            rewards=rewards,
            discount=Fraction(mdp.discount),
            uncertainty=one_per_row(uncertainty, mdp.rows, mdp.rewards.shape),
        )

    @property
    def available(self) -> NDArray[np.bool_]:
        """(S, A) mask of the actions that may be taken."""
        return np.asarray(self.rewards != -np.inf, dtype=bool)


class Response(NamedTuple):
    """The adversary's answer to values.

    kernel (S, A, S) of worst members (nominal rows where an action is not available); rewards
    (S, A) with what a penalised adversary pays; action_values (S, A) of one step under both.
    """

    kernel: FractionArray
    rewards: FractionArray
    action_values: FractionArray


class Outcome(NamedTuple):
    """Exact values (S,) of a policy (S, A), the answer to them, and how many it took to find it.

    Under the response's kernel and rewards the policy has these values.
    """

    values: FractionArray
    policy: FractionArray
    response: Response
    iterations: int


def respond(model: RationalModel, values: FractionArray) -> Response:
    """Return the worst member of every row for `values` (S,), and what it makes of the actions."""
    answer = Response(model.transitions.copy(), model.rewards.copy(), model.rewards.copy())
    for s, a in np.argwhere(model.available):
        nominal, row = model.transitions[s, a], int(s) * model.rewards.shape[1] + int(a)
        member, paid = worst_member(model.uncertainty, values, nominal, row)
        answer.kernel[s, a] = member
        answer.rewards[s, a] += model.discount * paid
        answer.action_values[s, a] = answer.rewards[s, a] + model.discount * (member @ values)
    return answer


def evaluate(
    model: RationalModel,
    policy: FractionArray,
    values: FractionArray,
    max_iterations: int = 1_000_000,
) -> Outcome:
    """Return the robust value of a policy (S, A): the adversary's policy iteration from `values`.

    Each answer to the values is evaluated until one leaves them as they are. Raises ValueError
    if that takes more than `max_iterations` answers.
    """
    for iteration in range(1, max_iterations + 1):
        response = respond(model, values)
        image = (policy * np.where(policy != 0, response.action_values, 0)).sum(axis=1)
        if np.all(image == values):
            return Outcome(values, policy, response, iteration)
        values = policy_values(response.kernel, response.rewards, model.discount, policy)
    raise ValueError(f"max_iterations is {max_iterations}; exact evaluation needs more")


def optimum(model: RationalModel, max_iterations: int = 1000) -> Outcome:
    """Return the robust optimum by evaluating deterministic policies and improving them.

    An action is changed only for a strict improvement, so the iteration ends. Raises ValueError
    if it takes more than `max_iterations` improvements.
    """
    values = to_fractions(np.zeros(len(model.rewards)))
    policy = to_fractions(greedy(model.rewards))
    for iteration in range(1, max_iterations + 1):
        found = evaluate(model, policy, values)
        values = found.values
        improved = improvement(policy, found.response.action_values, values)
        if improved is policy:
            return found._replace(iterations=iteration)
        policy = improved
    raise ValueError(f"max_iterations is {max_iterations}; exact policy iteration needs more")


def improvement(
    policy: FractionArray, action_values: FractionArray, values: FractionArray
) -> FractionArray:
    """Return the policy (S, A) with greedy rows where they gain something; itself if nowhere."""
    gains = action_values.max(axis=1) > values
    if not gains.any():
        return policy
    return np.where(gains[:, None], to_fractions(greedy(action_values)), policy)


def policy_values(
    kernel: FractionArray, rewards: FractionArray, discount: Fraction, policy: FractionArray
) -> FractionArray:
    """Return the value (S,) of a policy (S, A) under a kernel (S, A, S) and rewards (S, A)."""
    matrix, right = to_fractions(np.eye(len(policy))), to_fractions(np.zeros(len(policy)))
    for s, a in np.argwhere(policy != 0):
        matrix[s] -= discount * policy[s, a] * kernel[s, a]
        right[s] += policy[s, a] * rewards[s, a]
    return solve(matrix, right)
