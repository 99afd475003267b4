"""What the page on actor-critics shows runs, and comes out as it says."""

import importlib
import re
from fractions import Fraction

import doc_pages
import numpy as np
import pytest

from rltheory.linear_mdp import function_classes
from rltheory.linear_mdp.environments import actor_critic_worlds, hard_families

PAGE = doc_pages.read("actor_critic.md")


@pytest.fixture(scope="module")
def page():
    """The names that the page's blocks leave, run one after another."""
    return doc_pages.run(PAGE, "docs/actor_critic.md")


def test_every_block_of_the_page_is_run():
    doc_pages.check_fences(PAGE, ("python",))


def test_the_lock_opens_to_optimism_only(page):
    """Backward induction by hand: right actions pay 1 in the end, all else the distractor."""
    lock, run = page["lock"], page["run"]
    values = np.zeros(lock.states)
    for h in reversed(range(lock.horizon)):
        values = (lock.rewards[h] + lock.transitions[h] @ values).max(axis=1)
    assert run.optimum == lock.initial @ values == 1.0
    assert run.suboptimality[-1] == pytest.approx(0, abs=1e-12)
    assert f"{len(run.switches)} switches of the critic" in PAGE
    # The distractor pays 0.1 and the policy that takes it never opens the lock.
    assert page["blind"].suboptimality[-1] == pytest.approx(0.9, abs=1e-6)
    assert lock.rewards[0].max() == 0.1


def value_of(mdp, policy):
    """The value of a randomised policy (H, S, A), by a forward sum over occupancies."""
    here, total = np.asarray(mdp.initial), 0.0
    for h in range(mdp.horizon):
        both = here[:, None] * policy[h]
        total += (both * mdp.rewards[h]).sum()
        here = np.einsum("sa,sat->t", both, mdp.transitions[h])
    return total


def test_regret_is_that_of_the_policies_played(page):
    """The last policy's value anew; regret grows by what each policy loses."""
    run, lock = page["run"], page["lock"]
    assert value_of(lock, run.policy) == pytest.approx(run.values[-1], abs=1e-12)
    assert run.regret[-1] == pytest.approx(4000 - run.values.sum(), rel=1e-12)
    assert page["hybrid"].regret[-1] < run.regret[-1] / 50
    few = np.zeros(lock.transitions.shape)
    rng = np.random.default_rng(0)
    for h, s, a in np.ndindex(lock.rewards.shape):
        few[h, s, a] = rng.multinomial(10, lock.transitions[h, s, a])
    harmed = page["nora"](lock, episodes=4000, seed=0, offline=few)
    assert harmed.regret[-1] > run.regret[-1]


def test_data_decide_without_optimism(page):
    """The expert's data open the lock; without any the distractor is kept, 0.9 below, for ever."""
    assert page["expert"].visits[0].sum() == 200
    assert page["warm"].regret[-1] == pytest.approx(0, abs=1e-9)
    assert page["cold"].regret[-1] == pytest.approx(100 * 0.9)
    uniform = np.full(page["lock"].rewards.shape, 1 / 3)
    assert page["alone"].values[0] == pytest.approx(value_of(page["lock"], uniform))
    assert page["alone"].values[-1] > 0.9


def test_those_that_refresh_always_learn_sooner(page):
    regrets = page["regrets"]
    assert max(regrets["DOUHUA"], regrets["UCBVI-CH"]) < min(regrets["NORA"], regrets["rare UCBVI"])


def test_functions_of_the_tables_exist():
    named = re.findall(r"^\| `(\w+)\.(\w+)`", PAGE, flags=re.MULTILINE)
    assert len(named) == 8
    for module, name in named:
        found = importlib.import_module(f"rltheory.linear_mdp.actor_critic.{module}")
        assert callable(getattr(found, name))
    table = PAGE.split("## Function classes")[1].split("## Add")[0]
    names = [
        n
        for row in re.findall(r"^\| (.*?) \|", table, flags=re.MULTILINE)
        for n in re.findall(r"`(\w+)", row)
    ]
    assert len(names) == 8
    assert all(callable(getattr(function_classes, name)) for name in names)
    for name in ("two_thread_lock", "episodic_river", "block_game", "needle"):
        assert f"`{name}`" in PAGE
        assert callable(getattr(actor_critic_worlds, name))
    hard = PAGE.split("| where the gap is |")[1].split("```")[0]
    for name in re.findall(r"^\| `(\w+)`", hard, flags=re.MULTILINE):
        assert callable(getattr(hard_families, name))


