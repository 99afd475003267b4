"""Monte Carlo CFR: unbiased sample by sample, equal to a plain restatement, resumed to the bit."""

import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_games import game_trees, random_profile

from rltheory.games.best_response import exploitability
from rltheory.games.forms.extensive import from_tree
from rltheory.games.forms.random_games import random_game
from rltheory.games.forms.tree import CHANCE, TERMINAL, build_tree
from rltheory.games.library import load
from rltheory.games.regret.mccfr import mccfr
from rltheory.games.regret.mccfr_samples import counterfactual_regrets, mccfr_samples

# The package has a function of the module's name.
module = importlib.import_module("rltheory.games.regret.mccfr")

KUHN = load("kuhn_poker", form="tree")
SAMPLINGS = ("external", "outcome")


def regrets_by_recursion(game, profile):
    """Counterfactual regrets straight from their definition, node by node."""
    tree, first = game.tree, game.form.first
    regrets = np.zeros(game.slots)

    def value(h, reach, player):
        if tree.to_move[h] == TERMINAL:
            return tree.payoffs[h, player]
        edges = range(tree.first_child[h], tree.first_child[h + 1])
        chances = [tree.probability[e] for e in edges]
        own = tree.to_move[h] == player
        if tree.to_move[h] != CHANCE:
            j = first[tree.infoset[h]]
            chances = profile[j : j + len(edges)]
        worths = [
            value(tree.child[e], reach if own else reach * c, player)
            for e, c in zip(edges, chances, strict=True)
        ]
        total = sum(c * w for c, w in zip(chances, worths, strict=True))
        if own:
            regrets[j : j + len(edges)] += reach * (np.array(worths) - total)
        return total

    for player in range(game.players):
        value(0, 1.0, player)
    return regrets


def part(weights, u):
    """The index whose part of [0, 1) holds u."""
    return int(np.searchsorted(np.cumsum(weights)[:-1], u, side="right"))


class Plain:
    """Monte Carlo CFR in plain Python, from the same stream of random numbers."""

    def __init__(self, game, seed, rule, exploration):
        self.game, self.tree, self.first = game, game.tree, game.form.first
        self.random = np.random.Generator(np.random.PCG64(seed))
        self.rule, self.exploration = rule, exploration
        self.regrets, self.average = np.zeros(game.slots), np.zeros(game.slots)

    def at(self, h):
        edges = np.arange(self.tree.first_child[h], self.tree.first_child[h + 1])
        if self.tree.to_move[h] == CHANCE:
            return edges, self.tree.probability[edges], None
        j = self.first[self.tree.infoset[h]]
        slots = np.arange(j, j + len(edges))
        positive = np.maximum(self.regrets[slots], 0)
        total = positive.sum()
        return edges, positive / total if total > 0 else np.full(len(edges), 1 / len(edges)), slots

    def add(self, slots, regrets):
        self.regrets[slots] += regrets
        if self.rule == "regret_matching_plus":
            self.regrets[slots] = np.maximum(self.regrets[slots], 0)

    def external(self):
        for p in range(self.game.players):
            # Moves are drawn breadth first, so the tree of the sample is grown before it is valued.
            root = [0, None]
            queue = [root]
            for item in queue:
                h = item[0]
                while self.tree.to_move[h] not in (p, TERMINAL):
                    edges, chances, slots = self.at(h)
                    if self.tree.to_move[h] == (p + 1) % self.game.players:
                        self.average[slots] += chances
                    h = self.tree.child[edges[part(chances, self.random.random())]]
                item[0], item[1] = h, []
                if self.tree.to_move[h] == p:
                    edges, chances, slots = self.at(h)
                    if self.game.players == 1:  # then the next player is the same
                        self.average[slots] += chances
                    item[1] = [[self.tree.child[e], None] for e in edges]
                    queue += item[1]
            self.value(root, p)

    def value(self, item, p):
        h, below = item
        if not below:
            return self.tree.payoffs[h, p]
        _, chances, slots = self.at(h)
        worths = np.array([self.value(child, p) for child in below])
        self.add(slots, worths - chances @ worths)
        return chances @ worths

    def outcome(self):
        for p in range(self.game.players):
            self.path(0, p, 1.0, 1.0, 1.0)

    def path(self, h, p, own, others, drawn):
        """Return u(z) pi_-p(z) / q(z) times the own probability of z from here.

        Lanctot et al. (2009), equations 10 to 12; own, others (with nature), drawn: reaches of h.
        """
        if self.tree.to_move[h] == TERMINAL:
            return self.tree.payoffs[h, p] * others / drawn
        edges, chances, slots = self.at(h)
        u = self.random.random()
        if self.tree.to_move[h] != p:
            a = part(chances, u)
            child = self.tree.child[edges[a]]
            return self.path(child, p, own, others * chances[a], drawn * chances[a])
        self.average[slots] += own / drawn * chances
        n, explore = len(edges), self.exploration
        a = int(u / explore * n) if u < explore else part(chances, (u - explore) / (1 - explore))
        q = explore / n + (1 - explore) * chances[a]
        worths = np.zeros(n)
        worths[a] = self.path(self.tree.child[edges[a]], p, own * chances[a], others, drawn * q)
        self.add(slots, worths - chances[a] * worths[a])
        return worths[a] * chances[a]


