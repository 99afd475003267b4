"""Alternating updates: what they change in the folk theorem, and why they do no harm.

Each player answers what the players before it have just become. All of it in Fractions.
"""

from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.games.exact.exact_form import (
    ExactForm,
    exact_nash_conv,
    exact_payoffs,
    fraction_array,
)
from rltheory.games.regret.variant import Variant
from rltheory.games.regret.variants import cfr, cfr_plus, dcfr, lcfr
from rltheory.theory import extensive_instances as ext
from rltheory.theory import extensive_plans as plans
from rltheory.theory import extensive_runs as runs
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


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
    after = [plans.change(form, x, 0, y) for x, y in zip(before, profiles[1:], strict=True)]
    total = plans.full_regrets(form, before)[0] + plans.full_regrets(form, after)[1]
    if corrected:
        for old, new in zip(before, after, strict=True):
            total -= exact_payoffs(form, new)[0] - exact_payoffs(form, old)[0]
    return exact_nash_conv(form, plans.average(form, after)), total / len(after)


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
    run: runs.Run


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
    return Updates(form, runs.run(form, tape.choice(variants), rounds, alternating=alternating))


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


THEOREMS = (ALTERNATING, IMPROVES)
