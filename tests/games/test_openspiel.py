"""Games from OpenSpiel: the same games, numbers and runs as OpenSpiel's own solvers."""

import sys
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.rational import simplest
from rltheory.games.best_response import deviations, exploitability
from rltheory.games.forms.extensive import ExtensiveGame
from rltheory.games.forms.tree import TERMINAL
from rltheory.games.interop.efg import parse_efg
from rltheory.games.interop.openspiel import from_openspiel
from rltheory.games.library import load
from rltheory.games.regret.cfr import cfr
from rltheory.games.regret.variant import Variant
from rltheory.games.regret.variants import dcfr

GOOFSPIEL = "goofspiel(num_cards={},imp_info=True,points_order={},returns_type=win_loss)"
CHECKPOINTS = (1, 10, 30, 100)
AGREEMENT = 1e-10

# Of every kind: chance or none, simultaneous moves, more players, general sums, one action only.
GAMES = [
    "kuhn_poker(players=2)",
    "kuhn_poker(players=4)",
    "leduc_poker",
    GOOFSPIEL.format(4, "descending"),
    GOOFSPIEL.format(3, "random"),
    "liars_dice(dice_sides=4)",
    "matrix_rps",
    "matrix_pd",
    "matching_pennies_3p",
    "dark_hex(board_size=2)",
    "first_sealed_auction(max_value=4)",
    "lewis_signaling",
    "tiny_hanabi",
]

# Where both have the game: OpenSpiel's name, and ours.
PAIRS: dict[str, Callable[[], ExtensiveGame]] = {
    "kuhn_poker(players=2)": lambda: load("kuhn_poker", players=2),
    "kuhn_poker(players=3)": lambda: load("kuhn_poker", players=3),
    "kuhn_poker(players=4)": lambda: load("kuhn_poker", players=4),
    "leduc_poker": lambda: load("leduc_poker", players=2),
    GOOFSPIEL.format(3, "descending"): lambda: load("goofspiel", cards=3),
    GOOFSPIEL.format(4, "descending"): lambda: load("goofspiel", cards=4),
    GOOFSPIEL.format(5, "descending"): lambda: load("goofspiel", cards=5),
    "liars_dice(dice_sides=4)": lambda: load("liars_dice", sides=4),
    "liars_dice(dice_sides=5)": lambda: load("liars_dice", sides=5),
    "liars_dice(dice_sides=6)": lambda: load("liars_dice", sides=6),
}
COMPILED = ("cfr", "cfr_plus")
# In these games all regrets of some sets are exactly zero, which asks for the uniform strategy.
# OpenSpiel's sums leave roundings of 1e-18 there and its regret matching plays those instead.
TIED = ("kuhn_poker(players=4)", GOOFSPIEL.format(5, "descending"))
SMALL = ("kuhn_poker(players=2)", "kuhn_poker(players=3)", GOOFSPIEL.format(3, "descending"))
QUICK = (*SMALL, "leduc_poker", GOOFSPIEL.format(4, "descending"), "liars_dice(dice_sides=4)")


@pytest.fixture
def pyspiel() -> Any:
    return pytest.importorskip("pyspiel")


def policy(pyspiel: Any, source: Any, game: ExtensiveGame, profile: FloatArray) -> Any:
    """A profile as OpenSpiel's policy: its information states are our labels."""
    actions: dict[str, list[int]] = {}
    stack = [source.new_initial_state()]
    while stack:
        state = stack.pop()
        if state.is_terminal():
            continue
        if not state.is_chance_node():
            actions[state.information_state_string()] = state.legal_actions()
        stack.extend(state.child(action) for action in state.legal_actions())
    first = game.form.first
    table = {
        label: list(zip(actions[label], profile[first[i] : first[i + 1]].tolist(), strict=True))
        for i, label in enumerate(game.infoset_labels)
    }
    assert len(table) == len(actions)
    return pyspiel.TabularPolicy(table)


def random_profile(game: ExtensiveGame, seed: int) -> FloatArray:
    """Any profile; half of the actions are never played."""
    rng = np.random.default_rng(seed)
    weights = rng.exponential(size=game.slots) * rng.integers(0, 2, size=game.slots)
    weights[game.form.first[:-1]] += 1e-3
    return weights / np.repeat(
        np.add.reduceat(weights, game.form.first[:-1]), np.diff(game.form.first)
    )


# The same games