@pytest.mark.parametrize("sampling", SAMPLINGS)
@settings(max_examples=20, deadline=None)
@given(tree=game_trees(max_players=3, max_depth=4, max_actions=2), seed=st.integers(0, 2**32 - 1))
def test_sampled_regrets_are_unbiased(sampling, tree, seed):
    game = from_tree(tree)
    profile = random_profile(game, seed)
    exact = regrets_by_recursion(game, profile)
    assert counterfactual_regrets(game, profile) == pytest.approx(exact, abs=1e-12)
    mean = np.zeros(game.slots)
    for p in range(game.players):
        samples = mccfr_samples(game, profile, sampling, player=p, exploration=0.3)
        assert samples.probabilities.sum() == pytest.approx(1, abs=1e-12)
        mean += samples.mean
    assert mean == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("players", [2, 3])
def test_sampled_regrets_are_unbiased_in_kuhn_poker(sampling, players):
    game = load("kuhn_poker", players=players, form="tree")
    profile = random_profile(game, 5)
    limit = 200_000
    for p in range(players):
        samples = mccfr_samples(game, profile, sampling, player=p, limit=limit)
        own = slice(*game.form.slot_start[p : p + 2])
        exact = np.zeros(game.slots)
        exact[own] = regrets_by_recursion(game, profile)[own]
        assert samples.mean == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("rule", ["regret_matching", "regret_matching_plus"])
@pytest.mark.parametrize("players", [1, 2, 3])
def test_a_run_equals_the_plain_restatement_draw_by_draw(sampling, rule, players):
    for seed in range(5):
        tree = random_game(
            seed, players=players, depth=5, actions=3, chance=0.3, stop=0.1, merge=0.7,
            payoffs="general", recall="perfect",
        )  # fmt: skip
        game = from_tree(tree)
        plain = Plain(game, seed, rule, exploration=0.4)
        for _ in range(30):
            getattr(plain, sampling)()
        run = mccfr(game, sampling, iterations=30, seed=seed, rule=rule, exploration=0.4)
        assert run.state.regrets == pytest.approx(plain.regrets, rel=1e-9, abs=1e-9)
        assert run.state.average == pytest.approx(plain.average, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_run_in_parts_has_the_bits_of_a_whole_one(sampling, monkeypatch, tmp_path):
    whole = mccfr(KUHN, sampling, iterations=5000, seed=3, checkpoints=[70, 1234])
    first = mccfr(KUHN, sampling, iterations=1234, seed=3, checkpoints=[70])
    second = mccfr(KUHN, sampling, iterations=5000, checkpoints=1, state=first.state)
    saved = tmp_path / "run.npz"
    kept = mccfr(KUHN, sampling, iterations=5000, seed=3, checkpoints=[70, 1234], save=saved)
    again = mccfr(KUHN, sampling, iterations=5000, seed=3, checkpoints=[70, 1234], save=saved)
    # Few random numbers at once: then they are drawn anew within the run.
    monkeypatch.setattr(module, "_BLOCK", 1)
    scarce = mccfr(KUHN, sampling, iterations=5000, seed=3)
    for other in (second, kept, again, scarce):
        assert np.array_equal(other.average, whole.average)
        assert np.array_equal(other.current, whole.current)
        assert other.state.draws == whole.state.draws
        assert other.state.walked == whole.state.walked
    assert np.array_equal(again.exploitability, whole.exploitability)
    assert np.array_equal(again.iterations, [70, 1234, 5000])


class Interrupted(Exception):
    pass


def test_an_interrupted_run_goes_on_from_its_file(monkeypatch, tmp_path):
    saved, marks = tmp_path / "run.npz", [100, 200, 300, 400]
    measure, calls = module.deviations, []

    def failing(game, profile):
        calls.append(1)
        if len(calls) == 3:
            raise Interrupted
        return measure(game, profile)

    monkeypatch.setattr(module, "deviations", failing)
    with pytest.raises(Interrupted):
        mccfr(KUHN, iterations=400, seed=1, checkpoints=marks, save=saved)
    calls.append(1)
    resumed = mccfr(KUHN, iterations=400, seed=1, checkpoints=marks, save=saved)
    assert len(calls) == 6
    whole = mccfr(KUHN, iterations=400, seed=1, checkpoints=marks)
    assert np.array_equal(resumed.average, whole.average)
    assert np.array_equal(resumed.exploitability, whole.exploitability)
    with pytest.raises(ValueError, match="another game, variant or setting"):
        mccfr(KUHN, iterations=400, seed=2, checkpoints=marks, save=saved)


def test_seeds_decide_and_generators_give_seeds():
    runs = [mccfr(KUHN, iterations=200, seed=seed).average for seed in (1, 1, 2)]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])
    generator = np.random.default_rng(4)
    drawn = mccfr(KUHN, iterations=200, seed=generator)
    assert drawn.state.seed == np.random.default_rng(4).integers(2**63)
    assert mccfr(KUHN, iterations=200, seed=generator).state.seed != drawn.state.seed


