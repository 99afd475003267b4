"""Bad input: an error that names the argument, never a wrong answer, a crash or another error."""

import re
from fractions import Fraction

import numpy as np
import pytest
from scipy import sparse

from rltheory import tabular
from rltheory.tabular import (
    ChiSquare,
    DiscountedMDP,
    EpisodicMDP,
    KernelFamily,
    KullbackLeibler,
    Penalised,
    PenalisedChiSquare,
    PenalisedKullbackLeibler,
    TotalVariation,
    backward_induction,
    linear_programming,
    policy_iteration,
    random_mdp,
    robust_value_iteration,
)

MODEL = DiscountedMDP(
    np.array([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.25, 0.75]]]),
    np.array([[1.0, 0.0], [0.0, 2.0]]),
    0.5,
)
STEPS = EpisodicMDP.stationary(MODEL.transitions, MODEL.rewards, 3)
FAMILY = KernelFamily(MODEL.transitions[None])
BALL = TotalVariation(0.1)
POLICY = np.zeros(2, dtype=int)

SOLVERS = {
    "value_iteration": (MODEL,),
    "policy_iteration": (MODEL,),
    "modified_policy_iteration": (MODEL,),
    "relative_value_iteration": (MODEL,),
    "evaluate_policy": (MODEL, POLICY),
    "robust_value_iteration": (MODEL, BALL),
    "robust_policy_iteration": (MODEL, BALL),
    "robust_evaluate_policy": (MODEL, POLICY, BALL),
    "iwocs": (MODEL, BALL),
    "solve_rectangular": (MODEL, FAMILY),
}
OTHERS = {
    "linear_programming": (MODEL,),
    "occupancy_measure": (MODEL, POLICY),
    "best_response_kernel": (MODEL, POLICY, BALL),
    "direct_gradient": (MODEL, POLICY),
    "softmax_gradient": (MODEL, np.zeros((2, 2))),
    "static_worst_case": (MODEL, POLICY, FAMILY),
    "backward_induction": (STEPS,),
    "robust_backward_induction": (STEPS, BALL),
}
OPTIMISERS = ("policy_gradient", "natural_policy_gradient", "mirror_descent")


@pytest.mark.parametrize("name", SOLVERS | OTHERS)
@pytest.mark.parametrize("wrong", [None, "chain", np.ones((2, 2)), MODEL, STEPS])
def test_what_is_no_model_is_refused_by_name(name, wrong):
    model, *rest = (SOLVERS | OTHERS)[name]
    if type(wrong) is type(model):
        return
    with pytest.raises(TypeError, match=rf"(?s)mdp is .*expected an? {type(model).__name__}"):
        getattr(tabular, name)(wrong, *rest)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_optimisers_refuse_what_is_no_model(name):
    with pytest.raises(TypeError, match="mdp is EpisodicMDP"):
        getattr(tabular, name)(STEPS, step=0.1, iterations=3)


@pytest.mark.parametrize("name", ["static_worst_case", "solve_rectangular"])
def test_what_is_no_family_is_refused_by_name(name):
    *rest, _ = (SOLVERS | OTHERS)[name]
    with pytest.raises(TypeError, match="family is None; expected a KernelFamily"):
        getattr(tabular, name)(*rest, None)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("count", [0, -1, 2.5, None, "many", True, np.nan, np.inf])
def test_iterations_are_counted_from_one(name, count):
    with pytest.raises(ValueError, match=r"max_iterations is .*; expected an integer"):
        getattr(tabular, name)(*SOLVERS[name], max_iterations=count)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("tolerance", [-1.0, np.nan])
def test_tolerances_are_not_negative(name, tolerance):
    with pytest.raises(ValueError, match="tolerance is "):
        getattr(tabular, name)(*SOLVERS[name], tolerance=tolerance)


@pytest.mark.parametrize("entries", [[["1", "2"]], np.ones((1, 2)) * 1j, [[None, object()]]])
def test_arrays_hold_real_numbers(entries):
    with pytest.raises(TypeError, match="rewards must be an array of real numbers"):
        MODEL.replace(rewards=entries)
    with pytest.raises(TypeError, match="rewards must be an array of real numbers"):
        EpisodicMDP(STEPS.transitions, entries)


@pytest.mark.parametrize("column", [2, -1, 77_777_777])
def test_a_sparse_kernel_that_points_outside_is_refused(column):
    kernel = sparse.csr_array(MODEL.rows)
    kernel.indices[0] = column
    with pytest.raises(ValueError, match="transitions is not a valid CSR array: indices must be"):
        MODEL.replace(transitions=kernel)


def test_a_discount_that_the_heaviest_row_undoes_is_refused():
    heavy = np.array([[[1.0 + 9e-10]]])
    with pytest.raises(ValueError, match="expected a product of at most 1 - 1e-12"):
        DiscountedMDP(heavy, np.ones((1, 1)), 1.0 - 5e-10)
    mdp = DiscountedMDP(np.ones((1, 1, 1)), np.ones((1, 1)), 1.0 - 1e-11)
    solution = policy_iteration(mdp)
    exact = policy_iteration(mdp, arithmetic="rational").values[0]
    assert Fraction(float(solution.lower[0])) <= exact <= Fraction(float(solution.upper[0]))
    assert np.isfinite(solution.gap)


