"""Tables of sweeps: curves spelt out to a row for each point, and slopes fitted to them."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.rates import fit_rate
from rltheory.analysis.sweeps.scalars import Scalar
from rltheory.analysis.sweeps.table import SweepTable
from rltheory.cli.experiments import nearest


def spelt_out(table: SweepTable, axis: str) -> SweepTable:
    """Return a table with a row for each point of each curve, in the order of cases and of points.

    A column such as regret@100 is the value after 100 steps; it becomes the column regret, where
    the column `axis` is 100. The other columns of a case are the same in all of its rows.
    """
    points: dict[str, tuple[str, int]] = {}
    for column in table.columns:
        name, _, digits = column.rpartition("@")
        if name and digits.isdecimal():
            points[column] = name, int(digits)
    rows = []
    for row in table:
        curves: dict[int, dict[str, Scalar]] = defaultdict(dict)
        for column, (name, after) in points.items():
            # Another case has a curve of other points.
            if row[column] is not None:
                curves[after][name] = row[column]
        plain = {name: value for name, value in row.items() if name not in points}
        rows += [plain | {axis: after} | curves[after] for after in sorted(curves)]
    return SweepTable(tuple(rows))


class Fit(NamedTuple):
    """What is asked for: y as a power of x, for each value of the columns `by`."""

    x: str
    y: str
    by: tuple[str, ...]


def read_fit(words: str) -> Fit:
    """Return a fit from "x=COLUMN,y=COLUMN", perhaps with ",by=COLUMN" or ",by=COLUMN+COLUMN".

    Raises ValueError for anything else.
    """
    found: dict[str, str] = {}
    for word in words.split(","):
        key, equals, column = (part.strip() for part in word.partition("="))
        if not equals or not column or key not in Fit._fields or key in found:
            raise ValueError(f"--fit {words!r}; expected x=COLUMN,y=COLUMN,by=COLUMN+COLUMN")
        found[key] = column
    if not {"x", "y"} <= found.keys():
        raise ValueError(f"--fit {words!r}; expected x=COLUMN and y=COLUMN")
    by = tuple(part.strip() for part in found["by"].split("+")) if "by" in found else ()
    return Fit(found["x"], found["y"], by)


def fitted(table: SweepTable, settings: Sequence[str], fit: Fit) -> list[dict[str, Any]]:
    """Return for each group its slope on log-log axes with a bootstrap interval of 95%.

    settings: the columns that are no results. Those in neither x nor by tell the runs of a group
    apart, over which the curve is averaged and which the bootstrap resamples. Instead of a slope a
    group may have a `problem`. Raises ValueError for a name that is no column.
    """
    for column in (fit.x, fit.y, *fit.by):
        if column not in table.columns:
            raise ValueError(
                f"--fit: {column} is no column; {nearest(column, list(table.columns))}"
            )
    apart = [name for name in settings if name != fit.x and name not in fit.by]
    groups: dict[tuple[Scalar, ...], dict[tuple[Scalar, ...], list[Any]]] = {}
    for row in table:
        runs = groups.setdefault(tuple(row[name] for name in fit.by), {})
        run = runs.setdefault(tuple(row[name] for name in apart), [])
        run.append((row[fit.x], row[fit.y]))
    return [
        {"group": dict(zip(fit.by, group, strict=True))} | _slope(fit, list(runs.values()))
        for group, runs in groups.items()
    ]


def _slope(fit: Fit, runs: list[list[tuple[Any, Any]]]) -> dict[str, Any]:
    try:
        curves = [sorted(run) for run in runs]
        x = [point[0] for point in curves[0]]
        if len(set(x)) < len(x):
            return {"problem": f"a run has two rows of one {fit.x}; name what differs in by"}
        if any([point[0] for point in curve] != x for curve in curves):
            return {"problem": f"runs have different {fit.x}; name what differs in by"}
        y = np.array([[point[1] for point in curve] for curve in curves], dtype=np.float64)
        rate = fit_rate(np.array(x, dtype=np.float64), y if len(y) > 1 else y[0])
    except (ValueError, TypeError) as error:
        return {"problem": " ".join(str(error).split())}
    return {
        "slope": rate.slope,
        "lower": float(rate.interval.lower),
        "upper": float(rate.interval.upper),
        "runs": len(y),
        "points": len(x),
        "from": rate.covered[0],
        "to": rate.covered[1],
    }
