"""Environments against constructions spelt out from their sources, and what they promise."""

import itertools
from collections import defaultdict
from functools import cache

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.linear_mdp.environments.american_put import american_put
from rltheory.linear_mdp.environments.gridworlds import linear_frozen_lake, linear_gridworld
from rltheory.linear_mdp.environments.lock import linear_lock
from rltheory.linear_mdp.environments.off_dynamics import off_dynamics, off_dynamics_target
from rltheory.linear_mdp.environments.random_models import random_linear_mdp
from rltheory.linear_mdp.feature_mdp import FeatureMDP
from rltheory.linear_mdp.library import ENVIRONMENTS, load
from rltheory.linear_mdp.mdp import RobustLinearMDP
from rltheory.linear_mdp.online import dr_lsvi_ucb, lsvi_ucb
from rltheory.linear_mdp.planning import plan
from rltheory.tabular import backward_induction, robust_backward_induction
from rltheory.tabular.uncertainty import TotalVariation

ROUNDING = 2e-12
"""Sums below have fewer than 1000 terms of at most 10: they are off by 1000 * 10 * 2^-53."""


def start_value(mdp, solution):
    return float(mdp.initial @ solution.values[0])


# The off-dynamics world, written with the names and the formulas of its source.

ACTIONS = list(itertools.product((-1, 1), repeat=4))
CELLS = ["x1", "x2", "x3", "x4", "x5"]


def law_of_off_dynamics(state, action, h, *, delta, norm, target=None):
    """The distribution of the next state, as a dictionary; target: q, or None for the source."""
    pays = delta + sum(norm / 4 * a for a in action)
    if state in ("x4", "x5"):
        return {state: 1.0}
    if h == 0:
        if target is not None:
            return {"x2": 1 - pays, "x4": target * pays, "x5": (1 - target) * pays}
        return {"x2": (1 - pays) * 0.999, "x4": (1 - pays) * 0.001, "x5": pays}
    return {"x3": (1 - pays) * 0.999, "x4": (1 - pays) * 0.001, "x5": pays}


def reward_of_off_dynamics(state, action, h, *, delta, norm):
    if h == 0 or state == "x4":
        return 0.0
    return 1.0 if state == "x5" else delta + sum(norm / 4 * a for a in action)


@given(
    norm=st.floats(0.0, 0.3),
    delta=st.floats(0.3, 0.7),
    q=st.one_of(st.none(), st.floats(0.0, 1.0)),
)
@settings(max_examples=12)
def test_off_dynamics_worlds_are_those_of_the_source(norm, delta, q):
    world = {"delta": delta, "xi_norm": norm}
    mdp = off_dynamics(**world) if q is None else off_dynamics_target(**world, perturbation=q)
    assert (mdp.states, mdp.actions, mdp.dimension, mdp.horizon) == (5, 16, 4, 3)
    reached = {0: ["x1"], 1: ["x2", "x4", "x5"], 2: ["x3", "x4", "x5"]}
    for h, states in reached.items():
        kernel = mdp.kernel(h)
        for state, (a, action) in itertools.product(states, enumerate(ACTIONS)):
            reward = reward_of_off_dynamics(state, action, h, delta=delta, norm=norm)
            s = CELLS.index(state)
            assert mdp.rewards[h, s, a] == pytest.approx(reward, abs=ROUNDING)
            if h < 2:
                law = law_of_off_dynamics(state, action, h, delta=delta, norm=norm, target=q)
                row = [law.get(cell, 0.0) for cell in CELLS]
                np.testing.assert_allclose(kernel[s, a], row, rtol=0, atol=ROUNDING)


