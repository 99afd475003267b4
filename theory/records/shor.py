"""SHOR's inner solver with its additions switched off: what is left is regret matching+, or not.

The listing measures gains from the plain mean of the payoffs. With what the strategy earns in its
place the solver is regret matching+ exactly; with the mean it is not, and does not converge.
Every side is a Fraction. Source of the listing: Li, Schultz, Hennes and Lanctot (2026).
"""

from fractions import Fraction
from typing import Literal, NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.games.normal_form.matrix_game import deviation_payoffs
from rltheory.theory import exact
from rltheory.theory import game_instances as games
from rltheory.theory.exact import fractions
from rltheory.theory.game_instances import ExactProfile
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_SMALLEST_SCALE = Fraction(1, 10**8)


class Inner(NamedTuple):
    """A game (2, A, B) and settings of the inner solver; blend and diversity are 0."""

    payoffs: FractionArray
    iterations: int
    baseline: Literal["mean", "strategy"]
    normalise: bool
    momentum: Fraction


class Run(NamedTuple):
    """What the inner solver played after each update and what it saw before, both (T, A_i)."""

    played: ExactProfile
    seen: ExactProfile

    @property
    def average(self) -> ExactProfile:
        """The average of what was played, per player."""
        return tuple(strategies.mean(axis=0) for strategies in self.played)


def solve(inner: Inner) -> Run:
    """Run the listing line by line; players move in turn from the uniform profile."""
    shape = inner.payoffs.shape[1:]
    sigma = [games.uniform(n) for n in shape]
    regrets = [fractions(np.zeros(n)) for n in shape]
    before = [fractions(np.zeros(n)) for n in shape]
    played: list[list[FractionArray]] = [[], []]
    seen: list[list[FractionArray]] = [[], []]
    for _ in range(inner.iterations):
        for i in range(2):
            values = deviation_payoffs(inner.payoffs, sigma)[i]
            base = values.mean() if inner.baseline == "mean" else sigma[i] @ values
            gains = values - base
            moved = (1 + inner.momentum) * gains - inner.momentum * before[i]
            scale = np.abs(moved).max()
            if inner.normalise and scale > _SMALLEST_SCALE:
                moved = moved / scale
            regrets[i] = games.positive(regrets[i] + moved)
            before[i], sigma[i] = gains, games.proportional(regrets[i])
            played[i].append(sigma[i])
            seen[i].append(values)
    return Run(tuple(map(np.array, played)), tuple(map(np.array, seen)))


def sample_reduction(tape: Tape, size: int) -> Inner:
    """Draw a game of any sum and up to three iterations, whose digits double with each."""
    payoffs = games.matrix(tape, 2, size, tape.integer(2, 3), bits=0)
    return Inner(payoffs, tape.integer(1, 3), "strategy", False, Fraction(0))


def _reduced(inner: Inner) -> tuple[Side, Side]:
    run = solve(inner)
    matched = []
    for seen in run.seen:
        # One more round, whose payoffs do not matter, to see what is played after the last one.
        rounds = np.vstack([seen, seen[:1]])
        matched.append(games.regret_matching(rounds, plus=True).strategies[1:].mean(axis=0))
    return exact.join(*run.average), exact.join(*matched)


REDUCTION = Theorem(
    id="shor/reduces-to-regret-matching-plus",
    title="Without its additions, and with regrets for gains, SHOR is regret matching+",
    source="Li, Schultz, Hennes and Lanctot (2026), inner solver; the reduction is derived here",
    statement=(
        r"\bar\sigma^{\mathrm{SHOR}}_i = \frac1T \sum_{t \le T} x_i^{t+1},\qquad x_i^{t+1} \propto "
        r"\bigl[R_i^{t} + u_i^t - x_i^t \cdot u_i^t\bigr]_+"
    ),
    hypotheses=(
        "blend, momentum and diversity 0, no normalisation, gains over what the strategy earns",
        "players move in turn; the average is over the strategies after each update",
    ),
    kind="identity",
    sample=sample_reduction,
    sides=_reduced,
    control=Control(
        name="gains over the mean",
        explanation="The baseline is the plain mean of the payoffs, as in the published listing.",
        sides=lambda inner: _reduced(inner._replace(baseline="mean")),
    ),
    sizes=(2, 3),
    notes=(
        "Its averages therefore have regret matching+'s guarantee. The other side is regret "
        "matching+ by itself, against the payoffs that each player saw."
    ),
    cost=3.0,
)


