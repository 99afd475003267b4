"""Iterative Nash policy optimisation: a regression whose minimiser is a mirror step of self-play.

With win rates W, a reference and weights 0 < tau <= eta the next policy is
pi' ~ exp(W pi / eta) ref^(tau / eta) pi^(1 - tau / eta); its fixed point pi ~ ref exp(W pi / tau)
is the equilibrium with KL penalties. Source: Zhang et al. (2024), arXiv 2407.00617.
"""

from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import (
    FloatArray,
    as_float_array,
    check_finite,
    check_positive_integer,
    check_range,
)
from rltheory.analysis.bounds import Bounds, down, rounding_error, up
from rltheory.analysis.simplex import KL, log_softmax
from rltheory.games.normal_form.preference import Preferences, as_preferences


@dataclass(frozen=True, eq=False)
class RegularisedNash:
    """A policy (K,) of full support near the regularised equilibrium.

    gap: certified bounds of the regularised duality gap: twice what the best deviation gains by its
        win rate less weight KL to the reference; for preferences and policy as stored.
    converged: whether the upper bound of the gap reached the tolerance.
    """

    policy: FloatArray
    gap: Bounds
    weight: float
    iterations: int
    converged: bool

    @property
    def distance(self) -> float:
        """An upper bound of KL(policy || equilibrium), which is gap / (2 weight) at most."""
        return float(up(self.gap.upper / (2 * self.weight)))


def mirror_step(
    preferences: Preferences | ArrayLike,
    policy: ArrayLike,
    reference: ArrayLike,
    *,
    weight: float,
    inverse_step: float,
) -> FloatArray:
    """Return the next policy (K,) of online mirror descent.

    weight: tau of the pull to the reference; inverse_step: eta >= tau, larger for shorter steps.
    policy and reference must have full support. Raises ValueError naming what does not fit.
    """
    game = as_preferences(preferences)
    current = _positive(game, policy, "policy")
    anchor = _positive(game, reference, "reference")
    _check_weights(weight, inverse_step)
    return np.exp(_stepped(game, np.log(current), np.log(anchor), weight, inverse_step))


def loss_minimiser(
    preferences: Preferences | ArrayLike,
    policy: ArrayLike,
    reference: ArrayLike,
    *,
    weight: float,
    inverse_step: float,
    pairs: ArrayLike | None = None,
) -> FloatArray:
    """Return the policy (K,) that minimises INPO's expected loss over all policies.

    The loss is E (h(y_w, y_l) - 1 / (2 eta))^2 with h the difference of log pi - (tau / eta) log
    ref - (1 - tau / eta) log policy, over pairs labelled by the preference. pairs: (K, K), the law
    of the two responses; by default both are drawn independently from the policy, and then the
    minimiser is `mirror_step`. Other laws give something else unless preferences are differences
    of scores. Raises ValueError if a response cannot be reached from another through pairs.
    """
    game = as_preferences(preferences)
    current = _positive(game, policy, "policy")
    anchor = _positive(game, reference, "reference")
    _check_weights(weight, inverse_step)
    law = np.outer(current, current) if pairs is None else _check_pairs(game, pairs)
    both = law + law.T
    np.fill_diagonal(both, 0.0)
    laplacian = np.diag(both.sum(axis=1)) - both
    right = (both * game.matrix).sum(axis=1) / (2 * inverse_step)
    if not _connected(both):
        raise ValueError("pairs leaves some responses uncompared; expected a connected comparison")
    # The differences are determined; the mean is set to zero.
    scores = np.linalg.solve(laplacian + 1.0 / len(laplacian), right)
    share = weight / inverse_step
    return np.exp(log_softmax(scores + share * np.log(anchor) + (1 - share) * np.log(current)))


def expected_loss(
    preferences: Preferences | ArrayLike,
    candidate: ArrayLike,
    policy: ArrayLike,
    reference: ArrayLike,
    *,
    weight: float,
    inverse_step: float,
    pairs: ArrayLike | None = None,
) -> float:
    """Return INPO's loss at a candidate policy; arguments as in `loss_minimiser`."""
    game = as_preferences(preferences)
    current = _positive(game, policy, "policy")
    anchor = _positive(game, reference, "reference")
    new = _positive(game, candidate, "candidate")
    _check_weights(weight, inverse_step)
    law = np.outer(current, current) if pairs is None else _check_pairs(game, pairs)
    share = weight / inverse_step
    scores = np.log(new) - share * np.log(anchor) - (1 - share) * np.log(current)
    apart = scores[:, None] - scores[None]
    target = 1 / (2 * inverse_step)
    rates = game.win_rates
    loss = rates * (apart - target) ** 2 + rates.T * (apart + target) ** 2
    return float((law * loss).sum())


