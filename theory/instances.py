"""Instances read off a tape: MDPs and policies with dyadic data, exact as rationals.

Rewards are multiples of 2 ** -10, probabilities of 2 ** -20 with rows that sum to exactly one,
discounts of 1/16; sparse and deterministic rows occur.
"""

from rltheory.analysis.arrays import FloatArray
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.theory.tape import Tape


def discount(tape: Tape, *, low: int = 0, high: int = 15) -> float:
    """Return k / 16 with low <= k <= high; by default all of 0, 1/16, ..., 15/16."""
    return tape.integer(low, high) / 16


def mdp(
    tape: Tape,
    states: int,
    actions: int,
    discount: float | None = None,
    *,
    rewards: tuple[float, float] = (0.0, 1.0),
) -> DiscountedMDP:
    """Return a discounted MDP; rewards in the given range; a discount of k / 16 unless given."""
    factor = tape.integer(0, 15) / 16 if discount is None else discount
    return DiscountedMDP(
        transitions=tape.simplex((states, actions, states)),
        rewards=tape.dyadic((states, actions), *rewards),
        discount=factor,
        initial=tape.simplex(states),
    )


def policy(tape: Tape, states: int, actions: int) -> FloatArray:
    """Return a stochastic policy, shape (states, actions), some rows deterministic."""
    return tape.simplex((states, actions))


def values(tape: Tape, states: int, low: float = -8.0, high: float = 8.0) -> FloatArray:
    """Return a vector of values, shape (states,), multiples of 2 ** -10 in [low, high]."""
    return tape.dyadic(states, low, high)
