"""What the page on agnostic learning shows runs, and comes out as it says."""

import itertools
import re
from fractions import Fraction
from math import comb, log, sqrt

import doc_pages
import numpy as np
import pytest

from rltheory.tabular.agnostic import PolicyClass, class_values, occupancies
from rltheory.tabular.agnostic.capacity import spanning_capacity

PAGE = doc_pages.read("agnostic.md")


@pytest.fixture(scope="module")
def page():
    """The names that the page's blocks leave, run one after another."""
    return doc_pages.run(PAGE, "docs/agnostic.md")


def test_every_block_of_the_page_is_run():
    doc_pages.check_fences(PAGE, ("python",))


def lock_value(secret, policy):
    """What a policy (H, 2) earns on the lock of the page."""
    good = 0
    for h, action in enumerate(secret):
        good = max(good, int(policy[h, 0] != action))
        if good:
            return 0
    return 1


def test_the_lock_opens_to_one_plan(page):
    earned = [lock_value(page["secret"], policy) for policy in page["plans"].table]
    assert page["found"].values.tolist() == earned
    assert sum(earned) == 1
    assert page["exact"].best_value == 1
    assert page["exact"].approximation_gap == 0
    assert isinstance(page["exact"].best_value, Fraction)
    assert (page["poor"].best_value, page["poor"].approximation_gap) == (0, 1)


@pytest.mark.parametrize(("horizon", "states"), [(1, 1), (2, 2), (3, 2), (2, 3)])
def test_the_table_of_classes_counts_right(horizon, states):
    """Sizes as the table has them, and no policy twice."""
    sizes = {"horizon": horizon, "states": states}
    counts = {
        "constant": (PolicyClass.constant(**sizes, actions=3), 3),
        "singletons": (PolicyClass.singletons(**sizes), horizon * states),
        "l_tons": (
            PolicyClass.l_tons(2, **sizes),
            sum(comb(horizon * states, k) for k in range(3)),
        ),
        "one_active": (PolicyClass.one_active(**sizes), 2**horizon),
        "all_active": (PolicyClass.all_active(**sizes), 1 + states * (2**horizon - 1)),
        "open_loop": (PolicyClass.open_loop(**sizes, actions=3), 3**horizon),
        "tabular": (PolicyClass.tabular(**sizes), 2 ** (horizon * states)),
    }
    named = re.findall(r"^\| `(\w+)\(", PAGE.split("## What a class costs")[0], flags=re.MULTILINE)
    assert set(counts) <= set(named)
    for policies, count in counts.values():
        assert len(policies) == count == len({p.tobytes() for p in policies.table})


def reached_by_brute_force(table, actions):
    """The most pairs of each layer that policies (P, H, 2) reach, over deterministic MDPs."""
    count, horizon, states = table.shape
    kernels = np.array(list(itertools.product(range(states), repeat=states * actions)))
    kernels = kernels.reshape(-1, states, actions)
    most = np.zeros(horizon, dtype=int)
    worlds = np.repeat(np.arange(states)[:, None], count, axis=1)  # where each policy is
    for h in range(horizon):
        taken = table[np.arange(count), h, worlds]
        cells = worlds * actions + taken
        most[h] = max(len(set(row)) for row in cells.tolist())
        # What follows depends on where policies are, so equal places are one world.
        after = kernels[:, worlds, taken].reshape(-1, count)
        worlds = np.unique(after, axis=0)
    return most


def test_the_capacity_is_that_of_all_deterministic_mdps(page):
    most = reached_by_brute_force(np.asarray(page["plans"].table, dtype=int), 2)
    spanned = page["spanned"]
    assert spanned.exact
    assert spanned.value == most.max() == 3
    assert spanned.by_layer.tolist() == most.tolist()
    assert f"# {spanned}: of 16" in PAGE
    assert page["reachable_pairs"](spanned.mdp, page["plans"])[spanned.layer].sum() == 3


