"""IWOCS against exact brute force and robust planning, and instances where it falls short."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import discounted_mdps, policies

from rltheory.analysis.rational import solve, to_fractions
from rltheory.tabular import DiscountedMDP, robust_value_iteration
from rltheory.tabular.iwocs import iwocs
from rltheory.tabular.kernel_family import KernelFamily, solve_rectangular, static_worst_case
from rltheory.tabular.uncertainty import (
    L1,
    ChiSquare,
    Contamination,
    Interval,
    KullbackLeibler,
    LInf,
    PenalisedTotalVariation,
    TotalVariation,
)


def exact_value(mdp, policy, kernel):
    """Initial value of rows (S, A) under a kernel (S, A, S), all as Fractions."""
    policy, kernel = np.asarray(policy, dtype=object), np.asarray(kernel, dtype=object)
    rewards = to_fractions(np.where(mdp.available, mdp.rewards, 0.0))
    system = to_fractions(np.eye(mdp.states)) - Fraction(mdp.discount) * (
        policy[:, :, None] * kernel
    ).sum(1)
    values = solve(system, (policy * rewards).sum(1))
    return (to_fractions(mdp.initial) * values).sum()


def deterministic(mdp):
    """Every deterministic policy as rows (S, A) of Fractions."""
    choices = [np.flatnonzero(row) for row in mdp.available]
    for actions in product(*choices):
        rows = np.full(mdp.rewards.shape, Fraction(0), dtype=object)
        rows[np.arange(mdp.states), list(actions)] = Fraction(1)
        yield rows


def hull(kernels, policy):
    """Every kernel of the rectangular hull, as far as a deterministic policy sees it."""
    for pick in product(range(len(kernels)), repeat=len(policy)):
        yield np.stack([kernels[k][s] for s, k in enumerate(pick)])


@st.composite
def families(draw):
    """An MDP of two or three states with two or three kernels, the first one its own."""
    mdp = draw(discounted_mdps(max_states=3, max_actions=2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    others = rng.dirichlet(np.ones(mdp.states), size=(draw(st.integers(1, 2)), *mdp.rewards.shape))
    if draw(st.booleans()):
        others = np.eye(mdp.states)[others.argmax(-1)]
    return mdp, KernelFamily(np.concatenate([mdp.transitions[None], others]))


def scale(mdp):
    return max(1.0, float(np.abs(mdp.rewards[mdp.available]).max()))


@pytest.mark.parametrize("step", ["rectangular", "min_q"])
@given(case=families())
@settings(max_examples=20, deadline=None)
def test_bounds_hold_exactly_against_every_policy_and_member(step, case):
    mdp, family = case
    tolerance = 1e-6 * scale(mdp)
    found = iwocs(mdp, family, policy_step=step, tolerance=tolerance)
    kernels = [to_fractions(k) for k in family.kernels]
    worst = {
        p.tobytes(): min(exact_value(mdp, p, k) for k in kernels)
        for p in map(np.asarray, deterministic(mdp))
    }
    best = max(worst.values())
    own = min(exact_value(mdp, to_fractions(found.policy), k) for k in kernels)
    assert Fraction(found.lower) <= own <= best <= Fraction(found.upper)
    assert len(set(found.members.tolist())) == len(found.members) == len(found.kernels)
    assert found.iterations <= min(len(worst), len(family)) + 1
    assert len(found.achieved.lower) == len(found.promised) == found.iterations
    if step == "rectangular":
        assert found.converged


@given(case=families())
@settings(max_examples=20, deadline=None)
def test_rectangular_hull_is_solved_exactly(case):
    mdp, family = case
    kernels = [to_fractions(k) for k in family.kernels]
    exact = max(min(exact_value(mdp, p, k) for k in hull(kernels, p)) for p in deterministic(mdp))
    solution = solve_rectangular(mdp, family, tolerance=1e-7 * scale(mdp))
    assert solution.converged
    weights = to_fractions(mdp.initial)
    assert (weights * to_fractions(solution.lower)).sum() <= exact
    assert (weights * to_fractions(solution.upper)).sum() >= exact
    sparse = solve_rectangular(mdp.to_sparse(), family, tolerance=1e-7 * scale(mdp))
    np.testing.assert_allclose(sparse.values, solution.values, atol=solution.gap + sparse.gap)


@given(case=families(), data=st.data())
@settings(max_examples=20, deadline=None)
def test_worst_member_encloses_the_exact_one(case, data):
    mdp, family = case
    policy = data.draw(policies(mdp))
    case = static_worst_case(mdp, policy, family)
    exact = [exact_value(mdp, to_fractions(policy), to_fractions(k)) for k in family.kernels]
    for low, value, high in zip(case.lower, exact, case.upper, strict=True):
        assert Fraction(float(low)) <= value <= Fraction(float(high))
    assert Fraction(float(case.worst.lower)) <= min(exact) <= Fraction(float(case.worst.upper))
    assert exact[case.index] <= min(exact) + Fraction(float(np.max(case.upper - case.lower)))


SETS = {
    "tv": lambda r: TotalVariation(r),
    "l1": lambda r: L1(2 * r),
    "linf": lambda r: LInf(r),
    "contamination": lambda r: Contamination(r),
    "kl": lambda r: KullbackLeibler(r),
    "chi_square": lambda r: ChiSquare(r),
    "interval": lambda r: Interval(0.0, 1.0 - r / 2),
}


@pytest.mark.parametrize("name", SETS)
@given(
    mdp=discounted_mdps(max_states=5),
    radius=st.sampled_from([0.0, 0.1, 0.5]),
    sparse=st.booleans(),
)
@settings(max_examples=12, deadline=None)
def test_static_equals_dynamic_under_rectangularity(name, mdp, radius, sparse):
    """Iyengar (2005), Lemma 3.3: the static search meets robust value iteration."""
    if name == "interval":
        # Scalar bounds are for every state of a dense row, for the support of a sparse one.
        sparse, radius = False, radius if mdp.states > 1 else 0.0
    uncertainty = SETS[name](radius)
    tolerance = 1e-6 * scale(mdp)
    model = mdp.to_sparse() if sparse else mdp
    dynamic = robust_value_iteration(model, uncertainty, tolerance=tolerance)
    low, high = mdp.initial @ dynamic.lower, mdp.initial @ dynamic.upper
    rounding = 1e-15 * mdp.states * np.abs(dynamic.values).max()
    exact = iwocs(model, uncertainty, tolerance=tolerance)
    assert exact.converged
    assert exact.gap <= tolerance
    # Both pairs of bounds hold the same number.
    assert exact.lower <= high + rounding
    assert exact.upper >= low - rounding
    heuristic = iwocs(model, uncertainty, policy_step="min_q", tolerance=tolerance)
    assert heuristic.lower <= high + rounding
    assert heuristic.upper >= low - rounding
    if heuristic.converged:
        assert heuristic.gap <= tolerance


@pytest.mark.parametrize("name", SETS)
def test_worst_kernels_are_found_on_long_uneven_rows(name):
    """Forty states whose probabilities span many orders of magnitude, at discount 0.99."""
    rng = np.random.default_rng(0)
    kernel = rng.dirichlet(np.full(40, 0.1), size=(40, 4))
    mdp = DiscountedMDP(kernel, rng.random((40, 4)), 0.99)
    found = iwocs(mdp, SETS[name](0.1), tolerance=1e-5)
    assert found.converged
    assert found.gap <= 1e-5
    assert found.achieved.gap <= 1e-6
    # Few of the 4^40 policies, and kernels: what the method is for.
    assert found.iterations <= 6


def test_a_rectangular_family_closes_the_gap():
    """All combinations of two rows per pair: static and dynamic are the same."""
    rng = np.random.default_rng(5)
    rows = rng.dirichlet(np.ones(2), size=(2, 2, 2))
    kernels = np.array(
        [
            [[rows[k[2 * s + a], s, a] for a in range(2)] for s in range(2)]
            for k in product(range(2), repeat=4)
        ]
    )
    mdp = DiscountedMDP(kernels[0], rng.random((2, 2)), 0.9, [0.25, 0.75])
    family = KernelFamily(kernels)
    found = iwocs(mdp, family)
    dynamic = mdp.initial @ solve_rectangular(mdp, family).values
    static = max(
        min(exact_value(mdp, p, to_fractions(k)) for k in kernels) for p in deterministic(mdp)
    )
    np.testing.assert_allclose([found.lower, found.upper, float(static)], dynamic, atol=1e-6)
    assert len(found.kernels) < len(family)


def two_winds():
    """Three states, two actions, two deterministic kernels; nothing rectangular about them."""
    successors = np.array([[[2, 0], [0, 1], [2, 2]], [[1, 2], [0, 2], [0, 2]]])
    family = KernelFamily(np.eye(3)[successors], [-1.0, 1.0])
    rewards = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]])
    return DiscountedMDP(family.kernels[0], rewards, 0.5, [1.0, 0.0, 0.0]), family


def test_without_rectangularity_four_values_differ():
    """Dynamic 2/3 < static deterministic 1 < a randomised policy 4/3 < weak duality 2."""
    mdp, family = two_winds()
    kernels = [to_fractions(k) for k in family.kernels]
    plans = list(deterministic(mdp))
    dynamic = max(min(exact_value(mdp, p, k) for k in hull(kernels, p)) for p in plans)
    static = max(min(exact_value(mdp, p, k) for k in kernels) for p in plans)
    duality = min(max(exact_value(mdp, p, k) for p in plans) for k in kernels)
    halves = [
        np.array([[q, 1 - q] for q in row], dtype=object)
        for row in product([Fraction(0), Fraction(1, 2), Fraction(1)], repeat=3)
    ]
    randomised = max(min(exact_value(mdp, p, k) for k in kernels) for p in halves)
    assert (dynamic, static, randomised, duality) == (Fraction(2, 3), 1, Fraction(4, 3), 2)

    np.testing.assert_allclose(solve_rectangular(mdp, family).values[0], 2 / 3, atol=1e-8)
    for step in ("rectangular", "min_q"):
        found = iwocs(mdp, family, policy_step=step)
        # What IWOCS returns is no better than the dynamic solution, and its bounds say so.
        np.testing.assert_allclose([found.lower, found.upper], [2 / 3, 2.0], atol=1e-6)
        assert found.converged == (step == "rectangular")
        assert found.gap > 1


def test_min_of_q_can_stall_under_a_rectangular_set():
    """Half of every row is the adversary's: min-of-Q returns -250/29, the optimum is -71/10."""
    successors = np.array([[2, 1], [1, 1], [1, 0]])
    rewards = np.array([[1.0, -2.0], [-1.0, -2.0], [1.0, -2.0]])
    mdp = DiscountedMDP(np.eye(3)[successors], rewards, 0.9, [1.0, 0.0, 0.0])
    # The ball around a vertex is the hull of half-and-half rows.
    corners = [to_fractions(0.5 * np.eye(3)[successors] + 0.5 * np.eye(3)[t]) for t in range(3)]
    exact = {
        p.argmax(1).tobytes(): min(exact_value(mdp, p, k) for k in hull(corners, p))
        for p in deterministic(mdp)
    }
    best = max(exact.values())
    heuristic = iwocs(mdp, TotalVariation(0.5), policy_step="min_q")
    own = exact[heuristic.policy.argmax(1).tobytes()]
    assert float(own) == pytest.approx(-250 / 29, abs=1e-12)
    assert float(best) == pytest.approx(-71 / 10, abs=1e-12)
    assert not heuristic.converged
    np.testing.assert_allclose(heuristic.lower, float(own), atol=1e-6)
    assert heuristic.upper > float(best) + 1
    rectangular = iwocs(mdp, TotalVariation(0.5))
    assert rectangular.converged
    np.testing.assert_allclose([rectangular.lower, rectangular.upper], float(best), atol=1e-6)


