"""EPO: the corridor's penalty and its slopes, the schedule, and what it does along exact runs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rltheory.analysis import softmax_bandit, token_tree
from rltheory.analysis.zoo import entropy, epo

seeds = st.integers(0, 2**32 - 1)


def test_penalties_and_slopes_by_hand():
    corridor = epo.Corridor()
    levels = np.array([0.2, 0.5, 1.0, 1.5, 2.0])
    np.testing.assert_allclose(corridor.penalties(levels, 1.0), [0.03, 0, 0, 0, 0.05])
    assert corridor.slopes(levels, 1.0).tolist() == [-0.1, 0, 0, 0, 0.1]


@given(st.floats(0, 3), st.floats(0.01, 3))
def test_penalty_is_a_distance_to_the_corridor(level, reference):
    corridor = epo.Corridor(low=0.8, high=1.25, slope=2.0)
    inside = np.clip(level, 0.8 * reference, 1.25 * reference)
    found = corridor.penalties(np.array(level), reference)
    np.testing.assert_allclose(found, 2.0 * abs(level - inside), atol=1e-12)


def test_reference_is_the_mean_of_the_past():
    assert epo.reference_entropy([]) is None
    assert epo.reference_entropy([1.0, 0.0, 0.5]) == 0.5


def test_phase_falls_from_two_towards_one():
    found = [epo.phase_weight(k, 10) for k in range(10)]
    assert found[0] == 2.0
    assert (np.diff(found) < 0).all()
    assert found[5] == pytest.approx(1 + np.exp(-1))


@given(seeds, st.floats(0.2, 1.5))
def test_gradient_is_the_slope_with_responses_held(seed, reference):
    rng = np.random.default_rng(seed)
    model = token_tree(3, 2, rng.normal(size=(2, 7)), end_token=1)
    point, direction = 2 * rng.normal(size=model.size), rng.normal(size=model.size)
    corridor = epo.Corridor(low=0.7, high=1.2, slope=0.5)
    drawn = model.at(point).joint

    def objective(parameters):
        levels = entropy.shannon_entropy(model.policy(parameters))
        worth = levels - 1.5 * corridor.penalties(levels, reference)
        total = 0.0
        for mass, rows in zip(drawn, model.rows, strict=True):
            total += mass * worth[rows[rows >= 0]].mean()
        return total

    levels = entropy.shannon_entropy(model.policy(point))
    walls = reference * np.array([0.7, 1.2])
    if np.abs(levels[:, None] - walls).min() < 1e-3:
        return  # Within a step of a kink a difference is no derivative.
    step = 1e-5
    want = (objective(point + step * direction) - objective(point - step * direction)) / (2 * step)
    found = epo.regulariser_gradient(model, point, reference, corridor, phase=1.5)
    np.testing.assert_allclose(found @ direction, want, rtol=1e-4, atol=1e-7)


def test_the_first_step_is_not_smoothed():
    model = softmax_bandit(np.zeros(3))
    point = np.array([3.0, 0.0, 0.0])
    found = epo.regulariser_gradient(model, point, None, epo.Corridor())
    np.testing.assert_allclose(found, entropy.shannon_gradient(model.policy(point)[0]))


def epo_run(steps, *, bonus, corridor):
    """Entropies along exact gradient steps of a bandit with a small entropy bonus."""
    model = softmax_bandit(np.array([1.0, 0.5, 0.0]))
    point, history = np.zeros(3), []
    for k in range(steps):
        reference = epo.reference_entropy(history)
        history.append(entropy.mean_entropy(model, point))
        pull = epo.regulariser_gradient(
            model, point, reference, corridor, phase=epo.phase_weight(k, steps)
        )
        point = point + 0.5 * (model.at(point).gradient + bonus * pull)
    return np.array(history)


def test_entropy_variance_may_grow_inside_the_corridor():
    # The claim of the first version's abstract, as a hypothesis: it fails at every step but the
    # first here, with no penalty ever paid.
    levels = epo_run(12, bonus=0.01, corridor=epo.Corridor())
    variances = np.array([levels[: k + 1].var() for k in range(len(levels))])
    assert (np.diff(variances) > 0).all()
    means = np.cumsum(levels)[:-1] / np.arange(1, len(levels))
    assert (levels[1:] > 0.5 * means).all()
    assert (levels[1:] < 1.5 * means).all()


def test_a_strong_penalty_slows_the_fall():
    loose = epo_run(200, bonus=0.1, corridor=epo.Corridor(low=0.9, slope=0.0))
    tight = epo_run(200, bonus=0.1, corridor=epo.Corridor(low=0.9, slope=5.0))
    assert tight[-1] > loose[-1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: epo.Corridor(low=1.2), "low is 1.2"),
        (lambda: epo.Corridor(high=0.9), "high is 0.9"),
        (lambda: epo.Corridor(slope=-1.0), "slope is -1.0"),
        (lambda: epo.reference_entropy([np.nan]), r"history\[0\] is nan"),
        (lambda: epo.phase_weight(0, 1), "steps is 1"),
        (lambda: epo.phase_weight(9, 9), "step is 9.0"),
        (
            lambda: epo.regulariser_gradient(
                softmax_bandit(np.zeros(2)), np.zeros(2), -1.0, epo.Corridor()
            ),
            "reference is -1.0",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
