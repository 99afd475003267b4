"""CFR+ and exploitability beside OpenSpiel's C++ and LiteEFG; builds, scaling, and VAD-CFR's price.

Exploitability is first compared on the peers' own average profiles. Then iterations are timed in
turn: ours by the thousand, OpenSpiel's from the eleventh on (it skips what nobody reaches, so its
first ones, under uniform play, cost more), LiteEFG's as its training loop runs them.
Everyone uses one thread.
"""

import contextlib
import io
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np

from benchmarks.common import Claim, medians, milliseconds, table, timed
from rltheory.analysis.arrays import FloatArray
from rltheory.games.best_response import exploitability
from rltheory.games.forms.extensive import ExtensiveGame
from rltheory.games.library import load
from rltheory.games.regret.cfr import cfr
from rltheory.games.regret.variant import Variant
from rltheory.games.regret.variants import vad_cfr

AGREEMENT = 1e-10
WARM_UP = 10
"""Iterations that everyone runs before the clock starts."""

SAMPLE = 0.4
"""Seconds that one of our timed runs takes, about."""

BUILD = """
import time
from rltheory.games.library import load
began = time.perf_counter()
game = load({arguments})
print(time.perf_counter() - began, game.histories)
for line in open("/proc/self/status"):
    if line.startswith("VmHWM"):
        print(line.split()[1])
"""


@dataclass(frozen=True)
class Contest:
    """A game that all have, and how many times faster we are to be than each peer."""

    title: str
    ours: dict[str, Any]
    spiel: str
    targets: dict[str, float]

    def load(self) -> ExtensiveGame:
        return load(**self.ours)


CONTESTS = [
    Contest(
        "Leduc",
        {"name": "leduc_poker", "players": 2},
        "leduc_poker",
        {"OpenSpiel": 80.0, "LiteEFG": 40.0},
    ),
    *(
        Contest(
            f"Liar's Dice {sides}",
            {"name": "liars_dice", "sides": sides},
            f"liars_dice(dice_sides={sides})",
            {"OpenSpiel": 50.0, "LiteEFG": 25.0},
        )
        for sides in (5, 6)
    ),
    Contest(
        "Goofspiel 5",
        {"name": "goofspiel", "cards": 5},
        "goofspiel(num_cards=5,imp_info=True,points_order=descending,returns_type=win_loss)",
        {"OpenSpiel": 50.0, "LiteEFG": 25.0},
    ),
]


class Peer(Protocol):
    """A peer's CFR+ on one game."""

    def iterate(self, count: int) -> None:
        """Run iterations, averages included."""

    def exploitability(self) -> float:
        """The average profile's, half the NashConv."""

    def average(self) -> dict[str, list[float]]:
        """The average profile by OpenSpiel's information state, in the order of legal actions."""


@dataclass
class OpenSpiel:
    """The C++ solver and the C++ best responses, through the bindings."""

    name: str
    game: Any = field(init=False)
    solver: Any = field(init=False)

    def __post_init__(self) -> None:
        import pyspiel

        self.game = pyspiel.load_game_as_turn_based(self.name)
        self.solver = pyspiel.CFRPlusSolver(self.game)

    def iterate(self, count: int) -> None:
        for _ in range(count):
            self.solver.evaluate_and_update_policy()

    def exploitability(self) -> float:
        import pyspiel

        return float(pyspiel.exploitability(self.game, self.solver.average_policy()))

    def average(self) -> dict[str, list[float]]:
        table = self.solver.tabular_average_policy().policy_table()
        return {state: [share for _, share in sorted(moves)] for state, moves in table.items()}


@dataclass
class LiteEFG:
    """The package's own CFR+ graph, stepped as its training loop does, averages included."""

    name: str
    environment: Any = field(init=False)
    graph: Any = field(init=False)

    def __post_init__(self) -> None:
        import LiteEFG as lite
        import pyspiel
        from LiteEFG.baselines.CFRplus import graph

        # It keeps game files in the home folder, and prints.
        with tempfile.TemporaryDirectory() as home, _home(home), _silent():
            game = pyspiel.load_game(self.name)
            self.environment = lite.OpenSpielEnv(game, traverse_type="Enumerate", regenerate=True)
            self.graph = graph()
            self.environment.set_graph(self.graph)

    def iterate(self, count: int) -> None:
        for _ in range(count):
            self.graph.update_graph(self.environment)
            self.environment.update_strategy(self.graph.current_strategy(), update_best=False)

    def exploitability(self) -> float:
        strategy = self.graph.current_strategy()
        return 0.5 * sum(self.environment.exploitability(strategy, "linear-avg-iterate"))

    def average(self) -> dict[str, list[float]]:
        strategy = self.graph.current_strategy()
        policy, _ = self.environment.get_strategy(strategy, "linear-avg-iterate")
        return {
            state: policy.action_probability_array[row][policy.legal_actions_mask[row] > 0].tolist()
            for state, row in policy.state_lookup.items()
        }


