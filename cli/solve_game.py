"""`rltheory solve` for games: strategies with their exact exploitability."""

import argparse
import time
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

import numpy as np

from rltheory.analysis.arrays import check_range
from rltheory.analysis.files import replacing
from rltheory.cli.game_answer import Outcome, answer, size, summary
from rltheory.cli.streams import write_document
from rltheory.games.exact.certified import certified_exploitability
from rltheory.games.forms.extensive import ExtensiveGame
from rltheory.games.normal_form.matrix_game import MatrixGame

Progress = Callable[[int, float], None]

METHODS = ("cfr", "psro", "lp", "mccfr")
FILES = (".efg", ".nfg")

EXAMPLES = """  rltheory solve leduc_poker --variant vad_cfr                  a game by name, by CFR
  rltheory solve kuhn_poker --set players=3 --variant dcfr      with parameters
  rltheory solve goofspiel --set cards=5 --iterations 5000 --save run.npz   resumes where it was
  rltheory solve kuhn_poker --method lp                         two-player zero-sum: its value
  rltheory solve leduc_poker --method psro --meta-solver shor   populations of best responses
  rltheory solve game.efg --json answer.json                    Gambit's file, or .nfg
"""


def add_options(group: Any) -> None:
    """Add what only games have to an argument group; every default is None."""
    group.add_argument(
        "--variant", metavar="NAME", help="of CFR (vad_cfr); `--variant list` names them"
    )
    group.add_argument("--iterations", type=int, metavar="N", help="1000; of psro, 100")
    group.add_argument(
        "--checkpoints", type=int, metavar="K", help="how often exploitability is computed (10)"
    )
    group.add_argument(
        "--simultaneous",
        action="store_const",
        const=True,
        help="update all players of CFR at once instead of in turn",
    )
    group.add_argument("--meta-solver", metavar="NAME", help="of psro (shor)")
    group.add_argument("--seed", type=int, metavar="N", help="of mccfr (0)")
    group.add_argument(
        "--save", type=Path, metavar="FILE", help="keep the run there; if it exists, go on from it"
    )


def run(arguments: argparse.Namespace, parameters: dict[str, Any]) -> int:
    """Solve and print; return 0, or 1 if the exploitability misses the tolerance.

    Raises ValueError, TypeError, OSError or ImportError for bad input, before any work.
    """
    if arguments.variant == "list":
        return _list_variants()
    if arguments.tolerance is not None:
        check_range(arguments.tolerance, "--tolerance", 0.0, np.inf)
    game = _read(arguments, parameters)
    solver = _solver(arguments, game)
    print(f"game       {size(game)}")
    start = time.perf_counter()
    outcome = solver()
    seconds = time.perf_counter() - start
    certified = certified_exploitability(game, outcome.strategies)
    found = answer(game, arguments.model, outcome, certified, seconds)
    print(summary(found, game, outcome))
    if arguments.json:
        table = game.strategy_table(outcome.strategies)
        write_document(arguments.json, found | {"strategies": table})
        print(f"answer in {arguments.json}")
    if arguments.out:
        with replacing(arguments.out) as stream:
            np.savez_compressed(
                stream,
                strategies=outcome.strategies,
                iterations=outcome.iterations,
                exploitability=outcome.exploitability,
            )
        print(f"arrays in {arguments.out}")
    return int(arguments.tolerance is not None and certified.upper > arguments.tolerance)


def _read(arguments: argparse.Namespace, parameters: dict[str, Any]) -> ExtensiveGame:
    path = Path(arguments.model)
    if path.suffix in FILES:
        from rltheory.games.forms.one_shot import one_shot
        from rltheory.games.interop.gambit import from_gambit

        if parameters:
            raise ValueError(f"--set {next(iter(parameters))}: a file has no parameters")
        game = from_gambit(path)
        if isinstance(game, MatrixGame):
            game = one_shot(game, str(path))
            if arguments.method is None and game.players == 2 and game.zero_sum:
                arguments.method = "lp"
        return game
    from rltheory.games.library import load

    if arguments.method == "mccfr":
        parameters.setdefault("form", "tree")
    return load(arguments.model, **parameters)


def _solver(arguments: argparse.Namespace, game: ExtensiveGame) -> Callable[[], Outcome]:
    """Return the call that solves the game, its arguments checked."""
    method = arguments.method or "cfr"
    if method not in METHODS:
        raise ValueError(f"--method {method} is for MDPs; games have {METHODS}")
    needs = {
        "variant": ("cfr",), "simultaneous": ("cfr",), "meta_solver": ("psro",),
        "seed": ("mccfr",), "iterations": ("cfr", "psro", "mccfr"),
        "checkpoints": ("cfr", "mccfr"), "save": ("cfr", "psro", "mccfr"),
    }  # fmt: skip
    for option, methods in needs.items():
        if getattr(arguments, option) is not None and method not in methods:
            flag = "--" + option.replace("_", "-")
            raise ValueError(f"{flag} is for --method {' or '.join(methods)}, not {method}")
    return {"cfr": _cfr, "psro": _psro, "lp": _lp, "mccfr": _mccfr}[method](arguments, game)


