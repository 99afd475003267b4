"""One style for every figure, and files that come out the same byte for byte.

Sizes are those of a printed column or page, colours those of Okabe and Ito (2008), which stay
apart for colour-blind readers; line style and marker change with the colour, so that curves
differ in black and white too. A picture is saved as PDF and PNG, or as PGF, with its data (CSV) and
a record (JSON) beside it; nothing written depends on the clock.
"""

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLUMN = 3.4
"""Width of a column in inches."""
PAGE = 6.9
"""Width of a page of two columns in inches."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#606060")
"""Okabe and Ito's palette with a grey in place of its yellow, too faint for lines on white. The
grey is dark, as a lighter one looks like the green to those who lack the middle cones."""
LINES = ("-", "--", "-.", ":", (0, (6, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 3, 1, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
MAP = "cividis"
"""The colour map for heat maps, monotone in brightness."""

FORMATS = ("pdf", "png", "pgf")
"""Of pictures: `USUAL` ones, and PGF, for TeX to set in the fonts of a paper."""
USUAL = FORMATS[:2]

Rows = Sequence[Mapping[str, Any]]
"""The data of a figure: one mapping per row, all with the same columns."""

_SETTINGS: dict[str, Any] = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "figure.constrained_layout.use": True,
    "figure.dpi": 200,
    "savefig.dpi": 250,
    "pdf.fonttype": 42,
    "pgf.rcfonts": False,
    "svg.hashsalt": "rltheory",
}

_UNDATED = {"pdf": {"CreationDate": None}, "png": {"Software": None}}
"""Metadata without a clock or a version."""


@contextmanager
def style() -> Iterator[None]:
    """Apply the style inside a `with` block; figures must be made and saved in it."""
    with matplotlib.rc_context():
        usual = {k: v for k, v in matplotlib.rcParamsDefault.items() if k != "backend"}
        matplotlib.rcParams.update(usual)
        matplotlib.rcParams.update(_SETTINGS)
        yield


def panels(
    rows: int = 1, columns: int = 1, *, width: float = COLUMN, height: float = 2.4, **subplots: Any
) -> tuple[Figure, Any]:
    """Return a figure of `width` by `height` inches and its axes, as `plt.subplots` would.

    One panel gives one Axes, more an array; the figure belongs to no global state.
    """
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, **subplots)


def line(index: int, *, points: int | None = None) -> dict[str, Any]:
    """Return the colour, line style and marker of the curve number `index`.

    `points`, where given, is the number of points of the curve: about eight of them get a marker,
    at places that differ between curves so that coinciding curves stay visible.
    """
    count = len(COLOURS)
    # A second round of colours pairs lines and markers that the first did not.
    again = index // count
    look: dict[str, Any] = {
        "color": COLOURS[index % count],
        "linestyle": LINES[(index + again) % count],
        "marker": MARKERS[(index + 2 * again) % count],
    }
    if points is not None:
        step = max(1, points // 8)
        look["markevery"] = (index % step, step)
    return look


def letter(axes: Any) -> None:
    """Write (a), (b), ... before the titles of several panels."""
    for index, panel in enumerate(np.ravel(axes)):
        panel.set_title(f"({'abcdefghijklmnop'[index]}) {panel.get_title()}".rstrip(), loc="center")


def save(
    figure: Figure,
    rows: Rows,
    about: Mapping[str, Any],
    folder: str | Path,
    name: str,
    formats: Sequence[str] = USUAL,
) -> dict[str, Path]:
    """Write `name` .csv, .json and the pictures into `folder`, made where missing.

    rows: the data, floats kept to 12 digits; about: JSON values; formats: those of the picture,
    in `FORMATS`. Returns the paths by the end of the name after its dot; a picture in PGF may need
    images, "-0.png" and so on. Each file is written whole or not at all. Raises ValueError if there
    are no rows, their columns differ or a format is unknown, OSError naming the folder if it cannot
    be written.
    """
    check_formats(formats)
    target = writable_folder(folder)
    contents = {
        ".csv": to_csv(rows),
        ".json": (json.dumps(about, indent=2, ensure_ascii=False) + "\n").encode(),
    }
    for kind in formats:
        contents |= _picture(figure, kind, name)
    paths = {}
    for end, content in contents.items():
        path = target / f"{name}{end}"
        part = target / f".{name}{end}.{os.getpid()}"
        try:
            part.write_bytes(content)
            part.replace(path)
        except OSError as error:
            reason = error.strerror or str(error)
            raise OSError(f"{str(path)!r} cannot be written: {reason}") from None
        finally:
            part.unlink(missing_ok=True)
        paths[end.removeprefix(".")] = path
    return paths


def check_formats(formats: Sequence[str]) -> None:
    """Raise ValueError unless these are formats of a picture, and at least one."""
    unknown = [kind for kind in formats if kind not in FORMATS]
    if unknown or isinstance(formats, str) or not formats:
        raise ValueError(f"formats is {formats!r:.80}; expected some of {FORMATS}")


def writable_folder(folder: str | Path) -> Path:
    """Return a folder that was made where missing and in which a file can be written.

    Raises OSError naming the folder and the reason otherwise.
    """
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".probe.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(f"output folder {str(folder)!r} cannot be written: {reason}") from None
    return path


def to_csv(rows: Rows) -> bytes:
    """Return rows as CSV with a header; floats to 12 digits, missing values empty.

    Raises ValueError if there are no rows, or a row's columns differ from the first's.
    """
    if not rows:
        raise ValueError("rows is empty; a figure must come with its data")
    columns = list(rows[0])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for index, row in enumerate(rows):
        if list(row) != columns:
            raise ValueError(f"rows[{index}] has the columns {list(row)}; expected {columns}")
        writer.writerow([_cell(row[column]) for column in columns])
    return text.getvalue().encode()


def column(rows: Rows, name: str, /, **where: Any) -> Any:
    """Return one column as an array, of the rows whose other columns have the given values."""
    return np.array([r[name] for r in rows if all(r[key] == want for key, want in where.items())])


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, float | np.floating):
        return f"{float(value):.12g}"
    return value


def _picture(figure: Figure, kind: str, name: str) -> dict[str, bytes]:
    """Return the contents of files by the end of their name."""
    if kind == "pgf":
        # Few ask for it, and it brings in two more backends.
        from rltheory.analysis.pgf import to_pgf

        return to_pgf(figure, name)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, metadata=_UNDATED[kind])
    return {f".{kind}": buffer.getvalue()}