@given(norm=st.floats(0.0, 0.3), q=st.one_of(st.none(), st.floats(0.0, 1.0)))
@settings(max_examples=10)
def test_off_dynamics_value_by_recursion_over_the_dictionary(norm, q):
    @cache
    def best(state, h):
        if h == 3:
            return 0.0
        return max(
            reward_of_off_dynamics(state, action, h, delta=0.3, norm=norm)
            + sum(
                p * best(after, h + 1)
                for after, p in law_of_off_dynamics(
                    state, action, h, delta=0.3, norm=norm, target=q
                ).items()
            )
            for action in ACTIONS
        )

    make = off_dynamics if q is None else off_dynamics_target
    mdp = make(xi_norm=norm, **({} if q is None else {"perturbation": q}))
    assert start_value(mdp, plan(mdp)) == pytest.approx(best("x1", 0), abs=ROUNDING)


@given(radius=st.floats(0.0, 1.0))
def test_off_dynamics_adversary_of_the_paying_factor_perturbs_as_the_target_does(radius):
    """Its mass moves to the fail state, so Q at x1 is phi_1 0.999 V(x2) + phi_4 (1 - radius) 2."""
    radii = np.zeros((3, 4))
    radii[0, 3] = radius
    mdp = off_dynamics()
    solution = plan(RobustLinearMDP(mdp, TotalVariation(radii)))
    # From x2 the best action pays with 0.4, and x3 pays 0.4 more; x5 pays 1 in both steps.
    at_x2 = 0.4 + 0.4 * 1.0 + 0.6 * 0.999 * 0.4
    pays = [0.3 + 0.025 * sum(action) for action in ACTIONS]
    best = max((1 - p) * 0.999 * at_x2 + p * (1 - radius) * 2.0 for p in pays)
    assert start_value(mdp, solution) == pytest.approx(best, abs=ROUNDING)


# The American put, by the recursion of the binomial model over its prices.


def put_by_recursion(start, horizon, strike, up, radius=0.0, *, support="simplex"):
    """The robust value of waiting moves `radius` of mass from the better price to the worst."""

    @cache
    def value(h, ups):
        sell = max(strike - start * 1.02**ups * 0.98 ** (h - ups), 0.0)
        if h == horizon - 1:
            return sell
        worse, better = sorted([(value(h + 1, ups + 1), up), (value(h + 1, ups), 1.0 - up)])
        left = max(better[1] - radius, 0.0)
        if support == "nominal":
            return max(sell, better[0] * left + worse[0] * (1.0 - left))
        # Off the lattice the sale is over, which is worth nothing.
        also = max(worse[1] - max(radius - better[1], 0.0), 0.0)
        return max(sell, better[0] * left + worse[0] * also)

    return value(0, 0)


STARTS = (95.0, 97.5, 100.0, 102.5, 105.0)


@given(
    up=st.floats(0.05, 0.95),
    radius=st.floats(0.0, 1.0),
    horizon=st.integers(1, 10),
    support=st.sampled_from(["simplex", "nominal"]),
)
@settings(max_examples=12)
def test_american_put_values_are_those_of_the_binomial_recursion(up, radius, horizon, support):
    put = american_put(up_probability=up, horizon=horizon)
    nominal = backward_induction(put.mdp)
    robust = robust_backward_induction(put.mdp, TotalVariation(radius, support=support))
    first = np.flatnonzero(put.initial)
    for state, start in zip(first, STARTS, strict=True):
        value = put_by_recursion(start, horizon, 100.0, up)
        assert nominal.values[0, state] == pytest.approx(value, abs=ROUNDING)
        value = put_by_recursion(start, horizon, 100.0, up, radius, support=support)
        # Masses that differ by rounding are worth up to the strike.
        assert robust.values[0, state] == pytest.approx(value, abs=100 * ROUNDING)


