"""What the page on policy gradients shows runs, and comes out as it says."""

import importlib
import itertools
import re
from fractions import Fraction

import doc_pages
import numpy as np
import pytest

from rltheory.analysis import ESTIMATORS, estimator_moments, token_tree

PAGE = doc_pages.read("policy_gradients.md")


@pytest.fixture(scope="module")
def page():
    """The names that the page's blocks leave, run one after another."""
    return doc_pages.run(PAGE, "docs/policy_gradients.md")


def test_every_block_of_the_page_is_run():
    doc_pages.check_fences(PAGE, ("python",))


def test_grpo_lengthens_the_gradient_as_stated(page):
    """Binomial sums over the number of right responses among four."""
    p = np.array([0.2, 0.3, 0.5])
    mean = np.zeros(3)
    for group in itertools.product(range(3), repeat=4):
        r = np.array([1.0 if y == 0 else 0.0 for y in group])
        spread = r.std(ddof=1)
        if spread > 0:
            weights = (r - r.mean()) / spread / 4
            mean += p[list(group)].prod() * weights @ (np.eye(3) - p)[list(group)]
    gradient = p * (np.array([1.0, 0.0, 0.0]) - 0.2)
    factor = np.linalg.norm(mean) / np.linalg.norm(gradient)
    assert f"3/4, and {factor:.2f} times" in PAGE
    bandit, point = page["bandit"], page["point"]
    found = estimator_moments(bandit, "grpo", parameters=point, group_size=4)
    np.testing.assert_allclose(found.mean, mean, atol=1e-14)


def test_the_tree_is_what_its_comment_says(page):
    """Words over 0, 1, 2 that end with 0 or have two tokens."""
    words = [(0,), *((a, b) for a in (1, 2) for b in (0, 1, 2))]
    assert len(page["words"].rewards) == len(words) == 7
    value = sum(Fraction(1, 3 ** len(w)) for w in words if w[-1] == 0)
    assert value == Fraction(5, 9)
    assert page["outcomes"].value == pytest.approx(5 / 9)


def test_the_coin_in_fractions(page):
    """RLOO with three draws: the average over pairs of (r_i - r_j) (g_i - g_j) / 2."""
    p = [Fraction(1, 3), Fraction(2, 3)]
    r, g = [1, 0], [Fraction(2, 3), Fraction(-1, 3)]
    first = second = Fraction(0)
    for group in itertools.product(range(2), repeat=3):
        chance = p[group[0]] * p[group[1]] * p[group[2]]
        pairs = [(r[i] - r[j]) * (g[i] - g[j]) / 2 for i, j in itertools.combinations(group, 2)]
        estimate = sum(pairs) / 3
        first, second = first + chance * estimate, second + chance * estimate**2
    exact = page["exact"]
    assert exact.mean[0] == exact.gradient[0] == first == Fraction(2, 9)
    assert exact.variance == second - first**2
    assert f"2/9 2/9 {exact.variance}" in PAGE


def test_variance_splits_and_baseline(page):
    noise = page["noise"]
    assert noise.within + noise.between == pytest.approx(np.trace(noise.covariance))
    p = np.array([0.2, 0.3, 0.5])
    norms = 1 - 2 * p + p @ p
    assert page["best"] == pytest.approx(p[0] * norms[0] / (p @ norms))
    assert f"# {page['best']:.3f} against" in PAGE


def test_the_step_gains_and_twice_the_step_does_not(page):
    assert page["step"] > 0
    gain = page["guaranteed_gain"](step=page["step"], **page["known"])
    twice = page["guaranteed_gain"](step=2 * page["step"], **page["known"])
    assert gain > 0
    assert abs(twice) < 1e-12 * gain


def test_added_gates_and_parametrisations(page):
    assert page["off"].method == "closed"
    hot, t = page["hot"], np.array([0.5])
    difference = (hot.value(t + 1e-6) - hot.value(t - 1e-6)) / 2e-6
    assert page["slope"][0] == pytest.approx(difference, rel=1e-6)
    assert page["slope"][0] < 0


def test_learning_improves(page):
    for run in (page["whole"], page["plain"]):
        assert run.values.shape == (30, 101)
        assert np.all(run.values[:, 0] == run.values[0, 0])
        assert run.values[:, -1].mean() > run.values[0, 0]


def table_rows(heading):
    """The rows of the first table under a heading, lists of cells."""
    lines = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0].splitlines()
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in lines if line[:1] == "|"]
    return rows[2:]


def test_the_table_of_estimators_is_the_librarys():
    rows = table_rows("The estimators")
    assert [row[0].strip("`") for row in rows] == list(ESTIMATORS)
    model = token_tree(2, 3, lambda prompt, word: float(sum(word) == 1), end_token=1)
    point, other = np.random.default_rng(0).normal(size=(2, model.size))
    stay = re.search(r"on policy; (.*?) stay so off policy", PAGE, re.DOTALL)[1]
    stay = set(re.findall(r"`(.*?)`", stay))
    for name, _, normalisation, gate, unbiased, fractions in rows:
        estimator = ESTIMATORS[name.strip("`")]
        assert normalisation == estimator.normalisation
        assert gate == estimator.gate.name
        assert fractions == ("yes" if estimator.rational else "no")
        found = estimator_moments(model, estimator, parameters=point, group_size=3)
        assert unbiased == ("yes" if np.abs(found.bias).max() < 1e-12 else "no")
        off = estimator_moments(model, estimator, parameters=point, behaviour=other, group_size=3)
        assert (estimator.name in stay) == (np.abs(off.bias).max() < 1e-12)


def test_closed_forms_are_those_named():
    named = PAGE.split("less a sum over the others (")[1].split(")")[0]
    pairwise = {name for name, e in ESTIMATORS.items() if e.pairwise is not None}
    assert set(re.findall(r"`(.*?)`", named)) == pairwise - {"dr-grpo"}


def test_modules_of_the_zoo_exist():
    names = [name for row in table_rows("The zoo") for name in re.findall(r"`(.*?)`", row[0])]
    assert len(names) > 15
    for name in names:
        assert importlib.import_module(f"rltheory.{name}").__doc__
