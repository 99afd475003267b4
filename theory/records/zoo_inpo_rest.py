"""Where iterative Nash policy optimisation comes to rest: the equilibrium with KL penalties.

Equilibria are drawn, and the reference made for which they are ones; everything with a logarithm is
enclosed in balls of 128 bits. W = (1 + P) / 2 are win rates, tau <= eta weights of pull and step.
"""

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.theory import balls
from rltheory.theory import game_instances as games
from rltheory.theory.balls import BallArray, precise
from rltheory.theory.records.learning_dynamics import divergence
from rltheory.theory.records.zoo_spo import preferences
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Rest(NamedTuple):
    """Preferences (K, K), the equilibrium (K,) and another policy (K,); eta and tau."""

    preferences: FractionArray
    rest: FractionArray
    policy: FractionArray
    eta: Fraction
    tau: Fraction


def _sample_rest(tape: Tape, size: int, shorter: int) -> Rest:
    """Draw a regularised equilibrium and a policy; half of the time a cycle, near its rest."""
    tau = Fraction(2) ** tape.integer(-4, 1)
    if tape.integer(0, 1):
        matrix = to_fractions([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
        rest = games.uniform(3)
        first, second = (Fraction(tape.integer(-8, 8), 2**8) for _ in range(2))
        policy = rest + np.array([first, second, -first - second], dtype=object)
    else:
        matrix = preferences(tape, size)
        rest, policy = games.interior(tape, size), games.interior(tape, size)
    largest = max(np.abs(matrix).max(), Fraction(1, 8))
    longer = Fraction(2) ** tape.integer(0, 6)
    eta = tau + largest**2 / (4 * tau) * longer / shorter
    return Rest(matrix, rest, policy, eta, tau)


def sample_rest(tape: Tape, size: int) -> Rest:
    """Draw a regularised equilibrium, a policy and an eta of at least the least allowed."""
    return _sample_rest(tape, size, 1)


def apart(instance: Rest) -> bool:
    """Whether the policy is not the equilibrium, where both sides are zero."""
    return bool(np.any(instance.rest != instance.policy))


def _reference(instance: Rest, gains: FractionArray) -> BallArray:
    """Return the logarithms of the reference for which the equilibrium is what it is."""
    logits = balls.log(balls.balls(instance.rest)) - balls.balls(gains / instance.tau)
    return np.asarray(logits - balls.exp(logits).sum().log())


def _value(instance: Rest, policy: FractionArray, anchor: BallArray) -> Any:
    """Return W(policy, rest) - tau KL(policy, ref)."""
    rates = (1 + instance.preferences @ instance.rest) / 2
    played = np.flatnonzero(policy != 0)
    weights = balls.balls(policy[played])
    pulled = (weights * (balls.log(weights) - anchor[played])).sum()
    return balls.ball(policy @ rates) - balls.ball(instance.tau) * pulled


def _fixed(instance: Rest, gains: FractionArray) -> tuple[Side, Side]:
    anchor = _reference(instance, gains)
    lost = _value(instance, instance.rest, anchor) - _value(instance, instance.policy, anchor)
    distance = divergence(instance.policy, balls.balls(instance.rest))
    return balls.to_bounds(lost), balls.to_bounds(balls.ball(instance.tau) * distance)


@precise
def fixed_sides(instance: Rest) -> tuple[Side, Side]:
    """Return what deviating from the fixed point loses, and tau KL(deviation || fixed point)."""
    return _fixed(instance, (1 + instance.preferences @ instance.rest) / 2)


@precise
def _preferences_for_rates(instance: Rest) -> tuple[Side, Side]:
    return _fixed(instance, instance.preferences @ instance.rest)


FIXED = Theorem(
    id="inpo/fixed-point",
    title="The fixed point of INPO is the equilibrium with KL penalties",
    source="Zhang et al. (2024, INPO); Munos et al. (2023), Nash-MD",
    statement=(
        r"J(\pi^*,\pi^*) - J(p,\pi^*) = \tau\,\mathrm{KL}(p\|\pi^*),\qquad \pi^* \propto "
        r"\pi_{\mathrm{ref}}\,e^{\mathbb{P}(\cdot\succ\pi^*)/\tau}"
    ),
    hypotheses=(
        r"$J(p,q) = \mathbb{P}(p\succ q) - \tau\,\mathrm{KL}(p\|\pi_{\mathrm{ref}}) + "
        r"\tau\,\mathrm{KL}(q\|\pi_{\mathrm{ref}})$; any $p$",
    ),
    kind="identity",
    sample=sample_rest,
    sides=fixed_sides,
    admissible=apart,
    control=Control(
        name="preferences for win rates",
        explanation=(
            r"The exponent has $P = 2\,\mathbb{P} - 1$ in place of $\mathbb{P}$: twice the pull."
        ),
        sides=_preferences_for_rates,
    ),
    sizes=(2, 3, 4),
)


@precise
def last_sides(instance: Rest) -> tuple[Side, Side]:
    """Return the divergence of the equilibrium after a step, and its bound."""
    matrix, rest, policy, eta, tau = instance
    anchor = _reference(instance, (1 + matrix @ rest) / 2)
    share = tau / eta
    logits = balls.balls((1 + matrix @ policy) / (2 * eta)) + balls.ball(share) * anchor
    logits = logits + balls.ball(1 - share) * balls.log(balls.balls(policy))
    after = divergence(rest, balls.softmax(logits[None])[0])
    before = divergence(rest, balls.balls(policy))
    return balls.to_bounds(after), balls.to_bounds(balls.ball(1 - share) * before)


LAST = Theorem(
    id="inpo/last-iterate-converges",
    title="INPO's last iterate converges linearly to the regularised equilibrium",
    source=(
        "Sokota et al. (2023) on magnetic mirror descent, which INPO is with step "
        r"$1/(\eta-\tau)$; the rate in this form is derived here"
    ),
    statement=(
        r"\mathrm{KL}(\pi^*\|\pi_{t+1}) \le \Bigl(1 - \frac{\tau}{\eta}\Bigr)\,"
        r"\mathrm{KL}(\pi^*\|\pi_t)"
    ),
    hypotheses=(
        r"$\eta \ge \tau + \max|P|^2/(4\tau)$",
        r"$\pi^*$ the equilibrium with KL penalties of weight $\tau$; $\pi_t \ne \pi^*$",
    ),
    kind="inequality",
    sample=sample_rest,
    sides=last_sides,
    admissible=apart,
    control=Control(
        name="steps sixteen times as long",
        explanation=r"$\eta - \tau$ may be as small as $\max|P|^2/(64\tau)$.",
        sample=lambda tape, size: _sample_rest(tape, size, 16),
    ),
    sizes=(3, 4, 5),
    sharpness=0.99,
    notes=(
        "In the cycle of three, near its rest, steps three times as long still contract so: one "
        "learner against itself rotates less than two players can."
    ),
)


class Price(NamedTuple):
    """Preferences (K, K), the equilibrium (K,) and tau."""

    preferences: FractionArray
    rest: FractionArray
    tau: Fraction


def sample_price(tape: Tape, size: int) -> Price:
    """Draw a response that wins always but is rarely given, or anything."""
    tau = Fraction(2) ** tape.integer(-9, 1)
    if tape.integer(0, 1):
        rare = Fraction(1, 2 ** tape.integer(1, 7))
        return Price(to_fractions([[0, 1], [-1, 0]]), np.array([rare, 1 - rare]), tau)
    return Price(preferences(tape, size), games.interior(tape, size), tau)


def _price(instance: Price, *, logarithm: bool) -> tuple[Side, Side]:
    matrix, rest, tau = instance
    anchor = _reference(Rest(matrix, rest, rest, tau, tau), (1 + matrix @ rest) / 2)
    gain = Fraction(max(matrix @ rest) / 2)
    bound = balls.ball(tau) * (balls.largest(-anchor) if logarithm else 1)
    return balls.to_bounds(balls.ball(gain)), balls.to_bounds(bound)


@precise
def price_sides(instance: Price) -> tuple[Side, Side]:
    """Return the best win rate against the regularised equilibrium, less 1/2, and its bound."""
    return _price(instance, logarithm=True)


@precise
def _without_logarithm(instance: Price) -> tuple[Side, Side]:
    return _price(instance, logarithm=False)


PRICE = Theorem(
    id="inpo/price-of-the-pull",
    title="The regularised equilibrium is exploitable by the weight times a logarithm at most",
    source="Derived here",
    statement=(
        r"\max_y \mathbb{P}(y\succ\pi^*) - \tfrac12 \le \tau\,\max_y \log\frac{1}{"
        r"\pi_{\mathrm{ref}}(y)}"
    ),
    hypotheses=(r"$\pi^* \propto \pi_{\mathrm{ref}}\,e^{\mathbb{P}(\cdot\succ\pi^*)/\tau}$",),
    kind="inequality",
    sample=sample_price,
    sides=price_sides,
    control=Control(
        name="no logarithm",
        explanation="The weight alone is claimed to bound the gain.",
        sides=_without_logarithm,
    ),
    sizes=(2, 3, 4),
    sharpness=0.9,
    notes="Nearly met by a response that always wins and that the reference hardly ever gives.",
)


THEOREMS = (FIXED, LAST, PRICE)