@pytest.mark.parametrize("name", GAMES)
def test_profiles_are_worth_the_same(name: str, pyspiel: Any) -> None:
    game, source = from_openspiel(name), pyspiel.load_game_as_turn_based(name)
    for seed in range(3):
        profile = random_profile(game, seed)
        theirs = policy(pyspiel, source, game, profile)
        ours = deviations(game, profile)
        root = source.new_initial_state()
        payoffs = pyspiel.expected_returns(root, theirs, -1, True)
        best = [
            pyspiel.TabularBestResponse(source, player, theirs).value_from_state(root)
            for player in range(game.players)
        ]
        assert ours.payoffs == pytest.approx(payoffs, abs=1e-12)
        assert ours.best == pytest.approx(best, abs=1e-12)


def test_labels_and_actions_are_openspiels(pyspiel: Any) -> None:
    game = from_openspiel("kuhn_poker")
    assert set(game.infoset_labels) >= {"0", "1pb", "2b"}
    assert set(game.action_labels) == {("Pass", "Bet")}
    assert game.name == "kuhn_poker()"
    assert from_openspiel(pyspiel.load_game("kuhn_poker")).infoset_labels == game.infoset_labels


@pytest.mark.parametrize("name", [name for name in PAIRS if name in QUICK])
def test_our_own_rules_make_the_same_game(name: str, pyspiel: Any) -> None:
    ours, theirs = PAIRS[name](), from_openspiel(name)
    # OpenSpiel deals the cards one after another, we deal them at once: fewer nodes of nature.
    assert ours.leaves == theirs.leaves
    assert ours.histories <= theirs.histories
    assert np.array_equal(ours.form.infoset_start, theirs.form.infoset_start)
    assert np.array_equal(ours.form.first, theirs.form.first)
    assert np.array_equal(ours.form.parent, theirs.form.parent)
    assert ours.payoff_range == pytest.approx(theirs.payoff_range, abs=1e-12)
    # The same slots: a profile of one is a profile of the other, worth the same.
    for seed in range(3):
        profile = random_profile(theirs, seed)
        here, there = deviations(ours, profile), deviations(theirs, profile)
        assert here.payoffs == pytest.approx(there.payoffs, abs=1e-12)
        assert here.best == pytest.approx(there.best, abs=1e-12)


def test_the_file_that_openspiel_writes_is_the_game_that_it_plays(pyspiel: Any) -> None:
    writer = pytest.importorskip("open_spiel.python.algorithms.gambit")
    file = parse_efg(writer.export_gambit(pyspiel.load_game("kuhn_poker(players=3)")))
    read, walked = file.game(), from_openspiel("kuhn_poker(players=3)")
    assert (read.histories, read.infosets) == (walked.histories, walked.infosets)
    profile = random_profile(walked, 0)
    assert deviations(read, profile).best == pytest.approx(deviations(walked, profile).best)


# The same runs


def run_theirs(
    pyspiel: Any, name: str, variant: str, alternating: bool, checkpoints: tuple[int, ...]
) -> list[float]:
    """Exploitability of the average after each checkpoint, by OpenSpiel's solver."""
    source = pyspiel.load_game_as_turn_based(name)
    if alternating and variant in COMPILED:
        kinds = {"cfr": pyspiel.CFRSolver, "cfr_plus": pyspiel.CFRPlusSolver}
        solver = kinds[variant](source)
    else:
        solver = _python_solver(source, variant, alternating)
    found = []
    for iteration in range(1, checkpoints[-1] + 1):
        solver.evaluate_and_update_policy()
        if iteration in checkpoints:
            average = solver.average_policy()
            if not isinstance(average, pyspiel.Policy):
                from open_spiel.python.policy import python_policy_to_pyspiel_policy

                average = python_policy_to_pyspiel_policy(average)
            found.append(pyspiel.nash_conv(source, average) / source.num_players())
    return found


def _python_solver(source: Any, variant: str, alternating: bool) -> Any:
    from open_spiel.python.algorithms import cfr as theirs
    from open_spiel.python.algorithms import discounted_cfr

    if variant == "lcfr":
        return discounted_cfr.LCFRSolver(source)
    if variant == "dcfr":
        return discounted_cfr.DCFRSolver(source)
    plus = variant == "cfr_plus"
    return theirs._CFRSolver(source, alternating, plus, plus)


