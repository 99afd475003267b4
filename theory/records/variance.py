"""The variance of the discounted return: its Bellman equation, and the law of total variance.

Every side is a Fraction. Second moments come from a linear system of their own, so the variance
equations are compared with something that does not assume them.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.rational import FractionArray
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.theory import exact, instances
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side, supremum
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Play(NamedTuple):
    """An MDP with rewards in [0, 1] and a policy (S, A)."""

    mdp: DiscountedMDP
    policy: FloatArray


def sample_play(tape: Tape, size: int) -> Play:
    """Draw an MDP and a randomised policy."""
    model = instances.mdp(tape, size, tape.integer(1, 3))
    return Play(model, instances.policy(tape, size, model.actions))


def second_moment(play: Play) -> FractionArray:
    """Return E[G^2] (S,) from E[(r + g G')^2] = r^2 + 2 g r V(s') + g^2 E[G'^2]."""
    mdp, policy = play
    transitions, rewards, discount = exact.model(mdp)
    following = transitions @ exact.policy_values(mdp, policy)
    now = rewards**2 + 2 * discount * rewards * following
    return exact.resolvent(
        exact.policy_kernel(mdp, policy), discount**2, (fractions(policy) * now).sum(axis=1)
    )


def return_variance(play: Play) -> FractionArray:
    """Return the variance of the discounted return from each state, (S,)."""
    return np.asarray(second_moment(play) - exact.policy_values(*play) ** 2)


def next_variance(play: Play) -> FractionArray:
    """Return the variance of V at the next state, given state and action, (S, A)."""
    mdp, policy = play
    transitions, _, _ = exact.model(mdp)
    values = exact.policy_values(mdp, policy)
    return np.asarray(transitions @ values**2 - (transitions @ values) ** 2)


def _variance(play: Play, of_actions: int) -> tuple[Side, Side]:
    mdp, policy = play
    discount, rows = Fraction(mdp.discount), fractions(policy)
    values = exact.policy_values(mdp, policy)
    spread = exact.action_values(mdp, values) - values[:, None]
    local = (rows * (of_actions * spread**2 + discount**2 * next_variance(play))).sum(axis=1)
    total = exact.resolvent(exact.policy_kernel(mdp, policy), discount**2, local)
    return return_variance(play), total


def variance_sides(play: Play) -> tuple[Side, Side]:
    """Return E[G^2] - V^2 and the solution of the variance's Bellman equation, (S,)."""
    return _variance(play, 1)


VARIANCE = Theorem(
    id="variance/bellman-equation",
    title="The variance of the return obeys a Bellman equation at the squared discount",
    source="Sobel (1982), extended to randomised policies",
    statement=(
        r"\sigma^2(s) = \sum_a \pi(a|s)\Bigl[(Q^\pi(s,a) - V^\pi(s))^2 + \gamma^2 "
        r"\operatorname{Var}_{s'\sim p(s,a)}V^\pi(s') + \gamma^2\,\mathbb{E}_{s'}\sigma^2(s')\Bigr]"
    ),
    hypotheses=(r"$\sigma^2(s) = \operatorname{Var}(\sum_t\gamma^t r_t \mid s_0 = s)$",),
    kind="identity",
    sample=sample_play,
    sides=variance_sides,
    control=Control(
        name="actions do not vary",
        explanation="The variance due to the random action is left out.",
        sides=lambda play: _variance(play, 0),
    ),
)


def coin(discount: float, first: float) -> DiscountedMDP:
    """Return three states: a fair coin decides between reward 1 for ever and nothing."""
    kernel = np.array([[0.0, 0.5, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    rewards = np.array([[first], [1.0], [0.0]])
    return DiscountedMDP(kernel[:, None], rewards, discount)


def sample_deterministic(tape: Tape, size: int) -> Play:
    """Draw a reward process: the coin, independent draws, or a random one."""
    kind = tape.integer(0, 2)
    factor = instances.discount(tape, low=1)
    if kind == 0:
        return Play(coin(factor, float(tape.dyadic())), np.ones((3, 1)))
    model = instances.mdp(tape, size, 1, factor)
    if kind == 1:
        model = model.replace(transitions=np.repeat(model.transitions[:1], size, axis=0))
    return Play(model, np.ones((size, 1)))


def _total(play: Play, factor: Fraction) -> tuple[Side, Side]:
    mdp, policy = play
    discount = Fraction(mdp.discount)
    steps = exact.resolvent(exact.policy_kernel(mdp, policy), discount, next_variance(play).ravel())
    variance = factor * supremum(return_variance(play))
    largest = factor * discount**2 / (4 * (1 - discount) ** 2)
    return exact.join(discount**2 * supremum(steps), variance), exact.join(variance, largest)


def total_sides(play: Play) -> tuple[Side, Side]:
    """Return (summed variances, (1 + g) Var G) and ((1 + g) Var G, its largest value)."""
    return _total(play, 1 + Fraction(play.mdp.discount))


TOTAL_VARIANCE = Theorem(
    id="variance/total-variance",
    title="One-step variances sum to at most 1 + g times the variance of the return",
    source=(
        "Azar, Munos and Kappen (2013), the total-variance lemma, with a looser constant; the "
        "sharp factor is derived here"
    ),
    statement=(
        r"\gamma^2\bigl\|(I - \gamma P)^{-1}\operatorname{Var}_{P}V\bigr\|_\infty \le "
        r"(1+\gamma)\,\bigl\|\operatorname{Var} G\bigr\|_\infty \le "
        r"\frac{(1+\gamma)\,\gamma^2}{4(1-\gamma)^2},\qquad G = \sum_t \gamma^t r(s_t)"
    ),
    hypotheses=(r"rewards in $[0,1]$, a function of the state", r"$0 < \gamma < 1$"),
    kind="inequality",
    sample=sample_deterministic,
    sides=total_sides,
    control=Control(
        name="first powers for squares",
        explanation=(
            r"The factor $1 + \gamma$ is dropped, as if summing with $\gamma^t$ were summing "
            r"with $\gamma^{2t}$."
        ),
        sides=lambda play: _total(play, Fraction(1)),
    ),
    notes=(
        r"By Jensen $\|(I-\gamma P)^{-1}\sqrt{\operatorname{Var}_P V}\|_\infty^2 \le (1+\gamma)/"
        r"(4(1-\gamma)^3)$, where Agarwal, Kakade and Yang (2020) have $2/(1-\gamma)^3$: a horizon "
        "less than step by step. Attained, the first bound by independent states, the second by "
        "a coin."
    ),
    sharpness=0.999,
)


THEOREMS = (VARIANCE, TOTAL_VARIANCE)
