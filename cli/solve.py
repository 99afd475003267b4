"""`rltheory solve`: an MDP or a game, from a file or by name, solved with a certificate."""

import argparse
import difflib
from pathlib import Path
from typing import Any

from rltheory.analysis.files import prepare
from rltheory.cli import solve_game, solve_mdp
from rltheory.cli.parameters import parameters_of
from rltheory.cli.streams import prepare_document
from rltheory.games.library import game_names
from rltheory.tabular.library import MODELS

EXAMPLES = f"""{solve_mdp.EXAMPLES}
{solve_game.EXAMPLES}
An interval model (.tra, .drn) is solved against its own intervals unless --uncertainty none.
Bounds printed enclose the exact value, rounding included. Exit status: 0; 1 if the certified gap,
or a game's exploitability, misses the tolerance; 2 on bad input.
"""


def add_parser(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object."""
    parser = subparsers.add_parser(
        "solve",
        help="solve an MDP or a game",
        description="Solve a finite MDP, nominal or robust (.npz, .tra, .drn), or a game (.efg, "
        ".nfg), from a file or by name. The answer comes with how good it is: bounds that enclose "
        "an MDP's exact values, the exact exploitability of a game's strategies.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="FILE|NAME", help="a file, or the name of an MDP or game")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a parameter of a named model or game; of a .tra or .drn file, reward=NAME or "
        "rescale_within=DIFFERENCE; may be repeated",
    )
    parser.add_argument(
        "--method",
        choices=(*solve_mdp.METHODS, *solve_game.METHODS),
        help="MDPs: value_iteration by default, robust ones also policy_iteration; games: cfr by "
        "default, lp for .nfg files that are two-player zero-sum",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        metavar="T",
        help="an MDP's certified gap (1e-8); a game's exploitability (none)",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the answer there (-: to stdout)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE.npz", help="write the arrays there")
    for kind, title in ((solve_mdp, "MDPs"), (solve_game, "games")):
        before = set(vars(parser.parse_args([""])))
        kind.add_options(parser.add_argument_group(title))
        _OPTIONS[title] = set(vars(parser.parse_args([""]))) - before
    parser.set_defaults(run=run)


_OPTIONS: dict[str, set[str]] = {}


def run(arguments: argparse.Namespace) -> int:
    """Solve and print; return 0, or 1 if the answer misses the tolerance.

    Raises ValueError, TypeError, OSError or ImportError for bad input, before any work.
    """
    if arguments.out and arguments.out.suffix != ".npz":
        raise ValueError(f"--out is {arguments.out}; expected a file ending in .npz")
    prepare_document(arguments.json)
    if arguments.out:
        prepare(arguments.out)
    parameters = parameters_of(arguments.set)
    if "name" in parameters:
        given = f"name={parameters['name']}"
        raise ValueError(f"--set {given!r}; expected a parameter, and the name before it")
    kind = _kind(arguments.model)
    other = "games" if kind == "MDPs" else "MDPs"
    for option in sorted(_OPTIONS[other]):
        if getattr(arguments, option) is not None:
            flag = "--" + option.replace("_", "-")
            raise ValueError(f"{flag} is for {other}; {arguments.model} is one of the {kind}")
    solve = solve_game.run if kind == "games" else solve_mdp.run
    return solve(arguments, parameters)


def _kind(model: str) -> str:
    """Whether a file or name is one of the "MDPs" or the "games"; ValueError if neither."""
    path = Path(model)
    known: dict[str, tuple[str, ...]] = {
        "MDPs": (*MODELS, *solve_mdp.FILES),
        "games": (*game_names(), *solve_game.FILES),
    }
    for kind, names in known.items():
        if (path.suffix or model) in names:
            return kind
    if len(path.parts) > 1 or path.suffix:
        files = (*solve_mdp.FILES, *solve_game.FILES)
        raise ValueError(
            f"{path} ends in {path.suffix!r}; expected the name of a model or game, or {files}"
        )
    every = [*MODELS, *game_names()]
    near = difflib.get_close_matches(model, every, n=3) or every
    raise ValueError(f"no model or game is named {model!r}; did you mean {', '.join(near)}?")
