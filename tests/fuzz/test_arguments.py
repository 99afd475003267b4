"""Any command line is answered by a result or by one line that says what was wrong."""

import json

import pytest
from fuzzing import command, options, readable, words
from hypothesis import given
from hypothesis import strategies as st

from rltheory.cli import solve_game, solve_mdp
from rltheory.cli.main import COMMANDS
from rltheory.games.regret.variants import VARIANTS
from rltheory.paper_figures import registry as figures
from rltheory.paper_figures.registry import Figure
from rltheory.theory import registry as theorems

NAMES = {
    "frozen_lake": {},
    "chain": {"states": ["3", "5"], "discount": ["0.9", "1/2"]},
    "random": {"states": ["2"], "actions": ["1", "3"], "seed": ["1"], "discount": ["0.5"]},
    "garnet": {"states": ["4"], "actions": ["2"], "successors": ["2", "9"], "seed": ["0"]},
    "gridworld": {"layout": ["'S.G'", "S./.G", "SS"], "slip": ["0.1"]},
    "american_put": {"horizon": ["2", "3"], "name": ["x"]},
    "kuhn_poker": {"players": ["2", "3"], "cards": ["3"]},
    "matching_pennies": {},
    "goofspiel": {"cards": ["2", "3"], "limited": ["True"]},
    "liars_dice": {"sides": ["2"], "dice": ["(1, 1)"]},
}
"""Models and games with parameters that keep them small."""

SOLVE = {
    "--method": [*solve_mdp.METHODS, *solve_game.METHODS],
    "--tolerance": ["1e-6", "0.1", "1e-300"],
    "--discount": ["0.5", "0.99", "1", "-0.1"],
    "--uncertainty": [*solve_mdp.SETS, "interval", "none"],
    "--radius": ["0.1", "1", "0", "3"],
    "--rectangularity": ["sa", "s"],
    "--variant": [*VARIANTS, "list"],
    "--iterations": ["1", "3"],
    "--checkpoints": ["1", "2", "9"],
    "--simultaneous": (),
    "--meta-solver": ["shor", "nash", "uniform", "alpha_rank"],
    "--seed": ["0", "7"],
    "--json": ["answer.json", "-", "."],
    "--out": ["arrays.npz", "arrays.txt"],
    "--save": ["run.npz", "run"],
}

IDS = ["bellman/contraction", "prediction/td-lambda-modulus"]


@st.composite
def settings_of(draw, known):
    """`--set KEY=VALUE` for keys that a model knows or not."""
    found = []
    for key in draw(st.lists(st.sampled_from(["states", *known]) | words, max_size=2)):
        value = draw(st.sampled_from(known.get(key) or ["2"]) | words)
        found += ["--set", draw(st.just(f"{key}={value}") | words)]
    return found


@given(data=st.data())
def test_solve(data, tmp_path_factory):
    name = data.draw(st.sampled_from(sorted(NAMES)) | words)
    arguments = data.draw(options(SOLVE, SOLVE))
    # A thousand iterations of the default would be all that is tried.
    few = [] if "--iterations" in arguments or name not in NAMES else ["--iterations", "2"]
    games = {"kuhn_poker", "matching_pennies", "goofspiel", "liars_dice"}
    arguments += few if name in games and data.draw(st.booleans()) else []
    arguments += data.draw(settings_of(NAMES.get(name, {})))
    command("solve", name, *arguments, folder=tmp_path_factory.mktemp("solve"))


VERIFY = {
    "--budget": ["quick"], "--seed": ["0", "3"], "--jobs": ["1"], "--json": ["v.json", "-"],
    "--store": ["log.jsonl", "deep/log.jsonl"], "--resume": (), "--role": ["control", "theorem"],
}  # fmt: skip


@pytest.mark.parametrize("name", ["verify", "falsify", "show", "list"])
@given(data=st.data())
def test_theorems(name, data, tmp_path_factory):
    ids = data.draw(st.lists(st.sampled_from(IDS) | words, min_size=1, max_size=2))
    # Globs may match all theorems, and each takes a second or two.
    ids = [IDS[0] if set(text) & set("*?[") else text or "none" for text in ids]
    arguments = data.draw(options(VERIFY, VERIFY))
    budget = ["--budget", "quick"] if name in ("verify", "falsify") else []
    command(name, *ids, *budget, *arguments, folder=tmp_path_factory.mktemp(name))


