"""Pessimistic preference optimisation (RPO): the best policy against the worst plausible reward.

max over policies, min over rewards of eta (E_pi r - E_base r - beta KL(pi || ref)) + L(r), with L
the Bradley-Terry loss of the comparisons. On a box of rewards max and min may be exchanged, and
what remains is a convex programme with a supervised term. One prompt; prompts do not interact.
Source: Liu et al. (2024), arXiv 2405.16436; Bertsekas (1982) for the projected Newton steps.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import (
    FloatArray,
    as_float_array,
    as_generator,
    check_distributions,
    check_finite,
    check_positive_integer,
    check_range,
    read_only,
)
from rltheory.analysis.bounds import Bounds, down, rounding_error, up
from rltheory.analysis.simplex import KL, softmax

LARGEST_REWARD = 1e6


@dataclass(frozen=True, eq=False)
class Pessimism:
    """A prompt with K responses, comparisons among them, and a box of plausible rewards.

    wins: (K, K), the weight with which the row was preferred to the column: counts, or counts over
        their sum for a mean loss. reference: (K,), of full support; base: (K,), whose reward the
        policy's is compared with; beta > 0, in units of reward; eta >= 0, the weight of pessimism
        in units of loss per reward; low, high: rewards, (K,) or one number for all.
    Raises ValueError naming the field that does not fit.
    """

    wins: FloatArray
    reference: FloatArray
    base: FloatArray
    beta: float
    eta: float
    low: FloatArray | float = -5.0
    high: FloatArray | float = 5.0

    def __post_init__(self) -> None:
        wins = as_float_array(self.wins, "wins", (None, None))
        if wins.shape[0] != wins.shape[1] or not wins.size:
            raise ValueError(f"wins has shape {wins.shape}; expected (K, K) with K >= 1")
        check_finite(wins, "wins")
        if wins.min() < 0:
            raise ValueError(f"wins holds {wins.min()}; expected weights of at least 0")
        size = len(wins)
        fields = {"wins": wins}
        for name in ("reference", "base"):
            fields[name] = as_float_array(getattr(self, name), name, (size,))
            check_distributions(fields[name], name)
        if fields["reference"].min() <= 0:
            raise ValueError(
                f"reference[{int(fields['reference'].argmin())}] is 0; expected full support"
            )
        check_range(self.beta, "beta", 1e-6, 1e6)
        check_range(self.eta, "eta", 0.0, 1e9)
        for name in ("low", "high"):
            ends = as_float_array(getattr(self, name), name)
            if ends.shape not in ((), (size,)):
                raise ValueError(f"{name} has shape {ends.shape}; expected a number or ({size},)")
            check_finite(ends, name)
            if np.abs(ends).max() > LARGEST_REWARD:
                raise ValueError(f"{name} exceeds {LARGEST_REWARD:g} in magnitude")
            fields[name] = np.broadcast_to(ends, (size,)).copy()
        if np.any(fields["low"] > fields["high"]):
            where = int(np.argmax(fields["low"] > fields["high"]))
            raise ValueError(
                f"low[{where}] is {fields['low'][where]}, above high[{where}], "
                f"{fields['high'][where]}; expected low <= high"
            )
        for name, array in fields.items():
            object.__setattr__(self, name, read_only(array))

    @property
    def responses(self) -> int:
        """Number of responses K."""
        return len(self.wins)

    def check_rewards(self, rewards: ArrayLike, name: str = "rewards") -> FloatArray:
        """Return rewards (K,) as floats; they need not lie in the box."""
        array = as_float_array(rewards, name, (self.responses,))
        check_finite(array, name)
        return array


@dataclass(frozen=True, eq=False)
class PessimisticSolution:
    """A pair of policy (K,) and rewards (K,) in the box, nearly a saddle point.

    value: certified bounds of the minimax value, and of the maximin value, which is the same; the
        policy secures the lower bound against every reward of the box.
    """

    policy: FloatArray
    rewards: FloatArray
    value: Bounds
    iterations: int
    converged: bool


def preference_loss(wins: ArrayLike, rewards: ArrayLike) -> float:
    """Return the Bradley-Terry loss, sum over pairs of wins[x, y] log(1 + exp(r_y - r_x))."""
    counts, scores = np.asarray(wins, np.float64), np.asarray(rewards, np.float64)
    return float((counts * np.logaddexp(0.0, scores[None] - scores[:, None])).sum())


def tilted_policy(problem: Pessimism, rewards: ArrayLike) -> FloatArray:
    """Return the policy (K,) that is best for given rewards, ref exp(r / beta) / Z."""
    scores = problem.check_rewards(rewards)
    return softmax(np.log(problem.reference) + scores / problem.beta)


def objective(problem: Pessimism, policy: ArrayLike, rewards: ArrayLike) -> float:
    """Return eta (E_policy r - E_base r - beta KL(policy || reference)) + loss(r)."""
    plan = as_float_array(policy, "policy", (problem.responses,))
    check_distributions(plan, "policy")
    scores = problem.check_rewards(rewards)
    pulled = float(KL.divergence(plan, problem.reference))
    gain = float((plan - problem.base) @ scores) - problem.beta * pulled
    return problem.eta * gain + preference_loss(problem.wins, scores)


def reward_objective(problem: Pessimism, rewards: ArrayLike) -> float:
    """Return the largest `objective` over policies, eta (beta log Z_r - E_base r) + loss(r)."""
    scores = problem.check_rewards(rewards)
    gain = float(KL.maximum(scores, problem.reference, problem.beta)) - problem.base @ scores
    return float(problem.eta * gain + preference_loss(problem.wins, scores))


def policy_loss(problem: Pessimism, policy: ArrayLike) -> float:
    """Return RPO's loss of a policy of full support: DPO's plus a supervised term.

    eta beta E_base[-log policy] + loss(beta log(policy / reference)). It exceeds `reward_objective`
    at the rewards beta log(policy / reference), up to a shift, by the constant
    eta beta E_base[-log reference]. Raises ValueError for a policy without full support.
    """
    plan = as_float_array(policy, "policy", (problem.responses,))
    check_distributions(plan, "policy")
    if plan.min() <= 0:
        raise ValueError(f"policy[{int(plan.argmin())}] is 0; expected full support")
    supervised = -problem.eta * problem.beta * float(problem.base @ np.log(plan))
    implied = problem.beta * np.log(plan / problem.reference)
    return supervised + preference_loss(problem.wins, implied)


def solve_pessimistic(
    problem: Pessimism, *, tolerance: float = 1e-9, max_iterations: int = 500
) -> PessimisticSolution:
    """Return a saddle point over the box, with certified bounds of its value.

    Minimises the convex `reward_objective` over the box; the lower bound is what linearising the
    objective of the policy found proves, so it owes nothing to the method. `converged` says whether
    bounds are within the tolerance, plus rounding, of each other.
    """
    check_range(tolerance, "tolerance", 0.0, np.inf)
    check_positive_integer(max_iterations, "max_iterations")
    rewards = np.clip(np.zeros(problem.responses), problem.low, problem.high)
    iteration = 0
    for iteration in range(max_iterations + 1):
        gradient, policy = _gradient(problem, rewards)
        gap = _linear_gap(problem, rewards, gradient)
        if gap <= tolerance / 2 or iteration == max_iterations:
            break
        moved = _newton_step(problem, rewards, gradient, policy)
        if moved is None:
            break
        rewards = moved
    value = _certified(problem, rewards, gap)
    converged = bool(gap <= tolerance)
    return PessimisticSolution(policy, rewards, value, iteration, converged)


@dataclass(frozen=True, eq=False)
class FiniteClassValues:
    """Values on a finite class of rewards, which no exchange of max and min makes equal.

    maximin: bounds of what `policy` (K,) secures at best; minimax: bounds of what the best reward
    for the opponent concedes, and its index. minimax >= maximin.
    """

    maximin: Bounds
    minimax: Bounds
    policy: FloatArray
    index: int


def finite_class_values(
    problem: Pessimism, rewards: ArrayLike, *, tolerance: float = 1e-9, max_iterations: int = 200
) -> FiniteClassValues:
    """Return both values where the rewards are the rows of `rewards` (m, K) and nothing between.

    The maximin comes from its dual over mixtures of rows: the tilted policy of a mixture secures
    the lower bound, the mixture the upper one.
    """
    from scipy.optimize import minimize

    rows = as_float_array(rewards, "rewards", (None, problem.responses))
    check_finite(rows, "rewards")
    if not len(rows):
        raise ValueError("rewards has zero rows; expected at least one reward")
    losses = np.array([preference_loss(problem.wins, row) for row in rows])
    values = np.array([reward_objective(problem, row) for row in rows])
    fixed = losses - problem.eta * (rows @ problem.base)

    def dual(weights: FloatArray) -> tuple[float, FloatArray]:
        mixed = weights @ rows
        best = float(KL.maximum(mixed, problem.reference, problem.beta))
        policy = tilted_policy(problem, mixed)
        value = problem.eta * best + float(weights @ fixed)
        return value, problem.eta * (rows @ policy) + fixed

    found = minimize(
        dual,
        np.full(len(rows), 1 / len(rows)),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * len(rows),
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(len(w))},
        options={"ftol": tolerance * 1e-3, "maxiter": max_iterations},
    )
    weights = np.maximum(found.x, 0.0)
    weights /= weights.sum()
    policy = tilted_policy(problem, weights @ rows)
    secured = min(objective(problem, policy, row) for row in rows)
    error = max(_rounding(problem, row) for row in rows)
    upper = dual(weights)[0]
    index = int(np.argmin(values))
    low, high = float(down(secured - 2 * error)), float(up(upper + 2 * error))
    return FiniteClassValues(
        Bounds(np.asarray(low), np.asarray(max(low, high))),
        Bounds(down(values[index] - error), up(values[index] + error)),
        policy,
        index,
    )


def draw_comparisons(
    rewards: ArrayLike,
    pairs: ArrayLike,
    count: int,
    *,
    seed: int | np.random.Generator,
) -> FloatArray:
    """Return the counts (K, K) of wins in `count` comparisons labelled by Bradley and Terry.

    pairs: (K, K), the law of the pair compared; the row wins with chance 1 / (1 + exp(r_y - r_x)).
    """
    scores = as_float_array(rewards, "rewards", (None,))
    check_finite(scores, "rewards")
    size = len(scores)
    law = as_float_array(pairs, "pairs", (size, size))
    check_distributions(law.ravel(), "pairs")
    check_positive_integer(count, "count")
    generator = as_generator(seed)
    compared = generator.multinomial(count, law.ravel() / law.sum()).reshape(size, size)
    chance = np.exp(-np.logaddexp(0.0, scores[None] - scores[:, None]))
    won = generator.binomial(compared, chance)
    return np.asarray(won + (compared - won).T, dtype=np.float64)


def _gradient(problem: Pessimism, rewards: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the gradient of the reward objective and the policy at rewards."""
    policy = tilted_policy(problem, rewards)
    lost = np.exp(-np.logaddexp(0.0, rewards[:, None] - rewards[None]))
    pulls = problem.wins * lost
    return problem.eta * (policy - problem.base) - pulls.sum(axis=1) + pulls.sum(axis=0), policy


