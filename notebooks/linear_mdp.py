# %% [markdown]
"""
# What does robustness cost a learner, and what does it buy?

Learn in one world, be tested in a worse one. Here the test is exact: a learnt policy is evaluated
in the perturbed world by backward induction, so that differences between algorithms are differences
between policies, not test noise.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

from rltheory import linear_mdp
from rltheory.linear_mdp import memory
from rltheory.linear_mdp.offline import run_offline
from rltheory.tabular import TotalVariation

# %% [markdown]
# ## Two worlds
# The off-dynamics MDP has five states, three steps and sixteen actions. Four factors decide where a
# step leads; in the world of the test, what the fourth one leads to goes to a fail state with
# probability q instead, at the first step.

# %%
model = linear_mdp.load("off_dynamics", xi_norm=0.2)
radii = np.zeros((model.horizon, model.dimension))
radii[0, 3] = 0.5
robust = linear_mdp.RobustLinearMDP(model, TotalVariation(radii))
print("features and measures are distributions:", model.simplex)

# %% [markdown]
# ## What could be achieved
# Exact planning first. The best policy of the world that is learnt in and the best one against the
# adversary differ in what they do at the start.

# %%
perturbations = np.linspace(0.0, 1.0, 11)
targets = [
    linear_mdp.load("off_dynamics_target", xi_norm=0.2, perturbation=q) for q in perturbations
]


def tested(policy):
    """Return the value of a policy from the start in every world of the test."""
    return np.array([linear_mdp.plan(target, policy=policy).values[0, 0] for target in targets])


curves = {
    "optimal": tested(linear_mdp.plan(model).policy),
    "robust optimal": tested(linear_mdp.plan(robust).policy),
}
for name, values in curves.items():
    print(f"{name:15s} q = 0: {values[0]:.3f}   q = 1: {values[-1]:.3f}")

# %% [markdown]
# ## Learning it
# A hundred episodes for each of twenty seeds, all in the world that nothing perturbs.
# `checkpoints=1` evaluates the last policy only; a curve of regret wants `checkpoints="all"`.

# %%
SEEDS = range(20)
common = dict(episodes=100, ridge=0.1, checkpoints=1)
algorithms = {
    "LSVI-UCB": lambda seed: linear_mdp.lsvi_ucb(model, seed=seed, **common),
    "DR-LSVI-UCB": lambda seed: linear_mdp.dr_lsvi_ucb(
        robust, bonus_form="diagonal", seed=seed, **common
    ),
    "DR-RPO": lambda seed: linear_mdp.dr_rpo(
        robust, temperature=0.02, bonus_form="diagonal", seed=seed, **common
    ),
}
runs = {
    name: np.array([tested(run(seed).learnt.policy) for seed in SEEDS])
    for name, run in algorithms.items()
}
for name, values in runs.items():
    mean = values.mean(axis=0)
    print(f"{name:15s} q = 0: {mean[0]:.3f}   q = 1: {mean[-1]:.3f}")

# %% [markdown]
# ## What the regulariser does
# DR-RPO's policy pays for leaving a reference, here the uniform policy. At a small temperature it
# is close to the robust optimum, at a large one it stays at the reference. That is exact planning
# again.

# %%
for temperature in (0.01, 0.1, 1.0, 10.0):
    soft = linear_mdp.plan(robust, temperature=temperature)
    plain = linear_mdp.plan(robust, policy=soft.policy)
    print(
        f"temperature {temperature:5.2f}: robust value {plain.values[0, 0]:.4f}, "
        f"likeliest action {soft.policy[0, 0].max():.3f}"
    )

# %% [markdown]
# ## The estimates are exact in the limit
# Nothing in the learners is approximate but the data: with infinitely many visits of every pair and
# no bonus the estimated worst cases are those of planning.

# %%
settings = linear_mdp.Settings(
    name="the limit", bonus=0.0, bonus_form="none", known_rewards=True, temperature=0.1
)
limit = run_offline(robust, settings, memory.population(model))
exact = linear_mdp.plan(robust, temperature=0.1)
alive = np.arange(model.states) != model.fail_state
error = np.abs(limit.action_values - exact.action_values)[:, alive].max()
print(f"largest difference of action values: {error:.1e}")
# Roundings of a 4 x 4 inverse and of sums over five states, with room.
assert error < 1e-12

# %% [markdown]
# ## When there is nothing to buy
# Whether the adversary changes what is best depends on the radius and on how much actions matter.
# At the published setting, `xi_norm=0.1` and radius 0.3, the two optimal policies take the same
# action at the start: the fourth factor leads to what is still worth more.

# %%
for norm in (0.1, 0.2, 0.3):
    calm = linear_mdp.load("off_dynamics", xi_norm=norm)
    first = linear_mdp.plan(calm).policy[0, 0].argmax()
    changed = []
    for radius in (0.1, 0.3, 0.5):
        radii[0, 3] = radius
        wary = linear_mdp.plan(linear_mdp.RobustLinearMDP(calm, TotalVariation(radii)))
        changed.append(bool(wary.policy[0, 0].argmax() != first))
    print(f"xi_norm {norm}: another first action at radius 0.1, 0.3, 0.5: {changed}")

# %% [markdown]
# ## The picture
# The broad lines are what could be achieved. The robust learners give up some reward where nothing
# is perturbed and keep more where much is.

# %%
figure, axis = plt.subplots()
for name, values in curves.items():
    axis.plot(perturbations, values, linewidth=8, alpha=0.3, label=name)
for name, values in runs.items():
    axis.plot(perturbations, values.mean(axis=0), label=f"{name}, mean of {len(SEEDS)} seeds")
axis.set(xlabel="perturbation q", ylabel="value in the perturbed world (reward)")
axis.legend()