@pytest.mark.parametrize(("horizon", "states"), [(1, 2), (3, 2), (3, 4), (4, 3), (2, 4)])
def test_the_table_of_capacities(horizon, states):
    sizes = {"horizon": horizon, "states": states}
    split = min(horizon, states) + 1
    full = min(2**horizon, 2 * states)
    expected = [(PolicyClass.constant(**sizes, actions=3), 3)]
    expected += [(PolicyClass.singletons(**sizes), split), (PolicyClass.one_active(**sizes), split)]
    expected += [(PolicyClass.open_loop(**sizes), full)]
    if horizon * states <= 8:
        expected += [(PolicyClass.tabular(**sizes), full)]
    if states > horizon:
        expected += [(PolicyClass.all_active(**sizes), 1 + horizon * (horizon + 1) // 2)]
        for ones in (1, 2):
            most = sum(comb(horizon, i) for i in range(ones + 1))
            expected += [(PolicyClass.l_tons(ones, **sizes), most)]
    for policies, value in expected:
        found = spanning_capacity(policies)
        assert (found.lower, found.upper) == (value, value)


def test_coverage_is_a_sum_of_maxima(page):
    visits = occupancies(page["lock"], page["plans"], arithmetic="rational")
    sums = [sum(max(visits[:, h, s, a]) for s in range(2) for a in range(2)) for h in range(4)]
    covered = page["covered"]
    assert list(covered.by_layer) == sums == [2, 3, 3, 3]
    assert covered.value == 3
    assert "# 3, and by layer 2 3 3 3" in PAGE
    for h in range(4):
        assert sum(covered.mu[h].ravel()) == 1
        assert all(3 * covered.mu[h, s, a] >= max(visits[:, h, s, a]) for s, a in np.ndindex(2, 2))
    # Some plan is at a state for sure, of which the uniform distribution has half.
    assert visits.sum(axis=3).max() == 1


def consistent(policy, start, states, others):
    """Whether one of the others takes a policy's actions along states from a step on."""
    steps = start + np.arange(len(states))
    return any(np.array_equal(policy[steps, states], other[steps, states]) for other in others)


def least_petals(policies, core, closed):
    """The least D by trying all sets of petals, or None."""
    horizon, states = policies.shape[1:]
    cells = list(itertools.product(range(horizon), range(states)))
    worst = 0
    for policy in policies:
        lacking = []
        for start in range(horizon):
            for length in range(1, horizon - start + 1):
                for path in itertools.product(range(states), repeat=length):
                    if not consistent(policy, start, list(path), core):
                        met = [(start + i, s) for i, s in enumerate(path)]
                        lacking.append(set(met if closed else met[1:]))
        sizes = [
            size
            for size in range(len(cells) + 1)
            for petals in itertools.combinations(cells, size)
            if all(found & set(petals) for found in lacking)
        ]
        if not sizes:
            return None
        worst = max(worst, sizes[0])
    return worst


def test_sunflowers_by_trying_all_petals(page):
    singles = page["singles"].table
    zero = page["zero"]
    assert least_petals(singles, page["flower"].core.table, closed=False) == 0
    assert (page["flower"].core_size, page["flower"].petal_count) == (4, 0)
    assert least_petals(singles, zero, closed=False) is None
    assert page["minimal_petals"](page["singles"], zero) is None
    assert least_petals(singles, zero, closed=True) == 1
    closed = page["minimal_petals"](page["singles"], zero, interval="closed")
    assert closed.petal_count == 1


def test_access_counts_as_stated(page):
    access = page["access"]
    assert (access.episodes, access.steps, access.resets, access.samples) == (10, 70, 10, 80)


def test_trees_and_weights(page):
    grown = page["grown"]
    assert grown.repetitions == int(np.ceil(2 * log(2 * 16 / 0.1) / 0.5**2))
    assert grown.samples == grown.nodes.sum() + grown.repetitions
    assert f"# True {grown.repetitions} {grown.samples}" in PAGE
    assert grown.nodes.max() == page["spanned"].value
    assert grown.best == page["found"].best == page["weighed"].best
    assert page["importance_variance"](page["lock"], page["plans"]).max() == 2**4 - 1
    assert page["weighed"].deviation < sqrt(2**4)


def test_popler_and_psdp(page):
    """The failure by hand: what is kept last scores more under the resets, and is worth nothing."""
    assert page["grown_online"].best == page["found"].best
    assert page["played"].episodes == 2000 * (1 + len(page["grown_online"].identified))
    mdp, reset = page["failure"].mdp, page["failure"].reset
    tables = page["failure"].policies.table
    scores = [
        sum(reset[1, s] * mdp.rewards[1, s, policy[1, s]] for s in (0, 1)) for policy in tables
    ]
    kept = tables[int(np.argmax(scores))][1]
    after = [mdp.rewards[1, s, kept[s]] for s in (0, 1)]
    first = mdp.transitions[0, 0] @ after
    assert first[tables[:, 0, 0]].max() == page["policy_value"](mdp, page["searched"].policy) == 0
    assert page["failure"].best_value == 1
    assert page["completeness_gap"](mdp, page["failure"].policies) > 0


def test_emulators(page):
    """Ratios by the kernels of the observed MDP themselves."""
    mdp, reset = page["seen_by"], page["block"].reset
    ratios = [mdp.initial / reset[0]]
    ratios += [mdp.transitions[h] / reset[h + 1] for h in range(3)]
    assert max(r.max() for r in ratios) == pytest.approx(2)
    truth = class_values(mdp, page["candidates"]).values
    emulated = page["learnt"].emulator.values(page["candidates"])
    error = page["emulator_error"](mdp, page["candidates"], page["learnt"].emulator)
    assert error == np.abs(truth - emulated).max()
    assert truth[page["learnt"].best] == 1


def test_locks(page):
    for horizon in (4, 8, 16):
        assert page["lock_roll_outs"](horizon) == 2**horizon // 2 - 1
        each = page["backward_calls"](horizon) * 2 // (horizon * (horizon + 1))
        some = [1 - (1 - Fraction(3, 4) ** n) ** horizon for n in (each - 1, each)]
        assert some[1] <= Fraction(1, 2) < some[0]


def test_what_the_reader_adds(page):
    assert (len(page["steps"]), len(page["steps"].layer_product())) == (3, 81)
    assert page["budget"].episodes == 80
    assert page["best"] == page["found"].best
    with pytest.raises(RuntimeError, match="80 of 100 episodes are gone; 21 wanted"):
        page["budget"].run(page["plans"].table[0], 21)