def _cfr(arguments: argparse.Namespace, game: ExtensiveGame) -> Callable[[], Outcome]:
    from rltheory.analysis.checkpoints import checkpoint_iterations
    from rltheory.games.regret.cfr import cfr
    from rltheory.games.regret.variants import as_variant

    variant = as_variant(arguments.variant or "vad_cfr")
    iterations = 1000 if arguments.iterations is None else arguments.iterations
    checkpoints = 10 if arguments.checkpoints is None else arguments.checkpoints
    checkpoint_iterations(checkpoints, iterations)
    turns = "all players at once" if arguments.simultaneous else "players in turn"

    def run(line: Progress) -> Outcome:
        result = cfr(
            game,
            variant,
            iterations=iterations,
            checkpoints=checkpoints,
            alternating=not arguments.simultaneous,
            save=arguments.save,
            progress=line,
        )
        return Outcome(
            result.average,
            variant.name,
            result.iterations.tolist(),
            result.exploitability.tolist(),
            "" if result.averaging else "no average yet: these are the current strategies",
        )

    def solve() -> Outcome:
        print(f"method     {variant.title}, {variant.source}; {turns}")
        return _follow("the average (until there is one: of the strategies)", run)

    return solve


def _psro(arguments: argparse.Namespace, game: ExtensiveGame) -> Callable[[], Outcome]:
    from rltheory.games.oracles.psro import psro

    name = arguments.meta_solver or "shor"
    iterations = 100 if arguments.iterations is None else arguments.iterations

    def run(line: Progress) -> Outcome:
        result = psro(game, name, iterations=iterations, save=arguments.save, progress=line)
        note = "populations of " + ", ".join(map(str, result.sizes[-1].tolist())) + " policies"
        return Outcome(
            result.strategies,
            f"psro-{name}",
            list(range(len(result.exploitability))),
            result.exploitability.tolist(),
            note if result.stopped == "iterations" else f"{note}; stopped: {result.stopped}",
        )

    def solve() -> Outcome:
        print(f"method     PSRO with {name}")
        rows = np.geomspace(1, max(iterations, 1), 10).round().tolist()
        return _follow("the meta-strategy", run, {0.0, *rows})

    return solve


def _lp(arguments: argparse.Namespace, game: ExtensiveGame) -> Callable[[], Outcome]:
    from rltheory.games.best_response import exploitability
    from rltheory.games.exact.sequence_form import sequence_form_nash

    def solve() -> Outcome:
        print("method     linear program of the sequence form, HiGHS")
        strategies = sequence_form_nash(game).strategies
        return Outcome(strategies, "lp", [], [exploitability(game, strategies)])

    return solve


def _mccfr(arguments: argparse.Namespace, game: ExtensiveGame) -> Callable[[], Outcome]:
    from rltheory.games.regret.mccfr import mccfr

    iterations = 100_000 if arguments.iterations is None else arguments.iterations
    checkpoints = 10 if arguments.checkpoints is None else arguments.checkpoints
    seed = arguments.seed or 0

    def run(line: Progress) -> Outcome:
        result = mccfr(
            game,
            "external",
            iterations=iterations,
            checkpoints=checkpoints,
            seed=seed,
            save=arguments.save,
            progress=line,
        )
        return Outcome(
            result.average, "mccfr", result.iterations.tolist(), result.exploitability.tolist()
        )

    def solve() -> Outcome:
        print(f"method     external-sampling MCCFR, seed {seed}")
        return _follow("the average", run)

    return solve


def _follow(
    what: str, run: Callable[[Progress], Outcome], rows: Container[float] | None = None
) -> Outcome:
    """Run, printing the exploitability as it falls: after the iterations `rows`, or whenever told.

    Where a run ends is printed in any case, also of a kept one that has nothing left to do.
    """
    printed: list[int] = []

    def line(iteration: int, exploitability: float) -> None:
        if rows is None or iteration in rows:
            printed.append(iteration)
            print(f"{iteration:10d}  {exploitability:.6e}", flush=True)

    print(f"\n iteration  exploitability of {what}", flush=True)
    outcome = run(line)
    last = outcome.iterations[-1]
    if last not in printed:
        rows = None
        line(last, outcome.exploitability[-1])
    return outcome


def _list_variants() -> int:
    from rltheory.games.regret.variants import VARIANTS

    for name, make in VARIANTS.items():
        variant = make()
        print(f"{name:14s} {variant.title:16s} {variant.source}")
    return 0
