"""An actor against a critic that stays for a while: gaps, epochs, and what stale logits cost.

Sides with exponentials are balls of 128 bits; where weights are powers of two all is exact.
"""

from fractions import Fraction
from typing import NamedTuple

import flint
import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.theory import balls
from rltheory.theory.balls import BallArray, precise
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Fixed(NamedTuple):
    """A critic's values (S, A) and the step; the critic stays."""

    critic: FractionArray
    step: Fraction


def _lambert(actions: int) -> float:
    """Return W_0((A - 1) / e), roughly: where samplers put the worst gap."""
    return float(_product_log(actions).mid())


def _product_log(actions: int) -> flint.arb:
    """Return W_0((A - 1) / e) as a ball."""
    return (balls.ball(actions - 1) / flint.arb(1).exp()).lambertw()


@precise
def sample_gap(tape: Tape, size: int) -> Fixed:
    """Draw a critic of one state; half of the time all actions but one are equally bad."""
    step = Fraction(2) ** tape.integer(-2, 2)
    if tape.integer(0, 1):
        worst = (1 + _lambert(size)) / float(step)
        gap = fractions(np.round(tape.number(0.5, 1.5) * worst * 2**20) / 2**20)
        return Fixed(gap * fractions(np.eye(size)[:1]), step)
    return Fixed(fractions(tape.dyadic((1, size), 0.0, 4.0, bits=6)), step)


def _lags(fixed: Fixed, updates: int) -> BallArray:
    """Return max f - <f, policy> in balls, (S,), after so many updates from uniform."""
    critic = balls.balls(fixed.critic)
    played = balls.softmax(balls.ball(updates * fixed.step) * critic)
    return np.asarray(balls.balls(fixed.critic.max(axis=1)) - (played * critic).sum(axis=1))


def _fixed_gap(fixed: Fixed, actions: int) -> tuple[Side, Side]:
    bound = _product_log(actions) / balls.ball(fixed.step)
    return balls.to_bounds(_lags(fixed, 1)[0]), balls.to_bounds(bound)


@precise
def gap_sides(fixed: Fixed) -> tuple[Side, Side]:
    """Return how far the softmax is behind its critic, and the largest such gap."""
    return _fixed_gap(fixed, fixed.critic.shape[1])


@precise
def _one_action_less(fixed: Fixed) -> tuple[Side, Side]:
    return _fixed_gap(fixed, fixed.critic.shape[1] - 1)


FIXED_GAP = Theorem(
    id="actor-critic/gap-behind-a-fixed-critic",
    title="How far a softmax is behind the greedy policy of its critic, sharply",
    source="Derived here",
    statement=(
        r"\max_a f(a) - \langle f, \pi\rangle \le \frac{1}{x}\,W_0\Bigl(\frac{A-1}{e}\Bigr) \le "
        r"\frac{\log A}{x},\qquad \pi \propto e^{x f}"
    ),
    hypotheses=(
        r"any $f$, $A \ge 2$ actions; after $j$ updates with step $\eta$ against one critic $x = j"
        r"\eta$; $W_0$ is the principal branch of Lambert's function",
    ),
    kind="inequality",
    sample=sample_gap,
    sides=gap_sides,
    control=Control(
        name="one action less",
        explanation=r"The argument is $(A - 2)/e$.",
        sides=_one_action_less,
    ),
    sizes=(2, 3, 8),
    sharpness=0.999,
    notes=(
        r"Attained where all other actions are behind by $(1 + W_0)/x$. It falls with the step: "
        "against a critic that stays, a larger step is never worse, see "
        "actor-critic/fixed-critic-monotone; what limits the step is that critics move."
    ),
)


def sample_epoch(tape: Tape, size: int) -> tuple[Fixed, int]:
    """Draw a critic of one state in [0, 1], a step and the episodes of an epoch."""
    critic = fractions(tape.dyadic((1, size), bits=4))
    if tape.integer(0, 1):
        critic = fractions(np.eye(size)[:1])
    return Fixed(critic, Fraction(2) ** tape.integer(-3, 2)), tape.integer(1, 64)


def _epoch(instance: tuple[Fixed, int], share: Fraction) -> tuple[Side, Side]:
    fixed, length = instance
    row = fixed.critic[0]
    lost = sum((_lags(fixed, j)[0] for j in range(length)), balls.ball(0))
    first = balls.ball(row.max() - row.sum() / len(row))
    grown = balls.ball(share) * balls.ball(len(row)).log() / balls.ball(fixed.step)
    return balls.to_bounds(lost), balls.to_bounds(first + grown)


