r"""SAPO's soft gate: the policy gradient on policy, smooth off policy, largest above ratio 1.

Everything is in balls; slopes of the gate come from power series of the sigmoid.
"""

from fractions import Fraction
from typing import Any, NamedTuple

import flint
import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.theory import balls
from rltheory.theory.balls import precise
from rltheory.theory.exact import join
from rltheory.theory.records.zoo_gates import Stale, sample_stale
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_SETTING = "Gao et al. (2025), Soft Adaptive Policy Optimization"


def slope(ratio: Any, temperature: Any) -> Any:
    """Return sech^2(tau (w - 1) / 2) of balls, a ball."""
    return 1 / ((temperature * (ratio - 1) / 2).cosh()) ** 2


class Soft(NamedTuple):
    """A stale policy, on policy half of the time, and the temperatures for A > 0 and A <= 0."""

    stale: Stale
    temperatures: tuple[Fraction, Fraction]


def sample_soft(tape: Tape, size: int) -> Soft:
    """Draw a policy, which drew the responses itself half of the time, and two temperatures."""
    stale = sample_stale(tape, size)
    if tape.integer(0, 1):
        stale = stale._replace(behaviour=stale.policy.rows)
    heats = [Fraction(tape.integer(1, 64), 16) for _ in range(2)]
    return Soft(stale, (heats[0], heats[1]))


def _surrogate_slope(soft: Soft, scale: int | None) -> Any:
    """Return the slope of E (A / L) sum_t (scale / tau) sigmoid(tau (w - 1)), a ball."""
    stale, total = soft.stale, balls.ball(0)
    policy = stale.policy
    drawn = policy.chances(stale.behaviour)
    for chance, advantage, ratios, slopes in zip(
        drawn, policy.rewards, stale.ratios(), stale.slopes(), strict=True
    ):
        tau = soft.temperatures[0 if advantage > 0 else 1]
        factor = 1 if scale is None else scale / tau
        for w, g in zip(ratios, slopes, strict=True):
            x = flint.arb_series([balls.ball(tau * (w - 1)), balls.ball(tau * w * g)], prec=2)
            moved = (1 / (1 + (-x).exp()))[1]
            total += balls.ball(chance * advantage * factor / len(ratios)) * moved
    return total


def _gated(soft: Soft) -> Any:
    """Return E (A / L) sum_t w sech^2(tau (w - 1) / 2) score, a ball."""
    stale, total = soft.stale, balls.ball(0)
    policy = stale.policy
    drawn = policy.chances(stale.behaviour)
    for chance, advantage, ratios, slopes in zip(
        drawn, policy.rewards, stale.ratios(), stale.slopes(), strict=True
    ):
        tau = balls.ball(soft.temperatures[0 if advantage > 0 else 1])
        for w, g in zip(ratios, slopes, strict=True):
            share = balls.ball(chance * advantage * w * g / len(ratios))
            total += share * slope(balls.ball(w), tau)
    return total


def _recovered(soft: Soft, scale: int | None) -> tuple[Side, Side]:
    policy, direction = soft.stale.policy, soft.stale.direction
    now = soft._replace(stale=soft.stale._replace(behaviour=policy.rows))
    divided = np.array(
        [r / int(n) for r, n in zip(policy.rewards, policy.lengths, strict=True)], dtype=object
    )
    plain = balls.ball(policy.slope(direction, divided))
    left = np.array([_surrogate_slope(soft, scale), _surrogate_slope(now, scale)], dtype=object)
    right = np.array([_gated(soft), plain], dtype=object)
    return balls.to_bounds(left), balls.to_bounds(right)


@precise
def recovered_sides(soft: Soft) -> tuple[Side, Side]:
    """Return the slopes of SAPO's surrogate off and on policy, and what they should be."""
    return _recovered(soft, 4)


@precise
def _plain_sigmoid(soft: Soft) -> tuple[Side, Side]:
    return _recovered(soft, None)


RECOVERED = Theorem(
    id="sapo/on-policy-gradient",
    title="On policy SAPO's gradient is GRPO's, whatever the temperatures",
    source=_SETTING,
    statement=(
        r"\nabla\,\mathbb{E}\tfrac{A}{|y|}\sum_t f_\tau(w_t) = \mathbb{E}\tfrac{A}{|y|}\sum_t w_t "
        r"\operatorname{sech}^2\bigl(\tfrac{\tau}{2}(w_t - 1)\bigr)\nabla\log\pi(y_t),\qquad "
        r"f_\tau(w) = \tfrac{4}{\tau}\,\sigma\bigl(\tau(w-1)\bigr),"
        r"\qquad \text{at } w = 1{:}\ \ \mathbb{E}\tfrac{A}{|y|}\nabla\log\pi(y)"
    ),
    hypotheses=(
        r"$\tau$ one number for $A > 0$, another for $A \le 0$; token trees, along a random "
        "direction",
        "slopes by power series of the sigmoid, and on policy by dual numbers",
    ),
    kind="identity",
    sample=sample_soft,
    sides=recovered_sides,
    control=Control(
        name="a plain sigmoid",
        explanation=r"The factor $4 / \tau$ is left out, so that the slope at 1 is $\tau / 4$.",
        sides=_plain_sigmoid,
    ),
    sizes=(1, 2, 3),
    notes=r"The value at $w = 1$ is $2 / \tau$, not 1; only the slope is normalised.",
    cost=1.5,
)


