r"""CAPO: what its second-order models of a step are, and what improvement is guaranteed.

Derivatives come from rational power series, divergences are in balls, all else is exact.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import flint
import numpy as np

from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.analysis.zoo.capo import Tokens, second_order
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.theory import balls, exact, instances
from rltheory.theory import estimator_instances as small
from rltheory.theory.balls import precise
from rltheory.theory.exact import fractions, join
from rltheory.theory.records.trust_region import Step, surrogate
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_SETTING = "Melo, Abate and Gal (2025), arXiv 2510.00819"


class Update(NamedTuple):
    """Tokens of a batch with their last layer, and a step (V, d) of it."""

    tokens: Tokens
    step: FractionArray


def sample_update(tape: Tape, size: int) -> Update:
    """Draw two contexts, a batch of tokens, advantages, features and a step."""
    count, width = tape.integer(1, 4), tape.integer(1, 2)
    tokens = Tokens(
        policy=np.stack([small.positive(tape, size) for _ in range(2)]),
        features=to_fractions(tape.dyadic((2, width), -1.0, 1.0, bits=2)),
        contexts=np.array([tape.integer(0, 1) for _ in range(count)]),
        actions=np.array([tape.integer(0, size - 1) for _ in range(count)]),
        advantages=small.payments(tape, count),
        weights=small.positive(tape, count),
    )
    return Update(tokens, to_fractions(tape.dyadic((size, width), -1.0, 1.0, bits=2)))


def _rational(number: Any) -> Fraction:
    return Fraction(int(number.p), int(number.q))


def _series(update: Update) -> tuple[Any, Any]:
    """Return the surrogate's gain and the divergence along t times the step, to order t^2."""
    tokens, step = update
    gain = shift = flint.fmpq_series([0], prec=3)
    for share, context, action, advantage in zip(
        tokens.shares, tokens.contexts, tokens.actions, tokens.advantages, strict=True
    ):
        row = tokens.policy[context]
        changes = step @ tokens.features[context]
        grown = [flint.fmpq_series([0, _flint(c)], prec=3).exp() for c in changes]
        total = sum((_flint(p) * g for p, g in zip(row, grown, strict=True)), 0 * grown[0])
        gain += _flint(share * advantage) * (grown[action] / total - 1)
        # KL(old || new) = sum_v pi_v log(pi_v / new_v) = log total - E changes.
        shift += _flint(share) * (
            total.log() - flint.fmpq_series([0, _flint(row @ changes)], prec=3)
        )
    return gain, shift


def _flint(number: Any) -> Any:
    value = Fraction(number)
    return flint.fmpq(value.numerator, value.denominator)


def _curved(update: Update, curvature: Callable[[Update], Fraction]) -> tuple[Side, Side]:
    tokens, step = update
    gain, _ = _series(update)
    slope = Fraction((tokens.gradient() * step).sum())
    return join(_rational(gain[1]), _rational(gain[2])), join(slope, curvature(update))


def _model_curvature(update: Update) -> Fraction:
    tokens, step = update
    return Fraction(second_order(tokens, step).gain - (tokens.gradient() * step).sum())


def _log_curvature(update: Update) -> Fraction:
    """Return half the second derivative of E A log pi instead, E A (-Var) / 2."""
    tokens, step = update
    x = (tokens.scores() * step).sum(axis=(1, 2))
    return _model_curvature(update) - Fraction(tokens.shares @ (tokens.advantages * x * x) / 2)


def curvature_sides(update: Update) -> tuple[Side, Side]:
    """Return the surrogate's first two coefficients along a step, and the model's."""
    return _curved(update, _model_curvature)


