r"""Clips of the ratio: what PPO and GSPO switch off, and what a geometric ratio averages.

Token trees at rational points; derivatives of surrogates by dual numbers or by power series in
balls, so that gates are compared with a differentiation that knows no gate.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import flint
import numpy as np

from rltheory.analysis.estimators.gates import clip
from rltheory.analysis.rational import FractionArray
from rltheory.theory import balls, dual
from rltheory.theory import estimator_instances as small
from rltheory.theory.balls import precise
from rltheory.theory.dual import Dual
from rltheory.theory.estimator_instances import Policy
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Stale(NamedTuple):
    """A policy, the rows (R, V) that its responses were drawn with, and a direction (k,).

    The rewards of the policy stand for advantages. low, high: how far a ratio may go unclipped.
    """

    policy: Policy
    behaviour: FractionArray
    direction: FractionArray
    low: Fraction
    high: Fraction

    def ratios(self) -> list[FractionArray]:
        """Return the ratios of the tokens of each response, n arrays."""
        policy, behaviour, _, _, _ = self
        return [
            np.array([policy.rows[c] / behaviour[c] for c in path], dtype=object)
            for path in policy.paths
        ]

    def slopes(self) -> list[FractionArray]:
        """Return the scores of the tokens along the direction, n arrays."""
        policy = self.policy
        moves = policy.features @ self.direction
        moves = moves - (policy.rows * moves).sum(axis=1, keepdims=True)
        return [np.array([moves[c] for c in path], dtype=object) for path in policy.paths]


def sample_stale(tape: Tape, size: int) -> Stale:
    """Draw a token tree, rows near or far that draw its responses, and a band of the ratio."""
    policy = small.token_tree(tape, size, shared=bool(tape.integer(0, 1)))
    other = np.stack([small.positive(tape, 2) for _ in policy.rows])
    share = Fraction(1, 2 ** tape.integer(0, 4))
    behaviour = (1 - share) * policy.rows + share * other
    low, high = (Fraction(1, 2 ** tape.integer(1, 4)) for _ in range(2))
    return Stale(policy, behaviour, small.direction(tape, policy), low, high)


def _clipped_slope(stale: Stale) -> Fraction:
    """Return the derivative of E (1 / L) sum_t min(w A, clip(w) A), branch by branch."""
    policy = stale.policy
    drawn = policy.chances(stale.behaviour)
    total = Fraction(0)
    for chance, advantage, ratios, slopes in zip(
        drawn, policy.rewards, stale.ratios(), stale.slopes(), strict=True
    ):
        moving = dual.duals(ratios, ratios * slopes)
        for w in moving:
            held = Dual(min(max(w.value, 1 - stale.low), 1 + stale.high))
            free = w.value * advantage <= held.value * advantage
            chosen = w if free else held
            total += chance * advantage * chosen.slope / len(ratios)
    return total


Weigh = Callable[[FractionArray, bool], FractionArray]


def _ppo(stale: Stale, weigh: Weigh) -> tuple[Side, Side]:
    policy = stale.policy
    drawn = policy.chances(stale.behaviour)
    terms = [
        chance * advantage * (weigh(ratios, advantage >= 0) @ slopes) / len(ratios)
        for chance, advantage, ratios, slopes in zip(
            drawn, policy.rewards, stale.ratios(), stale.slopes(), strict=True
        )
    ]
    return _clipped_slope(stale), sum(terms, Fraction(0))


def ppo_sides(stale: Stale) -> tuple[Side, Side]:
    """Return the slope of PPO's surrogate and the sum of scores that its gate lets through."""
    return _ppo(stale, clip(stale.low, stale.high).coefficient)


def _shut_on_both_sides(stale: Stale) -> tuple[Side, Side]:
    def weigh(ratios: FractionArray, positive: bool) -> FractionArray:
        inside = (ratios >= 1 - stale.low) & (ratios <= 1 + stale.high)
        return np.where(inside, ratios, 0 * ratios)

    return _ppo(stale, weigh)


PPO_GRADIENT = Theorem(
    id="ppo-clip/one-sided",
    title="PPO's clip switches tokens off on one side only, by the sign of the advantage",
    source="Schulman et al. (2017), equation 7",
    statement=(
        r"\nabla\,\mathbb{E}\tfrac{1}{|y|}\sum_t \min\bigl(w_t A,\, \mathrm{clip}(w_t) A\bigr) = "
        r"\mathbb{E}\tfrac{A}{|y|}\sum_t w_t\,\mathbf 1_t\nabla\log\pi(y_t),\qquad \mathbf 1_t = "
        r"\mathbf 1\{A \ge 0, w_t \le 1 + h\} + \mathbf 1\{A < 0, w_t \ge 1 - l\}"
    ),
    hypotheses=(
        r"$w_t$ the ratio of token $t$ under $\pi$ to that under the policy that drew $y$; "
        r"$\mathrm{clip}$ to $[1-l, 1+h]$",
        "token trees, along a random direction; at a kink the side towards 1",
    ),
    kind="identity",
    sample=sample_stale,
    sides=ppo_sides,
    control=Control(
        name="off outside the band",
        explanation="Tokens outside the band are silent on both sides, whatever the sign.",
        sides=_shut_on_both_sides,
    ),
    sizes=(1, 2, 3),
    notes=(
        "So a token that has become too likely still rises while its advantage is negative: the "
        "clip lets every step pass that leads back to the band, and none that leads on."
    ),
)


def _power_within(stale: Stale, ratio: Fraction, length: int, positive: bool) -> bool:
    """Whether the geometric mean of `length` ratios is on the open side, decided exactly."""
    if positive:
        return bool(ratio <= (1 + stale.high) ** length)
    return bool(ratio >= (1 - stale.low) ** length)


