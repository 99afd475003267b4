"""Bellman operators and inner problems on JAX agree with those on NumPy, and take vmap and grad."""

import sys

import numpy as np
import pytest

from rltheory.analysis.backends import jax_module
from rltheory.tabular import (
    L1,
    L2,
    ChiSquare,
    Contamination,
    DiscountedMDP,
    Interval,
    KullbackLeibler,
    LInf,
    PenalisedChiSquare,
    PenalisedKullbackLeibler,
    PenalisedTotalVariation,
    TotalVariation,
    Wasserstein,
    jax_inner,
    jax_planning,
    library,
    plan_many,
    policy_iteration,
    robust_value_iteration,
    value_iteration,
)
from rltheory.tabular.jax_operators import bellman, inner_problem, robust_bellman

jax = pytest.importorskip("jax")

COST = np.abs(np.subtract.outer(np.arange(5.0), np.arange(5.0)))
MDP = library.load("random", states=5, actions=3, seed=3, discount=0.9)
SPARSE = library.load("garnet", states=5, actions=3, successors=2, seed=4, discount=0.9)
SETS = {
    "tv": TotalVariation(0.2),
    "tv on the support": TotalVariation(0.2, support="nominal"),
    "l1": L1(0.3),
    "l2": L2(0.2),
    "linf": LInf(0.1),
    "chi square": ChiSquare(0.3),
    "kl": KullbackLeibler(0.2),
    "contamination": Contamination(0.15),
    "wasserstein": Wasserstein(0.4, COST),
    "penalised tv": PenalisedTotalVariation(0.5),
    "penalised kl": PenalisedKullbackLeibler(0.5),
    "penalised chi square": PenalisedChiSquare(0.5),
}


def dense(mdp):
    kernel = mdp.transitions
    array = kernel.toarray() if hasattr(kernel, "toarray") else np.asarray(kernel)
    return array.reshape(mdp.states, mdp.actions, mdp.states)


@pytest.mark.parametrize("mdp", [MDP, SPARSE], ids=["full", "few successors"])
@pytest.mark.parametrize("name", SETS)
def test_the_fixed_point_is_that_of_the_certified_planner(name, mdp):
    kernel, rewards = dense(mdp), np.asarray(mdp.rewards)
    problem = inner_problem(SETS[name], kernel)
    step = jax.jit(lambda v: robust_bellman(v, kernel, rewards, mdp.discount, problem))
    values = np.zeros(mdp.states)
    for _ in range(260):
        values = step(values)
    certified = robust_value_iteration(
        DiscountedMDP(kernel, rewards, mdp.discount), SETS[name], tolerance=1e-11
    )
    np.testing.assert_allclose(values, certified.values, rtol=0, atol=1e-10)


def test_intervals():
    kernel, rewards = dense(MDP), np.asarray(MDP.rewards)
    around = Interval(np.maximum(kernel - 0.1, 0.0), np.minimum(kernel + 0.1, 1.0))
    problem = inner_problem(around, kernel)
    step = jax.jit(lambda v: robust_bellman(v, kernel, rewards, 0.9, problem))
    values = np.zeros(5)
    for _ in range(260):
        values = step(values)
    certified = robust_value_iteration(MDP, around, tolerance=1e-11)
    np.testing.assert_allclose(values, certified.values, rtol=0, atol=1e-10)


def test_many_instances_at_once_and_a_derivative():
    some = [library.load("random", states=4, actions=2, seed=k, discount=0.8) for k in range(32)]
    kernels = np.stack([mdp.transitions for mdp in some])
    rewards = np.stack([mdp.rewards for mdp in some])
    step = jax.jit(jax.vmap(bellman, in_axes=(0, 0, 0, None)))
    values = np.zeros((32, 4))
    for _ in range(150):
        values = step(values, kernels, rewards, 0.8)
    for mdp, found in zip(some, values, strict=True):
        np.testing.assert_allclose(found, value_iteration(mdp, tolerance=1e-12).values, atol=1e-10)
    # The derivative in the values is a row of a worst kernel: a distribution times the discount.
    problem = inner_problem(TotalVariation(0.2), kernels[0])
    slope = jax.jacobian(robust_bellman)(values[0], kernels[0], rewards[0], 0.8, problem)
    assert (np.asarray(slope) >= -1e-15).all()
    np.testing.assert_allclose(np.asarray(slope).sum(axis=1), 0.8, rtol=1e-12)


