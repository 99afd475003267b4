"""What strategies in extensive games earn: best responses, and what small changes can do.

Left and right are computed in different ways: passes over the sequence form against walks of the
tree or enumerations of pure strategies, all in Fractions.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.games.exact.exact_form import (
    ExactForm,
    exact_deviations,
    exact_nash_conv,
    exact_payoffs,
    fraction_array,
)
from rltheory.games.forms.tree import CHANCE, TERMINAL, GameTree
from rltheory.theory import extensive_instances as ext
from rltheory.theory import extensive_plans as plans
from rltheory.theory import extensive_walks as walks
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_MOST_PURE = 48


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
        options = (plans.change(form, strategies, p, pure) for pure in plans.pure_profiles(form, p))
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
        plans.pure_count(instance.form, p) <= _MOST_PURE for p in range(instance.form.game.players)
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
    for node, chance in walks.node_chances(tree, before, first).items():
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
    mixed = weight * plans.plan(form, first) + (1 - weight) * plans.plan(form, second)
    return _convexity(instance, plans.played(form, np.asarray(mixed)))


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


THEOREMS = (BEST_RESPONSE, LIPSCHITZ, CONVEX)
