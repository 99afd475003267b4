"""What the figures of policy-gradient estimators say is true of their data."""

from itertools import product
from math import comb

import numpy as np
import pytest

from rltheory.analysis.estimators import comparison
from rltheory.analysis.estimators.dynamics import expected_gain
from rltheory.analysis.estimators.learning import learn
from rltheory.analysis.estimators.smoothness import smoothness
from rltheory.analysis.plotting import column
from rltheory.paper_figures import baseline_variance as baselines
from rltheory.paper_figures import estimator_comparison as compared
from rltheory.paper_figures import group_normalisation as normalisation
from rltheory.paper_figures import learning_curves as curves
from rltheory.paper_figures import off_policy_bias as off_policy
from rltheory.paper_figures import pg_models, snr_steps
from rltheory.paper_figures import variance_split as split

SMALL = {
    "baseline_variance": {"points": 6, "horizon": 3000.0, "curve": 9},
    "group_normalisation": {"sizes": [2, 3, 5], "most": 1_000},
    "off_policy_bias": {"points": 5},
    "snr_steps": {"steps": 30, "marks": 3, "seeds": 400},
    "estimator_comparison": {"seeds": 6, "steps": 5, "tuning": 3},
    "learning_curves": {"steps": 6, "seeds": 8, "tuning": 8},
    "variance_split": {"budget": 12, "prompts": 4, "points": 6},
}


@pytest.mark.parametrize("name", SMALL)
def test_a_figure_on_small_settings_is_drawn_and_told(name, rows_of):
    assert rows_of(name)


# What the figures share.


def test_methods_look_different():
    looks = [(m.colour, m.style) for name, m in pg_models.METHODS.items() if name != "dr-grpo"]
    assert len(set(looks)) == len(looks)
    assert len({m.title for m in pg_models.METHODS.values()}) == len(pg_models.METHODS)


@pytest.mark.parametrize("family", pg_models.FAMILIES)
def test_flow_climbs_as_fast_as_its_squared_gradient(family):
    model = pg_models.FAMILIES[family][1]()
    times = np.linspace(0.0, 4.0, 81)
    points = pg_models.flow(model, times)
    values = np.array([o.value for o in points])
    speeds = np.array([o.gradient @ o.gradient for o in points])
    # Simpson's rule has an error of the fourth power of the step.
    gained = (speeds[0:-2:2] + 4 * speeds[1:-1:2] + speeds[2::2]).sum() * (times[1] / 3)
    np.testing.assert_allclose(gained, values[-1] - values[0], rtol=1e-5)
    assert (np.diff(values) > 0).all()


def test_small_angles_are_accurate():
    east = np.array([1.0, 0.0])
    for degrees in (0.0, 1e-9, 1.0, 90.0, 179.0):
        turned = 3 * np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
        np.testing.assert_allclose(pg_models.angle(east, turned), degrees, rtol=1e-12)


# Baselines.


def plain_variance(outcomes, baselines):
    """E |g|^2 (r - b)^2 less the squared gradients of the prompts, summed outcome by outcome."""
    scores = np.asarray(outcomes.scores)
    total = 0.0
    for x, weight in enumerate(outcomes.weights):
        mean, square = np.zeros(scores.shape[1]), 0.0
        for i in range(outcomes.starts[x], outcomes.starts[x + 1]):
            away = outcomes.rewards[i] - baselines[x]
            mean += outcomes.probabilities[i] * away * scores[i]
            square += outcomes.probabilities[i] * away**2 * (scores[i] @ scores[i])
        total += weight * (square - mean @ mean)
    return total


@pytest.mark.parametrize("family", pg_models.FAMILIES)
def test_variances_along_training_are_those_of_plain_sums(family, rows_of):
    rows = [r for r in rows_of("baseline_variance")[0] if r["family"] == family]
    model = pg_models.FAMILIES[family][1]()
    times = sorted({r["time"] for r in rows if r["part"] == "training"})
    for time, outcomes in zip(times, pg_models.flow(model, times), strict=True):
        (value,) = column(rows, "variance", part="training", time=time, method="value")
        np.testing.assert_allclose(value, plain_variance(outcomes, outcomes.values), rtol=1e-6)
        (none,) = column(rows, "variance", part="training", time=time, method="reinforce")
        zero = np.zeros(len(outcomes.weights))
        np.testing.assert_allclose(none, plain_variance(outcomes, zero), rtol=1e-6)
        # Leaving out: the others' mean varies, and half of every pair meets itself again.
        (left,) = column(rows, "variance", part="training", time=time, method="rloo")
        extra = 0.0
        for x, weight in enumerate(outcomes.weights):
            there = slice(outcomes.starts[x], outcomes.starts[x + 1])
            p, r = outcomes.probabilities[there], outcomes.rewards[there]
            g = np.asarray(outcomes.scores)[there]
            spread = p @ (r - p @ r) ** 2
            slope = (p * r) @ g
            extra += weight * (spread * (p @ (g * g).sum(axis=1)) + slope @ slope)
        np.testing.assert_allclose(left, value + extra / (baselines.GROUP - 1), rtol=1e-6)


