"""Strategies in extensive games: recall, best responses, and what small changes can do.

Left and right are computed in different ways: passes over the sequence form against walks of the
tree or enumerations of pure strategies, all in Fractions.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.games.exact.behaviour import mixed_to_behaviour, pure_strategies
from rltheory.games.exact.exact_form import (
    ExactForm,
    exact_deviations,
    exact_nash_conv,
    exact_payoffs,
    fraction_array,
)
from rltheory.games.forms.tree import CHANCE, TERMINAL, GameTree, TreeBuilder
from rltheory.theory import extensive_instances as ext
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_MOST_PURE = 48


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
                strategies = ext.uniform(form)
                strategies[ext.own(form, p)] = [Fraction(int(x)) for x in row]
                total += weight * ext.plan(form, strategies)[form.leaf_slots[:, p]]
        chances *= total
    return chances


def kuhn_sides(instance: Mixtures) -> tuple[Side, Side]:
    """Return every leaf's chance under the mixtures and under the behaviour made of them."""
    form = instance.form
    strategies = mixed_to_behaviour(form.game, instance.weights, reduced=False)
    return _leaves_of_mixture(instance), ext.leaf_chances(form, ext.plan(form, strategies))


def _marginals(instance: Mixtures) -> tuple[Side, Side]:
    form, pure, weights = instance
    strategies = np.concatenate([w @ x for w, x in zip(weights, pure, strict=True)])
    strategies = fraction_array([Fraction(x) for x in strategies])
    return _leaves_of_mixture(instance), ext.leaf_chances(form, ext.plan(form, strategies))


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
    best = max(ext.tree_payoffs(tree, fraction_array(x), first)[0] for x in pure)
    mixed = fraction_array([Fraction(1, 3), Fraction(2, 3)] * sets)
    return best, ext.tree_payoffs(tree, mixed, first)[0]


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
        ext.tree_payoffs(tree, fraction_array([*mine, Fraction(1 - z), Fraction(z)]), first)[0]
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


class Play(NamedTuple):
    """A tree, its exact form, and a profile (slots,)."""

    tree: GameTree
    form: ExactForm
    strategies: FractionArray


def sample_play(tape: Tape, depth: int) -> Play:
    """Draw a game of two or three players, any payoffs, and a profile."""
    form = ext.game(tape, depth, players=tape.integer(2, 3), zero_sum=False)
    assert form.game.tree is not None
    return Play(form.game.tree, form, ext.profile(tape, form))


def response_sides(instance: Play) -> tuple[Side, Side]:
    """Return each player's best response by backward induction and by trying every strategy."""
    _, form, strategies = instance
    best = []
    for p in range(form.game.players):
        options = (ext.change(form, strategies, p, pure) for pure in ext.pure_profiles(form, p))
        best.append(max(exact_payoffs(form, x)[p] for x in options))
    return fraction_array(list(exact_deviations(form, strategies).best)), fraction_array(best)


def _clairvoyant(instance: Play) -> tuple[Side, Side]:
    tree, form, strategies = instance
    first = form.game.form.first
    best = []
    for p in range(form.game.players):
        value = [Fraction(0)] * tree.nodes
        for node in reversed(range(tree.nodes)):
            edges = range(int(tree.first_child[node]), int(tree.first_child[node + 1]))
            below = [value[int(tree.child[e])] for e in edges]
            if tree.to_move[node] == TERMINAL:
                value[node] = Fraction(float(tree.payoffs[node, p]))
            elif tree.to_move[node] == p:
                value[node] = max(below)
            elif tree.to_move[node] == CHANCE:
                chances = [Fraction(float(tree.probability[e])) for e in edges]
                value[node] = sum((c * x for c, x in zip(chances, below, strict=True)), Fraction(0))
            else:
                row = strategies[first[tree.infoset[node]] :][: len(below)]
                value[node] = sum((c * x for c, x in zip(row, below, strict=True)), Fraction(0))
        best.append(value[0])
    return fraction_array(list(exact_deviations(form, strategies).best)), fraction_array(best)


BEST_RESPONSE = Theorem(
    id="extensive/best-response",
    title="Backward induction over a player's own sets finds a best response",
    source="the principle of optimality under perfect recall; von Stengel (1996), section 5",
    statement=(
        r"V(q) = \sum_{z: q_i(z) = q} \pi_{-i}(z)\, u_i(z) + \sum_{I \text{ after } q} "
        r"\max_a V(qIa), \qquad V(\emptyset) = \max_{s_i} u_i(s_i, \sigma_{-i})"
    ),
    hypotheses=("perfect recall", "any number of players, any payoffs, any profile"),
    kind="identity",
    sample=sample_play,
    sides=response_sides,
    admissible=lambda instance: all(
        ext.pure_count(instance.form, p) <= _MOST_PURE for p in range(instance.form.game.players)
    ),
    control=Control(
        name="clairvoyance",
        explanation="The best action is taken at every node, as if the player saw everything.",
        sides=_clairvoyant,
        sample=lambda tape, depth: sample_play(tape, 4),
    ),
    sizes=(2, 3, 4),
    cost=3.0,
)


