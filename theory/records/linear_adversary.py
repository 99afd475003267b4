"""The adversary of a robust linear MDP: one worst case for each factor, and a plain model there.

Every side is a Fraction: joint minima come from the simplex method, values from kernels spelt out.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.rational import FractionArray
from rltheory.linear_mdp.mdp import RobustLinearMDP
from rltheory.theory import exact, instances, linear_instances
from rltheory.theory.exact import fractions
from rltheory.theory.linear_instances import Exact
from rltheory.theory.rational_lp import minimise
from rltheory.theory.records.robust_duality import Row, total_variation_dual
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Step(NamedTuple):
    """Features (n, d) of pairs with weights (n,), measures (d, S), radii (d,), values (S,)."""

    features: FractionArray
    weights: FractionArray
    measures: FractionArray
    radii: FractionArray
    values: FractionArray


def sample_step(tape: Tape, size: int) -> Step:
    """Draw two pairs over 2 or 3 factors, on the simplex, and what comes after the step."""
    factors = tape.integer(2, 3)
    return Step(
        fractions(tape.simplex((2, factors))),
        fractions(tape.dyadic(2, bits=4)),
        fractions(tape.simplex((factors, size))),
        fractions(tape.dyadic(factors, bits=4)),
        fractions(instances.values(tape, size)),
    )


def joint_minimum(step: Step, drawn: FractionArray) -> Fraction:
    """Return min over all factors' balls at once of sum drawn_i q_i . v, as one linear program.

    drawn (d,). Variables of each factor: the mass taken and given in every state, what is left
    to take, and what is left of the radius.
    """
    _, _, measures, radii, values = step
    factors, size = measures.shape
    zeros, ones, eye = np.zeros(size), np.ones(size), np.eye(size)
    block = np.block(
        [
            [eye, np.zeros((size, size)), eye, np.zeros((size, 1))],
            [np.concatenate([ones, -ones, zeros, [0.0]])],
            [np.concatenate([ones, zeros, zeros, [1.0]])],
        ]
    )
    system = np.kron(np.eye(factors), block)
    costs = exact.join(
        *(exact.join(-c * values, c * values, fractions(zeros), Fraction(0)) for c in drawn)
    )
    right = np.column_stack([measures, fractions(np.zeros(factors)), radii]).ravel()
    first = [*range(2 * size, 3 * size), size, 3 * size]
    basis = [i * block.shape[1] + j for i in range(factors) for j in first]
    start = Fraction(drawn @ (measures @ values))
    return start + minimise(costs, fractions(system), right, basis)[0]


def per_factor_sides(step: Step) -> tuple[Side, Side]:
    """Return joint minima of the first pair and of the weighted pairs, and sums over factors."""
    worst = linear_instances.worst_measures(step.measures, step.values, step.radii) @ step.values
    drawn = [step.features[0], np.asarray(step.weights @ step.features)]
    return fractions([joint_minimum(step, row) for row in drawn]), np.array(drawn) @ worst


def _signed(tape: Tape, size: int) -> Step:
    """Draw features that sum to 1 and may have negative entries."""
    step = sample_step(tape, size)
    features = 2 * step.features - step.features[:, ::-1]
    return step._replace(features=features)


PER_FACTOR = Theorem(
    id="robust-linear/worst-case-acts-per-factor",
    title="The worst case of a pair is the mixture of its factors' worst cases, one for all pairs",
    source="Ma et al. (2022); Blanchet et al. (2023), d-rectangularity; Liu and Xu (2024)",
    statement=(
        r"\min_{q_1 \in U_1, \dots, q_d \in U_d}\ \sum_{s,a} w(s,a)\sum_i \phi_i(s,a)\,q_i\cdot V "
        r"= \sum_{s,a} w(s,a)\sum_i \phi_i(s,a)\,\min_{q_i \in U_i} q_i\cdot V"
    ),
    hypotheses=(
        r"$U_i$ the distributions within total variation $\rho_i$ of $\mu_i$",
        r"$\phi(s,a) \in \Delta_d$ and $w \ge 0$",
    ),
    kind="identity",
    sample=sample_step,
    sides=per_factor_sides,
    control=Control(
        name="a negative feature",
        explanation="Features sum to 1 with negative entries, where the adversary wants the best.",
        sample=_signed,
    ),
    sizes=(2, 3),
    cost=5.0,
    notes=(
        "The left side is one linear program over all factors. One choice of the factors is worst "
        "for all pairs at once: the adversary gains nothing by seeing the pair first."
    ),
)


class Play(NamedTuple):
    """A robust linear MDP in total variation and a policy (H, S, A)."""

    model: RobustLinearMDP
    policy: FloatArray


def sample_play(tape: Tape, size: int) -> Play:
    """Draw a robust linear MDP of 3 steps, with a fail state or without, and a policy."""
    fail = bool(tape.integer(0, 1))
    model = linear_instances.robust_mdp(
        tape, size, tape.integer(1, 2), tape.integer(2, 3), 3, fail=fail
    )
    return Play(model, linear_instances.policy(tape, model.nominal))


def dual_values(model: Exact, rows: FractionArray | None = None) -> FractionArray:
    """Return the robust optimal values (H + 1, S), or a policy's, through each factor's dual."""
    horizon, factors, states = model.measures.shape
    values = fractions(np.zeros((horizon + 1, states)))
    for h in reversed(range(horizon)):
        nu = [
            total_variation_dual(
                Row(values[h + 1], model.measures[h, i], model.radii[h, i], Fraction(0)),
                model.radii[h, i],
            )
            for i in range(factors)
        ]
        q = model.features @ (model.weights[h] + fractions(nu))
        values[h] = q.max(axis=1) if rows is None else (rows[h] * q).sum(axis=1)
    return values


def plain_sides(play: Play) -> tuple[Side, Side]:
    """Return robust values of the optimum and a policy, and plain ones under their measures."""
    model, rows = linear_instances.exact(play.model), fractions(play.policy)
    answers = [linear_instances.robust(model, chosen).measures for chosen in (None, rows)]
    return _plain(model, rows, answers)


def _plain(model: Exact, rows: FractionArray, answers: list[FractionArray]) -> tuple[Side, Side]:
    robust, plain = [], []
    for chosen, measures in zip((None, rows), answers, strict=True):
        kernels = model._replace(measures=measures).kernels
        robust.append(dual_values(model, chosen)[0])
        plain.append(linear_instances.solve(kernels, model.rewards, chosen).values[0])
    return exact.join(*robust), exact.join(*plain)


def _for_the_nominal_values(play: Play) -> tuple[Side, Side]:
    model, rows = linear_instances.exact(play.model), fractions(play.policy)
    answers = []
    for chosen in (None, rows):
        values = linear_instances.robust(model._replace(radii=0 * model.radii), chosen).values[1:]
        steps = zip(model.measures, values, model.radii, strict=True)
        answers.append(np.array([linear_instances.worst_measures(*step) for step in steps]))
    return _plain(model, rows, answers)


WORST_MODEL = Theorem(
    id="robust-linear/worst-model-is-linear",
    title="The worst case of a robust linear MDP is a linear MDP with the same features",
    source="Liu and Xu (2024), the robust Bellman equation of d-rectangular linear MDPs",
    statement=(
        r"V^{\star,\rho} = V^\star_{\phi\cdot\mu^{w}},\qquad V^{\pi,\rho} = V^\pi_{\phi\cdot\mu^{w,"
        r"\pi}},\qquad \mu^w_{h,i} \in \arg\min_{\mathrm{TV}(q, \mu_{h,i}) \le \rho_{h,i}} "
        r"q\cdot V^{\star,\rho}_{h+1}"
    ),
    hypotheses=(
        r"$\phi(s,a) \in \Delta_d$, every $\mu_{h,i} \in \Delta_S$, radii of their own",
        r"$V_P$: plain values of the kernel $P$, worked out without features",
    ),
    kind="identity",
    sample=sample_play,
    sides=plain_sides,
    control=Control(
        name="worst for the nominal values",
        explanation="The measures are the worst for the values of the model without an adversary.",
        # With more states their order, which is all that the adversary heeds, changes more often.
        sample=lambda tape, size: sample_play(tape, size + 2),
        sides=_for_the_nominal_values,
    ),
    sizes=(2, 3),
    cost=1.0,
    notes=(
        "The optimum is a saddle point: against the worst measures the agent can do no better "
        "than its robust policy."
    ),
)


THEOREMS = (PER_FACTOR, WORST_MODEL)
