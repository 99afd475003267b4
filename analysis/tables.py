"""Tables for people: rows of results as pandas frames and as LaTeX.

A source of rows is a `SweepTable`, an object whose `table()` makes one (a run of CFR, a regret
curve), or rows as mappings of names to scalars (a figure's data).
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rltheory.analysis.arrays import check_positive_integer
from rltheory.analysis.sweeps.scalars import Scalar
from rltheory.analysis.sweeps.table import SweepTable

if TYPE_CHECKING:
    import pandas

_SPARE = 4
"""By how many digits fixed notation may exceed those asked for before powers of ten are shorter."""

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # After the end of a row these would be read as its arguments.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "\n": " ",
} | {sign: f"\\{sign}" for sign in "&%$#_{}"}


def as_table(source: Any) -> SweepTable:
    """Return a source of rows as a table.

    Raises TypeError for anything else, ValueError where there is no row.
    """
    if isinstance(source, SweepTable):
        return source
    if hasattr(source, "table"):
        return as_table(source.table())
    if not isinstance(source, Iterable) or isinstance(source, str | Mapping):
        raise TypeError(
            f"source is {source!r:.80}; expected a SweepTable, rows as mappings of names to "
            "scalars, or an object whose `table()` makes them"
        )
    return SweepTable(tuple(source))


def to_pandas(source: Any) -> "pandas.DataFrame":
    """Return a source of rows as a pandas DataFrame.

    Raises as `as_table` does; ImportError without the extra `tables`.
    """
    return as_table(source).to_pandas()


def to_latex(
    source: Any,
    *,
    columns: Sequence[str] | None = None,
    headings: Mapping[str, str] | None = None,
    digits: int = 4,
) -> str:
    """Return a source of rows as a LaTeX `tabular` with the rules of the package booktabs.

    columns: which ones, in which order; all where not given. headings: LaTeX for the heads of
    columns, whose names stand there otherwise. digits: significant ones of a column's smallest
    float. Texts are escaped; numbers stand with their decimal points above each other, in powers
    of ten where a column spans many. A missing value is a dash.
    Raises as `as_table` does; ValueError for a column or heading that there is not.
    """
    table = as_table(source)
    chosen = list(table.columns if columns is None else columns)
    for name in [*chosen, *(headings or {})]:
        if name not in table.columns:
            raise ValueError(f"{name!r} is no column; expected one of {list(table.columns)}")
    if not chosen:
        raise ValueError("columns is empty; expected at least one")
    figures = check_positive_integer(digits, "digits")
    specs, heads, bodies = [], [], []
    for name in chosen:
        values = [row[name] for row in table]
        spec, cells = _column(values, figures)
        head = (headings or {}).get(name, escape(name))
        specs.append(spec)
        heads.append(rf"\multicolumn{{2}}{{c}}{{{head}}}" if spec == _POWERS else head)
        bodies.append(cells)
    lines = [" & ".join(cells) + r" \\" for cells in zip(*bodies, strict=True)]
    return "\n".join(
        [
            r"% \usepackage{booktabs}",
            rf"\begin{{tabular}}{{{''.join(specs)}}}",
            r"\toprule",
            " & ".join(heads) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def escape(text: str) -> str:
    """Return a text as LaTeX that prints it."""
    return re.sub(r"[\\~^<>|\[\]*\n&%$#_{}]", lambda found: _SPECIAL[found[0]], text)


_POWERS = "r@{}l"
"""Two columns of LaTeX for one of numbers: mantissas, and powers of ten."""


def _column(values: list[Scalar], digits: int) -> tuple[str, list[str]]:
    """Return the column's specification and its cells."""
    kinds = {type(value) for value in values if value is not None}
    if not kinds <= {int, float}:
        return "l", [_text(value) for value in values]
    if float not in kinds:
        return "r", [_text(value) if value is None else f"${value}$" for value in values]
    decimals = _decimals([x for x in values if isinstance(x, int | float)], digits)
    if decimals is None:
        return _POWERS, [_power(value, digits) for value in values]
    return "r", [_fixed(value, decimals) for value in values]


def _decimals(numbers: list[float], digits: int) -> int | None:
    """Return how many decimals show every number in fixed notation, None if that is too long."""
    orders = [math.floor(math.log10(abs(x))) for x in numbers if x and math.isfinite(x)]
    if not orders:
        return digits - 1
    decimals = max(0, digits - 1 - min(orders))
    return decimals if max(0, *orders) + 1 + decimals <= digits + _SPARE else None


def _fixed(value: Scalar, decimals: int) -> str:
    if not isinstance(value, int | float) or not math.isfinite(value):
        return _text(value)
    return f"${value:.{decimals}f}$"


def _power(value: Scalar, digits: int) -> str:
    if not isinstance(value, int | float) or not math.isfinite(value):
        return rf"\multicolumn{{2}}{{c}}{{{_text(value)}}}"
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    return rf"${mantissa}$ & $\,\times 10^{{{int(exponent)}}}$" if value else "$0$ & "


def _text(value: Scalar) -> str:
    """Return the LaTeX of a value that is not a finite number."""
    if value is None:
        return "--"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return {math.inf: r"$\infty$", -math.inf: r"$-\infty$"}.get(value, str(value))
    return escape(value)
