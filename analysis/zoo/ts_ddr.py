"""Two-stage decision rules: a rule proposes target states, a linear programme follows them.

Multipliers of the target constraints are the derivatives of the programme's value by the targets,
so that a rule is trained through an optimiser that is never differentiated. Source: Rosemberg,
Street, Valladao and Van Hentenryck (2024), arXiv 2405.14973; the envelope theorem for linear
programmes, Bertsimas and Tsitsiklis (1997), section 5.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import (
    FloatArray,
    as_float_array,
    check_finite,
    check_range,
    read_only,
)


@dataclass(frozen=True, eq=False)
class TargetProgram:
    """Minimise costs . y + penalty |deviation| over system y = right, y >= 0.

    deviation: targets - tracked y; an infinite penalty asks for none.
    costs (n,), system (m, n), right (m,), tracked (k, n): rows that read the states off a plan.
    Raises ValueError naming the field that does not fit.
    """

    costs: FloatArray
    system: FloatArray
    right: FloatArray
    tracked: FloatArray
    penalty: float = np.inf

    def __post_init__(self) -> None:
        costs = as_float_array(self.costs, "costs", (None,))
        if not costs.size:
            raise ValueError("costs is empty; expected at least one variable")
        system = as_float_array(self.system, "system", (None, len(costs)))
        fields = {
            "costs": costs,
            "system": system,
            "right": as_float_array(self.right, "right", (len(system),)),
            "tracked": as_float_array(self.tracked, "tracked", (None, len(costs))),
        }
        if not len(fields["tracked"]):
            raise ValueError("tracked has zero rows; expected at least one state")
        check_range(self.penalty, "penalty", 0.0, np.inf)
        for name, array in fields.items():
            check_finite(array, name)
            object.__setattr__(self, name, read_only(array))

    @property
    def states(self) -> int:
        """Number of target states k."""
        return len(self.tracked)

    def standard_form(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return costs (n + 2k,), the system (m + k, n + 2k) and right (m,) with deviations.

        The last k rows are tracked y + (what is missing) - (what is too much) = targets, whose
        right side is not part of `right`. For an infinite penalty there are no deviations.
        """
        if np.isinf(self.penalty):
            return self.costs, np.vstack([self.system, self.tracked]), self.right
        eye = np.eye(self.states)
        none = np.zeros((len(self.system), 2 * self.states))
        system = np.block([[self.system, none], [self.tracked, eye, -eye]])
        return np.append(self.costs, np.full(2 * self.states, self.penalty)), system, self.right


@dataclass(frozen=True, eq=False)
class TargetSolution:
    """What following targets costs, and how the cost moves with them.

    value: the least cost; duals: (k,), its derivative by each target where it has one, a
    subgradient elsewhere; plan: (n,); deviations: (k,), targets less tracked states.
    """

    value: float
    duals: FloatArray
    plan: FloatArray
    deviations: FloatArray


def follow_targets(program: TargetProgram, targets: ArrayLike) -> TargetSolution:
    """Solve the programme by HiGHS; return a TargetSolution, good to its tolerance of 1e-7.

    Raises ValueError if no plan reaches the targets (only with an infinite penalty) or the cost
    is unbounded.
    """
    from scipy.optimize import linprog

    goal = as_float_array(targets, "targets", (program.states,))
    check_finite(goal, "targets")
    costs, system, right = program.standard_form()
    result = linprog(costs, A_eq=system, b_eq=np.append(right, goal), method="highs")
    if result.status == 2:
        raise ValueError(
            f"targets {goal} cannot be reached; a finite penalty would allow deviations"
        )
    if result.status == 3:
        raise ValueError("the cost of the program is unbounded below; expected costs to bound it")
    if result.status != 0:
        raise RuntimeError(f"HiGHS did not solve the program: {result.message}")
    plan = result.x[: len(program.costs)]
    return TargetSolution(
        float(result.fun),
        # SciPy's multipliers of equalities are derivatives by the right side, sign included.
        np.array(result.eqlin.marginals[-program.states :]),
        plan,
        goal - program.tracked @ plan,
    )


