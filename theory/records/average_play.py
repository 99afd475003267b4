"""What small regrets prove about average strategies: in zero-sum games much, in others little.

Every side is a Fraction.
"""

import numpy as np

from rltheory.analysis.rational import to_fractions
from rltheory.theory import game_instances as games
from rltheory.theory.records.correlated_play import TIGHT, Play, drawn, external, switching_gains
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


def _zero_sum_play(tape: Tape, size: int) -> Play:
    return drawn(tape, games.zero_sum(games.matrix(tape, size, tape.integer(2, 3))))


def folk_sides(instance: Play) -> tuple[Side, Side]:
    """Return both players' gains at the average profile, and the sum of their regrets."""
    average = instance.rows.mean(axis=0), instance.columns.mean(axis=0)
    return games.gains(instance.payoffs, average), sum(map(external, switching_gains(instance)))


def _larger_regret(instance: Play) -> tuple[Side, Side]:
    return folk_sides(instance)[0], max(map(external, switching_gains(instance)))


FOLK = Theorem(
    id="no-regret/average-is-equilibrium",
    title="In zero-sum games average strategies are as near to equilibrium as regrets are small",
    source="Freund and Schapire (1999); for regrets e in both seats a 2e-equilibrium",
    statement=(
        r"\max_a u_i(a, \bar\sigma_{-i}) - u_i(\bar\sigma) \le \bar R_1 + \bar R_2,\qquad "
        r"\bar R_i = \max_a \frac1T \sum_{t \le T} u_i(a, \sigma^t_{-i}) - u_i(\sigma^t)"
    ),
    hypotheses=(
        "two players, payoffs opposite",
        r"$\bar\sigma$ averages each player's strategies, all rounds alike; moves at once",
    ),
    kind="inequality",
    sample=_zero_sum_play,
    sides=folk_sides,
    control=Control(
        name="e instead of 2e",
        explanation="The gain is held to the larger regret instead of the sum.",
        sides=_larger_regret,
    ),
    sizes=(2, 3),
    notes=(
        r"The gains add up to $\bar R_1 + \bar R_2$ exactly; one player alone can have all of it, "
        "so that the factor 2 is needed for a single gain, and not for the exploitability."
    ),
    sharpness=TIGHT,
)


def take_turns() -> Play:
    """Return two who meet at one place, at the other, and miss each other twice."""
    payoffs = np.stack([to_fractions([[1, 0], [0, 0]]), to_fractions([[0, 0], [0, 1]])])
    first, second = games.pure(0, 2), games.pure(1, 2)
    # Five rounds at each place, then two in which one player comes to the wrong one.
    rows = np.array([first] * 5 + [second] * 5 + [first, second])
    columns = np.array([first] * 5 + [second] * 5 + [second, first])
    return Play(payoffs, rows, columns)


def general_sum_sides(instance: Play) -> tuple[Side, Side]:
    """Return the larger average regret and the smaller gain at the average profile."""
    gained, _ = folk_sides(instance)
    return max(map(external, switching_gains(instance))), min(np.ravel(np.asarray(gained)))


GENERAL_SUM = Theorem(
    id="no-regret/general-sum-average",
    title="In general-sum games regrets below e do not make the average an e-equilibrium",
    source="Folklore; the instance is ours",
    statement=(
        r"\max_i \bar R_i < \min_i \Bigl(\max_a u_i(a, \bar\sigma_{-i}) - u_i(\bar\sigma)\Bigr)"
    ),
    hypotheses=(
        r"two players, two places; meeting at the first pays the one, at the second the other",
        "they meet five times at each place and miss each other twice",
    ),
    kind="counterexample",
    sample=lambda tape, size: take_turns(),
    sides=general_sum_sides,
    control=Control(
        name="payoffs opposed",
        explanation="The second player's payoffs are the negative of the first one's.",
        sample=lambda tape, size: take_turns()._replace(
            payoffs=games.zero_sum(take_turns().payoffs[0])
        ),
    ),
    sizes=(2,),
    notes="The joint play stays a coarse correlated equilibrium up to e; its marginals do not.",
    sharpness=0.3,
)


THEOREMS = (FOLK, GENERAL_SUM)
