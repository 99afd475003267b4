"""What the pages on adding to the library show runs, and does what they say."""

import contextlib
import importlib
import itertools
import json
import re
from fractions import Fraction
from math import comb
from pathlib import Path

import doc_pages
import numpy as np
import pytest

from rltheory import games, linear_mdp
from rltheory.games.regret import variant
from rltheory.tabular import robust_value_iteration, value_iteration
from rltheory.theory.tape import Tape

FOLDER = doc_pages.ROOT / "docs" / "how_to_add"
PAGES = {path.stem: path.read_text() for path in sorted(FOLDER.glob("*.md"))}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The names that a page's blocks leave, each page run once."""
    done = {}

    def names(page):
        if page not in done:
            with contextlib.chdir(tmp_path_factory.mktemp(page)):
                done[page] = doc_pages.run(PAGES[page], f"docs/how_to_add/{page}.md")
                done[page]["folder"] = Path.cwd()
        return done[page]

    return names


def test_every_page_is_linked_and_every_block_is_run():
    listed = re.findall(r"\]\((\w+)\.md\) \|$", PAGES["index"], re.MULTILINE)
    assert {*listed, "index"} == set(PAGES)
    for name in listed:
        doc_pages.check_fences(PAGES[name], ("python",))


def test_files_that_pages_name_exist():
    for text in PAGES.values():
        for path in re.findall(r"`((?:\w+/)+(?:\w+\.py)?)`", text):
            assert (doc_pages.ROOT / path).exists(), path


def test_blurred_rows_are_mixtures(run):
    """Both ends of the weight are tried: the inner problem is linear in it."""
    blur = run("uncertainty_set")["Blur"](0.2)
    generator = np.random.default_rng(0)
    for _ in range(20):
        row, values = generator.dirichlet(np.ones(5)), generator.normal(size=5)
        expected = min(row @ values, 0.8 * (row @ values) + 0.2 * values.mean())
        found = blur.expectation_bounds(values, row)
        assert found.lower <= expected <= found.upper
        _, member = blur.worst_case(values, row)
        assert member @ values == pytest.approx(expected, abs=1e-14)
        assert member.sum() == pytest.approx(1, abs=1e-14)
    nominal = value_iteration(run("uncertainty_set")["river"])
    assert np.all(run("uncertainty_set")["solved"].lower <= nominal.upper)


def test_blurring_every_row_by_hand_is_no_worse_than_the_set(run):
    page = run("uncertainty_set")
    river = page["river"].to_dense()
    exact = robust_value_iteration(river, page["Blur"](0.2))
    sparse = robust_value_iteration(page["river"], page["Blur"](0.2))
    assert np.all(sparse.lower <= exact.upper)
    assert np.all(exact.lower <= sparse.upper)
    for weight in (0.0, 0.1, 0.2):
        mixed = (1 - weight) * river.transitions + weight / river.states
        assert np.all(value_iteration(river.replace(transitions=mixed)).upper >= exact.lower)
    shared = page["solved"]  # one radius for all actions of a state hurts less
    assert np.all(shared.upper >= exact.lower)


def test_blurred_factors_attain_what_is_planned(run):
    page = run("uncertainty_set")
    model, planned = page["world"], page["planned"]
    generator = np.random.default_rng(0)
    horizon, factors, states = model.measures.shape
    for _ in range(20):
        weight = 0.2 * generator.random((horizon, factors, 1))
        mixed = (1 - weight) * model.measures + weight / states
        assert np.all(
            linear_mdp.plan(model.replace(measures=mixed, fail_state=None)).upper >= planned.lower
        )
    worst = model.replace(measures=planned.worst_measures, fail_state=None)
    attained = linear_mdp.plan(worst, policy=planned.policy)
    assert np.all(attained.lower <= planned.upper)
    assert np.all(attained.upper >= planned.lower)


@pytest.mark.parametrize(("periods", "inspections"), [(2, 1), (3, 1), (4, 1), (4, 2), (5, 3)])
def test_inspection_has_dreshers_value(run, periods, inspections):
    game = games.from_tree(games.build_tree(run("game")["Inspection"](periods, inspections)))
    bounds = games.sequence_form_nash(game).bounds
    total = sum(comb(periods, k) for k in range(inspections + 1))
    assert bounds.lower <= -comb(periods - 1, inspections) / total <= bounds.upper


