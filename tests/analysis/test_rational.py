"""The exact number behind a float: the simplest that reads back as it."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from rltheory.analysis.rational import simplest


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
def test_it_is_the_same_float(number):
    assert float(simplest(number)) == number
    assert simplest(-number) == -simplest(number)


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**6))
def test_short_fractions_are_found_again(numerator, denominator):
    """Two fractions with denominators up to 10^6 differ by more than floats of their size do."""
    exact = Fraction(numerator, denominator)
    assert simplest(float(exact)) == exact


@given(st.floats(min_value=1e-4, max_value=1e4), st.integers(1, 3000))
def test_no_smaller_denominator_would_do(number, denominator):
    found = simplest(number)
    if denominator < found.denominator:
        near = Fraction(round(Fraction(number) * denominator), denominator)
        assert float(near) != number
