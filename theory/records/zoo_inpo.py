"""Iterative Nash policy optimisation: its regression, its mirror step, and where it comes to rest.

The regression is solved in Fractions from its labelled outcomes; steps and divergences are enclosed
in balls of 128 bits. W = (1 + P) / 2 are win rates, tau <= eta the weights of pull and step.
"""

from fractions import Fraction
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis import rational
from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.theory import balls
from rltheory.theory import game_instances as games
from rltheory.theory.balls import BallArray, precise
from rltheory.theory.exact import fractions
from rltheory.theory.records.learning_dynamics import divergence
from rltheory.theory.records.zoo_spo import preferences
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Regression(NamedTuple):
    """Preferences (K, K), the policy (K,), a law of pairs (K, K), and eta."""

    preferences: FractionArray
    policy: FractionArray
    pairs: FractionArray
    eta: Fraction


class Pulled(NamedTuple):
    """Preferences (K, K), policies to step from, to pull to, to compare with; eta and tau."""

    preferences: FractionArray
    policy: FractionArray
    reference: FractionArray
    other: FractionArray
    eta: Fraction
    tau: Fraction


class Rest(NamedTuple):
    """Preferences (K, K), the equilibrium (K,) and another policy (K,); eta and tau."""

    preferences: FractionArray
    rest: FractionArray
    policy: FractionArray
    eta: Fraction
    tau: Fraction


def _regression(
    matrix: FractionArray, policy: FractionArray, pairs: FractionArray, tape: Tape
) -> Regression:
    return Regression(matrix, policy, pairs, Fraction(2) ** tape.integer(-3, 2))


def sample_regression(tape: Tape, size: int) -> Regression:
    """Draw preferences and pairs of independent responses of an interior policy."""
    policy = games.interior(tape, size)
    return _regression(preferences(tape, size), policy, np.outer(policy, policy), tape)


def _sample_extremes(tape: Tape, size: int) -> Regression:
    """Draw pairs of the best and the worst of eight responses, by their win rate."""
    matrix, policy = preferences(tape, size), games.interior(tape, size)
    return _regression(matrix, policy, _extremes(policy, matrix @ policy, 8), tape)


def _extremes(policy: FractionArray, scores: FractionArray, draws: int) -> FractionArray:
    order = np.argsort(scores, kind="stable")
    size = len(policy)
    # within[i][j]: all draws among the ranks i..j-1.
    within = [[policy[order[i:j]].sum() ** draws if i < j else 0 for j in range(size + 1)]
              for i in range(size + 1)]  # fmt: skip
    law = fractions(np.zeros((size, size)))
    for i, j in product(range(size), repeat=2):
        if i <= j:
            law[order[j], order[i]] = (
                within[i][j + 1] - within[i + 1][j + 1] - within[i][j] + within[i + 1][j]
            )
    return law


def regression_sides(instance: Regression) -> tuple[Side, Side]:
    """Return the minimiser's scores less the first one's, and the win rates' over eta, (K - 1,).

    The normal equations are summed over the outcomes (y, y', label) of the regression.
    """
    matrix, policy, pairs, eta = instance
    size = len(policy)
    normal, right = fractions(np.zeros((size, size))), fractions(np.zeros(size))
    for y, z in product(range(size), repeat=2):
        for won, lost, chance in ((y, z, (1 + matrix[y, z]) / 2), (z, y, (1 - matrix[y, z]) / 2)):
            row = games.pure(won, size) - games.pure(lost, size)
            normal = normal + pairs[y, z] * chance * row[:, None] * row[None]
            right = right + pairs[y, z] * chance * row / (2 * eta)
    # Only differences are determined: the first score is zero.
    scores = rational.solve(normal[1:, 1:], right[1:])
    rates = (1 + matrix @ policy) / 2
    return scores, (rates[1:] - rates[0]) / eta


MINIMISER = Theorem(
    id="inpo/loss-minimiser",
    title="INPO's regression is solved by the win rates against the current policy",
    source="Zhang et al. (2024, INPO), the proposition on the loss; rederived",
    statement=(
        r"\arg\min_f \mathbb{E}\bigl(f(y_w) - f(y_l) - \tfrac{1}{2\eta}\bigr)^2 = \frac{"
        r"\mathbb{P}(\cdot \succ \pi_t)}{\eta} + \mathrm{const},\qquad f = \log\frac{\pi}{\pi_t^{"
        r"1-\tau/\eta}\pi_{\mathrm{ref}}^{\tau/\eta}}"
    ),
    hypotheses=(
        r"both responses drawn independently from $\pi_t$ of full support, no pair left out",
        r"labelled by the preference: $y_w = y$ with chance $\mathbb{P}(y \succ y')$",
    ),
    kind="identity",
    sample=sample_regression,
    sides=regression_sides,
    control=Control(
        name="best and worst of eight",
        explanation="Pairs are the best and the worst of eight responses, as is done in practice.",
        sample=_sample_extremes,
    ),
    sizes=(3, 4, 5),
    cost=2.0,
    notes=r"So the minimiser is $\pi_{t+1}$ of mirror descent. Best of two changes nothing.",
)


def _scored(tape: Tape, size: int) -> FractionArray:
    scores = fractions(tape.dyadic(size, -0.5, 0.5, 4))
    return np.asarray(scores[:, None] - scores[None])


