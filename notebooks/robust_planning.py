# %% [markdown]
"""
# How large should the radius be when the model comes from data?

Count transitions, call the frequencies a model, and plan robustly in a ball around it. What is the
ball to be for: a policy that does better in the world, or a promise about it that is kept? Both can
be measured, as a policy learnt from counts is evaluated exactly in the world.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

from rltheory.tabular import (
    DiscountedMDP,
    TotalVariation,
    evaluate_policy,
    gridworld,
    policy_iteration,
    river_swim,
    robust_policy_iteration,
    value_iteration,
)

# %% [markdown]
# ## Two worlds
# A grid with a goal and a pit, where what must be avoided is near; and a swimmer against a current,
# who has to persist to be paid. An answer comes with an enclosure of the truth, rounding included.

# %%
WORLDS = {"grid with a pit": gridworld(discount=0.95), "river": river_swim(discount=0.95)}
best = {}
for name, world in WORLDS.items():
    solved = value_iteration(world, tolerance=1e-9)
    best[name] = float(world.initial @ policy_iteration(world).values)
    print(f"{name}: {world.states} states, optimum {best[name]:.4f} from the start,")
    print(f"  every value enclosed to {np.max(solved.upper - solved.lower):.1e}")

# %% [markdown]
# ## Models from counts
# Every pair of state and action is tried equally often. Rewards are known, kernels are counted.

# %%
TRIES = {"grid with a pit": 5, "river": 20}
RADII = np.array([0.0, 0.02, 0.05, 0.1, 0.2, 0.3])
SETS = 20


def counted(world, tries, rng):
    """Return the model that the frequencies of `tries` transitions of every pair make."""
    kernel = world.transitions.toarray().reshape(world.states, world.actions, world.states)
    return world.replace(transitions=rng.multinomial(tries, kernel) / tries)


def planned(model, world, radius):
    """Return what a robust plan promises from the start, and what it earns in the world."""
    plan = robust_policy_iteration(model, TotalVariation(float(radius)))
    earned = evaluate_policy(world, plan.policy)
    return float(world.initial @ plan.lower), float(world.initial @ earned.upper)


promised, earned = {}, {}
for name, world in WORLDS.items():
    rng = np.random.default_rng(0)
    models = [counted(world, TRIES[name], rng) for _ in range(SETS)]
    both = np.array([[planned(model, world, radius) for radius in RADII] for model in models])
    promised[name], earned[name] = both[..., 0], both[..., 1]
    print(f"{name}, {TRIES[name]} tries of each pair:")
    for j, radius in enumerate(RADII):
        kept = np.mean(promised[name][:, j] <= earned[name][:, j])
        mean = earned[name][:, j].mean()
        print(f"  radius {radius:.2f}: earns {mean:.3f} on average, promise kept in {kept:.0%}")

# %% [markdown]
# Without a ball many a plan promises too much: of all policies it takes the one that the counts
# flatter most. A larger ball keeps promises. What it does to the policy is another matter, and
# depends on the world. In the grid a little caution turns the walker away from the pit. In the
# river the adversary makes strokes fail: from some radius on hardly anybody swims.

# %%
grid, river = ((best[name] - earned[name]).mean(axis=0) for name in WORLDS)
assert grid[RADII == 0.1] < grid[0] / 2
assert river[RADII == 0.3] > best["river"] / 2

# %% [markdown]
# ## The radius of the theory
# By the inequality of Weissman and others (2003) a row of n tries with m successors is off by more
# than r in total variation with probability at most (2^m - 2) exp(-2 n r^2). A ball that holds all
# rows at once with probability 0.9 follows. Its promise is safe and worth nothing: the walker stays
# where he is and pays for his steps for ever, the swimmer drifts.

# %%
for name, world in WORLDS.items():
    pairs = world.states * world.actions
    successors = int((world.transitions.toarray() > 0).sum(axis=1).max())
    radius = np.sqrt(np.log((2**successors - 2) * pairs / 0.1) / (2 * TRIES[name]))
    print(f"{name}: radius of the theory {min(radius, 1.0):.2f}")
    rng = np.random.default_rng(0)
    pledge, real = planned(counted(world, TRIES[name], rng), world, min(radius, 1.0))
    print(f"  promises {pledge:.3f}, earns {real:.3f}, of {best[name]:.3f}")

# %% [markdown]
# ## What the adversary does
# A solution holds the adversary's answer, a kernel in the ball. It is what makes the promise more
# than a lower bound: there is a world in the ball in which the plan earns no more.

# %%
model = counted(WORLDS["river"], 20, np.random.default_rng(0))
plan = robust_policy_iteration(model, TotalVariation(0.1))
worst = DiscountedMDP(plan.worst_kernel, model.rewards, model.discount, initial=model.initial)
again = evaluate_policy(worst, plan.policy)
gap = np.max(np.abs(again.values - plan.values))
print(f"the plan, evaluated under that kernel, has the robust value up to {gap:.1e}")
assert np.all(again.lower <= plan.upper)
assert np.all(plan.lower <= again.upper)

# %% [markdown]
# ## The picture
# One line for what is promised and one for what is earned, means over data sets, with the range of
# the middle four fifths. The plan is honest where the first lies below the second.

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for axis, name in zip(axes, WORLDS, strict=True):
    for values, label in ((promised[name], "promised"), (earned[name], "earned in the world")):
        axis.plot(RADII, values.mean(axis=0), marker="o", label=label)
        axis.fill_between(RADII, *np.quantile(values, [0.1, 0.9], axis=0), alpha=0.2)
    axis.axhline(best[name], color="black", linewidth=1, linestyle=":", label="optimum")
    axis.set(title=f"{name}, {TRIES[name]} tries", xlabel="radius (total variation)")
    axis.set_ylabel("value from the start (reward)")
axes[1].legend()
