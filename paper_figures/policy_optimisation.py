"""How far are policy-gradient methods from the optimum, and from their bounds?"""

from collections.abc import Callable
from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.paper_figures.registry import Drawing, Figure, Parameters
from rltheory.tabular import DiscountedMDP, occupancy_measure, policy_iteration
from rltheory.tabular.generators import random_mdp
from rltheory.tabular.policy_optimisation import (
    PolicyOptimisation,
    mirror_descent,
    natural_policy_gradient,
    policy_gradient,
)

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"states": 8, "actions": 3, "discount": 0.8, "iterations": 2000, "npg_step": 0.2},
    "paper": {"states": 20, "actions": 4, "discount": 0.9, "iterations": 20_000, "npg_step": 0.1},
}
FLOOR = 1e-11
"""Below this the certified suboptimality is rounding."""


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return the certified suboptimality of each method and, where it has one, its bound."""
    mdp = random_mdp(
        settings["states"], settings["actions"], discount=settings["discount"], seed=seed
    )
    rows = []
    for method, (run, bound) in _runs(mdp, settings).items():
        error = run.suboptimality.upper
        seen = int(np.argmax(error < FLOOR)) if error.min() < FLOOR else len(error) - 1
        for k in np.unique(np.geomspace(1, seen, 60).astype(int)):
            row = {"method": method, "iteration": int(k), "suboptimality": error[k]}
            rows.append(row | {"bound": bound(int(k)) if bound else None})
    figure, axis = plotting.panels(height=3.5)
    for index, method in enumerate(dict.fromkeys(row["method"] for row in rows)):
        k = plotting.column(rows, "iteration", method=method)
        look = plotting.line(index, points=len(k)) | {"linestyle": "-"}
        axis.plot(k, plotting.column(rows, "suboptimality", method=method), label=method, **look)
        bound = plotting.column(rows, "bound", method=method)
        if bound[0] is not None:
            axis.plot(k, bound, **(look | {"linestyle": "--", "fillstyle": "none"}))
    axis.plot([], [], color="black", linestyle="--", label="their bounds")
    axis.set(xscale="log", yscale="log", ylim=(FLOOR / 3, None), xlabel="iteration $k$")
    axis.set_ylabel(r"$V^* - V^{\pi_k}$ (units of reward)")
    figure.legend(loc="outside lower center", ncols=2)
    return figure, rows


Bound = Callable[[int], float]


def _runs(
    mdp: DiscountedMDP, settings: Parameters
) -> dict[str, tuple[PolicyOptimisation, Bound | None]]:
    """Return each method's run and its bound on the suboptimality as a function of k."""
    left = 1.0 - mdp.discount
    states, actions = mdp.rewards.shape
    visits = occupancy_measure(mdp, policy_iteration(mdp).policy).sum(axis=1)
    mismatch = float((visits / mdp.initial).max())
    count, step = settings["iterations"], settings["npg_step"]
    smooth = left**3 / (2 * mdp.discount * actions)
    # Xiao's schedule: steps grow so fast that the optimal policy's mismatch alone sets the rate.
    theta = mismatch / left
    growing = settings["npg_step"] / left * (theta / (theta - 1)) ** np.arange(400)

    def linear(k: int) -> float:
        start = 1.0 / left + np.log(actions) / (growing[0] * (theta - 1))
        return float((1 - 1 / theta) ** k * start)

    return {
        "policy gradient, softmax": (
            policy_gradient(mdp, step=left**3 / 8, iterations=count),
            None,
        ),
        "policy gradient, projected": (
            policy_gradient(mdp, step=smooth, iterations=count, parametrisation="direct"),
            lambda k: float(
                np.sqrt(64 * mdp.discount * states * actions / (left**6 * k)) * mismatch
            ),
        ),
        "natural policy gradient": (
            natural_policy_gradient(mdp, step=step, iterations=count),
            lambda k: float(np.log(actions) / (step * k) + 1 / (left**2 * k)),
        ),
        "mirror descent, growing steps": (
            mirror_descent(mdp, step=growing, iterations=len(growing)),
            linear,
        ),
    }


FIGURE = Figure(
    name="policy-optimisation",
    title="Exact suboptimality of policy optimisation against its bounds",
    caption="Four methods with exact gradients on a random MDP, from the uniform policy and with "
    "the step sizes of their theorems; solid lines are certified upper ends of the suboptimality "
    "at the uniform initial distribution, dashed ones the bounds. The bound of the projected "
    "gradient (on the best iterate so far) is orders of magnitude above what happens; that of the "
    "natural gradient, free of the state space, is closer; mirror descent with geometrically "
    "growing steps converges linearly, as its bound says. The softmax gradient has no bound "
    "with an explicit constant.",
    source="Agarwal, Kakade, Lee and Mahajan (2021), Theorems 4.1 and 5.3; Xiao (2022), section 4",
    draw=draw,
    settings=SETTINGS,
    cost=5.0,
)
