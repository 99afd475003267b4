"""Families behind lower bounds: one choice is better, by a gap that may be too small to be found.

The best value and that of the uniform policy are closed forms. A try of a choice tells 0 or 1 with
standard deviation sigma, and an episode tries one of n choices. Where the gap is in proportion to
sigma (n / T)^(1/2), T episodes tell the better choice from the others with an error that does not
vanish: no learner's expected regret, averaged over the seed's draw, grows more slowly than
T^(1/2). The numbers of theorems are recalled. With `needle` of
`rltheory.linear_mdp.environments.actor_critic_worlds`, these are five such families.
"""

import itertools

import numpy as np

from rltheory.analysis.arrays import (
    FloatArray,
    as_generator,
    check_positive_integer,
    check_range,
)
from rltheory.linear_mdp.mdp import LinearMDP
from rltheory.tabular.mdp import EpisodicMDP


def waiting_tree(
    actions: int = 3,
    levels: int = 2,
    *,
    gap: float,
    waiting: int = 3,
    horizon: int = 9,
    seed: int | np.random.Generator,
) -> EpisodicMDP:
    """Return a tree that may be entered late: one step, leaf and action of all are better.

    A = actions >= 2, H = horizon > W + d for W = waiting and d = levels of the tree, which has
    L = A^(d - 1) leaves; S = 3 + (A^d - 1) / (A - 1). States: 0 waits, 1 pays, 2 does not, then the
    tree from its root, level by level. In state 0 action 0 waits, at step W - 1, from 0, no longer,
    and every other one enters the tree; each action of an inner node leads to its own child. A leaf
    leads to state 1 with probability 1/2 and else to 2; one action of one leaf at one step, drawn
    by the seed, with 1/2 + gap. Both stay, and state 1 pays 1 in each of the last
    P = H - W - d steps, so that nothing is lost by waiting.

    The best value is P (1/2 + gap). A uniform policy enters k steps late with probability
    w_k = A^-k (1 - 1/A), k < W - 1, and A^-k at k = W - 1; with k the better step it is worth
    P (1/2 + gap w_k / (L A)).

    Here n = W L A and sigma = 1/2: every episode tries one of n choices, in a bandit whose rewards
    are 0 or P. Source: Domingues, Menard, Kaufmann and Valko (2021), section 3 and Theorem 9.
    """
    count = check_positive_integer(actions, "actions")
    depth = check_positive_integer(levels, "levels")
    wait = check_positive_integer(waiting, "waiting")
    steps = check_positive_integer(horizon, "horizon")
    if count < 2:
        raise ValueError(f"actions is {actions}; expected at least 2, one of which waits")
    if steps <= wait + depth:
        raise ValueError(
            f"horizon is {steps}; expected more than waiting + levels = {wait + depth} steps"
        )
    rng = as_generator(seed)
    better = check_range(gap, "gap", 0.0, 0.5)
    leaves = count ** (depth - 1)
    inner = (leaves - 1) // (count - 1)
    root, first = 3, 3 + inner
    kernel = _staying(steps, first + leaves, count)
    _lead(kernel, slice(wait), 0, root)
    kernel[: wait - 1, 0, 0] = np.eye(first + leaves)[0]
    for node in range(inner):
        for a in range(count):
            kernel[:, root + node, a] = np.eye(first + leaves)[root + count * node + 1 + a]
    kernel[:, first:] = 0.0
    kernel[:, first:, :, 1:3] = 0.5
    late, leaf, chosen = (int(rng.integers(n)) for n in (wait, leaves, count))
    kernel[late + depth, first + leaf, chosen, 1:3] = [0.5 + better, 0.5 - better]
    rewards = np.zeros(kernel.shape[:3])
    rewards[wait + depth :, 1] = 1.0
    return EpisodicMDP(kernel, rewards, np.eye(first + leaves)[0])


