"""Guarantees from data: pessimism, what coverage allows without optimism, linear features."""

import numpy as np
from guarantee_online import ARMS, DELTA, WALK, ceilings, pairs, successors, tracking
from guarantee_row import ROUNDING, Guarantee
from guarantee_worlds import coins, mixtures

from rltheory.linear_mdp import collect, memory, pevi, plan
from rltheory.linear_mdp.actor_critic import (
    collect_offline,
    hybrid_q,
    linear_nora,
    noah,
    pessimistic_actor_critic,
    pessimistic_value_iteration,
    pspi,
)
from rltheory.linear_mdp.actor_critic.offline import lower_bonuses
from rltheory.linear_mdp.actor_critic.offline_data import occupancy
from rltheory.linear_mdp.actor_critic.world import world_of
from rltheory.linear_mdp.function_classes import FiniteClass
from rltheory.linear_mdp.learner import Learner
from rltheory.linear_mdp.online import BLOCK
from rltheory.linear_mdp.rules import Settings as LinearSettings
from rltheory.linear_mdp.rules import world_of as linear_world_of
from rltheory.tabular.finite_horizon import backward_induction
from rltheory.theory.records.dr_rpo_frequencies import stated_bonus


def uniform_data(episodes, seed, arm=None):
    """Return episodes on the arms, of the uniform policy or of one arm alone."""
    policy = np.full(ARMS.rewards.shape, 0.5)
    if arm is not None:
        policy = np.eye(2)[np.full(ARMS.rewards.shape[:2], arm)]
    return collect_offline(ARMS, [policy], episodes=episodes, seed=seed + 10**6)


def covered(visits, episodes, offline):
    """Return what a greedy policy of estimates without bonus loses at most: 2 sum_h (h + 1) e_h.

    e_h = C (log(2 m (T + N) / delta) / 2n)^(1/2), n the fewest visits of a pair in the N offline
    episodes: how far means of V* are off, to be added up over the steps below, and then over the
    steps of the policy.
    """
    size = np.log(2 * pairs(ARMS).sum() * (episodes + offline) / DELTA)
    total = 0.0
    for h, most in enumerate(ceilings(ARMS)):
        if most:
            total += 2 * (h + 1) * most * np.sqrt(size / (2 * visits[h]))
    return total


PLENTY, BRIEF = 400, 60
"""Offline and online episodes of the algorithms that rely on data."""

EVEN = [160.0, 160.0]
"""About the fewest visits of a pair in so many uniform episodes."""


def fewest(data):
    """Return the fewest visits (H,) of a pair that can occur."""
    world, many = world_of(ARMS), data.pairs
    return [float(many[h, world.live[h, : world.lives[h]]].min()) for h in range(ARMS.horizon)]


def fitted(seed, arm=None):
    """Whether a policy of the hybrid Q-learner loses more than the data allow.

    From one arm's data it is held to what even data would allow.
    """
    data = uniform_data(PLENTY, seed, arm)
    run = hybrid_q(ARMS, data, episodes=BRIEF, seed=seed)
    visits = fewest(data) if arm is None else EVEN
    bound = covered(visits, BRIEF, PLENTY)
    return bool(run.suboptimality.max() > bound + ROUNDING)


def followed(seed, arm=None):
    """Whether the regret of NOAH is above what data and switches allow."""
    data = uniform_data(PLENTY, seed, arm)
    run = noah(ARMS, data, step=5.0, episodes=BRIEF, seed=seed)
    visits = fewest(data) if arm is None else EVEN
    bound = BRIEF * covered(visits, BRIEF, PLENTY)
    bound += tracking(ARMS, BRIEF, len(run.switches), 5.0)
    return bool(run.regret[-1] > bound + ROUNDING)


def from_data(algorithm, event, fails):
    return Guarantee(
        package="linear_mdp.actor_critic",
        algorithm=algorithm,
        event=event,
        numbers="fewest offline visits n of a pair",
        instance=f"arms, {PLENTY} uniform episodes offline, {BRIEF} online",
        delta=DELTA,
        fails=fails,
        control="data of the worse arm, held to the bound of even ones",
        spoilt=lambda seed: fails(seed, 0),
    )


COLLECTED, ROUNDS = 8000, 120
"""Offline episodes of the pessimists on the walk, and rounds of the actor."""

