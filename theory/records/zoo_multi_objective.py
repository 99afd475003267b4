"""Several objectives: which points weights reach, and what rules that move weights change."""

from collections.abc import Callable
from fractions import Fraction
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.rational import FractionArray
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.pareto import non_dominated
from rltheory.tabular.policies import one_hot
from rltheory.tabular.policy_iteration import policy_iteration
from rltheory.theory import balls, exact, instances, rational_lp
from rltheory.theory.balls import precise
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_WEIGHTING = "Lu, Wang, Li, Liu, Yu, Yin, Shi, Zhang and Jiang (2025)"


class Vectors(NamedTuple):
    """An MDP, objectives (K, S, A), and which of its deterministic policies is looked at."""

    mdp: DiscountedMDP
    objectives: FloatArray
    chosen: int


def sample_vectors(tape: Tape, size: int) -> Vectors:
    """Draw two or three objectives and one of the undominated deterministic policies."""
    model = instances.mdp(tape, size, tape.integer(2, 3), instances.discount(tape, high=12))
    objectives = tape.dyadic((tape.integer(2, 3), size, model.actions))
    front = np.flatnonzero(non_dominated(returns(model, objectives)))
    return Vectors(model, objectives, tape.choice(front.tolist()))


def returns(mdp: DiscountedMDP, objectives: FloatArray) -> FractionArray:
    """Return the vectors of returns (n, K) of all deterministic policies."""
    plans = product(range(mdp.actions), repeat=mdp.states)
    flows = [exact.occupancy(mdp, one_hot(np.array(plan), mdp.actions)) for plan in plans]
    rewards, scale = fractions(objectives), 1 - Fraction(mdp.discount)
    return np.array([(rewards * flow).sum(axis=(1, 2)) / scale for flow in flows])


def missed_by_weights(points: FractionArray, point: FractionArray) -> Fraction:
    """Return the least, over weights that add up to one, of the best weighted lead on a point.

    The dual of a mixture: minimise t over w >= 0, sum w = 1, with (J_j - p) . w + slack_j = t.
    """
    count, objectives = points.shape
    leads = points - point
    # Variables: w (K), t (at least 0, as the point leads itself by 0), slacks (n).
    system = np.full((count + 1, objectives + 1 + count), Fraction(0), dtype=object)
    system[:count, :objectives], system[:count, objectives] = leads, Fraction(-1)
    system[:count, objectives + 1 :] = exact.identity(count)
    system[count, :objectives] = Fraction(1)
    right = np.array([Fraction(0)] * count + [Fraction(1)], dtype=object)
    costs = np.full(system.shape[1], Fraction(0), dtype=object)
    costs[objectives] = Fraction(1)
    # All weight on the first objective: the row of its best policy gives t, the others slacks.
    best = int(leads[:, 0].argmax())
    rows = [best, *[j for j in range(count) if j != best], count]
    order = [count, best, *[j for j in range(count) if j != best]]
    basis = [0, objectives, *[objectives + 1 + j for j in rows[1:-1]]]
    return rational_lp.minimise(costs, system[order], right[order], basis)[0]


def dominated_by_mixtures(instance: Vectors, point: FractionArray) -> Fraction:
    """Return the most by which a randomised policy beats a point in every objective.

    A program over occupancies x and the lead t >= 0: J_k(x) - t - slack_k = p_k.
    """
    mdp, objectives, chosen = instance
    transitions, rewards, discount = exact.model(mdp)
    states, actions = rewards.shape
    count = len(objectives)
    flow = np.repeat(exact.identity(states), actions, axis=1)
    flow = flow - discount * transitions.reshape(-1, states).T
    gains = fractions(objectives).reshape(count, -1) / (1 - discount)
    idle = np.full((states, count + 1), Fraction(0), dtype=object)
    ones = np.full((count, 1), Fraction(1), dtype=object)
    system = np.concatenate(
        [
            np.concatenate([flow, idle], axis=1),
            np.concatenate([gains, -ones, -exact.identity(count)], axis=1),
        ]
    )
    right = np.concatenate([(1 - discount) * fractions(mdp.initial), point])
    costs = np.full(system.shape[1], Fraction(0), dtype=object)
    costs[states * actions] = Fraction(-1)
    # The point's own policy leads it by nothing, with no slack: a feasible first basis.
    plan = list(product(range(actions), repeat=states))[chosen]
    pairs = [s * actions + a for s, a in enumerate(plan)]
    slacks = [states * actions + 1 + k for k in range(count)]
    return -rational_lp.minimise(costs, system, right, pairs + slacks)[0]


