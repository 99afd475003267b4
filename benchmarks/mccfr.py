"""Monte Carlo CFR beside OpenSpiel's C++ solvers: iterations a second, and what they reach.

Both average and explore alike: external sampling with simple averages, outcome sampling with
stochastically weighted ones and exploration 0.6. First our exploitability of the peer's average
profiles must be the peer's own; then, since samples differ, medians over seeds are set side by side
after equally many iterations; then iterations are timed in turn. Everyone uses one thread.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.common import Claim, medians, table, timed
from rltheory.games.best_response import exploitability
from rltheory.games.forms.extensive import ExtensiveGame
from rltheory.games.library import load
from rltheory.games.regret.mccfr import Sampling, mccfr

AGREEMENT = 1e-10
SEEDS = range(5)
REACHED = 10_000
"""Iterations after which exploitability is compared."""

TARGET = 20.0
"""How many times faster we are to be on Leduc."""


@dataclass(frozen=True)
class Contest:
    """A game that both have."""

    title: str
    ours: dict[str, Any]
    spiel: str

    def load(self) -> ExtensiveGame:
        return load(form="tree", **self.ours)


CONTESTS = [
    Contest("Kuhn", {"name": "kuhn_poker"}, "kuhn_poker"),
    Contest("Leduc", {"name": "leduc_poker"}, "leduc_poker"),
    Contest(
        "Goofspiel 4",
        {"name": "goofspiel", "cards": 4},
        "goofspiel(num_cards=4,imp_info=True,points_order=descending,returns_type=win_loss)",
    ),
    Contest("Liar's Dice 5", {"name": "liars_dice", "sides": 5}, "liars_dice(dice_sides=5)"),
]


def report() -> tuple[str, list[Claim]]:
    """Return the section of the report, and the claims that it is about."""
    try:
        import pyspiel
    except ImportError as obstacle:
        pyspiel, note = None, f"OpenSpiel is not installed and was left out ({obstacle})."
    else:
        note = ""
    rows, claims = [], []
    samplings: tuple[Sampling, ...] = ("external", "outcome")
    for contest in CONTESTS:
        game = contest.load()
        theirs = None if pyspiel is None else pyspiel.load_game_as_turn_based(contest.spiel)
        states = {} if theirs is None else _states(theirs)
        for sampling in samplings:
            runs: dict[str, Callable[[], float]] = {"ours": partial(_ours, game, sampling)}
            reached = {"ours": _median_reached(game, sampling)}
            if theirs is not None:
                solvers = [_solver(theirs, sampling, seed) for seed in SEEDS]
                for solver in solvers:
                    _iterate(solver, REACHED)
                _agree(contest, theirs, states, solvers[0])
                reached["theirs"] = statistics.median(
                    _exploitability(theirs, states, solver) for solver in solvers
                )
                runs["theirs"] = partial(_theirs, solvers[0])
            seconds = medians(runs)
            row = [f"{contest.title}, {sampling}", f"{1 / seconds['ours']:,.0f}"]
            if theirs is not None:
                ratio = seconds["theirs"] / seconds["ours"]
                row += [f"{1 / seconds['theirs']:,.0f}", f"{ratio:.0f}"]
                if contest.title == "Leduc":
                    text = f"games: {sampling} sampling on Leduc, times faster than OpenSpiel"
                    claims.append(Claim(text, ratio, TARGET, at_least=True))
            rows.append(row + [f"{value:.3g}" for value in reached.values()])
    header = ["game, sampling", "iterations/s"]
    header += [] if pyspiel is None else ["OpenSpiel's", "ratio"]
    header += [f"exploitability after {REACHED:,}"]
    header += [] if pyspiel is None else ["OpenSpiel's"]
    return "\n\n".join(filter(None, [table(header, rows), note])), claims


def _ours(game: ExtensiveGame, sampling: Sampling, count: int = 200_000) -> float:
    """Seconds of one iteration, from a run of many with its one exploitability."""
    run = partial(mccfr, game, sampling, iterations=count, seed=0, checkpoints=1)
    return timed(run) / count


def _median_reached(game: ExtensiveGame, sampling: Sampling) -> float:
    runs = [mccfr(game, sampling, iterations=REACHED, seed=s, checkpoints=1) for s in SEEDS]
    return statistics.median(float(run.exploitability[-1]) for run in runs)


def _solver(game: Any, sampling: Sampling, seed: int) -> Any:
    import pyspiel

    if sampling == "external":
        return pyspiel.ExternalSamplingMCCFRSolver(game, seed=seed)
    return pyspiel.OutcomeSamplingMCCFRSolver(game, epsilon=0.6, seed=seed)


def _iterate(solver: Any, count: int) -> None:
    for _ in range(count):
        solver.run_iteration()


def _theirs(solver: Any, count: int = 2000) -> float:
    return timed(_iterate, solver, count) / count


def _policy(states: dict[str, Any], solver: Any) -> dict[str, list[tuple[int, float]]]:
    """The peer's average profile; by states, as it knows no share at labels that it never saw."""
    average = solver.average_policy()
    return {label: sorted(average.get_state_policy(state)) for label, state in states.items()}


def _exploitability(game: Any, states: dict[str, Any], solver: Any) -> float:
    import pyspiel

    return float(pyspiel.nash_conv(game, _policy(states, solver))) / 2


def _agree(contest: Contest, theirs: Any, states: dict[str, Any], solver: Any) -> None:
    """Stop unless the peer's average profile is exactly as exploitable for us as for the peer."""
    from rltheory.games.interop.openspiel import from_openspiel

    game, policy = from_openspiel(contest.spiel), _policy(states, solver)
    profile = [share for label in game.infoset_labels for _, share in policy[label]]
    found, expected = exploitability(game, profile), _exploitability(theirs, states, solver)
    if not abs(found - expected) <= AGREEMENT:
        raise SystemExit(
            f"{contest.title}: OpenSpiel finds exploitability {expected!r} where we find {found!r}"
        )


def _states(game: Any) -> dict[str, Any]:
    """One state for each information state."""
    states, stack = {}, [game.new_initial_state()]
    while stack:
        state = stack.pop()
        if state.is_terminal():
            continue
        if not state.is_chance_node():
            states[state.information_state_string()] = state
        stack += [state.child(action) for action in state.legal_actions()]
    return states


if __name__ == "__main__":
    text, found = report()
    print(text, table(["target", "bound", "measured", "met"], [c.row for c in found]), sep="\n\n")
