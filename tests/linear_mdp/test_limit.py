"""With infinitely many data the learners' estimates are the exact plans.

Memories hold expectations instead of sums, nothing is added and nothing subtracted: what is left
of the algorithms is their recursion, which must be that of `plan`, for every set.
"""

import numpy as np
import pytest

from rltheory.linear_mdp import memory
from rltheory.linear_mdp.environments.off_dynamics import off_dynamics
from rltheory.linear_mdp.learner import Learner
from rltheory.linear_mdp.mdp import LinearMDP, RobustLinearMDP
from rltheory.linear_mdp.offline import Dataset, drpvi, pevi, r2pvi
from rltheory.linear_mdp.planning import plan
from rltheory.linear_mdp.rules import Settings, split, world_of
from rltheory.tabular.uncertainty import (
    ChiSquare,
    KullbackLeibler,
    PenalisedChiSquare,
    PenalisedKullbackLeibler,
    PenalisedTotalVariation,
    TotalVariation,
)

ACCURACY = 1e-8
SETS = {
    "none": None,
    "total_variation": TotalVariation(0.2),
    "kullback_leibler": KullbackLeibler(0.3),
    "kullback_leibler_tiny": KullbackLeibler(1e-9),
    "kullback_leibler_all": KullbackLeibler(30.0),
    "chi_square": ChiSquare(0.4),
    "chi_square_all": ChiSquare(1e4),
    "penalised_total_variation": PenalisedTotalVariation(0.6),
    "penalised_kullback_leibler": PenalisedKullbackLeibler(0.7),
    "penalised_chi_square": PenalisedChiSquare(0.5),
}
FORMS = ["total_variation", "kullback_leibler", "chi_square"]


def _model(seed, *, fail=False, sparse=False):
    """A random model with rewards in [0, 1] whose features span all factors."""
    rng = np.random.default_rng(seed)
    states, actions, d, horizon = 7, 3, 4, 4
    features = rng.dirichlet(0.5 * np.ones(d), size=(states, actions))
    features[:d, 0] = np.eye(d)
    measures = rng.dirichlet(0.4 * np.ones(states), size=(horizon, d))
    if sparse:
        measures[measures < 0.15] = 0.0
        measures /= measures.sum(axis=-1, keepdims=True)
    weights = rng.random((horizon, d))
    if not fail:
        return LinearMDP(features, measures, weights)
    features[-1], features[: d - 1, 0] = np.eye(d)[-1], np.eye(d)[: d - 1]
    measures[:, -1], weights[:, -1] = np.eye(states)[-1], 0.0
    return LinearMDP(features, measures, weights, fail_state=states - 1)


def _learner(model, settings, *, visits=None):
    nominal, ball = split(model)
    known = memory.population(nominal, visits)
    return Learner(world_of(nominal), settings.rule(nominal, ball), known)


def _settings(**changes):
    plain = {"name": "limit", "bonus": 0.0, "bonus_form": "none", "known_rewards": True}
    return Settings(**{**plain, **changes})


def _against(nominal, uncertainty):
    return nominal if uncertainty is None else RobustLinearMDP(nominal, uncertainty)


