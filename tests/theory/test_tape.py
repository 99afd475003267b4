"""A tape gives the same instance for the same numbers, whatever they are."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rltheory.theory import instances
from rltheory.theory.tape import SIMPLEX_BITS, Tape

unit = st.floats(0, 1)
seeds = st.integers(0, 2**64)


def read(tape, states, actions):
    """An instance that uses every method of the tape."""
    return (
        instances.mdp(tape, states, actions),
        instances.policy(tape, states, actions),
        instances.values(tape, states),
        tape.choice("abc"),
        tape.number(-3.0, 0.1),
        tape.uniform((2, 0, 3)),
    )


def same(first, second):
    if isinstance(first, tuple):
        return all(map(same, first, second))
    if hasattr(first, "transitions"):
        names = ("transitions", "rewards", "discount", "initial")
        return all(np.array_equal(getattr(first, n), getattr(second, n)) for n in names)
    return np.array_equal(first, second)


@given(st.lists(unit, max_size=60), seeds, st.integers(1, 4), st.integers(1, 3))
def test_the_consumed_numbers_alone_replay_the_instance(vector, seed, states, actions):
    tape = Tape(vector, seed=seed)
    first = read(tape, states, actions)
    numbers = tape.vector
    assert len(numbers) == tape.used
    assert list(numbers[: len(vector)]) == vector[: tape.used]
    again = Tape(numbers, seed=seed + 1)
    assert same(read(again, states, actions), first)
    assert again.used == tape.used


@given(st.lists(unit, max_size=40), seeds, st.integers(1, 6), st.integers(1, 3))
def test_rows_are_distributions_that_sum_to_exactly_one(vector, seed, size, rows):
    array = Tape(vector, seed=seed).simplex((rows, size))
    assert array.shape == (rows, size)
    assert (array >= 0).all()
    for row in array:
        assert sum(map(Fraction, row)) == 1
        assert all(x * 2**SIMPLEX_BITS == int(x * 2**SIMPLEX_BITS) for x in row)


@given(unit, st.integers(-20, 20), st.integers(0, 30))
def test_integers_stay_in_their_range_and_reach_both_ends(number, low, width):
    assert low <= Tape([number]).integer(low, low + width) <= low + width
    assert Tape([0.0]).integer(low, low + width) == low
    assert Tape([1.0]).integer(low, low + width) == low + width


@given(unit, st.integers(-64, 64), st.integers(0, 64))
def test_dyadic_numbers_are_multiples_inside_their_range(number, low, width):
    first, last = low / 8, (low + width) / 8
    x = float(Tape([number]).dyadic((), first, last, bits=5))
    assert first <= x <= last
    assert x * 32 == int(x * 32)
    assert float(Tape([1.0]).dyadic((), first, last, bits=5)) == last


def test_point_masses_sparse_rows_and_full_rows_all_occur():
    rows = Tape(seed=0).simplex((500, 4))
    supports = (rows > 0).sum(axis=1)
    assert set(supports) == {1, 2, 3, 4}


def test_extensions_are_the_same_whatever_portions_they_are_read_in():
    whole = Tape(seed=3).uniform(100)
    portions = Tape(seed=3)
    assert np.array_equal(np.concatenate([portions.uniform(n) for n in (1, 40, 9, 50)]), whole)


def test_the_vector_cannot_be_written_to():
    tape = Tape([0.5])
    tape.number()
    with pytest.raises(ValueError, match="read-only"):
        tape.vector[0] = 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Tape([0.5, 1.5]), r"vector\[1\] is 1.5; expected numbers in \[0, 1\]"),
        (lambda: Tape([np.nan]), "finite"),
        (lambda: Tape().integer(2, 1), "high is 1; expected at least low = 2"),
        (lambda: Tape().dyadic((), 0.0, 0.3), "expected multiples"),
        (lambda: Tape().dyadic((), 1.0, 0.0), "low <= high"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
