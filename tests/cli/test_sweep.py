"""`rltheory sweep`: files of sweeps, what is refused and how, tables, slopes, clusters, kills."""

import json
import math
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import doc_pages
import numpy as np
import pytest
import sweep_runs

from rltheory.analysis import SweepTable, fit_rate, read_table
from rltheory.cli import sweep_config
from rltheory.cli.experiment_runs import keywords, parameters_of, worlds
from rltheory.cli.experiments import EXPERIMENTS
from rltheory.cli.main import main
from rltheory.cli.sweep_table import Fit, fitted, read_fit, spelt_out

SQUARES = 'run = "sweep_runs:square"\n[fixed]\nscale = 3\n[grid]\nseed = "0:4"\n'
RUNS = Path(sweep_runs.__file__)


@pytest.fixture(autouse=True)
def own_path(monkeypatch):
    """Files of sweeps add their folder to what is searched; not beyond a test."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def config(tmp_path):
    """Write a sweep's file, `study.toml`, and return where."""

    def write(text):
        path = tmp_path / "study.toml"
        path.write_text(text)
        return path

    return write


def swept(path, *options):
    """Run a sweep in this process, in one thread, and return its table."""
    assert main(["sweep", str(path), "--backend", "threads", "--jobs", "1", *options]) == 0
    return read_table(path.with_suffix(".parquet"))


def cases(text, tmp_path):
    path = tmp_path / "cases.toml"
    path.write_text(text)
    return sweep_config.read_config(path).cases


def test_rows_are_the_runs_and_a_second_time_nothing_is_run(config, capsys):
    path = config(SQUARES)
    table = swept(path)
    expected = [{"scale": 3, "seed": k, "square": 3 * k * k, "odd": k % 2 == 1} for k in range(4)]
    assert list(table) == expected
    assert list(read_table(path.with_suffix(".jsonl"))) == expected
    first = path.with_suffix(".parquet").read_bytes()
    assert "4, 4 of them now" in capsys.readouterr().out
    assert swept(path) == table
    assert "4, 0 of them now" in capsys.readouterr().out
    assert path.with_suffix(".parquet").read_bytes() == first
    path.write_text(SQUARES.replace("0:4", "2:6"))
    assert swept(path).column("square").tolist() == [12, 27, 48, 75]
    assert "4, 2 of them now" in capsys.readouterr().out


def test_cases_are_fixed_and_together_and_every_combination(tmp_path):
    text = """
    run = "sweep_runs:anything"
    zip = {states = [2, 3], radius = [0.5, 0.25]}
    fixed.name = "x"
    [grid]
    seed = "1:6:2"
    down = "2:-1:-1"
    flag = [true, 1.5]
    """
    (tmp_path / "sweep_runs_anything.py").write_text("def run(**settings):\n    return {}\n")
    found = cases(text.replace("sweep_runs:anything", "sweep_runs_anything:run"), tmp_path)
    assert found == [
        {"name": "x", "states": s, "radius": r, "seed": seed, "down": down, "flag": flag}
        for s, r in ((2, 0.5), (3, 0.25))
        for seed in (1, 3, 5)
        for down in (2, 1, 0)
        for flag in (True, 1.5)
    ]


