"""How often a critic is replaced under doubling rules, and what two models need to be told apart.

Everything is exact: the numbers of switches are compared as powers of two.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.theory.exact import fractions
from rltheory.theory.records.linear_designs import Design, determinant, gram
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Visits(NamedTuple):
    """The pairs visited at one step of the horizon, one for each episode, and their number."""

    sequence: tuple[int, ...]
    pairs: int


def sample_visits(tape: Tape, size: int) -> Visits:
    """Draw visits, in any order."""
    count = tape.integer(1, 24)
    return Visits(tuple(tape.integer(0, size - 1) for _ in range(count)), size)


def table_switches(visits: Visits) -> int:
    """Return how often some count has doubled since the last switch; a first visit is one."""
    counts, last, switches = [0] * visits.pairs, [0] * visits.pairs, 0
    for pair in visits.sequence:
        counts[pair] += 1
        if counts[pair] >= max(1, 2 * last[pair]):
            last, switches = counts.copy(), switches + 1
    return switches


def _table(visits: Visits, each: int) -> tuple[Side, Side]:
    rounds, pairs = len(visits.sequence), visits.pairs
    switches = table_switches(visits)
    by_pair = [visits.sequence.count(pair) for pair in range(pairs)]
    exactly = np.prod([each * n for n in by_pair if n], dtype=object)
    met = sum(n > 0 for n in by_pair)
    bound = Fraction(each * rounds, met) ** met
    return np.array([2**switches, 2**switches], dtype=object), np.array(
        [Fraction(int(exactly)), bound], dtype=object
    )


def table_sides(visits: Visits) -> tuple[Side, Side]:
    """Return 2^K, and the product of twice the counts, and its bound by the number of pairs."""
    return _table(visits, 2)


TABLE = Theorem(
    id="actor-critic/switches-by-counts",
    title="Switching when a count has doubled happens logarithmically often",
    source="Jaksch, Ortner and Auer (2010), Proposition 18; Bai, Xie, Jiang and Wang (2019)",
    statement=(
        r"2^{K} \le \prod_{N(s,a) > 0} 2N(s,a) \le \Bigl(\frac{2T}{n}\Bigr)^{n},\qquad K \le SA"
        r"\,\Bigl(1 + \log_2\frac{T}{SA}\Bigr)\ \text{ for } T \ge SA"
    ),
    hypotheses=(
        "one step of the horizon; a switch at an episode after which some count is at least twice "
        "what it was at the last switch, or 1",
        "$T$ episodes, $n$ pairs are visited at all",
    ),
    kind="inequality",
    sample=sample_visits,
    sides=table_sides,
    control=Control(
        name="without the first visits",
        explanation="The factor is the count instead of twice the count.",
        sides=lambda visits: _table(visits, 1),
    ),
    sharpness=0.999,
    notes=(
        "Times $H$ if any step may ask for a switch. Attained with counts that are powers of two, "
        "doubled one at a time."
    ),
)


def sample_rounds(tape: Tape, size: int) -> Design:
    """Draw up to 12 features, half of the time unit vectors with a ridge of 1."""
    count = tape.integer(1, 12)
    if tape.integer(0, 1):
        rows = np.eye(size)[[tape.integer(0, size - 1) for _ in range(count)]]
        return Design(fractions(rows), Fraction(1), fractions(np.zeros(size)))
    features = fractions(tape.dyadic((count, size), -1.0, 1.0, bits=4))
    return Design(features, Fraction(2) ** tape.integer(-2, 2), fractions(np.zeros(size)))


def _volume(design: Design) -> tuple[Fraction, int]:
    """Return det G / ridge^d after the last feature, and how often it doubled on the way."""
    size = design.features.shape[1]
    last, switches, volume = Fraction(1), 0, Fraction(1)
    for count in range(1, len(design.features) + 1):
        current = design._replace(features=design.features[:count])
        volume = determinant(gram(current)) / design.ridge**size
        if volume >= 2 * last:
            last, switches = volume, switches + 1
    return volume, switches


def _linear(design: Design, *, one: bool) -> tuple[Side, Side]:
    volume, switches = _volume(design)
    size = design.features.shape[1]
    length = Fraction((design.features**2).sum()) / design.ridge
    bound = 1 + length / size if one else (1 + length / size) ** size
    return _pair(Fraction(2) ** switches, volume), _pair(volume, bound)


def _pair(first: Fraction, second: Fraction) -> FractionArray:
    return np.array([first, second], dtype=object)


def linear_sides(design: Design) -> tuple[Side, Side]:
    """Return (2^K, det G / ridge^d) and (det G / ridge^d, its bound by the lengths)."""
    return _linear(design, one=False)


LINEAR = Theorem(
    id="actor-critic/switches-by-volume",
    title="Switching when a determinant has doubled happens logarithmically often",
    source="Abbasi-Yadkori, Pal and Szepesvari (2011), Lemma 10",
    statement=(
        r"2^K \le \frac{\det\Lambda_T}{\lambda^d} \le \Bigl(1 + \frac{1}{\lambda d}\sum_{t \le T}"
        r"\|\phi_t\|^2\Bigr)^d,\qquad K \le d\log_2\Bigl(1 + \frac{T}{\lambda d}\Bigr)"
    ),
    hypotheses=(
        r"$\Lambda_t = \lambda I + \sum_{i \le t}\phi_i\phi_i^\top$; a switch when $\det\Lambda$ "
        "is at least twice what it was at the last switch",
        r"the last form for $\|\phi_t\| \le 1$; times $H$ if any step may ask for a switch",
    ),
    kind="inequality",
    sample=sample_rounds,
    sides=linear_sides,
    control=Control(
        name="one dimension",
        explanation=r"The power $d$ is left out.",
        sides=lambda design: _linear(design, one=True),
    ),
    sizes=(1, 2, 3),
    cost=3.0,
    sharpness=0.999,
    notes="Attained by unit vectors in turn with a ridge of 1; a table is the diagonal case.",
)


class Tested(NamedTuple):
    """Visits, the factor of the test, and for each critic in turn its squared errors by pair.

    share: of the threshold that a new critic uses up on the data so far.
    """

    visits: Visits
    factor: int
    squares: FractionArray
    share: Fraction


def sample_tested(tape: Tape, size: int) -> Tested:
    """Draw critics, half of the time each wrong in one pair only."""
    visits = sample_visits(tape, size)
    squares = fractions(tape.dyadic((len(visits.sequence) + 1, size), bits=4))
    if tape.integer(0, 1):
        # Wrong in the pair that is visited next, or after that.
        following = [*visits.sequence, 0]
        squares = fractions(np.eye(size)[following])
    share = Fraction(1) if tape.integer(0, 1) else Fraction(tape.integer(1, 8), 8)
    return Tested(visits, tape.integer(2, 5), squares, share)


def residual_switches(tested: Tested) -> int:
    """Return how often the squared errors of the critic in force reach the factor.

    In units of the threshold: a critic is scaled so that its errors on the data at its choice add
    up to the share, or to the factor at the next visit where it was right on all of them.
    """
    counts = fractions(np.zeros(tested.visits.pairs))
    switches, current = 0, _chosen(tested, 0, counts)
    for episode, pair in enumerate(tested.visits.sequence, start=1):
        counts[pair] += 1
        if (counts * current).sum() >= tested.factor:
            switches, current = switches + 1, _chosen(tested, episode, counts)
    return switches


def _chosen(tested: Tested, number: int, counts: FractionArray) -> FractionArray:
    squares = tested.squares[number]
    used = (counts * squares).sum()
    return np.asarray(squares * (tested.share / used if used else tested.factor))


def _residual(tested: Tested, first: int) -> tuple[Side, Side]:
    counts = [tested.visits.sequence.count(pair) for pair in range(tested.visits.pairs)]
    product = Fraction(1)
    for count in counts:
        product *= max(1, first * count)
    return Fraction(tested.factor) ** residual_switches(tested), product


def residual_sides(tested: Tested) -> tuple[Side, Side]:
    """Return factor^K, and the product of factor times count over the visited pairs."""
    return _residual(tested, tested.factor)


RESIDUAL = Theorem(
    id="actor-critic/switches-by-residual",
    title="Switching when a critic's residual has grown by a factor: as seldom as by counts",
    source=(
        "Derived here, for the rule of Xiong, Wang and Yang (2023) and Tan, Fan and Wei (2025) as "
        "we understand it"
    ),
    statement=(
        r"\kappa^K \le \prod_{N(s,a) > 0}\kappa\,N(s,a),\qquad K \le SA\Bigl(1 + \log_\kappa"
        r"\frac{T}{SA}\Bigr)\ \text{ for } T \ge e\,SA"
    ),
    hypotheses=(
        r"one step of the horizon, a table; at a switch any critic with $\sum N\delta^2 \le \beta$ "
        r"is chosen, and replaced when $\sum N\delta^2 \ge \kappa\beta$; $\kappa \ge 2$",
        r"$\delta$ are its Bellman errors: the excess loss is $\sum N\delta^2$ where targets are "
        "certain, see actor-critic/excess-loss-of-a-table",
    ),
    kind="inequality",
    sample=sample_tested,
    sides=residual_sides,
    control=Control(
        name="without the first visits",
        explanation="The factor is the count instead of the factor of the test times it.",
        sides=lambda tested: _residual(tested, 1),
    ),
    sharpness=0.999,
    notes=(
        r"Errors of at most $\beta$ on the past, of $(\kappa-1)\beta$ in the epoch: some pair was "
        r"visited $\kappa - 1$ times as often in the epoch as before it. A critic may be wrong in "
        "all pairs at once; no range of its values is needed. Attained by critics that are wrong "
        "in one pair each."
    ),
)


class Pair(NamedTuple):
    """Two distributions of one observation, and how many are seen."""

    first: FractionArray
    second: FractionArray
    draws: int


def sample_pair(tape: Tape, size: int) -> Pair:
    """Draw two distributions of few outcomes, so that all tests can be listed."""
    laws = fractions(tape.simplex((2, size)))
    return Pair(laws[0], laws[1], tape.integer(1, 4 - size + 1))


def _joint(law: FractionArray, count: int) -> FractionArray:
    """Return the law of `count` independent observations, flat."""
    found = np.array([Fraction(1)], dtype=object)
    for _ in range(count):
        found = np.outer(found, law).ravel()
    return found


def _tests(pair: Pair, *, sums: bool) -> tuple[Side, Side]:
    first, second = _joint(pair.first, pair.draws), _joint(pair.second, pair.draws)
    errors = np.array([Fraction(1)], dtype=object)
    # Every test says "second" on some set of outcomes; listed by adding one outcome at a time.
    for p, q in zip(first, second, strict=True):
        errors = np.concatenate([errors, errors + p - q])
    if sums:
        apart = pair.draws * abs(pair.first - pair.second).sum() / 2
    else:
        apart = abs(first - second).sum() / 2
    return Fraction(errors.min()), 1 - Fraction(apart)


def tests_sides(pair: Pair) -> tuple[Side, Side]:
    """Return the least sum of both errors over all tests, and 1 - total variation."""
    return _tests(pair, sums=False)


TESTS = Theorem(
    id="actor-critic/two-models-one-test",
    title="The best test between two models errs as much as their laws overlap",
    source="Le Cam; see Tsybakov (2009), chapter 2",
    statement=(
        r"\min_{\psi}\ P^n(\psi = Q) + Q^n(\psi = P) = 1 - \mathrm{TV}(P^n, Q^n) \ge 1 - n\,"
        r"\mathrm{TV}(P, Q)"
    ),
    hypotheses=(
        r"$n$ independent observations of few outcomes; $\psi$ runs over all tests, every one "
        "listed",
    ),
    kind="identity",
    sample=sample_pair,
    sides=tests_sides,
    control=Control(
        name="distances added",
        explanation=r"$n\,\mathrm{TV}(P, Q)$ in place of that of the joint laws.",
        sides=lambda pair: _tests(pair, sums=True),
    ),
    sizes=(2, 3),
    cost=4.0,
    notes=(
        "A learner that has to act differently in two models is a test between them: whatever it "
        "does, its regrets in the two add up to the gap times the right side at least. So a lock "
        "whose combination was not met costs as much as a guess."
    ),
)


THEOREMS = (TABLE, LINEAR, RESIDUAL, TESTS)
