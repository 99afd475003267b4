"""Where petals may excuse: read otherwise, importance weights from petals miss whole values.

Expected estimates are exact Fractions, found by following all core policies that agree so far.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import IntArray
from rltheory.tabular.agnostic.class_values import class_values
from rltheory.tabular.agnostic.cores import layer_core
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.mdp import EpisodicMDP
from rltheory.theory.exact import fractions
from rltheory.theory.records.agnostic_sunflower import SUNFLOWERS, Flower, support
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Judged(NamedTuple):
    """An MDP that pays at one state, the policy that acts there, and a share below one."""

    mdp: EpisodicMDP
    policies: PolicyClass
    cell: tuple[int, int]
    share: Fraction


def sample_judged(tape: Tape, size: int) -> Judged:
    """Draw a singleton policy and an MDP that pays for its action 1 alone."""
    cell = (tape.integer(0, size - 1), tape.integer(0, 1))
    rewards = np.zeros((size, 2, 2))
    rewards[(*cell, 1)] = 1.0
    kernel = tape.simplex((size, 2, 2, 2)) / 2 + 0.25
    table = np.zeros((1, size, 2), dtype=np.int8)
    table[(0, *cell)] = 1
    mdp = EpisodicMDP(kernel, rewards, np.array([0.5, 0.5]))
    return Judged(mdp, PolicyClass(table, 2), cell, 1 - Fraction(1, 2 ** tape.integer(8, 12)))


def process_value(
    mdp: EpisodicMDP, row: IntArray, core: IntArray, petals: NDArray[np.bool_]
) -> Fraction:
    """Return the expected estimate of a policy (H, S) from its petals (H, S) and core data.

    Between petals, trajectories of a uniform core policy count with K over the number of core
    policies that share the actions so far, if the policy does; those that no core policy can draw
    are missing, whatever they pay.
    """
    transitions, rewards = fractions(mdp.transitions), fractions(mdp.rewards)

    def follow(h: int, s: int, alive: tuple[int, ...]) -> Fraction:
        """Return what the core's data add from step h on, up to the next petals' own estimates."""
        action = int(row[h, s])
        alive = tuple(c for c in alive if core[c, h, s] == action)
        if not alive:
            return Fraction(0)
        chance, weight = Fraction(len(alive), len(core)), Fraction(len(core), len(alive))
        total = chance * weight * rewards[h, s, action]
        if h + 1 < mdp.horizon:
            for t in range(mdp.states):
                total += transitions[h, s, action, t] * enter(h + 1, t, alive)
        return Fraction(total)

    def enter(h: int, s: int, alive: tuple[int, ...]) -> Fraction:
        return follow(h, s, everyone if petals[h, s] else alive)

    everyone = tuple(range(len(core)))
    initial = fractions(mdp.initial)
    return Fraction(sum(initial[s] * enter(0, s, everyone) for s in range(mdp.states)))


def _missed(judged: Judged, core: Callable[[PolicyClass], IntArray]) -> tuple[Side, Side]:
    mdp, policies, cell, share = judged
    value = class_values(mdp, policies, arithmetic="rational").values[0]
    petals = np.zeros(policies.table.shape[1:], dtype=bool)
    petals[cell] = True
    found = process_value(mdp, policies.table[0].astype(np.int64), core(policies), petals)
    return share * value, abs(value - found)


def _zero(policies: PolicyClass) -> IntArray:
    return np.zeros((1, *policies.table.shape[1:]), dtype=np.int64)


def _of_layers(policies: PolicyClass) -> IntArray:
    return layer_core(policies).core.table.astype(np.int64)


def covered_if_closed(judged: Judged) -> bool:
    """Return whether the core 0 with the singleton as petal covers it in the closed reading."""
    petals = np.zeros(judged.policies.table.shape, dtype=bool)
    petals[(0, *judged.cell)] = True
    return support(Flower(judged.policies, _zero(judged.policies), petals), skipped=0) >= 1


CLOSED = Theorem(
    id="agnostic/closed-reading-misses-values",
    title="If petals excuse the trajectories that begin at them, estimates can miss everything",
    source=f"{SUNFLOWERS}, for the reading that is needed; instance derived here",
    statement=(
        r"\forall c < 1:\quad c\,V^\pi < |V^\pi - \hat V^\pi|,\qquad \Pi_{\mathrm{core}} = \{0\},\ "
        r"S_\pi = \{x : \pi(x) = 1\},\ |S_\pi| = 1"
    ),
    hypotheses=(
        r"every trajectory of $\pi$ is shared by the core or meets the petal, its first state "
        "included",
        r"$\hat V^\pi$: what the importance-weighted estimates from each petal tend to; the "
        "MDP pays for the petal's action alone",
    ),
    kind="counterexample",
    sample=sample_judged,
    sides=lambda judged: _missed(judged, _zero),
    admissible=covered_if_closed,
    control=Control(
        name="core of layers",
        explanation="The core also acts in each layer, as the half-open reading requires.",
        sides=lambda judged: _missed(judged, _of_layers),
    ),
    notes=(
        "So singletons are no (1, 1)-sunflower as the estimates need it: out of the petal the core "
        "never takes its action. With K = H + 1 they are, and need no petal."
    ),
    sharpness=0.99,
    sizes=(2, 3),
    cost=4.0,
)


THEOREMS = (CLOSED,)