CURVATURE = Theorem(
    id="capo/curvature-model",
    title="CAPO's model of the gain is the surrogate of importance ratios to second order",
    source=f"{_SETTING}, section 4",
    statement=(
        r"\mathbb{E}\,A\,\frac{\pi_{W + tD}(a)}{\pi_W(a)} = \mathbb{E}A + t\,\mathbb{E}A\,x + "
        r"\frac{t^2}{2}\,\mathbb{E}A\bigl(x^2 - \operatorname{Var}_{\pi}(Dh)\bigr) + O(t^3),"
        r"\qquad x = (e_a - \pi)\cdot Dh"
    ),
    hypotheses=(
        r"logits $W h$; tokens $(h, a)$ of a batch with advantages $A$, any step $D$",
        "left by rational power series of the softmax",
    ),
    kind="identity",
    sample=sample_update,
    sides=curvature_sides,
    control=Control(
        name="curvature of the log-likelihood",
        explanation=r"The term $x^2$ is left out, as in the Hessian of $\mathbb{E} A \log\pi$.",
        sides=lambda update: _curved(update, _log_curvature),
    ),
    sizes=(2, 3, 4),
    notes="Both have one gradient on policy, but not one curvature.",
)


def sample_all_tokens(tape: Tape, size: int) -> Update:
    """Draw the same with every token of a context in the batch, weighted by its probability."""
    width = tape.integer(1, 2)
    row = small.positive(tape, size)
    tokens = Tokens(
        policy=row[None],
        features=to_fractions(tape.dyadic((1, width), -1.0, 1.0, bits=2)),
        contexts=np.zeros(size, dtype=np.int64),
        actions=np.arange(size),
        advantages=small.payments(tape, size),
        weights=row,
    )
    return Update(tokens, to_fractions(tape.dyadic((size, width), -1.0, 1.0, bits=2)))


def divergence_sides(update: Update) -> tuple[Side, Side]:
    """Return the divergence's coefficients of t and t^2 plus 1, and the model's plus 1."""
    _, shift = _series(update)
    model = Fraction(second_order(*update).shift)
    return join(1 + _rational(shift[1]), 1 + _rational(shift[2])), join(Fraction(1), 1 + model)


DIVERGENCE = Theorem(
    id="capo/fisher-model",
    title="CAPO's model of the shift is the divergence to second order, averaged over tokens",
    source=f"{_SETTING}, section 4",
    statement=(
        r"\mathrm{KL}(\pi_W \,\|\, \pi_{W + tD}) = \frac{t^2}{2}\,\mathbb{E}_{a\sim\pi_W} x^2 + "
        r"O(t^3),\qquad x = (e_a - \pi)\cdot Dh"
    ),
    hypotheses=("logits $W h$, one context, any step; tokens weighted by their probabilities",),
    kind="identity",
    sample=sample_all_tokens,
    sides=divergence_sides,
    control=Control(
        name="sampled tokens",
        explanation="The model averages over tokens with other weights, as a small batch has.",
        sample=sample_update,
    ),
    sizes=(2, 3, 4),
    notes=(
        "Both sides are compared plus 1. Second order only: see capo/guaranteed-improvement, "
        "whose control puts the model in the place of the divergence."
    ),
)


def lopsided_fork(discount: float, lure: float, taken: float, odds: int) -> Step:
    """Return two roads of which the old policy hardly knows one, with positive policies.

    The new policy takes that road with probability `taken`, and a loss of 1 at every step there;
    a rare action at the old road's end is worth `lure` a step.
    """
    tiny, rare = 2.0**-odds, 2.0**-10
    transitions = np.zeros((3, 2, 3))
    transitions[0, 0, 1] = transitions[0, 1, 2] = transitions[1, :, 1] = transitions[2, :, 2] = 1.0
    rewards = np.array([[0.0, 0.0], [0.0, lure / rare], [0.0, -1.0]])
    model = DiscountedMDP(transitions, rewards, discount, np.array([1.0, 0.0, 0.0]))
    old = fractions(np.array([[1 - tiny, tiny]] * 3))
    new = fractions(np.array([[1 - taken, taken], [1 - rare, rare], [tiny, 1 - tiny]]))
    return Step(model, old, new, Fraction(1))


def sample_move(tape: Tape, size: int) -> Step:
    """Draw the fork half of the time, else a random model and two positive policies."""
    if tape.integer(0, 1):
        taken = tape.integer(1, 15) / 16
        return lopsided_fork(
            instances.discount(tape, low=1), float(tape.integer(0, 1)), taken, tape.integer(12, 30)
        )
    model = instances.mdp(tape, size, 2, instances.discount(tape, low=1))
    old, other = (np.stack([small.positive(tape, 2) for _ in range(size)]) for _ in range(2))
    weight = Fraction(tape.integer(1, 16), 16)
    return Step(model, old, (1 - weight) * old + weight * other, weight)


