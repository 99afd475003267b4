"""Finite classes and their completeness, against Bellman's operator spelt out in Fractions."""

from fractions import Fraction

import numpy as np
import pytest
from class_cases import instances
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.linear_mdp.function_classes.completeness import (
    completeness,
    is_complete,
    residuals,
)
from rltheory.linear_mdp.function_classes.finite import (
    FiniteClass,
    check_class,
    complete_class,
    dyadic_mdp,
)
from rltheory.tabular.agnostic.class_values import class_values, occupancies
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.finite_horizon import backward_induction
from rltheory.tabular.mdp import EpisodicMDP


def image(mdp, after, h, policy=None):
    """T_h of a function (S, A) or None, entry by entry, as a dictionary of Fractions."""
    found = {}
    for s in range(mdp.states):
        for a in range(mdp.actions):
            total = Fraction(mdp.rewards[h, s, a])
            for t in range(mdp.states):
                if after is None:
                    continue
                numbers = [Fraction(x) for x in after[t]]
                if policy is None:
                    worth = max(numbers)
                else:
                    worth = numbers[int(policy[h + 1, t])]
                total += Fraction(mdp.transitions[h, s, a, t]) * worth
            found[s, a] = total
    return found


def distance(mdp, functions, policy=None):
    """The completeness error by its definition, over members and not over layers."""
    worst = Fraction(0)
    for h in range(mdp.horizon):
        afters = [None] if h + 1 == mdp.horizon else list(functions.table[:, h + 1])
        for after in afters:
            aim = image(mdp, after, h, policy)
            nearest = min(
                max(abs(Fraction(g[s, a]) - aim[s, a]) for s, a in aim)
                for g in functions.table[:, h]
            )
            worst = max(worst, nearest)
    return worst


@settings(max_examples=15, deadline=None)
@given(instances(2))
def test_complete_classes_are_complete_and_hold_the_optimum(instance):
    mdp, functions = instance
    assert is_complete(mdp, functions)
    assert is_complete(mdp, functions.product())
    assert distance(mdp, functions) == 0
    exact = backward_induction(mdp, arithmetic="rational").action_values
    assert (exact == functions.table[0]).all()
    assert functions.nearest(mdp) == (0, 0.0)


@settings(max_examples=20, deadline=None)
@given(instances(), st.integers(0, 2**32 - 1))
def test_the_error_is_the_definition_s(instance, seed):
    mdp, _ = instance
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 4)), *mdp.rewards.shape)
    functions = FiniteClass(rng.integers(-8, 9, size=shape) / 4)
    policy = rng.integers(mdp.actions, size=shape[1:3])
    for acted in (None, policy):
        found = completeness(mdp, functions, policy=acted, arithmetic="rational")
        assert found.error == distance(mdp, functions, acted)
        # Dyadic numbers this short are not rounded.
        assert completeness(mdp, functions, policy=acted).error == float(found.error)
        assert is_complete(mdp, functions, policy=acted) == (found.error == 0)


def test_without_its_images_a_class_is_not_complete():
    mdp = dyadic_mdp(horizon=3, states=3, actions=2, seed=5)
    functions = complete_class(mdp, 10, seed=0)
    lacking = functions.without(0)
    assert not is_complete(mdp, lacking)
    assert completeness(mdp, lacking, arithmetic="rational").error == distance(mdp, lacking) > 0


def test_where_floats_round_completeness_is_up_to_rounding():
    rng = np.random.default_rng(0)
    kernel = rng.dirichlet(np.ones(3), size=(3, 3, 2))
    mdp = EpisodicMDP(kernel, rng.random((3, 3, 2)))
    error = completeness(mdp, complete_class(mdp, 7, seed=0), arithmetic="rational").error
    # Two sums of three products of numbers below 3 in either order of additions.
    assert 0 <= error <= 2**-48


@settings(max_examples=15, deadline=None)
@given(instances())
def test_bellman_errors_add_to_what_a_member_promises_too_much(instance):
    mdp, functions = instance
    greedy = PolicyClass(functions.greedy(), mdp.actions)
    visited = occupancies(mdp, greedy, arithmetic="rational")
    worth = class_values(mdp, greedy, arithmetic="rational").values
    total = np.array([Fraction(0)] * len(functions))
    for h in range(mdp.horizon):
        errors = residuals(mdp, functions, h, arithmetic="rational")
        total = total + (visited[:, h] * errors).sum(axis=(1, 2))
    for k, member in enumerate(functions.table):
        start = sum(
            Fraction(p) * Fraction(max(row)) for p, row in zip(mdp.initial, member[0], strict=True)
        )
        assert total[k] == start - worth[k]


def test_layers_and_index_give_the_members_back():
    mdp = dyadic_mdp(horizon=4, states=2, actions=2, seed=2)
    functions = complete_class(mdp, 9, seed=3)
    for h, layer in enumerate(functions.layers):
        np.testing.assert_array_equal(layer[functions.index[:, h]], functions.table[:, h])
        assert len({tuple(f.ravel()) for f in layer}) == len(layer) == functions.sizes[h]
    product = functions.product()
    assert len(product) == np.prod(functions.sizes)
    assert {f.tobytes() for f in functions.table} <= {f.tobytes() for f in product.table}


def test_bad_input_is_refused_by_name():
    mdp = dyadic_mdp(horizon=2, states=2, actions=2, seed=0)
    functions = complete_class(mdp, 3, seed=0)
    with pytest.raises(ValueError, match="table has shape"):
        FiniteClass(np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match="table"):
        FiniteClass(np.full((1, 2, 2, 2), np.nan))
    with pytest.raises(TypeError, match="functions is"):
        check_class(mdp, functions.table)
    with pytest.raises(ValueError, match="the MDP has"):
        completeness(dyadic_mdp(horizon=3, states=2, actions=2, seed=0), functions)
    with pytest.raises(ValueError, match="arithmetic is 'exact'"):
        completeness(mdp, functions, arithmetic="exact")
    with pytest.raises(ValueError, match="spread is 0"):
        complete_class(mdp, 3, seed=0, spread=0.0)
    with pytest.raises(ValueError, match="size"):
        complete_class(mdp, 0, seed=0)
    with pytest.raises(ValueError, match="member is 3"):
        functions.without(3)
    with pytest.raises(ValueError, match="bits"):
        dyadic_mdp(horizon=30, states=2, actions=2, seed=0)
    barred = mdp.rewards.copy()
    barred[0, 0, 0] = -np.inf
    with pytest.raises(ValueError, match="unavailable"):
        complete_class(EpisodicMDP(mdp.transitions, barred), 3, seed=0)
