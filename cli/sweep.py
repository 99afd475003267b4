"""`rltheory sweep`: a run on every case of a grid, from a TOML file, on cores or on a cluster."""

import argparse
import importlib.util
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from rltheory.analysis.files import prepare
from rltheory.analysis.sweeps.backends import BACKENDS
from rltheory.analysis.sweeps.engine import sweep
from rltheory.analysis.sweeps.journal import case_key, parse_journal
from rltheory.analysis.sweeps.table import SUFFIXES, SweepTable
from rltheory.cli.experiment_runs import keywords
from rltheory.cli.experiments import EXPERIMENTS
from rltheory.cli.streams import is_standard_output, prepare_document, write_document
from rltheory.cli.sweep_config import Plan, read_config
from rltheory.cli.sweep_table import fitted, read_fit, spelt_out

EXAMPLES = """examples:
  rltheory sweep leduc.toml                       on all cores; again, to go on if interrupted
  rltheory sweep leduc.toml --dry-run             what it would run, and what is done already
  rltheory sweep leduc.toml --fit x=iteration,y=exploitability,by=variant
  rltheory sweep leduc.toml --backend dask --scheduler tcp://head:8786
  rltheory sweep leduc.toml --backend ray --address head:6379
  rltheory sweep --list                           experiments and their settings

a file, leduc.toml:
  experiment = "cfr"                    # or run = "package.module:function" of your own

  [fixed]
  game = "leduc_poker"
  iterations = 1000

  [grid]                                # every combination; "0:24" are the integers 0 to 23
  variant = ["cfr_plus", "vad_cfr"]
  alternating = [true, false]

Lists in a table [zip] go together, one row after the other. Rows are kept in a journal beside the
file as they are finished. Exit status: 0; 2 on bad input, or if a run fails; 130 if interrupted.
"""


