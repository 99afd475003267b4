"""Eluder dimensions of finite sets, exactly by search or between certified bounds.

A test nu is eps-independent of tests mu_1, ..., mu_k if some function g has sum (E_mu_i g)^2 <=
eps^2 and |E_nu g| > eps; the dimension is the length of the longest sequence whose every member is
independent of those before it, for one eps' >= eps. Sources: Russo and Van Roy (2013), Definition
of the eluder dimension; Jin, Liu and Miryoosefi (2021), section 3, for distributions and Bellman
errors.

What makes it finite here: of all eps', only those just below one of the numbers |E_nu g| matter,
and once g has proved a test independent, its own sum is too large to prove another. So a sequence
is a matching of tests with functions, and the largest matching bounds its length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from rltheory.analysis.arrays import check_positive_integer, check_range
from rltheory.linear_mdp.function_classes.completeness import residuals
from rltheory.linear_mdp.function_classes.finite import FiniteClass, check_class
from rltheory.tabular.agnostic.class_values import occupancies
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.mdp import EpisodicMDP

MOST_SETS = 20_000
"""Sets of tests that a search looks at before it settles for bounds."""

GREEDY = 20
"""Values of eps' that get a greedy sequence after that."""


@dataclass(frozen=True)
class EluderDimension:
    """Bounds of a dimension, equal if `exact`.

    sequence: tests (rows of the table), each independent of those before it at every eps' a little
    below `scale`; `lower` is its length. step: of the MDP where it was found.
    """

    lower: int
    upper: int
    sequence: tuple[int, ...]
    scale: float
    step: int = 0

    @property
    def exact(self) -> bool:
        """Whether the search has decided the dimension."""
        return self.lower == self.upper


def distributional_eluder(
    table: ArrayLike | NDArray[Any], eps: float, *, most_sets: int = MOST_SETS
) -> EluderDimension:
    """Return the eluder dimension at eps > 0 of a table (tests, functions) of expectations.

    table: floats, or Fractions, whose arithmetic is exact. most_sets: sets of tests that may be
    looked at, over all eps'; if they do not do, the answer is between the longest sequence found
    and the largest matching.
    Raises ValueError or TypeError naming what does not fit.
    """
    numbers = np.asarray(table)
    if numbers.ndim != 2 or not numbers.size:
        raise ValueError(f"table has shape {numbers.shape}; expected (tests, functions)")
    if numbers.dtype.kind not in "biufO":
        raise TypeError(f"table holds {numbers.dtype}; expected numbers")
    if numbers.dtype != object:
        numbers = numbers.astype(np.float64)
        if not np.isfinite(numbers).all():
            raise ValueError("table holds numbers that are not finite; every entry must be")
    level = check_range(eps, "eps", 0.0, np.inf, include_high=False)
    if level == 0.0:
        raise ValueError("eps is 0; expected a positive number")
    budget = check_positive_integer(most_sets, "most_sets")
    sizes = np.abs(numbers)
    squares = sizes * sizes
    scales = np.unique(sizes[sizes > level])[::-1]
    tops = [_matching(sizes >= scale) for scale in scales]
    best = EluderDimension(0, 0, (), 0.0)
    open_ends, left, further = 0, budget, GREEDY
    # Scales with the largest matching first: a long sequence spares the others their search.
    for k in sorted(range(len(scales)), key=lambda k: -tops[k]):
        if tops[k] <= best.lower:
            break
        if left <= 0:
            open_ends = max(open_ends, tops[k])
            if not further:
                continue
            further -= 1
        bound = scales[k] * scales[k]
        # Enough for one descent, which is greedy, if nothing is left.
        allowed = left if left > 0 else len(sizes)
        found, rest = _longest(sizes >= scales[k], squares, bound, best.lower, allowed)
        if len(found) > best.lower:
            best = EluderDimension(len(found), len(found), found, float(scales[k]))
        left = rest if left > 0 else 0
        if rest <= 0:
            open_ends = max(open_ends, tops[k])
    top = max(best.lower, open_ends)
    return EluderDimension(best.lower, top, best.sequence, best.scale)


def eluder_dimension(
    functions: ArrayLike, eps: float, *, most_sets: int = MOST_SETS
) -> EluderDimension:
    """Return the eluder dimension of functions (n, points): of their differences at points."""
    values = np.asarray(functions)
    if values.ndim != 2 or not values.size:
        raise ValueError(f"functions has shape {values.shape}; expected (functions, points)")
    first, second = np.triu_indices(len(values), 1)
    if not len(first):
        return EluderDimension(0, 0, (), 0.0)
    return distributional_eluder((values[first] - values[second]).T, eps, most_sets=most_sets)


