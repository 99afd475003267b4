"""`rltheory verify`, `list`, `show`, `falsify` and `replay`: theorems on the command line."""

import argparse
import contextlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from rltheory.cli.streams import add_format, prepare_document, write_document
from rltheory.theory import engine, registry
from rltheory.theory.search import BUDGETS
from rltheory.theory.theorem import Theorem
from rltheory.theory.verdict import (
    EXISTENTIAL,
    Attempt,
    Instance,
    Result,
    decode_instance,
    encode,
    verdict_table,
)

STORE = Path("out/verify.jsonl")
"""Where finished theorems are logged unless --store says otherwise."""

VERDICT_COLUMNS = ("theorem", "verdict", "instances", "tightness", "margin")
"""What `--format latex` shows of a verdict."""

VERIFY_EXAMPLES = """examples:
  rltheory verify                              every theorem, at the standard budget
  rltheory verify 'bellman/*' --budget quick   some of them; globs in quotes
  rltheory verify --json out/verdicts.json     with every number in a file
  rltheory verify --resume                     go on where an interrupted run stopped

Every theorem is attacked by random instances and a local search, and so is its control, a
variant made slightly false: a theorem whose control survives is untested. Exit status 1 if a
theorem is refuted or untested.
"""

FALSIFY_EXAMPLES = """examples:
  rltheory falsify bellman/contraction                      search hard for a counterexample
  rltheory falsify bellman/contraction --json worst.json    keep the worst instance
  rltheory falsify bellman/contraction --role control       watch its false twin fall
  rltheory replay worst.json                                evaluate it again
"""

LIST_EXAMPLES = """examples:
  rltheory list
  rltheory list 'robust/*'
"""

SHOW_EXAMPLES = """examples:
  rltheory show bellman/contraction
"""

REPLAY_EXAMPLES = """examples:
  rltheory replay worst.json     the file of `rltheory falsify ID --json worst.json`, or an
                                 instance downloaded from the report

Exit status 1 if the two sides do not come out to the same bits.
"""


