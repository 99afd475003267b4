"""`rltheory report`: one HTML page of verdicts, theorems and figures."""

import argparse
from pathlib import Path
from typing import Any

from rltheory.cli.streams import prepare_document, write_document

EXAMPLES = """examples:
  rltheory report                      out/report.html from the last verify and out/figures
  rltheory report --out paper.html --figures paper

The page stands alone: formulas, figures and worst instances are inside, no network is needed.
"""


def add_parser(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object."""
    parser = subparsers.add_parser(
        "report",
        help="write one HTML page of verdicts and figures",
        description="Write one self-contained HTML page: every verdict of the run log, every "
        "theorem typeset, its worst instance to download, and the figures.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out", type=Path, default=Path("out/report.html"), metavar="FILE", help="the page"
    )
    parser.add_argument(
        "--store",
        type=Path,
        default=Path("out/verify.jsonl"),
        metavar="FILE",
        help="the run log of `rltheory verify` (out/verify.jsonl)",
    )
    parser.add_argument(
        "--figures",
        type=Path,
        default=Path("out/figures"),
        metavar="DIR",
        help="a folder of PNG files (out/figures)",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the path of the page (-: to stdout)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the page and say where it is."""
    from rltheory.theory.report import report

    prepare_document(arguments.json)
    page = report(arguments.out, store=arguments.store, figures=arguments.figures)
    print(f"report: {page}")
    write_document(arguments.json, {"path": str(page)})
    return 0
