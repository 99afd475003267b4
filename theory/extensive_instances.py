"""Small extensive games and runs of CFR in exact arithmetic, for theorem records.

Trees are read off a tape: chance moves, two or three players, information sets that join nodes
after the same own moves (perfect recall by construction). Chances and payoffs are short rationals,
so that everything computed from them is a Fraction without rounding.
"""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, simplest
from rltheory.games.exact.exact_form import (
    ExactForm,
    exact_form,
    exact_payoffs,
    exact_regrets,
    fraction_array,
)
from rltheory.games.forms.extensive import from_tree
from rltheory.games.forms.tree import CHANCE, TERMINAL, GameTree, TreeBuilder
from rltheory.games.regret.variant import Variant
from rltheory.theory import game_instances as games
from rltheory.theory.tape import Tape

Schedule = Callable[[int], tuple[Fraction, ...]]
"""The numbers of a variant's iteration t = 1, 2, ..., exact."""

Moves = tuple[tuple[int, int], ...]
"""A player's own moves so far: marks of information sets, and actions."""

Plan = FractionArray
"""Own probabilities of sequences, shape (slots + players,), empty sequences last."""

_NO_SIGNAL = (0.0, 0.0, 0.0, 0.0)
_LARGEST = 3


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


def tree(tape: Tape, depth: int, *, players: int = 2, zero_sum: bool = True) -> GameTree:
    """Return a tree of at most `depth` moves in a row, two or three at a node, off a tape.

    Payoffs are integers from -4 to 4 but for the last player's in a zero-sum game; chances are
    multiples of 1/4.
    """
    builder = TreeBuilder(players)
    sets: dict[tuple[object, ...], list[int]] = {}
    count = 0
    stack: list[tuple[int, float, int, tuple[Moves, ...]]] = [(-1, 1.0, 0, ((),) * players)]
    while stack:
        parent, chance, level, own = stack.pop()
        kind = tape.integer(0, 8)
        if level == depth or (level and kind == 0):
            payoffs = [tape.integer(-4, 4) for _ in range(players - zero_sum)]
            builder.leaf(parent, chance, [*payoffs, -sum(payoffs)] if zero_sum else payoffs)
            continue
        if level and kind <= 2:
            node = builder.chance(parent, chance, 2)
            first = tape.integer(1, 3) / 4
            below = [(node, x, level + 1, own) for x in (1 - first, first)]
        else:
            degree = 2 if level else tape.integer(2, _LARGEST)
            player = kind % players
            group = sets.setdefault((player, degree, own[player]), [])
            at = tape.integer(0, 3)
            if not group or at == 3:
                group.append(count)
                count += 1
                at = len(group) - 1
            mark = group[at % len(group)]
            node = builder.decision(parent, chance, player, mark, range(degree))
            below = [
                (
                    node,
                    1.0,
                    level + 1,
                    (*own[:player], (*own[player], (mark, a)), *own[player + 1 :]),
                )
                for a in reversed(range(degree))
            ]
        stack += below
    return builder.finish()


def game(tape: Tape, depth: int, *, players: int = 2, zero_sum: bool = True) -> ExactForm:
    """Return the exact sequence form of a tree off the tape; arguments as for `tree`."""
    return exact_form(from_tree(tree(tape, depth, players=players, zero_sum=zero_sum)))


def one_shot(tape: Tape, actions: int) -> ExactForm:
    """Return a zero-sum game of two players with one set each, payoffs from -4 to 4."""
    builder = TreeBuilder(2)
    root = builder.decision(-1, 1.0, 0, "row", range(actions))
    for _ in range(actions):
        node = builder.decision(root, 1.0, 1, "column", range(actions))
        for _ in range(actions):
            paid = float(tape.integer(-4, 4))
            builder.leaf(node, 1.0, [paid, -paid])
    return exact_form(from_tree(builder.finish()))


