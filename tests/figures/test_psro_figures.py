"""What the figures of PSRO say is true of their data."""

from dataclasses import replace

import numpy as np
import pytest

from rltheory.analysis import plotting
from rltheory.analysis.plotting import column
from rltheory.games import Shor, exploitability, load, psro
from rltheory.paper_figures import psro_claims, psro_runs, psro_variants, shor_annealing

SMALL = ["Kuhn, 2 players", "Kuhn, 3 players", "Goofspiel, 3 cards"]
OTHERS = [
    "Kuhn, 4 players", "Leduc, 2 players", "Leduc, 3 players", "Goofspiel, 4 cards",
    "Goofspiel, 5 cards", "Liar's Dice, 4 sides", "Liar's Dice, 5 sides", "Liar's Dice, 6 sides",
]  # fmt: skip


@pytest.fixture(scope="module")
def claims():
    """The table of claims after a few iterations on three small games."""
    small = {"iterations": [6, 2, 1], "without": OTHERS, "histories": 100_000}
    with plotting.style():
        figure, rows = psro_claims.draw(small, 0)
        figure.draw_without_rendering()
    return rows


def test_settings_are_alike(claims):
    for module in (psro_claims, psro_variants, shor_annealing):
        assert set(module.SETTINGS["quick"]) == set(module.SETTINGS["paper"])
    assert {row["game"] for row in claims} == set(SMALL)


@pytest.mark.parametrize("reading", ["mean", "strategy"])
def test_bounds_of_the_claims_contain_what_psro_reports(claims, reading):
    name = "shor" if reading == "mean" else "shor/strategy"
    training = Shor(baseline=reading)
    evaluation = replace(Shor.evaluation(), baseline=reading)
    for game, count in ((load("kuhn_poker"), 6), (load("kuhn_poker", players=3), 2)):
        result = psro(game, training, evaluation=evaluation, iterations=count)
        end = exploitability(game, result.strategies)
        title = f"Kuhn, {game.players} players"
        (row,) = (r for r in claims if (r["game"], r["reading"]) == (title, name))
        assert row["shor_lower"] <= end <= row["shor_upper"]
        assert row["shor_upper"] - row["shor_lower"] < 1e-12


def test_verdicts_follow_from_the_bounds(claims):
    for row in claims:
        ahead = row["shor_upper"] < row["best_lower"]
        behind = row["shor_lower"] > row["best_upper"]
        assert row["verdict"] == ("lowest" if ahead else "behind" if behind else "even")
        assert row["best"] in psro_runs.BASELINES
        assert (row["best"] == "nash") <= (row["players"] == 2)


def test_the_caption_counts_each_game_once(claims):
    said = psro_claims.findings(claims)
    for words in psro_claims.SHORS.values():
        part = said.split(f"{words} ends below every baseline on ")[1].split(";")[0].split(".")[0]
        lowest = int(part[0])
        even, behind = (int(part.split(f"{key} ")[1][0]) for key in ("rounding on", "above it on"))
        assert lowest + even + behind == len(SMALL)


def test_curves_start_at_the_uniform_profile_and_nash_needs_two_players():
    small = {"roles": ["training"], "iterations": [2, 2, 1]}
    with plotting.style():
        figure, rows = psro_variants.draw(small, 0)
        figure.draw_without_rendering()
    for game in {row["game"] for row in rows}:
        entry = next(e for e in psro_claims.SUITE if e.title == game)
        form = entry.load()
        solvers = {row["solver"] for row in rows if row["game"] == game}
        assert solvers == set(psro_runs.SOLVERS) - ({"nash"} if form.players > 2 else set())
        start = column(rows, "exploitability", game=game, iterations=0)
        uniform = exploitability(form, form.uniform())
        np.testing.assert_allclose(start, uniform, rtol=0, atol=1e-12)
        # With Nash as meta-solver nothing is to be gained within the populations.
        gaps = column(rows, "restricted_gap", game=game, solver="nash")
        assert (np.abs(gaps) <= 1e-9).all()
    assert "2 with two players and 2 with three players" in psro_variants.findings(rows)


def test_annealing_follows_its_schedule_and_supports_are_within_the_populations():
    small = {"game": "kuhn_poker", "iterations": 4}
    with plotting.style():
        figure, rows = shor_annealing.draw(small, 0)
        figure.draw_without_rendering()
    for t, row in enumerate(r for r in rows if r["schedule"] == "annealed"):
        # The mixture after t iterations is the solver's at iteration t + 1, of t + 1 policies.
        progress = (t + 1) / 75
        assert row["policies"] == t + 1
        assert row["inner_steps"] == 1000 + 20 * t
        np.testing.assert_allclose(row["blend"], 0.3 - 0.25 * progress, rtol=1e-12)
        np.testing.assert_allclose(row["temperature"], 0.5 - 0.49 * progress, rtol=1e-12)
        np.testing.assert_allclose(row["diversity"], 0.05 - 0.049 * progress, rtol=1e-12)
    for row in rows:
        for kind in ("training", "evaluation"):
            assert 1 - 1e-12 <= row[f"{kind}_support"] <= row["policies"] + 1e-9
    constant = column(rows, "blend", schedule="as at the start")
    assert (constant == 0.3).all()
    shor = Shor.training(), Shor.evaluation()
    plain = psro(
        load("kuhn_poker"),
        lambda payoffs, iteration: shor[0](payoffs, iteration),
        evaluation=lambda payoffs, iteration: shor[1](payoffs, iteration),
        iterations=4,
    )
    shown = column(rows, "evaluation", schedule="annealed")
    np.testing.assert_array_equal(shown, plain.exploitability)
