"""What mixes a population: AlphaRank and double oracle.

Every side is a Fraction. AlphaRank's intensity is a multiple of log 2 over whole payoffs, which
makes its fixation probabilities rational.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.theory import exact
from rltheory.theory import game_instances as games
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

Index = tuple[int, ...]


class Evolution(NamedTuple):
    """Whole payoffs (n, A_1, ..., A_n) and the settings of AlphaRank.

    intensity: k, payoffs count as k log 2 times themselves. potential: (A_1, ..., A_n), None for a
    game that need not have one.
    """

    payoffs: FractionArray
    population: int
    intensity: int
    potential: FractionArray | None = None


def _deviations(shape: tuple[int, ...]) -> Iterator[tuple[Index, int, Index]]:
    """Yield each pure profile with each player and where its other actions lead."""
    for here in np.ndindex(*shape):
        for i, count in enumerate(shape):
            for action in range(count):
                if action != here[i]:
                    yield here, i, (*here[:i], action, *here[i + 1 :])


def sample_potential(tape: Tape, size: int) -> Evolution:
    """Draw a potential for two players, or three in a third of the cases."""
    actions = (2, 2, 2) if tape.integer(0, 2) == 0 else (size, tape.integer(1, 3))
    potential = games.matrix(tape, *actions, low=-3, high=3, bits=0)
    payoffs = []
    for i in range(len(actions)):
        # What the others do may earn anything, as long as it is the same for all own actions.
        shape = (*actions[:i], 1, *actions[i + 1 :])
        payoffs.append(potential + games.matrix(tape, *shape, low=-3, high=3, bits=0))
    return Evolution(np.stack(payoffs), tape.integer(1, 5), tape.integer(0, 2), potential)


def fixation(gain: int, population: int, intensity: int) -> Fraction:
    """Return the chance that a mutant with this gain takes over, at q = 2 ** -intensity."""
    if gain * intensity == 0:
        return Fraction(1, population)
    q = Fraction(2) ** (-intensity * gain)
    return (1 - q) / (1 - q**population)


def alpha_rank_chain(instance: Evolution) -> FractionArray:
    """Return AlphaRank's chain over the pure profiles in C order, (N, N)."""
    shape = instance.payoffs.shape[1:]
    deviations = max(sum(shape) - len(shape), 1)
    total = instance.payoffs[0].size
    kernel = fractions(np.zeros((total, total)))
    for here, i, there in _deviations(shape):
        gain = int(instance.payoffs[(i, *there)] - instance.payoffs[(i, *here)])
        rate = fixation(gain, instance.population, instance.intensity)
        start, end = (np.ravel_multi_index(profile, shape) for profile in (here, there))
        kernel[start, end] = rate / deviations
    kernel += np.diag(1 - kernel.sum(axis=1))
    return kernel


def _gibbs(instance: Evolution, power: int) -> tuple[Side, Side]:
    assert instance.potential is not None
    weights = np.array(
        [Fraction(2) ** int(power * instance.intensity * x) for x in instance.potential.ravel()]
    )
    return exact.stationary(alpha_rank_chain(instance)), weights / weights.sum()


def gibbs_sides(instance: Evolution) -> tuple[Side, Side]:
    """Return AlphaRank's stationary distribution and the Gibbs distribution, (N,)."""
    return _gibbs(instance, instance.population - 1)


GIBBS = Theorem(
    id="alpha-rank/gibbs-of-the-potential",
    title="In a potential game AlphaRank is the Gibbs distribution of the potential",
    source=(
        "Omidshafiei et al. (2019) for the chain; Sella and Hirsh (2005) for one population; for "
        "potential games derived here"
    ),
    statement=(
        r"\pi_\alpha(a) = \frac{e^{(m-1)\alpha\,\Phi(a)}}{\sum_{a'} e^{(m-1)\alpha\,\Phi(a')}},"
        r"\qquad u_i(a) - u_i(b, a_{-i}) = \Phi(a) - \Phi(b, a_{-i})"
    ),
    hypotheses=(
        "exact potential game of any number of players, all populations of size $m$",
        r"a deviation of gain $\delta$ is taken at the rate $(1 - e^{-\alpha\delta})/(1 - "
        r"e^{-m\alpha\delta})$, $1/m$ at $\delta = 0$; any finite intensity $\alpha \ge 0$",
    ),
    kind="identity",
    sample=sample_potential,
    sides=gibbs_sides,
    control=Control(
        name="whole population",
        explanation=r"The exponent has $m$ instead of $m - 1$.",
        sides=lambda instance: _gibbs(instance, instance.population),
    ),
    sizes=(2, 3),
    notes=(
        "The rates of a deviation and of its reverse are in the ratio of the two weights, so that "
        r"the chain is reversible. As $\alpha$ grows all mass goes to the highest potential, an "
        "equilibrium: AlphaRank selects among strict equilibria, which are all sinks."
    ),
    cost=2.0,
)


