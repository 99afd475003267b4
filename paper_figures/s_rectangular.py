"""When must a robust policy randomise?"""

from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.paper_figures.registry import Drawing, Figure, Parameters
from rltheory.tabular import DiscountedMDP, robust_evaluate_policy, robust_value_iteration
from rltheory.tabular.uncertainty import TotalVariation

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"discount": 0.9, "second_reward": 0.8, "radii": [0.01, 0.1, 0.4], "points": 41},
    "paper": {"discount": 0.9, "second_reward": 0.8, "radii": [0.01, 0.1, 0.4], "points": 201},
}

POINTS = "offset points"


def ledge(discount: float, second_reward: float) -> DiscountedMDP:
    """Return the smallest separating instance: two ways to stay on a ledge above a pit.

    State 0 pays 1 or `second_reward` and both actions stay; state 1 is the pit, never left. With
    a total-variation budget rho per state, probability x on the first action is worth
    (x + (1 - x) second_reward) / (1 - discount (1 - rho max(x, 1 - x))).
    """
    transitions = np.zeros((2, 2, 2))
    transitions[0, :, 0] = transitions[1, :, 1] = 1.0
    return DiscountedMDP(transitions, np.array([[1.0, second_reward], [0.0, 0.0]]), discount)


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return the s-rectangular value of every policy, and the best of two kinds of policy."""
    mdp = ledge(settings["discount"], settings["second_reward"])
    mixtures = np.linspace(0.0, 1.0, settings["points"])
    rows: list[dict[str, Any]] = []
    for radius in settings["radii"]:
        rows += [_row("policy", radius, x, _value(mdp, x, radius)) for x in mixtures]
    for radius in np.linspace(0.0, 1.0, settings["points"]):
        best = robust_value_iteration(mdp, TotalVariation(radius), rectangularity="s")
        rows.append(_row("randomised", radius, best.policy[0, 0], best.values[0]))
        value, x = max((_value(mdp, x, radius), x) for x in (0.0, 1.0))
        rows.append(_row("deterministic", radius, x, value))
        best = robust_value_iteration(mdp, TotalVariation(radius), rectangularity="sa")
        rows.append(_row("(s, a)-rectangular", radius, best.policy[0, 0], best.values[0]))
    figure, (left, right) = plotting.panels(1, 2, width=plotting.PAGE, height=2.5)
    for index, radius in enumerate(settings["radii"]):
        y = plotting.column(rows, "value", kind="policy", radius=radius)
        left.plot(mixtures, y, **plotting.line(index, points=len(y)))
        left.annotate(rf"$\rho = {radius:g}$", (1.03, y[-1]), va="center")
    for index, kind in enumerate(("randomised", "deterministic", "(s, a)-rectangular")):
        radii = plotting.column(rows, "radius", kind=kind)
        y = plotting.column(rows, "value", kind=kind)
        right.plot(radii, y, label=kind, **plotting.line(index, points=len(radii)))
    right.axvline(threshold(**settings), color="black", linestyle=":", linewidth=0.8)
    right.annotate("randomising pays", (threshold(**settings), 9.6), (6, 0), textcoords=POINTS)
    left.set(xlabel="probability of the first action", ylabel="robust value", title="policies")
    left.set(xlim=(-0.04, 1.3), xticks=[0, 0.25, 0.5, 0.75, 1])
    right.set(xlabel=r"radius $\rho$", ylabel="best robust value", title="optimal values")
    right.legend(loc="center right")
    plotting.letter((left, right))
    return figure, rows


def threshold(discount: float, second_reward: float, **_: Any) -> float:
    """Return the radius beyond which an even mixture beats the first action.

    The value on [1/2, 1] is a ratio of linear functions of x, so monotone: its maximum is at one
    of the ends, and at 1/2 once discount * rho * second_reward exceeds
    (1 - discount) (1 - second_reward).
    """
    return (1 - discount) * (1 - second_reward) / (discount * second_reward)


def _value(mdp: DiscountedMDP, mixture: float, radius: float) -> float:
    policy = np.array([[mixture, 1.0 - mixture]] * 2)
    return float(
        robust_evaluate_policy(mdp, policy, TotalVariation(radius), rectangularity="s").values[0]
    )


def _row(kind: str, radius: float, mixture: float, value: float) -> dict[str, Any]:
    return {
        "kind": kind,
        "radius": float(radius),
        "mixture": float(mixture),
        "value": float(value),
    }


FIGURE = Figure(
    name="s-rectangular",
    title="Randomisation under s-rectangular uncertainty",
    caption="Two actions stay on a ledge, the second for a smaller reward; an adversary with a "
    "total-variation budget per state, shared between the actions, pushes into a pit. (a) Once "
    "the budget is large enough, the robust value peaks at the even mixture, which halves what the "
    "adversary can do. (b) Beyond the dotted radius, known in closed form, the best deterministic "
    "policy loses to the best randomised one, and does no better than against an adversary who "
    "has the whole budget for each action.",
    source="Wiesemann, Kuhn and Rustem (2013), section 4",
    draw=draw,
    settings=SETTINGS,
)
