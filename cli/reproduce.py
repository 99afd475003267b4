"""`rltheory reproduce`: verify every theorem, draw every figure, write the report."""

import argparse
import time
from pathlib import Path
from typing import Any

import joblib

EXAMPLES = """examples:
  rltheory reproduce                  everything, into out/; a few minutes on two cores
  rltheory reproduce --resume         go on where an interrupted run stopped
  rltheory reproduce --budget quick   a first look

Exit status 1 if a theorem is refuted or untested, or a figure could not be drawn.
"""


def add_parser(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object."""
    from rltheory.theory.search import BUDGETS

    parser = subparsers.add_parser(
        "reproduce",
        help="verify everything, draw every figure, write the report",
        description="Verify every theorem, draw every figure at the quick scale, write one "
        "self-contained HTML report, and say where it is.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out", type=Path, default=Path("out"), metavar="DIR", help="where everything goes (out)"
    )
    parser.add_argument(
        "--budget", choices=BUDGETS, default="standard", help="of verify (standard)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of everything (0)")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (one per core)")
    parser.add_argument("--resume", action="store_true", help="keep the theorems done before")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Return 0; 1 if a theorem or a figure failed; 130 if interrupted while verifying."""
    from rltheory.analysis.files import prepare
    from rltheory.analysis.plotting import writable_folder
    from rltheory.cli import figures, verify
    from rltheory.paper_figures import registry
    from rltheory.theory.report import report

    start = time.perf_counter()
    folder = writable_folder(arguments.out)
    jobs = joblib.cpu_count() if arguments.jobs is None else arguments.jobs
    store, pictures = folder / "verify.jsonl", writable_folder(folder / "figures")
    prepare(folder / "report.html")
    print(f"theorems, at the {arguments.budget} budget:", flush=True)
    verdict = verify.run(
        argparse.Namespace(
            ids=[],
            budget=arguments.budget,
            seed=arguments.seed,
            jobs=jobs,
            json=folder / "verify.json",
            store=store,
            resume=arguments.resume,
        )
    )
    if verdict not in (0, 1):
        return verdict
    print("\nfigures:", flush=True)
    names = [figure.name for figure in registry.figures()]
    failures = figures.draw_all(names, pictures, seed=arguments.seed, jobs=jobs)
    page = report(folder / "report.html", store=store, figures=pictures)
    minutes, seconds = divmod(round(time.perf_counter() - start), 60)
    print(f"\nreport, after {minutes} min {seconds} s: {page.resolve()}")
    return 1 if verdict or failures else 0
