"""What `rltheory solve` says: the answer as text, as JSON and as arrays."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.bounds import Bounds, down, rounding_error, up
from rltheory.analysis.files import replacing
from rltheory.analysis.tables import to_latex
from rltheory.cli.streams import write_document
from rltheory.tabular.mdp import DiscountedMDP, EpisodicMDP

LARGEST_TABLE = 40
"""More states than that are not listed."""


@dataclass(frozen=True)
class Model:
    """What was read: the MDP, where from, and what only some models have."""

    mdp: DiscountedMDP | EpisodicMDP
    origin: str
    intervals: tuple[Any, Any] | None = None
    action_names: Any = None
    cells: list[str] = field(default_factory=list)
    arrows: str = ""


def describe(
    model: Model, problem: dict[str, Any], method: str, solution: Any, seconds: float
) -> dict[str, Any]:
    """Return all of the answer but its arrays, ready for JSON."""
    mdp = model.mdp
    value, bounds = _start_value(mdp.initial, solution)
    return {
        "model": model.origin,
        "states": mdp.states,
        "actions": mdp.actions,
        **_span(mdp),
        **problem,
        "method": method,
        "iterations": getattr(solution, "iterations", None),
        "converged": bool(getattr(solution, "converged", True)),
        "gap": solution.gap,
        "start": {"value": value, "lower": float(bounds.lower), "upper": float(bounds.upper)},
        "seconds": seconds,
    }


def summary(answer: dict[str, Any], model: Model, solution: Any) -> str:
    """Return the answer as a person reads it; tables only where they fit a screen."""
    steps = answer.get("horizon")
    span = f"horizon {steps}" if steps else f"discount {answer['discount']:g}"
    size = f"{answer['states']} states, {answer['actions']} actions, {span}"
    lines = [
        f"model      {answer['model']}: {size}",
        f"problem    {_problem(answer)}",
        f"method     {answer['method']}"
        + (f", {answer['iterations']} iterations" if answer["iterations"] else "")
        + f", {answer['seconds']:.3f} s",
        f"certified  gap {answer['gap']:.2g} between the bounds of every state's value"
        + ("" if answer["converged"] else ", MORE than the tolerance"),
        f"start      {_enclosed(answer['start'])}",
    ]
    lines += _starts(model.mdp.initial, solution)
    policy = solution.policy[0] if solution.policy.ndim == 3 else solution.policy
    if model.cells:
        lines += ["", "policy", *_map(model, policy)]
    elif len(policy) <= LARGEST_TABLE:
        values = _rounded(_first(solution.values), answer["gap"])
        title = "policy at the first step" if steps else "policy"
        lines += ["", title, *_table(model, values, policy)]
    return "\n".join(lines)


def latex_table(model: Model, solution: Any) -> str:
    """Return a tabular with a row for each state, at the first step where there are steps.

    Bounds stand with all of their digits: rounded ones need not enclose the value.
    """
    values, lower, upper = (_first(getattr(solution, n)) for n in ("values", "lower", "upper"))
    policy = solution.policy[0] if solution.policy.ndim == 3 else solution.policy
    rows = [
        {
            "state": s,
            "value": float(values[s]),
            "lower": repr(float(lower[s])),
            "upper": repr(float(upper[s])),
            "action": _choice(model, s, row),
        }
        for s, row in enumerate(policy)
    ]
    return to_latex(rows)


def write_json(path: Path, answer: dict[str, Any], solution: Any) -> None:
    """Write the answer with its values, bounds and policy; an older file survives a failure."""
    names = ("values", "lower", "upper", "policy")
    arrays = {name: getattr(solution, name).tolist() for name in names}
    write_document(path, answer | arrays)


def save_arrays(path: Path, solution: Any) -> None:
    """Write the solution's arrays to a `.npz` file, with the worst kernel of a robust one."""
    names = ("values", "action_values", "policy", "lower", "upper")
    arrays = {name: getattr(solution, name) for name in names}
    if hasattr(solution, "worst_kernel"):
        kernel = solution.worst_kernel
        parts = ("data", "indices", "indptr") if hasattr(kernel, "indptr") else ()
        arrays |= {f"worst_kernel_{part}": getattr(kernel, part) for part in parts} or {
            "worst_kernel": kernel
        }
    with replacing(path) as stream:
        np.savez_compressed(stream, **arrays)


