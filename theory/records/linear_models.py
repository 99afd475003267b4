"""Linear MDPs: what linearity of the model makes of action values, weights and differences.

Every side is a Fraction; kernels are spelt out on one side, and never formed on the other.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.rational import FractionArray
from rltheory.linear_mdp.mdp import LinearMDP
from rltheory.theory import exact, linear_instances
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Play(NamedTuple):
    """A linear MDP and a policy (H, S, A)."""

    mdp: LinearMDP
    policy: FloatArray


def sample_play(tape: Tape, size: int) -> Play:
    """Draw a linear MDP of 2 or 3 steps and a randomised policy."""
    mdp = linear_instances.linear_mdp(
        tape, size, tape.integer(1, 3), tape.integer(1, 4), tape.integer(2, 3)
    )
    return Play(mdp, linear_instances.policy(tape, mdp))


def expected_rewards(
    kernels: FractionArray, rewards: FractionArray, rows: FractionArray
) -> FractionArray:
    """Return Q (S, A) of the first step, forward: where a pair leads, and what is earned there."""
    _, states, actions = rewards.shape
    found = rewards[0].copy()
    for s in range(states):
        for a in range(actions):
            there = linear_instances.visits(kernels[1:], rows[1:], kernels[0, s, a])
            found[s, a] += (there * rewards[1:]).sum()
    return np.asarray(found)


def weights(model: linear_instances.Exact, rows: FractionArray) -> FractionArray:
    """Return w (H, d) backward: w = reward weights + measures @ V, V = E_pi[features . w]."""
    found = model.weights.copy()
    for h in reversed(range(len(found) - 1)):
        values = (rows[h + 1] * (model.features @ found[h + 1])).sum(axis=1)
        found[h] = model.weights[h] + model.measures[h] @ values
    return found


def _linear(play: Play, kernels: FractionArray) -> tuple[Side, Side]:
    model, rows = linear_instances.exact(play.mdp), fractions(play.policy)
    forward = expected_rewards(kernels, model.rewards, rows)
    return forward, np.asarray(model.features @ weights(model, rows)[0])


def linear_sides(play: Play) -> tuple[Side, Side]:
    """Return Q (S, A) of the first step by where play leads, and features . w."""
    return _linear(play, linear_instances.exact(play.mdp).kernels)


def _off_the_span(play: Play) -> tuple[Side, Side]:
    kernels = linear_instances.exact(play.mdp).kernels.copy()
    kernels[0, 0, 0] = np.roll(kernels[0, 0, 0], 1)
    return _linear(play, kernels)


Q_IS_LINEAR = Theorem(
    id="linear/q-is-linear",
    title="In a linear MDP every policy's action values are linear in the features",
    source="Jin, Yang, Wang and Jordan (2020), Proposition 2.3",
    statement=(
        r"Q^\pi_h(s,a) = \phi(s,a)\cdot w^\pi_h,\qquad w^\pi_h = \theta_h + \sum_{s'}\mu_h(s')\,"
        r"V^\pi_{h+1}(s')"
    ),
    hypotheses=(
        r"$P_h(s'|s,a) = \phi(s,a)\cdot\mu_h(s')$ and $r_h(s,a) = \phi(s,a)\cdot\theta_h$",
        r"any policy $\pi$, $Q$ of the first of two or three steps",
    ),
    kind="identity",
    sample=sample_play,
    sides=linear_sides,
    control=Control(
        name="one row off the span",
        explanation="The next state of one pair is moved along by one; its features are not.",
        sides=_off_the_span,
    ),
    sizes=(2, 3),
    notes=(
        "The left side sums rewards forward over where a pair leads and knows nothing of "
        "features; the right side goes backward over the steps in the space of features alone."
    ),
)


def _sizes(play: Play, steps: int) -> tuple[Side, Side]:
    model, rows = linear_instances.exact(play.mdp), fractions(play.policy)
    found = weights(model, rows)
    horizon, factors = found.shape
    most = fractions(np.arange(horizon, 0, -1) + steps)
    squares = (found**2).sum(axis=1)
    entries = np.repeat(most[:, None], factors, axis=1)
    return exact.join(-found, found, squares), exact.join(0 * found, entries, factors * most**2)


def size_sides(play: Play) -> tuple[Side, Side]:
    """Return -w, w and |w|^2 of every step, and their bounds 0, H - h + 1 and d (H - h + 1)^2."""
    return _sizes(play, 0)


def _sample_full(tape: Tape, size: int) -> Play:
    """Draw a play; half of the time every step earns 1 whatever is done."""
    play = sample_play(tape, size)
    if tape.integer(0, 1):
        full = np.ones_like(play.mdp.reward_weights)
        return play._replace(mdp=play.mdp.replace(reward_weights=full))
    return play


WEIGHTS = Theorem(
    id="linear/weights-are-values",
    title="The weights of action values lie between 0 and the steps to go",
    source=(
        "Jin, Yang, Wang and Jordan (2020), Lemma B.1, has twice this norm, for features and "
        "measures that are no distributions; the entrywise bound is derived here"
    ),
    statement=(r"0 \le w^\pi_{h,i} \le H - h + 1,\qquad \|w^\pi_h\|_2 \le \sqrt d\,(H - h + 1)"),
    hypotheses=(
        r"features in $\Delta_d$, every $\mu_{h,i}$ in $\Delta_S$, $\theta_{h,i} \in [0,1]$",
    ),
    kind="inequality",
    sample=_sample_full,
    sides=size_sides,
    control=Control(
        name="a step fewer",
        explanation="The bound counts the steps after this one only, $H - h$.",
        sides=lambda play: _sizes(play, -1),
    ),
    sizes=(2, 3),
    sharpness=0.999,
    notes=(
        "A weight is the value of drawing its factor: the reward there, and then the values "
        "where the factor leads. Attained where every step earns 1. The norm is squared in the "
        "sides."
    ),
)


class Perturbed(NamedTuple):
    """A linear MDP, other measures (H, d, S) for it, and a policy (H, S, A)."""

    mdp: LinearMDP
    others: FloatArray
    policy: FloatArray


def sample_perturbed(tape: Tape, size: int) -> Perturbed:
    """Draw measures independently, or mixed with the given ones; often only one step differs."""
    play = sample_play(tape, size)
    measures = play.mdp.measures
    others = tape.simplex(measures.shape)
    if tape.integer(0, 1):
        others = (others + measures) / 2
    if tape.integer(0, 1):
        others = np.concatenate([others[:1], measures[1:]])
    return Perturbed(play.mdp, others, play.policy)


def _difference(instance: Perturbed, share: Fraction) -> tuple[Side, Side]:
    model, rows = linear_instances.exact(instance.mdp), fractions(instance.policy)
    other = model._replace(measures=fractions(instance.others))
    values = linear_instances.solve(model.kernels, model.rewards, rows).values
    moved = linear_instances.solve(other.kernels, model.rewards, rows).values
    distances = linear_instances.total_variation(model.measures, other.measures)
    ranges = linear_instances.span(values[1:])
    costs = np.array(
        [model.features @ (tv * width) for tv, width in zip(distances, ranges, strict=True)]
    )
    bound = share * linear_instances.totals(other.kernels, costs, rows)
    return np.abs(values[0] - moved[0]), bound


def difference_sides(instance: Perturbed) -> tuple[Side, Side]:
    """Return |V - V'| (S,) and the expected sum of features . TV times the range of V."""
    return _difference(instance, Fraction(1))