class Ratios(NamedTuple):
    """Two ratios of a token, a temperature, and the hard clip above 1 for the control."""

    first: Fraction
    second: Fraction
    temperature: Fraction
    high: Fraction


def sample_ratios(tape: Tape, size: int) -> Ratios:
    """Draw two ratios, near each other half of the time, and a temperature."""
    high = Fraction(1, 4)
    first = Fraction(tape.integer(0, 64 * size), 64)
    if tape.integer(0, 1):
        second = first + Fraction(1, 64 * 2 ** tape.integer(0, 6))
    else:
        second = Fraction(tape.integer(0, 64 * size), 64) + Fraction(1, 128)
    return Ratios(first, second, Fraction(tape.integer(1, 64), 16), high)


def _smooth(drawn: Ratios, slopes: Any) -> tuple[Side, Side]:
    tau = balls.ball(drawn.temperature)
    steep = 2 * tau / (3 * balls.ball(3).sqrt())
    far = abs(balls.ball(drawn.second - 1))
    left = np.array([abs(slopes[0] - slopes[1]), slopes[1]], dtype=object)
    apart = balls.ball(abs(drawn.first - drawn.second))
    right = np.array([steep * apart, 4 * (-tau * far).exp()], dtype=object)
    return balls.to_bounds(left), balls.to_bounds(right)


@precise
def smooth_sides(drawn: Ratios) -> tuple[Side, Side]:
    """Return the change of the gate's slope and the slope, and their bounds."""
    tau = balls.ball(drawn.temperature)
    return _smooth(drawn, [slope(balls.ball(w), tau) for w in drawn[:2]])


@precise
def _hard(drawn: Ratios) -> tuple[Side, Side]:
    return _smooth(drawn, [balls.ball(int(w <= 1 + drawn.high)) for w in drawn[:2]])


SMOOTH = Theorem(
    id="sapo/slope-is-smooth",
    title="The slope of SAPO's gate has a Lipschitz constant and fades exponentially, both sharply",
    source=f"{_SETTING}, for the gate; the constants are derived here",
    statement=(
        r"\bigl|f_\tau'(u) - f_\tau'(v)\bigr| \le \frac{2\tau}{3\sqrt 3}\,|u - v|,\qquad "
        r"f_\tau'(v) \le 4\,e^{-\tau|v-1|},\qquad f_\tau'(w) = \operatorname{sech}^2"
        r"\bigl(\tfrac{\tau}{2}(w-1)\bigr)"
    ),
    hypotheses=(r"ratios $u \ne v$ of at least 0, $\tau > 0$",),
    kind="inequality",
    sample=sample_ratios,
    sides=smooth_sides,
    control=Control(
        name="hard clip",
        explanation="The slope is that of PPO's clip for a positive advantage: 1, beyond 5/4 zero.",
        sides=_hard,
    ),
    notes=(
        r"The first is met where $\tanh(\tau(u-1)/2) = 1/\sqrt 3$, the second far out. A larger "
        r"$\tau$ for negative advantages therefore lowers their weight at every $w \ne 1$."
    ),
    sharpness=0.999,
)


def sample_above(tape: Tape, size: int) -> Fraction:
    """Draw a ratio in (1, 2]."""
    return 1 + Fraction(tape.integer(1, 64), 64)


@precise
def peak_sides(ratio: Fraction) -> tuple[Side, Side]:
    """Return the weight of the score at ratio 1, and at the ratio, at temperature 1."""
    w = balls.ball(ratio)
    return 1, balls.to_bounds(w * slope(w, balls.ball(1)))


@precise
def _slope_alone(ratio: Fraction) -> tuple[Side, Side]:
    return 1, balls.to_bounds(slope(balls.ball(ratio), balls.ball(1)))