BEST = backward_induction(WALK)


def lower_scale():
    """Return the scale that covers all functions, for the logarithm of `lower_bonuses`."""
    size = np.log(5 * WALK.rewards.size * COLLECTED / DELTA)
    return float(np.sqrt((size + successors(WALK) * np.log(2)) / (2 * size)))


def uniform_walk(seed):
    uniform = np.full(WALK.rewards.shape, 1 / WALK.actions)
    return collect_offline(WALK, [uniform], episodes=COLLECTED, seed=seed)


def bonuses_met(data, rounds):
    """Return what is lost at most: twice the bonuses that an optimal policy meets on average.

    With an actor, more by Hedge's bound for its rounds, in every step.
    """
    bonuses = lower_bonuses(WALK, data.visits, scale=lower_scale(), confidence=DELTA)
    bound = 2 * float((occupancy(WALK, BEST.policy) * bonuses).sum())
    if rounds > 1:
        wide = np.cumsum(WALK.rewards.max(axis=(1, 2))[::-1])[::-1]
        step = np.sqrt(8 * np.log(WALK.actions) / rounds) / wide[0]
        bound += float((np.log(WALK.actions) / (step * rounds) + step * wide**2 / 8).sum())
    return bound


def pessimist(seed, share, algorithm, **settings):
    """Whether a promise is above the value, or more is lost than the bonuses met allow."""
    data = uniform_walk(seed)
    run = algorithm(WALK, data, scale=share * lower_scale(), confidence=DELTA, **settings)
    over = (run.promises > run.values + ROUNDING).any()
    return bool(over or run.suboptimality > bonuses_met(data, len(run.values)) + ROUNDING)


COINS, GUESSES = coins()


ABOVE = FiniteClass(GUESSES.table[4:])
"""The members that are above Q*."""


def least(seed, functions):
    """Whether PSPI promises more than a policy is worth, on 80 uniform episodes."""
    data = collect_offline(COINS, [np.full(COINS.rewards.shape, 0.5)], episodes=80, seed=seed)
    run = pspi(COINS, functions, data, rounds=5, step=1.0, delta=DELTA)
    return bool((run.promises > run.values + ROUNDING).any())


MIXED = mixtures()
PLANNED = plan(MIXED)
EPISODES = 40


def linear_scale(episodes, known):
    """Return scales (H,) of the elliptical bonus; more by the ridge's pull on rewards regressed."""
    pull = 0.0 if known else np.linalg.norm(MIXED.reward_weights, axis=1)
    return stated_bonus(MIXED, episodes, 1.0, DELTA) + pull


def linear_optimist(seed, share):
    """Whether LSVI-UCB undervalues a pair after some episode."""
    settings = LinearSettings(
        name="LSVI-UCB", bonus=share * linear_scale(EPISODES, False), bonus_form="elliptical",
        known_rewards=False,
    )  # fmt: skip
    for learnt in linear_watch(settings, episodes=EPISODES, seed=seed):
        if (PLANNED.action_values - learnt.action_values).max() > ROUNDING:
            return True
    return False