def sinks(game: Evolution, *, neutral: bool = True) -> NDArray[np.bool_]:
    """Return which pure profiles (N,) lie in a sink component of the graph of better replies.

    neutral: whether replies that earn the same count as edges.
    """
    shape = game.payoffs.shape[1:]
    reach = np.eye(game.payoffs[0].size, dtype=bool)
    for here, i, there in _deviations(shape):
        gain = game.payoffs[(i, *there)] - game.payoffs[(i, *here)]
        if gain > 0 or (neutral and gain == 0):
            reach[np.ravel_multi_index(here, shape), np.ravel_multi_index(there, shape)] = True
    for k in range(len(reach)):
        reach |= np.outer(reach[:, k], reach[k])
    # A profile is in a sink if everything that it reaches leads back.
    return np.asarray((~reach | reach.T).all(axis=1))


def sample_any(tape: Tape, size: int) -> Evolution:
    """Draw one player or two, often with ties; no potential; intensities k log 2."""
    actions = (size,) if tape.integer(0, 2) == 0 else (2, size)
    most = tape.choice((1, 3))
    payoffs = games.matrix(tape, len(actions), *actions, low=-most, high=most, bits=0)
    return Evolution(payoffs, tape.integer(2, 8), tape.integer(1, 6))


def has_transient(game: Evolution) -> bool:
    """Whether some profile lies outside all sink components."""
    return not sinks(game).all()


def _outside(game: Evolution, neutral: bool) -> tuple[Side, Side]:
    kernel, inside = alpha_rank_chain(game), sinks(game, neutral=neutral)
    if inside.all():
        return Fraction(0), Fraction(0)
    share = Fraction(exact.stationary(kernel)[~inside].sum())
    rates = fixation(-1, game.population, game.intensity)
    away = kernel[np.ix_(~inside, ~inside)]
    steps = exact.resolvent(away, Fraction(1), fractions(np.ones(len(away))))
    return share, (1 - share) * rates * Fraction(steps.max())


def outside_sides(game: Evolution) -> tuple[Side, Side]:
    """Return the mass outside all sink components and its bound."""
    return _outside(game, True)


SINKS = Theorem(
    id="alpha-rank/mass-outside-sinks",
    title="At high intensity AlphaRank leaves little outside the sinks of better replies",
    source="Omidshafiei et al. (2019), Theorem 2.1.3 in the limit; the bound is derived here",
    statement=(
        r"\frac{\pi_\alpha(\text{outside})}{1 - \pi_\alpha(\text{outside})} \le \frac{e^{\alpha} - "
        r"1}{e^{m\alpha} - 1}\,\max_{a \text{ outside}} \mathbb{E}_a[\text{time until a sink}]"
    ),
    hypotheses=(
        "whole payoffs, so that a deviation that loses loses at least 1",
        "sinks: components of the graph of better or equal replies that nothing leaves; some "
        "profile is outside all of them",
        r"populations of $m \ge 2$, $\alpha > 0$",
    ),
    kind="inequality",
    sample=sample_any,
    sides=outside_sides,
    admissible=has_transient,
    control=Control(
        name="better replies alone",
        explanation="Replies that earn the same are not counted as ways out of a component.",
        sides=lambda game: _outside(game, False),
    ),
    sizes=(2, 3),
    notes=(
        r"From a sink only losses lead away, each with probability at most $\rho = (e^\alpha - 1)/("
        r"e^{m\alpha} - 1)$, and what flows out must flow back. The time until a sink is bounded "
        r"as $\alpha$ grows, while $\rho$ vanishes. An equality for one player with two actions a "
        "unit apart."
    ),
    sharpness=0.999,
    cost=2.0,
)


