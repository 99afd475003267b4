"""Exact values and occupancies of all policies of a class at once, in floats or Fractions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.rational import to_fractions
from rltheory.tabular.agnostic.policy_class import PolicyClass, check_policy_class
from rltheory.tabular.mdp import EpisodicMDP, check_episodic


@dataclass(frozen=True, eq=False)
class ClassValues:
    """Values of a class on an MDP.

    values: (P,) of the policies from the start; best: index of the first best; optimal: the value
    of the best policy of all. Fractions in rational arithmetic, else floats.
    """

    values: NDArray[Any]
    best: int
    optimal: Any

    @property
    def best_value(self) -> Any:
        """The value of the best policy of the class."""
        return self.values[self.best]

    @property
    def approximation_gap(self) -> Any:
        """What the best policy of the class loses against the best of all."""
        return self.optimal - self.best_value


def class_values(
    mdp: EpisodicMDP, policies: PolicyClass, *, arithmetic: str = "float"
) -> ClassValues:
    """Return the values of all policies of a class, by backward induction; O(P H S^2).

    arithmetic: "float" or "rational". Raises ValueError if mdp and class do not fit.
    """
    check_fit(mdp, policies)
    transitions, rewards, initial = exact_arrays(mdp, arithmetic)
    after = np.zeros((len(policies), mdp.states), dtype=rewards.dtype)
    best = np.zeros(mdp.states, dtype=rewards.dtype)
    states = np.arange(mdp.states)
    for h in reversed(range(mdp.horizon)):
        best = (rewards[h] + transitions[h] @ best).max(axis=1)
        chosen = policies.table[:, h].astype(np.int64)
        # One row per policy and state; a loop over the states keeps kernels from being copied.
        now = rewards[h][states, chosen]
        for s in states:
            rows = transitions[h, s]
            now[:, s] = now[:, s] + (after @ rows.T)[np.arange(len(policies)), chosen[:, s]]
        after = now
    values = after @ initial
    return ClassValues(values, int(np.argmax(values)), initial @ best)


def occupancies(
    mdp: EpisodicMDP, policies: PolicyClass, *, arithmetic: str = "float"
) -> NDArray[Any]:
    """Return the probabilities (P, H, S, A) that a policy is at a state and takes an action."""
    check_fit(mdp, policies)
    transitions, _, initial = exact_arrays(mdp, arithmetic)
    count, states = len(policies), np.arange(mdp.states)
    shape = (count, mdp.horizon, mdp.states, mdp.actions)
    found = np.zeros(shape, dtype=transitions.dtype)
    here = np.broadcast_to(initial, (count, mdp.states))
    rows = np.arange(count)[:, None]
    for h in range(mdp.horizon):
        found[rows, h, states, policies.table[:, h]] = here
        flat = found[:, h].reshape(count, -1)
        here = flat @ transitions[h].reshape(-1, mdp.states)
    return found


def check_fit(mdp: EpisodicMDP, policies: PolicyClass) -> None:
    """Raise ValueError unless a class acts on the steps, states and actions of an MDP.

    Raises TypeError if they are no EpisodicMDP and no PolicyClass.
    """
    check_episodic(mdp)
    check_policy_class(policies)
    want = (mdp.horizon, mdp.states, mdp.actions)
    have = (policies.horizon, policies.states, policies.actions)
    if want != have:
        raise ValueError(f"policies has (horizon, states, actions) {have}; the MDP has {want}")


def exact_arrays(
    mdp: EpisodicMDP, arithmetic: str
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return transitions, rewards and initial distribution in the arithmetic asked for."""
    if not np.all(mdp.available):
        raise ValueError("rewards has unavailable actions; a class may take any action anywhere")
    if arithmetic == "float":
        return mdp.transitions, mdp.rewards, mdp.initial
    if arithmetic == "rational":
        found = (to_fractions(a) for a in (mdp.transitions, mdp.rewards, mdp.initial))
        return tuple(found)  # type: ignore[return-value]
    raise ValueError(f"arithmetic is {arithmetic!r}; expected 'float' or 'rational'")
