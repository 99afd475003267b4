"""Policy emulators: small tabular MDPs whose states are observations seen in a large one.

As a state is an observation, every policy of a class can be run there, and its value is found by
exact backward induction. An emulator need not resemble the MDP; it is as good as the largest
error of these values. Source: Krishnamurthy, Li and Sekhari (2025), for the notion.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import FloatArray, IntArray, read_only
from rltheory.tabular.agnostic.block_mdp import BlockMDP
from rltheory.tabular.agnostic.class_values import class_values
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.mdp import EpisodicMDP, check_episodic


@dataclass(frozen=True, eq=False)
class Emulator:
    """A tabular MDP of n states a step, each of which stands for an observation.

    model: an EpisodicMDP of n states; observations: (H, n) integers, what its states are called.
    One observation may stand several times in a step.
    Raises ValueError or TypeError naming what does not fit.
    """

    model: EpisodicMDP
    observations: IntArray

    def __post_init__(self) -> None:
        check_episodic(self.model)
        names = np.asarray(self.observations)
        shape = (self.model.horizon, self.model.states)
        if names.dtype.kind not in "iu":
            raise TypeError(f"observations holds {names.dtype}; expected integers")
        if names.shape != shape or names.min() < 0:
            raise ValueError(
                f"observations has shape {names.shape} and least entry {names.min()}; expected "
                f"{shape}, none negative"
            )
        object.__setattr__(self, "observations", read_only(names.astype(np.int64)))

    def restricted(self, policies: PolicyClass) -> PolicyClass:
        """Return the policies of observations as policies of the emulator's states."""
        if policies.horizon != self.model.horizon or policies.actions != self.model.actions:
            raise ValueError(
                f"policies has horizon {policies.horizon} and {policies.actions} actions; the "
                f"emulator has {self.model.horizon} and {self.model.actions}"
            )
        if self.observations.max() >= policies.states:
            raise ValueError(
                f"observations has entry {self.observations.max()}; policies acts on 0 to "
                f"{policies.states - 1}"
            )
        steps = np.arange(policies.horizon)[:, None]
        return PolicyClass(policies.table[:, steps, self.observations], policies.actions)

    def values(self, policies: PolicyClass, *, arithmetic: str = "float") -> NDArray[Any]:
        """Return the emulated values (P,) of a class, by backward induction."""
        return class_values(self.model, self.restricted(policies), arithmetic=arithmetic).values

    def action_values(self, policies: PolicyClass, step: int) -> FloatArray:
        """Return what an action and then each policy is worth at each state, (P, n, A)."""
        table = self.restricted(policies).table
        after = np.zeros((len(policies), self.model.states))
        for h in reversed(range(step, self.model.horizon)):
            now = self.model.rewards[h] + np.einsum(
                "pt,sat->psa", after, self.model.transitions[h], optimize=True
            )
            if h == step:
                return np.asarray(now)
            actions = table[:, h].astype(np.int64)
            after = np.take_along_axis(now, actions[..., None], axis=-1)[..., 0]
        raise ValueError(f"step is {step}; expected 0 to {self.model.horizon - 1}")


def emulator_error(
    mdp: EpisodicMDP, policies: PolicyClass, emulator: Emulator, *, arithmetic: str = "float"
) -> Any:
    """Return the largest error of emulated values, max over the class of |V - V emulated|.

    arithmetic: "float" or "rational", then a Fraction. Raises ValueError if they do not fit.
    """
    true = class_values(mdp, policies, arithmetic=arithmetic).values
    return np.abs(true - emulator.values(policies, arithmetic=arithmetic)).max()


def ideal_emulator(block: BlockMDP, observations: IntArray) -> Emulator:
    """Return the emulator of given observations (H, n) that has the latent dynamics right.

    What goes to a latent state is shared equally by the observations that stand for it, so for
    observations drawn from the emissions nothing is wrong but that they are few. Policies of
    latent states have no error at all.
    Raises ValueError if an observation is never emitted, or none stands for a latent state that
    can be reached.
    """
    names = np.asarray(observations)
    latent = block.latent
    if names.ndim != 2 or len(names) != latent.horizon or names.dtype.kind not in "iu":
        raise ValueError(
            f"observations has shape {names.shape} of {names.dtype}; expected integers "
            f"({latent.horizon}, n)"
        )
    steps = np.arange(latent.horizon)[:, None]
    states = block.decoder[steps, names]
    if states.min() < 0:
        h, i = np.argwhere(states < 0)[0]
        raise ValueError(f"observations[{h}, {i}] is {names[h, i]}, which is never emitted")
    shares = states[:, None] == np.arange(latent.states)[:, None]
    counts = shares.sum(axis=-1)
    for h in range(latent.horizon):
        into = latent.transitions[h - 1, states[h - 1]].max(axis=(0, 1)) if h else latent.initial
        missing = np.flatnonzero((into > 0) & (counts[h] == 0))
        if len(missing):
            raise ValueError(f"observations[{h}] has none of latent state {missing[0]}")
    weights = shares / np.maximum(counts, 1)[:, :, None]
    kernels = np.empty((latent.horizon, names.shape[1], latent.actions, names.shape[1]))
    for h in range(latent.horizon - 1):
        kernels[h] = latent.transitions[h, states[h]] @ weights[h + 1]
    kernels[-1] = 1 / names.shape[1]
    model = EpisodicMDP(kernels, latent.rewards[steps, states], latent.initial @ weights[0])
    return Emulator(model, names)
