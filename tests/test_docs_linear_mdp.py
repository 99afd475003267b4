"""What the pages on linear MDPs show runs, and comes out as they say."""

from fractions import Fraction

import doc_pages
import numpy as np
import pytest

from rltheory import linear_mdp

PAGE = doc_pages.read("linear_mdp.md")


@pytest.fixture(scope="module")
def page():
    """The names that the page's blocks leave, run one after another."""
    return doc_pages.run(PAGE, "docs/linear_mdp.md")


def test_every_block_of_the_page_is_run():
    doc_pages.check_fences(PAGE, ("python",))


def test_off_dynamics_is_worth_what_one_finds_by_hand(page):
    """The best action leads to x5 by 0.4; the adversary takes 0.3 of what follows at first."""
    pays, slip = Fraction(2, 5), Fraction(1, 1000)
    third = pays
    second = 2 * pays + (1 - pays) * (1 - slip) * third
    first = (1 - pays) * (1 - slip) * second + pays * (1 - Fraction(3, 10)) * 2
    # The numbers of the model are rounded: its values are off by a few units in the last place.
    assert page["best"].lower[0, 0] - 1e-15 <= first <= page["best"].upper[0, 0] + 1e-15
    run = page["run"]
    assert run.values.upper[-1] >= run.optimum.lower


def test_the_perturbed_world_takes_its_share(page):
    value, q = page["value"], page["q"]
    second = Fraction(4, 5) + Fraction(3, 5) * Fraction(999, 1000) * Fraction(2, 5)
    expected = Fraction(3, 5) * second + Fraction(4, 5) * (1 - Fraction(q))
    assert value.lower[0, 0] - 1e-15 <= expected <= value.upper[0, 0] + 1e-15


def test_the_option_is_worth_no_more_than_the_optimum(page):
    assert page["sold"].values.lower[-1] <= page["put"].initial @ page["exact"].upper[0]
    with pytest.raises(TypeError, match="expected a LinearMDP"):
        linear_mdp.plan(page["put"])


def test_the_worst_measures_attain_the_value(page):
    soft = page["soft"]
    again = linear_mdp.plan(page["worst"], policy=soft.policy, temperature=0.1)
    assert np.all(again.lower <= soft.upper)
    assert np.all(again.upper >= soft.lower)


def test_the_diagonal_bonus_is_too_small(page):
    widths = page["widths"]
    assert widths["diagonal"] < 0.99 * widths["elliptical"]
    assert widths["elliptical"] < widths["factors"]


def test_what_is_resumed_is_what_was_never_stopped(page):
    resumed, whole = page["resumed"], page["whole"]
    np.testing.assert_array_equal(resumed.learnt.action_values, whole.learnt.action_values)
    np.testing.assert_array_equal(resumed.returns, whole.returns)


@pytest.mark.parametrize("horizon", [1, 2, 5, 8])
def test_the_courier_is_worth_what_its_recursion_says(page, horizon):
    """On the road and there, with n steps to go; the adversary moves 0.2 from the best to last."""
    model = page["courier"](horizon=horizon)
    wary = linear_mdp.RobustLinearMDP(model, page["TotalVariation"](0.2))
    walk, drive, moved = Fraction(7, 10), Fraction(9, 10), Fraction(1, 5)
    for robust, problem in ((0, model), (moved, wary)):
        road = there = Fraction(0)
        for _ in range(horizon):
            assert road <= there
            onward = max((1 - walk) * road + (walk - robust) * there, (drive - robust) * there)
            road, there = onward, 1 + (1 - robust) * there
        solution = linear_mdp.plan(problem)
        for state, value in ((0, road), (1, there)):
            # Rounded inputs, again: n steps of values up to n.
            slack = 1e-15 * horizon**2
            assert solution.lower[0, state] - slack <= value <= solution.upper[0, state] + slack


def test_a_bonus_that_ends_finds_the_optimum(page):
    mine = page["mine"]
    assert mine.values.upper[-1] >= mine.optimum.lower


def test_the_readmes_block_runs():
    names = doc_pages.readme_block("linear_mdp.load")
    learnt, model = names["learnt"], names["model"]
    assert learnt.suboptimality[-1] < 0.1 * learnt.suboptimality[0]
    best = linear_mdp.plan(model, temperature=0.1)
    assert best.lower[0, 0] <= learnt.optimum.upper