@pytest.mark.parametrize("bet", [0.5, 1.0, 2.0])
def test_bluffing_is_worth_what_theory_says_in_both_forms(run, bet):
    rules = run("game")["Bluff"](bet)
    factored = games.build_factored(rules)
    tree = games.from_tree(games.build_tree(games.Unfolded(rules)))
    for game in (factored, tree):
        bounds = games.sequence_form_nash(game).bounds
        assert bounds.lower <= bet / (2 + bet) <= bounds.upper
    np.testing.assert_array_equal(factored.form.first, tree.form.first)
    assert tuple(factored.infoset_labels) == tuple(tree.infoset_labels)


def test_the_variant_is_what_its_functions_say(run):
    """After one iteration CFR+'s strategies are in the ratio of regrets, its own of squares."""
    page = run("cfr_variant")
    game, sharp = games.load("matching_pennies", form="tree"), page["sharp"]
    start = games.cfr(game, sharp, iterations=1, alternating=False)
    # All regrets of uniform pennies are zero: play stays uniform.
    np.testing.assert_array_equal(start.current, 0.5)
    mine, plus = (
        games.cfr(page["game"], rule, iterations=1, alternating=False).current
        for rule in (sharp, "cfr_plus")
    )
    first = page["game"].form.first
    sums = np.add.reduceat(plus**2, first[:-1])
    # Both divide by a sum of at most three terms: ten roundings at most.
    np.testing.assert_allclose(mine, plus**2 / np.repeat(sums, np.diff(first)), rtol=10 * 2**-53)


def test_what_is_compiled_of_a_page_names_a_module_that_exists():
    """A process that loads it from the cache imports that module; the page is none."""
    names = {"__name__": "nowhere"}
    exec("def half(R): return R / 2\ndef regret(R, r, c, s): return half(R) + r", names)
    done = {}
    variant._compile(names["regret"], done)
    assert set(done) == {names["half"], names["regret"]}
    for compiled in done.values():
        assert importlib.import_module(compiled.py_func.__module__) is variant


def test_the_median_is_biased_by_what_enumeration_says(run):
    p, r, g = (Fraction(1, 3), Fraction(2, 3)), (1, 0), (Fraction(2, 3), Fraction(-1, 3))
    middle = Fraction(0)
    for group in itertools.product(range(2), repeat=3):
        median = sorted(r[i] for i in group)[1]
        chance = p[group[0]] * p[group[1]] * p[group[2]]
        middle += chance * sum((r[i] - median) * g[i] for i in group) / 3
    found = run("estimator")["found"]
    assert found.mean[0] == middle
    assert found.gradient[0] == Fraction(2, 9)
    assert f"{middle} 2/9: the own sample" in PAGES["estimator"]


def test_the_theorem_holds_and_its_false_variants_fall(run):
    page = run("theorem")
    assert page["result"].verdict == "holds (exact)"
    assert page["result"].control_refuted
    assert page["result"].attempt.tightness == 1
    for role in ("control", "sign", "constant"):
        assert page["falsify"](page["convex"], role=role, budget="quick")[0]
    assert page["falsify"](page["strict"], budget="quick")[0]
    # The left side is a value of the mixed model, as float value iteration encloses it.
    instance = page["sample"](Tape(seed=3), 3)
    first, second, weight = instance
    mixed = float(weight) * first.rewards + (1 - float(weight)) * second.rewards
    solved = value_iteration(first.replace(rewards=mixed))
    left, right = page["sides"](instance)
    bounds = zip(solved.lower, left, solved.upper, strict=True)
    assert all(Fraction(low) <= value <= Fraction(high) for low, value, high in bounds)
    assert np.all(left <= right)


def test_the_figure_comes_with_its_data(run):
    page = run("figure")
    assert {path.suffix for path in page["files"].values()} >= {".pdf", ".png", ".pgf", ".csv"}
    about = json.loads((page["folder"] / "pictures" / "price-by-discount.json").read_text())
    assert about["settings"]["largest"] == 0.2
    rows = page["rows"]
    assert [row["lost"] for row in rows if row["radius"] == 0] == pytest.approx([0] * 3, abs=1e-6)
    for discount in about["settings"]["discounts"]:
        lost = [row["lost"] for row in rows if row["discount"] == discount]
        assert np.all(np.diff(lost) >= -1e-7)
    said = re.search(r"discount 0.98 loses (\d+)%", about["caption"])
    assert int(said[1]) == round(100 * lost[-1])
