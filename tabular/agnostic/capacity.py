"""Spanning capacity of a policy class, with a deterministic MDP that proves it.

Policies that reach one pair of state and action stay together; an adversary sends each such group
to a state of the next layer, where united groups split by action. Greedy play gives the MDP,
relaxations the upper bound, and search by branch and bound closes what is left between them.
Source: Jia, Li, Rakhlin, Sekhari and Srebro (2023), of the definition; the search is ours.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import IntArray, check_positive_integer, read_only
from rltheory.tabular.agnostic.class_values import check_fit
from rltheory.tabular.agnostic.group_search import Plan, play, search
from rltheory.tabular.agnostic.groups import Groups
from rltheory.tabular.agnostic.policy_class import PolicyClass, check_policy_class
from rltheory.tabular.mdp import EpisodicMDP


@dataclass(frozen=True, eq=False, repr=False)
class Capacity:
    """A bracket of the spanning capacity of a class, and what reaches its lower end.

    mdp: deterministic, with one start; its pairs that the class reaches at `layer` (counted from
    0) are `lower` many, which `reachable_pairs` recounts. lower_by_layer, upper_by_layer: (H,)
    brackets of the most pairs at each layer, over all deterministic MDPs; `lower` and `upper` are
    their maxima.
    """

    mdp: EpisodicMDP
    layer: int
    lower_by_layer: IntArray
    upper_by_layer: IntArray

    @property
    def lower(self) -> int:
        """Pairs that the class reaches in `mdp` at `layer`."""
        return int(self.lower_by_layer.max())

    @property
    def upper(self) -> int:
        """A number of pairs that is exceeded in no deterministic MDP, at no layer."""
        return int(self.upper_by_layer.max())

    @property
    def exact(self) -> bool:
        """Whether the bracket is closed."""
        return self.lower == self.upper

    @property
    def value(self) -> int:
        """The capacity where `exact`; else the lower end, which `mdp` proves."""
        return self.lower

    @property
    def by_layer(self) -> IntArray:
        """The lower ends by layer, (H,); exact at layers where both ends agree."""
        return self.lower_by_layer

    def __repr__(self) -> str:
        worth = f"value={self.value}" if self.exact else f"lower={self.lower}, upper={self.upper}"
        return f"Capacity({worth}, layer={self.layer}, exact={self.exact})"


def spanning_capacity(
    policies: PolicyClass, *, work: int = 100_000, restarts: int = 12, seed: int = 0
) -> Capacity:
    """Return the most pairs of state and action at one layer that a class reaches in any MDP.

    Over all deterministic MDPs with one start and on the layers that the class is defined on.

    work: placements of groups that the exact search may try, over all layers; when they are used up
    the bracket stays open and `exact` is False, never is `value` above the truth. restarts: greedy
    plays by layer, drawn with `seed`; the same arguments give the same result.
    Tiny classes are always closed: up to 3 states, 2 actions and 3 layers take at most a few
    thousand placements. Raises TypeError if `policies` is not a PolicyClass.
    Source: Jia, Li, Rakhlin, Sekhari and Srebro (2023).
    """
    check_policy_class(policies)
    check_positive_integer(work, "work")
    check_positive_integer(restarts, "restarts")
    horizon = policies.horizon
    generator = np.random.default_rng(seed)
    ladder = [Groups.of(policies, target) for target in range(horizon)]
    lower, upper = np.zeros(horizon, dtype=np.int64), np.zeros(horizon, dtype=np.int64)
    plans: list[Plan] = []
    for target, groups in enumerate(ladder):
        upper[target] = groups.bound(groups.root(), 0)
        plan = play(groups, int(upper[target]), restarts, generator)
        plans.append(plan)
        lower[target] = plan.pairs
    left = work
    # The layers that can raise the capacity first; within them the one with the narrowest gap.
    for target in sorted(range(horizon), key=lambda t: (-upper[t], upper[t] - lower[t], t)):
        if lower[target] < upper[target]:
            found = search(ladder[target], int(lower[target]), int(upper[target]), left)
            left -= found.work
            upper[target] = found.upper
            if found.plan is not None:
                plans[target], lower[target] = found.plan, found.plan.pairs
    layer = int(np.argmax(lower))
    mdp = _certificate(policies, plans[layer])
    reached = int(reachable_pairs(mdp, policies)[layer].sum())
    if reached != lower[layer]:  # A defect of the search, which must not pass for a result.
        raise AssertionError(f"the MDP reaches {reached} pairs, the search {lower[layer]}")
    return Capacity(mdp, layer, read_only(lower), read_only(upper))


def reachable_pairs(mdp: EpisodicMDP, policies: PolicyClass) -> NDArray[np.bool_]:
    """Return which pairs of state and action some policy reaches at each step, (H, S, A).

    Raises ValueError if the MDP or its start is not deterministic, or the class does not fit.
    """
    check_fit(mdp, policies)
    for name, kernel in (("initial", mdp.initial), ("transitions", mdp.transitions)):
        if not np.all((kernel == 0) | (kernel == 1)):
            raise ValueError(f"{name} has probabilities other than 0 and 1; expected none")
    table, rows = np.asarray(policies.table), np.arange(len(policies))
    reached = np.zeros((mdp.horizon, mdp.states, mdp.actions), dtype=bool)
    here = np.full(len(policies), int(np.argmax(mdp.initial)))
    for h in range(mdp.horizon):
        taken = table[rows, h, here].astype(np.int64)
        reached[h, here, taken] = True
        here = np.argmax(mdp.transitions[h], axis=-1)[here, taken]
    return reached


def _certificate(policies: PolicyClass, plan: Plan) -> EpisodicMDP:
    """The MDP of a plan; pairs that the plan leaves open lead to the first state."""
    horizon, states, actions = policies.horizon, policies.states, policies.actions
    goes = np.zeros((horizon, states, actions), dtype=np.int64)
    for h, moves in enumerate(plan.moves):
        for (state, action), place in moves.items():
            goes[h, state, action] = place
    initial = np.zeros(states)
    initial[plan.start] = 1.0
    return EpisodicMDP(np.eye(states)[goes], np.zeros((horizon, states, actions)), initial)