def _supported(
    instance: Vectors, lead: Callable[[FractionArray, FractionArray], Fraction]
) -> tuple[Side, Side]:
    points = returns(instance.mdp, instance.objectives)
    point = points[instance.chosen]
    return missed_by_weights(points, point), lead(points, point)


def supported_sides(instance: Vectors) -> tuple[Side, Side]:
    """Return how far all weighted sums pass a point by, and how far mixtures dominate it."""
    return _supported(instance, lambda points, point: dominated_by_mixtures(instance, point))


def _by_one_policy(instance: Vectors) -> tuple[Side, Side]:
    return _supported(instance, lambda points, point: Fraction((points - point).min(axis=1).max()))


SUPPORTED = Theorem(
    id="multi-objective/missed-means-dominated",
    title="Weighted sums miss a point by exactly what a randomised policy dominates it by",
    source="Derived here from the minimax theorem (von Neumann, 1928); see Das and Dennis (1997)",
    statement=(
        r"\min_{w \in \Delta}\ \max_{\pi}\ w \cdot \bigl(J(\pi) - p\bigr) = \max_{\pi}\ \min_k\ "
        r"J_k(\pi) - p_k,\qquad p = J(\pi_0)"
    ),
    hypotheses=(
        r"$\pi_0$ a deterministic policy that no deterministic policy dominates",
        "left: a program over weights and all deterministic policies; right: randomised policies, "
        "a program over occupancies",
    ),
    kind="identity",
    sample=sample_vectors,
    sides=supported_sides,
    control=Control(
        name="one deterministic policy",
        explanation="The maximum on the right is over deterministic policies.",
        sides=_by_one_policy,
    ),
    notes=(
        "Where both are positive no weights select the point, although no deterministic policy "
        "beats it; where randomised policies count, every point of the front is selected by some "
        "weights. Chebyshev scalarisation is the right side."
    ),
    sizes=(2, 3),
    cost=8.0,
)


class Rescaled(NamedTuple):
    """Two objectives, weights, and factors (2,) that multiply their rewards."""

    vectors: Vectors
    weights: FloatArray
    factors: tuple[float, float]


def sample_rescaled(tape: Tape, size: int) -> Rescaled:
    """Draw weights and factors from 1/2 to 2."""
    vectors = sample_vectors(tape, size)
    vectors = vectors._replace(objectives=vectors.objectives[:2])
    weights = tape.dyadic(2, 0.0, 1.0, bits=4) + 2.0**-4
    return Rescaled(vectors, weights, tuple(tape.dyadic(2, 0.5, 2.0, bits=6).tolist()))


def _selected(instance: Rescaled, factors: FloatArray) -> FractionArray:
    """Return the returns (2,) of the policy that is best for factors * weights."""
    mdp, objectives, _ = instance.vectors
    scalar = np.tensordot(factors * instance.weights, objectives, 1)
    model = mdp.replace(rewards=scalar)
    policy = policy_iteration(model, arithmetic="rational").policy
    flow = exact.occupancy(mdp, policy)
    gains = (fractions(objectives) * flow).sum(axis=(1, 2))
    return np.asarray(gains / (1 - Fraction(mdp.discount)))


def rescaled_sides(instance: Rescaled) -> tuple[Side, Side]:
    """Return the returns selected with and without one factor on the scalar reward, (2,) each."""
    first, _ = instance.factors
    return _selected(instance, np.array([first, first])), _selected(instance, np.ones(2))


def _by_objective(instance: Rescaled) -> tuple[Side, Side]:
    return _selected(instance, np.array(instance.factors)), _selected(instance, np.ones(2))


