"""`rltheory figures`: draw figures again, each as pictures, CSV and JSON."""

import argparse
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from rltheory.analysis import plotting
from rltheory.cli.parameters import parameters_of
from rltheory.cli.streams import prepare_document, write_document
from rltheory.paper_figures import registry

EXAMPLES = """examples:
  rltheory figures --list                     what there is
  rltheory figures                            all of them, into out/figures
  rltheory figures planners 'robust-*'        some of them; globs in quotes
  rltheory figures --scale paper --out paper  larger instances, finer curves
  rltheory figures bounds --format pdf,pgf    for TeX to set in the fonts of a paper
  rltheory figures bounds --set discount=0.99 with a parameter of your own
"""


def add_parser(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object."""
    parser = subparsers.add_parser(
        "figures",
        help="draw figures with their data",
        description="Draw figures: for each the pictures, its data as CSV, and a JSON with title, "
        "caption, source, settings and seed. The same call gives the same bytes.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME|GLOB", help="which figures (all)")
    parser.add_argument("--out", type=Path, default=Path("out/figures"), metavar="DIR")
    parser.add_argument(
        "--scale", choices=registry.SCALES, default="quick", help="size of the instances (quick)"
    )
    parser.add_argument(
        "--format",
        type=_formats,
        default=plotting.USUAL,
        metavar="LIST",
        help="of the pictures, with commas between: pdf, png, pgf (pdf,png); pgf needs no TeX here",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another value of a parameter, which every figure asked for must have; may be "
        "repeated; the JSON beside a figure lists its parameters",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random instances (0)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--list", action="store_true", help="list the figures and stop")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write name, title, and if drawn files and seconds (-: to stdout)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Draw what was asked; return 0, or 1 if a figure failed (the others are still drawn)."""
    chosen = registry.select(arguments.names)
    if arguments.list:
        width = max(len(figure.name) for figure in chosen)
        for figure in chosen:
            print(f"{figure.name:{width}}  {figure.title}")
        document = [{"name": figure.name, "title": figure.title} for figure in chosen]
        write_document(arguments.json, document)
        return 0
    changes = parameters_of(arguments.set)
    for figure in chosen:
        figure.parameters(arguments.scale, changes)
    prepare_document(arguments.json)
    seconds: dict[str, float] = {}
    failures = draw_all(
        [figure.name for figure in chosen],
        arguments.out,
        scale=arguments.scale,
        seed=arguments.seed,
        jobs=arguments.jobs,
        formats=arguments.format,
        changes=changes,
        seconds_of=seconds,
    )
    files = (*arguments.format, "csv", "json")
    drawn = [
        {
            "name": figure.name,
            "title": figure.title,
            "files": [str(arguments.out / f"{figure.name}.{kind}") for kind in files],
            "seconds": seconds[figure.name],
        }
        for figure in chosen
        if figure.name in seconds
    ]
    write_document(arguments.json, drawn)
    return 1 if failures else 0


def _formats(words: str) -> tuple[str, ...]:
    """Return formats from a list with commas, each once."""
    found = tuple(dict.fromkeys(word.strip() for word in words.split(",")))
    try:
        plotting.check_formats(found)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return found


def draw_all(
    names: Sequence[str],
    folder: Path,
    *,
    scale: str = "quick",
    seed: int = 0,
    jobs: int = 2,
    formats: Sequence[str] = plotting.USUAL,
    changes: registry.Parameters | None = None,
    seconds_of: dict[str, float] | None = None,
) -> list[str]:
    """Draw figures in `jobs` processes, print a line for each as it comes; return the failures.

    changes: parameters that differ from those of the scale, known to every figure.
    seconds_of: takes the time of each figure that was drawn.
    Raises ValueError if seed, jobs or formats does not fit, OSError if the folder cannot be
    written, ChildProcessError if the system kills a worker.
    """
    if seed < 0:
        raise ValueError(f"seed is {seed}; expected a nonnegative integer")
    if jobs < 1:
        raise ValueError(f"jobs is {jobs}; expected at least 1")
    plotting.check_formats(formats)
    plotting.writable_folder(folder)
    failures = []
    shown = "png" if "png" in formats else formats[0]
    settings = {"scale": scale, "seed": seed, "formats": formats, "changes": changes}
    for name, seconds, trouble in _outcomes(names, folder, settings, jobs):
        if trouble:
            failures.append(name)
            print(f"{name} failed: {trouble}", file=sys.stderr, flush=True)
        else:
            if seconds_of is not None:
                seconds_of[name] = seconds
            print(f"{folder / name}.{shown}  {seconds:.1f} s", flush=True)
    return failures


def _outcomes(
    names: Sequence[str], folder: Path, settings: dict[str, Any], jobs: int
) -> Iterator[tuple[str, float, str]]:
    if jobs == 1 or len(names) == 1:
        yield from (_draw(name, folder, settings) for name in names)
        return
    cost = {figure.name: figure.cost for figure in registry.figures()}
    dearest_first = sorted(names, key=lambda name: -cost[name])
    pool = Parallel(n_jobs=min(jobs, len(names)), return_as="generator_unordered", batch_size=1)
    try:
        yield from pool(delayed(_draw)(name, folder, settings) for name in dearest_first)
    except BrokenProcessPool as error:
        raise ChildProcessError(
            f"a worker process was lost ({' '.join(str(error).split())[:200]}); "
            "the figures listed so far are complete, --jobs 1 needs less memory"
        ) from error


def _draw(name: str, folder: Path, settings: dict[str, Any]) -> tuple[str, float, str]:
    """Return the name, the seconds it took, and what failed: empty if nothing did.

    The traceback shows it, or one line where the system refused or a parameter was the user's.
    """
    start = time.perf_counter()
    try:
        registry.render(name, folder, **settings)
    except OSError as error:
        return name, time.perf_counter() - start, str(error)
    except Exception as error:
        changes = settings["changes"]
        trouble = f"with {changes}: {error!r}" if changes else "\n" + traceback.format_exc()
        return name, time.perf_counter() - start, trouble
    return name, time.perf_counter() - start, ""