def two_state_chain(
    actions: int = 4,
    *,
    gap: float,
    rate: float | None = None,
    horizon: int = 8,
    seed: int | np.random.Generator,
) -> EpisodicMDP:
    """Return a chain of two states, where another action is better at each step of the first half.

    S = 2, A = actions, H = horizon. An episode starts in state 0. State 1 pays 1 in every step and
    is left with probability delta = rate, 1 / H if not given. State 0 is left with the same
    probability, and at steps h < H // 2 with delta + gap by one action of the step, drawn by the
    seed. gap <= 1 - 2 delta, so that state 1 is never worse.

    State 0 being left with probability p in each of N = H // 2 steps, state 1 is met at step h <= N
    with probability m (1 - l^h), m = p / (p + delta), l = 1 - p - delta, and from there on, j steps
    later, with 1/2 + (m (1 - l^N) - 1/2) (1 - 2 delta)^j. Summed up, with p = delta + gap this is
    the best value, with p = delta + gap / A that of a uniform policy: `chain_value`.

    Here n = A for each step of the first half and sigma = (delta (1 - delta))^(1/2): H // 2
    bandits, each played in a constant share of episodes and each worth up to 1 / delta steps; in
    all (H^3 A T)^(1/2), with delta = 1 / H. Source: Jaksch, Ortner and Auer (2010), section 6, in
    the form that Jin, Allen-Zhu, Bubeck and Jordan (2018), Theorem 3, give it for episodes.
    """
    count = check_positive_integer(actions, "actions")
    steps = check_positive_integer(horizon, "horizon")
    if steps < 2:
        raise ValueError(f"horizon is {horizon}; expected at least 2")
    rng = as_generator(seed)
    least = np.nextafter(0.0, 1.0)
    delta = 1.0 / steps if rate is None else check_range(rate, "rate", least, 0.5)
    better = check_range(gap, "gap", 0.0, 1.0 - 2.0 * delta)
    kernel = np.zeros((steps, 2, count, 2))
    kernel[:, 0] = [1.0 - delta, delta]
    kernel[:, 1] = [delta, 1.0 - delta]
    half = np.arange(steps // 2)
    chosen = rng.integers(count, size=len(half))
    kernel[half, 0, chosen] = [1.0 - delta - better, delta + better]
    rewards = np.zeros((steps, 2, count))
    rewards[:, 1] = 1.0
    return EpisodicMDP(kernel, rewards, np.array([1.0, 0.0]))


def chain_value(leave: float, *, rate: float | None = None, horizon: int = 8) -> float:
    """Return the value of `two_state_chain` if its state 0 is left with probability `leave`.

    That is p in the formula there, in (0, 1]; rate and horizon are the chain's.
    """
    steps = check_positive_integer(horizon, "horizon")
    least = np.nextafter(0.0, 1.0)
    p = check_range(leave, "leave", least, 1.0)
    delta = 1.0 / steps if rate is None else check_range(rate, "rate", least, 0.5)
    half = steps // 2
    share, keep = p / (p + delta), 1.0 - p - delta
    met = share * (1.0 - keep**half)
    early = share * (half - (1.0 - keep**half) / (p + delta))
    late = (steps - half) / 2 + (met - 0.5) * (1.0 - (1.0 - 2.0 * delta) ** (steps - half)) / (
        2.0 * delta
    )
    return float(early + late)


def hypercube(
    bits: int = 3,
    *,
    gap: float,
    rate: float | None = None,
    horizon: int = 6,
    seed: int | np.random.Generator,
) -> LinearMDP:
    """Return a linear MDP whose actions are corners of a cube, one of which is better at each step.

    S = 2, A = 2^bits, d = bits + 2, H = horizon. Action k is the k-th of {-1, 1}^bits in the order
    of `itertools.product`. State 0, the first, is left at step h with probability
    delta + gap <a, m_h>, m_h in {-1, 1}^bits drawn by the seed and delta = rate, 1 / H if not
    given; state 1 stays and pays 1 in every step. bits * gap <= min(delta, 1 - delta). Features are
    (a, 1, 0) / (bits + 1)^(1/2) and, of state 1, the last unit vector: all of norm 1.

    If state 0 is left with probability p > 0 in each step, state 1 is met at step h with
    probability 1 - (1 - p)^h; so the value is H - (1 - (1 - p)^H) / p. The best one has
    p = delta + bits * gap, the uniform policy p = delta, as corners cancel.

    Every episode tells something of every bit: here n = 1 for each bit and
    sigma = (delta (1 - delta))^(1/2), and regret is (d^2 H^3 T)^(1/2) at least.
    Source: Zhou, Gu and Szepesvari (2021), Theorem 5.6; its H states, one for each step and met at
    no other, are one here.
    """
    dimension = check_positive_integer(bits, "bits")
    steps = check_positive_integer(horizon, "horizon")
    rng = as_generator(seed)
    least = np.nextafter(0.0, 1.0)
    delta = 1.0 / steps if rate is None else check_range(rate, "rate", least, 1.0)
    better = check_range(gap, "gap", 0.0, min(delta, 1.0 - delta) / dimension)
    corners = np.array(list(itertools.product((-1.0, 1.0), repeat=dimension)))
    root = np.sqrt(dimension + 1.0)
    features = np.zeros((2, len(corners), dimension + 2))
    features[0, :, :dimension] = corners / root
    features[0, :, dimension] = 1.0 / root
    features[1, :, -1] = 1.0
    signs = rng.choice([-1.0, 1.0], size=(steps, dimension))
    measures = np.zeros((steps, dimension + 2, 2))
    measures[:, :dimension] = root * better * signs[:, :, None] * [-1.0, 1.0]
    measures[:, dimension] = root * np.array([1.0 - delta, delta])
    measures[:, -1, 1] = 1.0
    weights = np.zeros((steps, dimension + 2))
    weights[:, -1] = 1.0
    return LinearMDP(features, measures, weights, np.array([1.0, 0.0]))


def fine_lock(
    length: int = 2,
    actions: int = 3,
    *,
    gap: float,
    seed: int | np.random.Generator,
    distractor: float = 0.1,
) -> EpisodicMDP:
    """Return a lock of two threads whose last lever is a needle: a small gap behind exploration.

    A = actions >= 2, S = 4, H = length + 2. States: 0 and 1 are good, 2 is lost, 3 pays 1 in the
    last step; an episode starts in 0 or 1, evenly. At each of the first `length` steps the right
    action of a good state, its own, leads to either good state, evenly, and every other one to
    state 2, for ever. Then every action of a good state leads to state 3 with probability 1/2 and
    else to 2, one of each, drawn by the seed as right ones are, with 1/2 + gap. Action 0 of the
    first step pays `distractor` < 1/2 and is never right.

    The best value is 1/2 + gap, that of a uniform policy
    distractor / A + A^-length (1/2 + gap / A). Unlike in the other families a policy may lose much
    more than a gap: without exploration regret is linear.

    Here n = 2 A and sigma = 1/2: were the right actions known, a needle with two doors would be
    left. Source: worked out here, after the locks of Kakade (2003) and Lattimore and Szepesvari
    (2020), section 15.2.
    """
    levers = check_positive_integer(length, "length")
    count = check_positive_integer(actions, "actions")
    if count < 2:
        raise ValueError(f"actions is {actions}; expected at least 2, one of which walks away")
    rng = as_generator(seed)
    better = check_range(gap, "gap", 0.0, 0.5)
    tempting = check_range(distractor, "distractor", 0.0, 0.5, include_high=False)
    right = rng.integers(1, count, size=(levers, 2))
    finest = rng.integers(count, size=2)
    kernel = _staying(levers + 2, 4, count)
    for s in range(2):
        _lead(kernel, slice(levers), s, 2)
        kernel[np.arange(levers), s, right[:, s]] = [0.5, 0.5, 0.0, 0.0]
        kernel[levers, s] = [0.0, 0.0, 0.5, 0.5]
        kernel[levers, s, finest[s], 2:] = [0.5 - better, 0.5 + better]
    rewards = np.zeros(kernel.shape[:3])
    rewards[0, :2, 0] = tempting
    rewards[-1, 3] = 1.0
    return EpisodicMDP(kernel, rewards, np.array([0.5, 0.5, 0.0, 0.0]))


def _staying(steps: int, states: int, actions: int) -> FloatArray:
    """Return a kernel (H, S, A, S) under which every state stays."""
    return np.tile(np.eye(states)[None, :, None, :], (steps, 1, actions, 1))


def _lead(kernel: FloatArray, steps: slice, state: int, after: int) -> None:
    """Let all actions of a state lead to another one for sure."""
    kernel[steps, state] = np.eye(kernel.shape[-1])[after]