def test_american_put_features_are_the_hat_functions_of_the_source():
    for dimension in (20, 30, 50):
        put = american_put(dimension=dimension)
        width = 100 / dimension
        anchors = [80 + i * width for i in range(dimension)]
        state = 0
        for start in STARTS:
            for time in range(11):
                for ups in range(time + 1):
                    price = start * 1.02**ups * 0.98 ** (time - ups)
                    hats = [max(0.0, 1 - abs(price - anchor) / width) for anchor in anchors]
                    np.testing.assert_allclose(put.features[state, 0], hats, atol=ROUNDING)
                    assert put.rewards[0, state, 1] == pytest.approx(
                        max(0.0, 100.0 - price), abs=ROUNDING
                    )
                    state += 1
        assert state == put.fail_state
        assert not put.features[:, 1].any()
        assert not put.features[state].any()


# Gridworlds, against Gymnasium's lake and moves spelt out in coordinates.


@pytest.mark.parametrize("size", [4, 8])
@pytest.mark.parametrize("slip", [0.0, 0.25, 2 / 3])
def test_frozen_lake_without_cracks_is_that_of_gymnasium(size, slip):
    table = gymnasium.make(
        "FrozenLake-v1", map_name=f"{size}x{size}", is_slippery=True, success_rate=1 - slip
    ).unwrapped.P
    horizon = 2 * size

    @cache
    def reach(cell, moves):
        """The largest probability to enter the goal within so many moves."""
        if moves == 0:
            return 0.0
        return max(
            sum(p * (r if over else reach(to, moves - 1)) for p, to, r, over in table[cell][a])
            for a in range(4)
        )

    lake = linear_frozen_lake(size=size, slip=slip, crack=0.0, horizon=horizon)
    # The last action is the one that is paid, on the goal.
    assert start_value(lake, plan(lake)) == pytest.approx(reach(0, horizon - 1), abs=ROUNDING)
    assert (lake.states, lake.dimension) == {4: (13, 14), 8: (55, 56)}[size]


@given(crack=st.floats(0.0, 1.0), stronger=st.floats(0.0, 1.0), size=st.sampled_from([4, 8]))
@settings(max_examples=10)
def test_an_adversary_of_the_ice_is_a_lake_with_more_cracks(crack, stronger, size):
    radius = stronger * (1.0 - crack)
    lake = linear_frozen_lake(size=size, crack=crack, horizon=12)
    radii = np.full((12, lake.dimension), radius)
    radii[:, -3:] = 0.0  # the goal, where the ice is firm, being paid, and what is over
    robust = plan(RobustLinearMDP(lake, TotalVariation(radii)))
    cracked = linear_frozen_lake(size=size, crack=min(crack + radius, 1.0), horizon=12)
    assert start_value(lake, robust) == pytest.approx(
        start_value(cracked, plan(cracked)), abs=ROUNDING
    )


def test_a_stronger_wind_is_a_member_of_the_ball():
    for wind in (0.0, 0.1, 0.2):
        calm = linear_gridworld(wind=wind)
        worst = start_value(calm, plan(RobustLinearMDP(calm, TotalVariation(0.1))))
        windy = linear_gridworld(wind=wind + 0.1)
        assert worst <= start_value(windy, plan(windy)) + ROUNDING


def test_the_adversary_of_the_cliff_changes_what_is_best():
    mdp = linear_gridworld()
    robust = RobustLinearMDP(mdp, TotalVariation(0.2))
    best, fearless = plan(robust), plan(robust, policy=plan(mdp).policy)
    assert mdp.initial @ best.lower[0] > mdp.initial @ fearless.upper[0]
    careful = plan(mdp, policy=best.policy)
    assert mdp.initial @ careful.upper[0] < mdp.initial @ plan(mdp).lower[0]


@st.composite
def layouts(draw):
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(2, 4))
    kinds = draw(
        st.lists(st.sampled_from("...#P"), min_size=rows * columns, max_size=rows * columns)
    )
    places = draw(st.permutations(range(rows * columns)))
    kinds[places[0]], kinds[places[1]] = "S", "G"
    return ["".join(kinds[r * columns : (r + 1) * columns]) for r in range(rows)]


