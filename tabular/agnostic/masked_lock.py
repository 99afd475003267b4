"""A lock that resets do not open, nor does a local simulator, while both together do at once.

Beside the good states of a combination lock stand others that pay exactly where those do not, so
that a roll-out from a state drawn by the reset pays with probability 1/2, whatever is played. The
construction and its proofs are ours; what they illustrate, that either access fails alone and
the hybrid one helps, is shown for harder families by Krishnamurthy, Li and Sekhari (2025).
"""

from dataclasses import dataclass
from fractions import Fraction
from math import comb

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import IntArray, as_generator, check_positive_integer
from rltheory.tabular.agnostic.families import Instance
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.mdp import EpisodicMDP

KINDS = ("good", "mirror", "lost", "won")


@dataclass(frozen=True, eq=False, kw_only=True)
class MaskedLock(Instance):
    """A lock with a mirror.

    secret: (H,) the actions that open it; kinds: (H, S) index into `KINDS` of each state; copies:
    observations of each kind in each layer; concentrability: of `reset`, the highest ratio of a
    policy's state occupancy, or of a transition's probability, to the reset's.
    """

    secret: IntArray
    kinds: NDArray[np.int64]
    copies: int
    concentrability: int = len(KINDS)

    @property
    def coverability(self) -> int:
        """The sum over pairs of the highest occupancy of the class, at the worst layer."""
        actions = self.mdp.actions
        return actions if self.mdp.horizon == 1 or actions == 1 else 2 * actions


def masked_lock(
    horizon: int, *, actions: int = 2, copies: int = 1, seed: int | np.random.Generator
) -> MaskedLock:
    """Return a masked lock with a random secret, and the class of plans that see no state.

    Each layer has `copies` states of four kinds, placed anew. Good: the secret's action leads to
    good, all else to lost. Mirror: the secret's action leads to mirror, all else to won. Lost and
    won stay so. The last action pays 1 at won, at good if it is the secret's, and at a mirror if
    it is not. The start is good, the reset uniform. A plan is worth 1 if it is the secret, else
    0, and the class has coverability 2 A and the reset concentrability 4, pushforward too.

    What is proved of it, for observations that never show twice by chance (see `masked_success`):
    - A roll-out from a reset pays with probability 1/2, whatever is played and whatever the
      secret: its plan pays at good or at mirror, never at both. Resets tell nothing.
    - Roll-outs from the start, or from states seen in them, try one plan each.
    - With resets and a local simulator a drawn state can be played from again, which tells good
      from mirror: see `hybrid_failure`.
    No plan is greedy at good and at mirror, so policies are not complete. Probabilities are exact
    in floats if `copies` is a power of two.
    """
    check_positive_integer(horizon, "horizon")
    check_positive_integer(actions, "actions")
    check_positive_integer(copies, "copies")
    generator = as_generator(seed)
    states = len(KINDS) * copies
    policies = PolicyClass.open_loop(horizon=horizon, states=states, actions=actions)
    secret = generator.integers(actions, size=horizon)
    good, mirror, lost, won = range(len(KINDS))
    kinds = np.stack(
        [generator.permutation(np.repeat(range(len(KINDS)), copies)) for _ in range(horizon)]
    )
    transitions = np.zeros((horizon, states, actions, states))
    rewards = np.zeros((horizon, states, actions))
    after = {good: lost, mirror: won, lost: lost, won: won}
    for h in range(horizon):
        following = kinds[min(h + 1, horizon - 1)]
        for x, kind in enumerate(kinds[h]):
            transitions[h, x] = (following == after[int(kind)]) / copies
            if kind in (good, mirror):
                transitions[h, x, secret[h]] = (following == kind) / copies
    last = kinds[-1]
    rewards[-1, last == won] = 1.0
    rewards[-1, last == mirror] = np.arange(actions) != secret[-1]
    rewards[-1, last == good] = np.arange(actions) == secret[-1]
    best = int(np.argmax((np.asarray(policies.table)[:, :, 0] == secret).all(axis=1)))
    return MaskedLock(
        EpisodicMDP(transitions, rewards, (kinds[0] == good) / copies),
        policies,
        best,
        Fraction(1),
        np.full((horizon, states), 1 / states),
        secret=secret,
        kinds=kinds,
        copies=copies,
    )


def masked_success(
    horizon: int, roll_outs: int, *, resets: int = 0, actions: int = 2, copies: int | None = None
) -> Fraction:
    """Return a bound on the probability that a learner returns the plan of a random masked lock.

    For learners with `roll_outs` roll-outs from the start, or from states seen in such, and
    `resets` roll-outs from reset states, which they may not go back to. (n + 1) / A^H where
    observations never show twice; with `copies` of each kind, and n roll-outs of all sorts, more
    by at most H n (n - 1) / (2 copies), the chance that a draw meets an earlier one.
    """
    check_positive_integer(horizon, "horizon")
    check_positive_integer(actions, "actions")
    for name, count in (("roll_outs", roll_outs), ("resets", resets)):
        if count < 0:
            raise ValueError(f"{name} is {count}; expected 0 or more")
    chance = Fraction(roll_outs + 1, actions**horizon)
    if copies is not None:
        check_positive_integer(copies, "copies")
        chance += Fraction(horizon * comb(roll_outs + resets, 2), copies)
    return min(chance, Fraction(1))


def hybrid_failure(horizon: int, draws: int) -> Fraction:
    """Return the probability that hybrid search does not see all of a masked lock, H >= 2.

    From a reset state of the layer before last, all A^2 plans of two steps are played: one pays
    at good, all but one at mirror, all or none elsewhere; A^2 > 2 tells which. In each layer
    before, every action is followed by the plan known for later layers, and one roll-out by
    another plan tells mirror, which pays it, from good. Half of the draws are good or mirror, so
    `draws` in each of H - 1 layers fail with probability exactly 1 - (1 - 2^-draws)^(H - 1); they
    are followed by at most draws (A^2 + (H - 2)(A + 1)) roll-outs. For A >= 2.
    """
    if check_positive_integer(horizon, "horizon") < 2:
        raise ValueError("horizon is 1; hybrid search needs two layers to tell good from mirror")
    check_positive_integer(draws, "draws")
    return 1 - (1 - Fraction(1, 2**draws)) ** (horizon - 1)