def bellman_eluder(
    mdp: EpisodicMDP,
    functions: FiniteClass,
    eps: float,
    *,
    tests: str = "occupancies",
    arithmetic: str = "float",
    most_sets: int = MOST_SETS,
) -> EluderDimension:
    """Return the Bellman eluder dimension of a class at eps, the largest over the steps.

    tests: "occupancies" of the members' greedy policies (D_F), or "points", all pairs of state
    and action (D_Delta), in their order. Bounds of the steps are combined.
    Source: Jin, Liu and Miryoosefi (2021), Definition of the Bellman eluder dimension.
    """
    found = []
    for h, table in enumerate(bellman_tables(mdp, functions, tests=tests, arithmetic=arithmetic)):
        part = distributional_eluder(table, eps, most_sets=most_sets)
        found.append(EluderDimension(part.lower, part.upper, part.sequence, part.scale, h))
    best = max(found, key=lambda part: part.lower)
    top = max(part.upper for part in found)
    return EluderDimension(best.lower, top, best.sequence, best.scale, best.step)


def bellman_rank(mdp: EpisodicMDP, functions: FiniteClass) -> int:
    """Return the largest rank over steps of (E under pi_f of g_h - T_h g_{h+1}) over f, g; exactly.

    Source: Jiang, Krishnamurthy, Agarwal, Langford and Schapire (2017), in the form for action
    values of Jin, Liu and Miryoosefi (2021).
    """
    import flint

    ranks = []
    for table in bellman_tables(mdp, functions, arithmetic="rational"):
        rows = [[flint.fmpq(x.numerator, x.denominator) for x in row] for row in table]
        ranks.append(int(flint.fmpq_mat(rows).rref()[1]))
    return max(ranks)


def bellman_tables(
    mdp: EpisodicMDP,
    functions: FiniteClass,
    *,
    tests: str = "occupancies",
    arithmetic: str = "float",
) -> list[NDArray[Any]]:
    """Return for each step the expectations (tests, members) of the members' Bellman errors.

    Tests that say the same of all members are kept once, as are members with the same errors.
    """
    check_class(mdp, functions)
    if tests not in ("occupancies", "points"):
        raise ValueError(f"tests is {tests!r}; expected 'occupancies' or 'points'")
    visited = None
    if tests == "occupancies":
        policies = PolicyClass(functions.greedy(), mdp.actions).distinct()
        visited = occupancies(mdp, policies, arithmetic=arithmetic)
    tables = []
    for h in range(mdp.horizon):
        errors = residuals(mdp, functions, h, arithmetic=arithmetic).reshape(len(functions), -1)
        if visited is None:
            table = errors.T
        else:
            table = _distinct(visited[:, h].reshape(len(visited), -1) @ errors.T)
        tables.append(_distinct(table.T).T)
    return tables


def _distinct(rows: NDArray[Any]) -> NDArray[Any]:
    """Return rows without repetitions, in their order; also for Fractions."""
    seen: dict[tuple[Any, ...], int] = {}
    for k, row in enumerate(rows):
        seen.setdefault(tuple(row), k)
    return rows[sorted(seen.values())]


def _matching(large: NDArray[np.bool_]) -> int:
    # Loaded where it is needed: it brings SciPy's linear algebra.
    from scipy.sparse.csgraph import maximum_bipartite_matching

    graph = sparse.csr_array(large.astype(np.int8))
    return int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())


def _longest(
    large: NDArray[np.bool_], squares: NDArray[Any], bound: Any, known: int, budget: int
) -> tuple[tuple[int, ...], int]:
    """Return the longest sequence if longer than `known`, else (), and what is left of the budget.

    large: which function can prove which test. A set of tests decides what may follow, whatever its
    order, so that each set is looked at once; tests that cannot follow now never can.
    """
    best: list[tuple[int, ...]] = [()]
    length = known
    seen: set[int] = set()

    def visit(sequence: tuple[int, ...], mask: int, sums: NDArray[Any], rest: list[int]) -> None:
        nonlocal length, budget
        budget -= 1
        if len(sequence) > length:
            best[0], length = sequence, len(sequence)
        usable = sums < bound
        able = [i for i in rest if (large[i] & usable).any()]
        if not able or len(sequence) + len(able) <= length:
            return
        if len(sequence) + _matching(large[able][:, usable]) <= length:
            return
        # First the tests that spoil the fewest functions: the greedy sequence.
        spoilt = {i: int((usable & (sums + squares[i] >= bound)).sum()) for i in able}
        for i in sorted(able, key=spoilt.__getitem__):
            if budget <= 0:
                return
            after = mask | 1 << i
            if after not in seen:
                seen.add(after)
                visit((*sequence, i), after, sums + squares[i], [k for k in able if k != i])

    start = np.zeros(squares.shape[1], dtype=squares.dtype)
    visit((), 0, start, list(range(len(large))))
    return best[0], budget
