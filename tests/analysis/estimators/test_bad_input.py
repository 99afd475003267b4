"""What does not fit is refused by name, and what is degenerate has a documented answer."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from scipy import sparse
from strategies_estimators import fractions, make_model

from rltheory.analysis import (
    Linear,
    Network,
    Outcomes,
    SamplingModel,
    Tabular,
    contextual_bandit,
    episodes,
    estimator_moments,
    optimal_baseline,
    softmax_bandit,
    token_tree,
)
from rltheory.analysis.estimators.outcomes import Choices
from rltheory.analysis.estimators.whitening import whitened_moments

GOOD = {
    "probabilities": [0.25, 0.75, 0.5, 0.5],
    "scores": [[0.75], [-0.25], [0.5], [-0.5]],
    "rewards": [0.0, 1.0, 2.0, 1.0],
    "weights": [0.5, 0.5],
    "starts": [0, 2, 4],
    "lengths": [1, 2, 3, 4],
    "behaviour": [0.5, 0.5, 0.25, 0.75],
    "greedy": [1.0, 2.0],
}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"probabilities": [0.25, 0.7, 0.5, 0.5]},
            ValueError,
            r"probabilities of prompt 0 sum to 0\.95",
        ),
        ({"probabilities": [-0.25, 1.25, 0.5, 0.5]}, ValueError, r"probabilities\[0\] is -0\.25"),
        ({"probabilities": [np.nan, 1, 0.5, 0.5]}, ValueError, r"probabilities\[0\] is nan"),
        ({"probabilities": [[0.25, 0.75]]}, ValueError, r"probabilities has shape \(1, 2\)"),
        (
            {"probabilities": [[0.25], [0.1, 0.2]]},
            TypeError,
            "probabilities must be an array of real",
        ),
        ({"probabilities": "half"}, TypeError, "probabilities must be an array of real numbers"),
        (
            {"probabilities": [], "scores": np.zeros((0, 1)), "rewards": []},
            ValueError,
            "probabilities is empty",
        ),
        (
            {"scores": [[0.75], [-0.25]]},
            ValueError,
            r"scores has shape \(2, 1\); expected \(4, any\)",
        ),
        ({"scores": [0.0, 0.0, 0.0, 0.0]}, ValueError, r"scores has shape \(4,\)"),
        ({"scores": np.zeros((4, 0))}, ValueError, "expected at least one parameter"),
        ({"scores": [[np.inf], [0], [0], [0]]}, ValueError, r"scores\[0, 0\] is inf"),
        (
            {"scores": sparse.csr_array([[np.nan], [0], [0], [0]])},
            ValueError,
            r"scores\[0\] is nan",
        ),
        (
            {"scores": [[1e200], [0], [0], [0]]},
            ValueError,
            r"are of up to 2?1?e\+200; expected at most 1e\+150",
        ),
        ({"rewards": [0.0, 1.0]}, ValueError, r"rewards has shape \(2,\); expected \(4\)"),
        ({"rewards": [0.0, np.nan, 1.0, 1.0]}, ValueError, r"rewards\[1\] is nan"),
        ({"rewards": [0.0, -np.inf, 1.0, 1.0]}, ValueError, r"rewards\[1\] is -inf"),
        (
            {"rewards": [0.0, 1e200, 1.0, 1.0]},
            ValueError,
            r"rewards times scores are of up to 1e\+200",
        ),
        ({"rewards": [0.0, 1j, 1.0, 1.0]}, TypeError, "rewards must be an array of real numbers"),
        ({"rewards": None}, ValueError, r"rewards has shape \(\)"),
        ({"weights": [0.5, 0.4]}, ValueError, r"weights sum to 0\.9; expected 1"),
        ({"weights": [1.5, -0.5]}, ValueError, r"weights\[1\] is -0\.5"),
        (
            {"weights": [], "starts": [0]},
            ValueError,
            "weights is empty; expected at least one prompt",
        ),
        ({"weights": [1.0]}, ValueError, r"starts has shape \(3,\); expected \(2\)"),
        ({"starts": [0, 4]}, ValueError, r"starts has shape \(2,\)"),
        ({"starts": [0, 0, 4]}, ValueError, r"starts is \[0, 0, 4\]; expected increasing integers"),
        ({"starts": [0, 3, 2]}, ValueError, r"starts is \[0, 3, 2\]"),
        ({"starts": [1, 2, 4]}, ValueError, r"starts is \[1, 2, 4\]"),
        ({"starts": [0, 2, 3]}, ValueError, "expected increasing integers from 0 to 4"),
        ({"starts": [0.0, 2.0, 4.0]}, ValueError, "starts has entries of type float64"),
        ({"lengths": [1, 2, 3]}, ValueError, r"lengths has shape \(3,\)"),
        ({"lengths": [1, 2, -3, 4]}, ValueError, r"lengths\[2\] is -3"),
        (
            {"lengths": [0, 2, 3, 4]},
            ValueError,
            r"lengths\[0\] is 0; expected integers of at least 1",
        ),
        ({"lengths": [1.0, 2.0, 3.0, 4.0]}, ValueError, "lengths has entries of type float64"),
        (
            {"behaviour": [0.0, 1.0, 0.5, 0.5]},
            ValueError,
            r"behaviour\[0\] is 0 where the policy has",
        ),
        ({"behaviour": [0.5, 0.6, 0.5, 0.5]}, ValueError, r"behaviour of prompt 0 sum to 1\.1"),
        ({"behaviour": [1e-200, 1.0, 0.5, 0.5]}, ValueError, r"ratios .* are of up to 2\.5e\+199"),
        ({"behaviour": [5e-324, 1.0, 0.5, 0.5]}, ValueError, "ratios .* are of up to inf"),
        ({"greedy": [1.0]}, ValueError, r"greedy has shape \(1,\)"),
        ({"greedy": [1.0, np.nan]}, ValueError, r"greedy\[1\] is nan"),
        ({"choices": "path"}, TypeError, "choices must be Choices; got str"),
    ],
)
def test_outcomes(change, error, message):
    Outcomes(**GOOD)
    with pytest.raises(error, match=message):
        Outcomes(**(GOOD | change))


def test_outcomes_of_fractions():
    exact = {
        "probabilities": fractions([0.25, 0.75]),
        "scores": fractions([[3], [-1]]),
        "rewards": fractions([0, 1]),
    }
    Outcomes(**exact)
    with pytest.raises(TypeError, match="scores is a sparse table; Fractions need a dense one"):
        Outcomes(**(exact | {"scores": sparse.csr_array([[3.0], [-1.0]])}))
    thirds = np.array([Fraction(1, 3), Fraction(1, 3)], dtype=object)
    with pytest.raises(ValueError, match="probabilities sum to 2/3; expected 1 exactly"):
        Outcomes(**(exact | {"probabilities": thirds}))
    # Rational scores next to float probabilities: these are the Fractions that they are.
    with pytest.raises(ValueError, match="expected 1 exactly, as Fractions"):
        Outcomes(**(exact | {"probabilities": [0.1, 0.9]}))
    for name in ("grpo", "dapo", "gspo", "sapo", "cispo", "token-average", "reinforce++"):
        with pytest.raises(TypeError, match=f"estimator '{name.replace('+', '[+]')}' takes square"):
            estimator_moments(Outcomes(**exact), name, group_size=2)


def test_choices():
    model = make_model("tree", "tabular", 0)
    o = model.at(np.zeros(model.size))
    arguments = {name: getattr(o.choices, name) for name in o.choices.__dataclass_fields__}
    for change, message in (
        ({"policy": np.ones((2, 2))}, r"policy has shape \(2, 2\); expected \(6, 2\)"),
        ({"actions": np.zeros((8, 1), int)}, r"actions has shape \(8, 1\)"),
        ({"ratios": np.ones(8)}, r"ratios has shape \(8,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            Choices(**(arguments | change))
    short = Choices(**(arguments | {n: arguments[n][:2] for n in ("rows", "actions", "ratios")}))
    with pytest.raises(ValueError, match=r"choices.rows has shape \(2, 3\); expected \(8, any\)"):
        replace(o, choices=short)


PLAIN = {
    "weights": [1.0],
    "starts": [0, 2],
    "rewards": [0.0, 1.0],
    "rows": [[0], [0]],
    "actions": [[0], [1]],
    "parametrisation": Tabular(1, 2),
}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"weights": []}, ValueError, "weights is empty; expected at least one prompt"),
        ({"weights": [0.5]}, ValueError, r"weights sums to 0\.5"),
        ({"starts": [0, 1.7]}, ValueError, "starts has entries of type float64; expected integers"),
        ({"starts": [0, 1]}, ValueError, r"starts is \[0, 1\]; expected increasing integers"),
        ({"rewards": [0.0, np.inf]}, ValueError, r"rewards\[1\] is inf"),
        ({"rewards": [0.0]}, ValueError, r"starts is \[0, 2\]"),
        ({"rows": [[0], [1]]}, ValueError, "rows has entries outside -1 to 0"),
        ({"rows": [[0.0], [0.0]]}, ValueError, "rows has entries of type float64"),
        (
            {"rows": np.zeros((2, 0), int), "actions": np.zeros((2, 0), int)},
            ValueError,
            "at least one choice",
        ),
        ({"actions": [[0], [2]]}, ValueError, "actions has entries outside -1 to 1"),
        (
            {"actions": [[0, 1], [1, 1]]},
            ValueError,
            r"actions has shape \(2, 2\); expected \(2, 1\)",
        ),
        ({"actions": [[0], [-1]]}, ValueError, "must be -1 together"),
        ({"actions": [[0], [0]]}, ValueError, "have total probability"),
        ({"chances": [1.0, -1.0]}, ValueError, r"chances\[1\] is -1\.0"),
        ({"chances": [1.0]}, ValueError, r"chances has shape \(1,\)"),
        ({"chances": [0.5, 0.5]}, ValueError, "responses to prompt 0 have total probability 0.5"),
        (
            {"parametrisation": "tabular"},
            TypeError,
            "parametrisation must be a Parametrisation; got str",
        ),
    ],
)
def test_sampling_models(change, error, message):
    SamplingModel(**PLAIN)
    with pytest.raises(error, match=message):
        SamplingModel(**(PLAIN | change))


def test_paths_may_not_resume():
    two = {"rows": [[0, -1], [0, 0]], "actions": [[0, -1], [1, 1]]}
    gap = {"rows": [[0, -1], [-1, 0]], "actions": [[0, -1], [-1, 1]]}
    for change, message in ((two, "total probability"), (gap, "only past the end of a path")):
        with pytest.raises(ValueError, match=message):
            SamplingModel(**(PLAIN | change))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Tabular(0, 2), ValueError, "rows is 0; expected an integer of at least 1"),
        (lambda: Tabular(2, 1.5), ValueError, "actions is 1.5"),
        (lambda: Linear(np.zeros((2, 3))), ValueError, r"weights of logits has shape \(2, 3\)"),
        (lambda: Linear(np.zeros((2, 0, 3))), ValueError, "expected no empty axis"),
        (
            lambda: Linear(np.full((1, 1, 1), np.nan)),
            ValueError,
            r"weights of logits\[0, 0, 0\] is nan",
        ),
        (lambda: Network(np.zeros((0, 2)), 2), ValueError, "inputs has shape .* no empty axis"),
        (lambda: Network(np.zeros((2, 2)), 2, hidden=0), ValueError, "hidden is 0"),
        (lambda: Network([[np.inf]], 2), ValueError, r"inputs\[0, 0\] is inf"),
        (lambda: softmax_bandit([]), ValueError, "expected at least one prompt and arm"),
        (lambda: softmax_bandit([1.0, np.nan]), ValueError, "rewards.* is nan"),
        (
            lambda: softmax_bandit([1.0], parametrisation="deep"),
            ValueError,
            "parametrisation is 'deep'",
        ),
        (
            lambda: softmax_bandit([1.0], parametrisation=None),
            ValueError,
            "parametrisation has shape",
        ),
        (
            lambda: softmax_bandit([1.0, 2.0], parametrisation=Tabular(1, 3)),
            ValueError,
            "parametrisation has 1 rows of 3 actions; the model has 1 rows of 2",
        ),
        (lambda: contextual_bandit([[1.0], [2.0]], weights=[1.0]), ValueError, "starts has shape"),
        (lambda: contextual_bandit(np.zeros((0, 3))), ValueError, "expected at least one prompt"),
        (lambda: token_tree(0, 2, [[1.0]]), ValueError, "vocabulary is 0"),
        (lambda: token_tree(2, 0, [[1.0]]), ValueError, "depth is 0"),
        (
            lambda: token_tree(2, 1, [[1.0]]),
            ValueError,
            r"rewards has shape \(1, 1\); expected \(any, 2\)",
        ),
        (lambda: token_tree(2, 1, lambda x, w: np.nan), ValueError, r"rewards\[0\] is nan"),
        (lambda: token_tree(2, 1, [[0.0, 1.0]], end_token=2), ValueError, "end_token is 2"),
        (lambda: token_tree(10, 8, [[1.0]]), ValueError, "at most 4194304 are enumerated"),
        (
            lambda: episodes(np.ones((1, 2, 1)), np.zeros((1, 1)), [1.0], horizon=1),
            ValueError,
            "rewards has shape",
        ),
        (
            lambda: episodes(np.ones((1, 1, 2)), np.zeros((1, 1)), [1.0], horizon=1),
            ValueError,
            "transitions has shape",
        ),
        (
            lambda: episodes(np.full((1, 1, 1), 0.5), np.zeros((1, 1)), [1.0], horizon=1),
            ValueError,
            r"transitions\[0, 0\] sums to 0.5",
        ),
        (
            lambda: episodes(np.ones((1, 1, 1)), np.zeros((1, 1)), [0.5], horizon=1),
            ValueError,
            "initial sums to 0.5",
        ),
        (
            lambda: episodes(np.ones((1, 1, 1)), np.zeros((1, 1)), [1.0], horizon=0),
            ValueError,
            "horizon is 0",
        ),
        (
            lambda: episodes(np.ones((1, 2, 1)), np.zeros((1, 2)), [1.0], horizon=30),
            ValueError,
            "at most 4194304",
        ),
        (
            lambda: episodes(np.ones((1, 1, 1)), np.zeros((1, 1)), [1.0], horizon=1, discount=1.5),
            ValueError,
            "discount is 1.5",
        ),
    ],
)
def test_makers_of_models(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_points_of_models():
    model = softmax_bandit([0.0, 1.0])
    for method in (model.at, model.value, model.policy):
        for point, message in (
            ([0.0], r"parameters has shape \(1,\); expected \(2\)"),
            ([0.0, np.nan], r"parameters\[1\] is nan"),
        ):
            with pytest.raises(ValueError, match=message):
                method(np.array(point))
    with pytest.raises(ValueError, match=r"behaviour\[0\] is inf"):
        model.at(np.zeros(2), behaviour=np.array([np.inf, 0.0]))
    # The behaviour draws the second arm once in e^800 times, the policy every time.
    with pytest.raises(ValueError, match=r"ratios of the policy to the behaviour are of up to inf"):
        model.at(np.array([0.0, 800.0]), behaviour=np.array([800.0, 0.0]))


def test_moments():
    o = Outcomes(**GOOD)
    model = softmax_bandit([0.0, 1.0])
    for arguments, error, message in (
        ((o, "ppo"), ValueError, "estimator is 'ppo'"),
        ((o, 3), TypeError, "estimator must be an Estimator or a name; got int"),
        (("o", "rloo"), TypeError, "model must be Outcomes or a SamplingModel; got str"),
        ((model, "rloo"), ValueError, "parameters is missing"),
    ):
        with pytest.raises(error, match=message):
            estimator_moments(*arguments)
    for settings, message in (
        ({"group_size": 1}, "group_size is 1; estimator 'rloo' needs at least 2"),
        ({"group_size": 0}, "group_size is 0; expected an integer of at least 1"),
        ({"group_size": 2.5}, "group_size is 2.5"),
        ({"group_size": True}, "group_size is True"),
        ({"group_size": 2, "prompts": 0}, "prompts is 0; expected an integer of at least 1"),
        ({"group_size": 2, "method": "guess"}, "method is 'guess'"),
        ({"group_size": 2, "parameters": np.zeros(1)}, "parameters and behaviour go with a Sampl"),
    ):
        with pytest.raises(ValueError, match=message):
            estimator_moments(o, "rloo", **settings)
    with pytest.raises(ValueError, match="estimator 'grpo' has no closed form here"):
        estimator_moments(replace(o, lengths=None), "grpo", group_size=2, method="closed")
    for name in ("grpo", "oblr", "reinforce++"):
        with pytest.raises(ValueError, match=f"'{name.replace('+', '[+]')}' needs at least 2"):
            estimator_moments(o, name)


def test_too_many_groups_are_refused_before_they_are_made():
    o = Outcomes(probabilities=np.full(64, 1 / 64), scores=np.eye(64), rewards=np.arange(64.0))
    assert np.isfinite(estimator_moments(o, "grpo", group_size=3, covariance=False).variance)
    with pytest.raises(ValueError, match="group_size 6 makes 119877472 groups of 64 types"):
        estimator_moments(o, "grpo", group_size=6)
    # A closed form has no such limit.
    assert estimator_moments(o, "rloo", group_size=10**6).method == "closed"


def test_large_covariances_are_refused():
    scores = sparse.csr_array(([1.0, -1.0], ([0, 1], [0, 1])), shape=(2, 20000))
    o = Outcomes(probabilities=[0.5, 0.5], scores=scores, rewards=[0.0, 1.0])
    with pytest.raises(ValueError, match="give covariance=False"):
        estimator_moments(o, "rloo", group_size=2)
    assert estimator_moments(o, "rloo", group_size=2, covariance=False).covariance is None


def test_moments_that_overflow_are_refused():
    o = Outcomes(
        probabilities=[0.5, 0.5],
        behaviour=[1e-100, 1.0],
        scores=[[0.5], [-0.5]],
        rewards=[1e140, -1e140],
    )
    with pytest.raises(ValueError, match="the moments overflow; rewards, scores or ratios"):
        estimator_moments(o, "rloo", group_size=2)
    for name in ("rloo", "oblr", "grpo", "optimal", "coordinate"):
        moments = estimator_moments(replace(o, behaviour=None), name, group_size=2)
        assert np.isfinite(moments.variance)


def test_equal_rewards_make_estimators_with_a_baseline_certain():
    """Zero-variance rewards: GRPO's 0 / 0 is an advantage of 0."""
    o = Outcomes(probabilities=[0.3, 0.7], scores=[[0.7], [-0.3]], rewards=[0.1, 0.1])
    for name in ("grpo", "dapo", "gspo", "sapo", "cispo", "token-average", "reinforce++"):
        moments = estimator_moments(o, name, group_size=3)
        assert not moments.mean.any()
        assert moments.variance == 0
        assert moments.signal_to_noise == np.inf
    for name in ("rloo", "mean", "oblr", "value", "optimal"):
        assert estimator_moments(o, name, group_size=3).variance <= 1e-32


def test_one_response_is_a_model_too():
    o = Outcomes(probabilities=[1.0], scores=[[0.0]], rewards=[5.0])
    for name in ("reinforce", "rloo", "grpo", "oblr", "optimal", "coordinate", "opo"):
        moments = estimator_moments(o, name, group_size=2)
        assert moments.variance == 0
        assert not moments.bias.any()
    assert optimal_baseline(probabilities=[1.0], scores=[[0.0]], rewards=[5.0]) == 5.0


def test_whitening():
    o = Outcomes(**GOOD)
    for settings, message in (
        ({"group_size": 0, "prompts": 1}, "group_size is 0"),
        ({"group_size": 2, "prompts": 1.5}, "prompts is 1.5"),
    ):
        with pytest.raises(ValueError, match=message):
            whitened_moments(o, **settings)
    exact = Outcomes(probabilities=fractions([1]), scores=fractions([[0]]), rewards=[1])
    with pytest.raises(TypeError, match="outcomes are Fractions"):
        whitened_moments(exact, group_size=2, prompts=2)
    # Groups of one have no advantage, and neither have equal rewards.
    still = replace(o, lengths=None)
    assert whitened_moments(still, group_size=1, prompts=2).variance == 0