def _divergences(step: Step) -> Any:
    """Return the mean over old visits of KL(old || new), a ball."""
    total = balls.ball(0)
    visited = exact.visits(step.mdp, step.old)
    for mass, old, new in zip(visited, step.old, step.new, strict=True):
        for p, q in zip(old, new, strict=True):
            total += balls.ball(mass * p) * balls.ball(p / q).log()
    return total


def _models(step: Step) -> Any:
    """Return the mean over old visits of m_F, half the variance of the change of logits."""
    total = balls.ball(0)
    visited = exact.visits(step.mdp, step.old)
    for mass, old, new in zip(visited, step.old, step.new, strict=True):
        logs = [balls.ball(q / p).log() for p, q in zip(old, new, strict=True)]
        mean = sum((balls.ball(p) * x for p, x in zip(old, logs, strict=True)), balls.ball(0))
        for p, x in zip(old, logs, strict=True):
            total += balls.ball(mass * p / 2) * (x - mean) ** 2
    return total


def _guaranteed(step: Step, moved: Any) -> tuple[Side, Side]:
    discount, initial = Fraction(step.mdp.discount), fractions(step.mdp.initial)
    expected = surrogate(step)
    promised = exact.visits(step.mdp, step.old) @ expected / (1 - discount)
    values = exact.policy_values(step.mdp, step.new) - exact.policy_values(step.mdp, step.old)
    factor = discount * abs(expected).max() / (1 - discount) ** 2
    return promised - initial @ values, balls.to_bounds((2 * moved).sqrt() * balls.ball(factor))


@precise
def guaranteed_sides(step: Step) -> tuple[Side, Side]:
    """Return what the gain falls short of the surrogate's, and its bound by the divergence."""
    return _guaranteed(step, _divergences(step))


@precise
def _by_model(step: Step) -> tuple[Side, Side]:
    return _guaranteed(step, _models(step))


def _moves(step: Step) -> bool:
    return bool(np.any(step.old != step.new))


GUARANTEE = Theorem(
    id="capo/guaranteed-improvement",
    title="A step improves by the surrogate's gain less the root of its divergence",
    source=(
        f"{_SETTING}, Theorem 5.1, with twice the constant; Achiam, Held, Tamar and Abbeel (2017), "
        "Corollary 2"
    ),
    statement=(
        r"J(\pi') - J(\pi) \;\ge\; \omega - \frac{\sqrt 2\,\gamma\,\varepsilon}{(1-\gamma)^2}\,"
        r"\sqrt{\mathbb{E}_{s \sim d^\pi}\mathrm{KL}(\pi \| \pi')},\qquad \omega = "
        r"\frac{1}{1-\gamma}\mathbb{E}_{s \sim d^\pi}\bar A(s)"
    ),
    hypotheses=(
        r"$\bar A(s) = \sum_a \pi'(a|s) A^\pi(s, a)$, $\varepsilon = \max_s |\bar A(s)|$",
        r"$\pi, \pi' > 0$, not equal; $\omega$ and the divergence are those of the whole step",
    ),
    kind="inequality",
    sample=sample_move,
    sides=guaranteed_sides,
    admissible=_moves,
    control=Control(
        name="the quadratic model",
        explanation=(
            r"The divergence is replaced by $m_F = \frac12 \mathbb{E}\operatorname{Var}_\pi \log"
            r"(\pi'/\pi)$, which is what the method bounds."
        ),
        sides=_by_model,
    ),
    notes=(
        "Half of the published constant suffices; the worst instances come to 0.87 of the bound. "
        "The model sees next to nothing of a rare action that becomes usual, so a step may pass "
        "it and lose, with the published constant too: thresholds on it guarantee nothing "
        r"without a bound on the change of logits. For bandits $\gamma = 0$, and the bound is "
        r"$J(\pi') - J(\pi) = \omega$."
    ),
    sharpness=0.86,
)


THEOREMS = (CURVATURE, DIVERGENCE, GUARANTEE)