PEAK = Theorem(
    id="sapo/weight-peaks-late",
    title="SAPO weighs tokens most that have become twice as likely, not those on policy",
    source="Derived here, for the gate of Gao et al. (2025)",
    statement=r"\exists\, w > 1:\qquad 1 \;<\; w\,f_\tau'(w),\qquad \tau = 1",
    hypotheses=(
        r"$w f_\tau'(w) = w \operatorname{sech}^2(\tfrac{\tau}{2}(w-1))$ is the weight of "
        r"$A\,\nabla \log \pi$ in the gradient; $w \le 2$",
    ),
    kind="counterexample",
    sample=sample_above,
    sides=peak_sides,
    control=Control(
        name="slope of the gate alone",
        explanation=r"The weight is $f_\tau'(w)$, as if the ratio itself were not differentiated.",
        sides=_slope_alone,
    ),
    notes=(
        r"Weights fall from their peak, 1.5747 at $w = 2.0601$, where $w \tau \tanh(\tau(w-1)/2) = "
        r"1$; for every $\tau$ their slope at $w = 1$ is 1. So a token that rises is at first "
        r"pushed on harder, as without any gate."
    ),
    sharpness=0.635,
)


class Spread(NamedTuple):
    """Log ratios of the tokens of a response, rational, and a temperature."""

    logs: FractionArray
    temperature: Fraction


def sample_spread(tape: Tape, size: int) -> Spread:
    """Draw log ratios, near zero or near where the gate bends most the other way, half each."""
    temperature = Fraction(tape.integer(2, 32), 16)
    scale = Fraction(1, 2 ** tape.integer(0, 6))
    # sech^2(tau z / 2) = 1 / 3 at tau z = 2.2924.
    centre = Fraction(tape.integer(0, 1)) * Fraction(22924, 10000) / temperature
    logs = [centre + scale * Fraction(tape.integer(-64, 64), 64) for _ in range(size)]
    return Spread(np.array(logs, dtype=object), temperature)


def _varied(spread: Spread) -> bool:
    return bool(max(spread.logs) > min(spread.logs))


def _spread(spread: Spread, gate: Any) -> tuple[Side, Side]:
    logs, tau = spread
    mean = logs.sum() / len(logs)
    variance = ((logs - mean) ** 2).sum() / len(logs)
    heat = balls.ball(tau)
    token = sum((gate(balls.ball(z), heat) for z in logs), balls.ball(0)) / len(logs)
    gap = token - gate(balls.ball(mean), heat)
    bounds = join(tau**2 / 4 * variance, tau**2 / 12 * variance)
    return balls.to_bounds(np.array([-gap, gap], dtype=object)), bounds


@precise
def spread_sides(spread: Spread) -> tuple[Side, Side]:
    """Return how far the mean gate falls below and exceeds the gate of the mean, and bounds."""
    return _spread(spread, lambda z, heat: slope(1 + z, heat))


@precise
def _true_weights(spread: Spread) -> tuple[Side, Side]:
    return _spread(spread, lambda z, heat: z.exp() * slope(z.exp(), heat))


SEQUENCE = Theorem(
    id="sapo/sequence-form",
    title="How far the average soft gate of log ratios is from the gate of their average",
    source=(
        f"{_SETTING}, the reduction to sequences, with the lower constant; the upper one and that "
        "both are sharp is derived here"
    ),
    statement=(
        r"-\frac{\tau^2}{4}\operatorname{Var}(z) \;\le\; \frac{1}{L}\sum_t g_\tau(z_t) - "
        r"g_\tau(\bar z) \;\le\; \frac{\tau^2}{12}\operatorname{Var}(z),\qquad g_\tau(z) = "
        r"\operatorname{sech}^2\tfrac{\tau z}{2}"
    ),
    hypotheses=(
        r"$z_t = \log w_t$, not all equal, $\bar z$ their mean and $\operatorname{Var}(z)$ their "
        "population variance, $\\tau > 0$",
    ),
    kind="inequality",
    sample=sample_spread,
    sides=spread_sides,
    admissible=_varied,
    control=Control(
        name="the weights that SAPO uses",
        explanation=(
            r"$g$ is $w \operatorname{sech}^2(\tau(w-1)/2)$ at $w = e^z$, which the reduction "
            r"replaces by $\operatorname{sech}^2(\tau z / 2)$."
        ),
        sides=_true_weights,
    ),
    notes=(
        r"So with $w - 1$ read as $\log w$, and the factor $w$ dropped, SAPO is GSPO with a soft "
        r"gate of $s$. Its own weights bend more: at $\tau = 1$ their second derivative in $z$ "
        r"goes from $-4.69$ to $3.20$, where the reduction has $-1/2$ to $1/6$, and already at "
        r"$z = 0$ it is $1 - \tau^2/2$ in place of $-\tau^2/2$."
    ),
    sizes=(2, 3, 5),
    sharpness=0.99,
)


THEOREMS = (RECOVERED, SMOOTH, PEAK, SEQUENCE)
