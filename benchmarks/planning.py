"""Planners beside QuantEcon, mdpsolver and pymdptoolbox, and beside the floor that memory sets.

Everyone solves the same MDPs to the same accuracy. Answers are compared with a certified solution
first; then whole solves are timed in turn, models built beforehand, compilation done.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

from benchmarks.common import (
    Claim,
    bytes_of,
    medians,
    milliseconds,
    read_all,
    table,
    time_limit,
    timed,
)
from rltheory.tabular import (
    DiscountedMDP,
    Solution,
    modified_policy_iteration,
    policy_iteration,
    value_iteration,
)
from rltheory.tabular.generators import garnet, random_mdp
from rltheory.tabular.kernels import bellman

TOLERANCE = 1e-8
PATIENCE = 20
"""Seconds after which a peer that runs in Python is stopped, model and solve together."""


@dataclass(frozen=True)
class Solver:
    """A method: `prepare` builds its model, `solve` is timed, `read` takes the values out."""

    name: str
    prepare: Callable[[], Any]
    solve: Callable[[Any], Any]
    read: Callable[[Any], Any]

    def run(self) -> float:
        # Some touch the whole model in their preparation, which is not timed: once through before
        # it counts, everybody's model is in the cache as far as it fits.
        self.solve(self.prepare())
        return timed(self.solve, self.prepare())

    def values(self) -> Any:
        result = self.solve(self.prepare())
        return np.asarray(self.read(result), dtype=np.float64)


def report() -> tuple[str, list[Claim]]:
    """Return the section of the report, and the claims that it is about."""
    dense = random_mdp(1000, 10, seed=0, discount=0.99)
    large = garnet(100_000, 4, 5, seed=0, discount=0.99)
    sections, claims = [], []
    for name, mdp in (
        ("Dense: 1,000 states, 10 actions, discount 0.99", dense),
        ("Sparse garnet: 100,000 states, 4 actions, 5 successors, discount 0.99", large),
    ):
        section, found = _compare(name, mdp)
        sections.append(section)
        claims += found
    return "\n\n".join(sections), claims


def _compare(title: str, mdp: DiscountedMDP) -> tuple[str, list[Claim]]:
    reference = modified_policy_iteration(mdp, tolerance=0.1 * TOLERANCE)
    rows, ready = {}, {}
    for solver in [*_own(mdp), *_quantecon(mdp), *_mdpsolver(mdp), *_pymdptoolbox(mdp)]:
        try:
            with time_limit(PATIENCE):
                offset, shape = _errors(solver.values(), reference)
        except (ImportError, MemoryError, TimeoutError) as obstacle:
            rows[solver.name] = [f"did not run: {obstacle}", "", "", ""]
            continue
        # A constant is the reader's to correct; the shape, hence the policy, must be right.
        if shape > TOLERANCE:
            raise SystemExit(f"{solver.name} is off by {shape:.1e}; expected {TOLERANCE:g}")
        rows[solver.name] = [f"{offset:.0e}" if offset else "0", f"{shape:.0e}" if shape else "0"]
        ready[solver.name] = solver
    seconds = medians({name: solver.run for name, solver in ready.items()})
    own = [solver.name for solver in _own(mdp) if solver.name in seconds]
    best = min(own, key=seconds.__getitem__)
    for name in seconds:
        ratio = seconds[name] / seconds[best]
        rows[name] = [milliseconds(seconds[name]), f"{ratio:.2f}", *rows[name]]
    peers = [name for name in seconds if name not in own]
    fastest = min(peers, key=seconds.__getitem__, default=best)
    solves = table(
        ["method", "median ms", "ratio to our best", "error", "error but for a constant"],
        [[name, *cells] for name, cells in rows.items()],
    )
    sweeps, ratio = _sweeps(mdp)
    where = title.split(":")[0].lower()
    claims = [
        Claim(
            f"{where}: our best ({best}) against the fastest peer ({fastest}), ratio of times",
            seconds[best] / seconds[fastest],
            1.0,
        ),
        Claim(f"{where}: value iteration per sweep, in memory floors", ratio, 3.0),
    ]
    return f"### {title}\n\n{solves}\n\n{sweeps}", claims


def _errors(values: Any, reference: Solution) -> tuple[float, float]:
    """Return how far values lie outside the certified bounds, as they are and but for a constant.

    The second is half the span, what is left when the best constant is taken off.
    """
    above, below = values - reference.upper, reference.lower - values
    outside = float(max(above.max(), below.max(), 0.0))
    error = values - reference.values
    return outside, max(0.5 * float(np.ptp(error)) - reference.gap, 0.0)


def _sweeps(mdp: DiscountedMDP) -> tuple[str, float]:
    """Time one sweep alone and within a solve against reading its bytes."""
    arrays = bytes_of(mdp.rows, mdp.rewards)
    values, out = np.random.default_rng(0).random(mdp.states), np.empty(mdp.states)
    iterations = value_iteration(mdp, tolerance=TOLERANCE).iterations
    product = f"the kernel times a vector, by {'SciPy' if mdp.is_sparse else 'NumPy'}"
    # Each solve on a fresh model also sweeps once for the row sums and once for the solution.
    fresh = _own(mdp)[0]
    runs = {
        "reading the bytes once": partial(timed, read_all, arrays),
        "one sweep": partial(timed, bellman, mdp.rows, mdp.rewards, mdp.discount, values, out),
        "a value iteration, per sweep": lambda: fresh.run() / (iterations + 2),
        product: lambda: timed(lambda: mdp.rows @ values),
    }
    for run in runs.values():
        run()
    seconds = medians(runs, repeats=15)
    # A dense product only reads as well, and may read faster; a sparse one also looks values up.
    readers = ["reading the bytes once"] + ([] if mdp.is_sparse else [product])
    floor = min(seconds[name] for name in readers)
    megabytes = sum(array.nbytes for array in arrays) / 1e6
    lines = [
        [name, milliseconds(s), f"{megabytes / s / 1e3:.1f}", f"{s / floor:.2f}"]
        for name, s in seconds.items()
    ]
    header = [f"{megabytes:.1f} MB of model", "median ms", "GB/s", "ratio to the floor"]
    return table(header, lines), seconds["a value iteration, per sweep"] / floor


def _own(mdp: DiscountedMDP) -> list[Solver]:
    planners = {
        "value iteration": value_iteration,
        "Anderson": partial(value_iteration, method="anderson"),
        "modified policy iteration": modified_policy_iteration,
    }
    if not mdp.is_sparse:
        planners["Gauss-Seidel"] = partial(value_iteration, method="gauss_seidel")
        planners["policy iteration"] = policy_iteration
    return [
        Solver(
            f"rltheory {name}",
            # A fresh model, so that nothing is remembered from the last solve.
            mdp.replace,
            partial(planner, tolerance=TOLERANCE),
            lambda solution: solution.values,
        )
        for name, planner in planners.items()
    ]


def _quantecon(mdp: DiscountedMDP) -> list[Solver]:
    import quantecon

    if mdp.is_sparse:
        rows = mdp.rows
        kernel = sparse.csr_matrix((rows.data, rows.indices, rows.indptr), shape=rows.shape)
        states = np.repeat(np.arange(mdp.states), mdp.actions)
        actions = np.tile(np.arange(mdp.actions), mdp.states)
        pairs = (mdp.rewards.ravel(), kernel, mdp.discount, states, actions)
        problem = quantecon.markov.DiscreteDP(*pairs)
        methods = ["modified_policy_iteration"]
    else:
        arrays = (np.array(mdp.rewards), np.asarray(mdp.transitions), mdp.discount)
        problem = quantecon.markov.DiscreteDP(*arrays)
        methods = ["modified_policy_iteration", "policy_iteration"]
    return [
        Solver(
            f"QuantEcon {method.replace('_', ' ')}",
            lambda: problem,
            partial(_solve_quantecon, method),
            lambda result: result.v,
        )
        for method in methods
    ]


def _solve_quantecon(method: str, problem: Any) -> Any:
    return problem.solve(method=method, epsilon=TOLERANCE, max_iter=100_000)


def _mdpsolver(mdp: DiscountedMDP) -> list[Solver]:
    rewards = mdp.rewards.tolist()
    if mdp.is_sparse:
        rows, count = mdp.rows, mdp.actions
        splits = rows.indptr[1:-1]
        entries = [x.tolist() for x in np.split(rows.data, splits)]
        columns = [x.tolist() for x in np.split(rows.indices, splits)]
        pairs = range(0, len(entries), count)
        kernel = {
            "tranMatProbs": [entries[i : i + count] for i in pairs],
            "tranMatColumns": [columns[i : i + count] for i in pairs],
        }
    else:
        kernel = {"tranMatWithZeros": mdp.transitions.tolist()}
    model = partial(_build_mdpsolver, discount=mdp.discount, rewards=rewards, **kernel)
    return [
        Solver(
            f"mdpsolver {name}",
            model,
            partial(_solve_mdpsolver, algorithm),
            lambda solved: solved.getValueVector(),
        )
        for algorithm, name in (("mpi", "modified policy iteration"), ("vi", "value iteration"))
    ]


def _build_mdpsolver(**arrays: Any) -> Any:
    import mdpsolver

    # Built anew for each solve: a model starts from the values of its last one.
    model = mdpsolver.model()
    model.mdp(**arrays)
    return model


def _solve_mdpsolver(algorithm: str, model: Any) -> Any:
    # Ten sweeps between improvements are its fastest here; its default is a hundred.
    model.solve(algorithm=algorithm, tolerance=TOLERANCE, parIterLim=10, postProcessing=False)
    return model


def _pymdptoolbox(mdp: DiscountedMDP) -> list[Solver]:
    import mdptoolbox.mdp
    import mdptoolbox.util

    # Its check asks rows to sum to 1 within ten roundings, and of a sparse kernel makes S x S.
    mdptoolbox.util.check = lambda transitions, rewards: None
    if mdp.is_sparse:
        kernel = [sparse.csr_matrix(mdp.rows[a :: mdp.actions]) for a in range(mdp.actions)]
        methods = ["PolicyIterationModified", "ValueIteration"]
    else:
        kernel = [np.ascontiguousarray(mdp.transitions[:, a]) for a in range(mdp.actions)]
        methods = ["PolicyIteration", "ValueIteration"]
    return [
        Solver(
            f"pymdptoolbox {method}",
            partial(_build_pymdptoolbox, method, kernel, mdp),
            _solve_pymdptoolbox,
            lambda model: model.V,
        )
        for method in methods
    ]


def _build_pymdptoolbox(method: str, kernel: Any, mdp: DiscountedMDP) -> Any:
    import mdptoolbox.mdp

    accuracy = {} if method == "PolicyIteration" else {"epsilon": TOLERANCE}
    build = getattr(mdptoolbox.mdp, method)
    return build(kernel, mdp.rewards, mdp.discount, max_iter=100_000, **accuracy)


def _solve_pymdptoolbox(model: Any) -> Any:
    model.run()
    return model
