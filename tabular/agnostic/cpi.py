"""Conservative policy iteration with resets: small mixtures towards the best advantage.

The policy is judged from the resets, each step as likely as the others to be where an episode
begins; it moves towards the policy of the class with the largest advantage, by a step for which a
gain is certain. Source: Kakade and Langford (2002); the finite-horizon constants are derived here.
"""

from dataclasses import dataclass
from math import ceil, floor, log
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rltheory.analysis.arrays import (
    FloatArray,
    as_generator,
    check_positive_integer,
    check_range,
)
from rltheory.tabular.agnostic.access import Resets
from rltheory.tabular.agnostic.class_values import check_fit, exact_arrays
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.agnostic.psdp import check_access, exact_resets
from rltheory.tabular.mdp import EpisodicMDP


@dataclass(frozen=True, eq=False)
class CPI:
    """Where the iteration stopped.

    policy: (H, S, A) rows. advantages: the largest advantage of the class found at each iteration,
    exact or estimated; the last one is what stopped it if `converged`.
    """

    policy: FloatArray
    advantages: tuple[float, ...]
    converged: bool

    @property
    def iterations(self) -> int:
        """Number of moves made."""
        return len(self.advantages) - int(self.converged)


def cpi_step(advantage: Any, horizon: int) -> Any:
    """Return the share alpha of the move that is certain to gain most, in [0, 1].

    For returns in [0, 1] a move gains at least alpha A - alpha^2 (H^2 - 1) / 3: the new policy
    differs before step h of an episode begun at g with chance at most alpha (h - g), which costs an
    advantage by at most 2, and the mean over g of the sum of h - g is (H^2 - 1) / 6.
    """
    if horizon == 1:
        return 1
    return min(1, 3 * advantage / (2 * (horizon**2 - 1)))


@dataclass(frozen=True)
class CPIParameters:
    """What `cpi` is called with: roll-outs of an iteration, tolerance, most iterations."""

    rollouts: int
    tolerance: float
    max_iterations: int


def cpi_parameters(
    policies: PolicyClass, *, epsilon: float, delta: float, concentrability: float
) -> CPIParameters:
    """Return parameters at which `cpi` is epsilon-optimal with probability 1 - delta.

    For returns in [0, 1] and a class that has, for every mixture met on the way, a policy that is
    greedy everywhere. With t = epsilon / (4 C H) advantages are to be within t at every iteration,
    and the tolerance is 3 t. A term of an advantage is at most A H in size, of second moment at
    most v = A (H + 1)(2 H + 1) / 3, so that n = 2 (v + A H t / 3) log(2 P M / delta) / t^2
    roll-outs do it, by Bernstein's inequality, in M iterations. A move on an estimate above 3 t
    gains at least g = min(9 t^2 / (4 (H^2 - 1)), t / 2) of what is at most 1, whence
    M = floor(1 / g) + 1. It stops with no advantage above 4 t, so loses at most 4 C H t = epsilon.
    concentrability: C of the optimal policy's states against the resets.
    Raises ValueError naming the argument that does not fit. Source: derived here from `cpi_step`
    and the performance difference lemma of Kakade and Langford (2002).
    """
    check_range(epsilon, "epsilon", 2.0**-20, 1.0)
    check_range(delta, "delta", 2.0**-60, 1.0, include_high=False)
    check_range(concentrability, "concentrability", 1.0, 2.0**20)
    horizon, actions = policies.horizon, policies.actions
    t = epsilon / (4 * concentrability * horizon)
    gain = t / 2
    if horizon > 1:
        gain = min(gain, 9 * t**2 / (4 * (horizon**2 - 1)))
    iterations = floor(1 / gain) + 1
    moment = actions * (horizon + 1) * (2 * horizon + 1) / 3
    logarithm = log(2 * len(policies) * iterations / delta)
    rollouts = ceil(2 * (moment + actions * horizon * t / 3) * logarithm / t**2)
    return CPIParameters(rollouts, 3 * t, iterations)


def reset_visits(
    mdp: EpisodicMDP, policy: ArrayLike, mu: ArrayLike, *, arithmetic: str = "float"
) -> NDArray[Any]:
    """Return nu (H, S): how often each state is visited in an episode begun by a reset.

    The step of the reset is uniform, the state drawn by mu (H, S); layer h sums to (h + 1) / H.
    policy: (H, S, A) rows, floats or Fractions.
    """
    transitions, _, _ = exact_arrays(mdp, arithmetic)
    resets, rows = exact_resets(mdp, mu, arithmetic), np.asarray(policy)
    visits = np.zeros(resets.shape, dtype=resets.dtype)
    here = resets[0] / mdp.horizon
    for h in range(mdp.horizon):
        visits[h] = here
        if h + 1 < mdp.horizon:
            flow = (here[:, None] * rows[h]).reshape(-1)
            here = flow @ transitions[h].reshape(-1, mdp.states) + resets[h + 1] / mdp.horizon
    return visits


def class_advantages(
    mdp: EpisodicMDP,
    policies: PolicyClass,
    policy: ArrayLike,
    mu: ArrayLike,
    *,
    arithmetic: str = "float",
) -> NDArray[Any]:
    """Return sum_h E_{s ~ nu_h} [Q^pi_h(s, f(s)) - V^pi_h(s)] of each policy f of a class, (P,).

    nu as in `reset_visits`. policy: (H, S, A) rows, floats or Fractions.
    """
    check_fit(mdp, policies)
    transitions, rewards, _ = exact_arrays(mdp, arithmetic)
    rows = np.asarray(policy)
    visits = reset_visits(mdp, rows, mu, arithmetic=arithmetic)
    lines = np.arange(mdp.states)
    values = np.zeros(mdp.states, dtype=rewards.dtype)
    found = np.zeros(len(policies), dtype=rewards.dtype)
    for h in reversed(range(mdp.horizon)):
        q = rewards[h] + transitions[h] @ values
        values = (rows[h] * q).sum(axis=1)
        taken = q[lines, policies.table[:, h].astype(np.int64)]
        found = found + (taken - values) @ visits[h]
    return found


