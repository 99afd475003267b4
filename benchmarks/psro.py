"""PSRO: seconds for 100 iterations with each meta-solver, what they reach, and OpenSpiel beside.

OpenSpiel's psro_v2 estimates payoffs by playing; the uniform meta-solver ignores them. With
it and best responses that take the first of equally good actions, its exploitability must be ours.
Its iterations are timed at one play per payoff, the least that it can do, where ours are exact and
measure exploitability as well. Everyone uses one thread.
"""

import contextlib
import io
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.common import Claim, table
from rltheory.analysis.arrays import FloatArray
from rltheory.games.forms.extensive import ExtensiveGame
from rltheory.games.library import load
from rltheory.games.oracles.meta_solvers import META_SOLVERS
from rltheory.games.oracles.psro import PSROResult, psro

AGREEMENT = 1e-10
ITERATIONS = 100
TARGET = 60.0
"""Seconds that 100 iterations of SHOR-PSRO on Leduc may take."""

PEER_ITERATIONS = 4
"""In Kuhn the fifth best response has a tie, which OpenSpiel's rounding breaks in its own way."""

GAMES: list[tuple[str, str, dict[str, Any]]] = [
    ("Kuhn", "kuhn_poker", {}),
    ("Leduc", "leduc_poker", {}),
    ("Goofspiel 4", "goofspiel", {"cards": 4}),
    ("Goofspiel 5", "goofspiel", {"cards": 5}),
    ("Liar's Dice 4", "liars_dice", {"sides": 4}),
    ("Liar's Dice 6", "liars_dice", {"sides": 6}),
]


def report() -> tuple[str, list[Claim]]:
    """Return the section of the report, and the claims that it is about."""
    reached, seconds = _runs()
    claims = [Claim("100 iterations of SHOR-PSRO on Leduc, s", seconds["Leduc"]["shor"], TARGET)]
    try:
        beside = _beside_openspiel()
    except ImportError as obstacle:
        beside = f"OpenSpiel's psro_v2 could not be imported and was left out ({obstacle})."
    sections = {
        "Seconds for 100 iterations of PSRO, exploitability after each included": _table(
            seconds, "{:.2f}"
        ),
        "Exploitability of the evaluation meta-strategy after 100 iterations of PSRO": _table(
            reached, "{:.2e}"
        ),
        "PSRO beside OpenSpiel's": beside,
    }
    return "\n\n".join(f"### {title}\n\n{body}" for title, body in sections.items()), claims


def _runs() -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """Exploitability and seconds: game, then meta-solver."""
    reached: dict[str, dict[str, float]] = {}
    seconds: dict[str, dict[str, float]] = {}
    for title, name, parameters in GAMES:
        game = load(name, **parameters)
        reached[title], seconds[title] = {}, {}
        for solver in META_SOLVERS:
            psro(game, solver, iterations=2)
            result, passed = _timed(game, solver, ITERATIONS)
            reached[title][solver] = float(result.exploitability[-1])
            seconds[title][solver] = passed
    return reached, seconds


def _timed(game: ExtensiveGame, solver: str, iterations: int) -> tuple[PSROResult, float]:
    began = time.perf_counter()
    result = psro(game, solver, iterations=iterations)
    return result, time.perf_counter() - began


def _table(figures: dict[str, dict[str, float]], digits: str) -> str:
    rows = [
        [title, *(digits.format(row[solver]) for solver in META_SOLVERS)]
        for title, row in figures.items()
    ]
    return table(["game", *META_SOLVERS], rows)


def _beside_openspiel() -> str:
    rows = []
    for title in ("kuhn_poker", "leduc_poker"):
        game = load(title)
        theirs, passed = _openspiel(title, PEER_ITERATIONS)
        first = psro(game, "uniform", iterations=PEER_ITERATIONS, ties="first")
        error = float(np.abs(first.exploitability - theirs).max())
        if error > AGREEMENT:
            raise AssertionError(f"{title}: exploitability differs from OpenSpiel's by {error:g}")
        mine = float(np.median([_timed(game, "uniform", PEER_ITERATIONS)[1] for _ in range(7)]))
        rows.append([title, f"{1e3 * passed:,.0f}", f"{1e3 * mine:.2f}", f"{passed / mine:,.0f}"])
    text = table(["game", "OpenSpiel, ms", "rltheory, ms", "times faster"], rows)
    return (
        f"The first {PEER_ITERATIONS} iterations with the uniform meta-solver; exploitability "
        f"agrees to {AGREEMENT:g} before and after each.\n\n{text}"
    )


def _openspiel(name: str, iterations: int) -> tuple[FloatArray, float]:
    """Exploitability at the start and after each iteration; seconds for the iterations alone."""
    import pyspiel
    from open_spiel.python import policy
    from open_spiel.python.algorithms.psro_v2 import best_response_oracle, psro_v2, utils

    game = pyspiel.load_game(name)
    with _silent():
        oracle = best_response_oracle.BestResponseOracle(game=game)
        run = psro_v2.PSROSolver(
            game,
            oracle,
            sims_per_entry=1,
            meta_strategy_method="uniform",
            training_strategy_selector="probabilistic",
            sample_from_marginals=True,
        )
    exploitability, passed = [], 0.0
    for iteration in range(iterations + 1):
        if iteration:
            began = time.perf_counter()
            with _silent():
                run.iteration()
            passed += time.perf_counter() - began
        mixed = utils.aggregate_policies(game, run.get_policies(), run.get_meta_strategies())
        tabular = policy.tabular_policy_from_callable(game, mixed.action_probabilities)
        profile = {state: _actions(tabular, state) for state in tabular.state_lookup}
        exploitability.append(pyspiel.nash_conv(game, profile) / game.num_players())
    return np.array(exploitability), passed


def _actions(tabular: Any, state: str) -> list[tuple[int, float]]:
    """The actions that are played at an information state with their probabilities."""
    probabilities = tabular.policy_for_key(state)
    return [(action, float(p)) for action, p in enumerate(probabilities) if p > 0]


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()):
        yield


if __name__ == "__main__":
    text, found = report()
    print(text, table(["target", "bound", "measured", "met"], [c.row for c in found]), sep="\n\n")
