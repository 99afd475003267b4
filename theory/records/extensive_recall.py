"""Mixtures of pure strategies against behaviour: alike under perfect recall, and not without it.

Behaviour comes from the public conversion or by hand, mixtures from every pure strategy; all of it
in Fractions.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.games.exact.behaviour import mixed_to_behaviour, pure_strategies
from rltheory.games.exact.exact_form import ExactForm, fraction_array
from rltheory.games.forms.tree import GameTree, TreeBuilder
from rltheory.theory import extensive_instances as ext
from rltheory.theory import extensive_plans as plans
from rltheory.theory import extensive_walks as walks
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Mixtures(NamedTuple):
    """A game, each player's pure strategies (count, own slots) and their weights (count,)."""

    form: ExactForm
    pure: list[FractionArray]
    weights: list[FractionArray]


def sample_mixtures(tape: Tape, depth: int) -> Mixtures:
    """Draw a game of two or three players and mixtures of up to three pure strategies."""
    form = ext.game(tape, depth, players=tape.integer(2, 3), zero_sum=False)
    pure, weights = [], []
    for p in range(form.game.players):
        pure.append(pure_strategies(form.game, p, reduced=False).astype(object))
        row = fraction_array([Fraction(0)] * len(pure[-1]))
        for share in (4, 2, 1):
            row[tape.integer(0, len(row) - 1)] += Fraction(share, 7)
        weights.append(row)
    return Mixtures(form, pure, weights)


def _leaves_of_mixture(instance: Mixtures) -> FractionArray:
    """The chance of each leaf, nature's part left out: each player draws a pure strategy."""
    form, pure, weights = instance
    chances = fraction_array([Fraction(1)] * len(form.paid))
    for p in range(form.game.players):
        total = chances * 0
        for row, weight in zip(pure[p], weights[p], strict=True):
            if weight:
                strategies = plans.uniform(form)
                strategies[plans.own(form, p)] = [Fraction(int(x)) for x in row]
                total += weight * plans.plan(form, strategies)[form.leaf_slots[:, p]]
        chances *= total
    return chances


def kuhn_sides(instance: Mixtures) -> tuple[Side, Side]:
    """Return every leaf's chance under the mixtures and under the behaviour made of them."""
    form = instance.form
    strategies = mixed_to_behaviour(form.game, instance.weights, reduced=False)
    return _leaves_of_mixture(instance), plans.leaf_chances(form, plans.plan(form, strategies))


def _marginals(instance: Mixtures) -> tuple[Side, Side]:
    form, pure, weights = instance
    strategies = np.concatenate([w @ x for w, x in zip(weights, pure, strict=True)])
    strategies = fraction_array([Fraction(x) for x in strategies])
    return _leaves_of_mixture(instance), plans.leaf_chances(form, plans.plan(form, strategies))


KUHN = Theorem(
    id="extensive/kuhn-theorem",
    title="Under perfect recall every mixture of pure strategies is a behaviour",
    source="Kuhn (1953), Theorem 4; in plans, von Stengel (1996)",
    statement=(
        r"\prod_i \sum_{s_i} w_i(s_i)\,[s_i \text{ allows } z] = \prod_i "
        r"\prod_{(I, a) \text{ before } z} \sigma_i(I, a), \qquad "
        r"\sigma_i(I, a) = \frac{\sum_{s_i \text{ allows } (I, a)} "
        r"w_i(s_i)}{\sum_{s_i \text{ allows } I} w_i(s_i)}"
    ),
    hypotheses=("perfect recall", "players draw their pure strategies independently"),
    kind="identity",
    sample=sample_mixtures,
    sides=kuhn_sides,
    control=Control(
        name="marginals",
        explanation="An action is played as often as pure strategies take it, reaching it or not.",
        sides=_marginals,
    ),
    notes=(
        "So payoffs agree against any opponents. Without perfect recall both directions fail: "
        "extensive/absent-minded-driver, extensive/forgetful-player."
    ),
    sizes=(2, 3, 4),
    cost=4.0,
)


def _driver(remembers: bool) -> GameTree:
    """Two exits in a row: the first pays 0, the second 4, going on 1."""
    builder = TreeBuilder(1)
    first = builder.decision(-1, 1.0, 0, 0, ("exit", "on"))
    builder.leaf(first, 1.0, [0.0])
    second = builder.decision(first, 1.0, 0, int(remembers), ("exit", "on"))
    builder.leaf(second, 1.0, [4.0])
    builder.leaf(second, 1.0, [1.0])
    return builder.finish()