def cpi_exact(
    mdp: EpisodicMDP,
    policies: PolicyClass,
    mu: ArrayLike,
    *,
    first: int = 0,
    tolerance: float = 1e-3,
    max_iterations: int = 10_000,
) -> CPI:
    """Return where the iteration stops if it knows all advantages; returns must be in [0, 1].

    It starts from policy `first` of the class and stops once no policy has an advantage above
    `tolerance`. If the class then has a policy that is greedy everywhere, the loss against a policy
    with states d is at most H max_h ||d_h / mu_h||_inf tolerance; without one it can be anything.
    mu: (H, S) reset distributions. Raises ValueError if the arguments do not fit.
    """
    check_fit(mdp, policies)
    _check_unit_returns(mdp)
    check_range(tolerance, "tolerance", 0.0, np.inf)
    policy = _rows(policies, first)

    def advantages(rows: FloatArray) -> FloatArray:
        return class_advantages(mdp, policies, rows, mu)

    return _iterate(policies, policy, advantages, tolerance, max_iterations)


def cpi(
    access: Resets,
    policies: PolicyClass,
    *,
    rollouts: int,
    seed: int | np.random.Generator,
    first: int = 0,
    tolerance: float = 0.05,
    max_iterations: int = 200,
) -> CPI:
    """Return where the iteration stops with advantages from `rollouts` episodes each time.

    An episode begins at a reset of a uniform step and takes one uniform action at a uniform step
    of the rest; A times the chances' difference times the return from there is an unbiased
    advantage of every policy of the class at once. Returns must be in [0, 1]. seed: of the draws.
    Raises ValueError if access and class do not fit.
    """
    check_access(access, policies)
    count = check_positive_integer(rollouts, "rollouts")
    check_range(tolerance, "tolerance", 0.0, np.inf)
    generator = as_generator(seed)
    policy = _rows(policies, first)

    def advantages(rows: FloatArray) -> FloatArray:
        return _estimated(access, policies, rows, count, generator)

    return _iterate(policies, policy, advantages, tolerance, max_iterations)


def _iterate(
    policies: PolicyClass,
    policy: FloatArray,
    advantages: Any,
    tolerance: float,
    max_iterations: int,
) -> CPI:
    history = []
    for _ in range(check_positive_integer(max_iterations, "max_iterations")):
        found = advantages(policy)
        best = int(np.argmax(found))
        history.append(float(found[best]))
        if found[best] <= tolerance:
            return CPI(policy, tuple(history), True)
        share = cpi_step(history[-1], policies.horizon)
        policy = (1 - share) * policy + share * _rows(policies, best)
    return CPI(policy, tuple(history), False)


def _estimated(
    access: Resets,
    policies: PolicyClass,
    rows: FloatArray,
    count: int,
    generator: np.random.Generator,
) -> FloatArray:
    horizon, states, actions = rows.shape
    credit, own = np.zeros(rows.shape), 0.0
    starts = generator.multinomial(count, np.full(horizon, 1 / horizon))
    cumulative = np.cumsum(rows, axis=2)
    for g, size in enumerate(starts):
        if not size:
            continue
        # A state is met once an episode: a table drawn beforehand plays the mixed policy.
        aims = generator.random((size, horizon, states, 1)) * cumulative[None, ..., -1:]
        tables = (cumulative[None] <= aims).sum(axis=3)
        steps = generator.integers(g, horizon, size=size)
        tables[np.arange(size), steps] = generator.integers(actions, size=(size, 1))
        rolls = access.run_from_reset(g, tables, int(size))
        here, line = steps - g, np.arange(size)
        later = np.arange(horizon - g) >= here[:, None]
        paid = (rolls.rewards * later).sum(axis=1) * actions * (horizon - g)
        met, taken = rolls.states[line, here], rolls.actions[line, here]
        np.add.at(credit, (steps, met, taken), paid)
        own += float((rows[steps, met, taken] * paid).sum())
    table = policies.table.astype(np.int64)
    lines = np.arange(states)
    total = np.zeros(len(policies))
    for h in range(horizon):
        total += credit[h, lines, table[:, h]].sum(axis=1)
    return np.asarray((total - own) / count)


def _rows(policies: PolicyClass, index: int) -> FloatArray:
    if not 0 <= index < len(policies):
        raise ValueError(f"first is {index}; expected 0 to {len(policies) - 1}")
    return np.asarray(np.eye(policies.actions)[policies.table[index].astype(np.int64)])


def _check_unit_returns(mdp: EpisodicMDP) -> None:
    """Raise ValueError unless every policy's return is in [0, 1] for certain."""
    low = float(mdp.rewards.min())
    best = np.zeros(mdp.states)
    for h in reversed(range(mdp.horizon)):
        reachable = np.where(mdp.transitions[h] > 0, best, 0.0).max(axis=2)
        best = (mdp.rewards[h] + reachable).max(axis=1)
    high = float(best.max())
    if low < 0 or high > 1 + 1e-12:
        raise ValueError(f"mdp has rewards from {low} and returns up to {high}; expected [0, 1]")