def check_run(
    pyspiel: Any,
    games: list[ExtensiveGame],
    name: str,
    variant: str | Variant,
    alternating: bool = True,
    checkpoints: tuple[int, ...] = CHECKPOINTS,
) -> None:
    key = variant if isinstance(variant, str) else variant.name
    theirs = run_theirs(pyspiel, name, key, alternating, checkpoints)
    for game in games:
        result = cfr(
            game,
            variant,
            iterations=checkpoints[-1],
            checkpoints=checkpoints,
            alternating=alternating,
        )
        assert result.iterations.tolist() == list(checkpoints)
        assert result.exploitability == pytest.approx(theirs, abs=AGREEMENT, rel=0)
        last = exploitability(game, result.average)
        assert last == pytest.approx(theirs[-1], abs=AGREEMENT, rel=0)


@pytest.mark.parametrize("variant", COMPILED)
@pytest.mark.parametrize("name", QUICK)
def test_runs_agree_with_the_compiled_solvers(name: str, variant: str, pyspiel: Any) -> None:
    check_run(pyspiel, [PAIRS[name](), from_openspiel(name)], name, variant)


@pytest.mark.parametrize("variant", ["lcfr", "dcfr"])
@pytest.mark.parametrize("name", SMALL)
def test_discounted_runs_agree(name: str, variant: str, pyspiel: Any) -> None:
    check_run(pyspiel, [PAIRS[name]()], name, variant)


@pytest.mark.parametrize("variant", COMPILED)
def test_simultaneous_updates_agree(variant: str, pyspiel: Any) -> None:
    for name in SMALL:
        check_run(pyspiel, [PAIRS[name]()], name, variant, alternating=False)


def test_a_discount_that_is_one_step_late_does_not_agree(pyspiel: Any) -> None:
    with pytest.raises(AssertionError):
        check_run(pyspiel, [PAIRS[SMALL[1]]()], SMALL[1], dcfr(ahead=1), checkpoints=(1, 10))


@pytest.mark.slow
@pytest.mark.parametrize("variant", COMPILED)
@pytest.mark.parametrize("name", [name for name in PAIRS if name not in (*QUICK, *TIED)])
def test_long_runs_agree_with_the_compiled_solvers(name: str, variant: str, pyspiel: Any) -> None:
    check_run(pyspiel, [PAIRS[name]()], name, variant)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["lcfr", "dcfr"])
@pytest.mark.parametrize("name", [name for name in QUICK if name not in SMALL])
def test_long_discounted_runs_agree(name: str, variant: str, pyspiel: Any) -> None:
    # After 30 iterations roundings grow: at 100, OpenSpiel is 1e-7 to 1e-5 off a run in 60 digits.
    check_run(pyspiel, [PAIRS[name]()], name, variant, checkpoints=(1, 10, 30))


# Where roundings decide: beside a run in 60 digits


class Reference:
    """CFR and CFR+ history by history in OpenSpiel's order, in floats or in 60 digits.

    In 60 digits a regret below 1e-40 is an exact zero that was rounded, and becomes zero.
    """

    def __init__(self, game: ExtensiveGame, variant: str, number: type[float] | type[Decimal]):
        assert game.tree is not None
        tree, self.game, self.plus, self.number = game.tree, game, variant == "cfr_plus", number
        self.snap = number("1e-40") if number is Decimal else 0
        self.first, self.starts = game.form.first.tolist(), game.form.infoset_start.tolist()
        self.paid = [[self._read(x) for x in row] for row in tree.payoffs.tolist()]
        self.chances = [self._read(x) for x in tree.probability.tolist()]
        self.mover, self.infoset = tree.to_move.tolist(), tree.infoset.tolist()
        self.begin, self.child = tree.first_child.tolist(), tree.child.tolist()
        self.regret, self.average = ([number(0)] * game.slots for _ in range(2))
        self.strategy = [
            number(1) / number(n) for n in np.diff(self.first).tolist() for _ in range(n)
        ]

    def run(self, iterations: int) -> FloatArray:
        """Return the average profile after some iterations."""
        start = [self.number(1)] * (self.game.players + 1)
        for t in range(1, iterations + 1):
            weight = self.number(t if self.plus else 1)
            for player in range(self.game.players):
                self._visit(0, start, player, weight)
                for infoset in range(*self.starts[player : player + 2]):
                    self._match(slice(*self.first[infoset : infoset + 2]))
        sums = np.add.reduceat(np.array(self.average), self.first[:-1])
        counts = np.diff(self.first)
        uniform = np.repeat(1.0 / counts, counts)
        reached = np.repeat(sums, counts)
        shares = [a / s if s else u for a, s, u in zip(self.average, reached, uniform, strict=True)]
        return np.array(shares, dtype=float)

    def _read(self, value: float) -> Any:
        if self.number is float:
            return value
        exact = simplest(value)
        return Decimal(exact.numerator) / Decimal(exact.denominator)

    def _visit(self, node: int, reach: list[Any], player: int, weight: Any) -> list[Any]:
        mover = self.mover[node]
        if mover == TERMINAL:
            return self.paid[node]
        edges = slice(self.begin[node], self.begin[node + 1])
        slot = self.first[self.infoset[node]] if mover >= 0 else 0
        count = edges.stop - edges.start
        played = self.strategy[slot : slot + count] if mover >= 0 else self.chances[edges]
        values, total = [], [self.number(0)] * self.game.players
        for share, child in zip(played, self.child[edges], strict=True):
            below = list(reach)
            below[mover] *= share  # nature is -1, the last
            values.append(self._visit(child, below, player, weight))
            total = [t + share * v for t, v in zip(total, values[-1], strict=True)]
        if mover == player:
            others = self.number(1)
            for p, probability in enumerate(reach):
                if p != player:
                    others *= probability
            for a in range(count):
                self.regret[slot + a] += others * (values[a][player] - total[player])
                self.average[slot + a] += weight * reach[player] * played[a]
        return total

    def _match(self, slots: slice) -> None:
        zero = self.number(0)
        regrets = [zero if abs(r) < self.snap else r for r in self.regret[slots]]
        self.regret[slots] = [max(r, zero) for r in regrets] if self.plus else regrets
        positive = [max(r, zero) for r in regrets]
        total = sum(positive, zero)
        even = self.number(1) / self.number(len(positive))
        self.strategy[slots] = [r / total for r in positive] if total else [even] * len(positive)