def _linear_gap(problem: Pessimism, rewards: FloatArray, gradient: FloatArray) -> float:
    """Return the most that the linearisation falls within the box."""
    room = np.where(gradient > 0, rewards - problem.low, problem.high - rewards)
    return float(np.abs(gradient) @ room)


def _newton_step(
    problem: Pessimism, rewards: FloatArray, gradient: FloatArray, policy: FloatArray
) -> FloatArray | None:
    """Return better rewards along a projected Newton step, None if there are none in floats."""
    chance = np.exp(-np.logaddexp(0.0, rewards[None] - rewards[:, None]))
    curvature = (problem.wins + problem.wins.T) * chance * chance.T
    np.fill_diagonal(curvature, 0.0)
    hessian = np.diag(curvature.sum(axis=1)) - curvature
    hessian += problem.eta / problem.beta * (np.diag(policy) - np.outer(policy, policy))
    near = 1e-9 * (1 + problem.high - problem.low)
    free = ~(
        ((rewards <= problem.low + near) & (gradient > 0))
        | ((rewards >= problem.high - near) & (gradient < 0))
    )
    scale = float(np.abs(np.diag(hessian)).max(initial=0.0))
    direction = -gradient.copy()
    if free.any():
        # The objective does not see a common shift; a ridge far below the curvature picks one.
        inner = hessian[np.ix_(free, free)] + (1e-12 * scale + 1e-14) * np.eye(int(free.sum()))
        direction[free] = np.linalg.solve(inner, -gradient[free])
    here = reward_objective(problem, rewards)
    for halving in range(60):
        tried = np.clip(rewards + 0.5**halving * direction, problem.low, problem.high)
        there = reward_objective(problem, tried)
        if there <= here + 1e-4 * float(gradient @ (tried - rewards)) and np.any(tried != rewards):
            return tried
        # Where values tie in floats, a smaller gradient is still progress.
        if halving == 0 and there <= here + 1e-12 * (1 + abs(here)):
            after, _ = _gradient(problem, tried)
            before = _linear_gap(problem, rewards, gradient)
            if _linear_gap(problem, tried, after) < 0.5 * before:
                return tried
    return None