class TwoProfiles(NamedTuple):
    """A tree, its exact form, two profiles (slots,) and a weight of the first."""

    tree: GameTree
    form: ExactForm
    first: FractionArray
    second: FractionArray
    weight: Fraction


def _sample_two(tape: Tape, depth: int, zero_sum: bool) -> TwoProfiles:
    players = 2 if zero_sum else tape.integer(2, 3)
    form = ext.game(tape, depth, players=players, zero_sum=zero_sum)
    assert form.game.tree is not None
    first, second = ext.profile(tape, form), ext.profile(tape, form)
    return TwoProfiles(form.game.tree, form, first, second, Fraction(tape.integer(1, 3), 4))


def _lipschitz(instance: TwoProfiles, largest: bool) -> tuple[Side, Side]:
    tree, form, before, after, _ = instance
    first = form.game.form.first.tolist()
    reached = [Fraction(0)] * form.game.infosets
    for node, chance in ext.node_chances(tree, before, first).items():
        if tree.to_move[node] >= 0:
            reached[tree.infoset[node]] += chance
    apart = [
        chance * np.abs(before[i:j] - after[i:j]).sum() / 2
        for chance, i, j in zip(reached, first[:-1], first[1:], strict=True)
    ]
    total = max(apart) if largest else sum(apart, Fraction(0))
    ranges = [Fraction(float(x)) for x in form.game.payoff_range]
    changes = zip(exact_payoffs(form, before), exact_payoffs(form, after), strict=True)
    return fraction_array([abs(y - x) for x, y in changes]), fraction_array(
        [x * total for x in ranges]
    )


def lipschitz_sides(instance: TwoProfiles) -> tuple[Side, Side]:
    """Return by how much payoffs differ, and the range times the distance of the profiles."""
    return _lipschitz(instance, largest=False)


LIPSCHITZ = Theorem(
    id="extensive/payoffs-are-lipschitz",
    title="Payoffs move by no more than behaviour does, where it is reached",
    source="derived here by coupling two plays; the simulation lemma of games",
    statement=(
        r"|u_i(\sigma') - u_i(\sigma)| \le \Delta_i \sum_{I} \pi^{\sigma}(I)\, "
        r"\tfrac12 \|\sigma'(I) - \sigma(I)\|_1"
    ),
    hypotheses=(
        "any two profiles of any number of players, sets of all players summed",
        r"$\pi^\sigma(I)$: the chance that $I$ is reached; $\Delta_i$: the range of payoffs",
    ),
    kind="inequality",
    sample=lambda tape, depth: _sample_two(tape, depth, zero_sum=False),
    sides=lipschitz_sides,
    control=Control(
        name="the largest change alone",
        explanation="The largest term in place of the sum: changes add up along a path.",
        sides=lambda instance: _lipschitz(instance, largest=True),
    ),
    notes="Attained where one set changes between two leaves that are as far apart as any.",
    sharpness=0.999,
    sizes=(2, 3, 4),
    cost=2.0,
)


def _convexity(instance: TwoProfiles, mixed: FractionArray) -> tuple[Side, Side]:
    _, form, first, second, weight = instance
    ends = exact_nash_conv(form, first), exact_nash_conv(form, second)
    return exact_nash_conv(form, mixed), weight * ends[0] + (1 - weight) * ends[1]


def convexity_sides(instance: TwoProfiles) -> tuple[Side, Side]:
    """Return the NashConv of a mixture of plans and the mixture of the NashConvs."""
    _, form, first, second, weight = instance
    plans = weight * ext.plan(form, first) + (1 - weight) * ext.plan(form, second)
    return _convexity(instance, ext.played(form, np.asarray(plans)))


def _in_behaviour(instance: TwoProfiles) -> tuple[Side, Side]:
    weight = instance.weight
    mixed = weight * instance.first + (1 - weight) * instance.second
    return _convexity(instance, np.asarray(mixed))


CONVEX = Theorem(
    id="extensive/convex-in-plans",
    title="In zero-sum games NashConv is convex in realisation plans",
    source="von Stengel (1996); the equilibria are a convex set (derived here as its zero level)",
    statement=(
        r"\mathrm{NashConv}(w\,x + (1-w)\,x') \le w\,\mathrm{NashConv}(x) + (1-w)\,"
        r"\mathrm{NashConv}(x')"
    ),
    hypotheses=(
        "two players, payoffs sum to 0, perfect recall",
        r"$x, x'$: realisation plans of both players, $w \in (0, 1)$",
    ),
    kind="inequality",
    sample=lambda tape, depth: _sample_two(tape, depth, zero_sum=True),
    sides=convexity_sides,
    control=Control(
        name="mixed in behaviour",
        explanation="Probabilities at sets are mixed, whatever their reach.",
        sides=_in_behaviour,
    ),
    notes=(
        "So the average of two equilibria is one, in plans; in behaviour it need not be "
        "(cfr/unweighted-average-fails)."
    ),
    sharpness=0.999,
    sizes=(2, 3, 4),
    cost=2.0,
)


THEOREMS = (KUHN, DRIVER, FORGETFUL, BEST_RESPONSE, LIPSCHITZ, CONVEX)