def extreme_pairs(policy: ArrayLike, scores: ArrayLike, *, draws: int) -> FloatArray:
    """Return the law (K, K) of the (best, worst) of independent draws from a policy.

    scores: (K,), what best means; of equal scores the later response counts as better. With two
    draws the pair is the independent one in some order; with more it is not.
    """
    check_positive_integer(draws, "draws")
    weights = as_float_array(policy, "policy", (None,))
    order = np.argsort(as_float_array(scores, "scores", weights.shape), kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(weights[order])])
    size = len(weights)
    # inside[i, j]: the chance that all draws have ranks in i..j.
    spans = np.maximum(sums[None, 1:] - sums[:-1, None], 0.0)
    inside = np.where(np.arange(size)[:, None] <= np.arange(size)[None], spans, 0.0) ** draws
    padded = np.zeros((size + 1, size + 1))
    padded[:size, 1:] = inside
    ranks = padded[:-1, 1:] - padded[1:, 1:] - padded[:-1, :-1] + padded[1:, :-1]
    law = np.zeros((size, size))
    law[np.ix_(order, order)] = np.maximum(ranks, 0.0).T
    return law


def regularised_nash(
    preferences: Preferences | ArrayLike,
    reference: ArrayLike,
    *,
    weight: float,
    inverse_step: float | None = None,
    start: ArrayLike | None = None,
    tolerance: float = 1e-10,
    max_iterations: int = 100_000,
) -> RegularisedNash:
    """Iterate mirror steps to the equilibrium with KL penalties; return it with a certified gap.

    inverse_step: by default weight + largest^2 / (4 weight), with largest the magnitude of the
    preferences: every step then shrinks the divergence to the equilibrium by 1 - weight /
    inverse_step at least. Ends when the gap's upper bound is below the tolerance.
    Raises ValueError naming the argument that does not fit.
    """
    game = as_preferences(preferences)
    anchor = np.log(_positive(game, reference, "reference"))
    first = anchor if start is None else np.log(_positive(game, start, "start"))
    check_range(weight, "weight", 1e-6, 1e6)
    check_range(tolerance, "tolerance", 0.0, np.inf)
    check_positive_integer(max_iterations, "max_iterations")
    largest = float(np.abs(game.matrix).max())
    eta = weight + largest**2 / (4 * weight) if inverse_step is None else inverse_step
    _check_weights(weight, eta)
    logits = log_softmax(first)
    for iteration in count():
        gap = regularised_gap(game, np.exp(logits), np.exp(anchor), weight=weight)
        if gap.upper <= tolerance or iteration >= max_iterations:
            reached = bool(gap.upper <= tolerance)
            return RegularisedNash(np.exp(logits), gap, weight, iteration, reached)
        logits = _stepped(game, logits, anchor, weight, eta)
    raise AssertionError("unreachable")


def regularised_gap(
    preferences: Preferences | ArrayLike,
    policy: ArrayLike,
    reference: ArrayLike,
    *,
    weight: float,
) -> Bounds:
    """Return certified bounds of the regularised duality gap of a policy played by both sides.

    2 (max over p of W(p, policy) - tau KL(p, ref) - its value at the policy itself).
    """
    game = as_preferences(preferences)
    current = game.check_policy(policy)
    anchor = _positive(game, reference, "reference")
    check_range(weight, "weight", 1e-6, 1e6)
    gains = game.win_rates @ current
    best = float(KL.maximum(gains, anchor, weight))
    own = 0.5 - weight * float(KL.divergence(current, anchor))
    # Sums that are off from one scale gains and weights by as much; the maximum is 1-Lipschitz.
    drift = (
        abs(float(current.sum()) - 1)
        + abs(float(anchor.sum()) - 1)
        + rounding_error(2 * len(gains), 2.0)
    )
    played = current[current > 0]
    spread = 1 + float(np.abs(np.log(played)).max() + np.abs(np.log(anchor)).max())
    error = (
        float(KL.maximum_error(gains, anchor, weight))
        + weight * KL.divergence_error(current, anchor)
        + rounding_error(len(gains) + 4, 2.0)
        + 4 * drift * (1 + weight * spread)
        + rounding_error(4, 2 + 2 * weight * spread)
    )
    return Bounds(
        np.maximum(down(2 * (best - own - error)), 0.0),
        np.maximum(up(2 * (best - own + error)), 0.0),
    )


def _stepped(
    game: Preferences,
    logits: FloatArray,
    anchor: FloatArray,
    weight: float,
    inverse_step: float,
) -> FloatArray:
    gains = game.win_rates @ np.exp(logits)
    share = weight / inverse_step
    return log_softmax(gains / inverse_step + share * anchor + (1 - share) * logits)


def _positive(game: Preferences, policy: ArrayLike, name: str) -> FloatArray:
    array = game.check_policy(policy, name)
    if array.min() <= 0:
        raise ValueError(
            f"{name}[{int(array.argmin())}] is 0; expected full support, as policies are multiplied"
        )
    return array


def _check_weights(weight: float, inverse_step: float) -> None:
    check_range(weight, "weight", 1e-6, 1e6)
    check_range(inverse_step, "inverse_step", weight, 1e12)


def _check_pairs(game: Preferences, pairs: ArrayLike) -> FloatArray:
    law = as_float_array(pairs, "pairs", (game.responses, game.responses))
    check_finite(law, "pairs")
    if law.min() < 0 or abs(float(law.sum()) - 1) > 1e-9:
        raise ValueError(
            f"pairs has the least entry {law.min():.3g} and the sum {law.sum():.10g}; expected a "
            "law of pairs, nonnegative with sum 1"
        )
    return law


def _connected(both: FloatArray) -> bool:
    reached = np.arange(len(both)) == 0
    for _ in range(len(both)):
        reached = reached | (both[reached] > 0).any(axis=0)
    return bool(reached.all())
