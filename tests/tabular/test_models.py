"""Models from elsewhere: the same values as their own library, the same bits from disk."""

import os

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse as sp
from strategies import discounted_mdps, episodic_mdps

from rltheory.analysis.files import prepare, write_lines
from rltheory.tabular import DiscountedMDP, EpisodicMDP, policy_iteration, value_iteration
from rltheory.tabular.interop import to_pymdptoolbox, to_quantecon


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
@settings(max_examples=12, deadline=None)
def test_npz_reads_back_the_same_bits(tmp_path_factory, mdp, sparse):
    model = mdp.to_sparse() if sparse else mdp
    path = tmp_path_factory.mktemp("npz") / "model.npz"
    model.save(path)
    back = DiscountedMDP.load(path)
    assert back.is_sparse == sparse
    assert back.to_dense().transitions.tobytes() == mdp.transitions.tobytes()
    assert back.rewards.tobytes() == mdp.rewards.tobytes()
    assert (back.discount, back.initial.tobytes()) == (mdp.discount, mdp.initial.tobytes())


@given(mdp=episodic_mdps(), horizon=st.integers(1, 50), stationary=st.booleans())
@settings(max_examples=12, deadline=None)
def test_episodic_npz_reads_back_the_same_bits(tmp_path_factory, mdp, horizon, stationary):
    if stationary:
        mdp = EpisodicMDP.stationary(mdp.transitions[0], mdp.rewards[0], horizon, mdp.initial)
    path = tmp_path_factory.mktemp("npz") / "model.npz"
    mdp.save(path)
    back = EpisodicMDP.load(path)
    assert back.horizon == mdp.horizon
    for name in ("transitions", "rewards", "initial"):
        assert getattr(back, name).tobytes() == getattr(mdp, name).tobytes()
    with pytest.raises(ValueError, match="holds an EpisodicMDP; expected a DiscountedMDP"):
        DiscountedMDP.load(path)


def test_a_long_stationary_horizon_takes_no_space_on_disk(tmp_path):
    kernel = np.random.default_rng(0).dirichlet(np.ones(20), size=(20, 4))
    sizes = []
    for horizon in (1, 1000):
        path = tmp_path / f"{horizon}.npz"
        EpisodicMDP.stationary(kernel, np.ones((20, 4)), horizon).save(path)
        sizes.append(path.stat().st_size)
    assert abs(sizes[1] - sizes[0]) < 64


def test_an_archive_with_a_wrong_array_is_refused_by_name(tmp_path):
    path = tmp_path / "bad.npz"
    arrays = {"rewards": np.zeros((2, 1)), "discount": 0.9, "initial": np.full(2, 0.5)}
    np.savez(path, transitions=np.full((2, 1, 2), 0.4), **arrays)
    with pytest.raises(ValueError, match=r"bad.npz holds no valid MDP: transitions\[0, 0\] sums"):
        DiscountedMDP.load(path)
    np.savez(path, transitions=np.full((2, 2, 1, 2), 0.5), horizon=3,
             rewards=np.zeros((2, 2, 1)), initial=np.full(2, 0.5))  # fmt: skip
    with pytest.raises(ValueError, match="rewards has 2 steps; expected horizon, 3"):
        EpisodicMDP.load(path)


