"""Guarantees of learners over a class of policies, at the numbers that their theory asks for."""

from functools import cache

import numpy as np
from guarantee_row import ROUNDING, Guarantee
from guarantee_worlds import contrast, latent_lock

from rltheory.tabular.agnostic import (
    BlockMDP,
    Generative,
    Hybrid,
    Online,
    PolicyClass,
    Resets,
    class_values,
    cpi,
    emulator_error,
    importance_sampling_erm,
    layer_core,
    policy_emulator,
    popler,
    psdp,
    psdp_resets,
    trajectory_tree_erm,
)
from rltheory.tabular.agnostic.cpi import cpi_parameters
from rltheory.tabular.agnostic.emulator import ideal_emulator
from rltheory.tabular.agnostic.guarantees import bernstein_repetitions, emulator_numbers
from rltheory.tabular.agnostic.popler import PoplerParameters, popler_parameters
from rltheory.tabular.agnostic.psdp import policy_value
from rltheory.tabular.finite_horizon import backward_induction
from rltheory.theory.records.agnostic_psdp import fork

DELTA = 0.2
EVERY = PolicyClass.tabular(horizon=2, states=2)
SINGLES = PolicyClass.singletons(horizon=2, states=2)
OWN = 10**6
"""Added to the seed for the learner's own draws, which are not those of the MDP."""


def misses(found, policies, accuracy):
    """Whether some value is off by half the accuracy, or the choice loses more than all of it."""
    truth = class_values(contrast(), policies).values
    off = np.abs(found.values - truth).max() > accuracy / 2 + ROUNDING
    return bool(off or truth[found.best] < truth.max() - accuracy - ROUNDING)


def trees(seed, **numbers):
    access = Generative(contrast(), seed=seed, rewards="bernoulli")
    found = trajectory_tree_erm(access, EVERY, confidence=1 - DELTA, **numbers)
    return misses(found, EVERY, 0.5)


def weights(seed, **numbers):
    access = Online(contrast(), seed=seed, rewards="bernoulli")
    found = importance_sampling_erm(access, EVERY, confidence=1 - DELTA, seed=seed + OWN, **numbers)
    return misses(found, EVERY, 0.5)


@cache
def flower():
    return layer_core(SINGLES)


def along_a_core(seed, parameters):
    access = Online(contrast(), seed=seed, rewards="bernoulli")
    found = popler(
        access, SINGLES, flower().core, flower().petals, parameters=parameters, seed=seed + OWN
    )
    return misses(found, SINGLES, 0.3)


@cache
def popler_numbers(share=1.0):
    theory = popler_parameters(
        policies=len(SINGLES), core=flower().core_size, petals=0, accuracy=0.3, confidence=1 - DELTA
    )
    return PoplerParameters(int(theory.start_episodes * share), 1, theory.threshold)


PATH = np.array([[1.0, 0.0], [0.75, 0.25]])
"""Resets on the fork that see b three times in four: the best policy has concentrability 4/3."""


def backward(seed, share=1.0):
    count = psdp_resets(EVERY, epsilon=0.5, delta=DELTA, concentrability=4 / 3)
    access = Resets(fork(0.25), PATH, seed=seed, rewards="bernoulli")
    found = psdp(access, EVERY, resets_per_layer=max(1, int(count * share)), seed=seed + OWN)
    return bool(policy_value(fork(0.25), found.policy) < 0.5)


AWAY = PolicyClass(np.array([[[1, 1], [0, 0]], [[0, 0], [1, 1]]]), 2)
"""Go to c and take 0 everywhere, or go to b and take 1 everywhere: the first has no greedy one."""

BEST = np.array([[1.0, 0.0], [1.0, 0.0]])
"""Resets to the path of the best policy: concentrability 1."""


def conservative(seed, policies=EVERY, mu=BEST, ratio=1.0, epsilon=0.74):
    numbers = cpi_parameters(policies, epsilon=epsilon, delta=DELTA, concentrability=ratio)
    mdp = fork(0.25)
    found = cpi(Resets(mdp, mu, seed=seed), policies, seed=seed + OWN, first=0, **vars(numbers))
    value = mdp.initial @ backward_induction(mdp, policy=found.policy).values[0]
    return bool(value < 1 - epsilon)


