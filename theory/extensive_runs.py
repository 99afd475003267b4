"""Runs of the CFR family in exact arithmetic, among themselves or against given opponents.

The variants' own functions are called on Fractions, with the simplest fractions behind the floats
of their schedules, so that nothing is rounded and nothing is written twice.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, simplest
from rltheory.games.exact.exact_form import ExactForm, exact_form, exact_regrets, fraction_array
from rltheory.games.forms.extensive import from_tree
from rltheory.games.forms.tree import TreeBuilder
from rltheory.games.regret.variant import Variant
from rltheory.theory import extensive_plans as plans
from rltheory.theory import game_instances as games

Schedule = Callable[[int], tuple[Fraction, ...]]
"""The numbers of a variant's iteration t = 1, 2, ..., exact."""

_NO_SIGNAL = (0.0, 0.0, 0.0, 0.0)


class Run(NamedTuple):
    """A run of CFR: profiles[t] was played in iteration t, regrets[t] came of it, both (slots,).

    between: for alternating updates the profiles that each player answered, [t][player]; for
    simultaneous ones profiles[t] every time. accumulated, final (slots,): what is left of the
    regrets, and the profile after the last update.
    """

    profiles: list[FractionArray]
    regrets: list[FractionArray]
    between: list[list[FractionArray]]
    accumulated: FractionArray
    final: FractionArray


def exact_schedule(variant: Variant, rounds: int) -> Schedule:
    """Return a variant's schedule with the simplest fractions behind its floats."""
    return lambda t: tuple(simplest(x) for x in variant.schedule(t, rounds))


def average_weights(variant: Variant, rounds: int) -> list[Fraction]:
    """Return what each iteration counts in the variant's average."""
    schedule = exact_schedule(variant, rounds)
    return [Fraction(variant.weight(schedule(t), _NO_SIGNAL)) for t in range(1, rounds + 1)]


def run(
    form: ExactForm,
    variant: Variant,
    rounds: int,
    *,
    alternating: bool = False,
    start: FractionArray | None = None,
    begin: int = 1,
) -> Run:
    """Run a variant with its own functions on Fractions; iterations begin, ..., begin + rounds - 1.

    start (slots,): what was accumulated before; the first profile is the variant's answer to it,
    uniform by default. For variants without signals whose functions only add, multiply and compare;
    others raise TypeError, as a float got in.
    """
    numbers = exact_schedule(variant, rounds)
    zero = fraction_array([Fraction(0)] * form.game.slots)
    accumulated = zero.copy() if start is None else start.copy()
    current = _matched(form, np.maximum(accumulated, zero))
    profiles, regrets, between = [], [], []
    memories = zero.copy()
    for t in range(begin, begin + rounds):
        c = numbers(t)
        profiles.append(current.copy())
        seen, gained = [], zero.copy()
        for p in range(form.game.players):
            seen.append(current.copy() if alternating else profiles[-1])
            if alternating or not p:
                instant = exact_regrets(form, seen[-1])
            mine = plans.own(form, p)
            gained[mine] = instant[mine]
            shares = current.copy()
            for j in range(mine.start, mine.stop):
                r = gained[j]
                R = _fraction(variant.regret(accumulated[j], r, c, _NO_SIGNAL))
                shares[j] = _fraction(variant.strategy(R, r, memories[j], c, _NO_SIGNAL))
                memories[j] = _fraction(variant.memory(R, r, memories[j], c))
                accumulated[j] = R
            current = plans.change(form, current, p, _matched(form, shares))
        regrets.append(gained)
        between.append(seen)
    return Run(profiles, regrets, between, accumulated, current)


def respond(form: ExactForm, variant: Variant, others: Sequence[FractionArray], rounds: int) -> Run:
    """Run a variant for player 0 against the other players' parts of given profiles."""
    zero = fraction_array([Fraction(0)] * form.game.slots)
    numbers = exact_schedule(variant, rounds)
    accumulated, current = zero.copy(), plans.uniform(form)
    mine = plans.own(form, 0)
    profiles, regrets = [], []
    for t in range(1, rounds + 1):
        profiles.append(plans.change(form, others[t - 1], 0, current))
        instant = exact_regrets(form, profiles[-1])
        gained = zero.copy()
        gained[mine] = instant[mine]
        shares = zero.copy()
        for j in range(mine.start, mine.stop):
            R = _fraction(variant.regret(accumulated[j], gained[j], numbers(t), _NO_SIGNAL))
            shares[j] = _fraction(
                variant.strategy(R, gained[j], Fraction(0), numbers(t), _NO_SIGNAL)
            )
            accumulated[j] = R
        current = _matched(form, shares)
        regrets.append(gained)
    return Run(profiles, regrets, [[x] for x in profiles], accumulated, current)


def contrary(rounds: int, actions: int, deals: int) -> tuple[ExactForm, list[FractionArray]]:
    """Return a game and strategies of player 1 against which CFR does badly for long.

    Player 1 picks one of `deals` information sets of player 0, who has `actions` there; then, not
    seeing the action, player 1 pays the first action, all the others, or nobody. The adversary of
    `game_instances.contrary` plays in each set in turn; "nobody" shortens its payoffs.
    """
    builder = TreeBuilder(2)
    root = builder.decision(-1, 1.0, 1, "pick", range(deals))
    for deal in range(deals):
        node = builder.decision(root, 1.0, 0, deal, range(actions))
        for action in range(actions):
            last = builder.decision(node, 1.0, 1, ("pay", deal), range(3))
            for gain in (action == 0, action != 0, False):
                builder.leaf(last, 1.0, [float(gain), -float(gain)])
    form = exact_form(from_tree(builder.finish()))
    gains = games.challenge(
        rounds, actions, lambda t, accumulated: games.contrary(accumulated), plus=False
    )
    others = []
    for paid in gains:
        weight, leader = max(paid), int(paid[0] > 0)
        for deal in range(deals):
            strategies = plans.uniform(form)
            for number, (_, slots) in enumerate(plans.sets(form, 1)):
                if number == 0:
                    row = [Fraction(int(k == deal)) for k in range(deals)]
                else:
                    row = [weight * leader, weight * (1 - leader), 1 - weight]
                strategies[slots] = row
            others.append(strategies)
    return form, others


def _matched(form: ExactForm, shares: FractionArray) -> FractionArray:
    """Return the profile (slots,) proportional to nonnegative shares, uniform where all are 0."""
    strategies = plans.uniform(form)
    for begin, end in pairwise(form.game.form.first.tolist()):
        total = shares[begin:end].sum()
        if total:
            strategies[begin:end] = shares[begin:end] / total
    return strategies


def _fraction(number: Fraction | float) -> Fraction:
    # The functions clip at the float 0.0, which is exact; any other float is a rounding.
    if isinstance(number, float) and number != 0.0:
        raise TypeError(f"a rule gave the float {number}; expected Fractions in, Fractions out")
    return Fraction(number)
