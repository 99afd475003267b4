"""What the figures about CFR and matrix games say is true of the data that they show."""

import importlib
import json

import numpy as np
import pytest

from rltheory.analysis import plotting
from rltheory.analysis.plotting import column
from rltheory.games.best_response import exploitability
from rltheory.games.library import SUITE
from rltheory.games.regret.cfr import cfr
from rltheory.games.regret.cfr_run import initial_state
from rltheory.games.regret.variants import vad_cfr
from rltheory.paper_figures import cfr_runs, game_sizes, registry, vad_traces

MODULES = [
    "cfr_training",
    "cfr_test",
    "cfr_suite",
    "cfr_claims",
    "vad_ablation",
    "vad_readings",
    "vad_volatility",
    "game_sizes",
    "simplex_trajectories",
    "last_iterates",
]
SMALL = tuple(
    entry
    for entry in SUITE
    if entry.title in ("Kuhn, 2 players", "Kuhn, 3 players", "Goofspiel, 3 cards")
)


@pytest.fixture
def draw():
    """Draw a figure on the suite's smallest games and return its rows and its findings."""

    def drawn(name, **settings):
        module = importlib.import_module(f"rltheory.paper_figures.{name}")
        with plotting.style():
            figure, rows = module.draw(module.SETTINGS["quick"] | settings, 0)
            figure.draw_without_rendering()
        assert module.FIGURE.findings(rows).endswith(".")
        return rows, module

    return drawn


@pytest.fixture
def small(monkeypatch):
    """Let the figures see the smallest games only, whatever their role."""
    monkeypatch.setattr(cfr_runs, "of_role", lambda *roles, without=(): list(SMALL))


@pytest.mark.parametrize("name", MODULES)
def test_both_scales_have_the_same_settings(name):
    settings = importlib.import_module(f"rltheory.paper_figures.{name}").SETTINGS
    assert set(settings["quick"]) == set(settings["paper"])


@pytest.mark.slow
def test_quick_figures_leave_out_exactly_the_large_games():
    large = [e.title for e in SUITE if cfr_runs.build(e.title).slots > cfr_runs.LIMIT]
    assert sorted(large) == sorted(cfr_runs.LARGE)


@pytest.fixture
def moderate(monkeypatch):
    """The suite without its four large games; their sizes are those of the library's own test."""
    games = [entry for entry in SUITE if entry.title not in cfr_runs.LARGE]
    monkeypatch.setattr(game_sizes, "SUITE", games)
    return games


def test_findings_follow_the_caption(moderate, tmp_path):
    paths = registry.render("game-sizes", tmp_path)
    figure = next(f for f in registry.figures() if f.name == "game-sizes")
    caption = json.loads(paths["json"].read_text())["caption"]
    assert caption.startswith(figure.caption)
    assert len(caption) > len(figure.caption) + 20


def test_runs_are_those_of_the_solver_in_the_order_of_the_suite():
    kuhn, goofspiel = SMALL[0], SMALL[2]
    variants = {name: cfr_runs.variant(name) for name in ("vad_cfr", "dcfr")}
    runs = cfr_runs.run_all(
        [goofspiel, kuhn], variants, iterations=30, checkpoints=[10, 30], starts=2
    )
    assert [run.entry for run in runs] == [kuhn] * 4 + [goofspiel] * 4
    for run in runs:
        game = run.entry.load()
        state = cfr_runs.start(game, run.start, 0)
        alone = cfr(game, run.algorithm, iterations=30, checkpoints=[10, 30], state=state)
        np.testing.assert_array_equal(run.result.exploitability, alone.exploitability)
        # Measured by the other way to the same number.
        measured = exploitability(game, run.result.average)
        assert measured == run.result.exploitability[-1]


