"""`rltheory solve` as a user meets it: answers that hold, files, and errors in one line."""

import argparse
import json

import numpy as np
import pytest

from rltheory.cli import solve, solve_mdp
from rltheory.cli.main import main
from rltheory.tabular import DiscountedMDP, EpisodicMDP, backward_induction, policy_iteration
from rltheory.tabular.generators import american_put, river_swim

TINY = """@type: MDP
@value_type: double-interval
@reward_models
r cost
@nr_states
3
@model
state 0 init
\taction go [0, 1]
\t\t1 : [0.4, 0.9]
\t\t2 : [0.1, 0.8]
state 1 [1, 0]
\taction 0
\t\t1 : [1, 1]
state 2
\taction 0
\t\t2 : [1, 1]
"""


def run(*words):
    parser = argparse.ArgumentParser()
    solve.add_parser(parser.add_subparsers())
    arguments = parser.parse_args(["solve", *map(str, words)])
    return arguments.run(arguments)


def answer(tmp_path, *words):
    path = tmp_path / "answer.json"
    assert run(*words, "--json", path) == 0
    return json.loads(path.read_text())


@pytest.mark.parametrize("method", solve_mdp.METHODS)
def test_every_method_encloses_the_exact_value(tmp_path, method):
    found = answer(tmp_path, "river_swim", "--set", "states=4", "--discount", "0.9",
                   "--method", method)  # fmt: skip
    exact = policy_iteration(river_swim(4, discount=0.9), arithmetic="rational").values
    assert all(low <= v <= high for low, v, high in zip(found["lower"], exact, found["upper"],
                                                        strict=True))  # fmt: skip
    assert found["start"]["lower"] <= exact[0] <= found["start"]["upper"]
    assert found["gap"] <= 1e-8
    assert found["method"] == method


def test_the_text_names_model_method_bounds_and_policy(capsys):
    assert run("river_swim", "--set", "states=3") == 0
    text = capsys.readouterr().out
    assert "river_swim: 3 states, 2 actions, discount 0.99" in text
    assert "nominal" in text
    assert "value_iteration" in text
    assert text.rstrip().splitlines()[-1].split()[0] == "2"


def test_frozen_lake_is_drawn_with_arrows(capsys):
    assert run("frozen_lake", "--uncertainty", "tv", "--radius", "0.1") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[-4:]]
    letters = [[cell if cell in "HG" else "." for cell in row] for row in rows]
    assert ["".join(row) for row in letters] == ["....", ".H.H", "...H", "H..G"]
    assert {cell for row in rows for cell in row} <= set("<v>^HG")


@pytest.mark.parametrize(
    ("name", "radius"),
    [
        ("tv", 0.2),
        ("l1", 0.4),
        ("l2", 0.1),
        ("linf", 0.1),
        ("chi_square", 0.2),
        ("kl", 0.1),
        ("contamination", 0.2),
        ("wasserstein", 0.5),
    ],
)
@pytest.mark.parametrize("method", solve_mdp.ROBUST_METHODS)
def test_robust_values_fall_below_nominal_ones_and_radius_0_gives_those(
    tmp_path, name, radius, method
):
    nominal = answer(tmp_path, "chain", "--discount", "0.9")
    words = ("chain", "--discount", "0.9", "--uncertainty", name, "--method", method, "--radius")
    robust, still = answer(tmp_path, *words, radius), answer(tmp_path, *words, 0)
    assert np.all(np.array(robust["upper"]) < nominal["lower"])
    assert np.all(np.maximum(still["lower"], nominal["lower"])
                  <= np.minimum(still["upper"], nominal["upper"]))  # fmt: skip


@pytest.mark.parametrize("name", [name for name in solve_mdp.SETS if name.startswith("penalised")])
def test_a_larger_penalty_brings_robust_values_back_to_nominal_ones(tmp_path, name):
    nominal = answer(tmp_path, "chain", "--discount", "0.9")
    words = ("chain", "--discount", "0.9", "--uncertainty", name, "--radius")
    cheap, dear = answer(tmp_path, *words, 1), answer(tmp_path, *words, 10)
    assert np.all(np.array(cheap["lower"]) <= dear["upper"])
    assert np.all(np.array(dear["lower"]) <= nominal["upper"])
    assert np.all(np.array(cheap["upper"]) < nominal["lower"])


