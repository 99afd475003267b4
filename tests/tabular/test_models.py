"""Models from elsewhere: the same values as their own library, the same bits from disk."""

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import discounted_mdps

from rltheory.tabular import DiscountedMDP, policy_iteration


@pytest.mark.parametrize("name", ["FrozenLake-v1", "CliffWalking-v1", "Taxi-v4"])
def test_gymnasium_values_satisfy_the_environments_own_table(name):
    env = gymnasium.make(name)
    mdp = DiscountedMDP.from_gymnasium(env, discount=0.95)
    values = policy_iteration(mdp).values
    assert values[-1] == pytest.approx(0, abs=1e-9)
    table = env.unwrapped.P
    for s in table:
        best = max(
            sum(p * (r + 0.95 * (0.0 if done else values[t])) for p, t, r, done in row)
            for row in table[s].values()
        )
        assert values[s] == pytest.approx(best, abs=1e-8)


def test_an_environment_without_a_table_is_refused():
    with pytest.raises(TypeError, match="no transition table"):
        DiscountedMDP.from_gymnasium(object())


@given(mdp=discounted_mdps(), sparse=st.booleans())
@settings(max_examples=25, deadline=None)
def test_npz_reads_back_the_same_bits(tmp_path_factory, mdp, sparse):
    model = mdp.to_sparse() if sparse else mdp
    path = tmp_path_factory.mktemp("npz") / "model.npz"
    model.save(path)
    back = DiscountedMDP.load(path)
    assert back.is_sparse == sparse
    assert back.to_dense().transitions.tobytes() == mdp.transitions.tobytes()
    assert back.rewards.tobytes() == mdp.rewards.tobytes()
    assert (back.discount, back.initial.tobytes()) == (mdp.discount, mdp.initial.tobytes())


def test_a_file_that_is_no_archive_is_refused_by_name(tmp_path):
    path = tmp_path / "broken.npz"
    path.write_bytes(b"PK\x03\x04 truncated")
    with pytest.raises(ValueError, match=r"broken.npz is not an MDP archive"):
        DiscountedMDP.load(path)
    np.savez(path, rewards=np.zeros((1, 1)))
    with pytest.raises(ValueError, match="no array 'discount'"):
        DiscountedMDP.load(path)


@pytest.mark.parametrize("pairs", [False, True])
def test_quantecon_problems_have_the_same_values(pairs):
    quantecon = pytest.importorskip("quantecon")
    rng = np.random.default_rng(3)
    rewards = rng.normal(size=(4, 3))
    rewards[1, 2] = -np.inf
    problem = quantecon.markov.DiscreteDP(rewards, rng.dirichlet(np.ones(4), size=(4, 3)), 0.9)
    if pairs:
        problem = problem.to_sa_pair_form(sparse=False)
    solution = policy_iteration(DiscountedMDP.from_quantecon(problem))
    np.testing.assert_allclose(solution.values, problem.solve(method="pi").v, atol=1e-9)
