"""Does a holder who learnt to sell a put against an adversary earn more when prices rise?"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis import plotting
from rltheory.linear_mdp import FeatureMDP, dr_lsvi_ucb, dr_rpo, lsvi_ucb
from rltheory.linear_mdp.environments.american_put import american_put
from rltheory.paper_figures import linear_runs
from rltheory.paper_figures.linear_runs import Learn, listing, look
from rltheory.paper_figures.registry import Drawing, Figure, Parameters
from rltheory.tabular import backward_induction, robust_backward_induction
from rltheory.tabular.mdp import EpisodicMDP
from rltheory.tabular.uncertainty import TotalVariation

TRAINED = 0.5
TEMPERATURES = (0.1, 1.0)
LSVI, DR, DR_THEORY = "LSVI-UCB", "DR-LSVI-UCB", "DR-LSVI-UCB, theory's bonus"
RPO = {heat: f"DR-RPO, eta {heat:g}" for heat in TEMPERATURES}
BEST, NOMINAL, ROBUST = "optimal, knowing p", "optimal nominal policy", "optimal robust policy"
LOOKS = {
    BEST: look(7, linestyle="-", linewidth=0.8, marker=""),
    NOMINAL: linear_runs.REFERENCE_LOOKS[0],
    ROBUST: linear_runs.REFERENCE_LOOKS[1],
    LSVI: look(0),
    DR: look(1),
    DR_THEORY: look(1, linestyle=":", marker=""),
    **linear_runs.temperature_looks(RPO, first=2),
}
LEARNERS = (DR, DR_THEORY, *RPO.values())

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {
        "runs": 10,
        "step": 0.05,
        "dimensions": [20, 30, 50],
        "radius": 0.5,
        "bonuses": [1.0, 3.0],
    },
    "paper": {
        "runs": 40,
        "step": 0.025,
        "dimensions": [20, 30, 50],
        "radius": 0.5,
        "bonuses": [1.0, 3.0],
    },
}


def learners(model: FeatureMDP, radius: float, bonus: float) -> dict[str, Learn]:
    """Return the algorithms by name."""
    run: dict[str, Any] = {
        "episodes": linear_runs.EPISODES,
        "ridge": linear_runs.RIDGE,
        "checkpoints": 1,
        "bonus": bonus,
    }
    robust = run | {"uncertainty": TotalVariation(radius)}
    algorithms: dict[str, Learn] = {
        LSVI: lambda rng: lsvi_ucb(model, known_rewards=True, seed=rng, **run).learnt.policy
    }
    for name, form in ((DR, "diagonal"), (DR_THEORY, "factors")):
        algorithms[name] = lambda rng, form=form: (
            dr_lsvi_ucb(  # type: ignore[misc]
                model, bonus_form=form, seed=rng, **robust
            ).learnt.policy
        )
    for heat, name in RPO.items():
        algorithms[name] = lambda rng, heat=heat: (
            dr_rpo(  # type: ignore[misc]
                model, temperature=heat, bonus_form="diagonal", seed=rng, **robust
            ).learnt.policy
        )
    return algorithms


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return what the policies earn at every probability of a rise, for every dimension."""
    runs, dimensions = settings["runs"], settings["dimensions"]
    rises = np.array(np.round(np.arange(0.15, 0.85 + 1e-9, settings["step"]), 6), np.float64)
    starts = np.array(
        [linear_runs.generator(seed, run).uniform(95.0, 105.0) for run in range(runs)]
    )
    worlds = [
        [american_put(up_probability=p, starts=[start]) for p in (*rises, TRAINED)]
        for start in starts
    ]
    tested, trained = [line[:-1] for line in worlds], [line[-1].mdp for line in worlds]

    def rewards(policies: list[Any]) -> NDArray[Any]:
        pairs = zip(tested, policies, strict=True)
        return np.array([[_earns(world.mdp, policy) for world in line] for line, policy in pairs])

    radius = settings["radius"]
    ball = TotalVariation(radius)
    references = {
        BEST: rewards([None] * runs),
        NOMINAL: rewards([backward_induction(mdp).policy for mdp in trained]),
        ROBUST: rewards([robust_backward_induction(mdp, ball).policy for mdp in trained]),
    }
    rows: list[dict[str, Any]] = []
    for dimension in dimensions:
        models = [american_put(dimension=dimension, starts=[start]) for start in starts]
        for bonus in settings["bonuses"]:
            learnt: dict[str, list[Any]] = {}
            for run, model in enumerate(models):
                for name, learn in learners(model, radius, bonus).items():
                    policy = learn(linear_runs.generator(seed, run))
                    learnt.setdefault(name, []).append(policy)
            curves = references | {name: rewards(policies) for name, policies in learnt.items()}
            for name, curve in curves.items():
                where = {"dimension": dimension, "bonus": bonus, "algorithm": name}
                rows += linear_runs.curve_rows(where, "rise", rises, curve, curves[LSVI])
    return _paint(rows, settings), rows


