"""Policy optimisation: gradients are derivatives, identities hold, rates and bounds respected."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import discounted_mdps, policies

from rltheory.analysis.simplex import EUCLIDEAN, KL, project_simplex, softmax
from rltheory.tabular import DiscountedMDP, policy_iteration, value_iteration
from rltheory.tabular.policy_optimisation import (
    direct_gradient,
    mirror_descent,
    natural_policy_gradient,
    policy_gradient,
    softmax_gradient,
)


def unit_mdp(seed, states=5, actions=3, discount=0.9):
    """A dense MDP with rewards in [0, 1] and a random initial distribution."""
    rng = np.random.default_rng(seed)
    return DiscountedMDP(
        rng.dirichlet(np.ones(states), size=(states, actions)),
        rng.random((states, actions)),
        discount,
        rng.dirichlet(np.ones(states)),
    )


def value_of(mdp, policy):
    """Initial value by the Neumann closed form, any number type; no code of the package."""
    reward = (policy * np.where(mdp.available, mdp.rewards, 0.0)).sum(1)
    kernel = (policy[:, :, None] * mdp.to_dense().transitions).sum(1)
    return mdp.initial @ np.linalg.solve(np.eye(mdp.states) - mdp.discount * kernel, reward)


def complex_step(function, point, mask):
    """Derivatives without subtraction, accurate to rounding (Squire and Trapp 1998)."""
    gradient = np.zeros(point.shape)
    for index in np.argwhere(mask):
        moved = point.astype(complex)
        moved[tuple(index)] += 1e-30j
        gradient[tuple(index)] = function(moved).imag / 1e-30
    return gradient


def condition(mdp):
    """Scale of a gradient's rounding error: rewards, two resolvents, a linear solve each."""
    largest = np.abs(mdp.rewards[mdp.available]).max()
    return 1e-14 * mdp.states**2 * largest / (1 - mdp.discount) ** 3


@given(mdp=discounted_mdps(), data=st.data(), sparse=st.booleans())
@settings(max_examples=25, deadline=None)
def test_direct_gradient_is_the_derivative(mdp, data, sparse):
    policy = data.draw(policies(mdp))
    expected = complex_step(lambda p: value_of(mdp, p), policy, mdp.available)
    gradient = direct_gradient(mdp.to_sparse() if sparse else mdp, policy)
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=condition(mdp))


@given(mdp=discounted_mdps(), seed=st.integers(0, 2**32 - 1), sparse=st.booleans())
@settings(max_examples=25, deadline=None)
def test_softmax_gradient_is_the_derivative(mdp, seed, sparse):
    logits = np.random.default_rng(seed).normal(size=mdp.rewards.shape)

    def value(theta):
        weights = np.exp(theta) * mdp.available
        return value_of(mdp, weights / weights.sum(1, keepdims=True))

    expected = complex_step(value, logits, mdp.available)
    gradient = softmax_gradient(mdp.to_sparse() if sparse else mdp, logits)
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=condition(mdp))
    assert not gradient[~mdp.available].any()