def _any_pairs(tape: Tape, size: int) -> FractionArray:
    law = fractions(tape.simplex(size * size)).reshape(size, size)
    return np.asarray((7 * law + Fraction(1, size * size)) / 8)


def sample_additive(tape: Tape, size: int) -> Regression:
    """Draw preferences that are differences of scores, and pairs by any law."""
    matrix, pairs = _scored(tape, size), _any_pairs(tape, size)
    return _regression(matrix, games.interior(tape, size), pairs, tape)


def _sample_general(tape: Tape, size: int) -> Regression:
    matrix, pairs = preferences(tape, size), _any_pairs(tape, size)
    return _regression(matrix, games.interior(tape, size), pairs, tape)


ADDITIVE = Theorem(
    id="inpo/pairs-do-not-matter-to-scores",
    title="Where preferences are differences of scores, pairs may be chosen at will",
    source="Derived here",
    statement=(
        r"P(y,y') = s(y) - s(y') \;\Rightarrow\; \arg\min_f \mathbb{E}_\mu\bigl(f(y_w) - f(y_l) - "
        r"\tfrac{1}{2\eta}\bigr)^2 = \frac{\mathbb{P}(\cdot\succ\pi_t)}{\eta} + \mathrm{const}"
    ),
    hypotheses=(r"any law $\mu$ of pairs that connects all responses",),
    kind="identity",
    sample=sample_additive,
    sides=regression_sides,
    control=Control(
        name="preferences without scores",
        explanation="Preferences need not be differences of scores.",
        sample=_sample_general,
    ),
    sizes=(3, 4, 5),
    cost=2.0,
    notes="It is intransitive preferences, then, to which the selection of pairs does harm.",
)


def sample_pulled(tape: Tape, size: int) -> Pulled:
    """Draw preferences, three policies of which the last may lack support, and weights."""
    eta = Fraction(2) ** tape.integer(-3, 2)
    policy, reference = (games.interior(tape, size) for _ in range(2))
    tau = eta * Fraction(tape.integer(1, 8), 8)
    other = games.strategy(tape, size)
    return Pulled(preferences(tape, size), policy, reference, other, eta, tau)


def _next(instance: Pulled, share: Fraction) -> BallArray:
    """Return the logarithms of the next policy, whose reference has the given exponent."""
    rates = (1 + instance.preferences @ instance.policy) / 2
    logs = [balls.log(balls.balls(p)) for p in (instance.reference, instance.policy)]
    mixed = balls.ball(share) * logs[0] + balls.ball(1 - share) * logs[1]
    logits = mixed + balls.balls(rates / instance.eta)
    return np.asarray(logits - balls.exp(logits).sum().log())


def _objective(instance: Pulled, point: BallArray, logs: BallArray | None) -> Any:
    """Return W(p, pi) - tau KL(p, ref) - (eta - tau) KL(p, pi) at a policy and its logarithms."""
    matrix, policy, reference, _, eta, tau = instance
    rates = balls.balls((1 + matrix @ policy) / 2)
    anchors = [balls.log(balls.balls(p)) for p in (reference, policy)]
    played = np.flatnonzero(point != 0)
    own = balls.log(point[played]) if logs is None else logs[played]
    total = (point * rates).sum()
    for weight, anchor in zip((tau, eta - tau), anchors, strict=True):
        total = total - balls.ball(weight) * (point[played] * (own - anchor[played])).sum()
    return total


def _mirror(instance: Pulled, share: Fraction) -> tuple[Side, Side]:
    logs = _next(instance, share)
    reached = balls.exp(logs)
    gain = _objective(instance, reached, logs) - _objective(
        instance, balls.balls(instance.other), None
    )
    lost = balls.ball(instance.eta) * divergence(instance.other, reached)
    return balls.to_bounds(gain), balls.to_bounds(lost)


@precise
def mirror_sides(instance: Pulled) -> tuple[Side, Side]:
    """Return how much better the next policy is than another, and eta KL(other || next)."""
    return _mirror(instance, instance.tau / instance.eta)


@precise
def _swapped(instance: Pulled) -> tuple[Side, Side]:
    return _mirror(instance, 1 - instance.tau / instance.eta)


MIRROR = Theorem(
    id="inpo/mirror-step",
    title="INPO's update maximises the win rate less two divergences",
    source="Zhang et al. (2024, INPO); online mirror descent",
    statement=(
        r"F(\pi_{t+1}) - F(p) = \eta\,\mathrm{KL}(p\|\pi_{t+1}),\qquad F(p) = \mathbb{P}(p\succ"
        r"\pi_t) - \tau\,\mathrm{KL}(p\|\pi_{\mathrm{ref}}) - (\eta-\tau)\,\mathrm{KL}(p\|\pi_t)"
    ),
    hypotheses=(
        r"$\pi_{t+1} \propto e^{\mathbb{P}(\cdot\succ\pi_t)/\eta}\,\pi_{\mathrm{ref}}^{\tau/\eta}"
        r"\,\pi_t^{1-\tau/\eta}$",
        r"$0 < \tau \le \eta$, any $p$",
    ),
    kind="identity",
    sample=sample_pulled,
    sides=mirror_sides,
    control=Control(
        name="exponents swapped",
        explanation=r"The reference has the exponent $1-\tau/\eta$, the current policy the other.",
        sides=_swapped,
    ),
)


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


THEOREMS = (MINIMISER, ADDITIVE, MIRROR, FIXED, LAST, PRICE)
