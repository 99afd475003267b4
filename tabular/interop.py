"""Exact MDPs from other libraries' models: Gymnasium toy-text environments and QuantEcon."""

from typing import Any

import numpy as np
from scipy import sparse

from rltheory.tabular.mdp import DiscountedMDP


def from_gymnasium(env: Any, *, discount: float = 0.99) -> DiscountedMDP:
    """Build the exact MDP of a Gymnasium environment with a transition table `P`.

    An episode's end is explicit: transitions flagged as terminated lead to one added state, the
    last, which absorbs at reward 0; states 0 to n - 1 keep their numbers. The initial
    distribution is the environment's own where it has one. Returns a sparse DiscountedMDP.
    Raises TypeError if the environment has no table, as most outside toy-text.
    """
    model = getattr(env, "unwrapped", env)
    table = getattr(model, "P", None)
    if table is None:
        raise TypeError(
            f"env is {env!r}, which has no transition table `P`; "
            "expected a toy-text environment such as FrozenLake-v1, CliffWalking-v1 or Taxi-v4"
        )
    states, actions = len(table), len(table[0])
    end = states
    rewards = np.zeros((states + 1, actions))
    entries = [(end * actions + a, end, 1.0) for a in range(actions)]
    for s, a in np.ndindex(states, actions):
        for probability, following, reward, terminated in table[s][a]:
            rewards[s, a] += probability * reward
            entries.append((s * actions + a, end if terminated else following, probability))
    rows, columns, weights = zip(*entries, strict=True)
    shape = ((states + 1) * actions, states + 1)
    # Repeated entries of one successor are summed by the conversion.
    kernel = sparse.csr_array(sparse.coo_array((weights, (rows, columns)), shape=shape))
    kernel.eliminate_zeros()
    initial: Any = getattr(model, "initial_state_distrib", None)
    if initial is not None:
        initial = np.append(np.asarray(initial, dtype=np.float64), 0.0)
        initial = initial / initial.sum()
    return DiscountedMDP(kernel, rewards, discount, initial)


def from_quantecon(problem: Any) -> DiscountedMDP:
    """Build from a QuantEcon `DiscreteDP` in product form, or in state-action-pair form.

    Missing pairs become unavailable actions (reward -inf, a zero row). Raises ValueError if the
    problem's discount is 1.
    """
    if not getattr(problem, "_sa_pair", False):
        return DiscountedMDP(problem.Q, problem.R, problem.beta)
    states = int(problem.num_states)
    actions = int(problem.a_indices.max()) + 1
    pairs = problem.s_indices * actions + problem.a_indices
    rewards = np.full((states, actions), -np.inf)
    rewards[problem.s_indices, problem.a_indices] = problem.R
    given = sparse.coo_array(problem.Q)
    kernel = sparse.csr_array(
        (given.data, (pairs[given.coords[0]], given.coords[1])), shape=(states * actions, states)
    )
    return DiscountedMDP(
        kernel if sparse.issparse(problem.Q) else kernel.toarray().reshape(states, actions, states),
        rewards,
        problem.beta,
    )
