"""Regret in extensive games: how it splits over information sets, and what its average shows.

All of it is exact: sums of products of short rationals, over trees that are read off a tape.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.games.exact.exact_form import (
    ExactForm,
    exact_deviations,
    exact_form,
    exact_nash_conv,
    exact_payoffs,
    exact_regrets,
    fraction_array,
)
from rltheory.games.forms.extensive import from_tree
from rltheory.games.forms.tree import GameTree, TreeBuilder
from rltheory.games.regret.variant import Variant
from rltheory.games.regret.variants import cfr, cfr_plus, dcfr, lcfr
from rltheory.theory import balls
from rltheory.theory import extensive_instances as ext
from rltheory.theory.balls import ball, precise
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
    return [[slots for _, slots in ext.sets(form, p)] for p in range(form.game.players)]


def _decomposition(instance: Profiles, floor: Fraction | None) -> tuple[Side, Side]:
    form, rounds, _ = instance
    total = sum((exact_regrets(form, x) for x in rounds[1:]), exact_regrets(form, rounds[0]))
    worst = [[max(total[slots]) for slots in sets] for sets in _sets_of(form)]
    bounds = [
        sum((x if floor is None else max(x, floor) for x in sets), Fraction(0)) for sets in worst
    ]
    return fraction_array(ext.full_regrets(form, rounds)), fraction_array(bounds)


def decomposition_sides(instance: Profiles) -> tuple[Side, Side]:
    """Return each player's regret and the sum of the positive regrets of the player's sets."""
    return _decomposition(instance, Fraction(0))


def _followed() -> Profiles:
    """Return two rounds of a player who stays out for 2, and would have won both pennies inside."""
    form = exact_form(from_tree(_pennies(out=2.0)))
    # Slots: in, out; heads, tails; the opponent's heads, tails.
    rounds = [[0, 1, 1, 0, 1, 0], [0, 1, 0, 1, 0, 1]]
    return Profiles(form, [fraction_array([Fraction(x) for x in row]) for row in rounds], [1, 1])


def _pennies(out: float) -> GameTree:
    """Player 0 stays out, or goes in and matches a penny of player 1 for 0 or 2."""
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
    values = ext.counterfactual(tree, strategies, first, 0)
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
    reach = ext.plan(form, reaching)
    old = exact_payoffs(form, before)
    gains, sums = [], []
    for p in range(form.game.players):
        gains.append(exact_payoffs(form, ext.change(form, before, p, after))[p] - old[p])
        locally = [
            reach[parent] * (after[slots] @ regrets[slots]) for parent, slots in ext.sets(form, p)
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


def _folk(instance: Profiles, average: FractionArray) -> tuple[Side, Side]:
    form, rounds, weights = instance
    repeated = [x for x, w in zip(rounds, weights, strict=True) for _ in range(w)]
    regrets = ext.full_regrets(form, repeated)
    return exact_nash_conv(form, average), sum(regrets, Fraction(0)) / len(repeated)


def folk_sides(instance: Profiles) -> tuple[Side, Side]:
    """Return the NashConv of the reach-weighted average and the sum of the average regrets."""
    form, rounds, weights = instance
    return _folk(instance, ext.average(form, rounds, weights))


FOLK = Theorem(
    id="cfr/folk-identity",
    title="The average's NashConv is the sum of the average regrets",
    source=(
        "the folk theorem (Freund and Schapire, 1999; Zinkevich et al., 2007, Theorem 2), as an "
        "equality: derived here"
    ),
    statement=(
        r"\mathrm{NashConv}(\bar\sigma) = \frac{1}{W} \sum_i \max_{\sigma_i'} \sum_t w_t "
        r"\bigl(u_i(\sigma_i', \sigma_{-i}^t) - u_i(\sigma^t)\bigr), \qquad "
        r"\bar\sigma_i(I, a) \propto \sum_t w_t\, \pi_i^t(I)\, \sigma_i^t(I, a)"
    ),
    hypotheses=(
        "two players, payoffs sum to 0, perfect recall",
        r"any profiles, any weights $w_t > 0$ with sum $W$",
    ),
    kind="identity",
    sample=lambda tape, depth: sample_profiles(tape, depth, zero_sum=True),
    sides=folk_sides,
    control=Control(
        name="unweighted average",
        explanation="Behaviour is averaged without the chance that it is reached.",
        sides=lambda instance: _folk(
            instance,
            ext.unweighted(
                [
                    x
                    for x, w in zip(instance.rounds, instance.weights, strict=True)
                    for _ in range(w)
                ]
            ),
        ),
    ),
    notes=(
        r"So average regrets of $\varepsilon$ each make a $2\varepsilon$-equilibrium, with "
        "equality where one player has all of the gain. What rounds paid cancels: this is where "
        "payoffs must sum to 0."
    ),
    sizes=(2, 3, 4),
    cost=2.0,
)


class Equilibria(NamedTuple):
    """A game and two profiles (slots,) that are equilibria of it."""

    form: ExactForm
    rounds: tuple[FractionArray, FractionArray]


def _pennies_or_out(first: bool) -> Equilibria:
    """Return the game in which going in and staying out are worth 1 both, and two equilibria."""
    form = exact_form(from_tree(_pennies(out=1.0)))
    half = Fraction(1, 2)
    playing = fraction_array([Fraction(1), Fraction(0), half, half, half, half])
    out = fraction_array([Fraction(0), Fraction(1), Fraction(1), Fraction(0), half, half])
    return Equilibria(form, (playing, playing if first else out))


def unweighted_sides(instance: Equilibria) -> tuple[Side, Side]:
    """Return what the unweighted and what the reach-weighted average guarantee player 0."""
    form, rounds = instance
    averages = ext.unweighted(rounds), ext.average(form, rounds)
    unweighted, weighted = (-exact_deviations(form, x).best[1] for x in averages)
    return unweighted, weighted


UNWEIGHTED = Theorem(
    id="cfr/unweighted-average-fails",
    title="Averaging behaviour without its reach loses what no regret guarantees",
    source="derived here; the average of Zinkevich et al. (2007), equation 4, is weighted by reach",
    statement=(
        r"\min_{\sigma_2} u_1\Bigl(\frac1T \sum_t \sigma_1^t, \sigma_2\Bigr) < \min_{\sigma_2} "
        r"u_1(\bar\sigma_1, \sigma_2), \qquad \bar\sigma_1(I, a) \propto \sum_t \pi_1^t(I)\, "
        r"\sigma_1^t(I, a)"
    ),
    hypotheses=(
        "two equilibria in turn, so that no round has any regret",
        "player 1 matches pennies for 0 or 2, or stays out for 1 and would then show heads",
    ),
    kind="counterexample",
    sample=lambda tape, size: _pennies_or_out(first=False),
    sides=unweighted_sides,
    control=Control(
        name="one equilibrium twice",
        explanation="Both rounds are alike, and so are both averages.",
        sample=lambda tape, size: _pennies_or_out(first=True),
    ),
    notes=(
        "3/4 against 1 however many rounds are played. In Kuhn poker CFR's own unweighted average "
        "does nearly as well as the weighted one, so that poker does not show the difference."
    ),
    sharpness=0.75,
    sizes=(1,),
)


class Challenge(NamedTuple):
    """A game and what player 0's opponents do in each round, profiles (slots,)."""

    form: ExactForm
    others: list[FractionArray]


