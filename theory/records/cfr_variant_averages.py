"""What bounds the averages of discounted, linear and predictive CFR.

Runs are exact: the variants' own functions on Fractions, wherever their schedules are rational. Two
inequalities carry the bounds. The norm of the positive regrets grows by no more than that of what
is added; and what an average weighs is a sum of stretches of rounds, over each of which the regret
is at most the accumulated one, less what was below zero when the stretch began.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.bounds import Bounds
from rltheory.analysis.rational import FractionArray
from rltheory.games.exact.exact_form import ExactForm, exact_nash_conv, fraction_array
from rltheory.games.regret.variant import Variant
from rltheory.games.regret.variants import cfr_plus, dcfr, dcfr_plus, lcfr, pcfr_plus
from rltheory.theory import balls
from rltheory.theory import extensive_instances as ext
from rltheory.theory import extensive_plans as plans
from rltheory.theory import extensive_runs as runs
from rltheory.theory.balls import ball, precise
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Setting(NamedTuple):
    """A zero-sum game of two players and a run of a variant on it, with the rounds' weights."""

    form: ExactForm
    run: runs.Run
    weights: list[Fraction]


def _sample_run(tape: Tape, depth: int, variants: tuple[Variant, ...], least: int = 1) -> Setting:
    form = ext.game(tape, depth)
    variant, rounds = tape.choice(variants), tape.integer(least, 4)
    return Setting(form, runs.run(form, variant, rounds), runs.average_weights(variant, rounds))


def _distance(instance: Setting) -> Fraction:
    """The NashConv of the run's average."""
    form, run, weights = instance
    return exact_nash_conv(form, plans.average(form, run.profiles, weights))


def _slots(form: ExactForm) -> list[slice]:
    return [slots for p in range(2) for _, slots in plans.sets(form, p)]


def _accumulated(run: runs.Run, variant: Variant) -> list[FractionArray]:
    """The regrets kept after each iteration."""
    schedule = runs.exact_schedule(variant, len(run.regrets))
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
    return Setting(form, runs.run(form, lcfr(), 1), runs.average_weights(lcfr(), 1))


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


THEOREMS = (WEIGHTED, LINEAR, PREDICTIVE)
