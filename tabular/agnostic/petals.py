"""The Markov reward process of a policy on its petal states, exactly and from weighted episodes.

Nodes are the start, the petals of the policy and the end; an edge is the way to the next petal, its
reward what is earned before it. Whatever the petals, the process has the policy's value. Source:
Jia, Li, Rakhlin, Sekhari and Srebro (2023), section 6; formulas derived here.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rltheory.analysis.arrays import FloatArray, IntArray
from rltheory.analysis.rational import to_fractions
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.mdp import EpisodicMDP, check_episodic


@dataclass(frozen=True, eq=False)
class PetalProcess:
    """A reward process on petals, ordered by step.

    petals: (D, 2) pairs of step and state; transitions: (D + 1, D) probabilities of the next petal,
    the first row from the start, what is missing to 1 ends the episode; rewards: (D + 1,) expected
    sums before the next petal. Floats or Fractions.
    """

    petals: IntArray
    transitions: NDArray[Any]
    rewards: NDArray[Any]

    @property
    def values(self) -> NDArray[Any]:
        """Expected sums of rewards from the start and from each petal on, (D + 1,)."""
        found = self.rewards.copy()
        for node in reversed(range(len(found) - 1)):
            # Edges lead to later steps only, and petals are ordered by step.
            found[node] = found[node] + self.transitions[node, node:] @ found[node + 1 :]
        return found

    @property
    def value(self) -> Any:
        """The value of the policy from the start."""
        return self.values[0]


def petal_process(
    mdp: EpisodicMDP, policy: ArrayLike, petals: ArrayLike, *, arithmetic: str = "float"
) -> PetalProcess:
    """Return the exact petal process of a policy; its value is that of the policy.

    policy: (H, S) actions; petals: (H, S) mask of its petal states; arithmetic: "float" or
    "rational". Raises ValueError naming the argument that does not fit.
    """
    check_episodic(mdp)
    table = np.asarray(policy)
    if table.dtype.kind not in "iu" or table.shape != (mdp.horizon, mdp.states):
        raise ValueError(
            f"policy has shape {table.shape} of {table.dtype}; expected integers "
            f"{(mdp.horizon, mdp.states)}"
        )
    if table.min() < 0 or table.max() >= mdp.actions:
        raise ValueError(f"policy has actions outside 0 to {mdp.actions - 1}")
    mask = as_petals(np.asarray(petals)[None], PolicyClass(table[None], mdp.actions))[0]
    if arithmetic not in ("float", "rational"):
        raise ValueError(f"arithmetic is {arithmetic!r}; expected 'float' or 'rational'")
    exact = arithmetic == "rational"
    kernel, pay, initial = (
        to_fractions(a) if exact else a for a in (mdp.transitions, mdp.rewards, mdp.initial)
    )
    nodes = np.argwhere(mask)
    place = np.zeros(mask.shape, dtype=np.int64)
    place[mask] = np.arange(len(nodes))
    transitions = np.zeros((len(nodes) + 1, len(nodes)), dtype=pay.dtype)
    rewards = np.zeros(len(nodes) + 1, dtype=pay.dtype)
    states = np.arange(mdp.states)
    for node in range(len(nodes) + 1):
        if node == 0:
            step, here, fresh = 0, initial.copy(), True
        else:
            step, state = nodes[node - 1]
            here, fresh = np.where(states == state, initial.sum() * 0 + 1, initial * 0), False
        for h in range(step, mdp.horizon):
            if h > step or fresh:
                at = mask[h]
                transitions[node, place[h, at]] += here[at]
                here = np.where(at, here * 0, here)
            rewards[node] = rewards[node] + here @ pay[h][states, table[h]]
            here = here @ kernel[h][states, table[h]]
    return PetalProcess(nodes, transitions, rewards)


def as_petals(petals: ArrayLike, policies: PolicyClass) -> NDArray[np.bool_]:
    """Return petals as a mask (P, H, S); raise ValueError if they are anything else."""
    mask = np.asarray(petals)
    if mask.dtype != np.bool_ or mask.shape != policies.table.shape:
        raise ValueError(
            f"petals has shape {mask.shape} of {mask.dtype}; expected booleans "
            f"{policies.table.shape}, whether a state is a petal of a policy"
        )
    return mask


@dataclass(frozen=True, eq=False)
class PetalData:
    """Episodes from a node on, along core policies; equal ones are stored once.

    step, state: the node, (-1, -1) the start; policy: the one that led there, -1 for the start;
    kept: how many episodes came by; states, actions: (u, L) different continuations; counts (u,);
    rewards: (u, L) sums over equal ones.
    """

    step: int
    state: int
    policy: int
    kept: int
    states: IntArray
    actions: IntArray
    counts: IntArray
    rewards: FloatArray

    def edges(
        self, policies: PolicyClass, core: PolicyClass, petals: NDArray[np.bool_]
    ) -> tuple[FloatArray, FloatArray]:
        """Return each policy's estimated reward (P,) and transitions (P, H * S) from this node.

        An episode counts with weight 1 / (share of core policies consistent with it so far) where
        it is consistent with the policy up to its next petal. Zeros if no episode came by, and for
        policies of which the node is no petal.
        """
        cells = policies.horizon * policies.states
        rewards, transitions = np.zeros(len(policies)), np.zeros((len(policies), cells))
        if not self.kept:
            return rewards, transitions
        many, length = self.states.shape
        start = max(self.step, 0)
        steps = start + np.arange(length)
        at = steps * policies.states + self.states
        concerned = np.ones(len(policies), dtype=bool)
        if self.step >= 0:
            concerned = petals[:, self.step, self.state]
        flat = policies.table[concerned].reshape(-1, cells)
        marks = petals[concerned].reshape(-1, cells)
        size = len(flat)
        paid, found = np.zeros(size), np.zeros((size, cells))
        flat_core = core.table.reshape(len(core), -1)
        shares = np.ones((many, length + 1))
        shares[:, 1:] = _consistent(flat_core, at, self.actions).mean(axis=0)
        sums = np.zeros((many, length + 1))
        np.cumsum(self.rewards, axis=1, out=sums[:, 1:])
        lines = np.arange(many)
        part = max(1, 2**21 // (many * length))
        for first in range(0, size, part):
            rows = slice(first, min(first + part, size))
            agrees = np.ones((rows.stop - first, many, length + 1), dtype=bool)
            agrees[:, :, 1:] = _consistent(flat[rows], at, self.actions)
            met = marks[rows][:, at]
            if self.step >= 0:
                met[:, :, 0] = False
            following = np.where(met.any(axis=2), met.argmax(axis=2), length)
            agreed = np.take_along_axis(agrees, following[:, :, None], axis=2)[:, :, 0]
            share = shares[lines, following]
            weights = np.divide(agreed, share, out=np.zeros(share.shape), where=agreed)
            paid[rows] = (weights * sums[lines, following]).sum(axis=1)
            policy, line = np.nonzero(agreed & (following < length))
            target = at[line, following[policy, line]]
            flow = (weights * self.counts)[policy, line]
            index = policy * cells + target
            size_here = (rows.stop - first) * cells
            counted = np.bincount(index, weights=flow, minlength=size_here)
            found[rows] = counted.reshape(-1, cells)
        rewards[concerned], transitions[concerned] = paid / self.kept, found / self.kept
        return rewards, transitions


def _consistent(table: NDArray[Any], at: IntArray, actions: IntArray) -> NDArray[np.bool_]:
    """Whether policies (P, cells) agree with all actions (u, L) so far, (P, u, L)."""
    return np.asarray(np.logical_and.accumulate(table[:, at] == actions, axis=2))
