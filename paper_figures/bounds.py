"""Do the certified bounds enclose the true value, down to the last bit?"""

from fractions import Fraction
from typing import Any

from rltheory.analysis import plotting
from rltheory.analysis.rational import to_fractions
from rltheory.paper_figures.registry import Drawing, Figure, Parameters
from rltheory.tabular import policy_iteration, value_iteration
from rltheory.tabular.generators import garnet

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"states": 12, "actions": 3, "successors": 4, "discount": 0.9, "sweeps": 60},
    "paper": {"states": 30, "actions": 4, "successors": 6, "discount": 0.95, "sweeps": 120},
}


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return bounds against sweeps, and their exact distances from the exact value."""
    mdp = garnet(
        settings["states"],
        settings["actions"],
        settings["successors"],
        discount=settings["discount"],
        seed=seed,
    )
    exact = policy_iteration(mdp, arithmetic="rational").values
    rows = []
    for sweeps in range(1, settings["sweeps"] + 1):
        solution = value_iteration(mdp, max_iterations=sweeps, tolerance=0.0)
        rows.append(
            {
                "sweeps": sweeps,
                "lower": solution.lower[0],
                "upper": solution.upper[0],
                "exact": float(exact[0]),
                "lower_distance": _least(exact - to_fractions(solution.lower)),
                "upper_distance": _least(to_fractions(solution.upper) - exact),
                "float_error": float(max(abs(exact - to_fractions(solution.values)))),
            }
        )
    figure, (left, right) = plotting.panels(1, 2, width=plotting.PAGE, height=2.3)
    sweeps = plotting.column(rows, "sweeps")
    left.fill_between(
        sweeps,
        plotting.column(rows, "lower"),
        plotting.column(rows, "upper"),
        color=plotting.COLOURS[5],
        alpha=0.35,
        linewidth=0,
        label="certified enclosure",
    )
    left.axhline(rows[0]["exact"], color="black", linewidth=0.8, label="exact rational value")
    start = min(20, len(rows))
    left.set(xlim=(1, start), xlabel="sweeps", ylabel="value of state 0", title="the enclosure")
    left.xaxis.get_major_locator().set_params(integer=True)
    left.legend()
    curves = {
        "lower_distance": "exact $-$ lower bound",
        "upper_distance": "upper bound $-$ exact",
        "float_error": "|float value $-$ exact|",
    }
    for index, (key, label) in enumerate(curves.items()):
        right.plot(
            sweeps,
            plotting.column(rows, key),
            label=label,
            **plotting.line(index, points=len(rows)),
        )
    right.set(
        yscale="log", xlabel="sweeps", ylabel="distance (units of reward)", title="its distances"
    )
    right.legend()
    plotting.letter((left, right))
    return figure, rows


def _least(distances: Any) -> float:
    """Return the smallest of exact distances; a negative one would refute the certificate."""
    least: Fraction = min(distances)
    if least < 0:
        raise ValueError(f"a certified bound misses the exact value by {float(-least)}")
    return float(least)


FIGURE = Figure(
    name="bounds",
    title="Certified bounds enclose the exact rational value",
    caption="Value iteration on a garnet returns a lower and an upper bound after every sweep. "
    "(a) The exact value, computed by policy iteration over the rationals, lies inside the "
    "enclosure from the first sweep. (b) The smallest distance of each bound from the exact "
    "value over all states falls geometrically and levels off above zero, at the width that "
    "rounding demands; the float value itself is closer than they are.",
    source="MacQueen (1966); Puterman (1994), Theorem 6.6.3",
    draw=draw,
    settings=SETTINGS,
)
