"""What runs of CFR, MCCFR and PSRO refuse, and what they say: games, variants, files, states."""

import re
import zipfile
from math import inf, nan

import numpy as np
import pytest

from rltheory.analysis.checkpoints import checkpoint_iterations
from rltheory.games.best_response import best_response, exploitability
from rltheory.games.interop.nfg import parse_nfg
from rltheory.games.library import load
from rltheory.games.normal_form.matrix_classics import MATRIX_GAMES
from rltheory.games.oracles.psro import double_oracle, psro
from rltheory.games.regret.cfr import cfr
from rltheory.games.regret.mccfr import mccfr
from rltheory.games.regret.variant import Variant

KUHN = load("kuhn_poker", form="tree")


def run_mccfr(game, **arguments):
    return mccfr(game, seed=1, **arguments)


RUNS = {"a CFR run": cfr, "an MCCFR run": run_mccfr, "a PSRO run": psro}


def _share(R, r, m, c, s):
    return 1.0 if r > 0.0 else c[0] + c[1]


def sharing(*numbers, since=3):
    """A variant that gives actions of no positive regret the sum of these, from an iteration on."""
    return Variant("mine", lambda t, n: numbers if t >= since else (0.5, 0.0), strategy=_share)


@pytest.mark.parametrize(
    ("numbers", "given"),
    [
        ((-0.25, 0.0), "-0.25"),
        ((-3.0, 0.0), "-3.0"),
        ((inf, -inf), "nan"),
    ],
)
@pytest.mark.parametrize("alternating", [True, False])
def test_a_variant_that_gives_no_strategy_is_refused_with_what_it_gave(numbers, given, alternating):
    message = (
        f"strategy of variant 'mine' gives {given} for action '.*' at information set '.*' "
        "in iteration 3; expected a number of at least 0"
    )
    for iterations in (3, 40):
        with pytest.raises(ValueError, match=message):
            cfr(KUHN, sharing(*numbers), iterations=iterations, alternating=alternating)
    before = cfr(KUHN, sharing(*numbers), iterations=2, alternating=alternating)
    assert np.all(before.current >= 0)


def test_a_variant_that_gives_infinite_shares_is_refused():
    for iterations in (3, 40):
        with pytest.raises(ValueError, match=r"variant 'mine' has \w+ that are not finite by"):
            cfr(KUHN, sharing(inf, 0.0), iterations=iterations)


@pytest.mark.parametrize("share", [0.0, -0.0, 1e-300, 1e300])
def test_shares_of_any_finite_size_are_played(share):
    run = cfr(KUHN, sharing(share, 0.0), iterations=10)
    sums = np.add.reduceat(run.current, KUHN.form.first[:-1])
    assert np.all(run.current >= 0)
    assert sums == pytest.approx(1.0, abs=1e-15)


def _first(c, s):
    return c[0]


def test_a_variant_whose_average_falls_below_zero_is_refused():
    mine = Variant("mine", lambda t, n: (-1.0,), weight=_first)
    with pytest.raises(ValueError, match="variant 'mine' has an average below 0 by iteration 1"):
        cfr(KUHN, mine, iterations=5)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (lambda t, n: None, "gives None at iteration 1 of 1; expected a tuple of numbers"),
        (lambda t, n: 2.0, "gives 2.0 at iteration 1 of 1"),
        (lambda t, n: "two", "gives 'two' at iteration 1 of 1"),
        (lambda t, n: ("two",), r"gives \('two',\) at iteration 1 of 1"),
        (lambda t, n: (nan,), r"gives \(nan,\) at iteration 1 of 1"),
        (lambda t, n: (nan if t == 4 else 1.0,), r"gives \(nan,\) at iteration 4 of 9"),
        (lambda t, n: None if t == 4 else (1.0,), "gives None at iteration 4 of 9"),
        (lambda t, n: (1.0,) * (1 + t // 4), "gives 2 numbers at iteration 4; expected 1"),
    ],
)
def test_a_schedule_that_gives_no_numbers_is_refused_with_what_it_gave(schedule, message):
    with pytest.raises(ValueError, match="schedule of variant 'mine' " + message):
        cfr(KUHN, Variant("mine", schedule), iterations=9)


@pytest.mark.parametrize("field", ["name", "schedule", "strategy", "weight", "title", "source"])
def test_a_variant_with_a_field_of_another_kind_is_refused(field):
    right = {"name": "mine", "schedule": lambda t, n: ()}
    with pytest.raises(TypeError, match=f"{field} is 3; expected a"):
        Variant(**(right | {field: 3}))


@pytest.mark.parametrize("run", [*RUNS.values(), double_oracle])
def test_a_name_for_a_game_is_refused_with_the_way_to_load_it(run):
    with pytest.raises(TypeError, match=r"game is 'kuhn_poker'; .* games\.load\('kuhn_poker'\)"):
        run("kuhn_poker")


@pytest.mark.parametrize("run", RUNS.values())
def test_what_is_no_game_is_refused(run):
    with pytest.raises(TypeError, match=r"game is None; expected an ExtensiveGame: as games\.load"):
        run(None)


def test_a_matrix_game_is_refused_with_the_way_to_convert_it():
    with pytest.raises(TypeError, match="of a MatrixGame, one_shot"):
        cfr(MATRIX_GAMES["chicken"]())


@pytest.mark.parametrize("name", [None, 3, ["kuhn_poker"]])
def test_a_game_is_loaded_by_a_string(name):
    message = re.escape(f"name is {name!r}; expected a string, one of battleship, ")
    with pytest.raises(TypeError, match=message):
        load(name)