@given(layout=layouts(), slip=st.floats(0.0, 1.0), wind=st.floats(0.0, 1.0))
@settings(max_examples=20)
def test_gridworld_moves_as_spelt_out_in_coordinates(layout, slip, wind):
    compass = {"left": (0, -1), "down": (1, 0), "right": (0, 1), "up": (-1, 0)}
    sides = {"left": "up down", "right": "up down", "up": "left right", "down": "left right"}
    cells = {(r, c): kind for r, row in enumerate(layout) for c, kind in enumerate(row)}

    def move(place, way):
        ahead = (place[0] + compass[way][0], place[1] + compass[way][1])
        return place if cells.get(ahead, "#") == "#" else ahead

    def law(place, way):
        """What follows an action: a place, or None if the game is over."""
        if place is None or cells[place] == "G":
            return {None: 1.0}
        after = defaultdict(float)
        ways = [(way, 1 - slip), *((side, slip / 2) for side in sides[way].split())]
        for taken, probability in ways:
            landed = move(place, taken)
            blown = landed if cells[landed] in "GP" else move(landed, "down")
            after[landed if cells[landed] != "P" else None] += probability * (1 - wind)
            after[blown if cells[blown] != "P" else None] += probability * wind
        return after

    mdp = linear_gridworld(layout, slip=slip, wind=wind, horizon=3)
    states = [*(place for place, kind in cells.items() if kind not in "#P"), None]
    assert (mdp.states, mdp.dimension, mdp.fail_state) == (
        len(states), len(states) + 1, len(states) - 1,
    )  # fmt: skip
    kernel = mdp.kernel(1)
    for (s, place), (a, way) in itertools.product(enumerate(states), enumerate(compass)):
        after = law(place, way)
        row = [after.get(state, 0.0) for state in states]
        np.testing.assert_allclose(kernel[s, a], row, rtol=0, atol=ROUNDING)
        goal = place is not None and cells[place] == "G"
        assert mdp.rewards[1, s, a] == float(goal)
    starts = [float(place is not None and cells[place] == "S") for place in states]
    assert mdp.initial.tolist() == starts


# The lock.


@given(
    length=st.integers(1, 6),
    actions=st.integers(2, 5),
    slip=st.floats(0.0, 0.3),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=15)
def test_lock_is_worth_opening_and_hard_to_open_by_chance(length, actions, slip, seed):
    small = 0.1 * (1 - slip) ** length
    lock = linear_lock(length, actions, seed=seed, slip=slip, distractor=small)
    assert (lock.states, lock.dimension, lock.horizon) == (length + 2, actions + 2, length + 1)
    solution = plan(lock)
    assert start_value(lock, solution) == pytest.approx((1 - slip) ** length, abs=ROUNDING)
    code = solution.policy[range(length), range(length)]
    assert code.shape == (length, actions)
    assert not code[:, 0].any()
    onward = (1 - slip) / actions
    chance = sum(onward**h * small / actions for h in range(length)) + onward**length
    uniform = np.full(lock.rewards.shape, 1.0 / actions)
    assert start_value(lock, plan(lock, policy=uniform)) == pytest.approx(chance, abs=ROUNDING)


def test_lock_tells_its_code_by_measures_alone():
    locks = [linear_lock(3, 3, seed=seed) for seed in range(60)]
    assert all((lock.features == locks[0].features).all() for lock in locks)
    assert all((lock.reward_weights == locks[0].reward_weights).all() for lock in locks)
    # Of 8 codes, each is missed by 60 draws with probability (7/8)^60, in all below 0.003; the
    # seeds are fixed, so it does not happen once in a while.
    assert len({lock.measures.tobytes() for lock in locks}) == 8