def test_what_has_no_form_is_named():
    with pytest.raises(TypeError, match=r"uncertainty is 3; expected a set such as L1\(0.1\)"):
        inner_problem(3, dense(MDP))
    with pytest.raises(ValueError, match=r"cost has shape \(5, 5\); expected \(4, 4\)"):
        inner_problem(Wasserstein(0.1, COST), np.full((4, 1, 4), 0.25))


@pytest.mark.parametrize("uncertainty", [None, TotalVariation(0.2), KullbackLeibler(0.1)])
def test_a_batch_is_certified_one_by_one(uncertainty):
    some = [
        library.load("random", states=6, actions=3, seed=k, discount=0.5 + 0.04 * k)
        for k in range(12)
    ]
    for found, mdp in zip(plan_many(some, uncertainty, tolerance=1e-9), some, strict=True):
        if uncertainty is None:
            alone = value_iteration(mdp, tolerance=1e-12)
        else:
            alone = robust_value_iteration(mdp, uncertainty, tolerance=1e-12)
        assert found.converged
        assert found.gap <= 1e-9
        assert found.iterations <= 3, "JAX had done the work"
        assert (found.lower <= alone.upper).all()
        assert (alone.lower <= found.upper).all()
        np.testing.assert_allclose(found.values, alone.values, rtol=0, atol=1e-9)


@pytest.mark.parametrize("mdp", [MDP, library.load("frozen_lake"), library.load("gridworld")])
def test_one_mdp_on_either_backend(mdp):
    ours, theirs = (value_iteration(mdp, tolerance=1e-11, backend=b) for b in ("jax", "numpy"))
    np.testing.assert_allclose(ours.values, theirs.values, rtol=0, atol=1e-10)
    assert ours.converged
    assert ours.iterations > 3
    exact = policy_iteration(mdp, arithmetic="rational") if mdp is MDP else None
    if exact is not None:
        truth = [float(value) for value in exact.values]
        assert (ours.lower <= truth).all()
        assert (truth <= ours.upper).all()
    adversary = ChiSquare(0.1)
    ours, theirs = (
        robust_value_iteration(mdp, adversary, tolerance=1e-11, backend=b) for b in ("jax", "numpy")
    )
    np.testing.assert_allclose(ours.values, theirs.values, rtol=0, atol=1e-10)


def test_what_jax_does_not_do_is_named(monkeypatch):
    monkeypatch.setattr(jax_planning, "MOST_ENTRIES", 10)
    with pytest.raises(ValueError, match=r"mdp is sparse, and \(17, 4, 17\) dense transitions"):
        value_iteration(library.load("frozen_lake"), backend="jax")
    with pytest.raises(ValueError, match="method is 'anderson'; expected 'jacobi'"):
        value_iteration(MDP, method="anderson", backend="jax")
    with pytest.raises(ValueError, match="rectangularity is 's'; expected 'sa'"):
        robust_value_iteration(MDP, L1(0.1), rectangularity="s", backend="jax")
    with pytest.raises(ValueError, match="backend is 'torch'"):
        value_iteration(MDP, backend="torch")
    with pytest.raises(ValueError, match="mdps is empty"):
        plan_many([])
    other = library.load("random", states=4, actions=3, seed=3, discount=0.9)
    with pytest.raises(ValueError, match=r"mdps\[1\] has \(4, 3\) states and actions"):
        plan_many([MDP, other])
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(ImportError, match="needs JAX"):
        robust_value_iteration(MDP, L1(0.1), backend="jax")


BALLS = {
    TotalVariation: jax_inner.total_variation,
    L1: jax_inner.l1,
    L2: jax_inner.l2,
    LInf: jax_inner.l_infinity,
    ChiSquare: jax_inner.chi_square,
    KullbackLeibler: jax_inner.kullback_leibler,
    Contamination: jax_inner.contamination,
}


@pytest.mark.parametrize("radius", [0.0, 1e-12, 1e-9, 1e-3, 0.3])
@pytest.mark.parametrize("ball", BALLS, ids=lambda ball: ball.__name__)
def test_small_radii_around_unequal_rows(ball, radius):
    """Compiled, sums that cancel need not cancel to nothing, and roots make much of the rest."""
    jax_module()
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.full(7, 0.05), size=50) + 1e-9
    rows /= rows.sum(axis=1, keepdims=True)
    values = 10.0 * rng.random(7)
    worst = jax.jit(jax.vmap(BALLS[ball], in_axes=(None, 0, None)))
    expected = ball(radius).worst_case(values, rows)[0]
    np.testing.assert_allclose(worst(values, rows, radius), expected, rtol=0, atol=1e-10)
