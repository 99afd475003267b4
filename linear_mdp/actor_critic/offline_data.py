"""Offline data of a tabular model, with the exact coverage of the distribution they come from.

An episode follows one of several policies, drawn first; so the data's distribution is the mixture
of the policies' occupancies, and its coverage of another policy is a ratio of numbers that are
computed, not estimated. Source: single-policy concentrability as in Rashidinejad, Zhu, Ma, Jiao and
Russell (2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import (
    FloatArray,
    as_float_array,
    as_generator,
    check_distributions,
    check_finite,
    check_positive_integer,
    check_range,
    read_only,
)
from rltheory.tabular.finite_horizon import backward_induction
from rltheory.tabular.mdp import EpisodicMDP, check_episodic
from rltheory.tabular.policies import as_policy


@dataclass(frozen=True, eq=False)
class OfflineData:
    """Counts of transitions, and what they were drawn from.

    visits (H, S, A, S): how often a pair led to a state, the last step included; episodes: how many
    were played; distribution (H, S, A): of the pairs of an episode, exact up to rounding.
    """

    visits: FloatArray
    episodes: int
    distribution: FloatArray

    @property
    def pairs(self) -> FloatArray:
        """Visits of pairs, (H, S, A)."""
        return np.asarray(self.visits.sum(axis=-1))

    def paid(self, mdp: EpisodicMDP) -> FloatArray:
        """Return the sums of rewards that pairs were paid, (H, S, A)."""
        return np.asarray(self.pairs * mdp.rewards)

    def coverage(self, mdp: EpisodicMDP, policy: Any = None) -> float:
        """Return the concentrability of the distribution, see `concentrability`."""
        return concentrability(mdp, self.distribution, policy)


def occupancy(mdp: EpisodicMDP, policy: Any) -> FloatArray:
    """Return the probabilities (H, S, A) of pairs under a policy, (H, S) actions or (H, S, A)."""
    check_episodic(mdp)
    rows = as_policy(policy, mdp.available)
    found = np.empty(mdp.rewards.shape)
    here = np.asarray(mdp.initial)
    for h in range(mdp.horizon):
        found[h] = here[:, None] * rows[h]
        here = found[h].reshape(-1) @ mdp.transitions[h].reshape(-1, mdp.states)
    return found


def concentrability(mdp: EpisodicMDP, distribution: ArrayLike, policy: Any = None) -> float:
    """Return max of d(h, s, a) / mu(h, s, a) for the occupancy d of a policy; inf if mu misses it.

    distribution (H, S, A): mu, one distribution for each step. policy: the optimal one that takes
    the first best actions, if not given. 1 at least.
    """
    check_episodic(mdp)
    mu = as_float_array(distribution, "distribution", mdp.rewards.shape)
    check_distributions(mu.reshape(mdp.horizon, -1), "distribution")
    aim = occupancy(mdp, backward_induction(mdp).policy if policy is None else policy)
    met = aim > 0.0
    if (mu[met] == 0.0).any():
        return float("inf")
    return float((aim[met] / mu[met]).max())


def collect_offline(
    mdp: EpisodicMDP,
    policies: Sequence[Any],
    *,
    weights: ArrayLike | None = None,
    episodes: int,
    seed: int | np.random.Generator,
) -> OfflineData:
    """Play episodes, each with one of several policies drawn by the weights, evenly if not given.

    policies: (H, S) actions or (H, S, A) rows each. Raises ValueError or TypeError by name.
    """
    check_episodic(mdp)
    count = check_positive_integer(episodes, "episodes")
    if not len(policies):
        raise ValueError("policies is empty; expected at least one")
    rows = np.stack([as_policy(policy, mdp.available) for policy in policies])
    shares = np.full(len(rows), 1.0 / len(rows))
    if weights is not None:
        shares = as_float_array(weights, "weights", (len(rows),))
        check_distributions(shares, "weights")
    rng = as_generator(seed)
    chosen = rng.choice(len(rows), size=count, p=shares / shares.sum())
    visits = np.zeros((*mdp.rewards.shape, mdp.states))
    states = _draw(np.broadcast_to(mdp.initial, (count, mdp.states)), rng)
    for h in range(mdp.horizon):
        actions = _draw(rows[chosen, h, states], rng)
        after = _draw(mdp.transitions[h, states, actions], rng)
        np.add.at(visits[h], (states, actions, after), 1.0)
        states = after
    mixture = sum(w * occupancy(mdp, policy) for w, policy in zip(shares, rows, strict=True))
    return OfflineData(read_only(visits), count, read_only(np.asarray(mixture)))


def covering_data(
    mdp: EpisodicMDP,
    share: float,
    *,
    episodes: int,
    seed: int | np.random.Generator,
    other: Any = None,
) -> OfflineData:
    """Collect episodes, of which the optimal policy plays a share and `other` the rest.

    share: in [0, 1], so that the optimal policy's concentrability is at most 1 / share. other: the
    uniform policy if not given.
    """
    part = check_range(share, "share", 0.0, 1.0)
    check_episodic(mdp)
    rest = mdp.available / mdp.available.sum(axis=-1, keepdims=True) if other is None else other
    best = backward_induction(mdp).policy
    return collect_offline(
        mdp, [best, rest], weights=[part, 1.0 - part], episodes=episodes, seed=seed
    )


def as_visits(data: Any, mdp: EpisodicMDP) -> FloatArray:
    """Return the counts (H, S, A, S) of offline data, or counts as they are, checked."""
    array = data.visits if isinstance(data, OfflineData) else data
    visits = as_float_array(array, "data", (*mdp.rewards.shape, mdp.states))
    check_finite(visits, "data")
    if visits.min() < 0:
        raise ValueError(f"data holds {visits.min()}; expected counts of at least 0")
    return visits


def _draw(probabilities: FloatArray, rng: np.random.Generator) -> Any:
    """Return one index for each row (n, m) of probabilities."""
    sums = np.cumsum(probabilities, axis=1)
    aim = rng.random((len(sums), 1)) * sums[:, -1:]
    return (sums <= aim).sum(axis=1)