RESCALED = Theorem(
    id="multi-objective/factor-keeps-the-maximiser",
    title="A positive factor on the scalar reward selects the policy that was selected before",
    source=f"Derived here, on the hypervolume rule of {_WEIGHTING}",
    statement=(
        r"J\Bigl(\arg\max_\pi\ c\, w\cdot J(\pi)\Bigr) = J\Bigl(\arg\max_\pi\ w\cdot J(\pi)\Bigr),"
        r"\qquad c = \tfrac12 + \tfrac32\tanh(\Delta\mathrm{HV}) \in [\tfrac12, 2)"
    ),
    hypotheses=(
        r"fixed weights $w > 0$; any $c \in [\tfrac12, 2]$, whatever it is computed from",
        "one maximiser is taken by exact policy iteration from the same start",
    ),
    kind="identity",
    sample=sample_rescaled,
    sides=rescaled_sides,
    control=Control(
        name="a factor for each objective",
        explanation="The two objectives are multiplied by different factors: the weights move.",
        sides=_by_objective,
    ),
    notes=(
        "The rule is a schedule of step sizes: it cannot reach a point that its weights do not "
        "select, and points missed by all weights (multi-objective/missed-means-dominated) least."
    ),
    sizes=(2, 3),
    cost=3.0,
)


class Influence(NamedTuple):
    """Gradients (K, n), weights (K,) and a rate."""

    gradients: FractionArray
    weights: FractionArray
    rate: Fraction


def sample_influence(tape: Tape, size: int) -> Influence:
    """Draw gradients in [-1, 1], weights and a rate 2^k; their sum is not zero."""
    gradients = fractions(tape.dyadic((size, tape.integer(1, 4)), -1.0, 1.0))
    # So that the sum of all is not zero.
    gradients[0, 0] += size + 1
    weights = fractions(tape.dyadic(size, 2.0**-6, 1.0))
    return Influence(gradients, weights / weights.sum(), Fraction(2) ** tape.integer(-3, 3))


def _tilted(instance: Influence, *, both: bool) -> tuple[Side, Side]:
    """Return rate times the rise in alignment with the sum, and the weights' divergences."""
    gradients, weights, rate = instance
    total = gradients.sum(axis=0)
    influence = (gradients @ total) / (total @ total)
    old = balls.balls(weights)
    new = old * balls.exp(balls.balls(rate * influence))
    new = new / new.sum()
    ratios = balls.log(new) - balls.log(old)
    rise = balls.ball(rate) * ((new - old) * balls.balls(influence)).sum()
    apart: Any = (new * ratios).sum()
    if both:
        apart -= (old * ratios).sum()
    return balls.to_bounds(rise), balls.to_bounds(apart)


@precise
def tilted_sides(instance: Influence) -> tuple[Side, Side]:
    """Return the rise in alignment and the two divergences of the weights added up."""
    return _tilted(instance, both=True)


@precise
def _one_way(instance: Influence) -> tuple[Side, Side]:
    return _tilted(instance, both=False)


TILTED = Theorem(
    id="multi-objective/gradient-weights-align",
    title="Weights that follow influence turn the step towards the sum of gradients, always",
    source=f"Derived here, on the gradient rule of {_WEIGHTING}",
    statement=(
        r"\eta\,\frac{\langle \sum_k (w'_k - w_k)\,g_k,\ \sum_j g_j\rangle}{\|\sum_j g_j\|^2} = "
        r"\mathrm{KL}(w'\|w) + \mathrm{KL}(w\|w') \ge 0,\qquad w'_k \propto w_k\,e^{\eta I_k},\ "
        r"I_k = \frac{\langle g_k, \sum_j g_j\rangle}{\|\sum_j g_j\|^2}"
    ),
    hypotheses=(r"$w > 0$, $\eta > 0$, $\sum_j g_j \ne 0$",),
    kind="identity",
    sample=sample_influence,
    sides=tilted_sides,
    control=Control(
        name="one divergence",
        explanation=r"Only $\mathrm{KL}(w'\|w)$ is counted.",
        sides=_one_way,
    ),
    notes=(
        "The weights gather on the objective whose gradient agrees most with the sum, which the "
        "longest gradient dominates: the rule speeds the sum up, and does not balance objectives."
    ),
    sizes=(2, 3, 4),
)


THEOREMS = (SUPPORTED, RESCALED, TILTED)
