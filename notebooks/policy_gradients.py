# %% [markdown]
"""
# Which objective does GRPO climb?

GRPO divides rewards by the standard deviation of their group and responses by their length. Both
make its mean differ from the gradient of the expected reward. On models whose responses can be
listed the mean is a finite sum, so the question has an answer in numbers.
"""

# %%
from math import comb

import matplotlib.pyplot as plt
import numpy as np

from rltheory.analysis import (
    Outcomes,
    contextual_bandit,
    estimator_moments,
    softmax_bandit,
    token_tree,
)

# %% [markdown]
# ## One prompt, right or wrong
# With rewards 0 and 1 the mean of GRPO is parallel to the gradient. The factor depends on the
# probability p of being right and on the group's size only. It is a binomial sum: k of G responses
# are right, their advantages are known, and groups without a difference say nothing.


# %%
def factor(p, size):
    """Return the length of GRPO's mean over that of the gradient, exactly."""
    coin = Outcomes(probabilities=[p, 1 - p], scores=[[1 - p], [-p]], rewards=[1.0, 0.0])
    found = estimator_moments(coin, "grpo", group_size=size, covariance=False)
    return found.mean[0] / found.gradient[0]


def by_hand(p, size):
    """The same as a sum over k."""
    total = 0.0
    for k in range(1, size):
        spread = np.sqrt(k * (size - k) / (size * (size - 1)))
        total += comb(size, k) * p**k * (1 - p) ** (size - k) * k * (size - k) / size**2 / spread
    return total / (p * (1 - p))


for p in (0.01, 0.1, 0.5):
    row = [factor(p, size) for size in (2, 4, 16, 64)]
    assert np.allclose(row, [by_hand(p, size) for size in (2, 4, 16, 64)])
    print(
        f"p = {p:4.2f}:", " ".join(f"{x:6.3f}" for x in row), "   limit", 1 / np.sqrt(p * (1 - p))
    )

# %% [markdown]
# With many responses the factor is 1 / sqrt(p (1 - p)), the derivative of 2 arcsin(sqrt(p)): this
# is the objective of a prompt. With groups of two it is the constant 1 / sqrt(2), as two rewards
# that differ have one deviation only: GRPO with pairs climbs the expected reward itself.

# %%
print("pairs:", [round(float(factor(p, 2)), 12) for p in (0.01, 0.3, 0.9)])

# %% [markdown]
# ## Several prompts
# A factor for each prompt changes which prompt is learnt first. Here one prompt is easy and one is
# hard; the mean of each estimator is followed with small steps, at the same length of every step.

# %%
exam = contextual_bandit([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
start = np.log([0.5, 0.25, 0.25, 0.05, 0.475, 0.475])


def follow(name, steps=200, length=0.05):
    """Return the probabilities of being right on both prompts, along the mean."""
    point, path = start, []
    for _ in range(steps):
        path.append(exam.policy(point)[:, 0])
        found = estimator_moments(exam, name, parameters=point, group_size=64, covariance=False)
        point = point + length * found.mean / np.linalg.norm(found.mean)
    return np.array(path)


paths = {name: follow(name) for name in ("rloo", "grpo")}
for name, path in paths.items():
    easy = path[np.argmax(path[:, 1] > 0.1), 0]
    print(f"{name}: when the hard prompt is right once in ten, the easy one is with p = {easy:.3f}")

# %% [markdown]
# ## Lengths
# All answers that end with token 1 are right, and they have one, two or three tokens. The expected
# reward does not care which of them is given. GRPO divides by the length: the shortest right answer
# gains most, and of the wrong ones a longer one is pushed away less.

# %%
answers = token_tree(3, 3, lambda prompt, word: float(word[-1] == 1), end_token=1)
uniform = np.zeros(answers.size)
for name in ("rloo", "grpo", "dapo", "dr-grpo"):
    found = estimator_moments(answers, name, parameters=uniform, group_size=4, covariance=False)
    first = found.mean[:3] / np.abs(found.mean[:3]).max()
    later = np.abs(found.mean[3:]).max() / np.abs(found.mean[:3]).max()
    cosine = found.mean @ found.gradient / np.linalg.norm(found.mean)
    cosine /= np.linalg.norm(found.gradient)
    print(f"{name:8s} cosine with the gradient {cosine:.4f}, later tokens {later:.3f} of the first")

# %% [markdown]
# ## What noise costs
# The direction is one thing, the noise another: here is the squared length of the gradient over the
# trace of the covariance, for one group of four. The best baseline of all, once it is known, beats
# the mean of the others; estimated from three of them it need not.

# %%
bandit = softmax_bandit([1.0, 0.0, 0.0, 0.0])
for chance in (0.5, 0.1, 0.02):
    point = np.log([chance, *[(1 - chance) / 3] * 3])
    row = {}
    for name in ("reinforce", "rloo", "oblr", "optimal"):
        found = estimator_moments(bandit, name, parameters=point, group_size=4)
        row[name] = round(float(found.signal_to_noise), 3)
    print(f"p = {chance}:", row)

# %% [markdown]
# ## The picture
# Left: the objective of a prompt, the integral of the factor, by the size of the group. Right: how
# far two prompts are learnt, along the means of two estimators.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
grid = np.linspace(0.002, 0.998, 200)
left.plot(grid, grid, color="black", linewidth=1, label="expected reward")
for size in (2, 4, 16, 64):
    slopes = np.array([by_hand(p, size) for p in grid])
    climb = np.concatenate([[0.0], np.cumsum((slopes[1:] + slopes[:-1]) / 2 * np.diff(grid))])
    left.plot(grid, climb / climb[-1], label=f"GRPO, groups of {size}")
left.set(xlabel="probability of being right", ylabel="objective of a prompt (scaled to 1)")
left.legend()
for name, path in paths.items():
    right.plot(path[:, 0], path[:, 1], label=name)
right.plot(*paths["rloo"][0], "k.")
right.set(xlabel="easy prompt right (probability)", ylabel="hard prompt right (probability)")
right.legend()
