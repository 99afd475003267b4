"""Members of the CFR family: what bounds their averages, and which of them are one another.

Runs are exact: the variants' own functions on Fractions, wherever their schedules are rational. Two
inequalities carry the bounds. The norm of the positive regrets grows by no more than that of what
is added; and what an average weighs is a sum of stretches of rounds, over each of which the regret
is at most the accumulated one, less what was below zero when the stretch began.
"""

from collections.abc import Callable
from fractions import Fraction
from math import inf
from typing import NamedTuple

import numpy as np

from rltheory.analysis.bounds import Bounds, rounding_error
from rltheory.analysis.rational import FractionArray
from rltheory.games.exact.exact_form import (
    ExactForm,
    exact_nash_conv,
    exact_regrets,
    fraction_array,
)
from rltheory.games.regret.mccfr_samples import mccfr_samples
from rltheory.games.regret.variant import Variant
from rltheory.games.regret.variants import cfr_plus, dcfr, dcfr_plus, lcfr, pcfr_plus, vad_cfr
from rltheory.theory import balls
from rltheory.theory import extensive_instances as ext
from rltheory.theory.balls import ball, precise
from rltheory.theory.exact import join
from rltheory.theory.sides import Side, enclose
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Setting(NamedTuple):
    """A zero-sum game of two players and a run of a variant on it, with the rounds' weights."""

    form: ExactForm
    run: ext.Run
    weights: list[Fraction]


def _weights(variant: Variant, rounds: int) -> list[Fraction]:
    """What each iteration counts in the variant's average."""
    schedule = ext.exact_schedule(variant, rounds)
    zero = (0.0, 0.0, 0.0, 0.0)
    return [Fraction(variant.weight(schedule(t), zero)) for t in range(1, rounds + 1)]


def _sample_run(tape: Tape, depth: int, variants: tuple[Variant, ...], least: int = 1) -> Setting:
    form = ext.game(tape, depth)
    variant, rounds = tape.choice(variants), tape.integer(least, 4)
    return Setting(form, ext.run(form, variant, rounds), _weights(variant, rounds))


def _distance(instance: Setting) -> Fraction:
    """The NashConv of the run's average."""
    form, run, weights = instance
    return exact_nash_conv(form, ext.average(form, run.profiles, weights))


def _slots(form: ExactForm) -> list[slice]:
    return [slots for p in range(2) for _, slots in ext.sets(form, p)]


def _accumulated(run: ext.Run, variant: Variant) -> list[FractionArray]:
    """The regrets kept after each iteration."""
    schedule = ext.exact_schedule(variant, len(run.regrets))
    kept, all_kept = run.regrets[0] * 0, []
    for t, gained in enumerate(run.regrets, start=1):
        kept = fraction_array(
            [
                Fraction(variant.regret(R, r, schedule(t), (0.0, 0.0, 0.0, 0.0)))
                for R, r in zip(kept, gained, strict=True)
            ]
        )
        all_kept.append(kept)
    return all_kept


class Weighted(NamedTuple):
    """A run with the regrets kept after each of its iterations."""

    setting: Setting
    kept: list[FractionArray]


def _weighted_rules() -> tuple[Variant, ...]:
    return (
        cfr_plus(),
        dcfr_plus(alpha=1, gamma=1),
        dcfr_plus(alpha=2, gamma=2),
        dcfr(alpha=1, beta=0, gamma=1),
        dcfr(alpha=1, beta=-1, gamma=2),
        dcfr(alpha=2, beta=0, gamma=2),
        dcfr(),
        dcfr_plus(),
    )


def sample_weighted(tape: Tape, depth: int) -> Weighted:
    """Draw a game and a run of CFR+, DCFR+ or DCFR, discounts the fractions behind their floats."""
    variant = tape.choice(_weighted_rules())
    setting = _sample_run(tape, depth, (variant,), least=2)
    return Weighted(setting, _accumulated(setting.run, variant))


def weighted_sides(instance: Weighted) -> tuple[Side, Side]:
    """Return the NashConv of the weighted average and what the kept regrets bound it by."""
    setting, kept = instance
    total = Fraction(0)
    debt = kept[0] * 0
    for before in kept[:-1]:
        debt = np.maximum(debt, -before)
    for slots in _slots(setting.form):
        total += max(kept[-1][slots] + debt[slots])
    share = setting.weights[-1] / sum(setting.weights, Fraction(0))
    return _distance(setting), share * total


