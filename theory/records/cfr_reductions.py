"""Which members of the CFR family are one another, under which settings.

By exact runs side by side, or, where a schedule is not rational, by one visit of a set, enclosed:
runs are made of visits, so equal visits make equal runs.
"""

from fractions import Fraction
from math import inf
from typing import NamedTuple

import numpy as np

from rltheory.analysis.bounds import Bounds, rounding_error
from rltheory.analysis.rational import FractionArray
from rltheory.games.exact.exact_form import ExactForm
from rltheory.games.regret.variant import Variant
from rltheory.games.regret.variants import cfr_plus, dcfr, dcfr_plus, lcfr, vad_cfr
from rltheory.theory import extensive_instances as ext
from rltheory.theory import extensive_plans as plans
from rltheory.theory import extensive_runs as runs
from rltheory.theory.exact import join
from rltheory.theory.sides import Side, enclose
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Twins(NamedTuple):
    """A game, how many rounds are played, and whether players are updated in turn."""

    form: ExactForm
    rounds: int
    alternating: bool


def sample_twins(tape: Tape, depth: int) -> Twins:
    """Draw a game of two or three players with any payoffs, and 2 to 4 rounds."""
    form = ext.game(tape, depth, players=tape.integer(2, 3), zero_sum=False)
    return Twins(form, tape.integer(2, 4), bool(tape.integer(0, 1)))


def _end(instance: Twins, variant: Variant, scale: int) -> FractionArray:
    """What a run ends with: regrets, the next profile and the average."""
    form, rounds, alternating = instance
    run = runs.run(form, variant, rounds, alternating=alternating)
    average = plans.average(form, run.profiles, runs.average_weights(variant, rounds))
    return join(scale * run.accumulated, run.final, average)


def twins_sides(instance: Twins) -> tuple[Side, Side]:
    """Return the end of a run of Linear CFR, and of DCFR(1, 1, 1) with regrets times T."""
    discounted = dcfr(alpha=1, beta=1, gamma=1)
    return _end(instance, lcfr(), 1), _end(instance, discounted, instance.rounds)


LINEAR_IS_DISCOUNTED = Theorem(
    id="cfr-variants/linear-is-discounted",
    title="Linear CFR is DCFR(1, 1, 1)",
    source="Brown and Sandholm (2019), section 4",
    statement=(
        r"T\,R^T_{\mathrm{DCFR}(1,1,1)} = R^T_{\mathrm{LCFR}},\qquad \sigma^{T+1} \text{ and } "
        r"\bar\sigma \text{ equal}"
    ),
    hypotheses=("any game of perfect recall; simultaneous or alternating updates",),
    kind="identity",
    sample=sample_twins,
    sides=twins_sides,
    control=Control(
        name="negative regrets halved",
        explanation="DCFR(1, 0, 1), as if negative regrets did not matter.",
        sides=lambda instance: (
            _end(instance, lcfr(), 1),
            _end(instance, dcfr(alpha=1, beta=0, gamma=1), instance.rounds),
        ),
    ),
    sizes=(2, 3),
    cost=4.0,
)


def _infinite(instance: Twins, share: Fraction) -> tuple[Side, Side]:
    form, rounds, alternating = instance
    limit = runs.run(form, dcfr_plus(alpha=inf, gamma=1), rounds, alternating=alternating)
    first = runs.run(form, cfr_plus(), 1, alternating=alternating)
    rest = runs.run(
        form,
        cfr_plus(),
        rounds - 1,
        alternating=alternating,
        start=share * first.accumulated,
        begin=2,
    )
    return join(limit.accumulated, limit.final), join(rest.accumulated, rest.final)


def infinite_sides(instance: Twins) -> tuple[Side, Side]:
    """Return the end of DCFR+ with infinite alpha, and of CFR+ that halved its first regrets."""
    return _infinite(instance, Fraction(1, 2))


INFINITE = Theorem(
    id="cfr-variants/infinite-discount",
    title="DCFR+ with an infinite exponent is CFR+ that halves its first regrets",
    source="derived here; quoted loosely as a limit that is CFR+",
    statement=(
        r"\lim_{\alpha \to \infty} \frac{(t-1)^\alpha}{(t-1)^\alpha + 1} = 1 \text{ for } t > 2, "
        r"\text{ but } \tfrac12 \text{ at } t = 2: \qquad R^T_{\mathrm{DCFR+}(\infty)} = "
        r"R^T_{\mathrm{CFR+}}\bigl(R^1 = \tfrac12 [r^1]_+\bigr)"
    ),
    hypotheses=("any game of perfect recall; simultaneous or alternating updates",),
    kind="identity",
    sample=sample_twins,
    sides=infinite_sides,
    control=Control(
        name="CFR+ itself",
        explanation="The first regrets are kept whole.",
        sides=lambda instance: _infinite(instance, Fraction(1)),
    ),
    notes="1 to any power is 1: the first regrets are discounted by 1/2 for every exponent.",
    sizes=(2, 3),
    cost=4.0,
)


