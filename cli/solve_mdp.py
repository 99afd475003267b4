"""`rltheory solve` for MDPs: values, policy and certified bounds."""

import argparse
import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rltheory.analysis.arrays import check_range
from rltheory.cli.mdp_answer import Model, describe, latex_table, save_arrays, summary, write_json
from rltheory.tabular.mdp import DiscountedMDP, EpisodicMDP

SETS = {
    "tv": "TotalVariation",
    "l1": "L1",
    "linf": "LInf",
    "l2": "L2",
    "chi_square": "ChiSquare",
    "kl": "KullbackLeibler",
    "contamination": "Contamination",
    "wasserstein": "Wasserstein",
    "penalised_tv": "PenalisedTotalVariation",
    "penalised_kl": "PenalisedKullbackLeibler",
    "penalised_chi_square": "PenalisedChiSquare",
}
METHODS = ("value_iteration", "policy_iteration", "modified_policy_iteration", "linear_programming")
ROBUST_METHODS = METHODS[:2]
FILES = (".npz", ".tra", ".drn")

EXAMPLES = """examples:
  rltheory solve frozen_lake                                    an MDP by name
  rltheory solve frozen_lake --uncertainty tv --radius 0.1      against the worst kernel nearby
  rltheory solve garnet --set states=5000 --set seed=3          with parameters
  rltheory solve american_put --uncertainty kl --radius 0.05    finite horizon
  rltheory solve model.npz --method linear_programming          a file of DiscountedMDP.save
  rltheory solve model.drn --discount 0.95 --json answer.json   Storm's, or PRISM's model.tra
"""


def add_options(group: Any) -> None:
    """Add what only MDPs have to an argument group; every default is None."""
    group.add_argument("--discount", type=float, metavar="G", help="instead of the model's own")
    group.add_argument(
        "--uncertainty",
        choices=[*SETS, "interval", "none"],
        help="how kernels may differ from the model's: a distance, a penalised one, the "
        "intervals of the file; for wasserstein, moving mass from state i to j costs |i - j|",
    )
    group.add_argument(
        "--format",
        choices=("text", "latex"),
        help="latex: print a tabular of states for the package booktabs instead (text)",
    )
    group.add_argument("--radius", type=float, metavar="R", help="of the set; or the penalty")
    group.add_argument(
        "--rectangularity",
        choices=("sa", "s"),
        help="the adversary's budget is for each state and action (sa), or shared by the "
        "actions of a state (s)",
    )


def run(arguments: argparse.Namespace, parameters: dict[str, Any]) -> int:
    """Solve and print; return 0, or 1 if the certified gap misses the tolerance.

    Raises ValueError, TypeError, OSError or ImportError for bad input, before any work.
    """
    if arguments.method not in (None, *METHODS):
        raise ValueError(f"--method {arguments.method} is for games; MDPs have {METHODS}")
    model = _read(arguments, parameters)
    uncertainty = _uncertainty(arguments, model)
    solver = _solver(arguments, model.mdp, uncertainty)
    start = time.perf_counter()
    solution = solver()
    seconds = time.perf_counter() - start

    problem: dict[str, Any] = {"uncertainty": arguments.uncertainty}
    if uncertainty is not None:
        rectangularity = arguments.rectangularity or "sa"
        problem |= {"radius": arguments.radius, "rectangularity": rectangularity}
    answer = describe(model, problem, arguments.method, solution, seconds)
    latex = arguments.format == "latex"
    remarks = sys.stderr if latex else sys.stdout
    print(latex_table(model, solution) if latex else summary(answer, model, solution))
    if arguments.json:
        write_json(arguments.json, answer, solution)
        print(f"answer in {arguments.json}", file=remarks)
    if arguments.out:
        save_arrays(arguments.out, solution)
        print(f"arrays in {arguments.out}", file=remarks)
    return 0 if answer["converged"] else 1


def _read(arguments: argparse.Namespace, parameters: dict[str, Any]) -> Model:
    path = Path(arguments.model)
    if path.suffix in FILES:
        if path.suffix == ".npz":
            return _read_npz(path, parameters, arguments.discount)
        return _read_explicit(path, parameters, arguments.discount)
    from rltheory.tabular.library import load

    if arguments.discount is not None:
        if "discount" in parameters:
            raise ValueError("--discount is given, and --set discount too; expected one of them")
        parameters["discount"] = arguments.discount
    mdp = load(arguments.model, **parameters)
    return Model(mdp, arguments.model, None, None, *_grid(arguments.model, parameters))


def _read_npz(path: Path, parameters: dict[str, Any], discount: float | None) -> Model:
    from rltheory.tabular.formats import load_npz

    if parameters:
        raise ValueError(f"--set {next(iter(parameters))}: a .npz file has no parameters")
    mdp = load_npz(path)
    if discount is not None and isinstance(mdp, EpisodicMDP):
        raise ValueError("--discount: the model has a finite horizon and no discount")
    if discount is not None and isinstance(mdp, DiscountedMDP):
        mdp = mdp.replace(discount=discount)
    return Model(mdp, str(path))


