"""Guarantees of the tabular online algorithms: optimism at all times, and regret.

Rewards are known. With L = log(5 m T / delta), m pairs that can occur and T episodes, the means of
all visits of all pairs miss the expectation of one function in [0, C] by less than C (L / 2n)^(1/2)
with probability 1 - delta / 5 on either side (Hoeffding, a union over pairs and numbers of visits).
For all such functions at once a union over the sets of S' successors does it, as a linear function
of f is largest at an indicator: L + S' log 2 in place of L. Everything is derived here.
"""

import numpy as np
from guarantee_row import ROUNDING, Guarantee
from guarantee_worlds import arms, walk

from rltheory.analysis.arrays import as_generator
from rltheory.linear_mdp.actor_critic import (
    collect_offline,
    douhua,
    nora,
    nora_settings,
    q_learning_ucb,
    run_actor_critic,
    tabular_lsvi_ucb,
    ucbvi,
    ucbvi_settings,
)
from rltheory.linear_mdp.actor_critic.douhua import douhua_settings
from rltheory.linear_mdp.actor_critic.loop import play
from rltheory.linear_mdp.actor_critic.pieces import BLOCK
from rltheory.linear_mdp.actor_critic.runs import empty
from rltheory.linear_mdp.actor_critic.settings import Settings, theory_step
from rltheory.linear_mdp.actor_critic.state import GREATEST
from rltheory.linear_mdp.actor_critic.world import live_pairs, world_of
from rltheory.tabular.finite_horizon import backward_induction

DELTA = 0.2
EPISODES = 40
"""Of the runs whose optimism is watched."""