SIMULATION = Theorem(
    id="linear/simulation",
    title="Other measures change a value by the factors' distances, as often as they are drawn",
    source=(
        "Kearns and Singh (2002), the simulation lemma, for factors; the constant is derived here"
    ),
    statement=(
        r"\bigl|V^\pi_1(s) - V'^\pi_1(s)\bigr| \le \mathbb{E}^{\pi,\mu'}_s\sum_{h=1}^{H-1}\sum_i "
        r"\phi_i(s_h,a_h)\,\mathrm{TV}(\mu_{h,i},\mu'_{h,i})\,\operatorname{sp}(V^\pi_{h+1})"
    ),
    hypotheses=(
        r"features in $\Delta_d$, shared by both models, and so are the rewards",
        r"$\mathrm{TV} = \frac12\|\cdot\|_1$, $\operatorname{sp} = \max - \min$; the expectation "
        r"is under $\mu'$, the ranges are those under $\mu$",
    ),
    kind="inequality",
    sample=sample_perturbed,
    sides=difference_sides,
    control=Control(
        name="half the range",
        explanation="Half the range of the values, as if TV were the whole L1 distance.",
        sides=lambda instance: _difference(instance, Fraction(1, 2)),
    ),
    sizes=(2, 3),
    sharpness=0.999,
    notes=(
        "The constant 1 is sharp: attained where one step moves mass from the best state to the "
        "worst. No dependence on the number of states, as a factor is perturbed once for all the "
        "pairs that draw it."
    ),
)


THEOREMS = (Q_IS_LINEAR, WEIGHTS, SIMULATION)