def test_the_optimal_baseline_is_lowest_and_gaps_are_the_formula(rows_of):
    rows = rows_of("baseline_variance")[0]
    for row in rows:
        assert row["variance"] >= row["least"] * (1 - 1e-12)
        if row["gap"] is not None:
            np.testing.assert_allclose(row["variance"], row["least"] + row["gap"], rtol=1e-9)
    for family in pg_models.FAMILIES:
        curve = [r for r in rows if (r["family"], r["part"]) == (family, "parabola")]
        b, v = (np.array([r[name] for r in curve]) for name in ("baseline", "variance"))
        square, slope, _ = np.polyfit(b, v, 2)
        (best,) = column(rows, "baseline", family=family, part="snapshot", method="shared")
        np.testing.assert_allclose(best, -slope / (2 * square), rtol=1e-9)


# Normalisation.


@pytest.mark.parametrize("bessel", [True, False])
def test_grpo_on_two_rewards_is_a_binomial_sum(bessel, rows_of):
    rows = rows_of("group_normalisation")[0]
    name = "grpo" if bessel else "grpo-population"

    def factor(p, size):
        total = 0.0
        for k in range(1, size):
            mean = k / size
            spread = np.sqrt((mean - mean**2) * (size / (size - 1) if bessel else 1.0))
            chance = comb(size, k) * p**k * (1 - p) ** (size - k)
            total += chance * mean * (1 - mean) / spread / (p * (1 - p))
        return total

    for size in SMALL["group_normalisation"]["sizes"]:
        (length,) = column(rows, "length", case="one", method=name, size=size)
        np.testing.assert_allclose(length, factor(0.3, size), rtol=1e-12)
        # Prompts have parameters of their own, so that factors weigh their blocks.
        outcomes = normalisation.hard_and_easy()
        gradient = outcomes.gradient.reshape(4, -1)
        bent = gradient * np.array([factor(p, size) for p in (0.02, 0.1, 0.3, 0.8)])[:, None]
        cosine = (bent * gradient).sum() / np.linalg.norm(bent) / np.linalg.norm(gradient)
        (angle,) = column(rows, "angle", case="prompts", method=name, size=size)
        np.testing.assert_allclose(np.cos(np.radians(angle)), cosine, rtol=1e-12)


@pytest.mark.parametrize("case", normalisation.CASES)
def test_normalisations_equal_plain_sums_over_all_pairs(case, rows_of):
    rows = rows_of("group_normalisation")[0]
    outcomes = normalisation.CASES[case][1]()
    scores, r, length = np.asarray(outcomes.scores), outcomes.rewards, outcomes.lengths
    means = {name: np.zeros(scores.shape[1]) for name in normalisation.ESTIMATORS}
    for x, weight in enumerate(outcomes.weights):
        here = range(outcomes.starts[x], outcomes.starts[x + 1])
        for i, j in product(here, here):
            chance = weight * outcomes.probabilities[i] * outcomes.probabilities[j]
            half = (r[i] - r[j]) / 2
            sign = np.sign(half)
            norms = [scores[k] @ scores[k] for k in (i, j)]
            best = (norms[0] * r[i] + norms[1] * r[j]) / sum(norms)
            apart = half * (scores[i] - scores[j])
            token = scores[i] / length[i] - scores[j] / length[j]
            means["rloo"] += chance * apart
            means["mean"] += chance * apart / 2
            means["mean-length"] += chance * half * token / 2
            means["oblr-own"] += (
                chance * ((r[i] - best) * scores[i] + (r[j] - best) * scores[j]) / 2
            )
            # Two rewards lie sqrt(1/2) of the unbiased deviation from their mean.
            means["grpo"] += chance * sign * token / 2 * np.sqrt(0.5)
            means["grpo-population"] += chance * sign * token / 2
            means["dapo"] += (
                chance * sign * (scores[i] - scores[j]) / (length[i] + length[j]) * np.sqrt(0.5)
            )
    for row in rows:
        if (row["case"], row["size"]) == (case, 2):
            mean, gradient = means[row["method"]], outcomes.gradient
            scale = np.linalg.norm(gradient)
            np.testing.assert_allclose(row["length"], np.linalg.norm(mean) / scale, rtol=1e-12)
            off = np.linalg.norm(mean - gradient) / scale
            np.testing.assert_allclose(row["bias"], off, rtol=1e-12, atol=1e-13)


