"""Iterative Nash policy optimisation: its regression and its mirror step.

The regression is solved in Fractions from its labelled outcomes; steps and divergences are enclosed
in balls of 128 bits. W = (1 + P) / 2 are win rates, tau <= eta the weights of pull and step.
"""

from fractions import Fraction
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis import rational
from rltheory.analysis.rational import FractionArray
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


THEOREMS = (MINIMISER, ADDITIVE, MIRROR)