PEERS: dict[str, Callable[[str], Peer]] = {"OpenSpiel": OpenSpiel, "LiteEFG": LiteEFG}


def report() -> tuple[str, list[Claim]]:
    """Return the section of the report, and the claims that it is about."""
    races, claims = _races()
    builds, build_claims = _builds()
    sections = {
        "CFR+ and exploitability, side by side": races,
        "Building": builds,
        "Scaling": _scaling(),
    }
    text = "\n\n".join(f"### {title}\n\n{body}" for title, body in sections.items())
    return text, claims + build_claims


def _races() -> tuple[str, list[Claim]]:
    rows, claims, notes = [], [], set()
    prices, averaging, checks = {}, {}, {}
    for contest in CONTESTS:
        game = contest.load()
        average = cfr(game, "cfr_plus", iterations=100, checkpoints=1).average
        iterations: dict[str, Callable[[], float]] = {
            "rltheory": partial(_iteration, game, "cfr_plus"),
            "VAD-CFR": partial(_thousand, game, "vad_cfr"),
            "VAD-CFR, averaging": partial(_thousand, game, vad_cfr(warm_up=0)),
        }
        values: dict[str, Callable[[], float]] = {
            "rltheory": partial(_evaluation, game, average),
        }
        for name, make in PEERS.items():
            try:
                peer = make(contest.spiel)
            except ImportError as obstacle:
                notes.add(f"{name} is not installed and was left out ({obstacle}).")
                continue
            peer.iterate(WARM_UP)
            _agree(contest, name, peer)
            count = 10 if game.histories < 100_000 else 3
            iterations[name] = partial(_peer_iteration, peer, count)
            values[name] = partial(timed, peer.exploitability)
        seconds = medians(iterations)
        checking = medians(values)
        own, own_check = seconds["rltheory"], checking["rltheory"]
        prices[contest.title] = seconds["VAD-CFR"] / own
        averaging[contest.title] = seconds["VAD-CFR, averaging"] / own
        checks[contest.title] = own_check / own
        rows += [
            [
                f"{contest.title}, {name}",
                milliseconds(seconds[name]),
                f"{seconds[name] / own:.1f}",
                milliseconds(checking[name]),
                f"{checking[name] / own_check:.1f}",
            ]
            for name in values
        ]
        claims += [
            Claim(
                f"games: CFR+ on {contest.title}, times faster than {name}",
                seconds[name] / own,
                target,
                at_least=True,
            )
            for name, target in contest.targets.items()
            if name in seconds
        ]
    worst, slowest = max(prices, key=prices.__getitem__), max(checks, key=checks.__getitem__)
    claims += [
        Claim(f"games: VAD-CFR, in iterations of CFR+ (most: {worst})", prices[worst], 2.0),
        Claim(f"games: exploitability, in iterations (most: {slowest})", checks[slowest], 1.0),
    ]
    header = ["game, who", "iteration ms", "ratio to ours", "exploitability ms", "ratio to ours"]
    own_table = table(
        ["in iterations of CFR+", "VAD-CFR, of 1,000", "VAD-CFR while averaging", "exploitability"],
        [
            [title, *(f"{column[title]:.2f}" for column in (prices, averaging, checks))]
            for title in prices
        ],
    )
    return "\n\n".join([table(header, rows), *sorted(notes), own_table]), claims


def _agree(contest: Contest, name: str, peer: Peer) -> None:
    """Stop unless a peer's average profile is exactly as exploitable for us as for the peer."""
    from rltheory.games.interop.openspiel import from_openspiel

    game = from_openspiel(contest.spiel)
    policy = peer.average()
    profile = np.concatenate([policy[label] for label in game.infoset_labels])
    theirs, ours = peer.exploitability(), exploitability(contest.load(), profile)
    if not abs(ours - theirs) <= AGREEMENT:
        raise SystemExit(
            f"{contest.title}: {name} finds exploitability {theirs!r} where we find {ours!r}"
        )


