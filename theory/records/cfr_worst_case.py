"""How much CFR may regret, whatever its opponents do.

The regret of a run is exact, its bound a sum of square roots, enclosed.
"""

from fractions import Fraction
from typing import NamedTuple

from rltheory.analysis.rational import FractionArray
from rltheory.games.exact.exact_form import ExactForm
from rltheory.games.regret.variants import cfr
from rltheory.theory import balls
from rltheory.theory import extensive_instances as ext
from rltheory.theory import extensive_plans as plans
from rltheory.theory import extensive_runs as runs
from rltheory.theory.balls import ball, precise
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Challenge(NamedTuple):
    """A game and what player 0's opponents do in each round, profiles (slots,)."""

    form: ExactForm
    others: list[FractionArray]


def sample_challenge(tape: Tape, size: int) -> Challenge:
    """Draw the contrary adversary in one or two sets, for long, or a tree and a few rounds."""
    if tape.integer(0, 2) == 0:
        return Challenge(*runs.contrary(tape.choice((1, 32)), size, tape.integer(1, 2)))
    form = ext.game(tape, size, zero_sum=False)
    return Challenge(form, [ext.profile(tape, form) for _ in range(tape.integer(1, 4))])


@precise
def _worst_case(instance: Challenge, one_set: bool) -> tuple[Side, Side]:
    form, others = instance
    run = runs.respond(form, cfr(), others, len(others))
    regret = plans.full_regrets(form, run.profiles)[0]
    after: dict[int, int] = {}
    actions = 1
    for parent, slots in plans.sets(form, 0):
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
        bool(plans.sets(instance.form, 0)) and instance.form.game.payoff_range[0] > 0
    ),
    control=Control(
        name="one set after each sequence",
        explanation="Sets after the same own moves are counted as one.",
        sides=lambda instance: _worst_case(instance, one_set=True),
        sample=lambda tape, size: Challenge(*runs.contrary(32, size, 2)),
    ),
    notes=(
        r"The familiar $\Delta_i |\mathcal{I}_i| \sqrt{A_i T}$ follows. An opponent who "
        "chooses the set too comes as near to the bound as in a single set."
    ),
    sizes=(2, 3),
    cost=8.0,
    sharpness=0.75,
)


THEOREMS = (WORST_CASE,)