WEIGHTED = Theorem(
    id="cfr-variants/weighted-average",
    title="Kept regrets bound the weighted average of CFR+, DCFR+ and DCFR",
    source=(
        "Tammelin, Burch, Johanson and Bowling (2015) for CFR+, Brown and Sandholm (2019) and Xu "
        "et al. (2024) for discounts; this common form is derived here"
    ),
    statement=(
        r"\mathrm{NashConv}(\bar\sigma) \le \frac{g_T}{\sum_t g_t} \sum_I \max_a \Bigl(R^T(I, a) + "
        r"\max_{t < T} \bigl[-R^t(I, a)\bigr]_+\Bigr)"
    ),
    hypotheses=(
        "two players, payoffs sum to 0, perfect recall, simultaneous updates",
        r"$R^t = d_t R^{t-1} + r^t$ where $R^{t-1} > 0$, nearer to 0 where it is negative, or "
        r"clipped at 0; $\sigma^{t+1} \propto [R^t]_+$",
        r"the average weighs iteration $t$ by $g_t$, and $g_t d_t \ge g_{t-1}$, as in DCFR(3/2, 0, "
        "2) and DCFR+(3/2, 4)",
    ),
    kind="inequality",
    sample=sample_weighted,
    sides=weighted_sides,
    control=Control(
        name="discounts without weights",
        explanation="Regrets are discounted, while all iterations count the same in the average.",
        sides=lambda instance: weighted_sides(
            instance._replace(
                setting=instance.setting._replace(
                    weights=[Fraction(1)] * len(instance.setting.weights)
                )
            )
        ),
    ),
    notes=(
        r"For CFR+ with $g_t = t$ there are no debts and the factor is $2/(T+1)$. For DCFR(3/2, 0, "
        r"2) debts are at most $2\Delta$, as half of them is forgotten every time, which gives "
        r"$3\Delta\,|\mathcal{I}|\,(\sqrt{A} + 2/\sqrt{T})/\sqrt{T}$ with $\mathcal{I}$ all sets, "
        r"and so the published $6\Delta\,|\mathcal{I}|\,(\sqrt{A} + 1/\sqrt{T})/\sqrt{T}$."
    ),
    sharpness=0.9,
    sizes=(2, 3),
    cost=3.0,
)


@precise
def _norms(
    instance: Setting, squares: Callable[[int, slice], Fraction], worst: bool = False
) -> Bounds:
    """The sum over sets, or the worst, of roots of sums over rounds of squares, per weight."""
    form, run, weights = instance
    sums = [
        sum((squares(t, slots) for t in range(len(run.regrets))), Fraction(0))
        for slots in _slots(form)
    ]
    total = sum((ball(x).sqrt() for x in ([max(sums)] if worst else sums)), ball(0))
    return balls.to_bounds(total / ball(sum(weights, Fraction(0))))


def _linear(instance: Setting, worst: bool = False) -> tuple[Side, Side]:
    regrets, weights = instance.run.regrets, instance.weights

    def squares(t: int, slots: slice) -> Fraction:
        return Fraction(weights[t] ** 2 * (regrets[t][slots] ** 2).sum())

    return _distance(instance), _norms(instance, squares, worst)


def linear_sides(instance: Setting) -> tuple[Side, Side]:
    """Return the NashConv of the linear average and the norms of the weighted regrets."""
    return _linear(instance)


def _one_shot(tape: Tape, actions: int) -> Setting:
    form = ext.one_shot(tape, actions)
    return Setting(form, ext.run(form, lcfr(), 1), _weights(lcfr(), 1))


LINEAR = Theorem(
    id="cfr-variants/linear-average",
    title="The linear average of Linear CFR, however negative regrets are discounted",
    source="Brown and Sandholm (2019), section 3; this form and all betas derived here",
    statement=(
        r"\mathrm{NashConv}(\bar\sigma) \le \frac{2}{T(T+1)} \sum_I \sqrt{\sum_{t \le T} t^2\, "
        r"\|r^t(I)\|_2^2}"
    ),
    hypotheses=(
        "two players, payoffs sum to 0, perfect recall, simultaneous updates",
        r"Linear CFR, or DCFR$(1, \beta, 1)$ with any $\beta \le 1$",
    ),
    kind="inequality",
    sample=lambda tape, depth: _sample_run(
        tape, depth, (lcfr(), *(dcfr(alpha=1, beta=b, gamma=1) for b in (1, 0, -1)))
    ),
    sides=linear_sides,
    admissible=lambda instance: any(np.any(r) for r in instance.run.regrets),
    control=Control(
        name="the worst set alone",
        explanation="The largest norm of a set in place of their sum.",
        sides=lambda instance: _linear(instance, worst=True),
        sample=lambda tape, depth: _one_shot(tape, 1 + depth),
    ),
    notes=(
        r"So at most $\tfrac{2}{\sqrt3}\,\Delta\,|\mathcal{I}| \sqrt{A - 1} / \sqrt{T}$ for large "
        r"$T$, all sets counted."
    ),
    sharpness=0.7,
    sizes=(2, 3),
    cost=3.0,
)


def _predicted(instance: Setting, first_free: bool) -> tuple[Side, Side]:
    regrets = instance.run.regrets

    def squares(t: int, slots: slice) -> Fraction:
        if t == 0:
            return Fraction(0) if first_free else Fraction((regrets[0][slots] ** 2).sum())
        return Fraction(((regrets[t][slots] - regrets[t - 1][slots]) ** 2).sum())

    return _distance(instance), _norms(instance, squares)