def sample_challenge(tape: Tape, size: int) -> Challenge:
    """Draw the contrary adversary in one or two sets, for long, or a tree and a few rounds."""
    if tape.integer(0, 2) == 0:
        return Challenge(*ext.contrary(tape.choice((1, 32)), size, tape.integer(1, 2)))
    form = ext.game(tape, size, zero_sum=False)
    return Challenge(form, [ext.profile(tape, form) for _ in range(tape.integer(1, 4))])


@precise
def _worst_case(instance: Challenge, one_set: bool) -> tuple[Side, Side]:
    form, others = instance
    run = ext.respond(form, cfr(), others, len(others))
    regret = ext.full_regrets(form, run.profiles)[0]
    after: dict[int, int] = {}
    actions = 1
    for parent, slots in ext.sets(form, 0):
        after[parent] = after.get(parent, 0) + 1
        actions = max(actions, slots.stop - slots.start)
    spread = Fraction(float(form.game.payoff_range[0]))
    sizes = [ball(1 if one_set else count).sqrt() for count in after.values()]
    rounds = ball((actions - 1) * len(others)).sqrt()
    return regret, balls.to_bounds(ball(spread) * sum(sizes, ball(0)) * rounds)


def worst_case_sides(instance: Challenge) -> tuple[Side, Side]:
    """Return CFR's regret and its bound."""
    return _worst_case(instance, one_set=False)


