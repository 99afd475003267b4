"""CFR on JAX does what the compiled traversal does, one game at a time or many at once."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from rltheory import games
from rltheory.games.regret.branchless import branchless
from rltheory.games.regret.variants import VARIANTS, cfr_plus, vad_cfr

pytest.importorskip("jax")

KUHN, THREE = games.load("kuhn_poker"), games.load("kuhn_poker", players=3)
LEDUC, DICE = games.load("leduc_poker"), games.load("liars_dice", sides=3)
STATE = ("regrets", "average", "strategies", "memories", "states")


def apart(first, second):
    """The largest difference of two runs' states, relative to the largest number of each array."""
    found = []
    for name in STATE:
        ours, theirs = getattr(first.state, name), getattr(second.state, name)
        if ours.size:
            found.append(np.abs(ours - theirs).max() / max(1.0, np.abs(theirs).max()))
    return max(found)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_the_compiled_one(name):
    settings = {"iterations": 200, "checkpoints": [3, 200]}
    ours, theirs = (games.cfr(KUHN, name, backend=b, **settings) for b in ("jax", "numpy"))
    assert apart(ours, theirs) <= 1e-10
    np.testing.assert_allclose(ours.exploitability, theirs.exploitability, rtol=0, atol=1e-10)


# Rounding grows on the way, and these games are larger: they are run for a shorter time.
@pytest.mark.parametrize(
    ("game", "name", "alternating"),
    [
        (LEDUC, "cfr_plus", True),
        (LEDUC, "vad_cfr", True),
        (LEDUC, "dcfr", False),
        (THREE, "vad_cfr", True),
        (THREE, "pcfr_plus", True),
        (DICE, "wop_cfr", False),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_larger_games_blocks_and_three_players(game, name, alternating):
    settings = {"iterations": 30, "checkpoints": 1, "alternating": alternating}
    ours, theirs = (games.cfr(game, name, backend=b, **settings) for b in ("jax", "numpy"))
    assert apart(ours, theirs) <= 1e-10


def test_a_state_of_its_own_for_each_set():
    rule = vad_cfr(volatility="per_infoset", warm_up=5)
    ours, theirs = (
        games.cfr(KUHN, rule, iterations=100, checkpoints=1, backend=b) for b in ("jax", "numpy")
    )
    assert apart(ours, theirs) <= 1e-10


def test_a_run_goes_on_with_the_other_backend(tmp_path):
    path = tmp_path / "run.npz"
    settings = {"iterations": 60, "checkpoints": [20, 60], "save": path}
    kept = games.cfr(KUHN, "vad_cfr", backend="jax", **settings)
    assert apart(games.cfr(KUHN, "vad_cfr", **settings), kept) == 0, "nothing is left to run"
    begun = games.cfr(KUHN, "cfr_plus", iterations=20, checkpoints=1)
    ended = games.cfr(
        KUHN, "cfr_plus", iterations=50, checkpoints=[50], state=begun.state, backend="jax"
    )
    assert apart(ended, games.cfr(KUHN, "cfr_plus", iterations=50, checkpoints=1)) <= 1e-12


def stakes(game, factors):
    """Games of one tree, each with its leaves' payments scaled."""
    form = game.form
    return [
        replace(game, form=form._replace(values=form.values * f, tables=form.tables * f))
        for f in factors
    ]


@pytest.mark.parametrize("backend", ["jax", "numpy"])
@pytest.mark.parametrize("name", ["cfr_plus", "vad_cfr"])
def test_many_games_are_each_as_alone(backend, name):
    some = [*stakes(KUHN, [1.0, 0.25, 3.0]), KUHN]
    runs = games.cfr_many(some, name, iterations=40, checkpoints=[7, 40], backend=backend)
    assert len(runs) == 4
    for game, run in zip(some, runs, strict=True):
        alone = games.cfr(game, name, iterations=40, checkpoints=[7, 40])
        assert apart(run, alone) <= 1e-10
        np.testing.assert_allclose(run.exploitability, alone.exploitability, rtol=0, atol=1e-10)
    assert runs[2].exploitability[-1] != runs[0].exploitability[-1]


def test_games_of_another_tree_are_refused():
    with pytest.raises(ValueError, match=r"games\[1\] has another tree than games\[0\]"):
        games.cfr_many([KUHN, LEDUC])
    with pytest.raises(ValueError, match="games is empty"):
        games.cfr_many([])


def test_what_cannot_run_is_named(monkeypatch):
    with pytest.raises(ValueError, match="backend is 'torch'; expected one of"):
        games.cfr(KUHN, backend="torch")
    below = replace(cfr_plus(), name="mine", strategy=_below)
    with pytest.raises(
        ValueError, match="strategy of variant 'mine' gives a number below 0 or NaN"
    ):
        games.cfr(KUHN, below, iterations=3, backend="jax")
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(ImportError, match=r"needs JAX: pip install 'rltheory\[jax\]'"):
        games.cfr(KUHN, iterations=1, backend="jax")


def _below(R, r, m, c, s):
    return R - 1.0


def _early(x):
    if x > 0.0:
        return 1.0
    return 0.0


def _looped(x):
    for _ in range(3):
        x = x * 2.0
    return x


def _mixed(x, y):
    """Every kind of choice at once."""
    scale = 1.0
    if x > 1.0 and not y > 2.0:
        half = x / 2.0
        scale = half if half < 0.0 or y < -1.0 else 2.0 * half
    elif 0.0 < x <= 1.0:
        scale += max(x, y)
    else:
        scale = -abs(y)
        other = min(x, y)
        scale += other
    return scale


def test_functions_with_branches_take_arrays():
    x, y = (a.ravel() for a in np.meshgrid(np.linspace(-2, 3, 21), np.linspace(-3, 4, 15)))
    found = np.asarray(branchless(_mixed)(x, y))
    np.testing.assert_array_equal(found, [_mixed(a, b) for a, b in zip(x, y, strict=True)])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (_early, "_early returns within an if"),
        (_looped, "_looped has a statement of the kind For"),
        (lambda x: x, "no function with a name|has no source"),
        (len, "len is no plain function"),
    ],
)
def test_functions_that_cannot_be_rewritten_are_named(function, message):
    with pytest.raises(TypeError, match=message):
        branchless(function)
