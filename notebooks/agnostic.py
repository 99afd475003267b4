# %% [markdown]
"""
# When is a large class of policies as cheap as a small one?

To find the best of a thousand policies may take little more data than to find the better of two, or
five hundred times as much. With a simulator it is not their number that counts but how many pairs
of state and action they can reach at once: the spanning capacity.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

from rltheory.tabular import EpisodicMDP
from rltheory.tabular.agnostic import (
    Generative,
    Online,
    PolicyClass,
    class_values,
    importance_sampling_erm,
    spanning_capacity,
    trajectory_tree_erm,
)
from rltheory.tabular.agnostic.families import backward_calls, lock_roll_outs
from rltheory.tabular.agnostic.guarantees import bernstein_repetitions, hoeffding_repetitions

# %% [markdown]
# ## Equal in number, far apart in capacity
# Both classes have 2^H policies. `one_active` may choose at one state of each layer and takes
# action 0 elsewhere; `open_loop` chooses in every layer, whatever it sees. An adversary makes a
# deterministic MDP on 16 states a layer in which as many pairs as possible are reached.

# %%
HORIZONS = range(1, 8)


def classes(horizon):
    """Return the two classes of 2^H policies, and the singletons for comparison."""
    sizes = {"horizon": horizon, "states": 16}
    return {
        "open loop": PolicyClass.open_loop(**sizes),
        "one active": PolicyClass.one_active(**sizes),
        "singletons": PolicyClass.singletons(**sizes),
    }


capacities = {}
for horizon in HORIZONS:
    for name, policies in classes(horizon).items():
        found = spanning_capacity(policies)
        assert found.exact
        capacities[name, horizon] = found.value
    print(
        f"H = {horizon}:",
        {n: (len(p), capacities[n, horizon]) for n, p in classes(horizon).items()},
    )

# %% [markdown]
# ## What a tree costs
# A trajectory tree lets all policies of a class act in one simulated episode: it draws each
# successor once, where some policy needs it. It is a deterministic MDP, so a layer of it cannot
# hold more pairs than the capacity. On a random MDP the calls of a tree tell the classes apart.

# %%
H, S = 7, 16
rng = np.random.default_rng(0)
kernel = rng.dirichlet(np.full(S, 0.2), size=(H, S, 2))
mdp = EpisodicMDP(kernel, rng.random((H, S, 2)) / H, np.eye(S)[0])

for name, policies in classes(H).items():
    grown = trajectory_tree_erm(Generative(mdp, seed=1), policies, trees=200)
    true = class_values(mdp, policies)
    error = np.abs(grown.values - true.values).max()
    calls = grown.samples / grown.repetitions
    limit = H * capacities[name, H] + 1
    assert calls <= limit
    print(f"{name}: {calls:.1f} calls a tree, at most {limit}; largest error {error:.3f}")
    assert error <= grown.deviation

# %% [markdown]
# ## And without a simulator
# Importance sampling runs episodes with uniform actions and keeps for each policy those in which it
# would have acted alike: one in 2^H. The number of episodes that its guarantee needs grows so,
# whatever the class. Trees need a number that depends on the class by a logarithm only, times the
# calls of a tree.

# %%
ACCURACY, CONFIDENCE = 0.1, 0.9
costs = {"one active: trees": [], "open loop: trees": [], "both: importance sampling": []}
for horizon in HORIZONS:
    trees = hoeffding_repetitions(2**horizon, ACCURACY, CONFIDENCE)
    for name in ("one active", "open loop"):
        costs[f"{name}: trees"].append(trees * (horizon * capacities[name, horizon] + 1))
    weighted = bernstein_repetitions(2**horizon, ACCURACY, CONFIDENCE, weight=2**horizon)
    costs["both: importance sampling"].append(weighted * horizon)
for name, row in costs.items():
    print(f"{name}: {row[0]} samples at H = 1, {row[-1]} at H = {HORIZONS[-1]}")

small = PolicyClass.one_active(horizon=4, states=S)
part = EpisodicMDP(kernel[:4], np.asarray(mdp.rewards[:4]) * H / 4, mdp.initial)
weighed = importance_sampling_erm(Online(part, seed=2), small, episodes=4000)
error = np.abs(weighed.values - class_values(part, small).values).max()
print(
    f"4000 weighted episodes at H = 4: largest error {error:.3f}, promised {weighed.deviation:.3f}"
)

# %% [markdown]
# A class of small capacity is not always cheap online, and a class of large capacity not always
# expensive: combination locks need half of all 2^H plans to be tried from the start, but some calls
# in each layer where a simulator can be started anywhere.

# %%
for horizon in (4, 8, 12, 16):
    print(f"H = {horizon}: {lock_roll_outs(horizon)} episodes, {backward_calls(horizon)} calls")

# %% [markdown]
# ## The picture
# Left: capacity by horizon; both classes have as many policies as the dotted line says. Right:
# samples that suffice for the best policy up to 0.1 with probability 0.9.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for name in classes(1):
    left.plot(HORIZONS, [capacities[name, h] for h in HORIZONS], marker="o", label=name)
left.plot(HORIZONS, [2**h for h in HORIZONS], "k:", label="number of policies, 2^H")
left.set(xlabel="horizon (steps)", ylabel="spanning capacity (pairs)", yscale="log")
left.legend()
for name, row in costs.items():
    right.plot(HORIZONS, row, marker="o", label=name)
right.set(xlabel="horizon (steps)", ylabel="samples (calls or steps)", yscale="log")
right.legend()