@given(mdp=discounted_mdps(max_states=4), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_npg_is_the_gradient_preconditioned_by_the_fisher_information(mdp, seed):
    """One step equals theta + step * F^+ grad, with F built from the definition."""
    rng = np.random.default_rng(seed)
    mdp = mdp.replace(initial=np.full(mdp.states, 1 / mdp.states))
    logits = np.where(mdp.available, rng.normal(size=mdp.rewards.shape), -np.inf)
    policy = softmax(logits)
    step = 0.1 / np.abs(mdp.rewards[mdp.available]).max().clip(1)
    kernel = (policy[:, :, None] * mdp.transitions).sum(1)
    system = np.eye(mdp.states) - mdp.discount * kernel.T
    visits = np.linalg.solve(system, (1 - mdp.discount) * mdp.initial)
    gradient = softmax_gradient(mdp, np.where(mdp.available, logits, 0.0))
    moved = np.empty_like(logits)
    for s in range(mdp.states):
        fisher = visits[s] * (np.diag(policy[s]) - np.outer(policy[s], policy[s]))
        moved[s] = logits[s] + step * np.linalg.pinv(fisher, rcond=1e-12) @ gradient[s]
    ours = natural_policy_gradient(mdp, step=step, iterations=1, initial_policy=policy).policy
    np.testing.assert_allclose(ours, softmax(moved), atol=1e-7)


@given(
    mdp=discounted_mdps(),
    step=st.floats(0.01, 10.0),
    share=st.floats(0.0, 0.9),
    data=st.data(),
)
@settings(max_examples=20, deadline=None)
def test_npg_is_kl_mirror_descent_in_another_unit(mdp, step, share, data):
    start, anchor = data.draw(policies(mdp)), data.draw(policies(mdp))
    weight = share * (1 - mdp.discount) / step
    same = {"iterations": 4, "initial_policy": start, "regularisation": weight, "reference": anchor}
    npg = natural_policy_gradient(mdp, step=step, **same)
    md = mirror_descent(mdp, step=step / (1 - mdp.discount - step * weight), **same)
    scale = np.abs(mdp.rewards[mdp.available]).max() / (1 - mdp.discount) + 1
    # The logits reach gain * scale; their rounding is what separates the two.
    logits = 1e-13 * 4 * step * scale / (1 - mdp.discount)
    np.testing.assert_allclose(npg.policy, md.policy, atol=1e-9 + logits)


@pytest.mark.parametrize("step", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("seed", range(4))
def test_npg_respects_the_bound_of_agarwal_et_al(step, seed):
    """Theorem 5.3, from the uniform policy: for every T, with certified suboptimality."""
    mdp = unit_mdp(seed, discount=[0.5, 0.9, 0.95, 0.99][seed])
    path = natural_policy_gradient(mdp, step=step, iterations=60)
    count = np.arange(1, 61)
    bound = np.log(mdp.actions) / (step * count) + 1 / ((1 - mdp.discount) ** 2 * count)
    assert np.all(path.suboptimality.upper[1:] <= bound)


@pytest.mark.parametrize("divergence", ["kl", "euclidean"])
@given(mdp=discounted_mdps(), step=st.floats(1e-3, 1e3), weight=st.sampled_from([0.0, 0.5]))
@settings(max_examples=15, deadline=None)
def test_mirror_descent_never_loses_value(divergence, mdp, step, weight):
    path = mirror_descent(
        mdp, step=step, iterations=8, divergence=divergence, regularisation=weight
    )
    # Certified: no iterate's enclosure lies wholly below its predecessor's.
    assert np.all(path.suboptimality.lower[1:] <= path.suboptimality.upper[:-1])
    # And none lies beyond the optimum.
    assert np.all(path.suboptimality.upper >= 0)


@pytest.mark.parametrize("parametrisation", ["softmax", "direct"])
def test_policy_gradient_climbs_at_the_step_of_its_smoothness(parametrisation):
    mdp = unit_mdp(3, discount=0.6)
    left = 1 - mdp.discount
    step = left**3 / 8 if parametrisation == "softmax" else left**3 / (2 * 0.6 * mdp.actions)
    path = policy_gradient(mdp, parametrisation=parametrisation, step=step, iterations=100)
    assert np.all(path.suboptimality.lower[1:] <= path.suboptimality.upper[:-1])
    assert path.values[-1] > path.values[0] + 0.01


METHODS = {
    "direct": lambda m: policy_gradient(m, parametrisation="direct", step=20.0, iterations=60),
    "npg": lambda m: natural_policy_gradient(m, step=10.0, iterations=60),
    "kl": lambda m: mirror_descent(m, step=0.8 ** -np.arange(80.0), iterations=80),
    "euclidean": lambda m: mirror_descent(m, step=5.0, iterations=60, divergence="euclidean"),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(3))
def test_methods_reach_the_optimum_of_policy_iteration(method, seed):
    mdp = unit_mdp(seed)
    path = METHODS[method](mdp)
    optimum = mdp.initial @ policy_iteration(mdp).values
    assert path.gap < 1e-9
    np.testing.assert_allclose(path.values[-1], optimum, atol=1e-9)
    assert path.evaluation.gap < 1e-10
    assert np.all(path.evaluation.lower <= path.optimum.upper)


def test_softmax_policy_gradient_converges_slowly():
    """Mei et al. (2020): O(1/T) and no faster; the error times T levels off above zero."""
    mdp = unit_mdp(1, states=3, actions=2, discount=0.5)
    path = policy_gradient(mdp, step=5.0, iterations=2000)
    scaled = path.suboptimality.upper[[500, 1000, 2000]] * np.array([500, 1000, 2000])
    assert np.all(scaled > 0.9 * scaled[0])
    assert np.all(scaled < 1.1 * scaled[0])


@given(mdp=discounted_mdps(), data=st.data())
@settings(max_examples=12, deadline=None)
def test_a_huge_euclidean_step_is_policy_iteration(mdp, data):
    start = data.draw(policies(mdp))
    path = mirror_descent(
        mdp, step=1e12, iterations=1, divergence="euclidean", initial_policy=start
    )
    q = np.where(mdp.available, mdp.rewards, -np.inf) + mdp.discount * mdp.transitions @ (
        np.linalg.solve(
            np.eye(mdp.states) - mdp.discount * (start[:, :, None] * mdp.transitions).sum(1),
            (start * np.where(mdp.available, mdp.rewards, 0.0)).sum(1),
        )
    )
    clear = np.sort(q, axis=1)
    margin = clear[:, -1] - clear[:, -2] if mdp.actions > 1 else np.ones(mdp.states)
    decided = margin > 1e-7 * np.abs(mdp.rewards[mdp.available]).max() / (1 - mdp.discount) + 1e-8
    assert np.array_equal(path.policy[decided].argmax(1), q[decided].argmax(1))
    assert np.all(path.policy[decided].max(1) == 1.0)


@pytest.mark.parametrize("share", [0.2, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_regularised_npg_is_linear_as_cen_et_al_say(share, seed):
    """Theorem 1 of Cen et al. (2022), both parts, started from a random policy."""
    mdp = unit_mdp(seed)
    weight = [1.0, 0.1, 0.3, 0.03][seed]
    step = share * (1 - mdp.discount) / weight
    start = np.random.default_rng(seed).dirichlet(np.ones(3), size=5)

    def action_values(values):
        return mdp.rewards + mdp.discount * mdp.transitions @ values

    costs = weight * (start * np.log(start * mdp.actions)).sum(1)
    kernel = (start[:, :, None] * mdp.transitions).sum(1)
    reward = (start * mdp.rewards).sum(1) - costs
    first = action_values(np.linalg.solve(np.eye(mdp.states) - mdp.discount * kernel, reward))
    for count in (1, 2, 5, 10, 20, 40):
        path = natural_policy_gradient(
            mdp, step=step, iterations=count, initial_policy=start, regularisation=weight
        )
        best = action_values(path.optimum.values)
        distance = np.abs(np.log(path.optimum.policy) - np.log(start)).max()
        constant = (
            np.abs(best - first).max()
            + 2 * weight * (1 - step * weight / (1 - mdp.discount)) * distance
        )
        rate = (1 - step * weight) ** (count - 1)
        error = np.abs(best - action_values(path.evaluation.values)).max()
        logs = np.abs(np.log(path.optimum.policy) - np.log(path.policy)).max()
        rounding = path.optimum.gap + path.evaluation.gap
        assert error <= constant * mdp.discount * rate + rounding
        assert logs <= 2 * constant / weight * rate + 2 * rounding / weight


@pytest.mark.parametrize("divergence", ["kl", "euclidean"])
@given(mdp=discounted_mdps(max_states=4), weight=st.sampled_from([0.05, 1.0]), data=st.data())
@settings(max_examples=10, deadline=None)
def test_regularised_optimum_agrees_with_plain_iteration(divergence, mdp, weight, data):
    """Bounds contain the fixed point of the regularised operator, iterated in plain NumPy."""
    scale = np.abs(mdp.rewards[mdp.available]).max().clip(1)
    mdp = mdp.replace(rewards=mdp.rewards / scale, discount=min(mdp.discount, 0.9))
    anchor = data.draw(policies(mdp))
    path = mirror_descent(
        mdp,
        step=1.0,
        iterations=1,
        divergence=divergence,
        regularisation=weight,
        reference=anchor,
    )
    values = np.zeros(mdp.states)
    for _ in range(400):
        q = mdp.rewards + mdp.discount * mdp.transitions @ values
        if divergence == "kl":
            top = q.max(1)
            values = top + weight * np.log((anchor * np.exp((q - top[:, None]) / weight)).sum(1))
        else:
            values = np.array([_quadratic(*row, weight) for row in zip(q, anchor, strict=True)])
    assert path.optimum.gap < 1e-9
    # Values up to 10, whose plain iteration rounds at each of the steps that still matter.
    assert np.all(path.optimum.lower <= values + 1e-12)
    assert np.all(path.optimum.upper >= values - 1e-12)


def _quadratic(gains, anchor, weight):
    """max of gains.p - weight/2 |p - anchor|^2 by trying every support (KKT)."""
    usable = np.flatnonzero(np.isfinite(gains))
    best = -np.inf
    for code in range(1, 2 ** len(usable)):
        support = usable[[bool(code >> i & 1) for i in range(len(usable))]]
        point = anchor[support] + gains[support] / weight
        p = np.zeros(len(gains))
        p[support] = point - (point.sum() - 1) / len(support)
        if p.min() >= 0:
            value = gains[support] @ p[support] - weight / 2 * np.square(p - anchor).sum()
            best = max(best, value)
    return best


def test_regularised_euclidean_descent_reaches_its_optimum():
    mdp = unit_mdp(2)
    path = mirror_descent(mdp, step=20.0, iterations=60, divergence="euclidean", regularisation=0.5)
    assert path.gap < 1e-10
    np.testing.assert_allclose(path.policy, path.optimum.policy, atol=1e-9)
    # Unlike the entropy's, this regulariser's optimum both randomises and leaves actions out.
    assert 0 < ((path.policy > 0) & (path.policy < 1)).sum() < path.policy.size


def test_a_vanishing_regulariser_leaves_the_optimum():
    mdp = unit_mdp(4)
    plain = value_iteration(mdp).values
    for weight in (1e-2, 1e-4):
        path = mirror_descent(mdp, step=1.0, iterations=1, regularisation=weight)
        worst = weight * np.log(mdp.actions) / (1 - mdp.discount)
        assert np.all(path.optimum.values <= plain + 1e-8)
        assert np.all(path.optimum.values >= plain - worst - 1e-8)


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 7))
@settings(max_examples=20, deadline=None)
def test_projection_meets_its_optimality_conditions(seed, size):
    """p is the projection of x iff (x - p) . (q - p) <= 0 for every vertex q."""
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=(4, size)) * rng.choice([0.1, 1, 1e6]), rng.integers(0, 4))
    x[rng.random(x.shape) < 0.2] = -np.inf
    x[:, 0] = np.where(np.isfinite(x[:, 0]), x[:, 0], 0.0)
    p = project_simplex(x)
    assert p.min() >= 0
    np.testing.assert_allclose(p.sum(-1), 1.0, atol=1e-15 * size)
    assert not p[np.isneginf(x)].any()
    finite = np.where(np.isfinite(x), x - p, 0.0)
    slope = (finite * p).sum(-1, keepdims=True)
    scale = np.abs(np.where(np.isfinite(x), x, 0.0)).max() + 1
    assert np.all(np.where(np.isfinite(x), finite, -np.inf) <= slope + 4e-16 * (size + 2) * scale)