def test_starts_differ_from_uniform_play_by_roundings_and_with_the_seed():
    game = SMALL[1].load()
    uniform = initial_state(game).strategies
    np.testing.assert_array_equal(cfr_runs.start(game, 0, 3).strategies, uniform)
    one, two = (cfr_runs.start(game, k, 3).strategies for k in (1, 2))
    other = cfr_runs.start(game, 1, 4).strategies
    for found in (one, two, other):
        # Up to 2^-50, and half an ulp for the product.
        assert (np.abs(found / uniform - 1.0) <= 2.0**-50 + 2.0**-52).all()
    assert (one != two).any()
    assert (one != other).any()
    np.testing.assert_array_equal(one, cfr_runs.start(game, 1, 3).strategies)


@pytest.mark.parametrize("name", ["cfr_training", "cfr_suite"])
def test_curves_say_which_profile_they_show(draw, small, monkeypatch, name):
    if name == "cfr_training":
        monkeypatch.setattr(cfr_runs, "of_role", lambda *r, without=(): [*SMALL, SUITE[6]])
    rows, _ = draw(name, checkpoints=10)
    assert {row["algorithm"] for row in rows} == set(cfr_runs.NINE)
    for row in rows:
        waits = row["algorithm"] == "vad_cfr" and row["iterations"] <= cfr_runs.WARM_UP
        assert row["profile"] == ("current" if waits else "average")
    # The average's first weight comes right after the warm-up.
    game = SMALL[0].load()
    for iterations, averaging in ((cfr_runs.WARM_UP, False), (cfr_runs.WARM_UP + 1, True)):
        result = cfr(game, cfr_runs.variant("vad_cfr"), iterations=iterations, checkpoints=1)
        assert result.averaging == averaging
    # CFR's bound, Delta |I| sqrt(A) / sqrt(T), summed over both players of Kuhn poker and halved.
    for row in rows:
        if row["game"] == "Kuhn, 2 players" and row["algorithm"] == "cfr":
            bound = 4 * 12 * np.sqrt(2) / np.sqrt(row["iterations"]) / 2
            assert row["exploitability"] <= bound


def test_claims_judge_by_certified_bounds_and_count_right(draw, small):
    rows, module = draw("cfr_claims", starts=3, once=("Kuhn, 3 players",))
    starts = {game: set(column(rows, "start", game=game)) for game in ("Kuhn, 2 players",)}
    assert starts == {"Kuhn, 2 players": {0, 1, 2}}
    assert set(column(rows, "start", game="Kuhn, 3 players")) == {0}
    for row in rows:
        for name in ("vad", "best", "aod"):
            assert 0 <= row[f"{name}_lower"] <= row[f"{name}_upper"]
        if row["verdict"] == "ahead":
            assert row["vad_upper"] < row["best_upper"]
        if row["verdict"] == "behind":
            assert row["vad_lower"] > row["best_upper"]
        if row["verdict"] == "even":
            assert row["vad_lower"] <= row["best_upper"]
    # More baselines cannot make it better.
    order = list(module.VERDICTS)
    for row, other in zip(rows[::2], rows[1::2], strict=True):
        assert (row["baselines"], other["baselines"]) == ("without HS", "all")
        assert order.index(other["verdict"]) <= order.index(row["verdict"])
        assert other["best_upper"] <= row["best_upper"]
    # The best baseline named is the one that a run of it gives.
    entry = SMALL[1]
    titles = {cfr_runs.variant(name).title: name for name in module.BASELINES["all"]}
    for row in rows:
        if row["game"] == entry.title:
            end = cfr(entry.load(), titles[row["best"]], checkpoints=1).exploitability[-1]
            assert row["best_lower"] <= end <= row["best_upper"]
    assert "3 of 3 against those without HS" in module.findings(rows)
    flipped = [row | {"verdict": "behind"} for row in rows]
    assert "0 of 3 against all baselines" in module.findings(flipped)


def test_the_majority_of_verdicts_is_their_median():
    from rltheory.paper_figures.cfr_claims import majority

    assert majority(["ahead", "behind", "behind"]) == "behind"
    assert majority(["ahead", "even", "behind"]) == "even"
    assert majority(["ahead"]) == "ahead"


