"""Excess losses of critics: exactly, on average, and how much they vary.

A critic's loss is squared, against targets from its own next step; its excess is over the best of
the class on the same targets. Everything is a Fraction.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, solve
from rltheory.tabular.mdp import EpisodicMDP
from rltheory.theory import actor_critic_instances as actors
from rltheory.theory import exact
from rltheory.theory.exact import fractions
from rltheory.theory.records.linear_designs import determinant
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_SETS = "GOLF's confidence set: Jin, Liu and Miryoosefi (2021)"


class Data(NamedTuple):
    """Transitions of one step: pairs (n,) of `pairs`, rewards (n,), next states (n,); critics.

    now: (pairs,), the critic of this step; following: (S,), the best value of the next.
    """

    pairs: list[int]
    rewards: FractionArray
    states: list[int]
    now: FractionArray
    following: FractionArray


def sample_data(tape: Tape, size: int) -> Data:
    """Draw any data, a critic and values of next states."""
    count = tape.integer(1, 3 * size)
    return Data(
        [tape.integer(0, size - 1) for _ in range(count)],
        fractions(tape.dyadic(count, bits=4)),
        [tape.integer(0, size - 1) for _ in range(count)],
        fractions(tape.dyadic(size, 0.0, 2.0, bits=4)),
        fractions(tape.dyadic(size, 0.0, 1.0, bits=4)),
    )


def _table(data: Data, *, counted: bool) -> tuple[Side, Side]:
    targets = data.rewards + data.following[data.states]
    least = Fraction(0)
    residual = Fraction(0)
    for pair in set(data.pairs):
        seen = np.array(data.pairs) == pair
        # The excess through losses; the residual through the empirical model.
        guesses = [Fraction(sum(targets[seen]), int(seen.sum()))] if seen.any() else []
        least += min(((g - targets[seen]) ** 2).sum() for g in guesses)
        kernel = np.bincount(np.array(data.states)[seen], minlength=len(data.following))
        backed = sum(data.rewards[seen], Fraction(0)) + fractions(kernel) @ data.following
        weight = int(seen.sum()) if counted else 1
        residual += weight * (data.now[pair] - backed / int(seen.sum())) ** 2
    loss = ((data.now[data.pairs] - targets) ** 2).sum()
    return loss - least, residual


def table_sides(data: Data) -> tuple[Side, Side]:
    """Return the excess loss, and the residuals against the empirical model times the counts."""
    return _table(data, counted=True)


TABLE = Theorem(
    id="actor-critic/excess-loss-of-a-table",
    title="For tables the excess loss is the squared Bellman residual in the empirical model",
    source=f"Derived here; {_SETS}",
    statement=(
        r"L(f_h, f_{h+1}) - \min_g L(g, f_{h+1}) = \sum_{s,a} N_h(s,a)\bigl(f_h - \hat T_h f_{h+1}"
        r"\bigr)^2(s,a)"
    ),
    hypotheses=(
        r"$L(g, f) = \sum_i (g(s_i,a_i) - r_i - \max_a f(s'_i,a))^2$; $g$ any table",
        r"$\hat T$ has the mean rewards and the frequencies of next states of the same data",
    ),
    kind="identity",
    sample=sample_data,
    sides=table_sides,
    control=Control(
        name="every pair once",
        explanation="The residuals are not multiplied by the counts.",
        sides=lambda data: _table(data, counted=False),
    ),
    sizes=(2, 3),
    notes=(
        "Whether a critic is in the set can be decided exactly, without a minimisation: it is the "
        "ellipsoid of actor-critic/excess-loss-of-a-linear-class with a diagonal matrix."
    ),
)


class Regression(NamedTuple):
    """Features (n, d), targets (n,), weights (d,) of a critic."""

    features: FractionArray
    targets: FractionArray
    weights: FractionArray


def sample_regression(tape: Tape, size: int) -> Regression:
    """Draw features in [-1, 1], targets in [0, 2] and a critic."""
    count = size + tape.integer(0, 3)
    return Regression(
        fractions(tape.dyadic((count, size), -1.0, 1.0, bits=4)),
        fractions(tape.dyadic(count, 0.0, 2.0, bits=4)),
        fractions(tape.dyadic(size, -2.0, 2.0, bits=4)),
    )


def spanning(regression: Regression) -> bool:
    """Whether the least squares solution is unique."""
    return determinant(regression.features.T @ regression.features) != 0


def _linear(regression: Regression, ridge: int) -> tuple[Side, Side]:
    x, y, weights = regression
    best = solve(x.T @ x, x.T @ y)
    excess = ((x @ weights - y) ** 2).sum() - ((x @ best - y) ** 2).sum()
    gram = x.T @ x + ridge * exact.identity(x.shape[1])
    return Fraction(excess), Fraction((weights - best) @ gram @ (weights - best))


def linear_sides(regression: Regression) -> tuple[Side, Side]:
    """Return the excess loss, and the squared distance in the norm of the data's Gram matrix."""
    return _linear(regression, 0)