@precise
def epoch_sides(instance: tuple[Fixed, int]) -> tuple[Side, Side]:
    """Return what the actor loses over an epoch, and the first gap plus log(A) / step."""
    return _epoch(instance, Fraction(1))


@precise
def _half_logarithm(instance: tuple[Fixed, int]) -> tuple[Side, Side]:
    return _epoch(instance, Fraction(1, 2))


EPOCH = Theorem(
    id="actor-critic/epoch-of-a-fixed-critic",
    title="Against a critic that stays, an actor's total loss is bounded however long it stays",
    source="Derived here",
    statement=(
        r"\sum_{j=0}^{L-1}\bigl(\max_a f(a) - \langle f, \pi_j\rangle\bigr) \le \max_a f(a) - "
        r"\frac1A\sum_a f(a) + \frac{\log A}{\eta},\qquad \pi_j \propto e^{j\eta f}"
    ),
    hypotheses=("any $f$, any length $L$, one state; the actor starts from uniform",),
    kind="inequality",
    sample=sample_epoch,
    sides=epoch_sides,
    control=Control(
        name="half of the logarithm",
        explanation=r"$\log(A) / (2\eta)$ in place of $\log(A) / \eta$.",
        sides=_half_logarithm,
    ),
    sizes=(2, 3),
    cost=4.0,
    sharpness=0.95,
    notes=(
        r"The policy's value is the derivative of $\log\sum_a e^{xf}$ in $x = j\eta$ and grows, so "
        "that the sum is within its first term of the integral. Compared with "
        r"learning/hedge-regret the term $\eta H^2 L/8$ is gone: with few switches an actor's "
        "share of the regret does not grow with the root of the episodes, and falls with the step."
    ),
)


def sample_states(tape: Tape, size: int) -> tuple[Fixed, int]:
    """Draw a critic of several states; half of the time each is worst at an update of its own."""
    actions, length = tape.choice((2, 4, 16)), tape.integer(1, 8 * size)
    step = Fraction(2) ** tape.integer(-2, 2)
    if tape.integer(0, 1):
        worst = (1 + _lambert(actions)) / (float(step) * np.arange(1, length + 1))
        gaps = fractions(np.round(worst * 2**12) / 2**12)
        return Fixed(gaps[:, None] * fractions(np.eye(actions)[:1]), step), length
    critic = fractions(tape.dyadic((size, actions), 0.0, 4.0, bits=4))
    return Fixed(critic, step), length


def _any_visits(instance: tuple[Fixed, int], *, one_state: bool) -> tuple[Side, Side]:
    fixed, length = instance
    lost = sum((balls.largest(_lags(fixed, j)) for j in range(1, length + 1)), balls.ball(0))
    actions, step = fixed.critic.shape[1], balls.ball(fixed.step)
    harmonic = sum(Fraction(1, j) for j in range(1, length + 1))
    bound = _product_log(actions) * balls.ball(harmonic) / step
    if one_state:
        bound = balls.ball(actions).log() / step
    return balls.to_bounds(lost), balls.to_bounds(bound)


@precise
def any_visits_sides(instance: tuple[Fixed, int]) -> tuple[Side, Side]:
    """Return the sum of the worst state's gap, and W_0 / step times a harmonic number."""
    return _any_visits(instance, one_state=False)


@precise
def _one_state(instance: tuple[Fixed, int]) -> tuple[Side, Side]:
    return _any_visits(instance, one_state=True)


ANY_VISITS = Theorem(
    id="actor-critic/epoch-under-any-visits",
    title="If the states visited may change with the policy, an epoch costs a logarithm more",
    source="Derived here",
    statement=(
        r"\sum_{j=1}^{L}\max_s\bigl(\max_a f(s,a) - \langle f(s), \pi_j(s)\rangle\bigr) \le \frac{"
        r"1}{\eta}\,W_0\Bigl(\frac{A-1}{e}\Bigr)\sum_{j=1}^L\frac1j,\qquad \pi_j \propto "
        r"e^{j\eta f}"
    ),
    hypotheses=(
        "any $f$, any number of states, and thereby the sum for any visits of states that change "
        "with $j$",
    ),
    kind="inequality",
    sample=sample_states,
    sides=any_visits_sides,
    control=Control(
        name="the bound of one state",
        explanation=r"$\log(A)/\eta$, which holds where the visits stay the same.",
        sides=_one_state,
    ),
    sizes=(2, 4),
    cost=8.0,
    sharpness=0.999,
    notes=(
        "Attained by as many states as updates, each the worst at one of them. In the identity "
        "actor-critic/greedy-form visits are the policy's own, so that this is the form needed "
        r"there; $W_0 \approx 0.28$ for two actions."
    ),
)


