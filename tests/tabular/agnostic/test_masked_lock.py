"""The masked lock: what resets tell exactly, and a hybrid learner that counts its samples."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.analysis.rational import to_fractions
from rltheory.tabular.agnostic import Hybrid, class_values, occupancies
from rltheory.tabular.agnostic.families import lock_success
from rltheory.tabular.agnostic.masked_lock import hybrid_failure, masked_lock, masked_success

LOCKS = (st.integers(1, 4), st.integers(2, 3), st.sampled_from([1, 2]), st.integers(0, 2**32))


@settings(max_examples=10, deadline=None)
@given(*LOCKS)
def test_one_plan_alone_opens_it(horizon, actions, copies, seed):
    lock = masked_lock(horizon, actions=actions, copies=copies, seed=seed)
    found = class_values(lock.mdp, lock.policies, arithmetic="rational")
    want = [Fraction(0)] * actions**horizon
    want[lock.best] = lock.best_value
    assert found.values.tolist() == want
    assert found.optimal == 1


@settings(max_examples=10, deadline=None)
@given(*LOCKS)
def test_whatever_is_played_from_a_reset_pays_half_of_the_time(horizon, actions, copies, seed):
    lock = masked_lock(horizon, actions=actions, copies=copies, seed=seed)
    transitions, rewards = to_fractions(lock.mdp.transitions), to_fractions(lock.mdp.rewards)
    for plan in product(range(actions), repeat=horizon):
        values = np.zeros(lock.mdp.states, dtype=object)
        for h in reversed(range(horizon)):
            values = rewards[h, :, plan[h]] + transitions[h, :, plan[h]] @ values
            assert set(values) <= {0, 1}
            assert to_fractions(lock.reset[h]) @ values == Fraction(1, 2)


@settings(max_examples=10, deadline=None)
@given(*LOCKS)
def test_coverage_is_bounded(horizon, actions, copies, seed):
    lock = masked_lock(horizon, actions=actions, copies=copies, seed=seed)
    found = occupancies(lock.mdp, lock.policies)
    assert found.max(axis=0).sum(axis=(1, 2)).max() == pytest.approx(lock.coverability)
    ratio = found.sum(axis=3).max(axis=0) / lock.reset
    assert ratio.max() == pytest.approx(lock.concentrability)
    if horizon > 1:
        pushed = lock.mdp.transitions[:-1] / lock.reset[1:, None, None, :]
        assert pushed.max() == pytest.approx(lock.concentrability)


def test_no_plan_is_greedy_at_good_and_mirror():
    lock = masked_lock(2, seed=1)
    worth = lock.mdp.rewards[-1]
    greedy = [(worth[:, a] >= worth.max(axis=1)).all() for a in range(2)]
    assert not any(greedy)


def search(access, lock, draws):
    """Hybrid search from the last two layers on; None where no draw was good or mirror."""
    horizon, actions, states = lock.mdp.horizon, lock.mdp.actions, lock.mdp.states
    plan = np.zeros(horizon, dtype=int)

    def table(tail):
        full = plan.copy()
        full[horizon - len(tail) :] = tail
        return np.repeat(full[:, None], states, axis=1)

    def play(h, x, tail):
        return access.run_from(h, np.array([x]), table(tail)).returns[0] == 1

    for h in reversed(range(horizon - 1)):
        drawn = access.run_from_reset(h, table([]), draws).states[:, 0]
        for x in drawn:
            if h == horizon - 2:
                tails = list(product(range(actions), repeat=2))
                paid = np.array([play(h, x, tail) for tail in tails])
                if paid.sum() in (1, len(paid) - 1):
                    plan[h:] = tails[int(np.argmax(paid == (paid.sum() == 1)))]
                    break
            else:
                known = plan[h + 1 :].tolist()
                paid = np.array([play(h, x, [a, *known]) for a in range(actions)])
                other = [0, (known[0] + 1) % actions, *known[1:]]
                if 0 < paid.sum() < actions:
                    plan[h] = int(np.argmax(paid != play(h, x, other)))
                    break
        else:
            return None
    return plan


def test_hybrid_search_fails_as_often_as_the_formula_says():
    horizon, draws, runs, failed = 4, 2, 500, 0
    for seed in range(runs):
        lock = masked_lock(horizon, seed=seed)
        access = Hybrid(lock.mdp, lock.reset, seed=seed)
        plan = search(access, lock, draws)
        if plan is None:
            failed += 1
        else:
            np.testing.assert_array_equal(plan, lock.secret)
        # A draw is a reset with a roll-out, and so is every play from it.
        assert access.resets <= draws * (horizon - 1 + 4 + (horizon - 2) * 3)
    want = float(hybrid_failure(horizon, draws))
    # Five standard deviations of a binomial count.
    assert abs(failed / runs - want) < 5 * np.sqrt(want * (1 - want) / runs)


def test_resets_cost_only_the_chance_that_observations_come_back():
    assert masked_success(5, 3, resets=10**6) == lock_success(5, 3)
    assert masked_success(9, 3, resets=2, copies=10**4) == Fraction(4, 512) + Fraction(90, 10**4)
    assert masked_success(2, 9) == 1


def test_bad_arguments_are_named():
    for name in ("horizon", "actions", "copies"):
        with pytest.raises(ValueError, match=name):
            masked_lock(**({"horizon": 2, "seed": 0} | {name: 0}))
    with pytest.raises(ValueError, match="resets is -1"):
        masked_success(2, 1, resets=-1)
    with pytest.raises(ValueError, match="copies"):
        masked_success(2, 1, copies=0)
    with pytest.raises(ValueError, match="horizon is 1"):
        hybrid_failure(1, 2)
    with pytest.raises(ValueError, match="draws"):
        hybrid_failure(2, 0)