CFR = 'experiment = "cfr"\n[fixed]\ngame = "kuhn_poker"\n'
LOCK = (
    'experiment = "linear"\n[fixed]\nenvironment = "linear_lock"\nalgorithm = "dr_rpo"\n'
    "episodes = 9\nseed = 1\n"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a =", "is no TOML file"),
        ("a = \xff", "is no TOML file"),
        (f"a = {'9' * 5000}", "is no TOML file"),
        (f"a = {'[' * 5000}", "is no TOML file"),
        ('experment = "cfr"', "there is no key 'experment'; did you mean experiment?"),
        ('experiment = "crf"', "experiment is 'crf'; did you mean cfr?"),
        ("experiment = 3", "experiment is '3'; expected one of planning, cfr, psro"),
        ("[grid]\na = [1]", "has neither of experiment and run"),
        ('experiment = "cfr"\nrun = "a:b"', "has both of experiment and run"),
        ('experiment = "cfr"\nname = "a/b"', "name is 'a/b'; expected what files can be called"),
        ('run = "sweep_runs"', 'expected "package.module:function"'),
        ("run = 3", 'expected "package.module:function"'),
        ('run = "sweep_rums:square"', "importing sweep_rums says: ModuleNotFoundError"),
        ('run = "sweep_runs:sqare"', "there is no sqare, did you mean square?"),
        ('run = "os:sep"', "which is '/'; expected a function"),
        ('run = "sweep_runs:square"\n[fixed]\nsead = 1', "setting seed is missing (there is sead)"),
        ('run = "sweep_runs:square"\n[fixed]\nseed = 1\nscal = 2', "did you mean scale?"),
        ('experiment = "cfr"\ngrid = 3', "grid is 3; expected a table, [grid]"),
        ('experiment = "cfr"\n[fixed]\ngam = "kuhn_poker"', "game is missing (there is gam)"),
        ('experiment = "cfr"\n[fixed]\ngame = "kuhn_pokr"', "did you mean kuhn_poker"),
        ('experiment = "cfr"\n[fixed]\ngame = [1]', "fixed.game is [1]; expected a number"),
        (CFR + "playerz = 3", "playerz is no setting of this run; did you mean players?"),
        (CFR + '[grid]\nvariant = "cfr"', "grid.variant is 'cfr'; expected a list, or a range"),
        (CFR + '[grid]\nvariant = ["cfr", "lcrf"]', "variant is 'lcrf'; did you mean lcfr"),
        (CFR + "[grid]\nplayers = []", "grid.players has no values"),
        (CFR + '[grid]\nplayers = "4:2"', "expected a range that is not empty"),
        (CFR + '[grid]\nplayers = "2:4:0"', "expected a range that is not empty"),
        (CFR + "[grid]\nplayers = [2, 3, 2]", "grid.players has {'players': 2} twice"),
        (CFR + "[grid]\nplayers = [1979-05-27]", "grid.players[0] is datetime.date"),
        (CFR + '[grid]\nplayers = "0:9999999999"', "9999999999 cases; expected at most 1000000"),
        (CFR + '[grid]\ngame = ["leduc_poker"]', "game is in [fixed] and in [grid]"),
        (CFR + "[zip]\nplayers = [2, 3]\niterations = [1]", "(players 2, iterations 1)"),
        (CFR + "[zip]\nplayers = [2, 2]\niterations = [1, 1]", "[zip] has {'players': 2, 'iter"),
        (LOCK, "the setting world_seed is missing"),
        (LOCK + "world_seed = 1\ntemprature = 1.0", "did you mean temperature?"),
        (LOCK + 'world_seed = 1\nuncertainty = "l1"', "uncertainty is 'l1'; expected one of none"),
        (LOCK + 'world_seed = 1\nuncertainty = "tv"', "the setting radius is missing"),
        ('experiment = "verify"\n[fixed]\ntheorem = "bellman/cntraction"', "bellman/contraction"),
    ],
)
def test_a_wrong_file_is_told_with_what_is_nearest(text, message, config, capsys, tmp_path):
    path = config("")
    path.write_bytes(text.encode("latin-1"))
    assert main(["sweep", str(path)]) == 2
    said = capsys.readouterr().err
    assert f"rltheory: {path}" in said
    assert message in said
    assert said.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["study.toml"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--jobs", "0"], "--jobs is 0"),
        (["--scheduler", "tcp://a:1"], "--scheduler is for --backend dask, not local"),
        (["--backend", "dask", "--address", "a:1"], "--address is for --backend ray, not dask"),
        (["--out", "rows.csv"], "--out is rows.csv; expected a name that ends in .jsonl"),
        (["--table", "rows.xlsx"], "--table is rows.xlsx; expected a name that ends in .parquet"),
        (["--table", "a.jsonl", "--out", "a.jsonl"], "--out and --table are both a.jsonl"),
        (["--json", "study.toml"], "the file of the sweep and --json are both study.toml"),
        (["--fit", "x=a"], "expected x=COLUMN and y=COLUMN"),
        (["--fit", "x=a,y=b,z=c"], "expected x=COLUMN,y=COLUMN,by=COLUMN+COLUMN"),
        (["--table", "study.toml/a.csv"], "study.toml/a.csv cannot be written"),
    ],
)
def test_wrong_options_are_told_before_the_work(options, message, config, capsys, monkeypatch):
    path = config(SQUARES)
    monkeypatch.chdir(path.parent)
    assert main(["sweep", "study.toml", *options]) == 2
    assert message in capsys.readouterr().err
    assert path.read_text() == SQUARES
    assert [file.name for file in path.parent.iterdir()] == ["study.toml"]