def _span(mdp: DiscountedMDP | EpisodicMDP) -> dict[str, float]:
    if isinstance(mdp, EpisodicMDP):
        return {"horizon": mdp.horizon}
    return {"discount": mdp.discount}


def _start_value(initial: FloatArray, solution: Any) -> tuple[float, Bounds]:
    """Return the value of the initial distribution and an enclosure of it, rounding included."""
    values, lower, upper = (_first(getattr(solution, n)) for n in ("values", "lower", "upper"))
    largest = float(max(np.abs(lower).max(), np.abs(upper).max()))
    error = rounding_error(len(initial) + 2, largest * 1.001)
    bounds = Bounds(down(initial @ lower - error), up(initial @ upper + error))
    return float(np.clip(initial @ values, bounds.lower, bounds.upper)), bounds


def _first(array: Any) -> Any:
    """Return the values (S,): of the first step where there are steps."""
    return array[0] if array.ndim == 2 else array


def _problem(answer: dict[str, Any]) -> str:
    name = answer["uncertainty"]
    if name == "none":
        return "nominal: the largest expected return"
    size = ""
    if name != "interval":
        size = f" of {'penalty' if name.startswith('penalised') else 'radius'} {answer['radius']:g}"
    return f"robust: {name}{size}, ({','.join(answer['rectangularity'])})-rectangular"


def _enclosed(value: dict[str, float]) -> str:
    return f"{value['value']:.10g} in [{value['lower']!r}, {value['upper']!r}]"


def _starts(initial: FloatArray, solution: Any) -> list[str]:
    """Return a line for each start state, if there are several but few."""
    support = np.flatnonzero(initial)
    if not 1 < len(support) <= 10:
        return []
    values, lower, upper = (_first(getattr(solution, n)) for n in ("values", "lower", "upper"))
    return [
        f"  state {s:<4d} "
        + _enclosed({"value": float(values[s]), "lower": float(lower[s]), "upper": float(upper[s])})
        for s in support
    ]


def _rounded(values: FloatArray, gap: float) -> FloatArray:
    """Return the values without the digits that the certificate leaves open."""
    digits = int(-np.ceil(np.log10(gap))) if gap > 0 else 15
    return np.round(values, max(0, digits)) + 0.0


def _table(model: Model, values: FloatArray, policy: FloatArray) -> list[str]:
    rows = [
        f"  {s:5d}  {float(values[s]):14.8g}  {_choice(model, s, row)}"
        for s, row in enumerate(policy)
    ]
    return [f"  {'state':>5}  {'value':>14}  action", *rows]


def _choice(model: Model, state: int, row: FloatArray) -> str:
    names = [str(a) for a in range(len(row))]
    if model.action_names is not None:
        names = [str(name) or str(a) for a, name in enumerate(model.action_names[state])]
    taken = np.flatnonzero(row > 0)
    if len(taken) == 1:
        return str(names[taken[0]])
    return ", ".join(f"{names[a]} {row[a]:.4f}" for a in taken)


def _map(model: Model, policy: FloatArray) -> list[str]:
    """Draw the most probable action of each cell as an arrow; ends keep their letters."""
    chosen = iter(policy.argmax(axis=1))
    # Walls are no states; holes, cliffs, goals and pits are, but nothing is decided there.
    arrows = [[cell if cell == "#" else model.arrows[next(chosen)] for cell in row]
              for row in model.cells]  # fmt: skip
    return [
        "  "
        + " ".join(cell if cell in "HCGP" else arrow for cell, arrow in zip(*pair, strict=True))
        for pair in zip(model.cells, arrows, strict=True)
    ]
