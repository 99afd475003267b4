"""Regret in extensive games, and how it splits over a player's information sets.

All of it is exact: sums of products of short rationals, over trees that are read off a tape.
"""

from fractions import Fraction
from typing import NamedTuple

from rltheory.analysis.rational import FractionArray
from rltheory.games.exact.exact_form import (
    ExactForm,
    exact_form,
    exact_payoffs,
    exact_regrets,
    fraction_array,
)
from rltheory.games.forms.extensive import from_tree
from rltheory.games.forms.tree import GameTree, TreeBuilder
from rltheory.theory import extensive_instances as ext
from rltheory.theory import extensive_plans as plans
from rltheory.theory import extensive_walks as walks
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Profiles(NamedTuple):
    """A game, profiles (slots,) of its rounds and how much each round counts."""

    form: ExactForm
    rounds: list[FractionArray]
    weights: list[int]


def sample_profiles(tape: Tape, depth: int, *, zero_sum: bool = False) -> Profiles:
    """Draw a game of two players, or three if payoffs need not sum to 0, and up to 3 profiles."""
    players = 2 if zero_sum else tape.integer(2, 3)
    form = ext.game(tape, depth, players=players, zero_sum=zero_sum)
    rounds = [ext.profile(tape, form) for _ in range(tape.integer(1, 3))]
    return Profiles(form, rounds, [tape.integer(1, 4) for _ in rounds])


def _sets_of(form: ExactForm) -> list[list[slice]]:
    return [[slots for _, slots in plans.sets(form, p)] for p in range(form.game.players)]


def _decomposition(instance: Profiles, floor: Fraction | None) -> tuple[Side, Side]:
    form, rounds, _ = instance
    total = sum((exact_regrets(form, x) for x in rounds[1:]), exact_regrets(form, rounds[0]))
    worst = [[max(total[slots]) for slots in sets] for sets in _sets_of(form)]
    bounds = [
        sum((x if floor is None else max(x, floor) for x in sets), Fraction(0)) for sets in worst
    ]
    return fraction_array(plans.full_regrets(form, rounds)), fraction_array(bounds)


def decomposition_sides(instance: Profiles) -> tuple[Side, Side]:
    """Return each player's regret and the sum of the positive regrets of the player's sets."""
    return _decomposition(instance, Fraction(0))


def _followed() -> Profiles:
    """Return two rounds of a player who stays out for 2, and would have won both pennies inside."""
    form = exact_form(from_tree(pennies(out=2.0)))
    # Slots: in, out; heads, tails; the opponent's heads, tails.
    rounds = [[0, 1, 1, 0, 1, 0], [0, 1, 0, 1, 0, 1]]
    return Profiles(form, [fraction_array([Fraction(x) for x in row]) for row in rounds], [1, 1])


def pennies(out: float) -> GameTree:
    """Return a tree: player 0 stays out, or goes in and matches a penny of player 1 for 0 or 2."""
    builder = TreeBuilder(2)
    root = builder.decision(-1, 1.0, 0, "enter", ("in", "out"))
    node = builder.decision(root, 1.0, 0, "show", ("heads", "tails"))
    for shown in range(2):
        guess = builder.decision(node, 1.0, 1, "guess", ("heads", "tails"))
        for guessed in range(2):
            builder.leaf(guess, 1.0, [2.0 * (shown == guessed), -2.0 * (shown == guessed)])
    builder.leaf(root, 1.0, [out, -out])
    return builder.finish()


DECOMPOSITION = Theorem(
    id="cfr/decomposition",
    title="Regret is at most the sum of the positive counterfactual regrets",
    source="Zinkevich, Johanson, Bowling and Piccione (2007), Theorem 3",
    statement=(
        r"\max_{\sigma_i'} \sum_{t \le T} u_i(\sigma_i', \sigma_{-i}^t) - u_i(\sigma^t) \le "
        r"\sum_{I \in \mathcal{I}_i} \Bigl[\max_a \sum_{t \le T} r^t(I, a)\Bigr]_+"
    ),
    hypotheses=(
        "any profiles, any number of players, any payoffs",
        "perfect recall",
        r"$r^t(I,a) = v^t(I,a) - \sum_b \sigma^t(I,b)\, v^t(I,b)$ with counterfactual values $v^t$",
    ),
    kind="inequality",
    sample=sample_profiles,
    sides=decomposition_sides,
    control=Control(
        name="without the positive part",
        explanation="Sets where every action is regretted less than nothing are subtracted.",
        sides=lambda instance: _decomposition(instance, None),
        sample=lambda tape, depth: _followed(),
    ),
    notes="Attained wherever a player has one information set; see cfr/laminar for the equality.",
    sizes=(2, 3, 4),
    cost=2.0,
    sharpness=0.999,
)


class TwoMoves(NamedTuple):
    """One player moves twice; payoffs (2, 2); whether the second move knows the first."""

    payoffs: FractionArray
    knows: bool