def _assert_equal(learnt, solution):
    assert learnt.action_values == pytest.approx(solution.action_values, abs=ACCURACY, rel=0)
    assert learnt.linear == pytest.approx(solution.factor_values, abs=ACCURACY, rel=0)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("fail", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
def test_estimates_are_the_robust_plan(name, fail, sparse):
    for seed in range(4):
        model = _against(_model(seed, fail=fail, sparse=sparse), SETS[name])
        learner = _learner(model, _settings())
        learner.estimate()
        _assert_equal(learner.learnt(), plan(model))


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("fail", [False, True])
@pytest.mark.parametrize("temperature", [0.02, 0.5])
def test_dr_rpo_is_the_regularised_robust_plan(name, fail, temperature):
    model = _against(_model(3, fail=fail, sparse=True), SETS[name])
    shape = split(model)[0].rewards.shape
    reference = np.random.default_rng(5).dirichlet(np.ones(shape[-1]), size=shape[:-1])
    learner = _learner(model, _settings(temperature=temperature, reference=reference))
    learner.estimate()
    learnt, solution = learner.learnt(), plan(model, temperature=temperature, reference=reference)
    _assert_equal(learnt, solution)
    # A softmax moves by at most half of what its exponents, Q / temperature, are off.
    assert learnt.policy == pytest.approx(solution.policy, abs=ACCURACY / temperature, rel=0)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_mirror_steps_of_dr_rpo_end_at_the_plan(name, share):
    model = _against(_model(4, fail=True), SETS[name])
    temperature = 0.25
    settings = _settings(temperature=temperature, update="mirror", step=share / temperature)
    learner = _learner(model, settings)
    # Once the later steps are at rest each update leaves 1 - share of the exponents' errors; what
    # a policy of error e costs is of the order of e^2, and 120 steps leave 0.7^120 < 1e-18.
    for _ in range(120):
        learner.estimate()
    solution = plan(model, temperature=temperature)
    _assert_equal(learner.learnt(), solution)
    assert learner.learnt().policy == pytest.approx(
        solution.policy, abs=ACCURACY / temperature, rel=0
    )


def test_one_mirror_step_is_not_yet_the_plan():
    model = _against(_model(4, fail=True), TotalVariation(0.2))
    learner = _learner(model, _settings(temperature=0.25, update="mirror", step=0.4))
    learner.estimate()
    learnt = learner.learnt()
    off = np.abs(learnt.action_values - plan(model, temperature=0.25).action_values).max()
    assert off > 1e-3


def test_regressed_rewards_are_the_rewards():
    model = _model(6)
    learner = _learner(model, _settings(known_rewards=False))
    learner.estimate()
    learnt, solution = learner.learnt(), plan(model)
    assert learnt.action_values == pytest.approx(solution.action_values, abs=ACCURACY, rel=0)
    both = solution.factor_values + model.reward_weights
    assert learnt.linear == pytest.approx(both, abs=ACCURACY, rel=0)


@pytest.mark.parametrize("form", FORMS)
def test_how_pairs_are_visited_does_not_matter_in_the_limit(form):
    model = _against(_model(7), SETS[form])
    visits = np.random.default_rng(8).random(model.nominal.rewards.shape) ** 4
    learner = _learner(model, _settings(), visits=visits)
    learner.estimate()
    _assert_equal(learner.learnt(), plan(model))


@pytest.mark.parametrize("form", [*FORMS, *(f"penalised_{form}" for form in FORMS)])
def test_offline_algorithms_end_there_too(form):
    nominal, ball = _model(9, fail=True), SETS[form]
    known = memory.population(nominal)
    model = RobustLinearMDP(nominal, ball)
    _assert_equal(drpvi(model, known, bonus=0.0), plan(model))
    if form.startswith("penalised"):
        _assert_equal(r2pvi(model, known, bonus=0.0), plan(model))
    plain = pevi(nominal, known, bonus=0.0, known_rewards=True, bonus_form="none")
    _assert_equal(plain, plan(nominal))


@pytest.mark.parametrize("name", SETS)
def test_off_dynamics_has_the_same_limit(name):
    model = _against(off_dynamics(), SETS[name])
    learner = _learner(model, _settings())
    learner.estimate()
    _assert_equal(learner.learnt(), plan(model))


def _population_of(model, count):
    """Every pair of every step `count` times, its next states in exact proportion."""
    gram = count * np.einsum("sad,sae->de", model.features, model.features)
    cross = np.einsum("de,hes->hsd", gram, model.measures)
    gram = np.tile(gram, (model.horizon, 1, 1))
    rewards = np.einsum("hde,he->hd", gram, model.reward_weights)
    return gram, cross, rewards


@pytest.mark.parametrize("form", [*FORMS, *(f"penalised_{form}" for form in FORMS)])
def test_ridge_costs_less_the_more_data_there_are(form):
    nominal = _model(10, fail=True)
    model = RobustLinearMDP(nominal, SETS[form])
    solution = plan(model)
    errors = []
    for count in (1e2, 1e4, 1e6):
        gram, cross, rewards = _population_of(nominal, count)
        gram = gram + np.eye(nominal.dimension)
        visits = np.full(nominal.horizon, int(count))
        known = memory.of_sums(nominal, gram, cross, rewards, visits, norms=False)
        learner = Learner(world_of(nominal), _settings().rule(nominal, model.uncertainty), known)
        learner.estimate()
        errors.append(np.abs(learner.learnt().action_values - solution.action_values).max())
    # Shrinkage is proportional to ridge / count; its root is what chi-square's deviation feels.
    assert errors[0] < 1.0
    assert errors[1] < 0.2 * errors[0]
    assert errors[2] < 0.2 * errors[1]


# Bad input.


def test_designs_without_full_rank_are_refused():
    model = _model(0)
    visits = np.zeros(model.rewards.shape)
    visits[:, 0, 0] = 1.0
    with pytest.raises(ValueError, match=r"design of step 0 is singular.*or ridge > 0"):
        memory.population(model, visits)
    with pytest.raises(ValueError, match="ridge is 0"):
        memory.empty(model, 0.0, norms=False)
    states = np.zeros((5, model.horizon + 1), dtype=int)
    actions = np.zeros((5, model.horizon), dtype=int)
    data = Dataset(states, actions, np.zeros((5, model.horizon)))
    with pytest.raises(ValueError, match="design of step 0 is singular"):
        pevi(model, data, ridge=0.0)
    assert np.all(np.isfinite(pevi(model, data, ridge=1e-3).action_values))


@pytest.mark.parametrize(
    ("visits", "said"),
    [
        (np.nan, "visits"),
        (-1.0, "visits holds -1"),
        (np.inf, "visits"),
        ("shape", "visits has shape"),
    ],
)
def test_visits_must_be_weights(visits, said):
    model = _model(0)
    given = np.ones(model.rewards.shape)
    if visits == "shape":
        given = given[1:]
    else:
        given[1, 2, 0] = visits
    with pytest.raises(ValueError, match=said):
        memory.population(model, given)


def test_sums_must_be_numbers_of_the_right_shape():
    model = _model(0)
    gram, cross, rewards = _population_of(model, 10.0)
    visits = np.full(model.horizon, 10)
    for name, wrong in (
        ("gram", (np.where(gram > 0, np.nan, gram), cross, rewards)),
        ("cross", (gram, cross[:, 1:], rewards)),
        ("rewards", (gram, cross, np.full(rewards.shape, np.inf))),
    ):
        with pytest.raises(ValueError, match=name):
            memory.of_sums(model, *wrong, visits, norms=False)


def test_limits_are_those_of_linear_models():
    with pytest.raises(TypeError, match="expected a LinearMDP"):
        memory.population(RobustLinearMDP(_model(0), ChiSquare(0.1)))