def test_projection_agrees_with_a_quadratic_program():
    x = np.random.default_rng(0).normal(size=9)
    p = cp.Variable(9, nonneg=True)
    cp.Problem(cp.Minimize(cp.sum_squares(p - x)), [cp.sum(p) == 1]).solve(solver="CLARABEL")
    np.testing.assert_allclose(project_simplex(x), p.value, atol=1e-6)


@pytest.mark.parametrize("mirror", [KL, EUCLIDEAN])
@given(seed=st.integers(0, 2**32 - 1), keep=st.sampled_from([0.0, 0.3, 1.0]))
@settings(max_examples=20, deadline=None)
def test_mirror_steps_beat_every_other_point(mirror, seed, keep):
    rng = np.random.default_rng(seed)
    current, reference, other = rng.dirichlet(np.ones(4), size=3)
    ascent = rng.normal(size=4) * 3
    step = mirror.step(mirror.coordinates(current), mirror.coordinates(reference), ascent, keep)

    def objective(p):
        near = keep * mirror.divergence(p, current) + (1 - keep) * mirror.divergence(p, reference)
        return ascent @ p - near

    best = mirror.distribution(step)
    assert objective(best) >= objective(other) - 1e-12
    assert objective(best) >= objective(0.999 * best + 0.001 * other) - 1e-12
    if keep == 0.0:
        np.testing.assert_allclose(mirror.maximum(ascent, reference, 1.0), objective(best))
        np.testing.assert_allclose(mirror.maximiser(ascent, reference, 1.0), best, atol=1e-15)


