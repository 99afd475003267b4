"""Soft policy iteration: what one step gains, how far a policy is from the end, what may fall."""

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.bounds import Bounds
from rltheory.analysis.rational import FractionArray
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.soft_policy_iteration import soft_optimum
from rltheory.theory import balls, instances
from rltheory.theory.balls import BallArray, precise
from rltheory.theory.exact import fractions
from rltheory.theory.records.mirror_descent import ball_action_values, ball_values
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Soft(NamedTuple):
    """An MDP, a positive policy (S, A) and a temperature."""

    mdp: DiscountedMDP
    policy: FractionArray
    temperature: Fraction


def sample_soft(tape: Tape, size: int) -> Soft:
    """Draw an MDP, a positive policy and a temperature 2^k."""
    model = instances.mdp(tape, size, tape.integer(2, 3))
    weights = fractions(tape.dyadic((size, model.actions), 2.0**-6, 1.0))
    policy = weights / weights.sum(axis=1, keepdims=True)
    return Soft(model, policy, Fraction(2) ** tape.integer(-3, 2))


def soft_values(instance: Soft, policy: BallArray) -> BallArray:
    """Return the value (S,) of a positive policy with temperature times its entropy added."""
    cost = balls.ball(instance.temperature) * (policy * balls.log(policy)).sum(axis=1)
    return ball_values(instance.mdp, policy, cost)


def softened(instance: Soft, values: BallArray) -> BallArray:
    """Return the softmax (S, A) of the action values of soft values (S,)."""
    q = ball_action_values(instance.mdp, values)
    return balls.softmax(q / balls.ball(instance.temperature))


def divergence(first: BallArray, second: BallArray) -> BallArray:
    """Return KL(first || second) in every state, (S,)."""
    return np.asarray((first * (balls.log(first) - balls.log(second))).sum(axis=1))


def _improved(instance: Soft, *, backwards: bool) -> tuple[Side, Side]:
    """Return what soft values gain in a step, and the discounted divergences on the new way."""
    old = balls.balls(instance.policy)
    values = soft_values(instance, old)
    new = softened(instance, values)
    apart = divergence(new, old) if backwards else divergence(old, new)
    idle = instance.mdp.replace(rewards=np.zeros(instance.mdp.rewards.shape))
    gains = ball_values(idle, new, -balls.ball(instance.temperature) * apart)
    return balls.to_bounds(soft_values(instance, new) - values), balls.to_bounds(gains)


@precise
def improved_sides(instance: Soft) -> tuple[Side, Side]:
    """Return the gain of every state and the sum of divergences that makes it up, (S,) each."""
    return _improved(instance, backwards=False)


@precise
def _backwards(instance: Soft) -> tuple[Side, Side]:
    return _improved(instance, backwards=True)


IMPROVEMENT = Theorem(
    id="sac/improvement-identity",
    title="What a soft improvement gains is its divergence, summed along the new policy",
    source=(
        "Haarnoja, Zhou, Abbeel and Levine (2018), Lemma 2, as an equality (derived here from the "
        "performance difference)"
    ),
    statement=(
        r"V^{\pi'}_\alpha(s) - V^{\pi}_\alpha(s) = \alpha\,\mathbb{E}^{\pi'}_s \sum_t \gamma^t\,"
        r"\mathrm{KL}\bigl(\pi(\cdot|s_t)\,\big\|\,\pi'(\cdot|s_t)\bigr),\qquad \pi' \propto "
        r"\exp(Q^\pi_\alpha/\alpha)"
    ),
    hypotheses=(
        r"$V^\pi_\alpha = \mathbb{E}\sum_t\gamma^t (r_t + \alpha H(\pi(\cdot|s_t)))$, "
        r"$Q^\pi_\alpha = r + \gamma P V^\pi_\alpha$; $\pi > 0$, $\alpha > 0$",
    ),
    kind="identity",
    sample=sample_soft,
    sides=improved_sides,
    control=Control(
        name="divergence backwards",
        explanation=r"The divergence is $\mathrm{KL}(\pi'\|\pi)$.",
        sides=_backwards,
    ),
    notes=(
        "Hence soft values never fall in any state, and stay only where the policy is the softmax "
        "of its own soft action values. Their rate: regularised/natural-gradient-linear-rate."
    ),
    cost=2.0,
)


def sample_end(tape: Tape, size: int) -> Soft:
    """Draw a soft instance; half of the time states that hardly differ, whom nothing moves."""
    if tape.integer(0, 1):
        actions = tape.integer(2, 3)
        rewards = np.tile(tape.dyadic(actions), (size, 1))
        model = DiscountedMDP(
            np.zeros((size, actions, size)) + _anywhere(size),
            rewards,
            instances.discount(tape, low=1, high=14),
        )
        weights = np.tile(fractions(tape.dyadic(actions, 2.0**-6, 1.0)), (size, 1))
        weights[0, 0] = weights[0, 0] * (1 + Fraction(tape.choice((-1, 1)), 2**6))
        policy = weights / weights.sum(axis=1, keepdims=True)
        return Soft(model, policy, Fraction(2) ** tape.integer(-2, 0))
    drawn = sample_soft(tape, size)
    model = drawn.mdp.replace(
        transitions=(drawn.mdp.transitions + _anywhere(size)) / 2, discount=tape.integer(1, 12) / 16
    )
    return Soft(model, drawn.policy, max(drawn.temperature, _WARM))