def driver_sides(tree: GameTree) -> tuple[Side, Side]:
    """Return the best payoff of a pure strategy, so of a mixture, and what going on at 2/3 pays."""
    sets = int(tree.infoset_start[-1])
    first = list(range(0, 2 * sets + 1, 2))
    one, zero = Fraction(1), Fraction(0)
    rows = [[zero, one], [one, zero]]
    pure = [row for row in rows] if sets == 1 else [x + y for x in rows for y in rows]
    best = max(walks.tree_payoffs(tree, fraction_array(x), first)[0] for x in pure)
    mixed = fraction_array([Fraction(1, 3), Fraction(2, 3)] * sets)
    return best, walks.tree_payoffs(tree, mixed, first)[0]


DRIVER = Theorem(
    id="extensive/absent-minded-driver",
    title="Who may pass a set twice can do better by chance than by any mixture of plans",
    source="Piccione and Rubinstein (1997), example 1; Isbell (1957)",
    statement=r"\max_{s \text{ pure}} u(s) < \max_{\sigma \text{ behaviour}} u(\sigma)",
    hypotheses=("both exits look alike: one set with two nodes on one path",),
    kind="counterexample",
    sample=lambda tape, size: _driver(remembers=False),
    sides=driver_sides,
    control=Control(
        name="a driver who remembers",
        explanation="The exits are two sets: the second is taken for sure.",
        sample=lambda tape, size: _driver(remembers=True),
    ),
    notes="1 against 4/3: going on with chance 2/3.",
    sharpness=0.75,
    sizes=(1,),
)


class Guess(NamedTuple):
    """Whether the second move knows the first; chances of the first actions (1 + 2,)."""

    knows: bool
    shares: FractionArray


def _guess_tree(knows: bool) -> GameTree:
    """Player 0 moves twice; player 1 guesses; 0 wins 1 by moving alike and not as guessed."""
    builder = TreeBuilder(2)
    root = builder.decision(-1, 1.0, 0, "first", range(2))
    for x in range(2):
        node = builder.decision(root, 1.0, 0, ("second", x if knows else 0), range(2))
        for y in range(2):
            last = builder.decision(node, 1.0, 1, "guess", range(2))
            for z in range(2):
                paid = float(x == y != z)
                builder.leaf(last, 1.0, [paid, -paid])
    return builder.finish()


def _guaranteed(tree: GameTree, shares: list[Fraction]) -> list[Fraction]:
    """What player 0 gets against each guess, with these chances of the sets' first actions."""
    mine = [x for share in shares for x in (share, 1 - share)]
    first = list(range(0, len(mine) + 3, 2))
    return [
        walks.tree_payoffs(tree, fraction_array([*mine, Fraction(1 - z), Fraction(z)]), first)[0]
        for z in range(2)
    ]


def forgetful_sides(instance: Guess) -> tuple[Side, Side]:
    """Return twice what behaviour guarantees, and what two pure strategies mixed guarantee."""
    tree = _guess_tree(instance.knows)
    sets = 3 if instance.knows else 2
    guarantee = min(_guaranteed(tree, list(instance.shares[:sets])))
    pure = [_guaranteed(tree, [Fraction(x)] * sets) for x in (0, 1)]
    mixture = min((first + second) / 2 for first, second in zip(*pure, strict=True))
    return 2 * guarantee, mixture


def _sample_guess(tape: Tape, knows: bool) -> Guess:
    shares = [Fraction(tape.integer(0, 8), 8) for _ in range(3)]
    return Guess(knows, fraction_array(shares))


FORGETFUL = Theorem(
    id="extensive/forgetful-player",
    title="Who forgets an own move guarantees half of what a mixture of plans does",
    source="the need for perfect recall in Kuhn (1953); the game and its constant derived here",
    statement=(
        r"2 \min_z u(\sigma, z) \le \min_z u\bigl(\tfrac12 s_{00} + \tfrac12 s_{11}, z\bigr) "
        r"\quad \text{for every behaviour } \sigma"
    ),
    hypotheses=(
        "player 1 moves twice, does not know the first move at the second, and wins 1 by moving "
        "alike and other than player 2 guesses",
    ),
    kind="inequality",
    sample=lambda tape, size: _sample_guess(tape, knows=False),
    sides=forgetful_sides,
    control=Control(
        name="perfect recall",
        explanation="The second move knows the first and can do the same.",
        sample=lambda tape, size: _sample_guess(tape, knows=True),
    ),
    notes=r"$\min(pq, (1-p)(1-q)) \le 1/4$, with equality at one half each.",
    sharpness=0.999,
    sizes=(1,),
)


THEOREMS = (KUHN, DRIVER, FORGETFUL)