def test_external_sampling_stays_within_its_bound():
    # Lanctot et al. (2009), Theorem 4: each player's average regret is, but for a chance of p, at
    # most (1 + sqrt(2 / p)) Delta M sqrt(actions / T), M the sum over own move sequences of the
    # root of how many sets follow them: 2 sqrt(3) and sqrt(6). NashConv is at most their sum.
    iterations, p = 2_000_000, 0.01
    run = mccfr(KUHN, iterations=iterations, seed=0, checkpoints=1)
    spread = 2 * np.sqrt(3) + np.sqrt(6)
    bound = (1 + np.sqrt(2 / p)) * 4 * spread * np.sqrt(2 / iterations) / 2
    assert bound < exploitability(KUHN, KUHN.uniform())
    assert run.exploitability[-1] <= bound


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_exploitability_falls_as_the_root_of_iterations(sampling):
    # Regret grows at most with the root of time, so 400 times the iterations leave a twentieth;
    # half of that fall must be seen in the median of seven runs.
    runs = [
        mccfr(KUHN, sampling, iterations=400_000, seed=seed, checkpoints=[1000])
        for seed in range(7)
    ]
    before, after = np.median([run.exploitability for run in runs], axis=0)
    assert after <= before / 10
    assert all(run.payoffs[-1].sum() == pytest.approx(0, abs=1e-12) for run in runs)


def test_moves_without_a_chance_are_never_drawn():
    class Rules:
        players = 1

        def start(self):
            return ()

        def to_move(self, state):
            return CHANCE if not state else 0 if len(state) == 1 else TERMINAL

        def actions(self, state):
            return range(5) if not state else range(2)

        def probabilities(self, state):
            return [0.0, 0.3, 0.0, 0.7, 0.0]

        def after(self, state, action):
            return (*state, action)

        def information(self, state):
            return state

        def payoffs(self, state):
            return [float(state[1])]

    game = from_tree(build_tree(Rules()))
    for sampling in SAMPLINGS:
        run = mccfr(game, sampling, iterations=20_000, seed=0)
        visits = run.state.average.reshape(5, 2).sum(axis=1)
        assert not visits[[0, 2, 4]].any()
        # A binomial count is within five deviations of its mean but for a chance below 1e-6.
        if sampling == "external":
            assert abs(visits[1] - 6000) < 5 * np.sqrt(20_000 * 0.3 * 0.7)


def test_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match=r'load\(..., form="tree"\)'):
        mccfr(load("kuhn_poker"))
    with pytest.raises(ValueError, match="sampling is 'chance'; expected one of external, outcome"):
        mccfr(KUHN, "chance")
    with pytest.raises(ValueError, match="exploration is 0"):
        mccfr(KUHN, "outcome", exploration=0.0)
    with pytest.raises(ValueError, match="rule is 'hedge'"):
        mccfr(KUHN, rule="hedge")
    with pytest.raises(ValueError, match="seed is -1"):
        mccfr(KUHN, seed=-1)
    with pytest.raises(TypeError, match="seed is missing"):
        mccfr(KUHN, seed=None)
    state = mccfr(KUHN, iterations=1, seed=0).state
    with pytest.raises(ValueError, match=r"state.regrets has shape \(24,\)"):
        mccfr(load("leduc_poker", form="tree"), state=state)
    with pytest.raises(ValueError, match="expected none beside a state"):
        mccfr(KUHN, state=state, seed=1)
    with pytest.raises(ValueError, match="more than 10 samples"):
        mccfr_samples(KUHN, KUHN.uniform(), player=0, limit=10)
    with pytest.raises(ValueError, match="player is 2; expected 0 to 1"):
        mccfr_samples(KUHN, KUHN.uniform(), player=2)
