"""Families on which a rate of T^(1/2) is attained, each with the gap that T episodes make hardest.

That gap is two standard errors of a choice's tries, were an episode's tries spread evenly:
2 sigma (n / T)^(1/2), see `rltheory.linear_mdp.environments.hard_families`.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from rltheory.linear_mdp.actor_critic.runs import ActorCriticRun, optimal_value
from rltheory.linear_mdp.environments.actor_critic_worlds import needle
from rltheory.linear_mdp.environments.hard_families import (
    fine_lock,
    hypercube,
    two_state_chain,
    waiting_tree,
)
from rltheory.tabular import EpisodicMDP, backward_induction


class Family(NamedTuple):
    """Instances by gap and seed.

    make(gap=, seed=): an instance. unit: the hardest gap for one episode, 2 sigma n^(1/2); most:
    the largest gap there can be.
    """

    title: str
    make: Callable[..., EpisodicMDP]
    unit: float
    most: float

    def hardest_gap(self, episodes: float) -> float:
        """Return the gap that is hardest for so many episodes, as far as there is room for it."""
        return min(self.most, self.unit / float(np.sqrt(episodes)))

    def hardest(self, episodes: int, seed: int) -> EpisodicMDP:
        """Return the instance with that gap."""
        return self.make(gap=self.hardest_gap(episodes), seed=seed)


def needles(actions: int) -> Family:
    """Return needles with 4 doors and 6 steps."""
    return Family("needle", partial(needle, 4, actions), float(np.sqrt(4 * actions)), 0.5)


def chains(horizon: int) -> Family:
    """Return chains of two states with 4 actions."""
    rate = 1.0 / horizon
    sigma = np.sqrt(rate * (1.0 - rate))
    return Family(
        "two-state chain",
        partial(two_state_chain, 4, horizon=horizon),
        float(2.0 * sigma * np.sqrt(4)),
        1.0 - 2.0 * rate,
    )


def _cubes(bits: int, horizon: int) -> Family:
    rate = 1.0 / horizon

    def make(*, gap: float, seed: int) -> EpisodicMDP:
        return hypercube(bits, gap=gap, horizon=horizon, seed=seed).to_tabular()

    return Family("hypercube", make, float(2.0 * np.sqrt(rate * (1.0 - rate))), rate / bits)


FAMILIES = {
    "needle": needles(4),
    "tree": Family("waiting tree", partial(waiting_tree, 3, 2), float(np.sqrt(27)), 0.5),
    "chain": chains(8),
    "hypercube": _cubes(3, 6),
    "fine lock": Family("fine lock", partial(fine_lock, 2, 3), float(np.sqrt(6)), 0.5),
}
"""Needles of 4 doors and 4 actions; trees of 3 actions and 3 leaves that may be entered at 3 steps;
chains of 4 actions and 8 steps; cubes of 3 bits and 6 steps, as tables; locks of 2 levers and 3
actions with a needle of 2 doors behind."""


def uniform_loss(mdp: EpisodicMDP) -> float:
    """Return what the uniform policy loses in an episode."""
    uniform = np.full(mdp.rewards.shape, 1.0 / mdp.actions)
    worth = float(np.asarray(mdp.initial) @ backward_induction(mdp, policy=uniform).values[0])
    return optimal_value(mdp) - worth


def regret_of(
    run: Callable[..., ActorCriticRun], mdp: EpisodicMDP, episodes: int, seed: np.random.Generator
) -> float:
    """Return the regret of a whole run."""
    return float(run(mdp, episodes=episodes, seed=seed).regret[-1])