class Doubling(NamedTuple):
    """Integers (A,): a critic in units of log(2) / step. Another one, and the updates before it."""

    critic: tuple[int, ...]
    other: tuple[int, ...]
    updates: int


def sample_doubling(tape: Tape, size: int) -> Doubling:
    """Draw critics of small integers."""
    critic = tuple(tape.integer(0, 3) for _ in range(size))
    return Doubling(critic, tuple(tape.integer(0, 3) for _ in range(size)), tape.integer(1, 6))


def _earned(worth: tuple[int, ...], logits: list[int]) -> Fraction:
    """Return <worth, policy> for a policy in proportion to 2 ** logits."""
    weights = [Fraction(2) ** x for x in logits]
    return sum((w * x for w, x in zip(weights, worth, strict=True)), Fraction(0)) / sum(weights)


def _monotone(instance: Doubling, followed: tuple[int, ...]) -> tuple[Side, Side]:
    values = [
        _earned(instance.critic, [j * x for x in followed]) for j in range(instance.updates + 1)
    ]
    return np.array(values[:-1], dtype=object), np.array(values[1:], dtype=object)


def monotone_sides(instance: Doubling) -> tuple[Side, Side]:
    """Return the policy's value by its critic before each update, and after."""
    return _monotone(instance, instance.critic)


MONOTONE = Theorem(
    id="actor-critic/fixed-critic-monotone",
    title="Against one critic every update helps, and so does a larger step",
    source="The derivative of a softmax mean is a variance",
    statement=(
        r"\langle f, \pi_x\rangle \le \langle f, \pi_y\rangle\quad\text{for } 0 \le x \le y,\qquad "
        r"\pi_x \propto e^{xf}"
    ),
    hypotheses=(r"any $f$; drawn as integers with $x$ in units of $\log 2$: all is exact",),
    kind="inequality",
    sample=sample_doubling,
    sides=monotone_sides,
    cost=2.0,
    control=Control(
        name="another critic's weights",
        explanation="The policy follows one critic and is judged by another.",
        sides=lambda instance: _monotone(instance, instance.other),
    ),
    sharpness=0.999,
    notes=(
        "So inside an epoch the best step is infinite, and the actor greedy. An actor with a "
        "finite step is at best as good there; it is robust to critics that move."
    ),
)


def _stalled(instance: Doubling, reset: bool) -> tuple[Side, Side]:
    gap = 1 + max(instance.critic)
    before = 0 if reset else instance.updates * gap
    lost = [gap * (1 - _earned((1, 0), [t * gap, before])) for t in range(instance.updates)]
    least = Fraction(gap * 2**gap, 1 + 2**gap)
    return instance.updates * least, sum(lost, Fraction(0))


def stalled_sides(instance: Doubling) -> tuple[Side, Side]:
    """Return nearly the gap times the episodes of the old critic, and what is lost in as many."""
    return _stalled(instance, reset=False)


STALLED = Theorem(
    id="actor-critic/stale-logits-stall",
    title="Without a reset, the episodes of a wrong critic are lost once more",
    source="Derived here",
    statement=(
        r"\sum_{j=0}^{n-1}\bigl(\max_a f(a) - \langle f, \pi_j\rangle\bigr) \ge n\,\Delta\,\frac{"
        r"e^{\eta\Delta}}{1 + e^{\eta\Delta}},\qquad \pi_0 \propto e^{n\eta f'},\ \pi_{j} \propto "
        r"\pi_0\,e^{j\eta f}"
    ),
    hypotheses=(
        r"two actions; the old critic $f'$ prefers one by $\Delta$ and was followed for $n$ "
        r"episodes, the new one $f$ prefers the other by $\Delta$; $\eta\Delta$ in units of "
        r"$\log 2$",
    ),
    kind="inequality",
    sample=sample_doubling,
    sides=stalled_sides,
    cost=2.0,
    control=Control(
        name="reset to uniform",
        explanation="The logits are reset when the critic changes.",
        sides=lambda instance: _stalled(instance, reset=True),
    ),
    sharpness=0.999,
    notes=(
        "The larger the step, the nearer to all of it; after a reset the loss is bounded in $n$, "
        "by actor-critic/epoch-of-a-fixed-critic. Attained after one episode."
    ),
)


THEOREMS = (FIXED_GAP, EPOCH, ANY_VISITS, MONOTONE, STALLED)