@pytest.mark.parametrize("variant", [3, None, ["cfr"]])
def test_what_is_no_variant_is_refused(variant):
    with pytest.raises(ValueError, match=r"variant is .*; expected one of cfr, "):
        cfr(KUHN, variant)


@pytest.mark.parametrize("run", RUNS.values())
def test_a_run_is_kept_at_a_path(run):
    with pytest.raises(TypeError, match="save is 3; expected the path of a file"):
        run(KUHN, iterations=1, save=3)


def test_a_state_of_another_kind_is_refused():
    with pytest.raises(TypeError, match="state is 3; expected a CFRState"):
        cfr(KUHN, state=3)
    with pytest.raises(TypeError, match="expected a MCCFRState"):
        mccfr(KUHN, state=cfr(KUHN, "cfr", iterations=1).state)


@pytest.mark.parametrize("limit", [nan, -1.0])
def test_a_memory_limit_is_a_size(limit):
    with pytest.raises(ValueError, match="memory_limit is"):
        psro(KUHN, memory_limit=limit)


def junk_files(folder):
    """Files that are no run: text, nothing, one array, a pickle, other archives, half a run."""
    (folder / "text.npz").write_text("not an archive")
    (folder / "empty.npz").touch()
    with (folder / "array.npz").open("wb") as stream:
        np.save(stream, np.zeros(3))
    np.savez(folder / "pickle.npz", allow_pickle=True, run=np.array([{}], dtype=object))
    with zipfile.ZipFile(folder / "zip.npz", "w") as archive:
        archive.writestr("run", "text")
    np.savez(folder / "others.npz", weights=np.zeros(3))
    cfr(KUHN, "cfr", iterations=1, save=folder / "half.npz")
    whole = (folder / "half.npz").read_bytes()
    (folder / "half.npz").write_bytes(whole[: len(whole) // 2])
    return sorted(folder.iterdir())


@pytest.mark.parametrize("kind", RUNS)
def test_a_file_that_is_no_run_is_refused_in_our_own_words(tmp_path, kind):
    files = junk_files(tmp_path)
    assert len(files) == 7
    for path in files:
        before = path.read_bytes()
        with pytest.raises(ValueError, match=f"{path.name} does not hold {kind}: ") as caught:
            RUNS[kind](KUHN, iterations=2, save=path)
        assert "or a new file" in str(caught.value)
        assert "pickle" not in str(caught.value).replace(path.name, "")
        assert path.read_bytes() == before


@pytest.mark.parametrize("seed", [0, 2**63, 2**130])
def test_a_kept_run_of_any_seed_goes_on_to_the_same_bits(tmp_path, seed):
    whole = mccfr(KUHN, seed=seed, iterations=30, checkpoints=[10])
    for _ in range(2):
        kept = mccfr(KUHN, seed=seed, iterations=30, checkpoints=[10], save=tmp_path / "run.npz")
        assert kept.state.seed == seed
        assert kept.state.draws == whole.state.draws
        assert np.array_equal(kept.average, whole.average)
        assert np.array_equal(kept.exploitability, whole.exploitability)


def test_progress_is_called_with_what_the_result_holds():
    for run, arguments in ((run_mccfr, {"checkpoints": 5}), (psro, {}), (cfr, {"checkpoints": 5})):
        seen = []
        found = run(KUHN, iterations=20, progress=lambda *row, to=seen: to.append(row), **arguments)
        at = getattr(found, "iterations", np.arange(len(found.exploitability)))
        assert seen == list(zip(at.tolist(), found.exploitability.tolist(), strict=True))


def test_more_checkpoints_than_memory_holds_are_refused():
    with pytest.raises(ValueError, match=r"checkpoints is 9+ in 9+ .*; expected at most 1000000"):
        checkpoint_iterations(999_999_999_999, 9_999_999_999_999)


def test_a_game_with_more_profiles_than_the_file_has_payoffs_is_refused_with_its_size():
    head = 'NFG 1 R "t" { "a" "b" }\n'
    with pytest.raises(
        ValueError, match=r"line 2: .* 2 players make 1000000000000 profiles; .*got 2"
    ):
        parse_nfg(head + "{ 1000000 1000000 }\n1 2")
    players, named = '"p" ' * 20_000, '{ "x" "y" } ' * 20_000
    for body in ("1 2", '{ { "o" ' + "1 " * 20_000 + "} }\n1"):
        with pytest.raises(ValueError, match=r"20000 players make about 10\^6021 profiles"):
            parse_nfg(f'NFG 1 R "t" {{ {players} }}\n{{ {named} }}\n{body}')
    with pytest.raises(ValueError, match=r"line 2: .*about 10\^300 profiles"):
        parse_nfg(head + "{ 1 1e300 }\n1 2")


def test_a_name_in_place_of_a_game_is_refused_where_profiles_are_measured():
    with pytest.raises(TypeError, match=r"expected an ExtensiveGame: games\.load\('kuhn_poker'\)"):
        exploitability("kuhn_poker", KUHN.uniform())
    with pytest.raises(TypeError, match="expected an ExtensiveGame"):
        best_response("kuhn_poker", KUHN.uniform(), player=0)


@pytest.mark.parametrize(
    "run", [cfr, psro, lambda *game, **settings: mccfr(*game, seed=0, **settings)]
)
def test_progress_is_a_function(run):
    with pytest.raises(TypeError, match="progress is 3; expected a function"):
        run(load("kuhn_poker", form="tree"), iterations=1, progress=3)
