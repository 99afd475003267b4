"""Robust value iteration beside nominal sweeps, and beside a linear program per state and action.

Times per sweep come from whole solves of the same dense MDP: seconds divided by sweeps. The linear
programs are HiGHS's, timed on a sample of pairs at the robust values and scaled to all pairs.
"""

import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from benchmarks.common import Claim, medians, milliseconds, table, timed
from rltheory.analysis.arrays import FloatArray
from rltheory.tabular import (
    DiscountedMDP,
    modified_policy_iteration,
    robust_value_iteration,
    value_iteration,
)
from rltheory.tabular.generators import random_mdp
from rltheory.tabular.uncertainty import (
    ChiSquare,
    Interval,
    KullbackLeibler,
    TotalVariation,
)

TOLERANCE = 1e-8
RADIUS = 0.1
SAMPLE = 40
"""State-action pairs whose linear programs are timed."""


def report() -> tuple[str, list[Claim]]:
    """Return the section of the report, and the claims that it is about."""
    mdp = random_mdp(1000, 10, seed=0, discount=0.99)
    lower, upper = 0.5 * mdp.transitions, np.minimum(2.0 * mdp.transitions, 1.0)
    sets = {
        f"TV, radius {RADIUS}": TotalVariation(RADIUS),
        "interval, half to twice each probability": Interval(lower, upper),
        f"KL, radius {RADIUS}": KullbackLeibler(RADIUS),
        f"chi-square, radius {RADIUS}": ChiSquare(RADIUS),
    }
    nominal = partial(value_iteration, tolerance=TOLERANCE)
    solvers = {"nominal": nominal} | {
        name: partial(robust_value_iteration, uncertainty=which, tolerance=TOLERANCE)
        for name, which in sets.items()
    }
    solutions = {name: solve(mdp) for name, solve in solvers.items()}
    seconds = medians({name: partial(timed, solve, mdp) for name, solve in solvers.items()})
    # A nominal solve sweeps once more for its solution.
    sweeps = {name: solution.iterations for name, solution in solutions.items()}
    sweeps["nominal"] += 1
    sweep = {name: seconds[name] / sweeps[name] for name in solvers}
    ratios = {name: sweep[name] / sweep["nominal"] for name in solvers}
    programs = {
        name: _programs(mdp, sets[name], solutions[name].values) * mdp.rewards.size
        for name in list(sets)[:2]
    }
    rows = [
        [
            name,
            milliseconds(seconds[name]),
            str(sweeps[name]),
            f"{solutions[name].gap:.0e}",
            milliseconds(sweep[name]),
            f"{ratios[name]:.2f}",
            f"{programs[name]:,.0f} s" if name in programs else "",
            f"{programs[name] / sweep[name]:,.0f}" if name in programs else "",
        ]
        for name in solvers
    ]
    header = ["set", "median ms", "sweeps", "certified gap", "ms per sweep"]
    header += ["in nominal sweeps", "linear programs", "speed-up"]
    tv, interval, kl, chi_square = sets
    claims = [
        Claim("robust: TV, in nominal sweeps", ratios[tv], 3.0),
        Claim("robust: interval, in nominal sweeps", ratios[interval], 6.0),
        Claim("robust: KL, in nominal sweeps", ratios[kl], 20.0),
        Claim("robust: chi-square, in nominal sweeps", ratios[chi_square], 20.0),
        *(
            Claim(
                f"robust: {name} against linear programs", programs[name] / sweep[name], 1e3, True
            )
            for name in programs
        ),
    ]
    memory, largest = _memory(mdp, solvers)
    claims.append(Claim("most memory that a solver took, in transition arrays", largest, 0.5))
    text = (
        f"### Robust: 1,000 states, 10 actions, dense, discount 0.99\n\n{table(header, rows)}\n\n"
        "Linear programs: one solve by HiGHS, as SciPy brings it, per state-action, the mean of "
        f"{SAMPLE} pairs times {mdp.rewards.size:,} pairs; "
        "each agreed with our worst case before it counted.\n\n"
        f"### Memory\n\n{memory}"
    )
    return text, claims


def _programs(mdp: DiscountedMDP, which: Any, values: FloatArray) -> float:
    """Return the mean seconds of a linear program, after checking that it agrees with ours."""
    rng = np.random.default_rng(0)
    pairs = rng.choice(mdp.rewards.size, SAMPLE, replace=False)
    total = 0.0
    for pair in pairs:
        nominal = mdp.rows[pair]
        if isinstance(which, Interval):
            lower, upper = (x.reshape(mdp.rows.shape)[pair] for x in (which.lower, which.upper))
            own, _ = Interval(lower, upper).worst_case(values, nominal)
            program = _interval_program(values, lower, upper)
        else:
            own, _ = which.worst_case(values, nominal)
            program = _total_variation_program(values, nominal, RADIUS)
        result = program()
        # HiGHS is feasible to within 1e-7 per constraint, so its value is off by that much.
        if abs(result.fun - own) > 1e-6 * np.abs(values).max():
            raise SystemExit(f"pair {pair}: the linear program says {result.fun}, we say {own}")
        total += timed(program)
    return total / SAMPLE


def _interval_program(values: FloatArray, lower: Any, upper: Any) -> Callable[[], Any]:
    """Minimise q . v over l <= q <= u of mass one."""
    ones, bounds = np.ones((1, len(values))), np.column_stack([lower, upper])
    return partial(linprog, values, A_eq=ones, b_eq=[1.0], bounds=bounds, method="highs")


def _total_variation_program(
    values: FloatArray, nominal: FloatArray, radius: float
) -> Callable[[], Any]:
    """Minimise q . v over distributions q = p + gain - loss, with the losses summing to a radius.

    Both columns of a state are one of its signed change; the distance is the mass that is lost.
    """
    n = len(values)
    eye, ones = sparse.eye_array(n), np.ones((1, n))
    costs = np.concatenate([values, -values])
    # q >= 0 is loss - gain <= p; mass moves, it is not made.
    within = sparse.vstack(
        [sparse.hstack([-eye, eye]), sparse.csr_array(np.hstack([0 * ones, ones]))], format="csr"
    )
    limits, moved = np.append(nominal, radius), np.hstack([ones, -ones])
    program = partial(
        linprog, costs, A_ub=within, b_ub=limits, A_eq=moved, b_eq=[0.0], method="highs"
    )

    def solve() -> Any:
        result = program()
        result.fun += float(nominal @ values)
        return result

    return solve


def _memory(mdp: DiscountedMDP, solvers: dict[str, Callable[..., Any]]) -> tuple[str, float]:
    """Measure the most memory that building and solving take beyond the arrays given."""
    size = mdp.transitions.nbytes
    rows, largest = [], 0.0
    planners = solvers | {
        "modified policy iteration": partial(modified_policy_iteration, tolerance=TOLERANCE)
    }
    for name, solve in planners.items():
        tracemalloc.start()
        solve(DiscountedMDP(mdp.transitions, mdp.rewards, mdp.discount))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        rows.append([name, f"{peak / 1e6:.2f}", f"{peak / size:.4f}"])
        largest = max(largest, peak / size)
    header = ["building and solving", "peak MB", f"of the {size / 1e6:.0f} MB transition array"]
    return table(header, rows), largest