def test_a_shared_budget_is_weaker_than_one_for_each_action(tmp_path):
    words = ("chain", "--uncertainty", "tv", "--radius", "0.2", "--rectangularity")
    alone, shared = answer(tmp_path, *words, "sa"), answer(tmp_path, *words, "s")
    assert np.all(np.array(alone["lower"]) <= shared["upper"])


def test_an_interval_model_is_solved_against_its_intervals(tmp_path):
    path = tmp_path / "tiny.drn"
    path.write_text(TINY)
    words = (path, "--set", "reward=r", "--discount", "0.5")
    found = answer(tmp_path, *words)
    assert found["uncertainty"] == "interval"
    # State 1 is worth 1 / (1 - 0.5) and the adversary gives it the least probability, 0.4.
    assert found["lower"][0] <= 0.5 * 0.4 * 2 <= found["upper"][0]
    nominal = answer(tmp_path, *words, "--uncertainty", "none")
    share = 0.4 + 0.5 * 0.5 / 1.2
    assert nominal["values"][0] == pytest.approx(0.5 * share * 2, abs=1e-8)


def test_a_prism_file_and_an_npz_of_the_same_model_agree(tmp_path):
    from rltheory.tabular.explicit import ExplicitModel
    from rltheory.tabular.prism import write_prism

    mdp = river_swim(4, discount=0.9)
    mdp.save(tmp_path / "swim.npz")
    write_prism(tmp_path / "swim.tra", ExplicitModel.from_mdp(mdp))
    one = answer(tmp_path, tmp_path / "swim.npz", "--discount", "0.8")
    two = answer(tmp_path, tmp_path / "swim.tra", "--discount", "0.8")
    assert one["values"] == two["values"]
    assert one["policy"] == two["policy"]


def test_the_american_put_is_solved_backward(tmp_path, capsys):
    found = answer(tmp_path, "american_put", "--set", "start=[95, 100, 105]")
    game = american_put(start=[95, 100, 105])
    exact = backward_induction(game, arithmetic="rational").values[0]
    start = sum(exact[:3]) / 3
    assert found["start"]["lower"] <= start <= found["start"]["upper"]
    assert found["horizon"] == 10
    assert "state 2" in capsys.readouterr().out
    robust = answer(tmp_path, "american_put", "--uncertainty", "tv", "--radius", "0.1")
    assert robust["start"]["upper"] < found["start"]["lower"]


def test_the_arrays_of_the_solution_are_kept(tmp_path):
    path = tmp_path / "new" / "solution.npz"
    assert run("frozen_lake", "--uncertainty", "tv", "--radius", "0.1", "--out", path) == 0
    with np.load(path) as arrays:
        kernel = arrays.get("worst_kernel")
        assert arrays["policy"].shape == (17, 4)
        assert np.all(arrays["lower"] <= arrays["upper"])
        assert kernel is None or kernel.shape == (17, 4, 17)
        assert kernel is not None or "worst_kernel_data" in arrays


def test_a_gap_above_the_tolerance_is_said_and_is_exit_status_1(capsys):
    assert run("river_swim", "--tolerance", "1e-300") == 1
    assert "MORE than the tolerance" in capsys.readouterr().out


def test_digits_that_the_certificate_leaves_open_are_not_shown(tmp_path, capsys):
    """An absorbing state without reward is worth 0, and not half the width of its bounds."""
    path = tmp_path / "tiny.drn"
    path.write_text(TINY)
    assert run(path, "--set", "reward=r") == 0
    assert capsys.readouterr().out.rstrip().splitlines()[-1].split() == ["2", "0", "0"]


