# %% [markdown]
"""
# How do I tell whether my CFR variant is any good?

Write it as a record of small functions, run it beside the family on an exact game, and read off
exploitability: how much a player could gain by deviating, on average over players. The number is
computed by exact best responses, not estimated, so small differences mean something.
"""

# %%
import time

import matplotlib.pyplot as plt
import numpy as np

from rltheory import games

# %% [markdown]
# ## A game
# A profile is one array over *slots*, the pairs of an information set and an action, so strategies
# of any variant can be compared, averaged or perturbed with NumPy.

# %%
leduc = games.load("leduc_poker")
print(leduc.name, leduc.histories, "histories", leduc.infosets, "information sets")
print("uniform play:", games.exploitability(leduc, leduc.uniform()))

# %% [markdown]
# ## The family
# Players are updated in turn. VAD-CFR averages only after 500 iterations; before that, its current
# profile is what `average` holds, and `averaging` says so.

# %%
ITERATIONS = 1000
names = ("cfr", "cfr_plus", "dcfr", "pcfr_plus", "vad_cfr")
runs = {name: games.cfr(leduc, name, iterations=ITERATIONS, checkpoints=25) for name in names}
for name, run in runs.items():
    print(f"{name:10s} {run.exploitability[-1]:.2e}   averaging: {run.averaging}")

# %% [markdown]
# ## Reading a strategy
# In Kuhn poker the first player's equilibria bet the king three times as often as the jack.

# %%
kuhn = games.load("kuhn_poker")
solved = games.cfr(kuhn, "pcfr_plus", iterations=2000)
for label, row in kuhn.strategy_table(solved.average)[0].items():
    print(f"{label:4s}", {action: round(chance, 4) for action, chance in row.items()})
print("the first player gets", solved.payoffs[-1, 0], "and -1/18 is", -1 / 18)

# %% [markdown]
# ## A variant of one's own, in ten lines
# Does it pay to forget a constant share of the past? Multiply the regrets so far by it, clip at
# zero, predict with the last regret, average quadratically. Numbers come through `schedule`, which
# is ordinary Python; the rest is compiled into the traversal.


# %%
def forget(R, r, c, s):
    """Accumulate clipped regret after forgetting a fixed share."""
    return max(c[1] * R + r, 0.0)


def predict(R, r, m, c, s):
    """Play as if the last regret came again."""
    return max(R + r, 0.0)


def forgetful(keep):
    """PCFR+ that keeps the share `keep` of its regrets."""
    return games.Variant(
        name="forgetful",
        schedule=lambda t, n: (float(t) ** 2, keep),
        regret=forget,
        strategy=predict,
        weight=lambda c, s: c[0],
    )


for keep in (1.0, 0.99, 0.9):
    mine = games.cfr(leduc, forgetful(keep), iterations=ITERATIONS, checkpoints=25)
    runs[f"keeps {keep:g}"] = mine
    print(f"keeps {keep:.2f}: {mine.exploitability[-1]:.2e}")

# %% [markdown]
# It does not pay: with a constant share the past fades geometrically, and play keeps chasing the
# last opponent. (DCFR's discount goes to 1, which is what makes forgetting harmless there.)
#
# With nothing forgotten it *is* PCFR+, to the last bit: a check worth having before changing more.

# %%
same = np.array_equal(runs["keeps 1"].average, runs["pcfr_plus"].average)
print("keeps everything = PCFR+:", same)
assert same

# %% [markdown]
# ## At full speed
# The first run compiled the variant (a few seconds) and cached it on disk under a digest of its
# code. From then on an iteration costs what one of the library's own costs.


# %%
def milliseconds(variant):
    """Return the time of one iteration: the best of three runs."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        games.cfr(leduc, variant, iterations=200, checkpoints=1)
        times.append(time.perf_counter() - start)
    return 1000 * min(times) / 200


print(f"an iteration: PCFR+ {milliseconds('pcfr_plus'):.3f} ms")
print(f"our own:            {milliseconds(forgetful(0.99)):.3f} ms")

# %%
figure, axis = plt.subplots()
for name, run in runs.items():
    axis.loglog(run.iterations, run.exploitability, label=name)
axis.set(xlabel="iterations", ylabel="exploitability of the average (chips)")
axis.legend()