WORST_CASE = Theorem(
    id="cfr/worst-case",
    title="CFR's regret against any opponents, sets counted by the own moves before them",
    source=(
        "Zinkevich et al. (2007), Theorem 4, as refined by Lanctot, Waugh, Zinkevich and Bowling "
        "(2009), Theorem 1; A - 1 in place of A derived here"
    ),
    statement=(
        r"\max_{\sigma_i'} \sum_{t \le T} u_i(\sigma_i', \sigma_{-i}^t) - u_i(\sigma^t) \le "
        r"\Delta_i \Bigl(\sum_{q} \sqrt{|\mathcal{I}_i(q)|}\Bigr) \sqrt{(A_i - 1)\,T}"
    ),
    hypotheses=(
        "player $i$ plays CFR, the others anything; perfect recall",
        r"$\mathcal{I}_i(q)$: the player's sets right after the own sequence $q$; $A_i$: the most "
        r"actions at a set; $\Delta_i$: the range of payoffs",
    ),
    kind="inequality",
    sample=sample_challenge,
    sides=worst_case_sides,
    admissible=lambda instance: (
        bool(ext.sets(instance.form, 0)) and instance.form.game.payoff_range[0] > 0
    ),
    control=Control(
        name="one set after each sequence",
        explanation="Sets after the same own moves are counted as one.",
        sides=lambda instance: _worst_case(instance, one_set=True),
        sample=lambda tape, size: Challenge(*ext.contrary(32, size, 2)),
    ),
    notes=(
        r"The familiar $\Delta_i |\mathcal{I}_i| \sqrt{A_i T}$ follows. An opponent who "
        "chooses the set too comes as near to the bound as in a single set."
    ),
    sizes=(2, 3),
    cost=8.0,
    sharpness=0.75,
)


class Alternation(NamedTuple):
    """A zero-sum game and profiles in which player 0 always moves on before player 1."""

    form: ExactForm
    rounds: list[FractionArray]


def sample_alternation(tape: Tape, depth: int) -> Alternation:
    """Draw 2 to 4 profiles; one more than there are rounds."""
    form = ext.game(tape, depth)
    return Alternation(form, [ext.profile(tape, form) for _ in range(tape.integer(2, 4))])


def _alternation(instance: Alternation, corrected: bool) -> tuple[Side, Side]:
    form, profiles = instance
    before = profiles[:-1]
    # What player 1 answers: the new strategy of player 0 and the old one of player 1.
    after = [ext.change(form, x, 0, y) for x, y in zip(before, profiles[1:], strict=True)]
    total = ext.full_regrets(form, before)[0] + ext.full_regrets(form, after)[1]
    if corrected:
        for old, new in zip(before, after, strict=True):
            total -= exact_payoffs(form, new)[0] - exact_payoffs(form, old)[0]
    return exact_nash_conv(form, ext.average(form, after)), total / len(after)


def alternation_sides(instance: Alternation) -> tuple[Side, Side]:
    """Return the NashConv of the average and the corrected sum of the average regrets."""
    return _alternation(instance, corrected=True)


