"""What `rltheory solve` says of a game: its strategies and how good they are, certified."""

from dataclasses import dataclass
from typing import Any

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.bounds import Bounds, down, up
from rltheory.games.exact.certified import certified_deviations
from rltheory.games.forms.extensive import ExtensiveGame

LARGEST_TABLE = 24
"""More information sets than that are not listed."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a method found: strategies (slots,), how far it got, and how it says so."""

    strategies: FloatArray
    method: str
    iterations: list[int]
    exploitability: list[float]
    note: str = ""


def size(game: ExtensiveGame) -> str:
    """How large a game is, in words."""
    sums = ", zero-sum" if game.zero_sum else ""
    return (
        f"{game.name}: {game.players} players{sums}, {game.histories} histories, "
        f"{game.infosets} information sets"
    )


def answer(
    game: ExtensiveGame, origin: str, outcome: Outcome, certified: Bounds, seconds: float
) -> dict[str, Any]:
    """All of the answer but the strategies, ready for JSON."""
    payoffs, best = certified_deviations(game, outcome.strategies)
    found: dict[str, Any] = {
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
        found["value"] = {
            "lower": float(down(-best.upper[1])),
            "upper": float(up(best.upper[0])),
        }
    return found


def summary(answer: dict[str, Any], game: ExtensiveGame, outcome: Outcome) -> str:
    """The answer as lines to be read, with the strategies of a small game."""
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