def slippery_chain(slip):
    """Five states in a row; moves go the other way with probability `slip`."""
    kernel = np.zeros((5, 2, 5))
    for s in range(5):
        left, right = max(s - 1, 0), min(s + 1, 4)
        for a, (meant, other) in enumerate([(left, right), (right, left)]):
            kernel[s, a, meant] += 1 - slip
            kernel[s, a, other] += slip
    return kernel


def test_few_members_of_a_slip_family_matter():
    grid = np.linspace(0.0, 0.9, 46)
    family = KernelFamily.from_function(slippery_chain, grid)
    rewards = np.zeros((5, 2))
    rewards[0], rewards[4] = 0.3, 1.0
    mdp = DiscountedMDP(slippery_chain(0.0), rewards, 0.9)
    found = iwocs(mdp, family)
    assert found.converged
    assert len(found.kernels) <= 5
    case = static_worst_case(mdp, found.policy, family)
    assert found.lower == case.worst.lower
    # No deterministic policy does better, by trying all 32 under all 46 members.
    best = max(
        static_worst_case(mdp, np.array(p), family).worst.upper for p in product(range(2), repeat=5)
    )
    assert best <= found.upper
    np.testing.assert_array_equal(family.kernels[7], slippery_chain(grid[7]))
    # The dynamic adversary may change the slip at every step: weaker for the agent.
    dynamic = mdp.initial @ solve_rectangular(mdp, family).values
    assert dynamic <= best