def sample_fixed(tape: Tape, size: int) -> Inner:
    """Draw fixed payoffs of one player, the other having a single action, and any settings."""
    payoffs = games.matrix(tape, 2, size, 1, bits=0)
    settings = bool(tape.integer(0, 1)), Fraction(tape.integer(0, 4), 4)
    return Inner(payoffs, tape.integer(1, 5), "mean", *settings)


def fixed_sides(inner: Inner) -> tuple[Side, Side]:
    """Return the average of the first player and what its payoffs over their mean weigh, (A,)."""
    values = inner.payoffs[0, :, 0]
    return solve(inner).average[0], games.proportional(values - values.mean())


FIXED = Theorem(
    id="shor/never-leaves-dominated-actions",
    title="With gains over the mean SHOR plays every action above the mean for ever",
    source="Derived here from the listing of Li, Schultz, Hennes and Lanctot (2026)",
    statement=(
        r"\sigma^t_a = \frac{[u_a - \bar u]_+}{\sum_{a'} [u_{a'} - \bar u]_+}\quad\text{for all } "
        r"t \ge 1,\qquad \bar u = \frac1A \sum_a u_a"
    ),
    hypotheses=(
        "the opponents' strategies, and with them the payoffs $u$, do not change",
        "blend and diversity 0; any momentum, normalised or not",
    ),
    kind="identity",
    sample=sample_fixed,
    sides=fixed_sides,
    control=Control(
        name="gains over the strategy",
        explanation="The baseline is what the strategy earns: play then goes to the best action.",
        sides=lambda inner: fixed_sides(inner._replace(baseline="strategy")),
    ),
    sizes=(2, 3, 4),
    notes=(
        "With payoffs 3, 2, 0 the second action, strictly dominated, keeps 1/5 for ever: regret "
        "grows linearly, and a blend of b with the best reply leaves 1 - b of it."
    ),
)


def uneven_pennies() -> FractionArray:
    """Return matching pennies in which one of the two matches pays the first player 3."""
    return games.zero_sum(to_fractions([[3, -1], [-1, 1]]))


def sample_uneven(tape: Tape, size: int) -> Inner:
    """Draw a number of iterations."""
    return Inner(uneven_pennies(), tape.integer(2, 40), "mean", True, Fraction(0))


def uneven_sides(inner: Inner) -> tuple[Side, Side]:
    """Return 1 - 1 / T and the NashConv of the averages."""
    distance = games.gains(inner.payoffs, solve(inner).average).sum()
    return 1 - Fraction(1, inner.iterations), Fraction(distance)


UNEVEN = Theorem(
    id="shor/normalised-gains-miss-the-equilibrium",
    title="Normalised gains over the mean stay away from equilibrium in a game of 2 by 2",
    source="Derived here from the listing of Li, Schultz, Hennes and Lanctot (2026)",
    statement=(
        r"1 - \frac1T \le \mathrm{NC}(\bar\sigma^{\mathrm{SHOR}}_T),\qquad M = \begin{pmatrix} 3 & "
        r"-1 \\ -1 & 1 \end{pmatrix}"
    ),
    hypotheses=(
        r"value 1/3, equilibrium $(1/3, 2/3)$ on both sides; $T \ge 2$, up to 40 were tried",
        "blend, momentum and diversity 0, gains normalised",
    ),
    kind="inequality",
    sample=sample_uneven,
    sides=uneven_sides,
    control=Control(
        name="not normalised",
        explanation="Gains over the mean keep their size, and in this game averages converge.",
        sample=lambda tape, size: sample_uneven(tape, size)._replace(
            iterations=tape.integer(2, 6), normalise=False
        ),
    ),
    sizes=(2,),
    notes=(
        "With two actions the normalised gains are plus and minus 1 whatever is at stake: the "
        "solver sees which action is better and not by how much. Here it comes back to uniform "
        "averages in every other round, as if it played matching pennies; for odd T an equality."
    ),
    sharpness=0.999,
    cost=3.0,
)


THEOREMS = (REDUCTION, FIXED, UNEVEN)
