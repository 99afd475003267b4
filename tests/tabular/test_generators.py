"""Named models against published tables, closed forms, and independent recursions."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.tabular import (
    EpisodicMDP,
    backward_induction,
    evaluate_policy,
    policy_iteration,
)
from rltheory.tabular.generators import (
    american_put,
    american_put_prices,
    chain,
    garnet,
    gridworld,
    inventory,
    machine_replacement,
    random_mdp,
    river_swim,
)
from rltheory.tabular.library import MODELS, load

SEEDS = st.integers(0, 2**32 - 1)


@given(seed=SEEDS, states=st.integers(1, 30), actions=st.integers(1, 4), data=st.data())
@settings(max_examples=20, deadline=None)
def test_garnet_rows_have_exactly_the_successors_asked_for(seed, states, actions, data):
    successors = data.draw(st.integers(1, states))
    mdp = garnet(states, actions, successors, seed=seed)
    assert mdp.is_sparse
    assert (np.diff(mdp.transitions.indptr) == successors).all()
    assert (np.count_nonzero(mdp.transitions.toarray(), axis=1) == successors).all()
    again = garnet(states, actions, successors, seed=seed)
    assert again.transitions.data.tobytes() == mdp.transitions.data.tobytes()
    assert again.rewards.tobytes() == mdp.rewards.tobytes()


def test_garnet_draws_every_successor_and_every_pair_equally_often():
    rows, states, successors = 20_000, 7, 3
    mdp = garnet(states, rows // states, successors, seed=11)
    counts = (mdp.transitions.toarray() > 0).astype(float)
    n = len(counts)
    for members in (1, 2):
        # Of C(7, 3) subsets, C(7 - m, 3 - m) contain m given states: 3/7 and 1/7.
        p = 3 / 7 if members == 1 else 1 / 7
        for subset in itertools.combinations(range(states), members):
            hits = counts[:, subset].prod(axis=1).sum()
            # Five deviations of a binomial: a false alarm in one of 28 cases below 2e-5.
            assert abs(hits - n * p) < 5 * np.sqrt(n * p * (1 - p))


def test_garnet_probabilities_are_uniform_on_the_simplex():
    data = garnet(500, 10, 4, seed=5).transitions.data.reshape(-1, 4)
    # A coordinate of a uniform point is Beta(1, 3): mean 1/4, variance 3/80, and its squared
    # deviation has standard deviation 0.054. Five deviations, with room.
    np.testing.assert_array_less(np.abs(data.mean(0) - 0.25), 5 * np.sqrt(3 / 80 / len(data)))
    np.testing.assert_array_less(np.abs(data.var(0) - 3 / 80), 5 * 0.1 / np.sqrt(len(data)))


def test_random_mdps_follow_their_seed_and_concentration():
    one, two, other = (random_mdp(5, 3, seed=seed) for seed in (1, 1, 2))
    assert one.transitions.tobytes() == two.transitions.tobytes()
    assert one.transitions.tobytes() != other.transitions.tobytes()
    corner = random_mdp(5, 3, seed=1, concentration=1e-3)
    assert corner.transitions.max(axis=-1).min() > 0.9


def test_the_4x3_world_has_the_utilities_of_the_textbook():
    """Russell and Norvig, figure 17.3: discount 1, where the goal is reached for sure."""
    # Values at discount g lie within 1e-4 of those at 1: rewards are at most 1 in size, and the
    # expected square of the time to the end is below 10^4, times 1 - g.
    solution = policy_iteration(gridworld(discount=1 - 1e-8))
    published = [0.812, 0.868, 0.918, 0, 0.762, 0.660, 0, 0.705, 0.655, 0.611, 0.388]
    np.testing.assert_allclose(solution.values, published, rtol=0, atol=5e-4 + 1e-4)
    left, right, up = 0, 2, 3
    assert solution.actions[[0, 1, 2]].tolist() == [right] * 3
    assert solution.actions[[4, 5, 7, 8, 9, 10]].tolist() == [up, up, up, left, left, left]


@given(seed=SEEDS, rows=st.integers(1, 4), columns=st.integers(1, 4), slip=st.floats(0, 1))
@settings(max_examples=20, deadline=None)
def test_gridworld_moves_as_a_walker_would(seed, rows, columns, slip):
    rng = np.random.default_rng(seed)
    grid = rng.choice(list("..#SGP"), size=(rows, columns))
    grid[rng.integers(rows), rng.integers(columns)] = "."
    mdp = gridworld(["".join(row) for row in grid], slip=slip, goal=3.0, pit=-2.0, step=-0.5)
    cells = [tuple(cell) for cell in np.argwhere(grid != "#")]
    assert mdp.states == len(cells)
    dense = mdp.to_dense().transitions
    heading = [(0, -1), (1, 0), (0, 1), (-1, 0)]
    for s, (i, j) in enumerate(cells):
        for a in range(4):
            row, reward = np.zeros(len(cells)), 0.0
            if grid[i, j] in "GP":
                row[s] = 1.0
            else:
                for turn, p in ((0, 1 - slip), (1, slip / 2), (3, slip / 2)):
                    k, m = i + heading[(a + turn) % 4][0], j + heading[(a + turn) % 4][1]
                    inside = 0 <= k < rows and 0 <= m < columns and grid[k, m] != "#"
                    target = (k, m) if inside else (i, j)
                    row[cells.index(target)] += p
                    reward += p * (-0.5 + {"G": 3.0, "P": -2.0}.get(grid[target], 0.0))
            np.testing.assert_allclose(dense[s, a], row, rtol=0, atol=1e-15)
            assert mdp.rewards[s, a] == pytest.approx(reward, abs=1e-14)
    starts = [grid[cell] == "S" for cell in cells]
    free = starts if any(starts) else [grid[cell] == "." for cell in cells]
    np.testing.assert_allclose(mdp.initial, np.array(free) / sum(free), rtol=0, atol=1e-16)


def test_a_layout_may_be_one_string():
    one, two = gridworld("S.#/..G"), gridworld(["S.#", "..G"])
    assert one.to_dense().transitions.tobytes() == two.to_dense().transitions.tobytes()


def test_river_swim_is_worth_swimming():
    """The optimal policy always swims right, and no other of the 2^6 policies does better."""
    mdp = river_swim()
    solution = policy_iteration(mdp)
    assert solution.actions.tolist() == [1] * 6
    dense, index = mdp.to_dense().transitions, np.arange(6)
    best = max(
        np.linalg.solve(np.eye(6) - 0.99 * dense[index, a], mdp.rewards[index, a])[0]
        for a in map(np.array, itertools.product(range(2), repeat=6))
    )
    # Double precision at condition number 200 and values below 100.
    assert solution.values[0] == pytest.approx(best, abs=1e-9)
    assert policy_iteration(river_swim(discount=0.5)).actions[0] == 0


def test_river_swim_kernel_by_hand():
    dense = river_swim(3, forward=0.3, backward=0.1, bank=0.7).to_dense().transitions
    np.testing.assert_array_equal(dense[:, 0], [[1, 0, 0], [1, 0, 0], [0, 1, 0]])
    swim = [[0.3, 0.7, 0], [0.1, 0.6, 0.3], [0, 0.3, 0.7]]
    np.testing.assert_allclose(dense[:, 1], swim, rtol=0, atol=1e-15)


@given(
    states=st.integers(1, 30),
    slip=st.fractions(0, 1, max_denominator=20),
    discount=st.fractions(0, Fraction(19, 20), max_denominator=20),
)
@settings(max_examples=20, deadline=None)
def test_stepping_ahead_on_the_chain_has_its_closed_form(states, slip, discount):
    """V(0) = (2 p + 10 (1 - p) q^(n - 1)) / (1 - g) with q = g (1 - p)."""
    mdp = chain(states, slip=float(slip), discount=float(discount))
    value = evaluate_policy(mdp, np.zeros(states, dtype=int)).values[0]
    q = discount * (1 - slip)
    exact = (2 * slip + 10 * (1 - slip) * q ** (states - 1)) / (1 - discount)
    # The closed form and the arrays differ by roundings of the parameters, magnified by at
    # most 1 / (1 - discount)^2 <= 400 and the length of the chain; solving adds as little.
    assert value == pytest.approx(float(exact), rel=1e-11, abs=1e-11)


def test_the_inventory_of_the_textbook():
    """Puterman (1994), section 3.2: the rewards; section 4.6: three periods, no salvage."""
    mdp = inventory()
    n = -np.inf
    table = [[0, -1, -2, -5], [5, 0, -3, n], [6, -1, n, n], [5, n, n, n]]
    np.testing.assert_array_equal(mdp.rewards, table)
    game = EpisodicMDP.stationary(mdp.to_dense().transitions, mdp.rewards, 3)
    solution = backward_induction(game, arithmetic="rational")
    assert list(solution.values[0]) == [Fraction(k, 16) for k in (67, 129, 194, 227)]
    assert solution.policy[0].argmax(axis=1).tolist() == [3, 0, 0, 0]


@given(seed=SEEDS, capacity=st.integers(1, 8))
@settings(max_examples=12, deadline=None)
def test_inventory_stock_follows_the_demand(seed, capacity):
    rng = np.random.default_rng(seed)
    demand = rng.dirichlet(np.ones(rng.integers(1, 6)))
    mdp = inventory(capacity, demand=demand, price=7.0, holding_cost=0.5)
    dense = mdp.to_dense().transitions
    for s, a in itertools.product(range(capacity + 1), repeat=2):
        assert mdp.available[s, a] == (s + a <= capacity)
        if s + a > capacity:
            continue
        row, sold = np.zeros(capacity + 1), 0.0
        for j, p in enumerate(demand):
            row[max(0, s + a - j)] += p
            sold += p * min(j, s + a)
        np.testing.assert_allclose(dense[s, a], row, rtol=0, atol=1e-15)
        paid = 7 * sold - (4 + 2 * a if a else 0) - 0.5 * (s + a)
        assert mdp.rewards[s, a] == pytest.approx(paid, abs=1e-12)


@given(seed=SEEDS, states=st.integers(1, 12), discount=st.sampled_from([0.3, 0.9, 0.99]))
@settings(max_examples=20, deadline=None)
def test_machines_are_replaced_from_some_condition_on(seed, states, discount):
    """Puterman (1994), section 4.7.5: a control limit policy is optimal."""
    rng = np.random.default_rng(seed)
    mdp = machine_replacement(
        states,
        wear=rng.dirichlet(np.ones(rng.integers(1, 5))),
        operating_cost=rng.exponential(2.0),
        replacement_cost=rng.exponential(10.0),
        discount=discount,
    )
    solution = policy_iteration(mdp)
    keep, replace = solution.action_values.T
    advantage = replace - keep
    # Action values are off by at most the certified gap, hence differences by twice as much.
    noise = 2 * solution.gap
    assert np.all(np.diff(advantage) >= -2 * noise)
    assert advantage[0] <= noise


def _put(time, price, *, horizon, strike, up, down, p, discount):
    """The textbook's recursion on prices, not on a lattice of states."""
    payoff = max(0.0, strike - price)
    if time == horizon - 1:
        return payoff
    rest = {"horizon": horizon, "strike": strike, "up": up, "down": down, "p": p}
    ahead = [_put(time + 1, price * f, discount=discount, **rest) for f in (up, down)]
    return max(payoff, discount * (p * ahead[0] + (1 - p) * ahead[1]))