def test_no_file_or_none_that_is_there(capsys, tmp_path):
    assert main(["sweep"]) == 2
    assert "CONFIG.toml is missing" in capsys.readouterr().err
    assert main(["sweep", str(tmp_path / "none.toml")]) == 2
    assert "none.toml: No such file" in capsys.readouterr().err


def test_without_the_extra_tables_are_csv(config, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    path = config(SQUARES)
    options = ["--backend", "threads", "--jobs", "1"]
    assert main(["sweep", str(path), *options, "--table", "a.parquet"]) == 2
    assert "needs pyarrow: pip install 'rltheory[tables]'" in capsys.readouterr().err
    assert main(["sweep", str(path), *options]) == 0
    assert read_table(path.with_suffix(".csv")).column("square").tolist() == [0, 3, 12, 27]


def test_a_dry_run_says_what_would_be_done_and_does_nothing(config, capsys):
    path = config(SQUARES.replace("0:4", "0:9"))
    assert main(["sweep", str(path), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "cases      9, 0 of them done" in said
    assert "varies     seed: 0, 1, 2, ..., 8" in said
    assert "fixed      scale 3" in said
    assert [file.name for file in path.parent.iterdir()] == ["study.toml"]
    swept(config(SQUARES))
    config(SQUARES.replace("0:4", "0:9"))
    before = path.with_suffix(".jsonl").read_bytes()
    assert main(["sweep", str(path), "--dry-run"]) == 0
    assert "cases      9, 4 of them done" in capsys.readouterr().out
    assert path.with_suffix(".jsonl").read_bytes() == before


def test_the_journal_of_another_sweep_is_refused_and_stays(config, capsys):
    path = config(SQUARES)
    swept(path)
    before = path.with_suffix(".jsonl").read_bytes()
    config('run = "sweep_runs:process"\n[grid]\nseed = [1]\n')
    assert main(["sweep", str(path)]) == 2
    assert "study.jsonl holds another sweep" in capsys.readouterr().err
    assert path.with_suffix(".jsonl").read_bytes() == before


@pytest.mark.parametrize("traceback", [False, True])
def test_a_run_that_fails_is_told_with_its_case_and_rows_stay(config, capsys, traceback):
    text = 'run = "sweep_runs:fails_at"\n[fixed]\nbad = 2\n[grid]\nseed = "0:5"\n'
    path = config(text)
    options = ["--backend", "threads", "--jobs", "1", *(["--traceback"] if traceback else [])]
    assert main(["sweep", str(path), *options]) == 2
    *before, last = capsys.readouterr().err.splitlines()
    assert last.startswith("rltheory: ZeroDivisionError: no inverse of 2; in the case {'bad': 2")
    assert "2 of 5 cases are kept in" in last
    assert any("sweep_runs.py" in line for line in before) == traceback
    assert len(path.with_suffix(".jsonl").read_text().splitlines()) == 1 + 2
    assert not path.with_suffix(".parquet").exists()


def test_bad_values_of_an_experiment_are_told_with_their_case(config, capsys):
    path = config('experiment = "planning"\n[fixed]\nmodel = "chain"\n[grid]\nslip = [0.1, 1.5]\n')
    assert main(["sweep", str(path), "--backend", "threads", "--jobs", "1"]) == 2
    said = capsys.readouterr().err
    assert "slip is 1.5" in said
    assert "in the case {'model': 'chain', 'slip': 1.5}; 1 of 2 cases are kept" in said
    assert said.count("\n") == 1


def test_the_list_names_every_experiment(capsys):
    assert main(["sweep", "--list"]) == 0
    said = capsys.readouterr().out
    for name, experiment in EXPERIMENTS.items():
        assert f"{name:13} {experiment.summary}" in said
        assert experiment.summary.endswith(".")


def test_the_summary_in_a_file_and_on_the_standard_output(config, tmp_path):
    path = config(SQUARES)
    place = tmp_path / "summary.json"
    swept(path, "--json", str(place), "--fit", "x=seed,y=square")
    found = json.loads(place.read_text())
    assert (found["cases"], found["computed"], found["rows"]) == (4, 4, 4)
    assert found["columns"] == ["scale", "seed", "square", "odd"]
    (group,) = found["fits"][0]["groups"]
    assert "logarithms need positive numbers" in group["problem"]
    command = [sys.executable, "-m", "rltheory.cli.main", "sweep", str(path)]
    environment = os.environ | {"PYTHONPATH": str(RUNS.parent)}
    run = subprocess.run(
        [*command, "--json", "/dev/stdout"], capture_output=True, env=environment, text=True
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["computed"] == 0
    assert "study.parquet: 4 rows" in run.stderr


def test_curves_are_spelt_out():
    table = SweepTable(
        (
            {"k": 1, "y@1": 0.5, "y@10": 0.25, "z@10": 7, "name@x": "a"},
            {"k": 2, "y@1": 1.5, "y@5": math.nan, "name@x": "b"},
        )
    )
    assert repr(spelt_out(table, "after").rows) == repr(
        (
            {"k": 1, "name@x": "a", "after": 1, "y": 0.5, "z": None},
            {"k": 1, "name@x": "a", "after": 10, "y": 0.25, "z": 7},
            {"k": 2, "name@x": "b", "after": 1, "y": 1.5, "z": None},
            {"k": 2, "name@x": "b", "after": 5, "y": math.nan, "z": None},
        )
    )


def test_slopes_are_those_of_the_curves_of_each_group():
    rng = np.random.default_rng(5)
    x = np.array([10, 100, 1000])
    noise = {(a, s): rng.uniform(0.9, 1.1, 3) for a in ("slow", "fast") for s in range(5)}
    rows = [
        {"a": a, "seed": s, "k": int(k), "y": float(k**power * noise[a, s][i])}
        for i, k in reversed(list(enumerate(x)))
        for a, power in (("slow", 0.5), ("fast", -1.0))
        for s in range(5)
    ]
    found = fitted(SweepTable(tuple(rows)), ["a", "seed"], read_fit("x=k, y=y, by=a"))
    assert [group["group"] for group in found] == [{"a": "slow"}, {"a": "fast"}]
    for group, (a, power) in zip(found, (("slow", 0.5), ("fast", -1.0)), strict=True):
        rate = fit_rate(x, np.array([x**power * noise[a, s] for s in range(5)]))
        assert group["slope"] == pytest.approx(rate.slope, abs=1e-12)
        assert group["lower"] == pytest.approx(float(rate.interval.lower), abs=1e-12)
        assert abs(group["slope"] - power) < 0.05
        assert (group["runs"], group["points"], group["from"], group["to"]) == (5, 3, 10, 1000)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([(1, 1, 2.0), (1, 1, 3.0)], "a run has two rows of one k"),
        ([(1, 1, 2.0), (1, 2, 2.0), (2, 1, 2.0)], "runs have different k"),
        ([(1, 1, 2.0)], "two different entries"),
        ([(1, 1, 2.0), (1, 2, "a")], "could not convert"),
    ],
)
def test_groups_without_a_slope_say_why(rows, problem):
    table = SweepTable(tuple({"seed": s, "k": k, "y": y} for s, k, y in rows))
    (found,) = fitted(table, ["seed"], Fit("k", "y", ()))
    assert problem in found["problem"]
    with pytest.raises(ValueError, match="kk is no column"):
        fitted(table, ["seed"], Fit("kk", "y", ()))


def test_names_of_environments_and_learners_are_told_apart():
    """A setting that two functions took would go to one of them without a word."""
    from rltheory import linear_mdp
    from rltheory.linear_mdp import actor_critic

    for name, makers, module in (
        ("linear", linear_mdp.ENVIRONMENTS, linear_mdp),
        ("actor_critic", worlds(), actor_critic),
    ):
        experiment = EXPERIMENTS[name]
        for learner in experiment.choices["algorithm"]():
            _, *taken = keywords(getattr(module, learner))
            for make in makers.values():
                both = parameters_of(make).keys() & {*taken, *keywords(experiment.run)}
                assert not both, (learner, make.__name__)


@pytest.mark.parametrize("radius", [0.0, pytest.param(0.1, marks=pytest.mark.slow)])
def test_planning_is_the_value_at_the_start(radius, config):
    """Against iteration here; an adversary in total variation moves mass from the best states."""
    from rltheory.tabular import chain

    robust = f'uncertainty = "tv"\nradius = {radius}\n' if radius else ""
    text = f'experiment = "planning"\n[fixed]\nmodel = "chain"\ndiscount = 0.8\n{robust}'
    for row in swept(config(f"{text}[grid]\nslip = [0.2, 0.3]\n")):
        mdp = chain(slip=row["slip"], discount=0.8).to_dense()
        values = np.zeros(mdp.states)
        for _ in range(150):
            order = np.argsort(-values)
            kernel = mdp.transitions[..., order]
            above = np.cumsum(kernel, axis=-1) - kernel
            left = kernel - np.clip(radius - above, 0.0, kernel)
            left[..., -1] += 1.0 - left.sum(axis=-1)
            values = (mdp.rewards + 0.8 * left @ values[order]).max(axis=1)
        assert row["value"] == pytest.approx(mdp.initial @ values, abs=1e-7)
        assert row["lower"] - 1e-12 <= mdp.initial @ values <= row["upper"] + 1e-12
        assert row["converged"] is True


def test_games_are_solved_as_by_a_run_of_that_length(config):
    from rltheory import games

    kuhn, pennies = games.load("kuhn_poker", form="tree"), games.load("matching_pennies")
    table = swept(config(CFR + 'variant = "cfr"\niterations = 20\n[grid]\ncheckpoints = [1, 4]\n'))
    assert table.column("iteration", checkpoints=1).tolist() == [20]
    assert table.column("iteration", checkpoints=4).tolist() == [1, 3, 7, 20]
    for row in table:
        run = games.cfr(kuhn, "cfr", iterations=row["iteration"])
        exact = games.exact_exploitability(kuhn, games.rationalise(kuhn, run.average))
        assert row["exploitability"] == pytest.approx(float(exact), abs=1e-12)
    text = 'experiment = "psro"\n[fixed]\ngame = "matching_pennies"\niterations = 6\n[grid]\n'
    path = config(f'name = "psro"\n{text}meta_solver = ["uniform", "nash"]\n')
    assert main(["sweep", str(path), "--backend", "threads", "--jobs", "1"]) == 0
    table = read_table(path.with_name("psro.parquet"))
    assert set(table.column("meta_solver")) == {"uniform", "nash"}
    for row in table:
        run = games.psro(pennies, row["meta_solver"], iterations=row["iteration"])
        found = games.exploitability(pennies, run.strategies)
        assert row["exploitability"] == pytest.approx(found, abs=1e-12)


def test_learners_have_the_regret_of_a_run_of_that_length(config):
    from rltheory import linear_mdp
    from rltheory.linear_mdp.actor_critic import nora
    from rltheory.linear_mdp.environments.actor_critic_worlds import two_thread_lock

    text = LOCK.replace("dr_rpo", "lsvi_ucb").replace("seed = 1\n", "length = 2\n")
    path = config(text + 'checkpoints = 3\nworld_seed = 5\nbonus = 0.2\n[grid]\nseed = "0:2"\n')
    table = swept(path)
    assert table.column("episode", seed=1).tolist() == [1, 3, 9]
    lock = linear_mdp.load("linear_lock", length=2, seed=5)
    for row in table:
        run = linear_mdp.lsvi_ucb(lock, episodes=row["episode"], seed=row["seed"], bonus=0.2)
        assert row["regret"] == pytest.approx(run.regret[-1], abs=1e-12)
        assert row["suboptimality"] == pytest.approx(run.suboptimality[-1], abs=1e-12)
    text = text.replace("lsvi_ucb", "nora").replace("linear_lock", "two_thread_lock")
    path = config(text.replace('"linear"', '"actor_critic"') + "seed = 2\nworld_seed = 7\n")
    assert main(["sweep", str(path), "--out", str(path.with_name("b.jsonl")), "--jobs", "1"]) == 0
    lock = two_thread_lock(2, seed=7)
    run = nora(lock, episodes=9, seed=2)
    for row in read_table(path.with_name("b.parquet")):
        lost = [run.optimum - value for value in run.values[: row["episode"]]]
        assert row["regret"] == pytest.approx(math.fsum(lost), abs=1e-12)
        assert row["switches"] == len(run.switches)


def test_estimators_have_the_moments_of_the_sum_over_arms(config):
    from rltheory.analysis.estimators.comparison import softmax_family

    text = 'experiment = "estimator"\n[fixed]\nmodel = "softmax bandit"\nestimator = "reinforce"\n'
    (row,) = swept(config(f"{text}spread = 0.5\ngroup_size = 1\n[grid]\nseed = [3]\n"))
    rewards = softmax_family().rewards
    logits = 0.5 * np.random.default_rng(3).standard_normal(10)
    p = np.exp(logits) / np.exp(logits).sum()
    estimates = rewards[:, None] * (np.eye(10) - p)
    mean = p @ estimates
    assert row["gradient"] == pytest.approx(np.linalg.norm(mean), rel=1e-12)
    assert row["bias"] == pytest.approx(0.0, abs=1e-12)
    spread = p @ (estimates**2).sum(axis=1) - mean @ mean
    assert row["variance"] == pytest.approx(spread, rel=1e-12)
    assert row["signal_to_noise"] == pytest.approx(mean @ mean / spread, rel=1e-12)


def test_verdicts_are_those_of_verify(config, tmp_path):
    path = config('experiment = "verify"\n[fixed]\ntheorem = "bellman/contraction"\nseed = 4\n')
    (row,) = swept(path)
    found = tmp_path / "verdicts.json"
    options = ["--budget", "quick", "--seed", "4", "--jobs", "1", "--json", str(found)]
    assert main(["verify", "bellman/contraction", *options, "--store", str(tmp_path / "log")]) == 0
    (verdict,) = json.loads(found.read_text())["results"]
    assert (row["verdict"], row["holds"]) == (verdict["verdict"], True)
    assert row["margin"] == verdict["attempt"]["worst"]["comparison"]["margin"]
    assert row["tightness"] == verdict["attempt"]["tightness"]
    assert row["control_refuted"] is verdict["control_refuted"] is True


def command(folder, *options):
    """Start a sweep of its own, whose run is a module beside its file."""
    shutil.copy(RUNS, folder)
    with (folder / "out").open("ab") as out, (folder / "err").open("ab") as err:
        return subprocess.Popen(
            [sys.executable, "-m", "rltheory.cli.main", "sweep", "study.toml", *options],
            cwd=folder, stdout=out, stderr=err, start_new_session=True,
        )  # fmt: skip


def written(folder):
    """The journal's whole lines after its first."""
    place = folder / "study.jsonl"
    return place.read_bytes().split(b"\n")[1:-1] if place.exists() else []


def killed_and_resumed(folder, kills, cases, backend):
    """Kill a sweep at random moments and go on each time; compare with one left in peace."""
    rng = np.random.default_rng(kills)
    text = 'run = "sweep_runs:slow"\n[fixed]\nlog = "{}"\nwait = {}\n[grid]\nseed = "0:{}"\n'
    (folder / "study.toml").write_text(text.format("calls", 0.03, cases))
    options = ["--backend", backend, "--jobs", "2"]
    kept, struck = [], 0
    for _ in range(kills):
        process = command(folder, *options)
        # Some kills come before the first row, or while the sweep starts.
        while len(written(folder)) == len(kept) and rng.random() > 0.001:
            assert process.poll() is None, (folder / "err").read_text()
            time.sleep(0.005)
        # All the delays together are less than the time that the runs take.
        time.sleep(rng.uniform(0, 0.015 * cases / kills))
        struck += process.poll() is None
        process.kill()
        process.wait()
        assert written(folder)[: len(kept)] == kept, "a finished row was lost"
        kept = written(folder)
    assert struck >= 0.8 * kills, "the sweep was over before it could be killed"
    process = command(folder, *options)
    assert process.wait(120) == 0, (folder / "err").read_text()
    assert written(folder)[: len(kept)] == kept
    assert len(written(folder)) == cases
    # A row that is kept is not computed again: only calls that were under way are.
    calls = [int(line) for line in (folder / "calls").read_text().split()]
    assert set(calls) == set(range(cases))
    assert len(calls) <= cases + 2 * 4 * kills
    peace = folder / "peace"
    peace.mkdir()
    shutil.copy(folder / "study.toml", peace)
    swept(peace / "study.toml")
    tables = [place / "study.parquet" for place in (folder, peace)]
    assert tables[0].read_bytes() == tables[1].read_bytes()


def test_killed_twice_at_random_moments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    killed_and_resumed(tmp_path, 2, 40, "threads")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["local", "threads"])
def test_killed_twenty_times_at_random_moments(tmp_path, backend, monkeypatch):
    monkeypatch.chdir(tmp_path)
    killed_and_resumed(tmp_path, 20, 300, backend)


def test_interrupted_it_says_what_is_kept(tmp_path):
    text = 'run = "sweep_runs:slow"\n[fixed]\nlog = "calls"\nwait = 0.2\n[grid]\nseed = "0:400"\n'
    (tmp_path / "study.toml").write_text(text)
    process = command(tmp_path, "--backend", "threads", "--jobs", "2")
    while len(written(tmp_path)) < 2:
        assert process.poll() is None, (tmp_path / "err").read_text()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    said = (tmp_path / "err").read_text()
    kept = len(written(tmp_path))
    assert said == (
        f"rltheory: interrupted; {kept} of 400 cases are kept in study.jsonl; the same command "
        "goes on from there\n"
    )


def test_on_a_dask_cluster_that_runs(config):
    distributed = pytest.importorskip("distributed")
    path = config(SQUARES)
    here = swept(path)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=":0"
    ) as cluster:
        there = ["--backend", "dask", "--scheduler", cluster.scheduler_address]
        out = path.with_name("dask.jsonl")
        assert main(["sweep", str(path), *there, "--out", str(out)]) == 0
        assert read_table(out.with_suffix(".parquet")) == here
        pids = config('run = "sweep_runs:process"\n[grid]\nseed = "0:3"\n')
        assert main(["sweep", str(pids), *there, "--out", str(path.with_name("pids.jsonl"))]) == 0
    assert os.getpid() not in read_table(path.with_name("pids.parquet")).column("pid")