def test_a_family_is_not_copied():
    kernels = np.full((3, 2, 2, 2), 0.5)
    family = KernelFamily(kernels)
    mdp = DiscountedMDP(kernels[0], np.ones((2, 2)), 0.9)
    assert np.shares_memory(family.kernels, kernels)
    assert not family.kernels.flags.writeable
    assert all(np.shares_memory(m.transitions, kernels) for m in family.models(mdp))
    assert repr(family) == "KernelFamily(members=3, states=2, actions=2)"
    np.testing.assert_array_equal(family.parameters, [0.0, 1.0, 2.0])


GOOD = np.full((2, 2, 2, 2), 0.5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: KernelFamily(np.full((2, 2, 2), 0.5)), r"kernels has shape \(2, 2, 2\)"),
        (lambda: KernelFamily(np.full((2, 2, 2, 3), 1 / 3)), r"expected \(2, 2, 2, 2\)"),
        (lambda: KernelFamily(np.zeros((0, 2, 2, 2))), "every axis must have length"),
        (lambda: KernelFamily(GOOD * 0.9), r"kernels\[0, 0, 0\] sums to 0.9"),
        (lambda: KernelFamily(GOOD * np.array([3.0, -1.0])), r"kernels\[.*\] is -0.5"),
        (lambda: KernelFamily(GOOD * np.nan), r"kernels\[0, 0, 0, 0\] is nan"),
        (lambda: KernelFamily(GOOD, [1.0]), r"parameters has shape \(1,\)"),
        (lambda: KernelFamily.from_function(lambda x: GOOD[0], []), r"grid has shape \(0,\)"),
        (
            lambda: iwocs(two_winds()[0], KernelFamily(GOOD)),
            "family has 2 states and 2 actions; the MDP has 3 and 2",
        ),
        (
            lambda: iwocs(two_winds()[0], TotalVariation(0.1), policy_step="max"),
            "policy_step is 'max'",
        ),
        (
            lambda: iwocs(two_winds()[0], PenalisedTotalVariation(0.1)),
            "adversary is a PenalisedTotalVariation",
        ),
        (lambda: iwocs(*two_winds(), tolerance=-1.0), "tolerance is -1"),
        (lambda: iwocs(*two_winds(), max_iterations=0), "max_iterations is 0"),
    ],
)
def test_bad_arguments_are_refused_by_name(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_an_adversary_of_another_kind_is_refused():
    with pytest.raises(TypeError, match=r"adversary is 0\.1; expected a KernelFamily"):
        iwocs(two_winds()[0], 0.1)


def test_the_iteration_limit_is_reported():
    mdp, family = two_winds()
    found = iwocs(mdp, family, max_iterations=1)
    assert found.iterations == 1
    assert not found.converged
    assert found.lower <= found.upper
