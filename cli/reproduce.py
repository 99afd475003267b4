"""`rltheory reproduce`: verify every theorem, draw every figure, write the report."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import joblib
from joblib.externals.loky import get_reusable_executor

from rltheory.cli.streams import prepare_document, write_document

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
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write what reproduce.json holds (-: to stdout)"
    )
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
    for name in ("report.html", "reproduce.json"):
        prepare(folder / name)
    prepare_document(arguments.json)
    stages = []
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
            format="text",
        )
    )
    if verdict not in (0, 1):
        return verdict
    stages.append(_stage("verify", start))
    print("\nfigures:", flush=True)
    begun = time.perf_counter()
    names = [figure.name for figure in registry.figures()]
    failures = figures.draw_all(names, pictures, seed=arguments.seed, jobs=jobs)
    stages.append(_stage("figures", begun))
    begun = time.perf_counter()
    page = report(folder / "report.html", store=store, figures=pictures)
    stages.append(_stage("report", begun))
    for target in (folder / "reproduce.json", arguments.json):
        write_document(target, {"stages": stages})
    times = ", ".join(f"{stage['stage']} {stage['seconds']:.0f} s" for stage in stages)
    print(f"\n{times}{_peak(stages[-1])}")
    minutes, seconds = divmod(round(time.perf_counter() - start), 60)
    print(f"report, after {minutes} min {seconds} s: {page.resolve()}")
    return 1 if verdict or failures else 0


def _stage(name: str, start: float) -> dict[str, Any]:
    """Return how long a stage took, and the most memory resident at once until its end, in MiB.

    process_mib: of this process. worker_mib: of the largest of its workers, which are not added up,
    as their peaks need not coincide; 0 where there were none. Linux counts a worker from when it
    was a copy of this process, so that it is at least what this held then. None where the system
    does not tell.
    """
    seconds = time.perf_counter() - start
    # A worker is counted once it has ended.
    get_reusable_executor(reuse=True).shutdown(wait=True)
    try:
        import resource
    except ImportError:
        process = worker = None
    else:
        scale = 2**20 if sys.platform == "darwin" else 2**10
        process, worker = (
            resource.getrusage(who).ru_maxrss / scale
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
    return {"stage": name, "seconds": seconds, "process_mib": process, "worker_mib": worker}


def _peak(stage: dict[str, Any]) -> str:
    if stage["process_mib"] is None:
        return ""
    worker = f", of the largest worker at most {stage['worker_mib']:.0f} MiB"
    return f"; peak memory {stage['process_mib']:.0f} MiB{worker}"
