# %% [markdown]
"""
# What is a verdict worth?

A check that passes may be passing because the claim is true, because the bound is so loose that
nothing could break it, or because the instances were harmless. These are told apart by attacking,
with the same means, statements that are known to be false.
"""

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

from rltheory.theory import falsify, replay, theorems, verify
from rltheory.theory.tape import Tape

records = {theorem.id: theorem for theorem in theorems()}
print(len(records), "records")

# %% [markdown]
# ## A claim and its false twin
# What does robustness cost? With rewards in [0, 1] and total variation of radius ρ, at most
# γρ / ((1 - γ)(1 - γ(1 - ρ))). The control is the same bound for half the radius: what one gets who
# takes the L1 distance for total variation.

# %%
price = records["robust/price-of-robustness"]
print(price.title)
print("control:", price.control.explanation)
(result,) = verify(price, budget="quick")
print(result.verdict, "on", result.attempt.instances, "instances")
print("tightness", result.attempt.tightness, "- 1 where the two sides meet")
print("control refuted at instance", result.control.instances)
assert result.holds

# %% [markdown]
# Both sides are Fractions, so that the word *exact* has no tolerance in it. Here is the instance
# that refutes the control; being numbers on a tape, it can be evaluated again to the same bits.

# %%
fallen, attempt = falsify(price, role="control", budget="quick")
worst = attempt.worst
print("left", worst.left)
print("right", worst.right)
same, _ = replay(worst)
print("replayed to the same bits:", same)
assert fallen
assert same

# %% [markdown]
# ## Blunt instruments
# Take the same claim with a sampler that draws no radius but 0. Nothing is lost then, both sides
# are 0, and the claim cannot fail. Nor can the control, which gives the game away: the verdict is
# not that the claim holds.


# %%
def harmless(tape, size):
    """Draw an instance, and take its radius away."""
    instance = price.sample(tape, size)
    return instance._replace(large=instance.small)


(blunt,) = verify(replace(price, sample=harmless), budget="quick")
print(blunt.verdict, "-", blunt.reason)
assert blunt.verdict == "untested"

# %% [markdown]
# ## Is the constant the best one?
# A record says by how much its constant may be turned before an instance must refute it. Here a
# factor of 0.999 does. Multiply the right side by 3: the claim is still true, the control is still
# refuted, but now the turned constant survives. The bound is seen to be loose.


# %%
def loosely(instance):
    """Return the sides with three times the bound."""
    left, right = price.sides(instance)
    return left, 3 * right


for name, record in {"as it is": price, "three times": replace(price, sides=loosely)}.items():
    fallen, attempt = falsify(record, role="constant", budget="quick")
    print(f"{name}: times {record.sharpness}, refuted {fallen} in {attempt.instances} instances")
    assert fallen == (name == "as it is")

# %% [markdown]
# ## One instance is enough, where one is claimed
# Other kinds of claims need other evidence. That a robust value *need not* be convex in the radius
# is shown by an instance, and the control must have none. That an error *grows like* the radius is
# a slope with an interval; such a verdict says on how many instances, never that it is exact.

# %%
for name in ("robust/not-convex-in-the-radius", "robust/small-radius-rate"):
    (found,) = verify(name, budget="quick")
    print(f"{found.theorem} ({found.kind}): {found.label}")
    print(f"  {found.attempt.worst.left} against {found.attempt.worst.right}")
    assert found.holds

# %% [markdown]
# ## The picture
# Every mark is an instance, in its worst state. On the diagonal both sides meet; above it a claim
# is violated. For the true bound no mark lies above, and many lie on it. For the control about half
# of them lie above. They are counted in Fractions, before anything is rounded for the eye.


# %%
def drawn(sides, count=40):
    """Return both sides of the first instances of size 3 as Fractions, shape (2, count)."""
    both = [sides(price.sample(Tape(seed=seed), 3)) for seed in range(count)]
    return np.array([[left.max(), right] for left, right in both]).T


figure, axes = plt.subplots(1, 2, figsize=(8, 3.8), layout="constrained")
for axis, (title, sides) in zip(
    axes, {"the claim": price.sides, "its control": price.control.sides}.items(), strict=True
):
    left, right = drawn(sides)
    ends = [0.005, 20.0]
    axis.loglog(ends, ends, color="black", linewidth=1)
    axis.loglog(right.astype(float), left.astype(float), "o", alpha=0.5)
    print(f"{title}: {np.sum(left > right)} of {len(left)} above the diagonal")
    axis.set(title=title, xlabel="bound (reward)", ylabel="price of robustness (reward)")