@pytest.mark.parametrize("mirror", [KL, EUCLIDEAN])
def test_the_least_of_weights_is_a_plain_maximum(mirror):
    gains, reference = np.array([1e6, -3.0, -np.inf, 2.0]), np.array([0.2, 0.5, 0.0, 0.3])
    weight = float(np.finfo(float).tiny)
    assert mirror.maximum(gains, reference, weight) == 1e6
    np.testing.assert_array_equal(mirror.maximiser(gains, reference, weight), [1, 0, 0, 0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: policy_gradient(m, step=0.0, iterations=3), "step holds 0.0"),
        (lambda m: policy_gradient(m, step=[0.1, np.nan], iterations=2), "step holds nan"),
        (lambda m: policy_gradient(m, step=[0.1], iterations=2), r"step has shape \(1,\)"),
        (lambda m: policy_gradient(m, step=0.1, iterations=0), "iterations is 0"),
        (
            lambda m: policy_gradient(m, step=1, iterations=1, parametrisation="gauss"),
            "parametrisation is 'gauss'",
        ),
        (
            lambda m: natural_policy_gradient(m, step=1.0, iterations=1, regularisation=1.0),
            r"step is 1.0; expected a number in \[0, 0.1\]",
        ),
        (
            lambda m: mirror_descent(m, step=1.0, iterations=1, regularisation=-1.0),
            "regularisation is -1.0",
        ),
        (lambda m: mirror_descent(m, step=1, iterations=1, divergence="tv"), "divergence is 'tv'"),
        (
            lambda m: mirror_descent(m, step=1, iterations=1, initial_policy=np.zeros(5, int)),
            r"initial_policy\[0, 1\] is 0",
        ),
        (lambda m: softmax_gradient(m, np.zeros((2, 2))), r"parameters has shape \(2, 2\)"),
        (lambda m: softmax_gradient(m, np.full((5, 3), np.nan)), r"parameters\[0, 0\] is nan"),
        (lambda m: project_simplex([np.inf, 0.0]), "points has the largest entry inf"),
        (lambda m: project_simplex([[0.0], [-np.inf]]), r"points\[1\] has the largest entry -inf"),
    ],
)
def test_bad_arguments_are_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call(unit_mdp(0))
