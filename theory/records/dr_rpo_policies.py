"""The softmax around a reference: what it attains against the worst case, and how far it moves."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.theory import balls, linear_instances, soft_linear
from rltheory.theory.balls import precise
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.soft_linear import Step
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_SETTING = "Gu, He, Liu and Xu (2025) for the setting; derived here"


class Duel(NamedTuple):
    """One step, next values (S,), a policy (S, A), and the share of the way to the nominal one."""

    step: Step
    values: FractionArray
    policy: FractionArray
    share: Fraction


def sample_duel(tape: Tape, size: int) -> Duel:
    """Draw a step, next values in [-2, 2], any policy, and a share 2^-k."""
    step = soft_linear.soft_step(tape, size)
    values = fractions(tape.dyadic(size, -2.0, 2.0))
    policy = fractions(tape.simplex(step.rewards.shape))
    return Duel(step, values, policy, Fraction(1, 2 ** tape.integer(0, 12)))


def _worst(duel: Duel) -> FractionArray:
    return linear_instances.worst_measures(duel.step.measures, duel.values, duel.step.radii)


def _closed_form(duel: Duel, measures: FractionArray, paid: int) -> tuple[Side, Side]:
    """Return what the softmax and the policy come to; `paid` is the sign of the divergence."""
    step, rows, heat = duel.step, duel.policy, balls.ball(duel.step.temperature)
    q = soft_linear.step_scores(step, measures, duel.values)
    scores, prior = balls.balls(q), balls.balls(step.reference)
    best = soft_linear.gibbs(scores, step.reference, step.temperature)
    attained = (best * scores).sum(axis=1) - paid * heat * soft_linear.soft_divergence(best, prior)
    own = balls.balls((rows * q).sum(axis=1))
    own = own - paid * heat * soft_linear.divergence(rows, step.reference)
    own = own + heat * soft_linear.divergence(rows, best)
    top = soft_linear.soft_maximum(scores, step.reference, step.temperature)
    return balls.to_bounds(np.concatenate([attained, own])), balls.to_bounds(
        np.concatenate([top, top])
    )


@precise
def closed_form_sides(duel: Duel) -> tuple[Side, Side]:
    """Return (what the softmax attains, a policy's objective plus its gap) and the maximum."""
    return _closed_form(duel, _worst(duel), 1)


@precise
def _wrong_sign(duel: Duel) -> tuple[Side, Side]:
    return _closed_form(duel, _worst(duel), -1)


CLOSED_FORM = Theorem(
    id="dr-rpo/softmax-closed-form",
    title="Against the worst case the softmax around the reference attains the soft maximum",
    source=f"{_SETTING}, with Gibbs' variational principle (Donsker and Varadhan, 1975)",
    statement=(
        r"\max_\pi\ \mathbb{E}_\pi Q - \tau\,\mathrm{KL}(\pi\|\mu) = \tau \log \sum_a \mu(a)\,"
        r"e^{Q(a)/\tau} = \mathbb{E}_\pi Q - \tau\,\mathrm{KL}(\pi\|\mu) + \tau\,\mathrm{KL}(\pi\|"
        r"\pi^*)\ \text{ for all } \pi,\qquad \pi^* \propto \mu\,e^{Q/\tau},\; Q = r + \phi\cdot\nu"
    ),
    hypotheses=(
        r"$\nu_i = \inf_{q \in U_i} q \cdot V$ over total-variation balls; any next values $V$",
        r"$\mu > 0$, $\tau > 0$, any policy, also on the boundary",
    ),
    kind="identity",
    sample=sample_duel,
    sides=closed_form_sides,
    control=Control(
        name="wrong sign of the divergence",
        explanation="Policies are paid for their divergence from the reference.",
        sides=_wrong_sign,
    ),
    notes=(
        "The policy's gap is its divergence from the softmax: maximality, and how much an "
        "inexact policy loses, in one line. regularised/gibbs-principle is the same of one state "
        "without an adversary."
    ),
)


def contested(duel: Duel) -> bool:
    """Whether in every state actions differ and the nominal measures are worth more.

    Otherwise one of the players has several best answers, and the ends of the chain meet.
    """
    worst = _worst(duel)
    q = soft_linear.step_scores(duel.step, worst, duel.values)
    spared = duel.step.features @ ((duel.step.measures - worst) @ duel.values)
    apart, least = q.max(axis=1) - q.min(axis=1), spared.max(axis=1)
    return bool(min(apart) >= Fraction(1, 2**16) and min(least) >= Fraction(1, 2**10))


def _saddle(duel: Duel, weakest: FractionArray, other: FractionArray) -> tuple[Side, Side]:
    """Return (J(policy, weakest), J(best, weakest)) and (J(best, weakest), J(best, other))."""
    step, heat = duel.step, balls.ball(duel.step.temperature)
    q = soft_linear.step_scores(step, weakest, duel.values)
    best = soft_linear.gibbs(balls.balls(q), step.reference, step.temperature)
    own = balls.balls((duel.policy * q).sum(axis=1))
    own = own - heat * soft_linear.divergence(duel.policy, step.reference)
    middle = soft_linear.soft_maximum(balls.balls(q), step.reference, step.temperature)
    elsewhere = balls.balls(soft_linear.step_scores(step, other, duel.values))
    paid = heat * soft_linear.soft_divergence(best, balls.balls(step.reference))
    spared = (best * elsewhere).sum(axis=1) - paid
    return balls.to_bounds(np.concatenate([own, middle])), balls.to_bounds(
        np.concatenate([middle, spared])
    )


@precise
def saddle_sides(duel: Duel) -> tuple[Side, Side]:
    """Return the chain of the saddle point, in every state."""
    worst = _worst(duel)
    return _saddle(duel, worst, worst + duel.share * (duel.step.measures - worst))


@precise
def _nominal_saddle(duel: Duel) -> tuple[Side, Side]:
    return _saddle(duel, duel.step.measures, _worst(duel))


SADDLE = Theorem(
    id="dr-rpo/saddle-point",
    title="The softmax policy and the worst measures are a saddle point, for all states at once",
    source=_SETTING,
    statement=(
        r"J_s(\pi, q^*) \le J_s(\pi^*, q^*) \le J_s(\pi^*, q)\ \text{ for all } s, \pi, q \in U,"
        r"\qquad J_s(\pi, q) = \mathbb{E}_\pi[r + \phi\cdot qV] - \tau\,\mathrm{KL}(\pi\|\mu)"
    ),
    hypotheses=(
        r"$q^*_i$ worst for $V$ in a total-variation ball, $\pi^* \propto \mu \exp((r + \phi\cdot "
        r"q^*V)/\tau)$; features on the simplex",
        r"actions differ and the nominal measures are worth more than the worst, so that neither "
        "end is met",
    ),
    kind="inequality",
    sample=sample_duel,
    sides=saddle_sides,
    admissible=contested,
    control=Control(
        name="saddle at the nominal measures",
        explanation="The policy answers the nominal measures instead of the worst ones.",
        sides=_nominal_saddle,
    ),
    notes=(
        "So the order of maximum and minimum does not matter, and one choice of measures is worst "
        "for every state and policy of the step: what factor-wise sets buy."
    ),
    sharpness=0.99,
)


class Tilted(NamedTuple):
    """Weights (A,) of a softmax, what multiplies them, in [1, root^2], and the root."""

    weights: FractionArray
    factors: FractionArray
    root: Fraction


def sample_tilted(tape: Tape, size: int) -> Tilted:
    """Draw weights and factors; half of the time two groups that the factors tell apart."""
    root = 1 + Fraction(tape.integer(1, 64), 2 ** tape.integer(0, 10))
    weights = fractions(tape.dyadic(size, 2.0**-8, 1.0))
    shares = fractions(tape.dyadic(size))
    if tape.integer(0, 1):
        # Tightest where the first action is as heavy before as the others are after.
        shares[1:], weights[0] = Fraction(0), weights[1:].sum() / root
    shares[0], shares[-1] = Fraction(1), Fraction(0)
    return Tilted(weights, 1 + shares * (root**2 - 1), root)


def _moved(tilted: Tilted, twice: int) -> tuple[Side, Side]:
    weights, factors, root = tilted
    before, after = weights / weights.sum(), weights * factors / (weights @ factors)
    return Fraction(np.abs(after - before).sum()), twice * (root - 1) / (root + 1)


def moved_sides(tilted: Tilted) -> tuple[Side, Side]:
    """Return the L1 distance of the two softmax policies and twice the hyperbolic tangent."""
    return _moved(tilted, 2)


LIPSCHITZ = Theorem(
    id="dr-rpo/softmax-is-lipschitz",
    title="How far a softmax policy can move with its action values, sharply",
    source="Derived here; it is what keeps the covering number of softmax policies polynomial",
    statement=(
        r"\|\pi_Q - \pi_{Q'}\|_1 \le 2\tanh\frac{\operatorname{sp}(Q-Q')}{4\tau} \le "
        r"\frac{\operatorname{sp}(Q-Q')}{2\tau} \le \frac{\|Q-Q'\|_\infty}{\tau},\qquad \pi_Q "
        r"\propto \mu\,e^{Q/\tau}"
    ),
    hypotheses=(
        r"$\mu > 0$, $\tau > 0$; $\operatorname{sp}$ is the largest entry less the smallest",
        r"drawn by the weights $\mu e^{Q/\tau}$ and the factors $e^{(Q'-Q)/\tau}$, rational with "
        r"$e^{\operatorname{sp}/2\tau}$ rational: all is exact",
    ),
    kind="inequality",
    sample=sample_tilted,
    sides=moved_sides,
    control=Control(
        name="half of it",
        explanation="The bound is that of total variation, half the L1 distance.",
        sides=lambda tilted: _moved(tilted, 1),
    ),
    notes=(
        r"Attained: the odds of any set of actions change by at most $e^{\operatorname{sp}/\tau}$. "
        r"Hence the constant of $\|Q-Q'\|_\infty$ is $1/\tau$ and no less, approached by two "
        r"actions of equal probability as $Q' \to Q$; the greedy policy has none, see "
        "dr-rpo/greedy-jumps."
    ),
    sharpness=0.999,
)


def _pair(constant: Fraction) -> FractionArray:
    """Return two rows of scores whose sup distance times the constant is a little below 2."""
    distance = Fraction(63, 32) / constant
    return np.array([[distance, Fraction(0)], [Fraction(0), distance]], dtype=object)


def sample_constant(tape: Tape, size: int) -> Fraction:
    """Draw what is claimed to be a Lipschitz constant, 2^k, the larger the larger the size."""
    return Fraction(2 ** (2 + tape.integer(0, 8 * size)))


def jump_sides(constant: Fraction) -> tuple[Side, Side]:
    """Return the constant times the distance of the scores, and how far greedy policies are."""
    scores = _pair(constant)
    policies = fractions(np.eye(2)[scores.argmax(axis=1)])
    return constant * abs(scores[0] - scores[1]).max(), np.abs(policies[0] - policies[1]).sum()


@precise
def _softened(constant: Fraction) -> tuple[Side, Side]:
    scores = _pair(constant)
    policies = balls.softmax(balls.balls(scores))
    distance = balls.to_bounds(np.abs(policies[0] - policies[1]).sum())
    return constant * abs(scores[0] - scores[1]).max(), distance


JUMPS = Theorem(
    id="dr-rpo/greedy-jumps",
    title="Greedy policies have no Lipschitz constant in the action values",
    source="Derived here; why optimism with greedy policies needs covers of another kind",
    statement=(
        r"\forall L\ \exists\, Q, Q':\quad L\,\|Q-Q'\|_\infty \;<\; \|\mathrm{greedy}(Q) - "
        r"\mathrm{greedy}(Q')\|_1 = 2"
    ),
    hypotheses=(
        r"the instance: two actions, $Q = (\epsilon, 0)$, $Q' = (0, \epsilon)$, $\epsilon = "
        r"\frac{63}{32 L}$",
    ),
    kind="separation",
    sample=sample_constant,
    sides=jump_sides,
    control=Control(
        name="softmax",
        explanation="The policies are softmax at temperature 1, the constants drawn are above 1.",
        sides=_softened,
    ),
    notes="The regulariser closes the gap: see dr-rpo/softmax-is-lipschitz.",
    sharpness=0.98,
)


THEOREMS = (CLOSED_FORM, SADDLE, LIPSCHITZ, JUMPS)