ALTERNATING = Theorem(
    id="cfr/alternating-identity",
    title="With alternating updates the average's NashConv is the regrets less what updates gain",
    source="Burch, Moravcik and Schmid (2019), section 3; as an equality derived here",
    statement=(
        r"T\,\mathrm{NashConv}(\bar\sigma) = R_1^T + R_2^T - \sum_{t \le T} \bigl("
        r"u_1(\sigma_1^{t+1}, \sigma_2^t) - u_1(\sigma_1^t, \sigma_2^t)\bigr)"
    ),
    hypotheses=(
        "two players, payoffs sum to 0, perfect recall; any strategies",
        r"$R_1$ over $(\sigma_1^t, \sigma_2^t)$, $R_2$ over $(\sigma_1^{t+1}, \sigma_2^t)$",
        r"$\bar\sigma$: the reach-weighted averages of $\sigma_1^2, \dots, \sigma_1^{T+1}$ and "
        r"$\sigma_2^1, \dots, \sigma_2^T$",
    ),
    kind="identity",
    sample=sample_alternation,
    sides=alternation_sides,
    control=Control(
        name="the folk theorem as it stands",
        explanation="The average regrets alone, as with simultaneous updates.",
        sides=lambda instance: _alternation(instance, corrected=False),
    ),
    notes=(
        r"Averaging $\sigma_1^1, \dots, \sigma_1^T$ instead, as implementations do, changes the "
        r"NashConv by at most $\Delta / T$. Where updates never lose (cfr/alternating-improves) "
        "the regrets bound the NashConv again."
    ),
    sizes=(2, 3, 4),
    cost=2.0,
)


class Updates(NamedTuple):
    """A game and a run of alternating updates."""

    form: ExactForm
    run: ext.Run


def sample_updates(
    tape: Tape,
    depth: int,
    *,
    variants: tuple[Variant, ...] = (cfr(), cfr_plus(), lcfr(), dcfr(alpha=1, beta=0, gamma=1)),
    alternating: bool = True,
) -> Updates:
    """Draw a game of two or three players with any payoffs, and run a variant for 1 to 3 rounds."""
    form = ext.game(tape, depth, players=tape.integer(2, 3), zero_sum=False)
    rounds = tape.integer(1, 3)
    return Updates(form, ext.run(form, tape.choice(variants), rounds, alternating=alternating))


def improvement_sides(instance: Updates) -> tuple[Side, Side]:
    """Return what each player had before each of its updates, and what it has after it."""
    form, (_, _, between, _, final) = instance
    seen = [x for row in between for x in row] + [final]
    players = form.game.players
    before = [exact_payoffs(form, x)[i % players] for i, x in enumerate(seen[:-1])]
    after = [exact_payoffs(form, x)[i % players] for i, x in enumerate(seen[1:])]
    return fraction_array(before), fraction_array(after)


def _simultaneous(instance: Updates) -> tuple[Side, Side]:
    form, (profiles, _, _, _, final) = instance
    payoffs = [exact_payoffs(form, x) for x in [*profiles, final]]
    before, after = (np.array(x, dtype=object) for x in (payoffs[:-1], payoffs[1:]))
    return before.ravel(), after.ravel()


IMPROVES = Theorem(
    id="cfr/alternating-improves",
    title="An update by regret matching never lowers the payoff against what it answered",
    source=(
        "Burch, Moravcik and Schmid (2019), section 4, for regret matching+; for regret matching "
        "and discounted regrets, and by cfr/laminar in trees, derived here"
    ),
    statement=r"u_i(\sigma_i^{t}, \sigma_{-i}) \le u_i(\sigma_i^{t+1}, \sigma_{-i})",
    hypotheses=(
        r"$\sigma_i^t$ is proportional to the positive accumulated regrets, $\sigma_i^{t+1}$ to "
        r"them after the regrets against $\sigma_{-i}$ are added",
        "CFR, CFR+, Linear CFR or DCFR; perfect recall; any number of players, any payoffs",
    ),
    kind="inequality",
    sample=sample_updates,
    sides=improvement_sides,
    control=Control(
        name="simultaneous updates",
        explanation="All players move on at once, and each faces the others' new strategies.",
        sample=lambda tape, depth: sample_updates(tape, depth, alternating=False),
        sides=_simultaneous,
    ),
    notes=(
        r"At each set, $\sum_a [R + r]_+ r \ge \sum_a [R]_+ r = 0$. So alternating updates of "
        "these variants keep the folk theorem. PCFR+ does not have the property: it may leave what "
        "a better prediction had found."
    ),
    sizes=(2, 3, 4),
    cost=3.0,
    sharpness=0.999,
)


THEOREMS = (
    DECOMPOSITION,
    NEEDS_RECALL,
    LAMINAR,
    FOLK,
    UNWEIGHTED,
    WORST_CASE,
    ALTERNATING,
    IMPROVES,
)
