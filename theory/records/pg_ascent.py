r"""Ascent by steps of the signal to noise ratio: what all steps gain together.

Runs of a few steps are followed along all their samples by ball arithmetic.
"""

from typing import Any, NamedTuple

from rltheory.analysis.rational import FractionArray
from rltheory.theory import balls
from rltheory.theory import estimator_instances as models
from rltheory.theory.balls import BallArray, precise
from rltheory.theory.exact import span
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Run(NamedTuple):
    """Probabilities and rewards of a bandit, and how many steps are followed."""

    probabilities: FractionArray
    rewards: FractionArray
    steps: int


def sample_run(tape: Tape, size: int) -> Run:
    """Draw two arms and up to 8 steps half of the time, else three arms and at most 4 steps."""
    if tape.integer(0, 1):
        rewards = models.payments(tape, 2)
        return Run(models.positive(tape, 2), rewards, tape.integer(1, 8))
    return Run(models.positive(tape, 3), models.payments(tape, 3), tape.integer(1, 4))


def varied(run: Run) -> bool:
    """Whether rewards differ."""
    return bool(span(run.rewards) > 0)


def _promised(run: Run, logits: BallArray, steps: int, smoothness: Any) -> Any:
    """Return the expected sum of the guaranteed gains times 2 L over the steps left, a ball.

    Single samples with the optimal baseline. With two arms all samples give the same estimate.
    """
    if not steps:
        return balls.ball(0)
    weights = balls.exp(logits)
    pi = weights / weights.sum()
    rewards = balls.balls(run.rewards)
    value = (pi * rewards).sum()
    gradient = pi * (rewards - value)
    signal = (gradient * gradient).sum()
    energy = 1 - 2 * pi + (pi * pi).sum()
    baseline = (pi * energy * rewards).sum() / (pi * energy).sum()
    away = rewards - baseline
    square = (pi * energy * away * away).sum()
    step = signal / square / smoothness
    gains = signal * signal / square
    if len(pi) == 2:
        return gains + _promised(run, logits + step * gradient, steps - 1, smoothness)
    for y, chance in enumerate(pi):
        moved = logits - step * away[y] * pi
        moved[y] = moved[y] + step * away[y]
        gains = gains + chance * _promised(run, moved, steps - 1, smoothness)
    return gains


def _total(run: Run, twice: int) -> tuple[Side, Side]:
    smoothness = balls.ball(span(run.rewards)) / (3 * balls.ball(3).sqrt())
    promised = _promised(run, balls.log(balls.balls(run.probabilities)), run.steps, smoothness)
    room = balls.ball(run.rewards.max() - run.probabilities @ run.rewards)
    return balls.to_bounds(promised), balls.to_bounds(twice * smoothness * room)


@precise
def total_sides(run: Run) -> tuple[Side, Side]:
    """Return the expected sum of the signals times SNR / (1 + SNR), and 2 L (J* - J_0)."""
    return _total(run, 2)


@precise
def _once(run: Run) -> tuple[Side, Side]:
    return _total(run, 1)


TOTAL = Theorem(
    id="oblr/convergence",
    title="All that steps by the signal to noise ratio guarantee fits below the optimum",
    source="Huang, Sheng and Zheng (2025), abstract: convergence guarantees; derived here",
    statement=(
        r"\mathbb{E}\sum_{t<T}\|\nabla J_t\|^2\,\frac{\mathrm{SNR}_t}{1+\mathrm{SNR}_t} \le 2L\,"
        r"(J^* - J_0)"
    ),
    hypotheses=(
        r"tabular softmax bandits; $\theta_{t+1} = \theta_t + \eta_t\, g\,(r - b^*_t)$ from one "
        r"sample, $\eta_t = \frac1L\mathrm{SNR}_t/(1+\mathrm{SNR}_t)$ from the exact moments at "
        r"$\theta_t$, $L = (r_{\max} - r_{\min})/(3\sqrt3)$",
        "two arms up to 8 steps, three arms up to 4, all samples followed",
    ),
    kind="inequality",
    sample=sample_run,
    sides=total_sides,
    admissible=varied,
    control=Control(
        name="once",
        explanation="The factor 2 is left out.",
        sides=_once,
    ),
    notes=(
        r"So some $t < T$ has $\mathbb{E}\,\|\nabla J_t\|^2\mathrm{SNR}_t/(1+\mathrm{SNR}_t) \le "
        r"2L(J^* - J_0)/T$. The bound uses the curvature of the worst point at every step, and no "
        "run is known to attain it."
    ),
    sharpness=0.8,
    cost=4.0,
)


THEOREMS = (TOTAL,)