def _certified(problem: Pessimism, rewards: FloatArray, gap: float) -> Bounds:
    value, error = reward_objective(problem, rewards), _rounding(problem, rewards)
    # The gradient's own rounding, over the widest side of the box.
    size = problem.responses
    total = float(problem.wins.sum())
    width = float(np.sum(problem.high - problem.low))
    inside = rounding_error(4 * size + 40, (2 * problem.eta + 2 * total) * width)
    return Bounds(down(value - gap - error - inside), up(value + error))


def _rounding(problem: Pessimism, rewards: FloatArray) -> float:
    """Bound the rounding error of `reward_objective` and of `objective` at tilted policies."""
    size = problem.responses
    largest = float(np.abs(rewards).max())
    # Policies that sum to one up to rounding are taken as what they are divided by their sums.
    drift = abs(float(problem.base.sum()) - 1) + abs(float(problem.reference.sum()) - 1)
    spread = 2 * largest + problem.beta * (
        2 + float(np.abs(np.log(problem.reference)).max()) + np.log(size)
    )
    gain = float(KL.maximum_error(rewards, problem.reference, problem.beta))
    gain += rounding_error(4 * size + 60, 4 * spread) + 4 * drift * (spread + problem.beta)
    total = float(problem.wins.sum())
    loss = rounding_error(size * size + 20, total * (1 + 2 * largest))
    return float(problem.eta * gain + loss)
