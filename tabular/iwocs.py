"""IWOCS: robust planning by finding worst kernels one at a time.

Keep a list of kernels. Find a policy that is good against all of them, find the kernel that is
worst for that policy, add it, and repeat until the worst kernel confirms what the policy was
promised. Few kernels of a large or infinite set ever matter. What each step proves is carried
along: evaluation bounds the static optimum from below, weak duality from above.
Source: Zouitine, Geist and Rachelson (2024), sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rltheory.analysis.arrays import FloatArray, IntArray
from rltheory.analysis.bounds import Bounds, up
from rltheory.tabular.kernel_family import (
    KernelFamily,
    at_initial,
    initial_bounds,
    solve_hull,
    worst_member,
)
from rltheory.tabular.kernels import action_values
from rltheory.tabular.mdp import DiscountedMDP, check_solve
from rltheory.tabular.policies import greedy
from rltheory.tabular.policy_iteration import policy_iteration
from rltheory.tabular.robust import robust_evaluate_policy
from rltheory.tabular.solution import Solution, sweep_error
from rltheory.tabular.uncertainty.base import Ball, UncertaintySet
from rltheory.tabular.uncertainty.interval import Interval

POLICY_STEPS = ("rectangular", "min_q")


@dataclass(frozen=True, eq=False)
class IncrementalSolution:
    """A policy for static uncertainty, with certified bounds on the static optimum.

    policy: (S, A), deterministic, the best worst case among those tried.
    lower, upper: lower <= the policy's worst case <= max over policies of min over kernels
        <= upper, from the initial distribution; randomised policies included.
    kernels: those found, in order, each in the layout of the MDP's transitions; members: their
        indices in the family, (n,), empty for an uncertainty set.
    promised (T,): what each policy was to secure; achieved (T,): enclosures of what it does.
    converged: whether the last worst case kept its promise within the tolerance. Against a
        rectangular set that makes the policy optimal (gap <= tolerance); against a family `gap`
        may stay open. If not converged, the search has come back to a policy tried before, or
        to `max_iterations`.
    """

    policy: FloatArray
    lower: float
    upper: float
    kernels: tuple[Any, ...]
    members: IntArray
    promised: FloatArray
    achieved: Bounds
    converged: bool

    @property
    def gap(self) -> float:
        """Certified bound on what any policy could gain over this one, upper - lower."""
        return self.upper - self.lower

    @property
    def iterations(self) -> int:
        """Number of policies tried, T."""
        return len(self.promised)


def iwocs(
    mdp: DiscountedMDP,
    adversary: KernelFamily | UncertaintySet,
    *,
    policy_step: str = "rectangular",
    tolerance: float = 1e-6,
    max_iterations: int = 1000,
) -> IncrementalSolution:
    """Maximise the worst case of a static adversary, adding one worst kernel at a time.

    adversary: an (s,a)-rectangular uncertainty set around the MDP's kernel, from which the list
    starts (for an Interval, which need not contain it, from the worst kernel of the policy
    optimal for it); or a KernelFamily, from whose first member it starts (the MDP's own kernel
    then plays no part). The worst kernel of a policy is exact: by robust evaluation, or by
    evaluation under every member.
    policy_step: how a policy is chosen against the kernels found,
      "rectangular": optimal if every (s, a) may draw its row from any of them. Exact for an
        uncertainty set, which contains these mixtures, and then it always converges. For a family
        it is pessimistic.
      "min_q": greedy for the least of the kernels' optimal action values, one MDP solved per
        kernel, as in the source. A heuristic: it may come back to a policy without having kept
        its promise, even against an uncertainty set.
    tolerance: units of reward.

    Ends after finitely many iterations, since no policy is tried twice. Upper bounds: against an
    uncertainty set the promise itself, no mixture of its members being outside (but for the
    rounding of their entries); against a family the least of the optimal values under the
    kernels found. Raises ValueError for a penalised set, TypeError for another adversary.
    Source: Zouitine, Geist and Rachelson (2024), Algorithm 1.
    """
    check_solve(mdp, tolerance, max_iterations)
    if policy_step not in POLICY_STEPS:
        raise ValueError(f"policy_step is {policy_step!r}; expected one of {POLICY_STEPS}")
    choose = _rectangular if policy_step == "rectangular" else _min_q
    if isinstance(adversary, KernelFamily):
        models = adversary.models(mdp)

        def worst_of_family(policy: FloatArray) -> _Response:
            case = worst_member(models, policy)
            return _Response(models[case.index], case.index, case.worst)

        return _search(models[0], 0, worst_of_family, choose, tolerance, max_iterations)
    if not isinstance(adversary, UncertaintySet):
        raise TypeError(f"adversary is {adversary!r}; expected a KernelFamily or uncertainty set")
    if not isinstance(adversary, (Ball, Interval)):
        raise ValueError(
            f"adversary is a {type(adversary).__name__}, whose kernels also pay a penalty; "
            "expected a set without one"
        )

    def worst_of_set(policy: FloatArray) -> _Response:
        case = robust_evaluate_policy(
            mdp, policy, adversary, tolerance=0.1 * tolerance, max_iterations=1000
        )
        model = mdp.replace(transitions=case.worst_kernel)
        return _Response(model, None, at_initial(mdp, case))

    # Bounds on each entry may leave the nominal kernel outside.
    inside = not isinstance(adversary, Interval)
    start = mdp if inside else worst_of_set(policy_iteration(mdp).policy).model
    return _search(start, None, worst_of_set, choose, tolerance, max_iterations)


@dataclass(frozen=True, eq=False)
class _Response:
    """The MDP that is worst for a policy, its index in a family, and the policy's value in it.

    The index is None where the adversary is a rectangular set.
    """

    model: DiscountedMDP
    member: int | None
    value: Bounds


@dataclass(frozen=True, eq=False)
class _Plan:
    """A policy (S, A) against the kernels found, and the values (S,) it is promised.

    upper (S,) bounds the promise, which is at least the optimum against the rectangular hull.
    """

    policy: FloatArray
    values: FloatArray
    upper: FloatArray


def _search(
    start: DiscountedMDP,
    member: int | None,
    respond: Callable[[FloatArray], _Response],
    choose: Callable[[list[DiscountedMDP], list[Solution], float], _Plan],
    tolerance: float,
    max_iterations: int,
) -> IncrementalSolution:
    rectangular = member is None
    models, members, optima = [start], [member], list[Solution]()
    lower, upper = -np.inf, np.inf
    promised: list[float] = []
    achieved: list[Bounds] = []
    tried: set[bytes] = set()
    while True:
        if choose is _min_q or not rectangular:
            optima.append(policy_iteration(models[-1]))
        plan = choose(models, optima, tolerance)
        response = respond(plan.policy)
        secured = float(response.value.lower)
        if not promised or secured > lower:
            lower, policy = secured, plan.policy
        promise = float(initial_bounds(start, plan.upper).upper)
        upper = min(upper, promise if rectangular else float(at_initial(start, optima[-1]).upper))
        promised.append(float(start.initial @ plan.values))
        achieved.append(response.value)
        converged = promise - secured <= tolerance
        known = plan.policy.tobytes() in tried or (not rectangular and response.member in members)
        if converged or known or len(promised) == max_iterations:
            break
        tried.add(plan.policy.tobytes())
        models.append(response.model)
        members.append(response.member)
    return IncrementalSolution(
        policy=policy,
        lower=lower,
        upper=upper,
        kernels=tuple(model.transitions for model in models),
        members=np.array([m for m in members if m is not None], dtype=np.int64),
        promised=np.array(promised),
        achieved=Bounds(
            np.array([float(a.lower) for a in achieved]),
            np.array([float(a.upper) for a in achieved]),
        ),
        converged=converged,
    )


def _rectangular(models: list[DiscountedMDP], optima: list[Solution], tolerance: float) -> _Plan:
    """Solve against the rectangular hull of the kernels found."""
    solution = solve_hull(models, 0.1 * tolerance, 1000)
    return _Plan(solution.policy, solution.values, solution.upper)


def _min_q(models: list[DiscountedMDP], optima: list[Solution], tolerance: float) -> _Plan:
    """Act greedily for the least of the optimal action values of the kernels found.

    With V the greedy values, r + g P V <= r + g P V*_P for every kernel P found: the hull's
    Bellman operator maps V below itself, and its fixed point lies below V.
    """
    shape = models[0].rewards.shape
    least, upper = np.full(shape, np.inf), np.full(shape, np.inf)
    for model, own in zip(models, optima, strict=True):
        q = action_values(model.rows, model.rewards, model.discount, own.values)
        heaviest = model.discount * float(model.row_mass.upper)
        error = own.gap * heaviest * (1 + 1e-12) + sweep_error(model, own.values)
        least, upper = np.minimum(least, q), np.minimum(upper, q + error)
    return _Plan(greedy(least), least.max(axis=1), np.asarray(up(upper.max(axis=1))))
