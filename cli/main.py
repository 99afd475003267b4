"""`rltheory`: one command line over the solvers, the theorems and the figures.

Only the module of the command that was asked for is imported, so that help stays fast.
"""

import argparse
import importlib
import importlib.metadata
import os
import signal
import sys
from collections.abc import Sequence

COMMANDS = {
    "verify": ("verify", "try to refute theorems; print a verdict on each"),
    "list": ("verify", "list the theorems"),
    "show": ("verify", "show a theorem in full"),
    "falsify": ("verify", "search for a counterexample to one theorem"),
    "replay": ("verify", "evaluate a kept instance again, to the same bits"),
    "solve": ("solve", "solve a model: values, policy and certified bounds"),
    "sweep": ("sweep", "run an experiment over a grid of settings, on cores or a cluster"),
    "figures": ("figures", "draw figures with their data"),
    "report": ("report", "write one HTML page of verdicts and figures"),
    "reproduce": ("reproduce", "verify everything, draw every figure, write the report"),
    "completion": ("completion", "print a script for completion in a shell"),
}

EXAMPLES = """examples:
  rltheory verify                        try to refute every theorem
  rltheory show bellman/contraction      what one of them says
  rltheory falsify bellman/contraction   look for a counterexample to it
  rltheory solve frozen_lake             solve a model
  rltheory reproduce                     everything, and a report of it

`rltheory COMMAND --help` explains a command. Exit status: 0; 1 if a theorem is refuted or
untested; 2 on bad usage or input; 130 if interrupted.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; errors are one line on stderr."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if argv is None:
        # Ended by another program, we stop our workers and keep what is done, as on Ctrl-C.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        status = _run(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except BrokenPipeError:
        _abandon_output()
        return 141
    except KeyboardInterrupt:
        print("rltheory: interrupted", file=sys.stderr)
        return 130
    except MemoryError as error:
        print(f"rltheory: not enough memory: {_one_line(error)}", file=sys.stderr)
        return 2
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"rltheory: {_one_line(error)}", file=sys.stderr)
        if isinstance(error, OSError):
            _abandon_output()
        return 2


def _run(arguments: list[str]) -> int:
    try:
        parsed = _parser(arguments[0] if arguments else "").parse_args(arguments)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    from rltheory.cli.streams import apart

    with apart(getattr(parsed, "json", None)):
        return int(parsed.run(parsed))


def _abandon_output() -> None:
    """Drop what cannot be written, if stdout is the trouble: Python would complain at the end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser(command: str) -> argparse.ArgumentParser:
    """Return the parser, with the arguments of `command` only; other commands show as a line."""
    parser = argparse.ArgumentParser(
        prog="rltheory",
        description="The theory of reinforcement learning, executable.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"rltheory {importlib.metadata.version('rltheory')}"
    )
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    if command in COMMANDS:
        importlib.import_module(f"rltheory.cli.{COMMANDS[command][0]}").add_parser(subparsers)
    else:
        for name, (_, summary) in COMMANDS.items():
            subparsers.add_parser(name, help=summary)
    return parser


def _one_line(error: Exception) -> str:
    """Return what an error says, and its notes, but for those of many lines, as tracebacks are."""
    words = str(error)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        words = f"{where}{error.strerror}"
    words = " ".join(words.split()) or type(error).__name__
    notes = [note for note in getattr(error, "__notes__", ()) if "\n" not in note.strip()]
    return "; ".join([words, *notes])


if __name__ == "__main__":
    sys.exit(main())