@pytest.mark.parametrize("learn", [lsvi_ucb, dr_lsvi_ucb])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_lock_costs_a_learner_without_bonus_the_same_in_every_episode(learn, seed):
    lock = linear_lock(4, 3, seed=seed, distractor=0.2)
    model = lock if learn is lsvi_ucb else RobustLinearMDP(lock, TotalVariation(0.0))
    greedy = learn(model, bonus=0.0, episodes=200, seed=seed)
    np.testing.assert_allclose(greedy.suboptimality, 0.8, rtol=0, atol=ROUNDING)
    assert greedy.returns.tolist() == [0.2] * 200
    curious = learn(model, bonus=1.0, ceilings=np.ones(5), episodes=200, seed=seed)
    assert curious.suboptimality[-1] == pytest.approx(0.0, abs=ROUNDING)
    assert curious.regret[-1] < 0.5 * greedy.regret[-1]


# The library and its errors.


def test_every_environment_loads_by_its_name():
    for name in ENVIRONMENTS:
        seeded = {"seed": 0} if name in ("random_linear_mdp", "linear_lock") else {}
        model = load(name, **seeded)
        assert model.rewards.shape == (model.horizon, model.states, model.actions)
        assert name == "american_put" if isinstance(model, FeatureMDP) else model.simplex


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("frozen_lake", {}, "name is 'frozen_lake'; expected one of off_dynamics"),
        ("off_dynamics", {"xi_norm": 0.6}, "xi_norm"),
        ("off_dynamics", {"xi_norm": 0.4}, "delta"),
        ("off_dynamics", {"delta": float("nan")}, "delta"),
        ("off_dynamics_target", {"perturbation": 1.1}, "perturbation"),
        ("american_put", {"up_probability": -0.1}, "up_probability"),
        ("american_put", {"dimension": 0}, "dimension"),
        ("american_put", {"starts": []}, "starts"),
        ("american_put", {"starts": [-1.0]}, "starts"),
        ("american_put", {"strike": -1.0}, "strike"),
        ("linear_frozen_lake", {"size": 5}, "size is 5; expected 4 or 8"),
        ("linear_frozen_lake", {"slip": 1.5}, "slip"),
        ("linear_frozen_lake", {"crack": -0.5}, "crack"),
        ("linear_frozen_lake", {"horizon": 0}, "horizon"),
        ("linear_gridworld", {"layout": "S."}, "layout has no 'G'"),
        ("linear_gridworld", {"layout": "SG/."}, "rows of one length"),
        ("linear_gridworld", {"layout": "SGx"}, "character 'x'"),
        ("linear_gridworld", {"wind": float("nan")}, "wind"),
        ("linear_lock", {"seed": 0, "actions": 1}, "actions is 1; expected at least 2"),
        ("linear_lock", {"seed": 0, "length": 0}, "length"),
        ("linear_lock", {"seed": 0, "slip": 1.0}, "distractor is 0.1; expected less than 0"),
        ("linear_lock", {"seed": -1}, "seed"),
        ("random_linear_mdp", {"seed": 0, "states": 7}, "states is 7; expected at least dim"),
        ("random_linear_mdp", {"seed": 0, "gap": 0.3}, r"gap is 0.3; .* \[0, 0.25\]"),
        ("random_linear_mdp", {"seed": 0, "coverage": 1.5}, "coverage"),
        ("random_linear_mdp", {"seed": 0, "failure": -0.1}, "failure"),
        ("random_linear_mdp", {"seed": 0, "concentration": 0.0}, "concentration"),
        ("random_linear_mdp", {"seed": 0, "horizon": 1.5}, "horizon"),
        ("random_linear_mdp", {"seed": 0, "dimension": 1, "failure": 0.1}, "dimension is 1"),
    ],
)
def test_parameters_that_do_not_fit_are_named(name, parameters, words):
    with pytest.raises(ValueError, match=words):
        load(name, **parameters)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: linear_lock(seed=None), "seed"),
        (lambda: random_linear_mdp(seed=None), "seed"),
        (lambda: linear_gridworld(3), "layout"),
    ],
)
def test_parameters_of_a_wrong_type_are_named(make, words):
    with pytest.raises(TypeError, match=words):
        make()
