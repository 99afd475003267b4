"""Small constrained MDPs solved exactly twice: by a program over occupancies, and by a table.

Optima come from a rational simplex method; duals and best responses from a table of all
deterministic policies. Source: Altman (1999), chapter 3.
"""

from fractions import Fraction
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

from rltheory.analysis.arrays import FloatArray, IntArray
from rltheory.analysis.rational import FractionArray
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.policies import one_hot
from rltheory.theory import exact, instances, rational_lp
from rltheory.theory.exact import fractions
from rltheory.theory.tape import Tape


class Table(NamedTuple):
    """All deterministic policies: occupancies (n, S, A), V_r (n,) and V_c (n,) from the start."""

    occupancies: FractionArray
    values: FractionArray
    costs: FractionArray


class Limited(NamedTuple):
    """An MDP, one cost (S, A), a budget, and what an instance draws besides."""

    mdp: DiscountedMDP
    cost: FloatArray
    budget: Fraction
    number: Fraction
    rounds: int


class Several(NamedTuple):
    """An MDP, costs (m, S, A), and a deterministic policy (S,) that meets the budgets (m,)."""

    mdp: DiscountedMDP
    costs: FloatArray
    anchor: IntArray
    budgets: FractionArray


def optimum(instance: Several) -> tuple[Fraction, FractionArray]:
    """Return the best value within the budgets, and the occupancy (S, A) of a basic optimum."""
    mdp, costs, anchor, budgets = instance
    transitions, rewards, discount = exact.model(mdp)
    states, actions = rewards.shape
    charges = fractions(costs).reshape(len(costs), -1)
    flow = np.repeat(exact.identity(states), actions, axis=1)
    flow = flow - discount * transitions.reshape(-1, states).T
    # One slack for each budget; the anchor's pairs and the slacks are the first basis.
    idle = np.full((states, len(costs)), Fraction(0), dtype=object)
    upper = np.concatenate([flow, idle], axis=1)
    lower = np.concatenate([charges, exact.identity(len(costs))], axis=1)
    right = np.concatenate([fractions(mdp.initial), budgets]) * (1 - discount)
    objective = np.concatenate([-rewards.ravel(), idle[0]])
    pairs = [s * actions + int(a) for s, a in enumerate(anchor)]
    basis = pairs + [states * actions + i for i in range(len(costs))]
    least, solution = rational_lp.minimise(objective, np.concatenate([upper, lower]), right, basis)
    found = solution[: states * actions].reshape(states, actions)
    return -least / (1 - discount), found


@lru_cache(maxsize=8)
def _occupancies(mdp: DiscountedMDP) -> FractionArray:
    plans = product(range(mdp.actions), repeat=mdp.states)
    return np.array([exact.occupancy(mdp, one_hot(np.array(plan), mdp.actions)) for plan in plans])


def table(mdp: DiscountedMDP, cost: FloatArray) -> Table:
    """Evaluate all deterministic policies."""
    flows, scale = _occupancies(mdp), 1 - Fraction(mdp.discount)
    values = (flows * fractions(mdp.rewards)).sum(axis=(1, 2)) / scale
    return Table(flows, values, (flows * fractions(cost)).sum(axis=(1, 2)) / scale)


def dual_minimum(found: Table, budget: Fraction) -> tuple[Fraction, Fraction]:
    """Return the least of max over policies of V_r - l (V_c - budget), l >= 0, and its place.

    The budget must exceed the least cost. Two lines of opposite slope meet; a policy above their
    meeting takes the place of one of them, until there is none.
    """
    excess = found.costs - budget
    rising, falling = int(excess.argmin()), response(found, Fraction(0))
    if excess[falling] <= 0:
        return Fraction(found.values[falling]), Fraction(0)
    while True:
        gain = found.values[falling] - found.values[rising]
        price = gain / (excess[falling] - excess[rising])
        level = found.values[falling] - price * excess[falling]
        heights = found.values - price * excess
        best = int(heights.argmax())
        if heights[best] <= level:
            return Fraction(level), Fraction(price)
        if excess[best] > 0:
            falling = best
        else:
            rising = best


def response(found: Table, price: Fraction) -> int:
    """Return the first best response to a multiplier; of those to 0, the cheapest."""
    heights = found.values - price * found.costs
    best = np.flatnonzero(heights == heights.max())
    return int(best[found.costs[best].argmin()] if price == 0 else best[0])


def sample_limited(tape: Tape, size: int) -> Limited:
    """Draw an MDP and a budget between the least cost and that of the best policy."""
    model = instances.mdp(tape, size, tape.integer(2, 3), instances.discount(tape, high=12))
    cost = tape.dyadic((size, model.actions))
    if tape.integer(0, 1):
        # What pays is what costs, more or less: budgets bind.
        cost = (cost + 3 * model.rewards) / 4
    found = table(model, cost)
    least, free = found.costs.min(), found.costs[response(found, Fraction(0))]
    share = Fraction(tape.integer(1, 15), 16)
    budget = Fraction(least + share * (free - least if free > least else 1))
    return Limited(model, cost, budget, Fraction(tape.integer(1, 31), 16), tape.integer(1, 6))


def as_several(instance: Limited) -> Several:
    """Return the instance with its cheapest deterministic policy as the anchor."""
    mdp, cost, budget = instance[:3]
    flow = table(mdp, cost)
    cheapest = flow.occupancies[int(flow.costs.argmin())]
    visited = cheapest.sum(axis=1) > 0
    # A state without visits may take any action.
    anchor = np.where(visited, (cheapest > 0).argmax(axis=1), 0)
    return Several(mdp, cost[None], anchor, np.array([budget], dtype=object))


def behaviour(flow: FractionArray) -> FractionArray:
    """Return the policies (..., S, A) of occupancies, uniform in states without visits."""
    totals = flow.sum(axis=-1)
    rows = np.full(flow.shape, Fraction(1, flow.shape[-1]), dtype=object)
    visited = totals > 0
    rows[visited] = flow[visited] / totals[visited][:, None]
    return rows
