"""Spanning capacity of a policy class, with a deterministic MDP that proves it.

Policies that reach one pair of state and action stay together; an adversary sends each such group
to a state of the next layer, where united groups split by action. Greedy play gives the MDP,
relaxations the upper bound; annealing and search by branch and bound close what is left between.
Source: Jia, Li, Rakhlin, Sekhari and Srebro (2023), of the definition; the search is ours.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import IntArray, as_generator, check_positive_integer, read_only
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


@dataclass(frozen=True)
class _Bracket:
    """The best plan known for a layer, and a number of pairs that none exceeds."""

    plan: Plan
    upper: int

    @property
    def lower(self) -> int:
        return self.plan.pairs


def spanning_capacity(
    policies: PolicyClass, *, work: int = 100_000, restarts: int = 12, seed: int = 0
) -> Capacity:
    """Return the most pairs of state and action at one layer that a class reaches in any MDP.

    Over all deterministic MDPs with one start and on the layers that the class is defined on.

    work: placements of groups that the exact search may try, over all layers, and as many steps of
    annealing for four; when they are used up the bracket stays open and `exact` is False, never is
    `value` above the truth. restarts: greedy plays, drawn with `seed`, of layers that a little
    search leaves open; the same arguments give the same result.
    Tiny classes are always closed: up to 3 states, 2 actions and 3 layers take at most a few
    thousand placements. Of a thousand policies on eight layers of ten states brackets stay open
    where a policy leaves the common action at about one state in a hundred: then there are too many
    ways to part few policies for the search, and too few policies for the bounds to be sharp.
    Raises TypeError if `policies` is not a PolicyClass.
    Source: Jia, Li, Rakhlin, Sekhari and Srebro (2023).
    """
    check_policy_class(policies)
    check_positive_integer(work, "work")
    check_positive_integer(restarts, "restarts")
    generator = as_generator(seed)
    ladder = Groups.ladder(policies)
    brackets = []
    for groups in ladder:
        upper = groups.bound(groups.root(), 0)
        brackets.append(_Bracket(play(groups, upper, 1, generator), upper))
    # A little search closes most layers; where it does not, better plays come before the rest.
    _search(ladder, brackets, _open(brackets, 0), work // 10)
    for target in _open(brackets, 0):
        old = brackets[target]
        plan = play(ladder[target], old.upper, restarts, generator)
        brackets[target] = _Bracket(max(old.plan, plan, key=lambda p: p.pairs), old.upper)
    for rank, target in enumerate(_unsettled(brackets)):
        _anneal(policies, brackets, target, max(1, 2 * work >> rank), generator)
    _search(ladder, brackets, _unsettled(brackets), work)
    _search(ladder, brackets, _open(brackets, 0), work // 10)
    layer = int(np.argmax([bracket.lower for bracket in brackets]))
    mdp = _certificate(policies, brackets[layer].plan)
    reached = int(reachable_pairs(mdp, policies)[layer].sum())
    if reached != brackets[layer].lower:  # A defect of the search, which must not pass.
        raise AssertionError(f"the MDP reaches {reached} pairs, the search {brackets[layer].lower}")
    return Capacity(
        mdp,
        layer,
        read_only(np.array([bracket.lower for bracket in brackets])),
        read_only(np.array([bracket.upper for bracket in brackets])),
    )


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


def _unsettled(brackets: list[_Bracket]) -> list[int]:
    """Layers that can still raise the capacity, in the order of `_open`."""
    return _open(brackets, max(bracket.lower for bracket in brackets))


def _open(brackets: list[_Bracket], known: int) -> list[int]:
    """Open layers that may have more than `known` pairs: the largest, then the narrowest first."""
    found = [t for t, b in enumerate(brackets) if b.lower < b.upper and b.upper > known]
    return sorted(found, key=lambda t: (-brackets[t].upper, -brackets[t].lower, t))


def _search(ladder: list[Groups], brackets: list[_Bracket], targets: list[int], work: int) -> None:
    """Narrow the brackets of some layers by exact search, each with an equal share of the work."""
    for after, target in enumerate(targets):
        old = brackets[target]
        found = search(ladder[target], old.lower, old.upper, work // (len(targets) - after))
        work -= found.work
        brackets[target] = _Bracket(found.plan or old.plan, found.upper)


def _anneal(
    policies: PolicyClass,
    brackets: list[_Bracket],
    target: int,
    steps: int,
    generator: np.random.Generator,
) -> None:
    from rltheory.tabular.agnostic.annealing import anneal  # Compiled; most classes do without.

    old = brackets[target]
    if old.upper > max(bracket.lower for bracket in brackets):
        plan = anneal(policies, old.plan, old.upper, steps, generator)
        brackets[target] = _Bracket(plan, old.upper)


def _certificate(policies: PolicyClass, plan: Plan) -> EpisodicMDP:
    """The MDP of a plan; pairs that the plan leaves open lead to the first state."""
    horizon, states, actions = policies.horizon, policies.states, policies.actions
    goes = plan.successors(horizon, states, actions)
    initial = np.zeros(states)
    initial[plan.start] = 1.0
    return EpisodicMDP(np.eye(states)[goes], np.zeros((horizon, states, actions)), initial)