def test_the_class_is_complete_and_the_holes_are_holes(page):
    """Images under the optimality operator, in Fractions."""
    mdp, table = page["small"], page["functions"].table
    exact = np.vectorize(Fraction, otypes=[object])
    rewards, kernels = exact(mdp.rewards), exact(mdp.transitions)

    def complete(members):
        for h in range(3):
            layer = {tuple(exact(f[h]).ravel()) for f in members}
            after = (
                [exact(f[h + 1]).max(axis=1) for f in members] if h < 2 else [exact(np.zeros(3))]
            )
            images = [rewards[h] + (kernels[h] * v).sum(axis=2) for v in after]
            if any(tuple(image.ravel()) not in layer for image in images):
                return False
        return True

    assert complete(table)
    holes = [k for k in range(12) if not complete(np.delete(table, k, axis=0))]
    assert page["holes"] == holes


def test_the_eluder_dimension_is_that_of_all_sequences(page):
    """Over all orders of the members' greedy policies, as tests of Bellman errors at one step."""
    mdp, table = page["small"], page["functions"].table
    best = 0
    for h in range(3):
        rows, visits = [], []
        for f in table:
            after = f[h + 1].max(axis=1) if h < 2 else np.zeros(3)
            rows.append((f[h] - mdp.rewards[h] - mdp.transitions[h] @ after).ravel())
            here = np.asarray(mdp.initial)
            for j in range(h + 1):
                both = here[:, None] * np.eye(2)[f[j].argmax(axis=1)]
                here = np.einsum("sa,sat->t", both, mdp.transitions[j])
            visits.append(both.ravel())
        # What is equal is one test, or one error.
        expectations = np.unique(np.array(visits), axis=0) @ np.unique(np.array(rows), axis=0).T
        best = max(best, longest(expectations, 0.1))
    found = page["classes"].bellman_eluder(mdp, page["functions"], 0.1)
    assert (found.lower, found.upper) == (best, best)
    assert f"# a dimension of {best}" in PAGE


def longest(table, eps):
    """The longest sequence of tests each independent of those before, at one scale from eps up."""
    scales = {x for x in np.abs(table).ravel() if x > eps} | {eps * (1 + 1e-9)}
    return max(extended(table, scale * (1 - 1e-9), []) for scale in scales)


def extended(table, level, before):
    """The greatest length to which a sequence can be extended, by trying every next test."""
    free = (table[before] ** 2).sum(axis=0) <= level**2
    following = np.flatnonzero((np.abs(table[:, free]) > level).any(axis=1))
    return max((extended(table, level, [*before, k]) for k in following), default=len(before))


def test_what_a_fixed_critic_costs(page):
    f = page["f"]
    for eta in (0.1, 1.0, 10.0):
        policy = np.full(4, 0.25)
        for _ in range(20):
            policy = policy * np.exp(eta * f)
            policy /= policy.sum()
        assert f.max() - policy @ f <= np.log(4) / (20 * eta)


def test_what_the_reader_adds(page):
    assert page["found"].algorithm == "lazy"
    assert len(page["found"].switches) == 4000 // 20
    assert page["found"].suboptimality[-1] == pytest.approx(0, abs=1e-6)
    assert "lazy 200 0.0" in PAGE
    assert page["runs"][0].episodes == 2000
    assert 0 < page["fitted"].slope < 1


def test_a_rate_is_fitted_to_runs_of_their_own_worlds(page):
    """The last one anew; the slope by NumPy's polynomials."""
    lock, totals, losses = page["hard"], page["totals"], page["losses"]
    run = page["nora"](lock, scale=0.1, episodes=4000, seed=11)
    assert run.optimum == pytest.approx(0.5 + np.sqrt(6 / 4000), rel=1e-12)
    assert losses[11, 3] == run.regret[-1]
    slope = np.polyfit(np.log(totals), np.log(losses.mean(axis=0)), 1)[0]
    assert page["rate"].slope == pytest.approx(slope, rel=1e-9)
    assert page["cube"].actions == 8
    assert page["cube"].dimension == 5
