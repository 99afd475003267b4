"""Exact equilibria of two-player zero-sum extensive games, from a vertex found in floats.

A vertex of the sequence-form program is the only solution of its equations and of those
inequalities that hold with equality there. These are read off the floats, solved in rationals by
sparse elimination, and what both plans guarantee is compared: if it is equal, both are optimal, no
matter how they were found. Where it is not, the simplex method on integers solves the reduced
normal form, if that is small.
Source: Koller, Megiddo and von Stengel (1996); pivots as in Markowitz (1957).
"""

from collections.abc import Iterable
from fractions import Fraction
from heapq import heapify, heappop, heappush
from typing import Any, Literal

import flint
import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.games.exact.behaviour import (
    behaviour,
    check_normal_form,
    mixed_to_behaviour,
    own_place,
    pure_plans,
)
from rltheory.games.exact.exact_form import ExactForm, exact_deviations, exact_form, fraction_array
from rltheory.games.exact.integer_simplex import solve_exactly as solve_matrix
from rltheory.games.exact.sequence_program import ZERO, FloatVertex, float_vertex
from rltheory.games.forms.extensive import ExtensiveGame

LARGEST_FOR_SIMPLEX = 100_000
"""Payoffs of a normal form that the simplex method on integers still solves."""

Row = dict[int, Any]
"""An equation: coefficients by unknown, the right-hand side under -1."""


def solve_exactly(
    game: ExtensiveGame,
) -> tuple[FractionArray, Fraction, Literal["vertex", "simplex"]]:
    """Return an equilibrium (slots,), the value to player 0, and what found them.

    Raises ValueError as `exact_form` does or if the exact payoffs do not sum to 0, and
    ArithmeticError if no vertex is optimal and the normal form too large.
    """
    form = exact_form(game)
    if not form.zero_sum:
        raise ValueError(
            f"{game.name} has leaves whose exact payoffs do not sum to 0; expected a zero-sum game"
        )
    # A game may have many optimal vertices, and the methods end at different ones.
    for method in ("highs-ds", "highs-ipm"):
        strategies = vertex_equilibrium(form, float_vertex(game, method))
        if strategies is not None:
            return strategies, exact_deviations(form, strategies).best[0], "vertex"
    strategies = simplex_equilibrium(form)
    deviations = exact_deviations(form, strategies)
    if deviations.nash_conv != 0:
        raise ArithmeticError("the simplex method ended at strategies that are not optimal")
    return strategies, deviations.best[0], "simplex"


def vertex_equilibrium(form: ExactForm, vertex: FloatVertex) -> FractionArray | None:
    """Return the profile (slots,) of a float vertex in exact numbers, None if it is no equilibrium.

    It is one if and only if its exact NashConv is 0.
    """
    plan: list[Fraction] = []
    for player in range(2):
        solution = _eliminate(_equations(form, player, vertex))
        if solution is None:
            return None
        slots = range(*form.game.form.slot_start[player : player + 2])
        entries = [solution.get(j, flint.fmpq(0)) for j in slots]
        plan += [Fraction(int(x.p), int(x.q)) for x in entries]
    if any(x < 0 for x in plan):
        return None
    try:
        strategies = behaviour(form.game, fraction_array([*plan, Fraction(1), Fraction(1)]))
    except ValueError:
        return None
    return strategies if exact_deviations(form, strategies).nash_conv == 0 else None


def simplex_equilibrium(form: ExactForm) -> FractionArray:
    """Return an equilibrium (slots,) from the reduced normal form, by the simplex method.

    Raises ArithmeticError if the normal form has more than 100000 payoffs.
    """
    game = form.game
    try:
        check_normal_form(game, reduced=True, limit=LARGEST_FOR_SIMPLEX)
    except ValueError as error:
        raise ArithmeticError(
            f"no vertex that HiGHS found is optimal exactly, and the simplex method is for small "
            f"games: {error}"
        ) from None
    plans = [pure_plans(game, p).astype(bool) for p in range(2)]
    matrix = fraction_array([Fraction(0)] * (len(plans[0]) * len(plans[1])))
    matrix = matrix.reshape(len(plans[0]), len(plans[1]))
    for slots, paid in zip(form.leaf_slots.tolist(), form.paid[:, 0], strict=True):
        mine, theirs = (plans[p][:, own_place(game, p, slots[p])] for p in range(2))
        matrix[np.ix_(mine, theirs)] += paid
    _, rows, columns = solve_matrix(matrix)
    return mixed_to_behaviour(game, [rows, columns])