def test_what_is_enumerated_stays_within_the_limit(rows_of):
    rows = rows_of("group_normalisation")[0]
    limit = 1000 * SMALL["group_normalisation"]["most"]
    assert all(row["groups"] * row["size"] ** 2 <= limit for row in rows)
    # Two rewards: the multisets of a group of G are its counts of ones.
    assert (column(rows, "groups", case="one", method="grpo", size=5) == 6).all()


# Off policy.


def test_divergences_are_those_asked_for(rows_of):
    rows = rows_of("off_policy_bias")[0]
    for direction in off_policy.DIRECTIONS:
        found = column(rows, "divergence", direction=direction, gate="ppo")
        goals = np.geomspace(off_policy.NEAR, off_policy.FAR, 5)
        np.testing.assert_allclose(found, goals, rtol=1e-6)
        assert (column(rows, "bias", direction=direction, gate="ratio") < 1e-12).all()
    np.testing.assert_allclose(
        column(rows, "error") ** 2,
        column(rows, "bias") ** 2 + column(rows, "deviation") ** 2 / off_policy.GROUPS,
        rtol=1e-12,
    )


def weight(gate, ratio, mean_ratio, whole, advantage):
    """The weight of each token's score, written out from the surrogates' derivatives."""
    if gate == "stale":
        return np.ones_like(ratio)
    if gate == "ratio":
        return np.full_like(ratio, whole)
    if gate == "token-ratio":
        return ratio
    if gate == "ppo":
        open_side = ratio <= 1.2 if advantage >= 0 else ratio >= 0.8
        return np.where(open_side, ratio, 0.0)
    if gate == "gspo":
        open_side = mean_ratio <= 1 + 4e-4 if advantage >= 0 else mean_ratio >= 1 - 3e-4
        return np.full_like(ratio, mean_ratio if open_side else 0.0)
    tau = 1.0 if advantage >= 0 else 1.05
    sigmoid = 1 / (1 + np.exp(-tau * (ratio - 1)))
    return 4 * sigmoid * (1 - sigmoid) * ratio


def test_moments_off_policy_equal_plain_sums_over_all_pairs(monkeypatch):
    monkeypatch.setattr(off_policy, "GROUP", 2)
    model = pg_models.tree(end_token=None)
    behaviour, policy = off_policy.policies(model, "random", 3, 0)[1:][0]
    behaviour = behaviour + 0.0
    policy = behaviour + 30 * (policy - behaviour)
    rows = off_policy.gate_rows(model, "random", behaviour, policy)
    old, new = model.policy(behaviour), model.policy(policy)
    paths = list(zip(model.rows, model.actions, strict=True))
    drawn = np.array([old[s, a].prod() for s, a in paths])
    ratios = np.array([new[s, a] / old[s, a] for s, a in paths])
    gradient = model.at(policy).gradient

    def score(s, a, weights):
        found = np.zeros(new.shape)
        for row, action, w in zip(s, a, weights, strict=True):
            found[row] -= w * new[row]
            found[row, action] += w
        return found.ravel()

    for row in rows:
        gate = row["gate"]
        table = {
            (i, sign): score(
                *paths[i],
                weight(
                    gate,
                    ratios[i],
                    ratios[i].prod() ** (1 / 3),
                    ratios[i].prod(),
                    1 if sign else -1,
                ),
            )
            for i in range(len(paths))
            for sign in (True, False)
        }
        mean, square = np.zeros(model.size), 0.0
        for i, j in product(range(len(paths)), repeat=2):
            apart = model.rewards[i] - model.rewards[j]
            estimate = 0.5 * (apart * table[i, apart >= 0] - apart * table[j, -apart >= 0])
            mean += drawn[i] * drawn[j] * estimate
            square += drawn[i] * drawn[j] * (estimate @ estimate)
        scale = np.linalg.norm(gradient)
        bias = np.linalg.norm(mean - gradient) / scale
        np.testing.assert_allclose(row["bias"], bias, rtol=1e-9, atol=1e-12)
        deviation = np.sqrt(square - mean @ mean) / scale
        np.testing.assert_allclose(row["deviation"], deviation, rtol=1e-9)
        np.testing.assert_allclose(row["along"], mean @ gradient / scale**2, rtol=1e-9)


