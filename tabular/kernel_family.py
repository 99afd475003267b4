"""Finite families of whole kernels: static uncertainty that need not be rectangular.

The adversary picks one kernel of the family, once and for all. The worst case of a policy is then
an exact minimum over evaluations. The best policy is hard to find in general (Wiesemann, Kuhn and
Rustem 2013), but the family lies between two things that are not: its rectangular
hull, in which every state and action draws its row from any member (Iyengar 2005), bounds the
optimum from below, and each member's own optimum bounds it from above.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from rltheory.analysis.arrays import (
    FloatArray,
    IntArray,
    as_float_array,
    check_finite,
    check_row_sums,
    check_shape,
    read_only,
)
from rltheory.analysis.bounds import Bounds, down, rounding_error, up
from rltheory.tabular.evaluation import evaluate_policy
from rltheory.tabular.kernels import action_values
from rltheory.tabular.mdp import DiscountedMDP, check_discounted, check_solve
from rltheory.tabular.policies import as_policy, greedy
from rltheory.tabular.solution import (
    Evaluation,
    Solution,
    fixed_point_bounds,
    rounding_floor,
    sweep_error,
)


@dataclass(frozen=True, eq=False, repr=False)
class KernelFamily:
    """K kernels, any one of which may be the true one.

    kernels: (K, S, A, S), rows summing to 1 within 1e-9, or all zero where an action is not
    available; not copied. parameters: what tells the members apart, (K,) or (K, ...); 0 to K - 1
    by default. Raises ValueError or TypeError by name.
    """

    kernels: FloatArray
    parameters: FloatArray = field(default=None)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        kernels = as_float_array(self.kernels, "kernels", (None, None, None, None))
        members, states, actions, _ = kernels.shape
        if 0 in kernels.shape:
            raise ValueError(f"kernels has shape {kernels.shape}; every axis must have length >= 1")
        check_shape(kernels, "kernels", (members, states, actions, states))
        check_finite(kernels, "kernels")
        if kernels.min() < 0:
            where = np.unravel_index(int(kernels.argmin()), kernels.shape)
            index = ", ".join(str(int(i)) for i in where)
            raise ValueError(f"kernels[{index}] is {kernels[where]}; probabilities must be >= 0")
        sums = kernels.sum(axis=-1)
        check_row_sums(sums, "kernels", sums != 0)
        labels = np.arange(float(members)) if self.parameters is None else self.parameters
        parameters = as_float_array(labels, "parameters")
        if parameters.shape[:1] != (members,):
            raise ValueError(
                f"parameters has shape {parameters.shape}; expected one entry per kernel, {members}"
            )
        object.__setattr__(self, "kernels", read_only(kernels))
        object.__setattr__(self, "parameters", read_only(parameters))

    @staticmethod
    def from_function(kernel: Callable[[Any], ArrayLike], grid: ArrayLike) -> KernelFamily:
        """Tabulate a kernel `kernel(parameter)`, (S, A, S), over a grid (K,) or (K, ...).

        A slip or wind probability, say. The family holds the grid points, not what lies between.
        """
        parameters = as_float_array(grid, "grid")
        if parameters.ndim == 0 or not len(parameters):
            raise ValueError(f"grid has shape {parameters.shape}; expected at least one parameter")
        points = parameters.tolist() if parameters.ndim == 1 else list(parameters)
        return KernelFamily(np.stack([np.asarray(kernel(x)) for x in points]), parameters)

    def __len__(self) -> int:
        return len(self.kernels)

    def __repr__(self) -> str:
        members, states, actions, _ = self.kernels.shape
        return f"KernelFamily(members={members}, states={states}, actions={actions})"

    def models(self, mdp: DiscountedMDP) -> list[DiscountedMDP]:
        """Return the MDP with each member's kernel; they share the family's memory.

        Raises ValueError if the shapes differ, or an available action's row is missing.
        """
        check_discounted(mdp)
        if self.kernels.shape[1:3] != mdp.rewards.shape:
            raise ValueError(
                f"family has {self.kernels.shape[1]} states and {self.kernels.shape[2]} actions; "
                f"the MDP has {mdp.states} and {mdp.actions}"
            )
        return [mdp.replace(transitions=kernel) for kernel in self.kernels]


@dataclass(frozen=True, eq=False)
class WorstMember:
    """The worst case of one policy over a family, from the initial distribution.

    index: the member with the least value (the first on ties); values (K,) of the policy under
    each member, lower and upper (K,) their certified bounds; worst: enclosure of the minimum.
    """

    index: int
    values: FloatArray
    lower: FloatArray
    upper: FloatArray

    @property
    def worst(self) -> Bounds:
        """Certified enclosure of the least value over the family, a scalar."""
        return Bounds(np.asarray(self.lower.min()), np.asarray(self.upper.min()))


def static_worst_case(mdp: DiscountedMDP, policy: Any, family: KernelFamily) -> WorstMember:
    """Evaluate a policy under every member of a family, from the MDP's initial distribution.

    policy: (S,) action indices or (S, A) rows. The MDP's own kernel plays no part unless it is a
    member. Returns a WorstMember; raises ValueError or TypeError by name.
    """
    return worst_member(_models(family, mdp), as_policy(policy, mdp.available))


def solve_rectangular(
    mdp: DiscountedMDP,
    family: KernelFamily,
    *,
    tolerance: float = 1e-8,
    max_iterations: int = 1000,
) -> Solution:
    """Solve the MDP against the rectangular hull of a family, by robust policy iteration.

    In the hull every (s, a) draws its row from any member, so the adversary is stronger than the
    family: the value is at most the family's static optimum, and equal to it where the family is
    rectangular itself. Stops when the certified gap is below `tolerance`.
    Returns a Solution; the policy is deterministic and attains at least `lower` under every
    member. Source: Iyengar (2005), Theorem 3.2.
    """
    check_solve(mdp, tolerance, max_iterations)
    return solve_hull(_models(family, mdp), tolerance, max_iterations)


def _models(family: KernelFamily, mdp: DiscountedMDP) -> list[DiscountedMDP]:
    if not isinstance(family, KernelFamily):
        raise TypeError(f"family is {family!r:.80}; expected a KernelFamily")
    return family.models(mdp)


def at_initial(mdp: DiscountedMDP, certified: Evaluation | Solution) -> Bounds:
    """Enclose the initial distribution's value, a scalar, given bounds for every state."""
    return Bounds(
        initial_bounds(mdp, certified.lower).lower, initial_bounds(mdp, certified.upper).upper
    )