@pytest.mark.parametrize("variant", COMPILED)
@pytest.mark.parametrize(
    "name",
    [
        TIED[0],
        pytest.param(
            TIED[1],
            marks=pytest.mark.xfail(
                strict=True, reason="our sums too leave roundings where Goofspiel's regrets tie"
            ),
        ),
    ],
)
def test_where_regrets_tie_we_do_what_exact_arithmetic_does(
    name: str, variant: str, pyspiel: Any
) -> None:
    game = from_openspiel(name)
    source = pyspiel.load_game_as_turn_based(name)
    with localcontext(prec=60):
        exact = exploitability(game, Reference(game, variant, Decimal).run(3))
    floats = exploitability(game, Reference(game, variant, float).run(3))
    theirs = {"cfr": pyspiel.CFRSolver, "cfr_plus": pyspiel.CFRPlusSolver}[variant](source)
    for _ in range(3):
        theirs.evaluate_and_update_policy()
    convergence = pyspiel.nash_conv(source, theirs.average_policy()) / game.players
    # The reference is OpenSpiel's algorithm: in floats it makes OpenSpiel's roundings.
    assert floats == pytest.approx(convergence, abs=1e-13, rel=0)
    assert abs(convergence - exact) > 1e-4
    for ours in (game, PAIRS[name]()):
        found = cfr(ours, variant, iterations=3, checkpoints=1).exploitability[-1]
        assert found == pytest.approx(exact, abs=AGREEMENT, rel=0)


# What is refused


def test_without_openspiel_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspiel", None)
    with pytest.raises(ImportError, match=r"install rltheory\[interop\]"):
        from_openspiel("kuhn_poker")


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("kuhn_pokr", "unknown to OpenSpiel; did you mean kuhn_poker"),
        ("kuhn_poker(players=1)", "cannot be loaded by OpenSpiel"),
        ("kuhn_poker(", "cannot be loaded by OpenSpiel"),
        ("tic_tac_toe", "more than 1000 histories; raise `largest`"),
        ("mfg_crowd_modelling", "MEAN_FIELD; expected sequential or simultaneous"),
        ("stones_and_gems", "only samples its chance moves"),
        ("backgammon", "does not name its information states"),
        ("dark_hex_ir(board_size=2)", "perfect recall"),
    ],
)
def test_games_that_are_refused(name: str, complaint: str, pyspiel: Any) -> None:
    with pytest.raises(ValueError, match=complaint):
        from_openspiel(name, largest=1000)


def test_wrong_arguments(pyspiel: Any) -> None:
    with pytest.raises(TypeError, match=r"pyspiel\.Game or a name; got int"):
        from_openspiel(3)
    with pytest.raises(ValueError, match="largest is 0"):
        from_openspiel("kuhn_poker", largest=0)
