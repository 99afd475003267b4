"""Families of MDPs that tell access models apart, with exact values: locks, failures, easy cases.

Each function returns an `Instance`: an MDP, the class that a learner competes in, reset
distributions where they belong to it, and Fractions of what matters. The statements are derived
here, by the arguments in the docstrings; they are in the spirit of Jia et al. (2023) and of
Krishnamurthy, Li and Sekhari (2025), whose constructions are other ones.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import comb

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import (
    FloatArray,
    IntArray,
    as_generator,
    check_positive_integer,
)
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.mdp import EpisodicMDP


@dataclass(frozen=True, eq=False)
class Instance:
    """An MDP and a class to learn in.

    reset: (H, S) distributions that mu-resets draw from, or None. best: index of the first best
    policy of the class; best_value: its value, a Fraction.
    """

    mdp: EpisodicMDP
    policies: PolicyClass
    best: int
    best_value: Fraction
    reset: FloatArray | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Lock(Instance):
    """A combination lock: every layer has good and bad states, and one action stays good.

    secret: (H,) the actions that open it; good: (H, S) which states are good; copies:
    observations of either kind in each layer.
    """

    secret: IntArray
    good: NDArray[np.bool_]
    copies: int

    @property
    def coverability(self) -> int:
        """The sum over pairs of the highest occupancy of the class, at the worst layer.

        A for one layer, where all is good; else 2 A: some plan makes the latent state good, some
        makes it bad, whatever its next action is, and observations share the mass of theirs. With
        one action nothing is ever bad.
        """
        actions = self.mdp.actions
        return actions if self.mdp.horizon == 1 or actions == 1 else 2 * actions


def combination_lock(
    horizon: int, *, actions: int = 2, copies: int = 1, seed: int | np.random.Generator
) -> Lock:
    """Return a lock with a random secret, and the class of plans that do not look at the state.

    Layers have 2 * `copies` states, half of them good, which half is drawn anew in each layer; the
    first state is good. At a good state the secret's action leads to a good state of the next
    layer and all else to a bad one, drawn uniformly from its kind; bad leads to bad. The last
    action pays 1 if it is the secret's at a good state. So a plan is worth 1 if it is the secret
    and else 0. Resets are uniform over states, hence over kinds.

    What is proved of it (class A^H, coverability 2 A, and after any plan some plan is greedy
    everywhere, so policies are complete):
    - From episodes alone, or with resets to seen states, every roll-out tries one plan as long as
      no observation shows twice by chance, and observations are noise until then: see
      `lock_success`.
    - With resets, one step of backward search finds a layer's action as soon as one roll-out pays:
      see `backward_failure`. A generative model offers the same, by calls at uniform states.
    Probabilities are exact in floats if `copies` is a power of two. Raises ValueError if the
    table of plans is too large.
    """
    check_positive_integer(horizon, "horizon")
    check_positive_integer(actions, "actions")
    check_positive_integer(copies, "copies")
    generator = as_generator(seed)
    policies = PolicyClass.open_loop(horizon=horizon, states=2 * copies, actions=actions)
    secret = generator.integers(actions, size=horizon)
    states = 2 * copies
    good = np.zeros((horizon, states), dtype=bool)
    for row in good:
        row[generator.permutation(states)[:copies]] = True
    transitions = np.zeros((horizon, states, actions, states))
    rewards = np.zeros((horizon, states, actions))
    for h in range(horizon):
        following = good[min(h + 1, horizon - 1)]
        transitions[h] = ~following / copies
        transitions[h, good[h], secret[h]] = following / copies
    rewards[-1, good[-1], secret[-1]] = 1.0
    index = int(np.argmax((np.asarray(policies.table)[:, :, 0] == secret).all(axis=1)))
    return Lock(
        EpisodicMDP(transitions, rewards, good[0] / copies),
        policies,
        index,
        Fraction(1),
        np.full((horizon, states), 1 / states),
        secret=secret,
        good=good,
        copies=copies,
    )


def lock_success(
    horizon: int, roll_outs: int, *, actions: int = 2, copies: int | None = None
) -> Fraction:
    """Return a bound on the probability that a learner returns the plan of a random lock.

    For every learner that gets `roll_outs` roll-outs, from the start or from seen states, and
    returns a plan, over a uniform secret and uniform kinds of observations. With observations
    that never show twice (`copies` None) the bound is attained, by trying plans one by one:
    (n + 1) / A^H, at most 1. With `copies` of each kind, it grows by the chance that one of n
    draws in a layer meets an earlier one, at most H n (n - 1) / (2 copies).

    Proof: as long as every draw is a fresh observation, it is uniform over those not seen, be it
    good or bad, so transcripts tell only which plans (of prefix and roll-out together) paid
    nothing; n of them rule out n plans, and the answer is one more. A draw fails to be fresh with
    probability at most (earlier draws) / copies; couple.
    """
    check_positive_integer(horizon, "horizon")
    check_positive_integer(actions, "actions")
    if roll_outs < 0:
        raise ValueError(f"roll_outs is {roll_outs}; expected 0 or more")
    chance = Fraction(roll_outs + 1, actions**horizon)
    if copies is not None:
        check_positive_integer(copies, "copies")
        chance += Fraction(horizon * comb(roll_outs, 2), copies)
    return min(chance, Fraction(1))


def lock_roll_outs(horizon: int, *, actions: int = 2, success: Fraction = Fraction(1, 2)) -> int:
    """Return the fewest roll-outs that find the plan of a random lock with a given probability.

    Observations never show twice; the least n with (n + 1) / A^H >= success.
    """
    _check_probability(success, "success")
    needed = success * actions ** check_positive_integer(horizon, "horizon")
    return int(max(-(-needed.numerator // needed.denominator) - 1, 0))


def backward_failure(horizon: int, each: int, *, actions: int = 2) -> Fraction:
    """Return the probability that backward search with resets does not see all of a lock.

    It draws `each` times, at every layer from the last on, a state uniformly and an action
    uniformly, and rolls out with the plan found for later layers. One pay names the action; each
    draw pays with probability 1 / (2 A), so that the probability is exactly
    1 - (1 - (1 - 1/(2 A))^each)^H. Guesses of actions that never paid are not credited.
    """
    check_positive_integer(horizon, "horizon")
    check_positive_integer(each, "each")
    miss = (1 - Fraction(1, 2 * check_positive_integer(actions, "actions"))) ** each
    return 1 - (1 - miss) ** horizon


def backward_calls(horizon: int, *, actions: int = 2, success: Fraction = Fraction(1, 2)) -> int:
    """Return the calls of a generative model by which backward search opens a lock.

    The least number of draws in each layer with a failure of at most 1 - success, and a roll-out
    from layer h costs H - h calls (h from 0): each * H (H + 1) / 2.
    """
    _check_probability(success, "success")
    if success == 1:
        raise ValueError("success is 1; no number of draws is certain to see a pay")
    each = 1
    while backward_failure(horizon, each, actions=actions) > 1 - success:
        each += 1
    return each * horizon * (horizon + 1) // 2


def psdp_failure(
    *, decoy: Fraction = Fraction(9, 10), weight: Fraction = Fraction(1, 3)
) -> Instance:
    """Return two layers on which PSDP and CPI return value 0 while their class has a value of 1.

    The first state leads to b by action 0 and to c by action 1. At b action 1 pays 1, at c action
    0 pays `decoy`, all else 0. The class has f, (0; 1 at b and c), worth 1 and best of all
    policies, and g, (0; 0 at b and c), worth 0. The reset of the second layer gives b `weight` and
    c the rest: g scores (1 - weight) decoy there and f scores `weight`, so that a backward step
    takes g, and CPI that starts at g sees no advantage of f. The missing policy, 1 at b and 0 at
    c, is greedy everywhere; with it the class is complete and PSDP returns 1. Of the second layer
    the class meets b alone, at a concentrability of 1 / weight.

    Raises ValueError unless 0 < decoy < 1 and 0 < weight < (1 - weight) decoy.
    """
    _check_probability(decoy, "decoy")
    _check_probability(weight, "weight")
    if not (decoy < 1 and weight < (1 - weight) * decoy):
        raise ValueError(
            f"decoy is {decoy} and weight is {weight}; expected decoy < 1 and "
            "weight < (1 - weight) decoy, for the backward step to fail"
        )
    transitions, rewards = np.zeros((2, 2, 2, 2)), np.zeros((2, 2, 2))
    transitions[0, :, 0, 0] = transitions[0, :, 1, 1] = 1.0
    transitions[1, :, :, 0] = 1.0
    rewards[1, 0, 1], rewards[1, 1, 0] = 1.0, float(decoy)
    table = np.array([[[0, 0], [1, 1]], [[0, 0], [0, 0]]])
    reset = np.array([[1.0, 0.0], [float(weight), float(1 - weight)]])
    return Instance(
        EpisodicMDP(transitions, rewards, np.array([1.0, 0.0])),
        PolicyClass(table, 2, np.array([1, 2])),
        0,
        Fraction(1),
        reset,
    )


def deterministic_case(
    policies: PolicyClass, *, levels: int = 8, seed: int | np.random.Generator
) -> Instance:
    """Return a random deterministic MDP on the layers of a class, the easy case of online access.

    Rewards are multiples of 1 / (levels H), so that returns lie in [0, 1]. Episodes of one policy
    after the other, each leaving out policies whose path is known, see all pairs that the class
    reaches after at most as many episodes as there are pairs, H C at most: see
    `episodes_to_see_all`.
    """
    if not isinstance(policies, PolicyClass):
        raise TypeError(f"policies is {policies!r:.80}; expected a PolicyClass")
    check_positive_integer(levels, "levels")
    generator = as_generator(seed)
    horizon, states, actions = policies.horizon, policies.states, policies.actions
    sizes = np.asarray(policies.layer_sizes)
    after = np.append(sizes[1:], sizes[-1])
    goes = generator.integers(after[:, None, None], size=(horizon, states, actions))
    pays = generator.integers(levels + 1, size=(horizon, states, actions))
    start = int(generator.integers(sizes[0]))
    table, rows = np.asarray(policies.table), np.arange(len(policies))
    here, total = np.full(len(policies), start), np.zeros(len(policies), dtype=np.int64)
    for h in range(horizon):
        taken = table[rows, h, here].astype(np.int64)
        total += pays[h, here, taken]
        here = goes[h, here, taken]
    mdp = EpisodicMDP(np.eye(states)[goes], pays / (levels * horizon), np.eye(states)[start])
    best = int(np.argmax(total))
    return Instance(mdp, policies, best, Fraction(int(total[best]), levels * horizon))


def episodes_to_see_all(instance: Instance) -> int:
    """Return the episodes after which a deterministic MDP is known wherever the class goes.

    Policies are run in their order, unless what was seen already tells their path.
    """
    mdp, table = instance.mdp, np.asarray(instance.policies.table)
    goes = np.argmax(mdp.transitions, axis=-1)
    start, count = int(np.argmax(mdp.initial)), 0
    seen: set[tuple[int, int, int]] = set()
    for policy in table:
        path, here = [], start
        for h in range(mdp.horizon):
            action = int(policy[h, here])
            path.append((h, here, action))
            here = int(goes[h, here, action])
        if not seen.issuperset(path):
            count += 1
            seen.update(path)
    return count


def _check_probability(value: Fraction, name: str) -> None:
    if not isinstance(value, Fraction | int) or not 0 < value <= 1:
        raise ValueError(f"{name} is {value!r}; expected a Fraction in (0, 1]")