def initial_bounds(mdp: DiscountedMDP, values: FloatArray) -> Bounds:
    """Enclose initial . values, a scalar, for values (S,) taken as exact."""
    size = float(mdp.initial @ np.abs(values)) * (1 + 1e-9)
    error = rounding_error(mdp.states, size)
    centre = float(mdp.initial @ values)
    return Bounds(down(centre - error), up(centre + error))


def worst_member(models: Sequence[DiscountedMDP], policy: FloatArray) -> WorstMember:
    """Evaluate a policy (S, A) in each of several MDPs; see `static_worst_case`."""
    evaluations = [evaluate_policy(model, policy) for model in models]
    bounds = [at_initial(m, e) for m, e in zip(models, evaluations, strict=True)]
    values = np.array([m.initial @ e.values for m, e in zip(models, evaluations, strict=True)])
    lower = np.array([float(b.lower) for b in bounds])
    upper = np.array([float(b.upper) for b in bounds])
    return WorstMember(int(values.argmin()), values, lower, upper)


def solve_hull(
    models: Sequence[DiscountedMDP],
    tolerance: float,
    max_iterations: int,
    initial_values: FloatArray | None = None,
) -> Solution:
    """Solve against the rectangular hull of the kernels of several MDPs equal but for these."""
    first = models[0]
    mass = Bounds(
        np.min([m.row_mass.lower for m in models]), np.max([m.row_mass.upper for m in models])
    )
    values = np.zeros(first.states) if initial_values is None else initial_values
    for iteration in range(1, max_iterations + 1):
        q, choice = hull_action_values(models, values)
        image = q.max(axis=1)
        error = max(sweep_error(model, values) for model in models)
        bounds, shift = fixed_point_bounds(values, image, error, first.discount, mass)
        stop = max(tolerance, rounding_floor(error, first.discount))
        if bounds.gap <= stop or iteration == max_iterations:
            break
        values = _hull_evaluation(models, greedy(q), choice)
    return Solution(
        values=image + shift,
        action_values=q + shift,
        policy=greedy(q),
        lower=bounds.lower,
        upper=bounds.upper,
        iterations=iteration,
        converged=bounds.gap <= tolerance,
    )


def hull_action_values(
    models: Sequence[DiscountedMDP], values: FloatArray
) -> tuple[FloatArray, IntArray]:
    """Return min over members of r + g P v, (S, A), and the first member attaining it, (S, A)."""
    first = models[0]
    least = action_values(first.rows, first.rewards, first.discount, values)
    choice = np.zeros(least.shape, dtype=np.int64)
    for k, model in enumerate(models[1:], start=1):
        q = action_values(model.rows, model.rewards, model.discount, values)
        choice[q < least] = k
        np.minimum(least, q, out=least)
    return least, choice


def _hull_evaluation(
    models: Sequence[DiscountedMDP], policy: FloatArray, choice: IntArray
) -> FloatArray:
    """Return the values (S,) of a deterministic policy against the hull, by policy iteration.

    The adversary starts from `choice` and changes a row only for a decrease beyond rounding, so
    that it never returns to a kernel.
    """
    index, actions = np.arange(len(policy)), policy.argmax(axis=1)
    while True:
        mixed = models[0].replace(transitions=mix_kernels(models, choice))
        values = evaluate_policy(mixed, policy).values
        q, better = hull_action_values(models, values)
        error = max(sweep_error(model, values) for model in models)
        own = action_values(mixed.rows, mixed.rewards, mixed.discount, values)
        slack = rounding_floor(error, mixed.discount)
        lowers = q[index, actions] < own[index, actions] - slack
        if not lowers.any():
            return values
        choice = choice.copy()
        choice[index[lowers], actions[lowers]] = better[index[lowers], actions[lowers]]


def mix_kernels(models: Sequence[DiscountedMDP], choice: IntArray) -> Any:
    """Return the kernel whose row at (s, a) is that of model choice[s, a]; dense or CSR."""
    if models[0].is_sparse:
        picks = [
            sparse.diags_array((choice.ravel() == k).astype(np.float64)) @ model.rows
            for k, model in enumerate(models)
        ]
        return sparse.csr_array(sum(picks[1:], start=picks[0]))
    mixed = models[0].transitions.copy()
    for k, model in enumerate(models[1:], start=1):
        mixed[choice == k] = model.transitions[choice == k]
    return mixed