def _read_explicit(path: Path, parameters: dict[str, Any], discount: float | None) -> Model:
    from rltheory.tabular.drn import read_drn
    from rltheory.tabular.prism import read_prism

    unknown = sorted(set(parameters) - {"reward", "rescale_within"})
    if unknown:
        raise ValueError(f"--set {unknown[0]}: expected reward=NAME or rescale_within=DIFFERENCE")
    within = check_range(parameters.get("rescale_within", 0.0), "rescale_within", 0.0, 1.0)
    explicit = (read_prism if path.suffix == ".tra" else read_drn)(path, rescale_within=within)
    reward = parameters.get("reward")
    mdp = explicit.to_mdp(
        0.99 if discount is None else discount, reward=None if reward is None else str(reward)
    )
    intervals = (explicit.lower, explicit.upper) if explicit.is_interval else None
    return Model(mdp, str(path), intervals, explicit.action_names)


def _grid(name: str, parameters: dict[str, Any]) -> tuple[list[str], str]:
    """Return the rows of cells of a grid model and its actions as arrows; nothing for others."""
    if name == "frozen_lake":
        from gymnasium.envs.toy_text.frozen_lake import MAPS

        return list(MAPS[parameters.get("map_name", "4x4")]), "<v>^"
    if name == "cliff_walking":
        return ["." * 12] * 3 + ["S" + "C" * 10 + "G"], "^>v<"
    if name == "gridworld":
        from rltheory.tabular.generators import RUSSELL_NORVIG

        layout = parameters.get("layout", RUSSELL_NORVIG)
        return layout.split("/") if isinstance(layout, str) else list(layout), "<v>^"
    return [], ""


def _uncertainty(arguments: argparse.Namespace, model: Model) -> Any:
    """Return the uncertainty set asked for, None for a nominal problem."""
    name = arguments.uncertainty or ("interval" if model.intervals else "none")
    arguments.uncertainty = name
    if name in ("none", "interval") and arguments.radius is not None:
        raise ValueError(
            f"--radius is {arguments.radius:g}, but --uncertainty {name} has no radius"
        )
    if name == "none":
        if arguments.rectangularity:
            raise ValueError("--rectangularity is for robust problems; give an --uncertainty")
        return None
    sets = importlib.import_module("rltheory.tabular.uncertainty")
    if name == "interval":
        if model.intervals is None:
            raise ValueError(
                "--uncertainty interval needs a .tra or .drn file with intervals; "
                "for intervals of one width around every probability use linf"
            )
        return sets.Interval(*model.intervals)
    if arguments.radius is None:
        raise ValueError(f"--uncertainty {name} needs a --radius")
    kind = getattr(sets, SETS[name])
    if name == "wasserstein":
        place = np.arange(model.mdp.states, dtype=np.float64)
        return kind(arguments.radius, np.abs(np.subtract.outer(place, place)))
    return kind(arguments.radius)


def _solver(
    arguments: argparse.Namespace, mdp: DiscountedMDP | EpisodicMDP, uncertainty: Any
) -> Callable[[], Any]:
    """Return the call that solves the problem, its arguments checked."""
    if isinstance(mdp, EpisodicMDP):
        for option in ("method", "tolerance"):
            if getattr(arguments, option) is not None:
                raise ValueError(f"--{option}: a finite horizon is solved by backward induction")
        arguments.method = "backward_induction"
        if uncertainty is None:
            from rltheory.tabular.finite_horizon import backward_induction

            return lambda: backward_induction(mdp)
        from rltheory.tabular.robust_horizon import robust_backward_induction

        rectangularity = arguments.rectangularity or "sa"
        return lambda: robust_backward_induction(mdp, uncertainty, rectangularity=rectangularity)

    arguments.method = arguments.method or "value_iteration"
    tolerance = 1e-8 if arguments.tolerance is None else arguments.tolerance
    if not 0.0 < tolerance < np.inf:
        raise ValueError(f"--tolerance is {tolerance:g}; expected a positive number")
    if uncertainty is None:
        planners = importlib.import_module("rltheory.tabular")
        return lambda: getattr(planners, arguments.method)(mdp, tolerance=tolerance)
    if arguments.method not in ROBUST_METHODS:
        raise ValueError(f"--method {arguments.method}: robust solvers are {ROBUST_METHODS}")
    robust = importlib.import_module("rltheory.tabular.robust")
    solve = getattr(robust, f"robust_{arguments.method}")
    rectangularity = arguments.rectangularity or "sa"
    return lambda: solve(mdp, uncertainty, rectangularity=rectangularity, tolerance=tolerance)