def profile(tape: Tape, form: ExactForm) -> FractionArray:
    """Return behaviour strategies (slots,) in short fractions, pure ones among them."""
    shares: list[Fraction] = []
    for begin, end in pairwise(form.game.form.first.tolist()):
        weights = [max(tape.integer(-2, 4), 0) for _ in range(end - begin)]
        weights[tape.integer(0, end - begin - 1)] += not any(weights)
        shares += [Fraction(w, sum(weights)) for w in weights]
    return fraction_array(shares)


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


def others_reach(form: ExactForm, reach: Plan) -> FractionArray:
    """Return how likely nature and the others let each leaf happen, (leaves, players).

    The product of the other players' plans; nature's chance is in `form.paid` already.
    """
    result = np.empty(form.leaf_slots.shape, dtype=object)
    for p in range(form.game.players):
        chosen = reach[np.delete(form.leaf_slots, p, axis=1)]
        result[:, p] = chosen.prod(axis=1) if chosen.shape[1] else Fraction(1)
    return result


def own(form: ExactForm, player: int) -> slice:
    """Return the slots of a player."""
    return slice(*form.game.form.slot_start[player : player + 2].tolist())


def sets(form: ExactForm, player: int) -> list[tuple[int, slice]]:
    """Return parent and slots of each of a player's information sets, early ones first."""
    f = form.game.form
    begin, end = f.infoset_start[player : player + 2].tolist()
    first = f.first.tolist()
    return [(int(f.parent[i]), slice(first[i], first[i + 1])) for i in range(begin, end)]


def change(
    form: ExactForm, strategies: FractionArray, player: int, others: FractionArray
) -> FractionArray:
    """Return the profile `strategies` with the player's part taken from `others`."""
    mixed = strategies.copy()
    mixed[own(form, player)] = others[own(form, player)]
    return mixed


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


def worths(form: ExactForm, profiles: Sequence[FractionArray], player: int) -> FractionArray:
    """Return what leaves right after each sequence of a player pay in sum, (slots + players,)."""
    worth = fraction_array([Fraction(0)] * (form.game.slots + form.game.players))
    for strategies in profiles:
        weights = others_reach(form, plan(form, strategies))[:, player]
        np.add.at(worth, form.leaf_slots[:, player], weights * form.paid[:, player])
    return worth


def matched(form: ExactForm, shares: FractionArray) -> FractionArray:
    """Return the profile (slots,) proportional to nonnegative shares, uniform where all are 0."""
    strategies = uniform(form)
    for begin, end in pairwise(form.game.form.first.tolist()):
        total = shares[begin:end].sum()
        if total:
            strategies[begin:end] = shares[begin:end] / total
    return strategies


def exact_schedule(variant: Variant, rounds: int) -> Schedule:
    """Return a variant's schedule with the simplest fractions behind its floats."""
    return lambda t: tuple(simplest(x) for x in variant.schedule(t, rounds))


def run(
    form: ExactForm,
    variant: Variant,
    rounds: int,
    *,
    schedule: Schedule | None = None,
    alternating: bool = False,
    start: FractionArray | None = None,
    begin: int = 1,
) -> Run:
    """Run a variant with its own functions on Fractions; iterations begin, ..., begin + rounds - 1.

    start (slots,): what was accumulated before; the first profile is the variant's answer to it,
    uniform by default. For variants without signals whose functions only add, multiply and compare;
    others raise TypeError, as a float got in.
    """
    numbers = schedule or exact_schedule(variant, rounds)
    zero = fraction_array([Fraction(0)] * form.game.slots)
    accumulated = zero.copy() if start is None else start.copy()
    current = matched(form, np.maximum(accumulated, zero))
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
            gained[own(form, p)] = instant[own(form, p)]
            shares = current.copy()
            for j in range(own(form, p).start, own(form, p).stop):
                r = gained[j]
                R = _fraction(variant.regret(accumulated[j], r, c, _NO_SIGNAL))
                shares[j] = _fraction(variant.strategy(R, r, memories[j], c, _NO_SIGNAL))
                memories[j] = _fraction(variant.memory(R, r, memories[j], c))
                accumulated[j] = R
            current = change(form, current, p, matched(form, shares))
        regrets.append(gained)
        between.append(seen)
    return Run(profiles, regrets, between, accumulated, current)


