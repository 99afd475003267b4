"""One state whose actions share a total-variation radius, exactly: the water level.

Mass stripped from a state of value v lowers an action at the rate discount * (v - min v), so every
action sinks convexly and piecewise linearly in the budget spent on it. The adversary pushes all
actions down to one level; the agent mixes those at the level by the inverses of their rates.
Source: Ho, Petrik and Wiesemann (2021); Wiesemann, Kuhn and Rustem (2013).
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.uncertainty.rational import strip
from rltheory.theory import exact, robust_exact
from rltheory.theory.exact import Rows, fractions

Steps = list[tuple[Fraction, Fraction]]
"""What lowers an action: (rate, capacity) of each part of its mass, the steepest first."""


class Outcome(NamedTuple):
    """Values (S,) of a policy (S, A), and the kernel (S, A, S) under which it has them."""

    values: FractionArray
    policy: FractionArray
    kernel: FractionArray


class State(NamedTuple):
    """heights (A,): action values before anything is spent; steps: what lowers each of them."""

    heights: FractionArray
    steps: list[Steps]


class Saddle(NamedTuple):
    """level: the value of the game; policy (A,) secures it; budgets (A,) allow no more."""

    level: Fraction
    policy: FractionArray
    budgets: FractionArray


def states(mdp: DiscountedMDP, values: FractionArray) -> list[State]:
    """Return every state as seen from `values` (S,)."""
    transitions, _, discount = exact.model(mdp)
    rates = discount * (values - values.min())
    order = [i for i in np.argsort(-values, kind="stable") if rates[i] > 0]
    heights = robust_exact.backup(mdp, transitions, values)
    return [
        State(heights[s], [[(rates[i], row[i]) for i in order if row[i]] for row in transitions[s]])
        for s in range(mdp.states)
    ]


def saddle(state: State, radius: Fraction) -> Saddle:
    """Return the saddle point of a state with a shared radius."""
    heights, steps = state
    floors = [h - sum(rate * part for rate, part in s) for h, s in zip(heights, steps, strict=True)]
    above, needed = heights.max(), Fraction(0)
    for below in _knots(heights, steps, max(floors)):
        parts = [_push(s, h - below) for h, s in zip(heights, steps, strict=True)]
        total = sum((used for used, _ in parts), start=Fraction(0))
        if total > radius:
            level = above - (radius - needed) * (above - below) / (total - needed)
            inverse = fractions([1 / rate if rate else Fraction(0) for _, rate in parts])
            budgets = [_push(s, h - level)[0] for h, s in zip(heights, steps, strict=True)]
            return Saddle(level, inverse / inverse.sum(), fractions(budgets))
        above, needed = below, total
    # Nothing pushes the action with the highest floor any further.
    keeper = fractions(np.eye(len(heights))[floors.index(max(floors))])
    budgets = [_push(s, h - above)[0] for h, s in zip(heights, steps, strict=True)]
    return Saddle(above, keeper, fractions(budgets))


def _knots(heights: FractionArray, steps: list[Steps], floor: Fraction) -> list[Fraction]:
    """Return where an action's rate changes, from the top down to the highest floor."""
    knots = {*heights}
    for h, parts in zip(heights, steps, strict=True):
        for rate, part in parts:
            h -= rate * part
            knots.add(h)
    return sorted((k for k in knots if floor <= k < heights.max()), reverse=True)


def _push(steps: Steps, drop: Fraction) -> tuple[Fraction, Fraction]:
    """Return the budget that lowers an action by `drop`, and the rate at its end; zeros if <= 0."""
    used, last = Fraction(0), Fraction(0)
    for rate, part in steps:
        if drop <= 0:
            break
        last = rate
        used += min(part, drop / rate)
        drop -= rate * part
    return used, last


def spend(state: State, policy: FractionArray, radius: Fraction) -> tuple[Fraction, FractionArray]:
    """Return the least value of a mixture of actions (A,) and the budgets (A,) that allow it."""
    offers = [
        (weight * rate, a, part)
        for a, (weight, steps) in enumerate(zip(policy, state.steps, strict=True))
        for rate, part in steps
    ]
    value, budgets = policy @ state.heights, fractions(np.zeros(len(policy)))
    for gain, a, part in sorted(offers, reverse=True):
        taken = min(part, radius)
        value, radius = value - gain * taken, radius - taken
        budgets[a] += taken
    return Fraction(value), budgets


def lowered(state: State, budgets: FractionArray) -> FractionArray:
    """Return the values (A,) of the actions after the given budgets are spent on them."""
    result = state.heights.copy()
    for a, left in enumerate(budgets):
        for rate, part in state.steps[a]:
            taken = min(part, left)
            result[a], left = result[a] - rate * taken, left - taken
    return result


def shared_backup(mdp: DiscountedMDP, radius: Fraction, values: FractionArray) -> FractionArray:
    """Return the s-rectangular optimality operator in total variation, shape (S,)."""
    return fractions([saddle(state, radius).level for state in states(mdp, values)])


def evaluate(mdp: DiscountedMDP, radius: Fraction, policy: Rows) -> Outcome:
    """Return the value of a policy against a radius shared by the actions of a state.

    The adversary's policy iteration: it has finitely many extreme ways to spend.
    """
    rows, kernel = fractions(policy), exact.model(mdp)[0]
    while True:
        values = robust_exact.kernel_values(mdp, kernel, rows)
        found = [
            spend(state, row, radius) for state, row in zip(states(mdp, values), rows, strict=True)
        ]
        if np.all(fractions([value for value, _ in found]) == values):
            return Outcome(values, rows, kernel)
        kernel = spent_kernel(mdp, [budgets for _, budgets in found], values)


def spent_kernel(
    mdp: DiscountedMDP, budgets: list[FractionArray] | FractionArray, values: FractionArray
) -> FractionArray:
    """Return the kernel (S, A, S) that strips each row by its budget (S, A)."""
    nominal = exact.model(mdp)[0]
    worst = [
        [strip(row, values, b) for row, b in zip(rows, spent, strict=True)]
        for rows, spent in zip(nominal, budgets, strict=True)
    ]
    return np.array(worst, dtype=object)
