# %% [markdown]
"""
# Does a slope of one half show that regret grows like the square root?

Bounds for actor-critics promise regret of order sqrt(T), and a straight line of slope 1/2 on
logarithmic axes is readily taken for evidence. Regret here is exact, every policy that is played is
evaluated by backward induction, so that the line can be cross-examined.
"""

# %%
from functools import partial

import matplotlib.pyplot as plt
import numpy as np

from rltheory.analysis import fit_rate
from rltheory.linear_mdp import sweep_seeds
from rltheory.linear_mdp.actor_critic import nora
from rltheory.linear_mdp.actor_critic.power import power_statement
from rltheory.linear_mdp.environments.actor_critic_worlds import needle, two_thread_lock
from rltheory.linear_mdp.environments.hard_families import fine_lock
from rltheory.tabular import backward_induction

# %% [markdown]
# ## One world
# NORA refits its critic when residuals speak against it, and moves its actor by exponential
# weights in between. In one world it learns and is done: regret stops, and the slope falls with
# the stretch that it is fitted to. That is no contradiction to a bound, and no evidence for it.

# %%
lock = two_thread_lock(length=4, actions=3, seed=0)
runs = sweep_seeds(partial(nora, lock, episodes=4000), 8)
curves = np.array([run.regret for run in runs])
for stretch in ([125, 250, 500], [1000, 2000, 4000]):
    points = np.array(stretch)
    print(f"episodes {stretch}: slope {fit_rate(points, curves[:, points - 1]).slope:.2f}")

# %% [markdown]
# ## A world for each T
# The bound is about the worst world, and which one that is depends on T. In a *needle* one choice
# of n is better than the rest by a gap; a gap of 2 sigma sqrt(n / T), sigma the deviation of a try,
# is what T episodes just fail to see. So every T gets its own gap, and whole runs are fitted.

# %%
TOTALS = np.array([500, 1000, 2000, 4000])
SEEDS = range(16)


def needles(total, seed):
    """Return a needle of 4 doors and 4 actions with the gap that is hardest for `total`."""
    return needle(4, 4, gap=min(0.5, np.sqrt(16 / total)), seed=seed)


def locks(total, seed):
    """Return a needle of 2 doors and 3 actions behind a lock of two levers."""
    return fine_lock(2, 3, gap=min(0.5, np.sqrt(6 / total)), seed=seed)


def uniform(mdp, episodes, seed):
    """Return the regret of never learning anything."""
    policy = np.full(mdp.rewards.shape, 1 / mdp.actions)
    lost = backward_induction(mdp).values[0] - backward_induction(mdp, policy=policy).values[0]
    return episodes * float(mdp.initial @ lost)


def learnt(mdp, episodes, seed, **settings):
    """Return the regret of a whole run of NORA."""
    return nora(mdp, episodes=episodes, seed=seed, **settings).regret[-1]


LEARNERS = {
    "NORA": partial(learnt, scale=0.1),
    "NORA without optimism": partial(learnt, optimism=False),
    "uniform policy": uniform,
}


def regrets(family, learner):
    """Return regret at each total, shape (seeds, totals)."""
    return np.array(
        [[learner(family(total, seed), total, seed) for total in TOTALS.tolist()] for seed in SEEDS]
    )


found = {
    (name, learner): regrets(family, LEARNERS[learner])
    for name, family in {"needle": needles, "fine lock": locks}.items()
    for learner in LEARNERS
}
for (name, learner), losses in found.items():
    rate = fit_rate(TOTALS, losses)
    low, high = float(rate.interval.lower), float(rate.interval.upper)
    print(f"{name:9s} {learner:22s} slope {rate.slope:.2f}, interval {low:.2f} to {high:.2f}")

# %% [markdown]
# ## The suspect that did nothing
# In the needle the uniform policy has slope 1/2 to all digits. It loses a fixed share of the gap in
# every episode, and T / sqrt(T) is sqrt(T): the family put the slope there, not the learner. Any
# family whose policies lose no more than in proportion to the gap does the same.

# %%
idle = fit_rate(TOTALS, found["needle", "uniform policy"]).slope
print(f"uniform policy on needles: {idle:.12f}")
assert abs(idle - 0.5) < 1e-9

# %% [markdown]
# The lock is another matter. Whoever does not explore stays at the distractor before the door and
# loses nearly as much in every episode, whatever the gap: the slope is near 1. There a slope well
# below 1 says something of the learner, if not yet that it is 1/2: NORA's is still burdened by what
# opening the lock costs, which does not grow with T.

# %%
assert fit_rate(TOTALS, found["fine lock", "NORA"]).interval.upper < 0.7
for learner in ("NORA without optimism", "uniform policy"):
    assert fit_rate(TOTALS, found["fine lock", learner]).interval.lower > 0.85

# %% [markdown]
# ## How many seeds would it take?
# Before reading a slope, ask which error would have been noticed.

# %%
for name in ("needle", "fine lock"):
    print(f"{name}: {power_statement(TOTALS, found[name, 'NORA'])}")

# %% [markdown]
# ## The picture
# Two families, the same three learners. On the left the slope that was hoped for belongs to the
# policy that never learns; on the right exploring is what sets a line apart.

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for axis, name, place in zip(axes, ("needle", "fine lock"), ("lower", "center"), strict=True):
    for learner in LEARNERS:
        losses = found[name, learner].mean(axis=0)
        slope = fit_rate(TOTALS, found[name, learner]).slope
        axis.loglog(TOTALS, losses, marker="o", label=f"{learner}, slope {slope:.2f}")
    axis.set(title=name, xlabel="episodes T", ylabel="regret after T episodes (reward)")
    axis.set_xticks(TOTALS, TOTALS)
    axis.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    axis.legend(loc=f"{place} right")
