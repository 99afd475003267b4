"""The pages on papers: their blocks run, and what they list is what the records and figures say."""

import importlib
import re

import doc_pages
import numpy as np
import pytest

from rltheory import games, linear_mdp
from rltheory.paper_figures.registry import figures
from rltheory.theory import theorems
from rltheory.theory.sides import compare
from rltheory.theory.tape import Tape

FOLDER = doc_pages.ROOT / "docs" / "papers"
PAGES = {path.stem: path.read_text() for path in sorted(FOLDER.glob("*.md"))}
NAMES = sorted(set(PAGES) - {"index"})
RECORDS = {theorem.id: theorem for theorem in theorems()}

each_page = pytest.mark.parametrize("name", NAMES)


def role(name, text):
    """Return what a page names by a role."""
    return re.findall(rf"\{{{name}\}}`(?:[^`]*<)?([^`<>]+)>?`", text)


def compared(record):
    """How the sides of a record are compared, seen on an instance."""
    if record.kind == "rate":
        return "slope"
    tapes = (Tape(seed=(seed, 7)) for seed in range(40))
    instances = (record.sample(tape, record.sizes[0]) for tape in tapes)
    instance = next(one for one in instances if record.admissible(one))
    rounding = record.rounding(instance) if record.rounding else None
    if compare(record.kind, *record.sides(instance), rounding).exact:
        return "fractions"
    return "floats" if record.rounding else "enclosures"


@pytest.fixture(scope="module")
def run():
    """The names that a page's block leaves, each page run once."""
    done = {}

    def names(page):
        if page not in done:
            done[page] = doc_pages.run(PAGES[page], f"docs/papers/{page}.md")
        return done[page]

    return names


def test_the_index_has_every_page():
    linked = re.findall(r"\]\((\w+)\.md\)", PAGES["index"])
    listed = PAGES["index"].split("{toctree}")[1].split("```")[0].split()[1:]
    assert linked == listed
    assert sorted(listed) == NAMES


@each_page
def test_every_page_has_its_parts_and_one_short_block(name):
    text = PAGES[name]
    doc_pages.check_fences(text, ("python",))
    (block,) = doc_pages.blocks(text, "python")
    assert len([line for line in block.splitlines() if line]) <= 10
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[0].startswith("What")
    assert headings[-1] == "Figures"


@each_page
def test_every_block_runs(name, run):
    assert run(name)


@each_page
def test_what_is_named_exists(name):
    text = PAGES[name]
    assert set(role("theorem", text)) <= set(RECORDS)
    assert set(role("figure-page", text)) <= {figure.name for figure in figures()}


@each_page
def test_the_tables_say_what_the_records_say(name):
    rows = re.findall(
        r"^\| (?:\{theorem\})?`([^`]+)` \| (.*) \| (\w+), (\w+) \|$", PAGES[name], re.MULTILINE
    )
    assert rows or name == "policy_gradient_zoo"
    for theorem, title, kind, sides in rows:
        record = RECORDS[theorem]
        found = (record.title.replace("|", r"\|"), record.kind, compared(record))
        assert (title, kind, sides) == found, theorem


def test_blocks_of_games_report_exact_exploitability(run):
    page = run("vad_cfr_shor_psro")
    assert page["run"].exploitability[-1] == games.exploitability(page["game"], page["run"].average)
    assert run("wop_cfr")["run"].exploitability[-1] < 1e-2
    pm = games.psro(run("pm_psro")["kuhn"], "pm", iterations=20)
    # The meta-strategy loses in the whole game at least what it loses among the policies found.
    assert pm.exploitability[-1] >= pm.restricted_gap[-1] - 1e-12


def test_mirror_steps_of_the_largest_size_are_the_closed_form(run):
    page = run("dr_rpo")
    closed, mirror = page["closed"].learnt.policy, page["mirror"].learnt.policy
    np.testing.assert_allclose(closed, mirror, atol=1e-9)


def test_learnt_policies_are_no_better_than_planned_ones(run):
    page = run("dr_lsvi_ucb")
    best = linear_mdp.plan(page["model"])
    assert page["run"].values.lower[-1] <= best.upper[0, 0]
    page = run("r2pvi")
    found = linear_mdp.plan(page["priced"], policy=page["learnt"].policy)
    assert found.lower[0, 0] <= linear_mdp.plan(page["priced"]).upper[0, 0]


def test_iwocs_meets_robust_value_iteration(run):
    page = run("iwocs")
    found, robust = page["iwocs"](page["mdp"], page["TotalVariation"](0.1)), page["robust"]
    assert found.converged
    assert found.lower <= page["mdp"].initial @ robust.upper
    assert page["mdp"].initial @ robust.lower <= found.upper


def test_singletons_span_one_more_than_the_horizon(run):
    page = run("agnostic")
    assert page["spanned"].value == 4
    assert page["coverability"](page["spanned"].mdp, page["singles"]).value == 4
    assert page["grown"].nodes.max() <= 4


def test_the_emulator_errs_by_no_more_than_returns(run):
    page = run("policy_emulator")
    observed, candidates = page["block"].observed(), page["candidates"]
    assert 0 <= page["emulator_error"](observed, candidates, page["learnt"].emulator) <= 1
    assert page["hybrid"].samples > 0


def test_only_optimism_opens_the_lock(run):
    page = run("actor_critics")
    assert page["nora"](page["lock"], episodes=4000, seed=0).suboptimality[-1] < 1e-9
    assert page["run"].suboptimality[-1] > 0.5


def test_optimal_baselines_are_unbiased(run):
    page = run("oblr_po")
    assert page["name"] == "optimal"
    assert np.abs(page["found"].bias).max() < 1e-15


def test_of_the_gates_only_the_ratio_is_unbiased_off_policy(run):
    page = run("policy_gradient_zoo")
    for name in ("rloo", "grpo", "gspo", "sapo", "dapo"):
        found = page["estimator_moments"](page["bandit"], name, **page["settings"])
        assert (np.abs(found.bias).max() < 1e-14) == (name == "rloo")


def test_modules_of_the_zoo_exist():
    text = PAGES["policy_gradient_zoo"]
    named = re.findall(r"`((?:zoo|tabular)\.\w+)`", text)
    assert len(named) > 12
    for name in named:
        module = name.replace("zoo.", "analysis.zoo.")
        assert importlib.import_module(f"rltheory.{module}").__doc__


def test_a_kullback_leibler_ball_within_a_ball_of_total_variation_costs_less(run):
    page = run("robust_mdps")
    kl, tv = page["KullbackLeibler"](0.02), page["TotalVariation"](0.1)
    milder, harsher = (page["robust_value_iteration"](page["river"], ball) for ball in (kl, tv))
    assert np.all(harsher.lower <= milder.upper)
    # A shared radius hurts less: the last run is s-rectangular.
    assert np.all(milder.lower <= page["solved"].upper)


def test_exploitabilities_of_the_family_are_exact(run):
    page = run("cfr_family")
    found = games.exploitability(page["game"], page["run"].average)
    assert page["run"].exploitability[-1] == found < 0.01
    assert page["sampled"].exploitability[-1] > found


def test_growing_steps_end_nearer_to_the_optimum(run):
    page = run("policy_optimisation")
    assert page["growing"].gap < 1e-3 * page["natural"].gap
    for path in (page["natural"], page["growing"], page["soft"]):
        # Values never fall; 1e-12 is far above their roundings.
        assert np.all(np.diff(path.values) >= -1e-12)