def add_parser(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object."""
    parser = subparsers.add_parser(
        "sweep",
        help="run an experiment over a grid of settings",
        description="Run an experiment, or a function of your own, on every case of a grid. Rows "
        "are kept as they come; an interrupted sweep goes on where it stopped, to the same table.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", nargs="?", type=Path, metavar="CONFIG.toml")
    parser.add_argument("--list", action="store_true", help="list the experiments and stop")
    parser.add_argument("--dry-run", action="store_true", help="say what would be run and stop")
    parser.add_argument(
        "--out", type=Path, metavar="FILE.jsonl", help="the journal (beside CONFIG.toml, its name)"
    )
    parser.add_argument(
        "--table",
        type=Path,
        metavar="FILE",
        help="the table in the end: .parquet, .csv or .jsonl (beside the journal, in Parquet)",
    )
    parser.add_argument("--backend", choices=BACKENDS, default="local", help="where (local)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster that runs")
    parser.add_argument("--address", metavar="ADDRESS", help="of a Ray cluster that runs")
    parser.add_argument("--jobs", type=int, metavar="N", help="runs at a time (one per core)")
    parser.add_argument(
        "--fit",
        action="append",
        default=[],
        metavar="x=A,y=B,by=C",
        help="print the slope of B over A on log-log axes, for each C; may be repeated",
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write the summary there, or the list (-: to stdout)",
    )
    parser.add_argument(
        "--traceback", action="store_true", help="show the traceback of a run that fails"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Sweep; return 0, or 130 if interrupted.

    Raises ValueError, TypeError, OSError or ImportError for bad input, before any work, or with a
    note on the case if a run fails.
    """
    if arguments.list:
        return _list(arguments.json)
    if arguments.config is None:
        raise ValueError("CONFIG.toml is missing; expected a file, see rltheory sweep --help")
    fits = [read_fit(words) for words in arguments.fit]
    address = _address(arguments)
    if arguments.jobs is not None and arguments.jobs < 1:
        raise ValueError(f"--jobs is {arguments.jobs}; expected an integer of at least 1")
    plan = read_config(arguments.config)
    journal = arguments.out or arguments.config.with_name(f"{plan.name}.jsonl")
    place = arguments.table or journal.with_suffix(_usual_suffix())
    _check_places(arguments.config, journal, place, arguments.json)
    kept = _kept(journal, plan)
    if arguments.dry_run:
        return _describe(plan, journal, place, kept)
    prepare(place)
    prepare_document(arguments.json)
    start = time.perf_counter()
    try:
        table = _computed(plan, arguments, journal, address)
    except KeyboardInterrupt:
        print(f"rltheory: interrupted; {_said(plan, journal)}", file=sys.stderr)
        return 130
    seconds = time.perf_counter() - start
    axis = plan.experiment.axis
    whole = table if axis is None else spelt_out(table, axis)
    whole.write(place)
    answer: dict[str, Any] = {
        "name": plan.name,
        "run": plan.title,
        "cases": len(table),
        "computed": len(table) - kept,
        "rows": len(whole),
        "columns": list(whole.columns),
        "seconds": seconds,
        "backend": arguments.backend,
        "journal": str(journal),
        "table": str(place),
        "fits": [
            {"x": fit.x, "y": fit.y, "groups": fitted(whole, list(plan.cases[0]), fit)}
            for fit in fits
        ],
    }
    _print(answer)
    if arguments.json:
        write_document(arguments.json, answer)
        print(f"summary    {arguments.json}")
    return 0


def _computed(
    plan: Plan, arguments: argparse.Namespace, journal: Path, address: str | None
) -> SweepTable:
    """Return the table; what a run raises has a note on what is kept, and is one of our errors."""
    try:
        return sweep(
            plan.experiment.run,
            plan.cases,
            save=journal,
            backend=arguments.backend,
            jobs=arguments.jobs,
            address=address,
        )
    except Exception as error:
        notes = getattr(error, "__notes__", None)
        if not notes:
            # No run's: bad input, or a bug of ours.
            raise
        if arguments.traceback:
            traceback.print_exception(error)
        notes.append(_said(plan, journal))
        if isinstance(error, ValueError | TypeError | OSError | ImportError | MemoryError):
            raise
        failed = ValueError(f"{type(error).__name__}: {error}")
        failed.__notes__ = notes
        raise failed from error


def _address(arguments: argparse.Namespace) -> str | None:
    """Return the address of the cluster, if there is one. Raises ValueError where it is not for."""
    flags = {"dask": "scheduler", "ray": "address"}
    for backend, name in flags.items():
        if getattr(arguments, name) is not None and arguments.backend != backend:
            raise ValueError(f"--{name} is for --backend {backend}, not {arguments.backend}")
    if arguments.backend not in flags:
        return None
    address: str | None = getattr(arguments, flags[arguments.backend])
    return address


def _usual_suffix() -> str:
    return ".parquet" if importlib.util.find_spec("pyarrow") else ".csv"


def _check_places(config: Path, journal: Path, place: Path, summary: Path | None) -> None:
    """Raise ValueError or ImportError for a file that could not be written in the end."""
    if journal.suffix != ".jsonl":
        raise ValueError(f"--out is {journal}; expected a name that ends in .jsonl")
    if place.suffix not in SUFFIXES:
        raise ValueError(f"--table is {place}; expected a name that ends in {', '.join(SUFFIXES)}")
    if place.suffix == ".parquet" and not importlib.util.find_spec("pyarrow"):
        raise ImportError(f"--table {place} needs pyarrow: pip install 'rltheory[tables]'")
    files = {"the file of the sweep": config, "--out": journal, "--table": place}
    if summary and not is_standard_output(summary):
        files["--json"] = summary
    seen: dict[Path, str] = {}
    for what, file in files.items():
        other = seen.setdefault(file.resolve(), what)
        if other != what:
            raise ValueError(f"{other} and {what} are both {file}; expected two files")


def _kept(journal: Path, plan: Plan) -> int:
    """Return how many of the cases have their row already."""
    if not journal.is_file():
        return 0
    data = journal.read_bytes()
    if b"\n" not in data:
        # Ended while its first line was written, or something else: the sweep finds out.
        return 0
    rows = {case_key(case) for case, _ in parse_journal(journal, data).rows}
    return sum(case_key(case) in rows for case in plan.cases)


def _said(plan: Plan, journal: Path) -> str:
    kept = f"{_kept(journal, plan)} of {len(plan.cases)} cases are kept in {journal}"
    return f"{kept}; the same command goes on from there"


def _describe(plan: Plan, journal: Path, place: Path, kept: int) -> int:
    """Print what a sweep would do."""
    print(f"sweep      {plan.name}: {plan.title}")
    print(f"cases      {len(plan.cases)}, {kept} of them done")
    first = plan.cases[0]
    for name in plan.varied:
        values = list(dict.fromkeys(repr(case[name]) for case in plan.cases))
        some = values if len(values) < 8 else [*values[:3], "...", values[-1]]
        print(f"varies     {name}: {', '.join(some)}")
    fixed = [f"{name} {value!r}" for name, value in first.items() if name not in plan.varied]
    if fixed:
        print(f"fixed      {', '.join(fixed)}")
    print(f"journal    {journal}")
    print(f"table      {place}")
    return 0


def _list(target: Path | None) -> int:
    for name, experiment in EXPERIMENTS.items():
        print(f"{name:13} {experiment.summary}")
        settings = [f"{key}{' *' if n else ''}" for key, n in keywords(experiment.run).items()]
        print(f"{'':13} {', '.join(settings)}")
    print("\n* is needed; parameters of the model, game, environment or algorithm may be added.")
    document = [
        {"name": name, "summary": experiment.summary, "settings": keywords(experiment.run)}
        for name, experiment in EXPERIMENTS.items()
    ]
    write_document(target, document)
    return 0


def _print(answer: dict[str, Any]) -> None:
    print(f"sweep      {answer['name']}: {answer['run']}")
    print(
        f"cases      {answer['cases']}, {answer['computed']} of them now, "
        f"{answer['seconds']:.1f} s on {answer['backend']}"
    )
    print(f"journal    {answer['journal']}")
    print(f"table      {answer['table']}: {answer['rows']} rows, {len(answer['columns'])} columns")
    for fit in answer["fits"]:
        print(f"\nslope of {fit['y']} over {fit['x']}, 95% interval")
        for group in fit["groups"]:
            print(f"  {_line(group)}")


def _line(found: dict[str, Any]) -> str:
    group = ", ".join(f"{name} {value}" for name, value in found["group"].items()) or "all"
    if "problem" in found:
        return f"{group}: no slope, as {found['problem']}"
    return (
        f"{group}: {found['slope']:.3f} [{found['lower']:.3f}, {found['upper']:.3f}], "
        f"{found['runs']} runs, {found['points']} points from {found['from']:g} to {found['to']:g}"
    )