def rule_gradient(
    programs: Sequence[TargetProgram], features: ArrayLike, coefficients: ArrayLike
) -> tuple[float, FloatArray]:
    """Return the mean cost of a linear rule over scenarios, and its gradient (k, f).

    programs: N scenarios; features: (N, f), what the rule sees of each; coefficients: (k, f): the
    targets of a scenario are coefficients @ features. The cost is convex in the coefficients; where
    a dual is not unique the gradient is a subgradient. Raises ValueError on shapes that do not fit.
    """
    if not len(programs):
        raise ValueError("programs is empty; expected at least one scenario")
    states = programs[0].states
    if any(program.states != states for program in programs):
        raise ValueError("programs differ in their number of states; expected one")
    seen = as_float_array(features, "features", (len(programs), None))
    check_finite(seen, "features")
    rule = as_float_array(coefficients, "coefficients", (states, seen.shape[1]))
    check_finite(rule, "coefficients")
    solutions = [
        follow_targets(program, rule @ row) for program, row in zip(programs, seen, strict=True)
    ]
    gradient = sum(np.outer(s.duals, row) for s, row in zip(solutions, seen, strict=True))
    value = sum(s.value for s in solutions) / len(programs)
    return value, np.asarray(gradient / len(programs))


def reservoir(
    inflows: ArrayLike,
    demands: ArrayLike,
    *,
    capacity: float,
    initial: float,
    prices: ArrayLike,
    limits: ArrayLike,
    penalty: float = np.inf,
    water_value: float = 0.0,
) -> TargetProgram:
    """Return hydro-thermal planning of T periods; targets are the reservoir's levels at their ends.

    inflows, demands: (T,), in units of energy; prices: (G,), of thermal generators, increasing;
    limits: (G - 1,), what the cheaper ones can deliver per period, the last one without limit;
    water_value: what a unit left at the end is worth, at most the last price (added as a cost of
    what is missing to the capacity). Variables per period: release, spill, level, room, G
    outputs, G - 1 reserves; rows per period: balance, demand, room, reserves.
    """
    water = as_float_array(inflows, "inflows", (None,))
    load = as_float_array(demands, "demands", water.shape)
    costs = as_float_array(prices, "prices", (None,))
    if not water.size or not costs.size:
        raise ValueError("inflows or prices is empty; expected at least one of each")
    caps = as_float_array(limits, "limits", (len(costs) - 1,))
    for name, array in (("inflows", water), ("demands", load), ("prices", costs), ("limits", caps)):
        check_finite(array, name)
        if array.size and array.min() < 0:
            raise ValueError(f"{name} holds {array.min()}; expected numbers of at least 0")
    if any(a > b for a, b in pairwise(costs)):
        raise ValueError(f"prices is {costs}; expected increasing prices")
    check_range(capacity, "capacity", 0.0, 1e12)
    check_range(initial, "initial", 0.0, capacity)
    check_range(water_value, "water_value", 0.0, float(costs[-1]))
    periods, units = len(water), len(costs)
    width, height = 4 + 2 * units - 1, 3 + units - 1
    system = np.zeros((periods * height, periods * width))
    right, cost = np.zeros(periods * height), np.zeros(periods * width)
    tracked = np.zeros((periods, periods * width))
    for t in range(periods):
        row, at = t * height, t * width
        release, spill, level, room, output = at, at + 1, at + 2, at + 3, at + 4
        system[row, [release, spill, level]] = 1.0
        right[row] = water[t]
        if t:
            system[row, level - width] = -1.0
        else:
            right[row] += initial
        system[row + 1, release] = 1.0
        system[row + 1, output : output + units] = 1.0
        right[row + 1] = load[t]
        system[row + 2, [level, room]] = 1.0
        right[row + 2] = capacity
        for g in range(units - 1):
            system[row + 3 + g, [output + g, output + units + g]] = 1.0
            right[row + 3 + g] = caps[g]
        cost[output : output + units] = costs
        tracked[t, level] = 1.0
    cost[(periods - 1) * width + 3] += water_value
    return TargetProgram(cost, system, right, tracked, penalty)