# Splits of a budget.


def test_parts_add_up_and_follow_their_laws(rows_of):
    rows = rows_of("variance_split")[0]
    for row in rows:
        np.testing.assert_allclose(
            row["noise"], row["responses"] + row["estimated"] + row["between"], rtol=1e-9
        )
    for model in split.MODELS:
        for time in {r["time"] for r in rows}:
            here = [
                r for r in rows if (r["model"], r["time"], r["method"]) == (model, time, "rloo")
            ]
            size = np.array([r["size"] for r in here])
            assert size.tolist() == [2, 3, 4, 6, 12]
            between, estimated = (
                np.array([r[name] for r in here]) for name in ("between", "estimated")
            )
            np.testing.assert_allclose(between / size, between[0] / 2, rtol=1e-9)
            np.testing.assert_allclose(estimated * (size - 1), estimated[0], rtol=1e-6)


def test_the_best_real_size_lies_beside_the_best_divisor(rows_of):
    rows = rows_of("variance_split")[0]
    marks = [2, 3, 4, 6, 12]
    for model in split.MODELS:
        here = [r for r in rows if (r["model"], r["method"]) == (model, "rloo")]
        times = sorted({r["time"] for r in here})
        for time, (value, best) in zip(times, split.along(here), strict=True):
            there = [r for r in here if r["time"] == time]
            assert there[0]["value"] == value
            least = marks.index(min(there, key=lambda r: r["noise"])["size"])
            # Noise is convex in the size, so that its least lies between the neighbours.
            low = marks[least - 1] if least else 1
            high = marks[least + 1] if least + 1 < len(marks) else np.inf
            assert low <= best <= high


def test_known_baselines_want_one_response_to_each_prompt(rows_of):
    rows = rows_of("variance_split")[0]
    for model, method in product(split.MODELS, ("reinforce", "value", "optimal")):
        noise = column(rows, "noise", model=model, method=method)
        assert noise.argmin() == 0


# Steps that the noise allows.


def test_steps_and_guarantees_follow_from_the_ratio(rows_of):
    rows = rows_of("snr_steps")[0]
    for row in rows:
        np.testing.assert_allclose(row["share"], row["ratio"] / (1 + row["ratio"]), rtol=1e-9)
        gained = 0.5 * row["length"] * row["gradient"] ** 2
        np.testing.assert_allclose(row["guaranteed"], gained, rtol=1e-9)
        # The certificate speaks of the least gradient of the whole run.
        assert row["certified"] > 0
    for family in pg_models.FAMILIES:
        start = {r["method"]: r["ratio"] for r in rows if r["step"] == 0 and r["family"] == family}
        assert start["optimal"] >= max(start["reinforce"], start["value"]) * (1 - 1e-12)


def test_sampled_gains_are_unbiased_and_above_the_guarantee(rows_of):
    tried = [r for r in rows_of("snr_steps")[0] if r["realised"] is not None]
    assert {r["method"] for r in tried} == set(snr_steps.TRIED)
    for row in tried:
        assert row["realised"] + 5 * row["error"] > row["guaranteed"]
    model = pg_models.bandit()
    point = np.zeros(model.size)
    draws = snr_steps.PROMPTS * snr_steps.GROUP
    for row in tried:
        if (row["family"], row["step"]) == ("bandit", 0):
            exact = expected_gain(model, point, row["method"], group_size=draws, step=row["length"])
            assert abs(row["realised"] - exact) < 5 * row["error"]


# Learning curves.


@pytest.mark.parametrize("family", pg_models.FAMILIES)
def test_unbiased_mean_dynamics_are_gradient_ascent(family, rows_of):
    rows = [r for r in rows_of("learning_curves")[0] if r["family"] == family]
    model = pg_models.FAMILIES[family][1]()
    for method in ("reinforce", "rloo", "oblr"):
        here = [r for r in rows if r["method"] == method]
        point, eta = np.zeros(model.size), here[0]["tuned"]
        for row in here:
            outcomes = model.at(point)
            np.testing.assert_allclose(row["dynamics"], outcomes.value, rtol=1e-9)
            point = point + eta * outcomes.gradient