def nothing(parameters, seed):
    """Draw an empty figure of so many points."""
    from rltheory.analysis import plotting

    figure, axis = plotting.panels(1, 1, width=plotting.COLUMN, height=1.0)
    axis.plot(range(parameters["points"]))
    return figure, [{"x": point} for point in range(parameters["points"])]


FIGURE = Figure(
    name="small", title="Small", caption="Nothing.", source="none", draw=nothing,
    settings={"quick": {"points": 3, "radii": [0.1]}, "paper": {"points": 4, "radii": [0.1]}},
)  # fmt: skip
FIGURES = {
    "--out": ["here", "there/here"], "--scale": ["quick", "paper"], "--format": ["png", "pdf,png"],
    "--set": ["points=2", "radii=[1]", "radii=1"], "--seed": ["0", "5"], "--jobs": ["1"],
    "--list": (), "--json": ["figures.json", "-"],
}  # fmt: skip


@pytest.fixture(scope="module")
def few():
    """Only one figure and two theorems, so that everything is soon done."""
    chosen = tuple(theorems.find(name) for name in IDS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "figures", lambda: (FIGURE,))
        patch.setattr(theorems, "theorems", lambda: chosen)
        yield


@given(data=st.data())
def test_figures(data, tmp_path_factory, few):
    names = data.draw(st.lists(st.sampled_from(["small", "sm*"]) | words, max_size=2))
    arguments = data.draw(options(FIGURES, FIGURES))
    command("figures", *names, *arguments, folder=tmp_path_factory.mktemp("figures"))


RUNS = {
    "--out": ["out", "page.html"], "--store": ["log.jsonl"], "--figures": ["pictures", "."],
    "--budget": ["quick"], "--seed": ["1"], "--jobs": ["1"], "--resume": (), "--json": ["-"],
}  # fmt: skip


@pytest.mark.parametrize("name", ["report", "reproduce"])
@given(data=st.data())
def test_reports(name, data, tmp_path_factory, few):
    folder = tmp_path_factory.mktemp(name)
    budget = ["--budget", "quick", "--jobs", "1"] if name == "reproduce" else []
    command(name, *budget, *data.draw(options(RUNS, RUNS)), folder=folder)


SWEEP = {
    "--out": ["rows.jsonl"], "--table": ["rows.csv", "rows.parquet"], "--backend": ["threads"],
    "--jobs": ["1", "2"], "--fit": ["x=radius,y=value", "x=radius,y=value,by=model"],
    "--json": ["s.json"], "--dry-run": (), "--traceback": (), "--list": (), "--address": ["x"],
}  # fmt: skip
STUDY = """experiment = "planning"
[fixed]
model = "chain"
states = 3
[grid]
radius = [0.1, 0.2]
uncertainty = ["tv"]
"""


@given(data=st.data())
def test_sweep(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    readable(folder, "study.toml", STUDY)
    name = data.draw(st.sampled_from(["study.toml"] * 4) | words)
    arguments = data.draw(options(SWEEP, SWEEP))
    command("sweep", name, "--backend", "threads", *arguments, folder=folder)


@given(data=st.data())
def test_commands_that_are_none(data, tmp_path_factory):
    first = data.draw(words.filter(lambda word: word not in COMMANDS))
    rest = data.draw(st.lists(words | st.sampled_from(sorted(COMMANDS)), max_size=3))
    command(first, *rest, folder=tmp_path_factory.mktemp("none"))


def test_what_is_accepted_is_answered(tmp_path):
    """The words above are not all refused: these are the ones that fit."""
    answer = command("solve", "chain", "--set", "states=3", "--json", "a.json", folder=tmp_path)
    assert answer.status == 0
    start = json.loads((tmp_path / "a.json").read_text())["start"]
    assert start["lower"] <= start["value"] <= start["upper"]
    assert command("solve", "kuhn_poker", "--iterations", "2", folder=tmp_path).status == 0
    assert command("list", *IDS, folder=tmp_path).status == 0