LINEAR = Theorem(
    id="actor-critic/excess-loss-of-a-linear-class",
    title="For linear critics the confidence set is an ellipsoid around the least squares backup",
    source=f"Pythagoras; {_SETS}",
    statement=(
        r"L(\theta, f_{h+1}) - \min_g L(g, f_{h+1}) = \bigl\|\theta - \hat\theta(f_{h+1})\bigr\|^2_"
        r"{\Phi^\top\Phi}"
    ),
    hypotheses=(
        r"$\Phi^\top\Phi$ invertible, $\hat\theta(f) = (\Phi^\top\Phi)^{-1}\Phi^\top(r + \max_a "
        "f)$",
        "without a ridge, and without clipping",
    ),
    kind="identity",
    sample=sample_regression,
    sides=linear_sides,
    admissible=spanning,
    control=Control(
        name="norm with a ridge",
        explanation=r"The norm is that of $\Phi^\top\Phi + I$, around the solution without it.",
        sides=lambda regression: _linear(regression, 1),
    ),
    sizes=(1, 2, 3),
)


class Guess(NamedTuple):
    """An MDP, the critic (H, S, A) whose backup is aimed at, and the guess (H, S, A) judged."""

    mdp: EpisodicMDP
    critic: FractionArray
    guess: FractionArray


def sample_guess(tape: Tape, size: int) -> Guess:
    """Draw an MDP, a critic and a guess."""
    play = actors.play(tape, size)
    return Guess(play.mdp, play.critic, play.critic + play.policy - play.reference)


def _mean(guess: Guess, *, centred: bool) -> tuple[Side, Side]:
    model = actors.exact(guess.mdp)
    backed = actors.backup(model, guess.critic)
    means = model.rewards * 0
    for h, kernel in enumerate(model.kernels):
        following = guess.critic[h + 1].max(axis=1) if h + 1 < len(means) else kernel[0, 0] * 0
        targets = model.rewards[h][..., None] + following
        losses = (guess.guess[h][..., None] - targets) ** 2
        if centred:
            losses = losses - (backed[h][..., None] - targets) ** 2
        means[h] = (kernel * losses).sum(axis=-1)
    return means, (guess.guess - backed) ** 2


def mean_sides(guess: Guess) -> tuple[Side, Side]:
    """Return the mean excess loss of a guess in every pair, and its squared Bellman error."""
    return _mean(guess, centred=True)


MEAN = Theorem(
    id="actor-critic/excess-loss-is-unbiased",
    title="Against the backup's own loss, a guess is charged its squared Bellman error on average",
    source=f"{_SETS}; Antos, Szepesvari and Munos (2008) on why the difference is taken",
    statement=(
        r"\mathbb{E}\bigl[(g(s,a) - y)^2 - (T_hf_{h+1}(s,a) - y)^2\bigr] = \bigl(g - T_hf_{h+1}"
        r"\bigr)^2(s,a),\qquad y = r + \max_{a'}f_{h+1}(s',a')"
    ),
    hypotheses=(r"any critic $f$, any guess $g$, in every pair $(s,a)$",),
    kind="identity",
    sample=sample_guess,
    sides=mean_sides,
    control=Control(
        name="the loss itself",
        explanation="The loss of the backup is not subtracted: one draw of the next state is not "
        "enough for the Bellman error.",
        sides=lambda guess: _mean(guess, centred=False),
    ),
    sizes=(2, 3),
    notes=(
        "The backup has to be in the class, or something near it: that is completeness. See "
        "actor-critic/incomplete-class-keeps-the-wrong-critic for what happens without."
    ),
)


class Target(NamedTuple):
    """Probabilities (n,) of targets (n,), and a guess of their mean."""

    probabilities: FractionArray
    targets: FractionArray
    guess: Fraction


def sample_target(tape: Tape, size: int) -> Target:
    """Draw a distribution of targets; half of the time two of them, evenly."""
    targets = fractions(tape.dyadic(size, 0.0, 4.0, bits=4))
    probabilities = fractions(tape.simplex(size))
    if tape.integer(0, 1):
        probabilities = probabilities * 0
        probabilities[:2] = Fraction(1, 2)
    return Target(probabilities, targets, fractions(tape.dyadic((), 0.0, 4.0, bits=4)).item())


def _variance(target: Target, share: Fraction) -> tuple[Side, Side]:
    p, y, guess = target
    mean = p @ y
    excess = (guess - y) ** 2 - (mean - y) ** 2
    played = y[p != 0]
    width = played.max() - played.min()
    variance = p @ excess**2 - (p @ excess) ** 2
    return Fraction(variance), Fraction(share * width**2 * (guess - mean) ** 2)


def variance_sides(target: Target) -> tuple[Side, Side]:
    """Return the variance of the excess loss, and width^2 times the squared error."""
    return _variance(target, Fraction(1))


VARIANCE = Theorem(
    id="actor-critic/excess-loss-variance",
    title="The excess loss of a guess has a variance that vanishes with its error",
    source="Derived here; the reason why squared losses are learnt at the fast rate",
    statement=(
        r"\mathrm{Var}\bigl[(g - y)^2 - (\bar y - y)^2\bigr] = 4\,(g - \bar y)^2\,\mathrm{Var}(y) "
        r"\le \Delta^2\,(g - \bar y)^2,\qquad \bar y = \mathbb{E}\,y"
    ),
    hypotheses=(r"$\Delta$ the width of the targets $y$ that occur; any guess $g$",),
    kind="inequality",
    sample=sample_target,
    sides=variance_sides,
    control=Control(
        name="half of it",
        explanation=r"$\Delta^2 / 2$ in place of $\Delta^2$.",
        sides=lambda target: _variance(target, Fraction(1, 2)),
    ),
    sizes=(2, 3),
    sharpness=0.999,
    notes="Attained by two equally likely targets, the case of equality in Popoviciu's inequality.",
)


THEOREMS = (TABLE, LINEAR, MEAN, VARIANCE)