@cache
def rich():
    """A lock of two steps with four observations of each latent state, and its latent policies."""
    block = BlockMDP.rich(latent_lock(), 4, seed=0)
    return block, block.observed(), block.lifted(EVERY)


@cache
def separation():
    """The least difference of latent states: over steps, of the largest over policies and actions.

    From the emulator of one observation for each latent state, which has no error.
    """
    block, _, policies = rich()
    names = np.stack([[np.flatnonzero(row == s)[0] for s in (0, 1)] for row in block.decoder])
    ideal = ideal_emulator(block, names)
    q = [ideal.action_values(policies, h) for h in range(2)]
    return min(float(np.abs(now[:, 0] - now[:, 1]).max()) for now in q)


def emulate(seed, **settings):
    block, world, policies = rich()
    numbers = emulator_numbers(
        len(policies),
        horizon=2,
        states=2,
        actions=2,
        emitted=8,
        separation=separation(),
        confidence=1 - DELTA,
    )
    access = Hybrid(world, block.reset, seed=seed, rewards="bernoulli")
    asked = {"draws": numbers.draws, "rollouts": numbers.rollouts} | settings
    found = policy_emulator(
        access, policies, accuracy=numbers.accuracy, observations=numbers.observations, **asked
    )
    return bool(emulator_error(world, policies, found.emulator) > numbers.error + ROUNDING)


_BOTH = "values within eps / 2, choice within eps"
_CHOICE = "choice within eps"

ROWS = (
    Guarantee(
        package="tabular.agnostic",
        algorithm="trajectory_tree_erm",
        event=_BOTH,
        numbers="2 log(2 P / delta) / eps^2 trees, eps = 0.5",
        instance="contrast, all 16 policies",
        delta=DELTA,
        fails=lambda seed: trees(seed, accuracy=0.5),
        control="one tree",
        spoilt=lambda seed: trees(seed, trees=1),
    ),
    Guarantee(
        package="tabular.agnostic",
        algorithm="importance_sampling_erm",
        event=_BOTH,
        numbers="Bernstein's number of episodes, eps = 0.5",
        instance="contrast, all 16 policies",
        delta=DELTA,
        fails=lambda seed: weights(seed, accuracy=0.5),
        control="a hundredth of the episodes",
        spoilt=lambda seed: weights(
            seed, episodes=bernstein_repetitions(16, 0.5, 1 - DELTA, weight=4.0) // 100
        ),
    ),
    Guarantee(
        package="tabular.agnostic",
        algorithm="popler",
        event=_BOTH,
        numbers="2 K^2 log(2 P / delta) / eps^2 episodes, no petals, eps = 0.3",
        instance="contrast, singletons, K = 3",
        delta=DELTA,
        fails=lambda seed: along_a_core(seed, popler_numbers()),
        control="a hundredth of the episodes",
        spoilt=lambda seed: along_a_core(seed, popler_numbers(0.01)),
        quick=12,
    ),
    Guarantee(
        package="tabular.agnostic",
        algorithm="psdp",
        event=_CHOICE,
        numbers="`psdp_resets`, eps = 0.5, C = 4/3",
        instance="fork, all 16 policies",
        delta=DELTA,
        fails=backward,
        control="one reset for each step",
        spoilt=lambda seed: backward(seed, 1e-4),
        quick=24,
    ),
    Guarantee(
        package="tabular.agnostic",
        algorithm="cpi",
        event=_CHOICE,
        numbers="`cpi_parameters`, eps = 0.74, C = 1",
        instance="fork, all 16 policies",
        delta=DELTA,
        fails=conservative,
        control="a class without a greedy policy, C = 4/3",
        spoilt=lambda seed: conservative(seed, AWAY, PATH, 4 / 3),
        quick=4,
    ),
    Guarantee(
        package="tabular.agnostic",
        algorithm="policy_emulator",
        event="all emulated values within (H + 1) a / (4 H)",
        numbers="`emulator_numbers`, a = 3/5 of the separation",
        instance="latent lock, 8 observations a step, its 16 latent policies",
        delta=DELTA,
        fails=emulate,
        control="no tests",
        spoilt=lambda seed: emulate(seed, rollouts=0),
    ),
)