def test_values_whose_squares_overflow_are_refused():
    with pytest.raises(ValueError, match=r"values of up to 2e\+150; expected at most 1e\+150"):
        MODEL.replace(rewards=np.full((2, 2), -1e150))
    with pytest.raises(ValueError, match=r"values of up to 2e\+150"):
        EpisodicMDP.stationary(MODEL.transitions, np.full((2, 2), 1e150), 2)
    with pytest.raises(ValueError, match="initial_values holds numbers"):
        robust_value_iteration(MODEL, ChiSquare(0.1), initial_values=np.array([0.0, 1e200]))
    with pytest.raises(ValueError, match="terminal_values holds numbers"):
        backward_induction(STEPS, terminal_values=np.array([0.0, 1e200]))
    with pytest.raises(ValueError, match="terminal_values"):
        backward_induction(STEPS, terminal_values=np.array([0.0, np.nan]))
    with pytest.raises(ValueError, match="values holds numbers"):
        ChiSquare(0.1).worst_case([0.0, 1e200], [0.5, 0.5])


@pytest.mark.parametrize("scale", [5e-324, 1e-300, 1e-150, 1e140])
@pytest.mark.parametrize("planner", [linear_programming, policy_iteration])
def test_planners_enclose_at_every_scale_of_rewards(planner, scale):
    mdp = random_mdp(4, 3, seed=5, discount=0.9)
    mdp = mdp.replace(rewards=mdp.rewards * scale)
    solution = planner(mdp)
    exact = policy_iteration(mdp, arithmetic="rational").values
    assert all(map(_within, solution.lower, exact, solution.upper))


@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1e-150, 1e-140, 1.0, 1e145])
@pytest.mark.parametrize(
    ("uncertainty", "least"),
    [
        # The mean less the root of radius times variance.
        (ChiSquare(0.25), Fraction(1, 4)),
        # Beyond log 2, all mass goes to the least value.
        (KullbackLeibler(1.0), Fraction(0)),
    ],
)
def test_smooth_sets_enclose_at_every_scale_of_values(uncertainty, least, scale):
    bounds = uncertainty.expectation_bounds([0.0, scale], [0.5, 0.5])
    assert _within(float(bounds.lower), least * Fraction(scale), float(bounds.upper))


@pytest.mark.parametrize("penalty", [5e-324, 1e-150])
def test_penalties_too_small_to_square_are_refused(penalty):
    for build in (PenalisedChiSquare, lambda penalty: Penalised(ChiSquare(0.0), [0.0, penalty])):
        with pytest.raises(ValueError, match=r"penalty holds .*; expected 0 or at least 1e-140"):
            build(penalty)
    PenalisedKullbackLeibler(penalty)


def test_a_small_penalty_and_a_smaller_probability_are_weighed():
    # Moving x onto the least value costs penalty * x^2 / p, far above what it saves.
    penalty, p = 1e-139, 1e-300
    bounds = PenalisedChiSquare(penalty).expectation_bounds([0.0, 1.0], [p, 1.0])
    assert 1 - 1e-9 < float(bounds.lower) <= 1 <= float(bounds.upper)


def test_every_damaged_byte_of_an_archive_is_refused_or_harmless(tmp_path):
    path = tmp_path / "model.npz"
    for model in (MODEL, MODEL.to_sparse()):
        model.save(path)
        content = path.read_bytes()
        for place in range(0, len(content), 2):
            damaged = bytearray(content)
            damaged[place] ^= 0x51
            path.write_bytes(damaged)
            outcome = _load(path)
            assert "model.npz" in outcome or outcome == repr(model)


@pytest.mark.parametrize(
    ("array", "replacement", "message"),
    [
        ("indices", [0, 1, 77_777_777], "indices must be < 2"),
        ("indices", [0, -1, 0], "indices must be >= 0"),
        ("indices", [0, 0.5, 1], "indices holds float64; expected integers"),
        ("indptr", [0, 4, 3], "indptr"),
        ("data", [1.0, 0.5j, 0.5], "transitions.data must be an array of real numbers"),
        ("rewards", [1.0, 2.0], "rewards has shape (2,)"),
        ("rewards", [["1"], ["2"]], "rewards must be an array of real numbers"),
        ("discount", [0.5, 0.5], "discount has shape (2,)"),
    ],
)
def test_an_archive_with_a_wrong_part_is_refused_by_name(tmp_path, array, replacement, message):
    arrays = {
        "data": [1.0, 0.5, 0.5],
        "indices": [0, 0, 1],
        "indptr": [0, 1, 3],
        "rewards": [[1.0], [2.0]],
        "discount": 0.5,
        "initial": [0.5, 0.5],
    }
    np.savez(tmp_path / "model.npz", **arrays)
    assert DiscountedMDP.load(tmp_path / "model.npz").states == 2
    np.savez(tmp_path / "model.npz", **(arrays | {array: replacement}))
    with pytest.raises(ValueError, match=re.escape(message)):
        DiscountedMDP.load(tmp_path / "model.npz")


def _load(path):
    try:
        return repr(DiscountedMDP.load(path))
    except ValueError as error:
        return str(error)


def _within(low, exact, high):
    return Fraction(float(low)) <= exact <= Fraction(float(high))
