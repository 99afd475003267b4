"""Comparisons against the definition, entry by entry in exact arithmetic."""

from fractions import Fraction
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rltheory.analysis.bounds import Bounds
from rltheory.theory.sides import (
    Kind,
    compare,
    describe,
    elementary,
    enclose,
    rounded,
    scaled,
    strengthened,
    supremum,
    to_bounds,
)

kinds = st.sampled_from(get_args(Kind))
rationals = st.fractions(-4, 4, max_denominator=8)
dyadics = st.integers(-64, 64).map(lambda n: n / 16)


def array(entries):
    result = np.empty(len(entries), dtype=object)
    result[:] = entries
    return result


@st.composite
def intervals(draw, size):
    """Enclosures and a truth inside them, exact as floats."""
    low = np.array([draw(dyadics) for _ in range(size)])
    width = np.array([draw(st.integers(0, 32)) / 16 for _ in range(size)])
    share = np.array([draw(st.integers(0, 4)) / 4 for _ in range(size)])
    return Bounds(low, low + width), [Fraction(x) for x in low + share * width]


def claims(kind, left, right):
    """The statement itself."""
    if kind == "identity":
        return left == right
    if kind in ("separation", "counterexample"):
        return all(a < b for a, b in zip(left, right, strict=True))
    return all(a <= b for a, b in zip(left, right, strict=True))


@given(kinds, st.data(), st.integers(1, 4))
def test_exact_sides_are_decided_as_the_statement_says(kind, data, size):
    left = data.draw(st.lists(rationals, min_size=size, max_size=size))
    right = data.draw(st.lists(rationals, min_size=size, max_size=size))
    found = compare(kind, array(left), array(right))
    assert found.state == ("satisfied" if claims(kind, left, right) else "violated")
    assert found.exact
    assert found.resolution == 0
    gaps = [b - a for a, b in zip(left, right, strict=True)]
    worst = -max(map(abs, gaps)) if kind == "identity" else min(gaps)
    assert found.margin == float(worst)


@given(kinds, st.data(), st.integers(1, 3))
def test_a_decision_on_enclosures_is_true_of_every_pair_inside(kind, data, size):
    left, left_truth = data.draw(intervals(size))
    right, right_truth = data.draw(intervals(size))
    found = compare(kind, left, right)
    if kind == "identity":
        if found.state == "violated":
            assert left_truth != right_truth
    elif found.state != "inconclusive":
        assert claims(kind, left_truth, right_truth) == (found.state == "satisfied")
    assert not found.exact
    assert found.resolution >= left.gap


@given(kinds, st.data(), st.integers(1, 3))
def test_enclosures_without_width_decide_like_exact_sides(kind, data, size):
    left = np.array(data.draw(st.lists(dyadics, min_size=size, max_size=size)))
    right = np.array(data.draw(st.lists(dyadics, min_size=size, max_size=size)))
    exact = compare(kind, to_bounds(array(list(map(Fraction, left)))), Bounds(right, right))
    other = compare(kind, array(list(map(Fraction, left))), array(list(map(Fraction, right))))
    assert (exact.state, exact.margin) == (other.state, other.margin)
    assert exact.relative == pytest.approx(other.relative, rel=1e-15)
    assert exact.tightness == pytest.approx(other.tightness, rel=1e-15, abs=1e-15)


@given(rationals, rationals.filter(lambda x: x > 0))
def test_tightness_is_the_ratio_of_nonnegative_sides(left, right):
    if 0 <= left <= right:
        assert compare("inequality", left, right).tightness == pytest.approx(float(left / right))


def test_zero_sides_carry_no_information():
    found = compare("inequality", 0, Fraction(0))
    assert (found.state, found.tightness, found.relative) == ("satisfied", 0.0, 0.0)


@given(st.floats(-1e6, 1e6), st.floats(0, 10))
def test_enclose_contains_the_whole_interval(value, error):
    bounds = enclose(value, error)
    assert Fraction(float(bounds.lower)) <= Fraction(value) - Fraction(error)
    assert Fraction(float(bounds.upper)) >= Fraction(value) + Fraction(error)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=8))
def test_rounded_contains_the_exact_inner_product(entries):
    x = np.array(entries)
    exact = sum((Fraction(a) ** 2 for a in entries), Fraction(0))
    bounds = rounded(np.dot(x, x), len(x), float(np.dot(x, x)) * (1 + 1e-14))
    assert Fraction(float(bounds.lower)) <= exact <= Fraction(float(bounds.upper))


@given(st.floats(-20, 20))
def test_elementary_contains_the_exponential(x):
    import flint

    bounds = elementary(np.exp(x))
    truth = flint.arb(x).exp()
    assert flint.arb(float(bounds.lower)) <= truth
    assert truth <= flint.arb(float(bounds.upper))


@given(rationals, st.sampled_from([0.25, 0.5, 0.75]))
def test_strengthened_claims_more_and_by_the_factor(x, factor):
    exact = Fraction(factor)
    assert strengthened(x, factor) == min(x * exact, x / exact)
    assert scaled(x, factor) == x * exact
    bounds = strengthened(to_bounds(x), factor)
    assert Fraction(float(bounds.lower)) <= min(x * exact, x / exact)
    assert min(x * exact, x / exact) <= Fraction(float(bounds.upper))
    assert strengthened(np.asarray(float(x)), factor) == pytest.approx(
        float(min(x * exact, x / exact))
    )


def test_the_supremum_of_fractions():
    assert supremum(array([Fraction(-3), Fraction(2)])) == 3
    assert supremum(array([])) == 0


def test_sides_in_words():
    assert describe(Fraction(1, 3)) == "1/3"
    assert describe(0.1) == "0.1"
    assert describe(array([Fraction(1, 2), 3])) == "(1/2, 3)"
    assert describe(enclose(1.0, 0.0)) == "[1.0, 1.0]"


def test_numbers_too_long_for_decimal_are_written_in_hexadecimal():
    number = Fraction(1, 3**20000)
    assert describe(number) == f"0x1/{3**20000:#x}"


@pytest.mark.parametrize(
    ("left", "right", "error", "message"),
    [
        (1.5, Fraction(1), TypeError, "the left side is a plain float"),
        (Fraction(1), np.nan, ValueError, "the right side holds NaN"),
        (np.array(["a"]), 1, TypeError, "the left side is ndarray"),
        (np.array([1, 2]), np.array([1, 2, 3]), ValueError, r"shape \(2,\), the right \(3,\)"),
        (np.array([], dtype=int), 1, ValueError, "a side is empty"),
    ],
)
def test_sides_that_cannot_be_compared_are_named(left, right, error, message):
    with pytest.raises(error, match=message):
        compare("inequality", left, right)


def test_an_enclosure_without_end_decides_nothing_it_cannot():
    endless = Bounds(np.asarray(-np.inf), np.asarray(np.inf))
    for kind in get_args(Kind):
        assert compare(kind, endless, Fraction(1)).state == "inconclusive"
        assert compare(kind, endless, endless).state == "inconclusive"
