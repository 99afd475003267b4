"""Which tokens does a gate of the ratio push on, and how hard?"""

from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.analysis.estimators.gates import (
    GSPO_CLIP,
    PPO_CLIP,
    SAPO_GATE,
    TOKEN_RATIO,
    Gate,
    stopped_clip,
)
from rltheory.analysis.zoo.sapo import peak
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {"quick": {"points": 401}, "paper": {"points": 1601}}
CAP = 2.0
GATES: dict[str, tuple[Gate, int]] = {
    "no gate": (TOKEN_RATIO, 7),
    "PPO": (PPO_CLIP, 0),
    "SAPO": (SAPO_GATE, 1),
    "CISPO": (stopped_clip(high=CAP - 1.0), 2),
}
"""Gates of single tokens, with the number of their look."""
RESPONSE: dict[str, tuple[Gate, int]] = {"no gate": (TOKEN_RATIO, 7), "GSPO": (GSPO_CLIP, 3)}
"""Gates of the geometric mean."""
FAR, NEAR = 3.0, 1e-3


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return objective and weight of the score against the ratio; nothing is random."""
    points = settings["points"]
    far = np.linspace(0.0, FAR, points)
    near = np.linspace(1.0 - NEAR, 1.0 + NEAR, points)
    rows = [
        row
        for ratios, gates, reads in ((far, GATES, "token"), (near, RESPONSE, "response"))
        for name, (gate, _) in gates.items()
        for positive in (True, False)
        for row in _rows(name, gate, reads, ratios, positive)
    ]
    figure, axes = plotting.panels(2, 4, width=plotting.PAGE, height=3.7, sharex="col")
    for k, (reads, positive) in enumerate(
        [("token", True), ("token", False), ("response", True), ("response", False)]
    ):
        gates = GATES if reads == "token" else RESPONSE
        for line, quantity in enumerate(("objective", "weight")):
            axis = axes[line, k]
            for name, (_, number) in gates.items():
                where = {"gate": name, "reads": reads, "positive": positive}
                _curve(axis, rows, quantity, number, reads, name, where)
            axis.axvline(0.0 if reads == "response" else 1.0, color="#888888", linewidth=0.5)
        axes[0, k].set_title(f"{reads}s, $A {'>' if positive else '<'} 0$")
        axes[1, k].set_xlabel(
            "ratio $w$ of a token" if reads == "token" else r"$(s - 1)\cdot 10^4$"
        )
        if reads == "token":
            axes[0, k].set_ylim(-1.6, 2.2) if positive else axes[0, k].set_ylim(-2.2, 1.6)
            axes[1, k].set_ylim(-0.15, 2.6)
        else:
            axes[1, k].set_ylim(-0.08, 1.35)
    found = peak(1.0)
    axes[1, 0].plot(
        found.ratio, found.weight, "*", color=plotting.COLOURS[1], markersize=8, mec="black",
        mew=0.4, zorder=5,
    )  # fmt: skip
    axes[0, 0].set_ylabel("objective,\nchange from ratio 1")
    axes[1, 0].set_ylabel("weight of the score")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    more, names = axes[0, 2].get_legend_handles_labels()
    figure.legend(
        [*handles, more[1]], [*labels, names[1]], loc="outside lower center", ncols=len(labels) + 1
    )
    plotting.letter(axes)
    return figure, rows


def _rows(name: str, gate: Gate, reads: str, ratios: Any, positive: bool) -> list[dict[str, Any]]:
    """The objective A (f(w) - f(1)) and the weight w f'(w) for |A| = 1."""
    sign = 1.0 if positive else -1.0
    start = gate.surrogate(np.ones(1), positive)[0]
    with np.errstate(divide="ignore"):
        objective = sign * (gate.surrogate(ratios, positive) - start)
    weight = gate.coefficient(ratios, positive)
    return [
        {
            "reads": reads, "gate": name, "positive": positive, "ratio": float(w),
            "objective": float(f), "weight": float(c),
        }
        for w, f, c in zip(ratios, objective, weight, strict=True)
    ]  # fmt: skip


def _curve(
    axis: Any,
    rows: plotting.Rows,
    quantity: str,
    number: int,
    reads: str,
    name: str,
    where: dict[str, Any],
) -> None:
    ratios = plotting.column(rows, "ratio", **where)
    values = plotting.column(rows, quantity, **where)
    # A jump is not a line: leave it out.
    breaks = np.flatnonzero(np.abs(np.diff(values)) > 0.5)
    if quantity == "weight":
        ratios, values = (
            np.insert(ratios, breaks + 1, np.nan),
            np.insert(values, breaks + 1, np.nan),
        )
    across = ratios if reads == "token" else (ratios - 1.0) * 1e4
    scale = 1.0 if reads == "token" or quantity == "weight" else 1e4
    look = plotting.line(number) | {"marker": "none"}
    axis.plot(across, values * scale, label=name, **look)


def findings(rows: plotting.Rows) -> str:
    """Say where each gate of tokens is largest and what it leaves of tokens that left the band."""
    soft = [r for r in rows if r["gate"] == "SAPO" and r["positive"]]
    top = max(soft, key=lambda r: r["weight"])
    words = []
    for name in GATES:
        weights = plotting.column(rows, "weight", gate=name, reads="token", positive=True)
        ratios = plotting.column(rows, "ratio", gate=name, reads="token", positive=True)
        words.append(f"{np.interp(1.5, ratios, weights):.2f} ({name})")
    return (
        f"SAPO's weight is largest, {top['weight']:.2f}, for tokens that have become "
        f"{top['ratio']:.2f} times as likely. A token of positive advantage that is 1.5 times as "
        f"likely as when it was drawn weighs {', '.join(words)}."
    )


FIGURE = Figure(
    name="gates",
    title="Gates of the ratio and what they weigh",
    caption="Above, the objective of one token or response with an advantage of size 1, less its "
    "value at ratio 1; below, the weight that the gradient puts on its score, in both signs of the "
    "advantage. The first two columns are gates of the ratio w of a single token: PPO's clip at "
    "1 - 0.2 and 1 + 0.2 is silent on one side only, SAPO (temperatures 1 and 1.05) fades but "
    f"peaks above 1 (star), CISPO caps the weight (here at {CAP:g}, implementations differ) and "
    "never silences a token. The last two are GSPO's clip of the geometric mean s of a response's "
    "ratios, on its own scale of 3 and 4 parts in 10,000; the objective there is in the same "
    "parts. All weights are 1 on policy.",
    source="Schulman et al. (2017); Zheng et al. (2025); Gao et al. (2025); MiniMax (2025)",
    draw=draw,
    settings=SETTINGS,
    cost=2.0,
    findings=findings,
)