HOLDER = """
import ray, sys
ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
print("at", ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_on_a_ray_cluster_that_runs(config, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    # A cluster of newer versions is for those who have its token; here one made for this test.
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    path = config('experiment = "planning"\n[fixed]\nmodel = "chain"\n[grid]\nstates = "3:7"\n')
    here = swept(path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        said = iter(holder.stdout.readline, "")
        address = next(line.split()[1] for line in said if line.startswith("at "))
        there = ["--backend", "ray", "--address", address, "--out", "ray.jsonl"]
        assert command(tmp_path, *there).wait(300) == 0, (tmp_path / "err").read_text()
        holder.communicate(timeout=60)
    assert read_table(tmp_path / "ray.parquet") == here


def test_what_the_page_shows_is_run(tmp_path, monkeypatch, capsys):
    """Its files in its commands; those on clusters elsewhere are parsed, as nobody is there."""
    page = doc_pages.read("sweeps.md")
    first, _, _ = doc_pages.blocks(page, "python")[0].partition("\ncases = ")
    (tmp_path / "locks.py").write_text(first)
    for name, block in zip(("lock", "own"), doc_pages.blocks(page, "toml"), strict=True):
        (tmp_path / f"{name}.toml").write_text(block)
    monkeypatch.chdir(tmp_path)
    lines = [line for block in doc_pages.blocks(page, "console") for line in block.splitlines()]
    here = [line.split()[1:] for line in lines if "--backend" not in line]
    assert len(here) == 3
    for arguments in here:
        assert main([*arguments, "--backend", "threads"]) == 0
    said = capsys.readouterr().out
    assert "cases      12, 0 of them done" in said
    assert "cases      12, 12 of them now" in said
    assert "  algorithm nora: " in said
    table = read_table("lock.parquet")
    assert len(table) == 12 * 6
    assert np.array_equal(table.column("seed"), table.column("world_seed"))
    assert set(read_table("own.parquet").column("length")) == {2, 3}
    for arguments in (line.split()[1:] for line in lines if "--backend" in line):
        # All that comes before the cluster is asked.
        assert main([*arguments, "--dry-run"]) == 0
    rows = [row for row in page.splitlines() if row.startswith("| `")]
    named = [row.split("`")[1] for row in rows if row.split("`")[1] in EXPERIMENTS]
    assert named == list(EXPERIMENTS)