class Visit(NamedTuple):
    """A set's regrets R and instantaneous regrets r, both (A,), in iteration t."""

    kept: list[float]
    gained: list[float]
    t: int


def sample_visit(tape: Tape, actions: int) -> Visit:
    """Draw dyadic regrets in [-4, 4] and an iteration up to 1000, often an early one."""
    kept, gained = tape.dyadic((2, actions), -4.0, 4.0, bits=6).tolist()
    return Visit(kept, gained, tape.choice((1, 2, 3, tape.integer(4, 1000))))


def _reduced_vad() -> Variant:
    return vad_cfr(
        sensitivity=0.0, boost=1.0, floor=-inf, sharpened=False, optimism=0.0, warm_up=0,
        gamma_sensitivity=0.0, stability=0.0, magnitude=0.0,
    )  # fmt: skip


_ROUNDINGS = 512
"""See `visit_sides`."""


def _visited(variant: Variant, visit: Visit) -> Bounds:
    """Next regrets, the strategy that R gives, and the averaging weight over t^2, as enclosures."""
    kept, gained, t = visit
    c = variant.schedule(t, 1000)
    s = variant.signal(max(abs(r) for r in gained), 0.0, c)
    after = [variant.regret(R, r, c, s) for R, r in zip(kept, gained, strict=True)]
    pairs = zip(kept, gained, strict=True)
    shares = [max(0.0, variant.strategy(R, r, 0.0, c, s)) for R, r in pairs]
    total = sum(shares)
    played = [x / total if total else 1 / len(kept) for x in shares]
    sizes = [abs(R) + abs(r) for R, r in zip(kept, gained, strict=True)] + played + [1.0]
    errors = [rounding_error(_ROUNDINGS, size) for size in sizes]
    weight = variant.weight(c, s) / float(t) ** 2
    return enclose(np.array([*after, *played, weight]), np.array(errors))


def visit_sides(visit: Visit) -> tuple[Side, Side]:
    """Return what VAD-CFR so reduced and DCFR(1.5, -0.1, 2) make of one visit, enclosed.

    A discount of VAD-CFR is 1 / (1 + exp(-a log t)): a log within 4 ulps, so a relative error of 9
    units for the argument, whose size is at most 1.5 log 1000 < 10.4: an absolute one of 94, plus
    the exponential's 8. The other exponential gets a power within 8 and an exponent within 1 unit
    times log 1000 more. Sums and quotients of both stay below 400, the weight exp(2 log t) below
    140, DCFR's own powers below 20, and one product, one sum and a normalisation are left.
    """
    reduced = dcfr(alpha=1.5, beta=-0.1, gamma=2.0, ahead=1)
    return _visited(_reduced_vad(), visit), _visited(reduced, visit)


VAD_REDUCES = Theorem(
    id="cfr-variants/vad-reduces-to-dcfr",
    title="VAD-CFR without its additions is DCFR(1.5, -0.1, 2), one step ahead",
    source="Li, Schultz, Hennes and Lanctot (2026), listing of the appendix; derived here",
    statement=(
        r"R^t = \frac{t^{a}}{t^{a}+1} R^{t-1} + r^t,\quad a = 1.5 \text{ or } -0.1 \text{ by "
        r"sign},\qquad \sigma^{t} \propto [R^{t-1}]_+, \qquad g_t = t^2"
    ),
    hypotheses=(
        "sensitivity 0, boost 1, no floor, exponent 1, optimism 0, no warm-up, averaging weights "
        "without their factors",
        "each visit of a set is one function of its regrets, so equal visits make equal runs",
    ),
    kind="identity",
    sample=sample_visit,
    sides=visit_sides,
    control=Control(
        name="DCFR as it is published",
        explanation="What was accumulated before iteration t is discounted with t - 1, not t.",
        sides=lambda visit: (
            _visited(_reduced_vad(), visit),
            _visited(dcfr(alpha=1.5, beta=-0.1, gamma=2.0), visit),
        ),
    ),
    notes=(
        "The listing discounts with the number of the iteration that it is in; DCFR's authors and "
        "their code with that of the one before. In the second iteration the first regrets count "
        "2^1.5 / (2^1.5 + 1) = 0.74 in the one and 1/2 in the other."
    ),
    sizes=(2, 3),
)


THEOREMS = (LINEAR_IS_DISCOUNTED, INFINITE, VAD_REDUCES)