def _iteration(game: ExtensiveGame, variant: str | Variant) -> float:
    """Seconds of one iteration: a run long enough to be timed, its one exploitability included."""
    began = time.perf_counter()
    cfr(game, variant, iterations=WARM_UP, checkpoints=1)
    guess = (time.perf_counter() - began) / WARM_UP
    count = int(np.clip(SAMPLE / guess, 20, 20_000))
    return timed(partial(cfr, game, variant, iterations=count, checkpoints=1)) / count


def _thousand(game: ExtensiveGame, variant: str | Variant) -> float:
    """Seconds of one iteration of a run of 1,000, as the paper runs VAD-CFR."""
    return timed(partial(cfr, game, variant, iterations=1000, checkpoints=1)) / 1000


def _evaluation(game: ExtensiveGame, profile: FloatArray) -> float:
    """Seconds of one exploitability, from a run of many."""
    count = int(np.clip(SAMPLE / timed(exploitability, game, profile), 5, 1000))

    def repeated() -> None:
        for _ in range(count):
            exploitability(game, profile)

    return timed(repeated) / count


def _peer_iteration(peer: Peer, count: int) -> float:
    return timed(peer.iterate, count) / count


def _builds() -> tuple[str, list[Claim]]:
    """Time builds in fresh processes, so that the peak of memory is theirs alone."""
    cases = {
        "Liar's Dice 6": '"liars_dice", sides=6',
        "Liar's Dice 6, tree": '"liars_dice", sides=6, form="tree"',
        "Leduc, 3 players": '"leduc_poker", players=3',
        "Goofspiel 5": '"goofspiel", cards=5',
    }
    found = {title: _build(arguments) for title, arguments in cases.items()}
    rows = [
        [title, f"{histories:,}", f"{seconds:.3f}", f"{peak:.0f}"]
        for title, (seconds, peak, histories) in found.items()
    ]
    leduc = found["Leduc, 3 players"]
    claims = [
        Claim("games: building Liar's Dice 6, in seconds", found["Liar's Dice 6"][0], 0.5),
        Claim("games: building 3-player Leduc, in seconds", leduc[0], 10.0),
        Claim("games: building 3-player Leduc, peak in GiB", leduc[1] / 1024, 2.0),
    ]
    header = ["game", "histories", "seconds", "peak MiB of the process"]
    return table(header, rows), claims


def _build(arguments: str) -> tuple[float, float, int]:
    """Median seconds of three builds, each in a process of its own; peak MiB; histories."""
    command = [sys.executable, "-c", BUILD.format(arguments=arguments)]
    runs = []
    for _ in range(3):
        done = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        # Without /proc the peak is unknown, which misses the target rather than meeting it.
        peak = float(done[2]) / 1024 if len(done) > 2 else math.nan
        runs.append((float(done[0]), peak, int(done[1])))
    seconds, peaks, histories = zip(*runs, strict=True)
    return statistics.median(seconds), max(peaks), histories[0]


def _scaling() -> str:
    """Time per iteration over four decades of histories: Liar's Dice with 2 to 7 sides."""
    sides = range(2, 8)
    games = [load("liars_dice", sides=n) for n in sides]
    runs = {str(n): partial(_iteration, g, "cfr_plus") for n, g in zip(sides, games, strict=True)}
    seconds = list(medians(runs).values())
    histories = [game.histories for game in games]
    rows = [
        [f"{n} sides", f"{h:,}", f"{1e3 * s:.4g}", f"{1e9 * s / h:.2f}"]
        for n, h, s in zip(sides, histories, seconds, strict=True)
    ]
    slope = np.polyfit(np.log(histories), np.log(seconds), 1)[0]
    header = ["Liar's Dice", "histories", "ms per iteration of CFR+", "ns per history"]
    note = f"Slope of log time against log histories: {slope:.2f} (1 is linear)."
    return f"{table(header, rows)}\n\n{note}"


@contextlib.contextmanager
def _home(folder: str) -> Iterator[None]:
    previous = os.environ.get("HOME")
    os.environ["HOME"] = folder
    try:
        yield
    finally:
        if previous is None:
            del os.environ["HOME"]
        else:
            os.environ["HOME"] = previous


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()):
        yield


if __name__ == "__main__":
    text, found = report()
    print(text, table(["target", "bound", "measured", "met"], [c.row for c in found]), sep="\n\n")
