"""Block MDPs: a small latent MDP seen through observations that give its state away.

Every latent state emits observations of its own, so that a decoder exists; learners do not know
it. Source: Du, Krishnamurthy, Jiang, Agarwal, Dudik and Langford (2019), for the model;
Krishnamurthy, Li and Sekhari (2025), for resets and pushforward concentrability.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import (
    FloatArray,
    IntArray,
    as_float_array,
    as_generator,
    check_distributions,
    check_positive_integer,
    read_only,
)
from rltheory.analysis.rational import to_fractions
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.mdp import EpisodicMDP, check_episodic

UNSEEN = -1
"""What the decoder says of observations that no latent state emits."""


@dataclass(frozen=True, eq=False)
class BlockMDP:
    """A latent MDP and the observations that its states emit.

    latent: an EpisodicMDP of S states, all actions available; emissions: (H, S, X) distributions
    over observations, whose supports are disjoint within a step.
    Raises ValueError naming the step and the observation that two latent states share.
    """

    latent: EpisodicMDP
    emissions: FloatArray

    def __post_init__(self) -> None:
        check_episodic(self.latent)
        if not np.all(self.latent.available):
            raise ValueError("latent has unavailable actions; a Block MDP offers all of them")
        shape = (self.latent.horizon, self.latent.states, None)
        emissions = as_float_array(self.emissions, "emissions", shape)
        check_distributions(emissions, "emissions")
        shared = np.argwhere((emissions > 0).sum(axis=1) > 1)
        if len(shared):
            h, x = shared[0]
            states = np.flatnonzero(emissions[h, :, x])
            raise ValueError(
                f"emissions[{h}] gives observation {x} to latent states {states.tolist()}; "
                "their supports must be disjoint"
            )
        object.__setattr__(self, "emissions", read_only(emissions))

    @staticmethod
    def rich(latent: EpisodicMDP, per_state: int, *, seed: int | np.random.Generator) -> "BlockMDP":
        """Return the Block MDP of `per_state` equally likely observations for each latent state.

        Their names are shuffled at every step, so that they say nothing.
        """
        check_episodic(latent)
        count = check_positive_integer(per_state, "per_state")
        rng = as_generator(seed)
        blocks = np.repeat(np.eye(latent.states), count, axis=1) / count
        shuffled = [rng.permuted(np.arange(blocks.shape[1])) for _ in range(latent.horizon)]
        return BlockMDP(latent, np.stack([blocks[:, names] for names in shuffled]))

    @property
    def observations(self) -> int:
        """Number of observations X of each step."""
        return int(self.emissions.shape[2])

    @cached_property
    def decoder(self) -> IntArray:
        """The latent state (H, X) of each observation, `UNSEEN` where none emits it."""
        seen = self.emissions.max(axis=1) > 0
        return np.asarray(read_only(np.where(seen, self.emissions.argmax(axis=1), UNSEEN)))

    def observed(self) -> EpisodicMDP:
        """Return the MDP whose states are the observations.

        Observations that are never emitted behave as the first latent state. Entries are products
        of two floats: exact where those are short dyadic fractions.
        """
        steps = np.arange(self.latent.horizon)[:, None]
        states = np.maximum(self.decoder, 0)
        # After the last step nothing follows: what the row says is not read.
        after = np.concatenate([self.emissions[1:], self.emissions[-1:]])
        kernels = np.matmul(self.latent.transitions, after[:, None])
        return EpisodicMDP(
            kernels[steps, states],
            self.latent.rewards[steps, states],
            self.latent.initial @ self.emissions[0],
        )

    @property
    def reset(self) -> FloatArray:
        """The mean emission of each step, (H, X): a reset with bounded pushforward ratios."""
        return np.asarray(self.emissions.mean(axis=1))

    def pushforward_concentrability(
        self, reset: NDArray[Any] | None = None, *, arithmetic: str = "float"
    ) -> Any:
        """Return the largest ratio of P(x' | x, a), or of the first distribution, to a reset.

        reset: (H, X) distributions, floats or Fractions; the mean emission by default, for which
        the ratio is S times the largest transition probability of latent states: at most S.
        Infinite if the reset misses what can be reached. arithmetic: "float" or "rational".
        Source: Krishnamurthy, Li and Sekhari (2025), for the notion.
        """
        if arithmetic not in ("float", "rational"):
            raise ValueError(f"arithmetic is {arithmetic!r}; expected 'float' or 'rational'")
        convert = to_fractions if arithmetic == "rational" else np.asarray
        emissions, initial = convert(self.emissions), convert(self.latent.initial)
        if reset is None:
            reset = emissions.sum(axis=1) / self.latent.states
        elif np.shape(reset) != (self.latent.horizon, self.observations):
            raise ValueError(
                f"reset has shape {np.shape(reset)}; expected "
                f"{(self.latent.horizon, self.observations)}"
            )
        within = convert(reset)
        largest = _ratio(initial @ emissions[0], within[0])
        for h in range(self.latent.horizon - 1):
            following = convert(self.latent.transitions[h].max(axis=(0, 1)))
            largest = max(largest, _ratio(following @ emissions[h + 1], within[h + 1]))
        return largest

    def lifted(self, policies: PolicyClass) -> PolicyClass:
        """Return a class of policies of latent states as policies of observations.

        They take action 0 at observations that are never emitted. Raises ValueError if the class
        does not fit the latent MDP.
        """
        self._check(policies, self.latent.states)
        steps = np.arange(self.latent.horizon)[:, None]
        table = policies.table[:, steps, np.maximum(self.decoder, 0)]
        return PolicyClass(np.where(self.decoder == UNSEEN, 0, table), policies.actions)

    def averaged(self, policies: PolicyClass) -> FloatArray:
        """Return the probabilities (P, H, S, A) with which policies act in latent states.

        In the latent MDP these randomised policies are worth what the policies of observations
        are worth. Raises ValueError if the class does not fit the observations.
        """
        self._check(policies, self.observations)
        taken = [policies.table == a for a in range(policies.actions)]
        return np.stack([np.einsum("hsx,phx->phs", self.emissions, t) for t in taken], axis=-1)

    def is_latent(self, policies: PolicyClass) -> NDArray[np.bool_]:
        """Return which policies (P,) act alike at all observations of each latent state.

        Raises ValueError if the class does not fit the observations.
        """
        self._check(policies, self.observations)
        possible = self.emissions > 0
        alike = np.zeros((len(policies), *possible.shape[:2]), dtype=bool)
        for a in range(policies.actions):
            elsewhere = np.einsum("hsx,phx->phs", possible, policies.table != a)
            alike |= ~elsewhere
        return np.asarray(np.all(alike, axis=(1, 2)))

    def _check(self, policies: PolicyClass, states: int) -> None:
        want = (self.latent.horizon, states, self.latent.actions)
        have = (policies.horizon, policies.states, policies.actions)
        if want != have:
            raise ValueError(f"policies has (horizon, states, actions) {have}; expected {want}")


def _ratio(given: NDArray[Any], reset: NDArray[Any]) -> Any:
    """The largest quotient over what is given, infinite where the reset is zero there."""
    support = np.flatnonzero(given)
    if not np.all(reset[support] > 0):
        return float("inf")
    return max(given[support] / reset[support])