def _geometric(stale: Stale, divided: bool) -> tuple[Side, Side]:
    policy = stale.policy
    left, right = balls.ball(0), balls.ball(0)
    for chance, advantage, ratios, slopes in zip(
        policy.chances(stale.behaviour),
        policy.rewards,
        stale.ratios(),
        stale.slopes(),
        strict=True,
    ):
        length, weight = len(ratios), balls.ball(chance * advantage)
        if not _power_within(stale, Fraction(np.prod(ratios)), length, advantage >= 0):
            continue
        moving = [
            flint.arb_series([balls.ball(w), balls.ball(w * g)], prec=2)
            for w, g in zip(ratios, slopes, strict=True)
        ]
        mean = sum((x.log() for x in moving[1:]), moving[0].log()) / length
        left += weight * mean.exp()[1]
        root = balls.ball(np.prod(ratios)).root(length)
        share = Fraction(1, length if divided else 1)
        right += weight * root * balls.ball(share * slopes.sum())
    return balls.to_bounds(left), balls.to_bounds(right)


@precise
def gspo_sides(stale: Stale) -> tuple[Side, Side]:
    """Return the slope of GSPO's surrogate by power series and its sum of scores."""
    return _geometric(stale, divided=True)


@precise
def _undivided(stale: Stale) -> tuple[Side, Side]:
    return _geometric(stale, divided=False)


GSPO_GRADIENT = Theorem(
    id="gspo/gradient",
    title="GSPO weighs all tokens of a response alike, and a response by one over its length",
    source="Zheng et al. (2025), GSPO, equations 7 and 10",
    statement=(
        r"\nabla\,\mathbb{E}\min\bigl(s A, \mathrm{clip}(s) A\bigr) = \mathbb{E}\,s\,\mathbf 1\,"
        r"\frac{A}{|y|}\sum_t \nabla\log\pi(y_t),\qquad s = \Bigl(\prod_t w_t\Bigr)^{1/|y|}"
    ),
    hypotheses=(
        r"$\mathbf 1$ where $A \ge 0$ and $s \le 1 + h$, or $A < 0$ and $s \ge 1 - l$, decided "
        "exactly by powers",
        "token trees with responses of several lengths, along a random direction",
    ),
    kind="identity",
    sample=sample_stale,
    sides=gspo_sides,
    control=Control(
        name="without the length",
        explanation=r"The factor $1 / |y|$ is dropped, as if $s$ were the ratio of the response.",
        sides=_undivided,
    ),
    sizes=(2, 3, 4),
    notes=(
        "On policy this is GRPO's gradient, with its division by lengths and what that does, see "
        "hapo/response-mean-turns-back."
    ),
)


class Drift(NamedTuple):
    """Responses of one or of several lengths: their chances now, when drawn, and their lengths."""

    now: FractionArray
    drawn: FractionArray
    lengths: list[int]


def _drift(tape: Tape, count: int, lengths: list[int]) -> Drift:
    drawn, other = small.positive(tape, count), small.positive(tape, count)
    share = Fraction(1, 2 ** tape.integer(0, 8))
    return Drift((1 - share) * drawn + share * other, drawn, lengths)


def sample_drift(tape: Tape, size: int) -> Drift:
    """Draw two distributions over responses that are all equally long."""
    return _drift(tape, size, [tape.integer(1, 6)] * size)


def sample_uneven_drift(tape: Tape, size: int) -> Drift:
    """Draw the same with responses of 1 to 6 tokens."""
    return _drift(tape, size, [tape.integer(1, 6) for _ in range(size)])


@precise
def mean_ratio_sides(drift: Drift) -> tuple[Side, Side]:
    """Return the chain exp(-E log(1 / s)), E s, 1."""
    total, logs = balls.ball(0), balls.ball(0)
    for now, drawn, length in zip(*drift, strict=True):
        total += balls.ball(drawn) * balls.ball(now / drawn).root(length)
        logs += balls.ball(drawn) * balls.ball(now / drawn).log() / length
    chain = np.array([logs.exp(), total, balls.ball(1)], dtype=object)
    return balls.to_bounds(chain[:2]), balls.to_bounds(chain[1:])


def _some_move(drift: Any) -> bool:
    # Equal policies meet both bounds with enclosures that overlap.
    return bool(np.any(drift.now != drift.drawn)) and drift.lengths[0] > 1


MEAN_RATIO = Theorem(
    id="gspo/ratio-averages-below-one",
    title="For responses of one length GSPO's ratio averages at most 1, and at least by how much",
    source="Derived here, for the ratio of Zheng et al. (2025), GSPO, equation 7",
    statement=(
        r"\exp\bigl(-\tfrac{1}{L}\mathrm{KL}(\mu\|\pi)\bigr) \le \mathbb{E}_{y\sim\mu}\,s(y) "
        r"\le 1,\qquad s = \bigl(\pi(y)/\mu(y)\bigr)^{1/L}"
    ),
    hypotheses=(
        r"all responses have $L > 1$ tokens; $\mu \ne \pi$, the policy that draws and the new one",
    ),
    kind="inequality",
    sample=sample_drift,
    sides=mean_ratio_sides,
    admissible=_some_move,
    control=Control(
        name="lengths vary",
        explanation="Responses have different lengths; then $s$ may average up to 2.",
        sample=sample_uneven_drift,
    ),
    notes=(
        "Ratios of whole responses average exactly 1, which is what importance sampling needs. "
        r"Attained as $\pi \to \mu$. With lengths that vary, mass that moves to short responses "
        "counts in full and mass that leaves long ones hardly at all."
    ),
    sharpness=0.999,
)


THEOREMS = (PPO_GRADIENT, GSPO_GRADIENT, MEAN_RATIO)