def _equations(form: ExactForm, player: int, vertex: FloatVertex) -> Iterable[Row]:
    """The equations of a player's vertex: unknowns are slots, and sets of the opponent as -2 - set.

    Slots that the vertex does not play are 0 and left out.
    """
    game, other = form.game, 1 - player
    slots = game.slots
    first, parent = game.form.first.tolist(), game.form.parent.tolist()
    start = game.form.infoset_start.tolist()
    played = (vertex.plan > ZERO).tolist()
    for i in range(start[player], start[player + 1]):
        row: Row = {j: flint.fmpq(1) for j in range(first[i], first[i + 1]) if played[j]}
        above = parent[i]
        if above >= slots:
            row[-1] = flint.fmpq(1)
        elif played[above]:
            row[above] = flint.fmpq(-1)
        yield row
    rows: dict[int, Row] = {}
    for i in range(start[other], start[other + 1]):
        for j in range(first[i], first[i + 1]):
            if vertex.tight[j]:
                rows[j] = {-2 - i: flint.fmpq(1)}
    for i in range(start[other], start[other + 1]):
        if parent[i] in rows:
            rows[parent[i]][-2 - i] = flint.fmpq(-1)
    for leaf, paid in zip(form.leaf_slots.tolist(), form.paid[:, player], strict=True):
        if leaf[other] not in rows or paid == 0:
            continue
        worth = flint.fmpq(paid.numerator, paid.denominator)
        if leaf[player] >= slots:
            rows[leaf[other]][-1] = worth
        elif played[leaf[player]]:
            rows[leaf[other]][leaf[player]] = -worth
    yield from rows.values()


def _eliminate(equations: Iterable[Row]) -> dict[int, Any] | None:
    """Return a solution of a sparse system, None if there is none.

    The next pivot is in a row with fewest unknowns, the unknown one that is in fewest rows.
    """
    rows = [row for row in equations if row]
    right = [row.pop(-1, flint.fmpq(0)) for row in rows]
    where: dict[int, set[int]] = {}
    for r, row in enumerate(rows):
        for unknown in row:
            where.setdefault(unknown, set()).add(r)
    waiting = [(len(row), r) for r, row in enumerate(rows)]
    heapify(waiting)
    used = [False] * len(rows)
    pivots: list[tuple[int, int]] = []
    while waiting:
        length, r = heappop(waiting)
        row = rows[r]
        if used[r] or length != len(row):
            continue
        used[r] = True
        if not row:
            if right[r] != 0:
                return None
            continue
        unknown = min(row, key=lambda x: len(where[x]))
        pivots.append((r, unknown))
        for x in row:
            where[x].discard(r)
        for below in where.pop(unknown):
            target = rows[below]
            factor = target.pop(unknown) / row[unknown]
            for x, coefficient in row.items():
                if x == unknown:
                    continue
                after = target.get(x, 0) - factor * coefficient
                if after == 0:
                    del target[x]
                    where[x].discard(below)
                else:
                    target[x] = after
                    where[x].add(below)
            right[below] -= factor * right[r]
            heappush(waiting, (len(target), below))
    # What no equation is left for may be anything; the caller checks what comes of 0.
    solution: dict[int, Any] = dict.fromkeys(where, flint.fmpq(0))
    for r, unknown in reversed(pivots):
        row = rows[r]
        rest = sum((c * solution[x] for x, c in row.items() if x != unknown), flint.fmpq(0))
        solution[unknown] = (right[r] - rest) / row[unknown]
    return solution