@pytest.mark.slow
def test_removing_what_cannot_act_changes_nothing(draw, small):
    rows, module = draw("vad_ablation", starts=2)
    assert {row["variant"] for row in rows} == {module.FULL, module.WOP, *module.REMOVED}
    # A regret is at most 6 in size in Kuhn poker of 3 players, 4 of 2, and 2 in Goofspiel; negative
    # sums are at least halved each time, so they stay above -12 and never meet the floor of -20.
    for reading in cfr_runs.READINGS:
        full = column(rows, "exploitability", variant=module.FULL, reading=reading)
        floorless = column(rows, "exploitability", variant="no floor of regrets", reading=reading)
        np.testing.assert_array_equal(full, floorless)
        # Without optimism convergence is slow; in full it ends at rounding on 2-player Kuhn.
        where = {"game": "Kuhn, 2 players", "reading": reading}
        slow = column(rows, "exploitability", variant="no optimism", **where)
        full = column(rows, "exploitability", variant=module.FULL, **where)
        assert slow.min() > 100 * full.max()


@pytest.mark.parametrize("reading", cfr_runs.READINGS)
def test_traces_are_the_numbers_that_the_traversal_used(reading):
    game = SMALL[1].load()
    marks = [2, 7, 40, cfr_runs.WARM_UP, cfr_runs.WARM_UP + 3]
    moments = list(vad_traces.trace(game, reading, marks))
    assert [moment.iteration for moment in moments] == marks
    for moment in moments:
        rule = vad_cfr(volatility=reading)
        state = cfr(game, rule, iterations=moment.iteration, checkpoints=1).state
        if reading == "shared":
            assert moment.averages[-1] == pytest.approx(state.states[0], rel=1e-9)
        else:
            np.testing.assert_allclose(moment.averages, state.states, rtol=1e-9, atol=1e-300)
        # The formulas of the listing, restated. An exponent is read off 1 - d, which is at least
        # t^-1.5 / 2 > 4e-5, so the roundings of d, 1e-16, move it by less than 1e-11.
        volatility = np.minimum(1.0, moment.averages / 2.0)
        np.testing.assert_allclose(moment.alpha, 1.5 - 0.5 * volatility, atol=1e-10)
        np.testing.assert_allclose(moment.beta, -0.1 - 0.5 * volatility, atol=1e-10)
        decay = 1.0 / (1.0 + (moment.iteration - 1) / 100.0)
        np.testing.assert_allclose(moment.optimism, decay * (1 - 0.5 * volatility), rtol=1e-12)
        if moment.iteration <= cfr_runs.WARM_UP:
            assert (moment.weights == 0).all()
        else:
            size = moment.sizes
            gamma = np.minimum(4.0, 2.0 + 1.5 * np.minimum(1.0, size / 2.0))
            weight = moment.iteration**gamma / (1 + size**1.5) * np.sqrt(1 + size / 2.0)
            np.testing.assert_allclose(moment.weights, weight, rtol=1e-11)


def test_readings_show_both_and_their_spread(draw, monkeypatch):
    monkeypatch.setattr(cfr_runs, "of_role", lambda *r, without=(): [*SMALL, SUITE[6]])
    rows, _ = draw("vad_readings", checkpoints=4, starts=2, moments=5)
    ends = {row["start"] for row in rows if row["quantity"] == "exploitability"}
    assert ends == {0, 1}
    for reading in cfr_runs.READINGS:
        quantiles = [
            column(rows, "value", quantity="moving average", quantile=q, reading=reading)
            for q in (10, 50, 90)
        ]
        assert (np.diff(quantiles, axis=0) >= 0).all()
    # The two readings share their first iterations' regrets, not their moving averages.
    first = [column(rows, "value", quantity="exploitability", reading=r) for r in cfr_runs.READINGS]
    assert (first[0] != first[1]).any()