def test_curves_show_the_tuned_runs(rows_of):
    rows = rows_of("learning_curves")[0]
    small = SMALL["learning_curves"]
    model = pg_models.tree()
    scores = {}
    for step in curves.STEPS:
        run = learn(
            model, "grpo", curves.FixedStep(step), steps=small["steps"], prompts=curves.PROMPTS,
            group_size=curves.GROUP, seeds=curves.TUNING_SEEDS + np.arange(small["tuning"]),
        )  # fmt: skip
        scores[step] = run.values.mean()
    here = [r for r in rows if (r["family"], r["method"]) == ("tree", "grpo")]
    assert {r["tuned"] for r in here} == {max(scores, key=scores.get)}
    run = learn(
        model, "grpo", curves.FixedStep(here[0]["tuned"]), steps=small["steps"],
        prompts=curves.PROMPTS, group_size=curves.GROUP, seeds=small["seeds"],
    )  # fmt: skip
    np.testing.assert_allclose([r["average"] for r in here], run.values.mean(axis=0), rtol=1e-12)
    ordered = np.sort(run.values, axis=0)
    for row in here:
        # Quantiles of eight numbers at 10% and 90% lie between the outer two.
        first, second, *_, last_but_one, last = ordered[:, row["step"]]
        assert first <= row["low"] <= second
        assert last_but_one <= row["high"] <= last


# The comparison.


def test_every_method_has_a_look_and_a_row(rows_of):
    rows = rows_of("estimator_comparison")[0]
    titles = [method.title for method in comparison.METHODS]
    assert {compared.REFERENCE, compared.ALIKE, *compared.OURS} <= set(titles)
    for family in comparison.FAMILIES:
        assert [r["method"] for r in rows if r["family"] == family] == titles
    for method in comparison.METHODS:
        name = compared.NOISY[method.estimator] if method.by_noise else method.estimator
        assert name in pg_models.METHODS


def test_the_table_is_that_of_runs_made_again(rows_of):
    rows = rows_of("estimator_comparison")[0]
    small = SMALL["estimator_comparison"]
    for family, make in comparison.FAMILIES.items():
        model = make()
        finals = {}
        for title, estimator in (("RLOO", "rloo"), ("GRPO", "grpo")):
            (row,) = (r for r in rows if (r["family"], r["method"]) == (family, title))
            step = row["multiple"] / smoothness(model)
            run = learn(
                model, estimator, curves.FixedStep(step), steps=small["steps"],
                prompts=compared.PROMPTS, group_size=compared.GROUP, seeds=small["seeds"],
            )  # fmt: skip
            finals[title] = run.values[:, -1]
            np.testing.assert_allclose(row["final"], finals[title].mean(), rtol=1e-9)
            np.testing.assert_allclose(row["area"], run.values.mean(), rtol=1e-9)
            assert row["low"] <= row["final"] <= row["high"]
        (rate,) = column(rows, "wins over RLOO", family=family, method="GRPO")
        assert rate == np.mean(finals["GRPO"] > finals["RLOO"])
        for first in comparison.METHODS:
            for second in comparison.METHODS:
                pair = [
                    column(rows, f"wins over {b.title}", family=family, method=a.title)[0]
                    for a, b in ((first, second), (second, first))
                ]
                assert sum(pair) == pytest.approx(1.0)


def test_findings_count_the_cases_beyond_the_intervals():
    def table(ours, others):
        return [
            {
                "family": "bandit", "method": title, "final": final, "low": final - 0.01,
                "high": final + 0.01, "multiple": 1.0,
                "wins over RLOO": 0.5, f"wins over {compared.ALIKE}": 0.5,
            }
            for title, final in [("OBLR-PO", ours[0]), ("OBLR-PO, scaled", ours[1]), *others]
        ]  # fmt: skip

    others = [("RLOO", 0.5), ("GRPO", 0.6)]
    assert "intervals nowhere." in compared.findings(table((0.4, 0.61), others))
    assert "intervals in 1 of 2 cases." in compared.findings(table((0.63, 0.61), others))
    said = compared.findings(table((0.4, 0.5), others))
    assert "GRPO (0.6000" in said
    # OBLR-PO itself takes no multiple, the other three choose one.
    assert "Of 3 multiples chosen, 0 are at an end" in said
    edge = [row | {"multiple": compared.GRID[-1]} for row in table((0.4, 0.5), others)]
    assert "Of 3 multiples chosen, 3 are at an end" in compared.findings(edge)
