"""The harness of comparisons against single runs of the same learners."""

import numpy as np
import pytest

from rltheory.analysis.estimators.comparison import FAMILIES, METHODS, TUNING_SEED, Method, compare
from rltheory.analysis.estimators.learning import learn, oblr_po
from rltheory.analysis.estimators.sampling_model import softmax_bandit
from rltheory.analysis.estimators.smoothness import smoothness
from rltheory.analysis.estimators.step_rules import FixedStep

MODELS = {"bandit": softmax_bandit(np.array([0.1, 0.5, 0.9]))}
SMALL = {"seeds": 12, "steps": 15, "tuning_seeds": 3, "grid": (0.5, 8.0)}
PAIR = (Method("RLOO", "rloo"), Method("OBLR-PO", "oblr", by_noise=True, tuned=False))


def test_rows_are_those_of_single_runs_with_the_step_that_did_best_elsewhere():
    rows = compare(MODELS, PAIR, **SMALL)
    model, sizes = MODELS["bandit"], {"steps": 15, "prompts": 4, "group_size": 4}
    assert [(row.model, row.method) for row in rows] == [("bandit", "RLOO"), ("bandit", "OBLR-PO")]
    constant, trials = smoothness(model), TUNING_SEED + np.arange(3)
    reached = {
        m: learn(model, "rloo", FixedStep(m / constant), seeds=trials, **sizes).values[:, -1].mean()
        for m in (0.5, 8.0)
    }
    best = max(reached, key=reached.get)
    assert rows[0].multiple == best
    plain = learn(model, "rloo", FixedStep(best / constant), seeds=12, **sizes)
    np.testing.assert_allclose(rows[0].finals, plain.values[:, -1], atol=1e-12)
    np.testing.assert_array_equal(rows[1].finals, oblr_po(model, seeds=12, **sizes).values[:, -1])
    for row in rows:
        assert row.final == pytest.approx(row.finals.mean())
        assert row.low <= row.final <= row.high
        assert row.area == pytest.approx(row.curve.mean())
        assert row.curve[-1] == pytest.approx(row.final)
        assert np.all(row.band[0] <= row.band[1])
    wins = np.mean(rows[0].finals > rows[1].finals) + np.mean(rows[0].finals == rows[1].finals) / 2
    assert rows[0].win_rates == {"RLOO": 0.5, "OBLR-PO": pytest.approx(wins)}
    assert rows[1].win_rates["RLOO"] == pytest.approx(1 - wins)


def test_all_families_and_methods_run():
    rows = compare(**SMALL | {"seeds": 3, "steps": 4})
    assert len(rows) == len(FAMILIES) * len(METHODS)
    starts = {(row.model, float(row.curve[0])) for row in rows}
    assert len(starts) == len(FAMILIES)
    # On policy these two are one estimator under two names.
    twins = {row.method: row.finals for row in rows if row.model == "token tree"}
    np.testing.assert_array_equal(twins["Group mean"], twins["Dr. GRPO"])


@pytest.mark.slow
def test_workers_do_not_change_the_rows():
    one, two = (compare(MODELS, PAIR, workers=workers, **SMALL) for workers in (1, 2))
    for first, second in zip(one, two, strict=True):
        np.testing.assert_array_equal(first.finals, second.finals)
        assert (first.low, first.high, first.win_rates) == (
            second.low, second.high, second.win_rates,
        )  # fmt: skip


def test_the_bootstrap_interval_has_the_width_of_the_central_limit():
    row = compare(MODELS, PAIR[:1], seeds=400, steps=5, tuning_seeds=2)[0]
    half = 1.96 * row.finals.std() / np.sqrt(400)
    assert row.high - row.low == pytest.approx(2 * half, rel=0.15)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methods": (PAIR[0], PAIR[0])}, "methods has the titles"),
        ({"methods": ()}, "methods has the titles"),
        ({"methods": (Method("x", "nobody"),)}, "estimator is 'nobody'"),
        ({"grid": ()}, "grid is"),
        ({"grid": (0.0, 1.0)}, "grid is"),
        ({"tuning_seeds": 0}, "tuning_seeds is 0"),
        ({"workers": 0}, "workers is 0"),
        ({"confidence": 1.0}, "confidence is 1"),
    ],
)
def test_bad_input_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        compare(MODELS, **{"methods": PAIR} | SMALL | change)