def add_parser(subparsers: Any) -> None:
    """Add the five commands to an argparse subparsers object."""
    verify = _command(subparsers, "verify", "try to refute theorems", VERIFY_EXAMPLES, run)
    verify.add_argument("ids", nargs="*", metavar="ID|GLOB", help="which theorems (all)")
    verify.add_argument("--budget", choices=BUDGETS, default="standard", help="how hard (standard)")
    verify.add_argument("--seed", type=int, default=0, metavar="N", help="of the instances (0)")
    verify.add_argument("--jobs", type=int, metavar="N", help="processes (one per core)")
    verify.add_argument(
        "--json", type=Path, metavar="FILE", help="write all results there (-: to stdout)"
    )
    verify.add_argument(
        "--store", type=Path, default=STORE, metavar="FILE", help=f"the run log ({STORE})"
    )
    verify.add_argument(
        "--resume", action="store_true", help="skip what the run log holds for the same run"
    )

    listing = _command(subparsers, "list", "list the theorems", LIST_EXAMPLES, run_list)
    add_format(verify)

    listing.add_argument("ids", nargs="*", metavar="ID|GLOB", help="which theorems (all)")
    listing.add_argument(
        "--json", type=Path, metavar="FILE", help="write id, title, kind, source (-: to stdout)"
    )

    add_format(listing)

    show = _command(subparsers, "show", "show a theorem in full", SHOW_EXAMPLES, run_show)
    show.add_argument("id", metavar="ID")
    show.add_argument(
        "--json", type=Path, metavar="FILE", help="write the record's texts (-: to stdout)"
    )

    falsify = _command(
        subparsers, "falsify", "search for a counterexample", FALSIFY_EXAMPLES, run_falsify
    )
    falsify.add_argument("id", metavar="ID")
    falsify.add_argument("--budget", choices=BUDGETS, default="deep", help="how hard (deep)")
    falsify.add_argument("--seed", type=int, default=0, metavar="N", help="of the instances (0)")
    falsify.add_argument(
        "--role",
        choices=("theorem", "control", "sign", "constant"),
        default="theorem",
        help="attack its control, or it with the sign or constant turned, instead",
    )
    falsify.add_argument("--json", type=Path, metavar="FILE", help="write the worst instance there")

    replay = _command(
        subparsers, "replay", "evaluate an instance again", REPLAY_EXAMPLES, run_replay
    )
    replay.add_argument("file", type=Path, metavar="FILE")
    replay.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write kept and found instances, and whether the bits are the same (-: to stdout)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Verify; return 0, 1 if a theorem is refuted or untested, 130 if interrupted."""
    chosen = engine.chosen_theorems(arguments.ids)
    if arguments.json:
        if arguments.json.resolve() == arguments.store.resolve():
            raise ValueError(f"--json and --store are both {arguments.json}; expected two files")
        prepare_document(arguments.json)
    try:
        with _progress(len(chosen)) as advance:
            results = engine.verify(
                chosen,
                budget=arguments.budget,
                seed=arguments.seed,
                jobs=arguments.jobs,
                store=arguments.store,
                resume=arguments.resume,
                on_result=advance,
            )
    except KeyboardInterrupt:
        kept = engine.kept(chosen, arguments.budget, arguments.seed, arguments.store)
        print(
            f"rltheory: interrupted; {len(kept)} of {len(chosen)} theorems are kept in "
            f"{arguments.store}; add --resume to the same command to go on",
            file=sys.stderr,
        )
        return 130
    if arguments.format == "latex":
        from rltheory.analysis.tables import to_latex

        print(to_latex(verdict_table(results), columns=VERDICT_COLUMNS))
    else:
        _print_results(results)
    if arguments.json:
        document = {
            "budget": arguments.budget,
            "seed": arguments.seed,
            "results": [encode(result) for result in results],
        }
        write_document(arguments.json, document)
        print(f"results in {arguments.json}", file=_remarks(arguments))
    return 0 if all(result.holds for result in results) else 1


def run_list(arguments: argparse.Namespace) -> int:
    """List theorems: id, kind and title."""
    chosen = registry.select(arguments.ids)
    if arguments.format == "latex":
        from rltheory.analysis.tables import to_latex

        rows = [{name: str(getattr(t, name)) for name in ("id", "kind", "title")} for t in chosen]
        print(to_latex(rows))
    else:
        width = max((len(theorem.id) for theorem in chosen), default=0)
        for theorem in chosen:
            print(f"{theorem.id:{width}}  {theorem.kind:14}  {theorem.title}")
    names = ("id", "title", "kind", "source")
    document = [{name: str(getattr(theorem, name)) for name in names} for theorem in chosen]
    write_document(arguments.json, document)
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    """Show a theorem: statement, hypotheses, source, control."""
    theorem = registry.find(arguments.id)
    print(f"{theorem.id}: {theorem.title}\n{theorem.kind}; {theorem.source}\n")
    print(f"{theorem.statement}\n")
    for hypothesis in theorem.hypotheses:
        print(f"- {hypothesis}")
    print(f"\ncontrol: {theorem.control.name}. {theorem.control.explanation}")
    if theorem.notes:
        print(f"notes: {theorem.notes}")
    print(f"sizes: {', '.join(map(str, theorem.sizes))}; cost {theorem.cost:g}")
    names = ("id", "title", "kind", "source", "statement", "notes")
    document: dict[str, Any] = {name: str(getattr(theorem, name)) for name in names}
    document["hypotheses"] = [str(hypothesis) for hypothesis in theorem.hypotheses]
    document["control"] = {
        "name": theorem.control.name,
        "explanation": theorem.control.explanation,
    }
    write_document(arguments.json, document)
    return 0


def run_falsify(arguments: argparse.Namespace) -> int:
    """Search for a counterexample; return 1 if the theorem itself is refuted."""
    theorem = registry.find(arguments.id)
    if arguments.json:
        prepare_document(arguments.json)
    with _spinner(f"searching for a counterexample to {theorem.id}"):
        refuted, attempt = engine.falsify(
            theorem, role=arguments.role, budget=arguments.budget, seed=arguments.seed
        )
    _print_attempt(theorem, arguments.role, refuted, attempt)
    if arguments.json and attempt.worst:
        write_document(arguments.json, encode(attempt.worst))
        print(
            f"instance in {arguments.json}; `rltheory replay {arguments.json}` evaluates it again"
        )
    return 1 if refuted and arguments.role == "theorem" else 0


def run_replay(arguments: argparse.Namespace) -> int:
    """Evaluate a kept instance again; return 1 if a side does not come out to the same bits."""
    instance = read_instance(arguments.file)
    same, found = engine.replay(instance)
    document = {"same_bits": same, "kept": encode(instance), "found": encode(found)}
    write_document(arguments.json, document)
    print(f"{found.theorem}, {found.role}, size {found.size}")
    _print_instance(found)
    if same:
        print("both sides have the same bits as when the instance was kept")
        return 0
    print(f"not the same bits; kept were\n  left   {instance.left}\n  right  {instance.right}")
    return 1


def read_instance(path: Path) -> Instance:
    """Return the instance in a JSON file. Raises ValueError naming what is missing or wrong."""
    try:
        return decode_instance(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} does not hold an instance: {error}") from None


def summary(results: Sequence[Result]) -> str:
    """Return one line on a run: how many theorems hold how, and how many instances it took."""
    kinds = Counter(result.verdict for result in results)
    parts = [f"{count} {_PLURAL[verdict]}" for verdict, count in sorted(kinds.items())]
    instances = sum(result.attempt.instances + result.control.instances for result in results)
    controls = sum(result.control_refuted for result in results)
    theorems = "1 theorem" if len(results) == 1 else f"{len(results)} theorems"
    return (
        f"{theorems}: {', '.join(parts) or 'nothing to do'}; "
        f"{controls} controls refuted; {instances} instances"
    )


_PLURAL = {
    "holds": "hold on the instances tried",
    "holds (certified bound)": "hold by certified bounds",
    "holds (exact)": "hold exactly",
    "refuted": "refuted",
    "untested": "untested",
}


def _command(
    subparsers: Any,
    name: str,
    summary: str,
    examples: str,
    function: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=function)
    return parser


def _remarks(arguments: argparse.Namespace) -> TextIO:
    """Return where to print what is no part of a table."""
    return sys.stderr if arguments.format == "latex" else sys.stdout


def _print_results(results: Sequence[Result]) -> None:
    width = max((len(result.theorem) for result in results), default=0)
    for result in results:
        parts = [result.label]
        if result.holds and result.attempt.worst:
            if result.verdict != "holds" and result.kind not in EXISTENTIAL:
                parts.append(f"tightness {engine.floored(result.attempt.tightness):g}")
            parts.append(f"margin {result.attempt.margin:.2g}")
            if result.attempt.inconclusive:
                parts.append(f"{result.attempt.inconclusive} undecided")
        print(f"{result.theorem:{width}}  {', '.join(parts)}")
        if result.reason:
            print(f"{'':{width}}  {result.reason}")
    print(summary(results))


def _print_attempt(theorem: Theorem, role: str, refuted: bool, attempt: Attempt) -> None:
    what = theorem.id if role == "theorem" else f"{theorem.id} ({role})"
    print(
        f"{what}: {'refuted' if refuted else 'not refuted'} on {attempt.instances} instances "
        f"({attempt.satisfied} satisfied, {attempt.violated} violated, "
        f"{attempt.inconclusive} undecided, {attempt.skipped} outside the hypotheses)"
    )
    if attempt.worst:
        print(f"decisive instance: size {attempt.worst.size}, {len(attempt.worst.vector)} numbers")
        _print_instance(attempt.worst)


def _print_instance(instance: Instance) -> None:
    found = instance.comparison
    print(f"  left   {instance.left}\n  right  {instance.right}")
    print(f"  {found.state}, margin {found.margin:.6g}, tightness {found.tightness:.6g}")
    for name, value in instance.details.items():
        print(f"  {name}: {value}")


@contextlib.contextmanager
def _spinner(message: str) -> Iterator[None]:
    """Show that work goes on while the block runs, if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(message):
        yield


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[Result], None]]:
    """Show a bar on stderr while the block runs, if that is a terminal; yields what advances it."""
    if not sys.stderr.isatty():
        yield lambda result: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task("verifying", total=total)
        yield lambda result: bar.update(task, advance=1, description=result.theorem)