def _paint(rows: plotting.Rows, settings: Parameters) -> Any:
    """Draw a column for each dimension: payments, then differences for each bonus."""
    dimensions, bonuses = settings["dimensions"], settings["bonuses"]
    figure, axes = plotting.panels(
        1 + len(bonuses), len(dimensions), width=plotting.PAGE, height=2.8 + 1.8 * len(bonuses),
        sharex=True, sharey="row", squeeze=False,
    )  # fmt: skip
    references = {name: LOOKS[name] for name in (NOMINAL, ROBUST)}
    learnt = {name: LOOKS[name] for name in LEARNERS}
    for line, dimension in zip(axes.T, dimensions, strict=True):
        where = {"dimension": dimension, "bonus": bonuses[0]}
        linear_runs.paint(line[0], rows, "rise", LOOKS, bands=False, **where)
        line[0].set_title(f"$d={dimension}$, bonus {bonuses[0]:g}")
        for axis, bonus in zip(line[1:], bonuses, strict=True):
            where["bonus"] = bonus
            linear_runs.paint(axis, rows, "rise", references, kind="gain", bands=False, **where)
            linear_runs.paint(axis, rows, "rise", learnt, kind="gain", **where)
            axis.axhline(0.0, color=LOOKS[LSVI]["color"])
            axis.set_title(f"gain over LSVI-UCB, bonus {bonus:g}")
        line[-1].set_xlabel("probability $p$ of a rise")
        for axis in line:
            axis.axvline(TRAINED, color="black", linewidth=0.6)
    axes[0, 0].set(ylabel="payment (money)", ylim=(0.0, 6.0))
    for axis in axes[1:, 0]:
        axis.set(ylabel="difference (money)", ylim=(-1.3, 1.3))
    plotting.letter(axes)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _earns(mdp: EpisodicMDP, policy: Any) -> float:
    return float(backward_induction(mdp, policy=policy).values[0] @ mdp.initial)


def findings(rows: plotting.Rows) -> str:
    """Say for each bonus and algorithm what it gains when prices rise, and what it pays."""
    dimensions = list(dict.fromkeys(row["dimension"] for row in rows))
    last = max(row["rise"] for row in rows)
    ends = {(r["algorithm"], r["bonus"], r["dimension"], r["rise"]): r for r in rows}
    said = []
    for bonus in dict.fromkeys(row["bonus"] for row in rows):

        def row(name: str, dimension: int, p: float, bonus: float = bonus) -> Any:
            return ends[name, bonus, dimension, p]

        parts = []
        for name in LEARNERS:
            gains = listing([f"{row(name, d, last)['gain']:+.3f}" for d in dimensions])
            prices = listing([f"{row(name, d, TRAINED)['gain']:+.3f}" for d in dimensions])
            held = [f"{d}" for d in dimensions if row(name, d, last)["gain_low"] > 0]
            above = f"d = {listing(held)}" if held else "no d"
            parts.append(f"{name} {gains} against {prices}, a gain for {above}")
        plain = listing([f"{row(LSVI, d, TRAINED)['reward']:.2f}" for d in dimensions])
        nominal = row(NOMINAL, dimensions[0], TRAINED)["reward"]
        said.append(
            f"Bonus {bonus:g}: {'; '.join(parts)}. LSVI-UCB itself earns {plain} at "
            f"p = {TRAINED:g}, where the optimum is {nominal:.2f}"
        )
    return (
        f"Mean differences to LSVI-UCB at p = {last:g} against those at p = {TRAINED:g}, for d = "
        f"{listing([f'{d}' for d in dimensions])}; a gain is an interval above 0 at p = {last:g}. "
        + ". ".join(said)
        + "."
    )


FIGURE = Figure(
    name="put-robustness",
    title="An American put, learnt and sold in another market",
    caption=f"Policies learnt in {linear_runs.EPISODES} episodes of an American put (strike 100, "
    "10 decisions, hat functions of the price as features), where a step goes up with probability "
    "1/2, and what they earn, exactly, where it goes up with probability p; rises are bad for the "
    "holder. Each run has a first price of its own, uniform in [95, 105]. Total variation of "
    f"radius 0.5 around every factor, ridge {linear_runs.RIDGE:g}, the bonus in the form of the "
    "published code unless said otherwise; its scale there is 1, little beside payments of up to "
    "22, so that runs which sell at once never see what waiting is worth, and 3 is shown as well. "
    "References: optimal policies on the lattice knowing p (payments above 6 are cut off), for p = "
    "1/2, and against total variation 0.5 from every node to any state. Other than in the "
    "published code, a sale teaches nothing about waiting (there it counts as a visit of waiting "
    "with nothing to follow), values are clipped at what can still be paid, not at the number of "
    "steps, and the policy of each run is tested from its own first price, not that of the first "
    "run from all. Means over runs, whose payments differ mostly by the first price; differences "
    f"are paired, those of learners with bands: {linear_runs.BAND}.",
    source="Liu and Xu (2024), section 7, figure of the American put option; "
    "Gu, He, Liu and Xu (2025)",
    draw=draw,
    settings=SETTINGS,
    cost=10.0,
    findings=findings,
)