def _fraction(number: Fraction | float) -> Fraction:
    # The functions clip at the float 0.0, which is exact; any other float is a rounding.
    if isinstance(number, float) and number != 0.0:
        raise TypeError(f"a rule gave the float {number}; expected Fractions in, Fractions out")
    return Fraction(number)


def leaf_chances(form: ExactForm, reach: Plan) -> FractionArray:
    """Return the product of all players' plans at each leaf, (leaves,); nature's part left out."""
    return np.asarray(reach[form.leaf_slots].prod(axis=1))


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


def counterfactual(
    tree: GameTree, strategies: FractionArray, first: Sequence[int], player: int
) -> FractionArray:
    """Return v(I, a) of a player's slots by a walk of the tree, whatever its recall; 0 elsewhere.

    The sum over nodes of I of nature's and the others' chance of it times what is expected after a.
    first (infosets + 1,): where the slots of each set start.
    """
    values = fraction_array([Fraction(0)] * len(strategies))

    def below(node: int, others: Fraction) -> Fraction:
        mover = int(tree.to_move[node])
        if mover == TERMINAL:
            return Fraction(float(tree.payoffs[node, player]))
        total = Fraction(0)
        edges = range(int(tree.first_child[node]), int(tree.first_child[node + 1]))
        for a, edge in enumerate(edges):
            if mover == CHANCE:
                slot, step = -1, simplest(float(tree.probability[edge]))
            else:
                slot = int(first[tree.infoset[node]]) + a
                step = strategies[slot]
            worth = below(int(tree.child[edge]), others if mover == player else others * step)
            if mover == player:
                values[slot] += others * worth
            total += step * worth
        return total

    below(0, Fraction(1))
    return values


def respond(form: ExactForm, variant: Variant, others: Sequence[FractionArray], rounds: int) -> Run:
    """Run a variant for player 0 against the other players' parts of given profiles."""
    zero = fraction_array([Fraction(0)] * form.game.slots)
    numbers = exact_schedule(variant, rounds)
    accumulated, current = zero.copy(), uniform(form)
    mine = own(form, 0)
    profiles, regrets = [], []
    for t in range(1, rounds + 1):
        profiles.append(change(form, others[t - 1], 0, current))
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
        current = matched(form, shares)
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
            strategies = uniform(form)
            for number, (_, slots) in enumerate(sets(form, 1)):
                if number == 0:
                    row = [Fraction(int(k == deal)) for k in range(deals)]
                else:
                    row = [weight * leader, weight * (1 - leader), 1 - weight]
                strategies[slots] = row
            others.append(strategies)
    return form, others


def node_chances(
    tree: GameTree, strategies: FractionArray, first: Sequence[int]
) -> dict[int, Fraction]:
    """Return each node's chance under a profile (slots,), whatever the recall.

    first (infosets + 1,): where the slots of each set start.
    """
    chances = {0: Fraction(1)}
    # Depth first: a node comes before all below it.
    for node in range(tree.nodes):
        for a, edge in enumerate(range(tree.first_child[node], tree.first_child[node + 1])):
            if tree.to_move[node] == CHANCE:
                step = simplest(float(tree.probability[edge]))
            else:
                step = strategies[first[tree.infoset[node]] + a]
            chances[int(tree.child[edge])] = chances[node] * step
    return chances


def tree_payoffs(
    tree: GameTree, strategies: FractionArray, first: Sequence[int]
) -> tuple[Fraction, ...]:
    """Return what each player expects under a profile (slots,), whatever the recall."""
    totals = [Fraction(0)] * tree.players
    for node, chance in node_chances(tree, strategies, first).items():
        if tree.to_move[node] == TERMINAL:
            totals = [
                total + chance * Fraction(float(x))
                for total, x in zip(totals, tree.payoffs[node], strict=True)
            ]
    return tuple(totals)


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