@pytest.fixture
def files(tmp_path):
    (tmp_path / "tiny.drn").write_text(TINY)
    (tmp_path / "cut.drn").write_text(TINY[:150])
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 truncated")
    EpisodicMDP.stationary(np.ones((1, 1, 1)), np.ones((1, 1)), 3).save(tmp_path / "steps.npz")
    DiscountedMDP(np.ones((1, 1, 1)), np.ones((1, 1)), 0.5).save(tmp_path / "one.npz")
    (tmp_path / "file").write_text("kept")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["frozn_lake"], "did you mean frozen_lake?"),
        (["model.txt"], "model.txt ends in '.txt'; expected the name of a model or game"),
        (["{}/absent.npz"], "absent.npz"),
        (["{}/absent.tra"], "absent.tra"),
        (["{}/cut.npz"], "is not an MDP archive"),
        (["{}/cut.drn"], "cut.drn, line 12: expected"),
        (["{}/tiny.drn"], "reward is None; expected one of ['r', 'cost']"),
        (["{}/tiny.drn", "--set", "reward=prize"], "reward is 'prize'"),
        (["{}/tiny.drn", "--set", "seed=1"], "expected reward=NAME or rescale_within"),
        (["{}/one.npz", "--set", "seed=1"], "a .npz file has no parameters"),
        (["{}/one.npz", "--discount", "1.5"], "discount is 1.5; expected a number in [0, 1)"),
        (["{}/one.npz", "--discount", "nan"], "discount is nan"),
        (["{}/one.npz", "--tolerance", "-1"], "--tolerance is -1"),
        (["{}/one.npz", "--tolerance", "0"], "--tolerance is 0; expected a positive number"),
        (["{}/one.npz", "--tolerance", "nan"], "--tolerance is nan"),
        (["{}/one.npz", "--tolerance", "inf"], "--tolerance is inf"),
        (["frozen_lake", "--set", "is_slippery=no"], "is_slippery is 'no'; expected True or False"),
        (["gridworld", "--set", "layout=5"], "layout is 5; expected a string"),
        (["garnet", "--set", "seed=-1"], "seed is -1; expected an integer of at least 0"),
        (["garnet", "--set", "states=10**12"], "states is '10**12'"),
        (["random", "--set", "states=10000000"], "not enough memory: "),
        (["chain", "--discount", "0.9", "--set", "discount=0.8"], "expected one of them"),
        (["chain", "--set", f"states={'[' * 5000}"], "states is '[["),
        (["{}/steps.npz", "--discount", "0.9"], "has a finite horizon and no discount"),
        (["{}/steps.npz", "--method", "policy_iteration"], "solved by backward induction"),
        (["{}/steps.npz", "--tolerance", "1e-3"], "solved by backward induction"),
        (["chain", "--set", "states"], "--set 'states'; expected KEY=VALUE"),
        (["chain", "--set", "states=3", "--set", "states=4"], "--set states is given twice"),
        (["chain", "--set", "stats=3"], "chain has no parameter 'stats'"),
        (["chain", "--set", "states=many"], "states is 'many'; expected an integer"),
        (["chain", "--uncertainty", "tv"], "--uncertainty tv needs a --radius"),
        (["chain", "--uncertainty", "tv", "--radius", "-0.1"], "radius is -0.1"),
        (["chain", "--uncertainty", "tv", "--radius", "nan"], "radius is nan"),
        (["chain", "--radius", "0.1"], "--uncertainty none has no radius"),
        (["chain", "--rectangularity", "s"], "--rectangularity is for robust problems"),
        (["chain", "--uncertainty", "interval"], "needs a .tra or .drn file with intervals"),
        (
            ["chain", "--uncertainty", "tv", "--radius", "0", "--method", "linear_programming"],
            "--method linear_programming: robust solvers are",
        ),
        (["chain", "--out", "{}/answer.txt"], "expected a file ending in .npz"),
        (["chain", "--out", "{}"], "expected a file ending in .npz"),
        (["chain", "--json", "{}"], "is a folder; expected a file to write"),
        (["chain", "--json", "{}/file/answer.json"], "answer.json cannot be written: "),
        (["chain", "--out", f"{{}}/{'a' * 300}.npz"], "File name too long"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(files, capsys, words, message):
    assert main(["solve", *(word.replace("{}", str(files)) for word in words)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert (files / "file").read_text() == "kept"
