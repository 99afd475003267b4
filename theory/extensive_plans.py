"""Strategies in small extensive games, exact: behaviour, plans, pure strategies and their worth.

A plan is the own probability of every sequence of a player. Averages and mixtures are formed in
plans, as behaviour forgets how likely it is reached. All arrays hold Fractions.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise, product

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.games.exact.exact_form import ExactForm, exact_payoffs, fraction_array

Plan = FractionArray
"""Own probabilities of sequences, shape (slots + players,), empty sequences last."""


def uniform(form: ExactForm) -> FractionArray:
    """Return the profile (slots,) that plays all actions of a set equally often."""
    counts = np.diff(form.game.form.first).tolist()
    return fraction_array([Fraction(1, n) for n in counts for _ in range(n)])


def plan(form: ExactForm, strategies: FractionArray) -> Plan:
    """Return the own probability of every sequence (slots + players,) under a profile."""
    reach = [*strategies, *[Fraction(1)] * form.game.players]
    parents = form.game.form.parent.tolist()
    for parent, (begin, end) in zip(parents, pairwise(form.game.form.first.tolist()), strict=True):
        for j in range(begin, end):
            reach[j] = reach[parent] * strategies[j]
    return fraction_array(reach)


def played(form: ExactForm, reach: Plan) -> FractionArray:
    """Return the profile (slots,) of plans, uniform at sets that they never reach."""
    strategies = uniform(form)
    parents = form.game.form.parent.tolist()
    for parent, (begin, end) in zip(parents, pairwise(form.game.form.first.tolist()), strict=True):
        if reach[parent]:
            strategies[begin:end] = reach[begin:end] / reach[parent]
    return strategies


def average(
    form: ExactForm,
    profiles: Sequence[FractionArray],
    weights: Sequence[int] | Sequence[Fraction] | None = None,
) -> FractionArray:
    """Return the reach-weighted average (slots,): the profile of the mean of the plans."""
    counts = [Fraction(w) for w in ([1] * len(profiles) if weights is None else weights)]
    total = sum(w * plan(form, x) for w, x in zip(counts, profiles, strict=True))
    return played(form, np.asarray(total / sum(counts, Fraction(0))))


def unweighted(profiles: Sequence[FractionArray]) -> FractionArray:
    """Return the mean of behaviour strategies (slots,), whatever their reach."""
    return np.asarray(sum(profiles[1:], profiles[0]) / Fraction(len(profiles)))


def change(
    form: ExactForm, strategies: FractionArray, player: int, others: FractionArray
) -> FractionArray:
    """Return the profile `strategies` with the player's part taken from `others`."""
    mixed = strategies.copy()
    mixed[own(form, player)] = others[own(form, player)]
    return mixed


def own(form: ExactForm, player: int) -> slice:
    """Return the slots of a player."""
    return slice(*form.game.form.slot_start[player : player + 2].tolist())


def sets(form: ExactForm, player: int) -> list[tuple[int, slice]]:
    """Return parent and slots of each of a player's information sets, early ones first."""
    f = form.game.form
    begin, end = f.infoset_start[player : player + 2].tolist()
    first = f.first.tolist()
    return [(int(f.parent[i]), slice(first[i], first[i + 1])) for i in range(begin, end)]


def pure_profiles(form: ExactForm, player: int) -> Iterator[FractionArray]:
    """Yield every pure strategy of a player, reduced or not, as slots of zeros and ones."""
    zero = fraction_array([Fraction(0)] * form.game.slots)
    choices = [range(slots.start, slots.stop) for _, slots in sets(form, player)]
    for chosen in product(*choices):
        pure = zero.copy()
        pure[list(chosen)] = Fraction(1)
        yield pure


def pure_count(form: ExactForm, player: int) -> int:
    """Return how many pure strategies a player has, unreduced."""
    count = 1
    for _, slots in sets(form, player):
        count *= slots.stop - slots.start
    return count


def leaf_chances(form: ExactForm, reach: Plan) -> FractionArray:
    """Return the product of all players' plans at each leaf, (leaves,); nature's part left out."""
    return np.asarray(reach[form.leaf_slots].prod(axis=1))


def others_reach(form: ExactForm, reach: Plan) -> FractionArray:
    """Return how likely nature and the others let each leaf happen, (leaves, players).

    The product of the other players' plans; nature's chance is in `form.paid` already.
    """
    result = np.empty(form.leaf_slots.shape, dtype=object)
    for p in range(form.game.players):
        chosen = reach[np.delete(form.leaf_slots, p, axis=1)]
        result[:, p] = chosen.prod(axis=1) if chosen.shape[1] else Fraction(1)
    return result


def worths(form: ExactForm, profiles: Sequence[FractionArray], player: int) -> FractionArray:
    """Return what leaves right after each sequence of a player pay in sum, (slots + players,)."""
    worth = fraction_array([Fraction(0)] * (form.game.slots + form.game.players))
    for strategies in profiles:
        weights = others_reach(form, plan(form, strategies))[:, player]
        np.add.at(worth, form.leaf_slots[:, player], weights * form.paid[:, player])
    return worth


def full_regrets(form: ExactForm, profiles: Sequence[FractionArray]) -> list[Fraction]:
    """Return each player's regret over a sequence of profiles for the best strategy in hindsight.

    The sum over rounds of u(best, others) - u(profile): by one pass of backward induction over the
    summed payoffs of the player's sequences.
    """
    regrets = []
    for p in range(form.game.players):
        worth = worths(form, profiles, p)
        for parent, slots in reversed(sets(form, p)):
            worth[parent] += max(worth[slots])
        earned = sum((exact_payoffs(form, x)[p] for x in profiles), Fraction(0))
        regrets.append(worth[form.game.slots + p] - earned)
    return regrets


def plan_payoffs(form: ExactForm, rows: Sequence[Plan], columns: Sequence[Plan]) -> FractionArray:
    """Return what each pair of plans of two players pays player 0, (rows, columns)."""
    at = form.leaf_slots
    left = np.array([x[at[:, 0]] for x in rows], dtype=object)
    right = np.array([y[at[:, 1]] for y in columns], dtype=object)
    return np.asarray((left * form.paid[:, 0]) @ right.T)


def pure_matrix(form: ExactForm) -> FractionArray:
    """Return what each pair of unreduced pure strategies of two players pays player 0, (m, n)."""
    rows, columns = (
        [plan(form, pure) for pure in pure_profiles(form, player)] for player in range(2)
    )
    return plan_payoffs(form, rows, columns)