def test_volatility_stays_in_its_range(draw):
    rows, _ = draw("vad_volatility", moments=8, game="Kuhn, 3 players")
    for quantity, low, high in (
        ("volatility", 0.0, 1.0),
        ("alpha", 1.0, 1.5),
        ("beta", -0.6, -0.1),
        ("optimism", 0.0, 1.0),
    ):
        for level in ("p10", "p50", "p90"):
            values = column(rows, level, quantity=quantity)
            assert (values >= low - 1e-9).all()
            assert (values <= high + 1e-9).all()
    times = column(rows, "iterations", quantity="weight")
    assert times.min() > cfr_runs.WARM_UP


def test_sizes_fit_together_and_are_those_known(draw, moderate):
    rows, _ = draw("game_sizes")
    for row, entry in zip(rows, moderate, strict=True):
        assert row["game"] == entry.title
        assert row["leaves"] < row["histories"]
        assert row["sequences"] == cfr_runs.build(entry.title).slots + row["players"]
        counts = [int(count) for count in row["sequences by player"].split()]
        assert len(counts) == row["players"]
        assert sum(counts) == row["sequences"]
    known = {row["game"]: row for row in rows}
    # Kuhn poker: 3 cards at each of 4 decisions. Leduc: 6 cards at each of 6 decisions of the first
    # round; 5 ways into the second, with 6 decisions each, for 6 cards and 5 public ones.
    assert known["Kuhn, 2 players"]["information sets"] == 3 * 4
    assert known["Leduc, 2 players"]["information sets"] == 6 * 6 + 5 * 6 * 6 * 5


def test_averages_come_in_and_only_some_last_iterates_do(draw):
    rows, module = draw("simplex_trajectories", iterations=1000)
    last = [row for row in rows if row["iterations"] == 1000]
    assert len(last) == len(module.GAMES) * len(module.rules(0.1))
    for row in rows:
        for kind in ("current", "average"):
            for player in (1, 2):
                parts = [row[f"{kind}_{player}_{a}"] for a in (1, 2, 3)]
                assert sum(p for p in parts if p is not None) == pytest.approx(1.0, abs=1e-9)
    for row in last:
        if row["rule"].startswith(("regret matching", "hedge")):
            assert row["current_exploitability"] > 10 * row["average_exploitability"]
        if row["rule"] == "regret matching":
            # Regret at most Delta sqrt(A T) each, Delta at most 6, A at most 3.
            assert row["average_exploitability"] <= 6 * np.sqrt(3 / 1000)
        if row["rule"] == "optimistic gradient":
            assert row["current_exploitability"] < row["average_exploitability"]
    for title, _, equilibrium in module.GAMES.values():
        (row,) = (r for r in last if (r["game"], r["rule"]) == (title, "optimistic gradient"))
        shown = [row[f"current_1_{a + 1}"] for a in range(len(equilibrium))]
        np.testing.assert_allclose(shown, np.array(equilibrium) / sum(equilibrium), atol=1e-4)


@pytest.mark.slow
def test_last_iterates_and_samples_are_all_measured(draw):
    settings = {"iterations": 1000, "samples": 2000, "seeds": 2, "checkpoints": 6}
    rows, _ = draw("last_iterates", **settings)
    assert all(row["exploitability"] > -1e-12 for row in rows)
    kuhn = {
        (row["method"], row["profile"]): row["exploitability"]
        for row in rows
        if row["game"] == "Kuhn, 2 players" and row["iterations"] == 1000
    }
    for method in ("mirror prox", "optimistic descent", "magnetic descent"):
        assert kuhn[method, "last iterate"] < 0.1 * kuhn[method, "average"]
    assert kuhn["CFR+", "average"] < 0.1 * kuhn["CFR+", "last iterate"]
    seeds = column(rows, "seed", passes="sampled", iterations=2000, method="external sampling")
    assert sorted(seeds) == [0, 0, 1, 1]