def linear_watch(settings, *, episodes, seed):
    """Play `run_online` on the mixtures; yield what is learnt before and after each episode."""
    root = np.random.default_rng(seed).integers(2**63, size=2)
    learner = Learner(
        linear_world_of(MIXED), settings.rule(MIXED, None), memory.empty(MIXED, 1.0, norms=True)
    )
    learner.estimate()
    yield learner.learnt()
    for k in range(episodes):
        if k % BLOCK == 0:
            width = 1 + 3 * MIXED.horizon
            draws = np.random.default_rng([*root, k // BLOCK]).random((BLOCK, width))
        learner.play(draws[k % BLOCK][None])
        yield learner.learnt()


def linear_actor(seed, share):
    """Whether linear NORA promises less than the optimum, or ends below it at some pair."""
    bonus = share * float(linear_scale(EPISODES, True).max())
    run = linear_nora(MIXED, bonus=bonus, episodes=EPISODES, seed=seed)
    short = (PLANNED.action_values - run.action_values).max()
    return bool(short > ROUNDING or (run.promises < run.optimum - ROUNDING).any())


def linear_bonuses_met(data):
    """Return twice the bonuses that the optimal policy meets on average."""
    bound, scale = 0.0, linear_scale(COLLECTED, False)
    met = occupancy(MIXED.to_tabular(), PLANNED.policy)
    for h in range(MIXED.horizon):
        x = MIXED.features[data.states[:, h], data.actions[:, h]]
        inverse = np.linalg.inv(np.eye(MIXED.dimension) + x.T @ x)
        norms = np.einsum("sai,ij,saj->sa", MIXED.features, inverse, MIXED.features)
        bound += 2 * float((met[h] * scale[h] * np.sqrt(norms)).sum())
    return bound


def linear_pessimist(seed, share):
    """Whether PEVI overvalues its policy at a pair, or loses more than the bonuses met allow."""
    data = collect(MIXED, episodes=COLLECTED, seed=seed)
    learnt = pevi(MIXED, data, bonus=share * linear_scale(COLLECTED, False))
    true = plan(MIXED, policy=learnt.policy)
    lost = MIXED.initial @ (PLANNED.values[0] - true.values[0])
    over = (learnt.action_values - true.action_values).max() > ROUNDING
    return bool(over or lost > linear_bonuses_met(data) + ROUNDING)


def pessimism(algorithm, numbers, run, **settings):
    return Guarantee(
        package="linear_mdp.actor_critic",
        algorithm=algorithm,
        event="promises below values, loss within the bonuses met",
        numbers=numbers,
        instance=f"walk, {COLLECTED} uniform episodes",
        delta=DELTA,
        fails=lambda seed: pessimist(seed, 1.0, run, **settings),
        control="no pessimism",
        spoilt=lambda seed: pessimist(seed, 0.0, run, **settings),
        quick=16,
    )


LOWER = "scale ((L + S' log 2) / 2L)^(1/2)"
STATED = "C (d log(1 + T / d) + 2 log((H - 1) 2^(S - 1) / delta))^(1/2) / 2 + C d^(1/2)"

ROWS = (
    from_data("hybrid_q", "every policy within 2 sum_h (h + 1) e_h", fitted),
    from_data("noah", "regret within T 2 sum_h (h + 1) e_h and tracking", followed),
    pessimism("pessimistic_value_iteration", LOWER, pessimistic_value_iteration),
    pessimism(
        "pessimistic_actor_critic", f"{LOWER}, {ROUNDS} rounds", pessimistic_actor_critic,
        rounds=ROUNDS,
    ),
    Guarantee(
        package="linear_mdp.actor_critic",
        algorithm="pspi",
        event="promises below values",
        numbers="`theory_radii`",
        instance="coins, a class complete for all policies, 80 episodes",
        delta=DELTA,
        fails=lambda seed: least(seed, GUESSES),
        control="a class without Q*, all of it above",
        spoilt=lambda seed: least(seed, ABOVE),
    ),
    Guarantee(
        package="linear_mdp.actor_critic",
        algorithm="linear_nora",
        event="promises above the optimum in every episode, and everywhere in the end",
        numbers=f"bonus {STATED}",
        instance=f"mixtures, d = 2, H = 3, T = {EPISODES}",
        delta=DELTA,
        fails=lambda seed: linear_actor(seed, 1.0),
        control="no bonus",
        spoilt=lambda seed: linear_actor(seed, 0.0),
    ),
    Guarantee(
        package="linear_mdp",
        algorithm="lsvi_ucb",
        event="optimism everywhere, after every episode",
        numbers="the same and the norm of the reward weights",
        instance=f"mixtures, d = 2, H = 3, T = {EPISODES}",
        delta=DELTA,
        fails=lambda seed: linear_optimist(seed, 1.0),
        control="a twentieth of the bonus",
        spoilt=lambda seed: linear_optimist(seed, 0.05),
    ),
    Guarantee(
        package="linear_mdp",
        algorithm="pevi",
        event="values from below everywhere, loss within twice the bonuses met",
        numbers="the same",
        instance=f"mixtures, {COLLECTED} uniform episodes",
        delta=DELTA,
        fails=lambda seed: linear_pessimist(seed, 1.0),
        control="no penalty",
        spoilt=lambda seed: linear_pessimist(seed, 0.0),
    ),
)  # fmt: skip