def watch(mdp, settings, *, episodes, seed, offline=None):
    """Play `run_actor_critic` episode by episode; yield the memory after each of them."""
    world = world_of(mdp)
    rule = settings.rule(world, episodes)
    root = as_generator(seed).integers(2**63, size=2)
    memory = empty(world, rule, offline)
    numbers, switched = np.zeros((3, 1)), np.zeros(1, dtype=bool)
    for k in range(episodes):
        if k % BLOCK == 0:
            width = 1 + 2 * mdp.horizon
            draws = np.random.default_rng([*root, k // BLOCK]).random((BLOCK, width))
        play(world, rule, memory, draws[k % BLOCK][None], *numbers, switched)
        yield rule, memory, numbers[0, 0]


def aimed_at(mdp, rule, memory, best):
    """Return what the critic is an upper bound of: Q*, or Q of the policy that it was fitted to."""
    if rule.target == GREATEST:
        return best
    # The actor has moved once since: its step is taken back.
    logits = memory.logits - rule.step * memory.action_values
    policy = np.exp(logits - logits.max(axis=-1, keepdims=True))
    policy /= policy.sum(axis=-1, keepdims=True)
    return values_of(mdp, policy)


def values_of(mdp, policy):
    """Return Q (H, S, A) of a policy (H, S, A)."""
    found, after = np.empty(mdp.rewards.shape), np.zeros(mdp.states)
    for h in reversed(range(mdp.horizon)):
        found[h] = mdp.rewards[h] + mdp.transitions[h] @ after
        after = (policy[h] * found[h]).sum(axis=-1)
    return found


def hopeless(mdp, settings, *, episodes, seed, offline=None):
    """Whether the critic is ever below what it aims at, at some pair that can occur."""
    world = world_of(mdp)
    live = np.zeros(mdp.rewards.shape[:2], dtype=bool)
    for h, count in enumerate(world.lives):
        live[h, world.live[h, :count]] = True
    best = backward_induction(mdp).action_values
    for rule, memory, _ in watch(mdp, settings, episodes=episodes, seed=seed, offline=offline):
        short = aimed_at(mdp, rule, memory, best) - memory.action_values
        if short[live].max() > ROUNDING:
            return True
    return False


def pairs(mdp):
    """Return the numbers of pairs that can occur at each step, (H,)."""
    return live_pairs(world_of(mdp)).astype(float)


def ceilings(mdp):
    """Return the most that can be earned after each step, (H,)."""
    return world_of(mdp).ceilings[1:]


def successors(mdp):
    """Return the largest number S' of next states of a pair."""
    return int((mdp.transitions > 0).sum(axis=-1).max())


def log_term(mdp, episodes):
    """Return L."""
    return float(np.log(5 * pairs(mdp).sum() * episodes / DELTA))


FIXED = 0.5**0.5
"""The scale at which C (L / n)^(1/2) covers one function: Q* is one."""


def uniform_scale(mdp, episodes):
    """Return the scale that covers all functions: ((L + S' log 2) / 2L)^(1/2)."""
    size = log_term(mdp, episodes)
    return float(np.sqrt((size + successors(mdp) * np.log(2)) / (2 * size)))


def ridge_scale(mdp, episodes, ridge=1.0):
    """Return the scale that covers the pull of the ridge to 0 too: (1/2 + ridge / L)^(1/2).

    By Cauchy's inequality: ridge + (n L / 2)^(1/2) <= ((ridge + L / 2)(ridge + n))^(1/2).
    """
    return float(np.sqrt(0.5 + ridge / log_term(mdp, episodes)))


def window_scale(mdp, episodes):
    """Return the scale for data that are thrown away: a union over first and last visits too."""
    size = log_term(mdp, episodes)
    return float(np.sqrt((size + np.log(episodes) + successors(mdp) * np.log(2)) / (2 * size)))


def q_settings(scale, bonus="hoeffding"):
    return Settings(name="Q-learning", bonus=bonus, scale=scale, confidence=DELTA, switch="steps")


def npg_settings(scale):
    return Settings(
        name="NPG", target="policy", scale=scale, confidence=DELTA, threshold=10, forget=True,
        actor="weights", step=1.0, rounds=3,
    )  # fmt: skip


WALK = walk()


def before(seed):
    """Return the counts of 100 uniform episodes on the walk."""
    uniform = np.full(WALK.rewards.shape, 1 / WALK.actions)
    return collect_offline(WALK, [uniform], episodes=100, seed=seed + 10**6).visits


def optimism(algorithm, numbers, settings, scale, tenth=0.1, offline=False):
    """Return the row of an algorithm's optimism; settings: by the scale of the bonus."""

    def run(seed, share):
        data = before(seed) if offline else None
        chosen = settings(share * scale)
        return hopeless(WALK, chosen, episodes=EPISODES, seed=seed, offline=data)

    return Guarantee(
        package="linear_mdp.actor_critic",
        algorithm=algorithm,
        event="optimism everywhere, after every episode",
        numbers=numbers,
        instance=f"walk, H = 3, S = A = 2, T = {EPISODES}",
        delta=DELTA,
        fails=lambda seed: run(seed, 1.0),
        control=f"{tenth:g} times the bonus" if tenth else "no bonus",
        spoilt=lambda seed: run(seed, tenth),
        quick=8,
    )


HALF = "scale (1/2)^(1/2)"
UNIFORM = "scale ((L + S' log 2) / 2L)^(1/2)"

OPTIMISM = (
    optimism(
        "ucbvi", HALF, lambda c: ucbvi_settings(scale=c, confidence=DELTA), FIXED
    ),
    optimism(
        "ucbvi (freedman)", "scale 1, as published",
        lambda c: ucbvi_settings(bonus="freedman", scale=c, confidence=DELTA), 1.0, tenth=0.01,
    ),
    optimism(
        "rare_ucbvi", HALF,
        lambda c: Settings(name="rare", scale=c, confidence=DELTA, switch="residual"), FIXED,
    ),
    optimism(
        "tabular_lsvi_ucb", "scale (1/2 + ridge / L)^(1/2)",
        lambda c: Settings(name="ridge", scale=c, ridge=1.0, confidence=DELTA),
        ridge_scale(WALK, EPISODES),
    ),
    optimism("q_learning_ucb", "scale c = 1 on C (H L / n)^(1/2)", q_settings, 1.0),
    optimism(
        "q_learning_ucb_b", "scale c = 2, T <= H^4 S A L", lambda c: q_settings(c, "bernstein"), 2.0
    ),
    optimism("nora", HALF, lambda c: nora_settings(scale=c, confidence=DELTA), FIXED),
    optimism(
        "douhua", UNIFORM, lambda c: douhua_settings(scale=c, confidence=DELTA),
        uniform_scale(WALK, EPISODES),
    ),
    optimism(
        "optimistic_npg", "L + log T + S' log 2 for L, the same scale", npg_settings,
        window_scale(WALK, EPISODES),
    ),
    optimism(
        "hybrid_nora", HALF + ", at most 4 T offline episodes",
        lambda c: nora_settings(scale=c, confidence=DELTA), FIXED, tenth=0.0, offline=True,
    ),
    optimism(
        "hybrid_ucbvi", HALF + ", at most 4 T offline episodes",
        lambda c: ucbvi_settings(scale=c, confidence=DELTA), FIXED, tenth=0.0, offline=True,
    ),
)  # fmt: skip

ARMS = arms()


def width_sum(mdp, episodes, scale, grown=1.0):
    """Return what optimism costs at most: sum_h C m_h + 2 w (m_h T)^(1/2), and chance.

    w = C (scale L^(1/2) + ((L' + S' log 2) / 2)^(1/2)), L' = log(3 m T / delta), times the root of
    `grown`, the factor by which visits outgrow those that the critic knows. Sums over visits become
    expectations under the policies played at B (T log(3 / delta) / 2)^(1/2), B = sum_h C, by the
    inequality of Azuma and Hoeffding.
    """
    size, many, most = log_term(mdp, episodes), pairs(mdp), ceilings(mdp)
    other = np.log(3 * many.sum() * episodes / DELTA) + successors(mdp) * np.log(2)
    widths = np.sqrt(grown) * most * (scale * np.sqrt(size) + np.sqrt(other / 2))
    chance = most.sum() * np.sqrt(episodes * np.log(3 / DELTA) / 2)
    return float((most * many + 2 * widths * np.sqrt(many * episodes)).sum() + chance)


def spans(mdp):
    """Return by how much a critic's actions may differ at most in a state, (H,)."""
    return ceilings(mdp) + np.ptp(mdp.rewards, axis=-1).max(axis=-1)


def tracking(mdp, episodes, switches, step):
    """Return what an actor loses at most to critics that stay: G + log(A) (1 + log T) / step each.

    After j steps it loses at most log(A) / (j step) in any state.
    """
    wide = spans(mdp)
    each = wide + np.log(mdp.actions) / step * (1 + np.log(episodes))
    return float(switches * each[wide > 0].sum())


def hedged(mdp, episodes, step):
    """Return Hedge's bound against critics that change: log A / s + s G^2 T / 8, step s."""
    wide = spans(mdp)
    each = np.log(mdp.actions) / step + step * wide**2 * episodes / 8
    return float(each[wide > 0].sum())


def q_learning_bound(mdp, episodes):
    """Return the bound for Q-learning with c = 1, from a fixed first state.

    R_h <= m_h C + 6 C (H L m_h T)^(1/2) + C (T log(3 H / delta) / 2)^(1/2) + (1 + 1/H) R_{h+1}: as
    in Jin, Allen-Zhu, Bubeck and Jordan (2018), whose lemma on the learning rates is used: their
    squares add to at most 2 H / n, and weighted bonuses to at most twice the last.
    """
    size, many, most = log_term(mdp, episodes), pairs(mdp), ceilings(mdp)
    total = 0.0
    for h in reversed(range(mdp.horizon)):
        total *= 1 + 1 / mdp.horizon
        total += most[h] * many[h] + 6 * most[h] * np.sqrt(mdp.horizon * size * many[h] * episodes)
        total += most[h] * np.sqrt(episodes * np.log(3 * mdp.horizon / DELTA) / 2)
    return float(total)


def doubly(seed, episodes, **settings):
    run = douhua(
        ARMS, scale=uniform_scale(ARMS, episodes), confidence=DELTA, episodes=episodes, seed=seed,
        **settings,
    )  # fmt: skip
    step = theory_step(douhua_settings(), world_of(ARMS), episodes)
    bound = width_sum(ARMS, episodes, uniform_scale(ARMS, episodes)) + hedged(ARMS, episodes, step)
    return run, bound


def rarely(seed, episodes, step=5.0):
    run = nora(
        ARMS, switch="counts", step=step, scale=FIXED, confidence=DELTA, episodes=episodes,
        seed=seed,
    )  # fmt: skip
    bound = width_sum(ARMS, episodes, FIXED, grown=2) + tracking(ARMS, episodes, run.bound, 5.0)
    return run, bound


def seldom(seed, episodes, bonus="hoeffding"):
    settings = Settings(name="rare", bonus=bonus, scale=FIXED, confidence=DELTA, switch="counts")
    run = run_actor_critic(ARMS, settings, episodes=episodes, seed=seed)
    return run, width_sum(ARMS, episodes, FIXED, grown=2)


def greedily(algorithm, seed, episodes, theory, **settings):
    run = algorithm(ARMS, confidence=DELTA, episodes=episodes, seed=seed, **settings)
    return run, width_sum(ARMS, episodes, theory)


def stepwise(seed, episodes, optimism=True):
    run = q_learning_ucb(
        ARMS, optimism=optimism, scale=1.0, confidence=DELTA, episodes=episodes, seed=seed
    )
    return run, q_learning_bound(ARMS, episodes)


def dear(found):
    """Whether the regret is above its bound."""
    run, bound = found
    return bool(run.regret[-1] > bound + ROUNDING)


def regret(algorithm, episodes, run, spoilt, numbers, control="no bonus", quick=6):
    """Return the row of an algorithm's regret on two arms."""
    return Guarantee(
        package="linear_mdp.actor_critic",
        algorithm=algorithm,
        event="regret below its bound",
        numbers=numbers,
        instance=f"arms, H = 2, S = A = 2, T = {episodes}",
        delta=DELTA,
        fails=lambda seed: dear(run(seed)),
        control=control,
        spoilt=lambda seed: dear(spoilt(seed)),
        quick=quick,
    )


def regrets():
    ridge = ridge_scale(ARMS, 1000)
    return (
        regret(
            "ucbvi", 1000, lambda k: greedily(ucbvi, k, 1000, FIXED, scale=FIXED),
            lambda k: greedily(ucbvi, k, 1000, FIXED, scale=FIXED, bonus="none"), HALF,
        ),
        regret(
            "rare_ucbvi", 2000, lambda k: seldom(k, 2000), lambda k: seldom(k, 2000, "none"),
            HALF + ", switch at twice the visits",
        ),
        regret(
            "tabular_lsvi_ucb", 1000,
            lambda k: greedily(tabular_lsvi_ucb, k, 1000, ridge, scale=ridge),
            lambda k: greedily(tabular_lsvi_ucb, k, 1000, ridge, scale=0.0),
            "scale (1/2 + ridge / L)^(1/2)", "scale 0",
        ),
        regret(
            "nora", 4000, lambda k: rarely(k, 4000), lambda k: rarely(k, 4000, 0.0),
            HALF + ", switch at twice the visits, step 5", "an actor that stays",
        ),
        regret(
            "douhua", 2000, lambda k: doubly(k, 2000), lambda k: doubly(k, 2000, step=0.0),
            UNIFORM + ", theory's step", "an actor that stays",
        ),
        regret(
            "q_learning_ucb", 4000, lambda k: stepwise(k, 4000),
            lambda k: stepwise(k, 4000, optimism=False), "scale c = 1",
        ),
    )  # fmt: skip


ROWS = (*OPTIMISM, *regrets())
