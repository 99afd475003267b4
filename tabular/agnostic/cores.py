"""Known sunflowers: the class itself, all plans, the constant policies, one policy for each layer.

They cover any class, the last one any class of two actions; how many petals they need says how far
importance weights on their data carry. Derived here.
"""

import numpy as np

from rltheory.tabular.agnostic.policy_class import PolicyClass, check_policy_class
from rltheory.tabular.agnostic.sunflower import Sunflower


def own_core(policies: PolicyClass) -> Sunflower:
    """Return the sunflower of any class with itself as core: (P, 0)."""
    check_policy_class(policies)
    return Sunflower(policies, np.zeros(policies.table.shape, dtype=bool))


def open_loop_core(policies: PolicyClass) -> Sunflower:
    """Return the (A^H, 0)-sunflower of any class: all plans that do not look at the state."""
    check_policy_class(policies)
    plans = PolicyClass.open_loop(
        horizon=policies.horizon, states=policies.states, actions=policies.actions
    )
    core = PolicyClass(plans.table, plans.actions, policies.layer_sizes)
    return Sunflower(core, np.zeros(policies.table.shape, dtype=bool))


def constant_core(policies: PolicyClass) -> Sunflower:
    """Return the sunflower of any class with the A constant policies as core.

    All states after the first layer are petals: between two of them there is a single action, which
    one constant policy shares.
    """
    check_policy_class(policies)
    table = PolicyClass.constant(
        horizon=policies.horizon, states=policies.states, actions=policies.actions
    ).table
    petals = np.zeros(policies.table.shape, dtype=bool)
    for h, size in enumerate(np.asarray(policies.layer_sizes)):
        # No state of the first layer lies after another one.
        petals[:, h, :size] = h > 0
    return Sunflower(PolicyClass(table, policies.actions, policies.layer_sizes), petals)


def layer_core(policies: PolicyClass) -> Sunflower:
    """Return the sunflower of a class of two actions whose core acts in one layer at most.

    The core is the policy 0 and, for each layer, the policy that takes 1 all over that layer and 0
    elsewhere: K = H + 1. Petals are the states where a policy takes 1, but for the first layer that
    has such states. So D = 0 for singletons, l - 1 for l-tons, H - 1 for classes that act at one
    state of each layer. Raises ValueError unless there are two actions.
    """
    check_policy_class(policies)
    if policies.actions != 2:
        raise ValueError(f"policies has {policies.actions} actions; expected 2")
    horizon, states = policies.horizon, policies.states
    table = np.zeros((horizon + 1, horizon, states), dtype=np.int8)
    table[1 + np.arange(horizon), np.arange(horizon)] = 1
    inside = np.arange(states) < np.asarray(policies.layer_sizes)[:, None]
    active = (policies.table == 1) & inside
    earlier = np.cumsum(active.any(axis=2), axis=1) - active.any(axis=2)
    petals = active & (earlier > 0)[:, :, None]
    return Sunflower(PolicyClass(table, 2, policies.layer_sizes), petals)
