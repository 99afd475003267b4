"""`rltheory completion`: a script that completes commands, options and names in a shell."""

import argparse
import importlib
from pathlib import Path
from typing import Any

from rltheory.cli.main import COMMANDS

SHELLS = ("bash", "zsh", "tcsh")

EXAMPLES = """examples:
  eval "$(rltheory completion bash)"                               for this shell
  rltheory completion bash > ~/.local/share/bash-completion/completions/rltheory
  rltheory completion zsh > ~/.zsh/_rltheory                       a folder of $fpath

Names of theorems, figures and models stand in the script: write it again after an update.
"""

_MODELS = "_rltheory_models"


def add_parser(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object."""
    parser = subparsers.add_parser(
        "completion",
        help="print a script for completion in a shell",
        description="Print a script with which a shell completes commands, options, and the names "
        "of theorems, figures, models and games.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    import shtab

    shell = arguments.shell
    print(shtab.complete(_whole_parser(), shell, preamble=_completing_models().get(shell, "")))
    return 0


def _whole_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands, with the names that their arguments may have."""
    from rltheory.paper_figures import registry as figures
    from rltheory.theory import registry as theorems

    parser = argparse.ArgumentParser(prog="rltheory")
    parser.add_argument("--version", action="store_true", help="print the version")
    subparsers = parser.add_subparsers(metavar="COMMAND")
    for module in dict.fromkeys(module for module, _ in COMMANDS.values()):
        importlib.import_module(f"rltheory.cli.{module}").add_parser(subparsers)
    ids = [theorem.id for theorem in theorems.theorems()]
    names = {("verify", "ids"): ids, ("list", "ids"): ids, ("show", "id"): ids,
             ("falsify", "id"): ids,
             ("figures", "names"): [figure.name for figure in figures.figures()]}  # fmt: skip
    for command, subparser in subparsers.choices.items():
        for action in subparser._actions:
            if (command, action.dest) in names:
                action.choices = names[command, action.dest]
            elif (command, action.dest) == ("solve", "model"):
                action.complete = {"bash": _MODELS, "zsh": _MODELS, "tcsh": "f"}  # type: ignore[attr-defined]
            elif action.type is Path:
                action.complete = _places(action.metavar == "DIR")  # type: ignore[attr-defined]
    return parser


def _places(folder: bool) -> Any:
    import shtab

    return shtab.DIRECTORY if folder else shtab.FILE


def _completing_models() -> dict[str, str]:
    """Return by shell a function that completes models, games and files: one argument takes all."""
    from rltheory.games.library import game_names
    from rltheory.tabular.library import MODELS

    names = " ".join([*MODELS, *game_names()])
    return {
        "bash": f'{_MODELS}() {{ compgen -W "{names}" -- "$1"; compgen -f -- "$1"; }}',
        "zsh": f"{_MODELS}() {{ compadd -- {names}; _files }}",
    }