def recall_sides(instance: TwoMoves) -> tuple[Side, Side]:
    """Return 1 plus the positive regrets of the sets, and 1 plus the regret, at first actions."""
    payoffs, knows = instance
    builder = TreeBuilder(1)
    root = builder.decision(-1, 1.0, 0, "first", range(2))
    for x in range(2):
        node = builder.decision(root, 1.0, 0, ("second", x if knows else 0), range(2))
        for y in range(2):
            builder.leaf(node, 1.0, [float(payoffs[x, y])])
    tree = builder.finish()
    first = list(range(0, 2 * int(tree.infoset_start[-1]) + 1, 2))
    strategies = fraction_array([Fraction(1), Fraction(0)] * int(tree.infoset_start[-1]))
    values = walks.counterfactual(tree, strategies, first, 0)
    # The first action is played everywhere.
    regrets = [max(values[j : j + 2]) - values[j] for j in first[:-1]]
    return 1 + sum(regrets, Fraction(0)), 1 + payoffs.max() - payoffs[0, 0]


def _alike(knows: bool) -> TwoMoves:
    payoffs = fraction_array([Fraction(x) for x in (0, -1, 0, 1)]).reshape(2, 2)
    return TwoMoves(payoffs, knows)


NEEDS_RECALL = Theorem(
    id="cfr/decomposition-needs-recall",
    title="Without perfect recall there is regret where no information set has any",
    source=(
        "derived here, for the hypothesis of Zinkevich et al. (2007), Theorem 3; Lanctot, Gibson, "
        "Burch, Zinkevich and Bowling (2012) say which imperfect recall keeps the bound"
    ),
    statement=(
        r"1 + \sum_I \bigl[\max_a r(I, a)\bigr]_+ < 1 + \max_{\sigma_i'} u_i(\sigma_i', "
        r"\sigma_{-i}) - u_i(\sigma)"
    ),
    hypotheses=(
        "one player moves twice and has forgotten the first move at the second: two sets",
        "payoffs 0 and -1 after the first action, 0 and 1 after the second; first actions played",
    ),
    kind="counterexample",
    sample=lambda tape, size: _alike(knows=False),
    sides=recall_sides,
    control=Control(
        name="perfect recall",
        explanation="The second move knows the first, and one of its three sets has the regret.",
        sample=lambda tape, size: _alike(knows=True),
    ),
    notes=(
        "Counterfactual values sum over both nodes of the second set, as neither's own reach "
        "counts. Locally best is not best; under perfect recall it is, by cfr/decomposition with "
        "one round (the principle of one deviation)."
    ),
    sharpness=0.5,
    sizes=(1,),
)


class Change(NamedTuple):
    """A game, a profile and what each player may change to, both (slots,)."""

    form: ExactForm
    before: FractionArray
    after: FractionArray


def sample_change(tape: Tape, depth: int) -> Change:
    """Draw a game of two or three players with any payoffs, and two profiles."""
    form = ext.game(tape, depth, players=tape.integer(2, 3), zero_sum=False)
    return Change(form, ext.profile(tape, form), ext.profile(tape, form))


def _laminar(instance: Change, reaching: FractionArray) -> tuple[Side, Side]:
    form, before, after = instance
    regrets = exact_regrets(form, before)
    reach = plans.plan(form, reaching)
    old = exact_payoffs(form, before)
    gains, sums = [], []
    for p in range(form.game.players):
        gains.append(exact_payoffs(form, plans.change(form, before, p, after))[p] - old[p])
        locally = [
            reach[parent] * (after[slots] @ regrets[slots]) for parent, slots in plans.sets(form, p)
        ]
        sums.append(sum(locally, Fraction(0)))
    return fraction_array(gains), fraction_array(sums)


def laminar_sides(instance: Change) -> tuple[Side, Side]:
    """Return what each player gains by a change, and the sum of its gains set by set."""
    return _laminar(instance, instance.after)


LAMINAR = Theorem(
    id="cfr/laminar",
    title="What a change of strategy gains, set by set: the equality behind the decomposition",
    source="Farina, Kroer and Sandholm (2019), laminar regret decomposition",
    statement=(
        r"u_i(\sigma_i', \sigma_{-i}) - u_i(\sigma) = \sum_{I \in \mathcal{I}_i} "
        r"\pi_i^{\sigma'}(I) \sum_a \sigma_i'(I, a)\, r^{\sigma}(I, a)"
    ),
    hypotheses=("any profile and any change of one player", "perfect recall"),
    kind="identity",
    sample=sample_change,
    sides=laminar_sides,
    control=Control(
        name="reach of the old strategy",
        explanation="Sets are weighted by how the old strategy reaches them.",
        sides=lambda instance: _laminar(instance, instance.before),
    ),
    notes="The performance difference lemma of games; summed over rounds it bounds the regret.",
    sizes=(2, 3, 4),
    cost=2.0,
)


THEOREMS = (DECOMPOSITION, NEEDS_RECALL, LAMINAR)
