"""Learning dynamics: plain restatements, regret bounds, convergence and its failures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.analysis.simplex import project_simplex
from rltheory.games.normal_form.dynamics import (
    DYNAMICS,
    fictitious_play,
    hedge,
    magnetic_mirror_descent,
    mirror_prox,
    optimistic_gradient,
    optimistic_hedge,
    projected_replicator,
)
from rltheory.games.normal_form.learning import learn, learn_against
from rltheory.games.normal_form.matrix_classics import (
    biased_rock_paper_scissors,
    matching_pennies,
    matching_pennies_three,
    shapley,
)
from rltheory.games.normal_form.matrix_game import MatrixGame

TILTED = [[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]]


def matched(regrets):
    positive = np.maximum(regrets, 0.0)
    return positive / positive.sum() if positive.any() else np.full(len(regrets), 1 / len(regrets))


def tempered(logits):
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


class Learner:
    """One rule in plain NumPy, with its memory; the reference for the compiled rules."""

    def __init__(self, name, start, step=0.1, weight=0.1):
        self.name, self.strategy, self.step, self.weight = name, np.array(start), step, weight
        self.regrets = np.zeros(len(start))
        self.point = np.array(start)
        self.magnet = np.array(start)
        self.last = np.zeros(len(start))

    def see(self, u):
        x, step = self.strategy, self.step
        regret = u - x @ u
        if self.name == "regret_matching":
            self.regrets += regret
            self.strategy = matched(self.regrets)
        elif self.name == "regret_matching_plus":
            self.regrets = np.maximum(self.regrets + regret, 0)
            self.strategy = matched(self.regrets)
        elif self.name == "predictive_regret_matching_plus":
            self.regrets = np.maximum(self.regrets + regret, 0)
            self.strategy = matched(self.regrets + regret)
        elif self.name == "hedge":
            self.strategy = tempered(np.log(x) + step * u)
        elif self.name == "optimistic_hedge":
            self.strategy = tempered(np.log(x) + step * (2 * u - self.last))
        elif self.name == "projected_replicator":
            self.strategy = project_simplex(x + 1e-3 * x * regret)
        elif self.name == "optimistic_gradient":
            self.point = project_simplex(self.point + step * u)
            self.strategy = project_simplex(self.point + step * u)
        elif self.name == "magnetic_mirror_descent":
            pull = step * self.weight
            self.strategy = tempered(
                (np.log(x) + step * u + pull * np.log(self.magnet)) / (1 + pull)
            )
        self.last = u


RULES = [name for name in DYNAMICS if name not in ("mirror_prox", "fictitious_play")]


@pytest.mark.parametrize("order", ["simultaneous", "alternating"])
@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("game", [biased_rock_paper_scissors(), matching_pennies_three()])
def test_rules_agree_with_plain_restatements(name, order, game):
    start = TILTED if game.players == 2 else [[0.7, 0.3], [0.4, 0.6], [0.55, 0.45]]
    learners = [Learner(name, s) for s in start]
    iterations = 40
    played = []
    for _ in range(iterations):
        played.append([learner.strategy.copy() for learner in learners])
        if order == "simultaneous":
            gains = game.deviation_payoffs(played[-1])
            for learner, gain in zip(learners, gains, strict=True):
                learner.see(gain)
        else:
            for i, learner in enumerate(learners):
                learner.see(game.deviation_payoffs([k.strategy for k in learners])[i])
    result = learn(game, name, iterations=iterations, order=order, start=start, every=1)
    for i in range(game.players):
        path = np.array([profile[i] for profile in played])
        np.testing.assert_allclose(result.trajectory.current[i], path, atol=1e-11)
        np.testing.assert_allclose(result.average[i], path.mean(axis=0), atol=1e-11)
        np.testing.assert_allclose(result.last[i], path[-1], atol=1e-11)


def test_mirror_prox_agrees_with_a_plain_restatement():
    game = biased_rock_paper_scissors()
    logits = [np.log(s) for s in TILTED]
    played = []
    for _ in range(30):
        gains = game.deviation_payoffs([tempered(z) for z in logits])
        inner = [tempered(z + 0.2 * g) for z, g in zip(logits, gains, strict=True)]
        played.append(inner)
        gains = game.deviation_payoffs(inner)
        logits = [z + 0.2 * g for z, g in zip(logits, gains, strict=True)]
    result = learn(game, mirror_prox(0.2), iterations=30, start=TILTED)
    for i in range(2):
        np.testing.assert_allclose(result.average[i], np.mean([p[i] for p in played], axis=0))
        np.testing.assert_allclose(result.last[i], played[-1][i])


@pytest.mark.parametrize("game", [shapley(), matching_pennies_three()])
def test_fictitious_play_replies_to_averages(game):
    rng = np.random.default_rng(0)
    start = [rng.dirichlet(np.ones(n)) for n in game.actions]
    total = [np.array(s) for s in start]
    for played in range(1, 60):
        gains = game.deviation_payoffs([t / played for t in total])
        for t, gain in zip(total, gains, strict=True):
            t[int(np.argmax(gain))] += 1
    result = learn(game, fictitious_play(), iterations=60, start=start)
    for t, average in zip(total, result.average, strict=True):
        np.testing.assert_allclose(average, t / 60, atol=1e-12)


def test_fictitious_play_never_settles_in_shapleys_game():
    game = shapley()
    start = [[1, 0, 0], [0, 1, 0]]
    for iterations in (1000, 10_000, 100_000):
        result = learn(game, "fictitious_play", iterations=iterations, start=start)
        # Shapley (1964): the averages approach a hexagon around the one equilibrium.
        assert result.exploitability.lower > 0.05


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 200))
def test_regret_stays_within_the_theorems_bounds(seed, actions, times):
    rng = np.random.default_rng(seed)
    # Payoffs of range at most 1, some of them as bad as can be for regret matching.
    payoffs = rng.random((times, actions)) if seed % 2 else rng.integers(0, 2, (times, actions))
    slack = 1e-12 * times
    for name in ("regret_matching", "regret_matching_plus"):
        assert learn_against(payoffs, name).regret <= np.sqrt(actions * times) + slack
    step = np.sqrt(8 * np.log(max(actions, 2)) / times)
    # Freund and Schapire (1999); Cesa-Bianchi and Lugosi (2006), theorem 2.2.
    bound = np.log(actions) / step + step * times / 8
    assert learn_against(payoffs, hedge(step)).regret <= bound + slack


def test_a_learner_alone_plays_as_in_the_game():
    game = biased_rock_paper_scissors()
    for name in RULES:
        result = learn(game, name, iterations=50, every=1, start=[[1 / 3] * 3, [0.2, 0.3, 0.5]])
        faced = result.trajectory.current[1] @ game.payoffs[0].T
        alone = learn_against(faced, name)
        np.testing.assert_allclose(alone.strategies, result.trajectory.current[0], atol=1e-11)
        assert alone.regret == pytest.approx(result.regrets[0], abs=1e-9)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(DYNAMICS)))
def test_averages_are_as_good_as_regrets_promise(seed, name):
    rng = np.random.default_rng(seed)
    game = MatrixGame.zero_sum(rng.normal(size=(rng.integers(1, 5), rng.integers(1, 5))))
    result = learn(game, name, iterations=100)
    # Zero-sum and simultaneous: NashConv of the averages = sum of the mean regrets.
    promised = result.regrets.sum() / 100 / 2
    assert float(result.exploitability.lower) - 1e-10 <= promised
    assert promised <= float(result.exploitability.upper) + 1e-10
    assert all(abs(s.sum() - 1) < 1e-12 and s.min() >= 0 for s in result.last)


def test_optimism_brings_the_last_iterate_home_and_hedge_drives_it_away():
    game = matching_pennies()
    start = [[0.6, 0.4], [0.3, 0.7]]
    for rule in (optimistic_hedge(0.1), optimistic_gradient(0.1), mirror_prox(0.1)):
        assert learn(game, rule, iterations=20_000, start=start).last_exploitability.upper < 1e-6
    away = learn(game, hedge(0.1), iterations=20_000, start=start)
    assert away.last_exploitability.lower > 0.5
    assert away.exploitability.upper < 0.05


def test_a_fixed_magnet_leads_to_the_quantal_response_equilibrium():
    game = biased_rock_paper_scissors()
    result = learn(game, magnetic_mirror_descent(0.02, 0.3), iterations=20_000)
    # Sokota et al. (2023), section 3: both play the softmax of payoffs over the weight.
    for gain, strategy in zip(game.deviation_payoffs(result.last), result.last, strict=True):
        np.testing.assert_allclose(strategy, tempered(gain / 0.3), atol=1e-10)
    moving = learn(game, magnetic_mirror_descent(0.1, 0.2, refresh=500), iterations=30_000)
    assert moving.last_exploitability.upper < 1e-6 < result.last_exploitability.lower


def test_the_replicator_keeps_its_floor_and_goes_around_the_equilibrium():
    game = biased_rock_paper_scissors()
    floored = learn(game, projected_replicator(0.1, 0.05), iterations=5000, every=1, start=TILTED)
    assert min(path.min() for path in floored.trajectory.current) >= 0.05
    # In continuous time the sum of KL(equilibrium, strategy) is conserved; Euler steps of size
    # `step` let it grow by O(step) per unit of time.
    star = np.array([0.2, 0.6, 0.2])
    drift = []
    for step in (1e-3, 1e-4):
        free = learn(game, projected_replicator(step), iterations=int(5 / step), start=TILTED)
        ends = [-(star * np.log(s)).sum() for s in free.last]
        begins = [-(star * np.log(s)).sum() for s in TILTED]
        drift.append(sum(ends) - sum(begins))
    assert 0 < drift[1] < 0.2 * drift[0] < 0.02


def test_weights_and_points_of_the_trajectory():
    game = biased_rock_paper_scissors()
    full = learn(game, "regret_matching_plus", iterations=30, averaging=2.0, every=1, start=TILTED)
    weights = np.arange(1, 31) ** 2.0
    for i in range(2):
        path = full.trajectory.current[i]
        np.testing.assert_allclose(full.average[i], weights @ path / weights.sum(), atol=1e-14)
    sparse = learn(
        game, "regret_matching_plus", iterations=30, averaging=2.0, every=7, start=TILTED
    )
    times = sparse.trajectory.times
    assert times.tolist() == [1, 8, 15, 22, 29]
    for i in range(2):
        np.testing.assert_array_equal(
            sparse.trajectory.average[i], full.trajectory.average[i][times - 1]
        )
    for k, time in enumerate(times):
        profile = [path[k] for path in sparse.trajectory.average]
        assert sparse.trajectory.average_exploitability[k] == pytest.approx(
            game.exploitability(profile), abs=1e-12
        )
    assert learn(game, iterations=3).trajectory is None


def test_bad_arguments_are_named():
    game = matching_pennies()
    with pytest.raises(ValueError, match="dynamics is 'nash'"):
        learn(game, "nash")
    with pytest.raises(ValueError, match="iterations is 0"):
        learn(game, iterations=0)
    with pytest.raises(ValueError, match="every is 0"):
        learn(game, every=0)
    with pytest.raises(ValueError, match="order is 'random'"):
        learn(game, order="random")
    with pytest.raises(ValueError, match="mirror_prox is defined for simultaneous"):
        learn(game, "mirror_prox", order="alternating")
    with pytest.raises(ValueError, match=r"start\[1\] has a zero; hedge multiplies"):
        learn(game, "hedge", start=[[0.5, 0.5], [1, 0]])
    with pytest.raises(ValueError, match=r"start\[0\] sums to 2"):
        learn(game, start=[[1, 1], [1, 0]])
    with pytest.raises(ValueError, match=r"floor is 0\.6"):
        learn(game, projected_replicator(0.1, 0.6))
    with pytest.raises(ValueError, match="step is -1"):
        hedge(-1)
    with pytest.raises(ValueError, match="needs a game"):
        learn_against([[1.0]], "fictitious_play")
    with pytest.raises(ValueError, match=r"payoffs has shape \(3,\)"):
        learn_against([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="payoffs"):
        learn_against([[np.nan]])
