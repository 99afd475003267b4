"""`rltheory solve` for games: strategies with their exact exploitability."""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rltheory.analysis.arrays import FloatArray, check_range
from rltheory.analysis.bounds import Bounds, down, up
from rltheory.analysis.files import replacing, write_lines
from rltheory.games.exact.certified import certified_deviations, certified_exploitability
from rltheory.games.forms.extensive import ExtensiveGame
from rltheory.games.normal_form.matrix_game import MatrixGame

METHODS = ("cfr", "psro", "lp", "mccfr")
FILES = (".efg", ".nfg")
LARGEST_TABLE = 24
"""More information sets than that are not listed."""

EXAMPLES = """  rltheory solve leduc_poker --variant vad_cfr                  a game by name, by CFR
  rltheory solve kuhn_poker --set players=3 --variant dcfr      with parameters
  rltheory solve goofspiel --set cards=5 --iterations 5000 --save run.npz   resumes where it was
  rltheory solve kuhn_poker --method lp                         two-player zero-sum: its value
  rltheory solve leduc_poker --method psro --meta-solver shor   populations of best responses
  rltheory solve game.efg --json answer.json                    Gambit's file, or .nfg
"""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a method found: strategies (slots,), how far it got, and how it says so."""

    strategies: FloatArray
    method: str
    iterations: list[int]
    exploitability: list[float]
    note: str = ""


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
    print(f"game       {_size(game)}")
    start = time.perf_counter()
    outcome = solver()
    seconds = time.perf_counter() - start
    certified = certified_exploitability(game, outcome.strategies)
    answer = _answer(game, arguments.model, outcome, certified, seconds)
    print(_summary(answer, game, outcome))
    if arguments.json:
        table = game.strategy_table(outcome.strategies)
        write_lines(arguments.json, [json.dumps(answer | {"strategies": table}, indent=1)])
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
    from rltheory.games.regret.cfr import cfr, checkpoint_iterations
    from rltheory.games.regret.variants import as_variant

    variant = as_variant(arguments.variant or "vad_cfr")
    iterations = 1000 if arguments.iterations is None else arguments.iterations
    checkpoints = 10 if arguments.checkpoints is None else arguments.checkpoints
    checkpoint_iterations(checkpoints, iterations)
    turns = "all players at once" if arguments.simultaneous else "players in turn"

    def solve() -> Outcome:
        print(f"method     {variant.title}, {variant.source}; {turns}")
        print("\n iteration  exploitability of the average (until there is one: of the strategies)")
        result = cfr(
            game,
            variant,
            iterations=iterations,
            checkpoints=checkpoints,
            alternating=not arguments.simultaneous,
            save=arguments.save,
            progress=_line,
        )
        return Outcome(
            result.average,
            variant.name,
            result.iterations.tolist(),
            result.exploitability.tolist(),
            "" if result.averaging else "no average yet: these are the current strategies",
        )

    return solve


def _psro(arguments: argparse.Namespace, game: ExtensiveGame) -> Callable[[], Outcome]:
    from rltheory.games.oracles.psro import psro

    name = arguments.meta_solver or "shor"
    iterations = 100 if arguments.iterations is None else arguments.iterations

    def solve() -> Outcome:
        result = psro(game, name, iterations=iterations, save=arguments.save)
        print(f"method     PSRO with {name}, populations {result.sizes[-1].tolist()}")
        print("\n iteration  exploitability of the meta-strategy")
        last = len(result.exploitability) - 1
        shown = sorted({0, *(round(float(x)) for x in np.geomspace(1, max(last, 1), 10)), last})
        for row in shown:
            _line(row, float(result.exploitability[row]))
        return Outcome(
            result.strategies,
            f"psro-{name}",
            list(range(last + 1)),
            result.exploitability.tolist(),
            "" if result.stopped == "iterations" else f"stopped: {result.stopped}",
        )

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

    def solve() -> Outcome:
        print(f"method     external-sampling MCCFR, seed {seed}")
        print("\n iteration  exploitability of the average")
        result = mccfr(
            game,
            "external",
            iterations=iterations,
            checkpoints=checkpoints,
            seed=seed,
            save=arguments.save,
        )
        for mark, value in zip(result.iterations, result.exploitability, strict=True):
            _line(int(mark), float(value))
        return Outcome(
            result.average, "mccfr", result.iterations.tolist(), result.exploitability.tolist()
        )

    return solve


def _line(iteration: int, exploitability: float) -> None:
    print(f"{iteration:10d}  {exploitability:.6e}", flush=True)


def _list_variants() -> int:
    from rltheory.games.regret.variants import VARIANTS

    for name, make in VARIANTS.items():
        variant = make()
        print(f"{name:14s} {variant.title:16s} {variant.source}")
    return 0


def _size(game: ExtensiveGame) -> str:
    sums = ", zero-sum" if game.zero_sum else ""
    return (
        f"{game.name}: {game.players} players{sums}, {game.histories} histories, "
        f"{game.infosets} information sets"
    )


def _answer(
    game: ExtensiveGame, origin: str, outcome: Outcome, certified: Bounds, seconds: float
) -> dict[str, Any]:
    """All of the answer but the strategies, ready for JSON."""
    payoffs, best = certified_deviations(game, outcome.strategies)
    answer: dict[str, Any] = {
        "game": game.name,
        "origin": origin,
        "players": game.players,
        "zero_sum": game.zero_sum,
        "histories": game.histories,
        "infosets": game.infosets,
        "method": outcome.method,
        "iterations": outcome.iterations,
        "exploitability": outcome.exploitability,
        "certified": {"lower": float(certified.lower), "upper": float(certified.upper)},
        "payoffs": ((payoffs.lower + payoffs.upper) / 2).tolist(),
        "note": outcome.note,
        "seconds": seconds,
    }
    if game.zero_sum and game.players == 2:
        # Each player's strategy holds the other to the other's best response.
        answer["value"] = {
            "lower": float(down(-best.upper[1])),
            "upper": float(up(best.upper[0])),
        }
    return answer


def _summary(answer: dict[str, Any], game: ExtensiveGame, outcome: Outcome) -> str:
    certified = answer["certified"]
    lines = [
        "",
        f"time       {answer['seconds']:.3f} s",
        f"certified  exploitability in [{certified['lower']:.3g}, {certified['upper']:.3g}]",
        "payoffs    " + ", ".join(f"{x:.10g}" for x in answer["payoffs"]),
    ]
    if "value" in answer:
        value = answer["value"]
        lines.append(f"value      of the game, in [{value['lower']!r}, {value['upper']!r}]")
    if outcome.note:
        lines.append(f"note       {outcome.note}")
    if game.infosets <= LARGEST_TABLE:
        lines += ["", "strategies"]
        for player, table in enumerate(game.strategy_table(outcome.strategies)):
            for label, row in table.items():
                actions = ", ".join(f"{action} {chance:.4f}" for action, chance in row.items())
                lines.append(f"  player {player}  {label:<12s} {actions}")
    return "\n".join(lines)