def _anywhere(states: int) -> FloatArray:
    """Return a distribution (S,) over up to four states, in quarters."""
    return np.bincount(np.arange(4) % states, minlength=states) / 4


_WARM = Fraction(1, 4)


def _distances(instance: Soft) -> tuple[BallArray, Any]:
    """Return what a policy lacks of the soft optimum (S,), and alpha times its divergences (S,)."""
    policy = balls.balls(instance.policy)
    values = soft_values(instance, policy)
    found = soft_optimum(instance.mdp, temperature=float(instance.temperature))
    best = balls.between(Bounds(found.lower, found.upper))
    apart = divergence(policy, softened(instance, values))
    return best - values, balls.ball(instance.temperature) * apart


def _end(instance: Soft, horizon: Fraction) -> tuple[Side, Side]:
    lacking, apart = _distances(instance)
    bound = balls.largest(apart) * balls.ball(horizon)
    return balls.to_bounds(lacking), balls.to_bounds(bound)


@precise
def end_sides(instance: Soft) -> tuple[Side, Side]:
    """Return what a policy lacks of the soft optimum, and its largest divergence's horizon."""
    return _end(instance, 1 / (1 - Fraction(instance.mdp.discount)))


@precise
def _one_step(instance: Soft) -> tuple[Side, Side]:
    return _end(instance, Fraction(1))


@precise
def distant(instance: Soft) -> bool:
    """Whether in no state the bound is met so nearly that enclosures could not tell."""
    policy = balls.balls(instance.policy)
    apart = divergence(policy, softened(instance, soft_values(instance, policy)))
    found = sorted(float(x.mid()) for x in apart)
    return found[-1] > 2.0**-10 and found[-1] > found[0] * (1 + 2.0**-10)


END = Theorem(
    id="sac/distance-to-the-end",
    title="How far a policy is from the soft optimum, by its divergence from its own softmax",
    source=(
        "Haarnoja, Zhou, Abbeel and Levine (2018), Theorem 1, with a bound in place of the limit "
        "(derived here)"
    ),
    statement=(
        r"V^*_\alpha - V^\pi_\alpha \le \frac{\alpha}{1-\gamma}\,\max_s \mathrm{KL}\bigl(\pi(\cdot|"
        r"s)\,\big\|\,\operatorname{softmax}(Q^\pi_\alpha(s,\cdot)/\alpha)\bigr)\,\mathbf{1}"
    ),
    hypotheses=(
        r"$\pi > 0$, $0 < \gamma < 1$; every state is reached from each and divergences differ, "
        "so that the bound is not met",
    ),
    kind="inequality",
    sample=sample_end,
    sides=end_sides,
    admissible=distant,
    control=Control(
        name="one step",
        explanation="The horizon is dropped.",
        sides=_one_step,
    ),
    notes=(
        "The loss of the actor, if minimised exactly in each state, is a certificate. Approached "
        "where actions do not move the state and all states have nearly the same divergence."
    ),
    sharpness=0.95,
    cost=3.0,
)


class Greedy(NamedTuple):
    """How rarely a policy that is nearly greedy for rewards 1 and 0 takes the worse action."""

    rare: Fraction


def sample_greedy(tape: Tape, size: int) -> Greedy:
    """Draw a probability 2^-6 to 2^-20."""
    return Greedy(Fraction(1, 2 ** tape.integer(6, 20)))


def _fallen(instance: Greedy, heat: int) -> tuple[Side, Side]:
    """Return the value after and before, with `heat` times the entropy."""
    rewards = np.array([[1.0, 0.0]])
    model = DiscountedMDP(np.ones((1, 2, 1)), rewards, 0.0)
    rows = np.array([[1 - instance.rare, instance.rare]], dtype=object)
    soft = Soft(model, rows, Fraction(1))
    old = balls.balls(rows)
    new = softened(soft, soft_values(soft, old))
    worth = [
        ball_values(model, policy, balls.ball(heat) * (policy * balls.log(policy)).sum(axis=1))[0]
        for policy in (new, old)
    ]
    return balls.to_bounds(worth[0]), balls.to_bounds(worth[1])


@precise
def fallen_sides(instance: Greedy) -> tuple[Side, Side]:
    """Return the plain value after a soft improvement and before it."""
    return _fallen(instance, 0)


@precise
def _with_bonus(instance: Greedy) -> tuple[Side, Side]:
    return _fallen(instance, 1)


FALLS = Theorem(
    id="sac/return-may-fall",
    title="A soft improvement may lower the return without its bonus",
    source="Derived here; what Haarnoja, Zhou, Abbeel and Levine (2018), Lemma 2, does not claim",
    statement=(
        r"V^{\pi'}_0 = \frac{e}{1+e} \;<\; 1 - \epsilon = V^{\pi}_0,\qquad \pi' \propto "
        r"\exp(Q^\pi_\alpha/\alpha)"
    ),
    hypotheses=(
        r"one state, rewards 1 and 0, $\alpha = 1$, $\pi = (1-\epsilon, \epsilon)$, "
        r"$\epsilon \le 2^{-6}$",
    ),
    kind="counterexample",
    sample=sample_greedy,
    sides=fallen_sides,
    control=Control(
        name="bonus counted",
        explanation="Values are those with the entropy bonus, which never fall.",
        sides=_with_bonus,
    ),
    notes="How much at most, at the end: regularised/policy-loss.",
    sharpness=0.73,
)


THEOREMS = (IMPROVEMENT, END, FALLS)