def test_a_failed_write_leaves_the_older_file(tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    mdp = DiscountedMDP(np.ones((1, 1, 1)), np.ones((1, 1)), 0.5)
    mdp.save(path)

    def full_disk(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez_compressed", full_disk)
    with pytest.raises(OSError, match="no space"):
        mdp.replace(discount=0.9).save(path)
    assert DiscountedMDP.load(path).discount == 0.5
    assert [file.name for file in tmp_path.iterdir()] == ["model.npz"]


def test_a_link_keeps_pointing_and_a_pipe_is_not_replaced(tmp_path):
    real, link, pipe = tmp_path / "real", tmp_path / "link", tmp_path / "pipe"
    real.write_text("old")
    link.symlink_to(real)
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    for path in (link, pipe):
        prepare(path)
        write_lines(path, ["new"])
    assert link.is_symlink()
    assert real.read_text() == "new\n"
    assert pipe.is_fifo()
    assert os.read(reader, 10) == b"new\n"
    os.close(reader)
    assert sorted(tmp_path.iterdir()) == [link, pipe, real]


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


@given(mdp=discounted_mdps(), is_sparse=st.booleans())
@settings(max_examples=15, deadline=None)
def test_quantecon_and_back_changes_nothing(mdp, is_sparse):
    pytest.importorskip("quantecon")
    model = mdp.to_sparse() if is_sparse else mdp
    back = DiscountedMDP.from_quantecon(to_quantecon(model))
    # Pairs say nothing of an action that no state has.
    actions = back.actions
    assert not mdp.available[:, actions:].any()
    np.testing.assert_array_equal(back.rewards, mdp.rewards[:, :actions])
    np.testing.assert_array_equal(back.to_dense().transitions, mdp.transitions[:, :actions])
    assert back.discount == mdp.discount


@given(mdp=discounted_mdps())
@settings(max_examples=15, deadline=None)
def test_quantecon_solves_our_problem_to_our_bounds(mdp):
    pytest.importorskip("quantecon")
    ours = policy_iteration(mdp)
    theirs = to_quantecon(mdp.to_sparse()).solve(method="policy_iteration").v
    # Six unknowns, a condition number of at most 2 / (1 - discount): far below 1e-12 of the scale.
    scale = 1e-12 * (1 + np.abs(ours.values).max()) / (1 - mdp.discount)
    assert np.all((ours.lower - scale <= theirs) & (theirs <= ours.upper + scale))


@given(mdp=discounted_mdps(), is_sparse=st.booleans())
@settings(max_examples=15, deadline=None)
def test_pymdptoolbox_arrays_keep_kernel_rewards_and_values(mdp, is_sparse):
    kernels, rewards = to_pymdptoolbox(mdp.to_sparse() if is_sparse else mdp)
    back = DiscountedMDP.from_pymdptoolbox(kernels, rewards, mdp.discount)
    assert back.is_sparse == is_sparse
    dense = back.to_dense()
    available = mdp.available
    np.testing.assert_array_equal(dense.rewards[available], mdp.rewards[available])
    np.testing.assert_array_equal(dense.transitions[available], mdp.transitions[available])
    one, two = policy_iteration(mdp), policy_iteration(back)
    assert np.all(np.maximum(one.lower, two.lower) <= np.minimum(one.upper, two.upper))


@given(seed=st.integers(0, 2**32 - 1), states=st.integers(1, 5), actions=st.integers(1, 4))
@settings(max_examples=15, deadline=None)
def test_every_reward_convention_of_pymdptoolbox(seed, states, actions):
    rng = np.random.default_rng(seed)
    kernels = rng.dirichlet(np.ones(states), size=(actions, states))
    paid = rng.normal(size=(actions, states, states))
    expected = np.array(
        [[sum(kernels[a, s] * paid[a, s]) for a in range(actions)] for s in range(states)]
    )
    sparse_kernels = [sp.csr_matrix(kernel) for kernel in kernels]
    for given_kernels, given_rewards in [
        (kernels, paid),
        (list(kernels), list(paid)),
        (sparse_kernels, paid),
        (kernels, [sp.csr_matrix(matrix) for matrix in paid]),
        (sparse_kernels, [sp.csr_array(matrix) for matrix in paid]),
    ]:
        mdp = DiscountedMDP.from_pymdptoolbox(given_kernels, given_rewards, 0.9)
        np.testing.assert_allclose(mdp.rewards, expected, rtol=0, atol=1e-14)
        np.testing.assert_array_equal(mdp.to_dense().transitions, kernels.transpose(1, 0, 2))
    by_state = DiscountedMDP.from_pymdptoolbox(kernels, paid[0, 0], 0.9)
    np.testing.assert_array_equal(by_state.rewards, np.repeat(paid[0, 0][:, None], actions, 1))


def test_pymdptoolbox_arrays_of_wrong_shape_are_refused():
    eye = np.eye(3)[None]
    with pytest.raises(ValueError, match=r"rewards has shape \(4,\); expected \(3,\), \(3, 1\)"):
        DiscountedMDP.from_pymdptoolbox(eye, np.zeros(4))
    with pytest.raises(ValueError, match=r"transitions\[1\] has shape \(2, 2\); expected \(3, 3\)"):
        DiscountedMDP.from_pymdptoolbox([np.eye(3), np.eye(2)], np.zeros(3))
    with pytest.raises(ValueError, match="transitions has no actions"):
        DiscountedMDP.from_pymdptoolbox([], np.zeros(3))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("is_sparse", [False, True])
def test_pymdptoolbox_itself_finds_our_values(is_sparse):
    toolbox = pytest.importorskip("mdptoolbox.mdp")
    example = pytest.importorskip("mdptoolbox.example")
    kernels, rewards = example.forest(S=6, is_sparse=is_sparse)
    mdp = DiscountedMDP.from_pymdptoolbox(kernels, rewards, 0.95)
    # Its value iteration stops on a span; its policy iteration solves linear systems.
    theirs = toolbox.PolicyIteration(*to_pymdptoolbox(mdp), 0.95, eval_type=0)
    theirs.run()
    np.testing.assert_allclose(value_iteration(mdp).values, theirs.V, rtol=0, atol=1e-7)
    given = toolbox.PolicyIteration(kernels, rewards, 0.95, eval_type=0)
    given.run()
    np.testing.assert_allclose(given.V, theirs.V, rtol=0, atol=1e-9)
