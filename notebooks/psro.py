# %% [markdown]
"""
# Which mixture should best responses be trained against?

PSRO keeps a population of policies for each player, mixes them by a *meta-solver*, and adds exact
best responses to the mixtures. Everything but the meta-solver is fixed, so the question is about
one function: payoff tensor in, mixed strategies out.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

from rltheory import games

kuhn = games.load("kuhn_poker")

# %% [markdown]
# ## Populations and their payoffs
# After six iterations each player has seven policies, as realisation plans; `payoff_tensor` holds
# what everyone earns in each pairing, exactly: (players, policies of 0, policies of 1).

# %%
run = games.psro(kuhn, "uniform", iterations=6)
print("policies:", [len(plans) for plans in run.policies])
print("payoffs of the first player among them:")
print(run.payoff_tensor[0].round(3))
print("exploitability of the mixtures:", run.exploitability.round(4))

# %% [markdown]
# ## Meta-solvers
# Each is a callable; here are some of the library's on the same payoffs. `restricted_gap` of a run
# says how far the mixture is from equilibrium *within* the populations, `exploitability` in the
# whole game: what lies between is what best responses still have to find.

# %%
for name, forms in games.META_SOLVERS.items():
    training, evaluation = forms()
    print(f"{name:22s}", training(run.payoff_tensor, 7)[0].round(3))

# %% [markdown]
# ## One of our own
# Mix the better half: policies that do well against the opponent's uniform mixture, equally often.


# %%
def better_half(payoffs, iteration):
    """Play equally often the policies that earn at least the median against uniform play."""
    mixtures = []
    for player, tensor in enumerate(payoffs):
        others = tuple(axis for axis in range(tensor.ndim) if axis != player)
        earned = tensor.mean(axis=others)
        chosen = earned >= np.median(earned)
        mixtures.append(chosen / chosen.sum())
    return tuple(mixtures)


runs = {
    "better half": games.psro(kuhn, better_half, iterations=25),
    "better half, then Nash": games.psro(kuhn, better_half, evaluation="nash", iterations=25),
    "uniform": games.psro(kuhn, "uniform", iterations=25),
    "SHOR": games.psro(kuhn, "shor", iterations=25),
    "Nash": games.psro(kuhn, "nash", iterations=25),
}
for name, run in runs.items():
    print(f"{name:22s} {run.exploitability[-1]:.2e}   within: {run.restricted_gap[-1]:.2e}")

# %% [markdown]
# The second run trained against the same mixtures as the first and has the same populations; only
# what is reported differs. How good populations are, and how well they are mixed, are two things.

# %%
first, second = runs["better half"], runs["better half, then Nash"]
assert all(np.array_equal(a, b) for a, b in zip(first.policies, second.policies, strict=True))

# %% [markdown]
# ## Double oracle ends, exactly
# With equilibria as mixtures and pure best responses the run stops when nobody has a new one, or
# nothing is left to gain but rounding. The linear program on the sequence form, which knows nothing
# of populations, has the same value.

# %%
exact = games.double_oracle(kuhn)
print(exact.stopped, "with", exact.sizes[-1], "policies")
print("exploitability", exact.exploitability[-1])
value = games.sequence_form_nash(kuhn).value
print("value by double oracle", exact.payoffs[-1, 0], "by linear program", value)
assert games.exploitability(kuhn, exact.strategies) < 1e-9

# %%
figure, axis = plt.subplots()
for name, run in runs.items():
    axis.semilogy(np.maximum(run.exploitability, 1e-16), label=name)
axis.set(xlabel="iterations", ylabel="exploitability of the mixture (antes)")
axis.legend()