def predicted_sides(instance: Setting) -> tuple[Side, Side]:
    """Return the NashConv of the average and the norms of what was not predicted."""
    return _predicted(instance, first_free=False)


PREDICTIVE = Theorem(
    id="cfr-variants/predictive-average",
    title="PCFR+ pays for changes of the counterfactual regrets only",
    source=(
        "Farina, Kroer and Sandholm (2021), Theorems 3 and 5; with regrets as predictions and the "
        "constant 1 derived here, from regret-matching/plus-predictive's inequality"
    ),
    statement=(
        r"\mathrm{NashConv}(\bar\sigma) \le \frac{1}{T} \sum_I \sqrt{\sum_{t \le T} \|r^t(I) - "
        r"r^{t-1}(I)\|_2^2}, \qquad r^0 = 0"
    ),
    hypotheses=(
        "two players, payoffs sum to 0, perfect recall, simultaneous updates",
        r"$\sigma^{t+1} \propto [R^t + r^t]_+$, $R^t = [R^{t-1} + r^t]_+$",
        "all iterations count the same in the average",
    ),
    kind="inequality",
    sample=lambda tape, depth: _sample_run(tape, depth, (pcfr_plus(gamma=0),)),
    sides=predicted_sides,
    admissible=lambda instance: any(np.any(r) for r in instance.run.regrets),
    control=Control(
        name="the first round for free",
        explanation="What nothing could predict is left out.",
        sides=lambda instance: _predicted(instance, first_free=True),
    ),
    sharpness=0.7,
    sizes=(2, 3),
    cost=3.0,
)


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
    run = ext.run(form, variant, rounds, alternating=alternating)
    average = ext.average(form, run.profiles, _weights(variant, rounds))
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
    limit = ext.run(form, dcfr_plus(alpha=inf, gamma=1), rounds, alternating=alternating)
    first = ext.run(form, cfr_plus(), 1, alternating=alternating)
    rest = ext.run(
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


class Sampled(NamedTuple):
    """A game, a profile of short dyadic numbers (slots,) and how leaves are sampled."""

    form: ExactForm
    strategies: FractionArray
    external: bool


def sample_sampled(tape: Tape, depth: int) -> Sampled:
    """Draw a game of two or three players and a profile of quarters and halves."""
    form = ext.game(tape, depth, players=tape.integer(2, 3), zero_sum=False)
    strategies = fraction_array([Fraction(0)] * form.game.slots)
    for p in range(form.game.players):
        for _, slots in ext.sets(form, p):
            # Four quarters fall on the actions.
            for _ in range(4):
                strategies[tape.integer(slots.start, slots.stop - 1)] += Fraction(1, 4)
    return Sampled(form, strategies, bool(tape.integer(0, 1)))


def _sampled(instance: Sampled, equally: bool) -> tuple[Side, Side]:
    form, strategies, external = instance
    means, error = np.zeros(form.game.slots), 0.0
    largest = float(max(abs(x) for x in form.game.tree.payoffs.ravel()))  # type: ignore[union-attr]
    for p in range(form.game.players):
        samples = mccfr_samples(
            form.game,
            strategies.astype(float),
            "external" if external else "outcome",
            player=p,
            exploration=0.5,
        )
        count = len(samples.probabilities)
        own = ext.own(form, p)
        chances = np.full(count, 1 / count) if equally else samples.probabilities
        means[own] = (chances @ samples.regrets)[own]
        # A sample's chance times its weight is at most 1, twice: an action's value and its set's.
        error = max(error, rounding_error(64 + 2 * count, 2 * count * largest))
    return enclose(means, error), exact_regrets(form, strategies)


def sampled_sides(instance: Sampled) -> tuple[Side, Side]:
    """Return the mean of the sampled regrets over all samples, enclosed, and the exact regrets.

    Trees have at most 4 moves in a row, each with a chance of at most 5 roundings that enters a
    sample's chance and weight: fewer than 64, and one product and sum for each sample.
    """
    return _sampled(instance, equally=False)


UNBIASED = Theorem(
    id="cfr-variants/sampling-is-unbiased",
    title="External and outcome sampling estimate counterfactual regrets without bias",
    source="Lanctot, Waugh, Zinkevich and Bowling (2009), Lemma 1",
    statement=r"\sum_{Q} q(Q)\, \tilde r_Q(I, a) = r(I, a)",
    hypotheses=(
        "external sampling, or outcome sampling that explores half of the time",
        "any number of players, any payoffs, any profile; all samples listed",
    ),
    kind="identity",
    sample=sample_sampled,
    sides=sampled_sides,
    control=Control(
        name="samples counted equally",
        explanation="Samples are averaged without their chances.",
        sides=lambda instance: _sampled(instance, equally=True),
    ),
    sizes=(2, 3, 4),
    cost=3.0,
)


THEOREMS = (WEIGHTED, LINEAR, PREDICTIVE, LINEAR_IS_DISCOUNTED, INFINITE, VAD_REDUCES, UNBIASED)