class Oracles(NamedTuple):
    """What double oracle did: NashConv of each restricted equilibrium in the whole game."""

    matrix: FractionArray
    distances: tuple[Fraction, ...]


def double_oracle(matrix: FractionArray) -> Oracles:
    """Run double oracle on the row player's payoffs (A, B) from the first actions.

    A best reply joins if it earns more than every action that is there; it ends when none does.
    """
    rows, columns, distances = [0], [0], []
    while True:
        restricted = matrix[np.ix_(rows, columns)]
        mine = matrix[:, columns] @ games.optimal_columns(restricted)
        theirs = games.optimal_rows(restricted) @ matrix[rows]
        distances.append(Fraction(mine.max() - theirs.min()))
        better = mine.max() > max(mine[rows]), theirs.min() < min(theirs[columns])
        if not any(better):
            return Oracles(matrix, tuple(distances))
        if better[0]:
            rows.append(int(np.argmax(mine)))
        if better[1]:
            columns.append(int(np.argmin(theirs)))


def sample_oracles(tape: Tape, size: int) -> Oracles:
    """Draw matching pennies a quarter of the time, else any matrix; run double oracle."""
    if tape.integer(0, 3) == 0:
        return double_oracle(to_fractions([[1, -1], [-1, 1]]))
    return double_oracle(games.matrix(tape, size, tape.integer(1, size)))


def _ended(instance: Oracles, most: int) -> tuple[Side, Side]:
    distances = instance.distances
    return exact.join(len(distances), distances[-1]), exact.join(most, 0)


def oracle_sides(instance: Oracles) -> tuple[Side, Side]:
    """Return (iterations, NashConv at the end) and (A + B - 1, 0)."""
    return _ended(instance, sum(instance.matrix.shape) - 1)


ORACLES = Theorem(
    id="double-oracle/ends",
    title="Double oracle ends with an equilibrium after A + B - 1 iterations at most",
    source="McMahan, Gordon and Blum (2003), Theorem 1; the count is made sharp here",
    statement=(
        r"K \le A + B - 1,\qquad \mathrm{NC}(x^K, y^K) \le 0,\qquad K = \min\{k : \text{no best "
        r"reply to } (x^k, y^k) \text{ is new}\}"
    ),
    hypotheses=(
        "two-player zero-sum game, one action each at the start",
        "exact equilibria of the restricted games; the last iteration, which finds nothing, counts",
    ),
    kind="inequality",
    sample=sample_oracles,
    sides=oracle_sides,
    control=Control(
        name="the larger number of actions",
        explanation="As if both players found something new every time.",
        sides=lambda instance: _ended(instance, max(instance.matrix.shape)),
    ),
    sizes=(2, 3, 4),
    notes="Attained by matching pennies, and by some games of every larger size that was tried.",
    sharpness=0.999,
    cost=5.0,
)


def growing_sides(instance: Oracles) -> tuple[Side, Side]:
    """Return 5 times the NashConv of the first restricted equilibrium, and that of the second."""
    return 5 * instance.distances[0], instance.distances[1]


NOT_MONOTONE = Theorem(
    id="double-oracle/not-monotone",
    title="A larger population's equilibrium can be more exploitable, sixfold in a game of 2 by 2",
    source="McMahan, Gordon and Blum (2003) bound the end only; the instance is ours",
    statement=r"5\,\mathrm{NC}(x^1, y^1) < \mathrm{NC}(x^2, y^2)",
    hypotheses=(
        r"$M = \begin{pmatrix} 2 & 3 \\ 3 & -3 \end{pmatrix}$, first actions at the start",
    ),
    kind="counterexample",
    sample=lambda tape, size: double_oracle(to_fractions([[2, 3], [3, -3]])),
    sides=growing_sides,
    control=Control(
        name="the order reversed",
        explanation="The second actions are the start: from there NashConv falls.",
        sample=lambda tape, size: double_oracle(to_fractions([[-3, 3], [3, 2]])),
    ),
    sizes=(2,),
    notes=(
        "1, then 6, then 0: the row player's improvement is the column player's opportunity. "
        "Curves of PSRO with exact equilibria of the meta-game may rise for that reason alone."
    ),
    sharpness=0.833,
)


THEOREMS = (GIBBS, SINKS, ORACLES, NOT_MONOTONE)