@given(
    horizon=st.integers(1, 7),
    starts=st.lists(st.floats(80, 120), min_size=1, max_size=3),
    up=st.floats(1.001, 1.3),
    down=st.floats(0.7, 0.999),
    p=st.floats(0, 1),
    discount=st.floats(0.5, 1),
)
@settings(max_examples=20, deadline=None)
def test_american_put_equals_the_binomial_recursion(horizon, starts, up, down, p, discount):
    mdp = american_put(
        horizon, start=starts, strike=100.0, up=up, down=down, probability=p, discount=discount
    )
    assert mdp.states == len(starts) * horizon * (horizon + 1) // 2 + 1
    values = backward_induction(mdp).values[0]
    for k, price in enumerate(starts):
        fair = _put(0, price, horizon=horizon, strike=100.0, up=up, down=down, p=p,
                    discount=discount)  # fmt: skip
        # A few dozen roundings of numbers up to 120 * 1.3^6 < 600.
        assert values[k] == pytest.approx(fair, abs=1e-11)
    prices = american_put_prices(horizon, start=starts, up=up, down=down)
    assert prices[: len(starts)].tolist() == starts
    assert prices[-1] == pytest.approx(starts[-1] * up ** (horizon - 1))


def test_american_put_has_its_published_price():
    """Hull, Options, Futures, and Other Derivatives: five months on five steps cost 4.49."""
    mdp = american_put(
        6,
        start=50.0,
        strike=50.0,
        up=1.1224,
        down=0.8909,
        probability=0.5073,
        discount=np.exp(-0.1 / 12),
    )
    assert backward_induction(mdp).values[0, 0] == pytest.approx(4.49, abs=0.005)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: garnet(3, 2, 4, seed=0), "successors is 4; expected at most states, 3"),
        (lambda: garnet(0, 2, 1, seed=0), "states is 0; expected an integer of at least 1"),
        (lambda: garnet(3, 2, 1, seed=None), "seed must be an integer"),
        (lambda: random_mdp(3, 2, seed=0, concentration=0), "concentration is 0"),
        (lambda: random_mdp(3, 2, seed=0, concentration=float("nan")), "concentration is nan"),
        (lambda: gridworld("S.G/.."), "expected rows of one length"),
        (lambda: gridworld(""), "expected rows of one length"),
        (lambda: gridworld("S?G"), r"layout has the character '\?'"),
        (lambda: gridworld("G#P"), "layout has no free cell"),
        (lambda: gridworld(slip=1.5), r"slip is 1.5; expected a number in \[0, 1\]"),
        (lambda: gridworld(goal=float("inf")), "goal is inf; expected a finite number"),
        (lambda: river_swim(1), "states is 1; expected an integer of at least 2"),
        (lambda: river_swim(forward=0.7, backward=0.4), "backward is 0.4"),
        (lambda: chain(slip=-0.1), "slip is -0.1"),
        (lambda: chain(2.5), "states is 2.5"),
        (lambda: inventory(demand=[0.5, 0.6]), "demand sums to 1.1"),
        (lambda: inventory(demand=0.5), r"demand has shape \(\)"),
        (lambda: inventory(price="high"), "price must be a real number"),
        (lambda: machine_replacement(wear=[1.5, -0.5]), r"wear\[1\] is -0.5"),
        (lambda: machine_replacement(operating_cost=-1), "operating_cost is -1"),
        (lambda: american_put(0), "horizon is 0"),
        (lambda: american_put(up=0.9, down=0.98), "expected 0 < down < up"),
        (lambda: american_put(start=[100, -1]), "expected one positive price or a list"),
        (lambda: american_put(probability=2), "probability is 2"),
        (lambda: american_put(strike=float("nan")), "strike"),
        (lambda: load("frozn_lake"), r"no model is named 'frozn_lake'; did you mean frozen_lake\?"),
        (lambda: load("river_swim", stats=3), "river_swim has no parameter 'stats'; expected one"),
        (lambda: load("frozen_lake", map_name="3x3"), "map_name is '3x3'"),
    ],
)
def test_bad_parameters_are_named(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_named_model_loads_and_takes_a_discount(name):
    mdp = load(name, discount=0.75)
    if not isinstance(mdp, EpisodicMDP):
        assert mdp.discount == 0.75
    assert mdp.states > 1
