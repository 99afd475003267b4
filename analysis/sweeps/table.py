"""Tables of results: rows in the order of their cases, written to files and read back.

A file's suffix says how: `.parquet` (columns with types, from the extra `tables`), `.csv`, `.jsonl`
(a JSON object per row, with NaN, Infinity and -Infinity as Python writes them). The same rows give
the same bytes. In CSV, None is an empty cell, scalars are as in JSON, and a string is bare unless
it would be read as something else, as "1" or "": then it is in JSON's quotes.
"""

import csv
import importlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.files import Line, replacing
from rltheory.analysis.sweeps.journal import decoded, is_header, parse_journal
from rltheory.analysis.sweeps.scalars import Scalar, as_scalars

if TYPE_CHECKING:
    import pandas

SUFFIXES = (".parquet", ".csv", ".jsonl")


@dataclass(frozen=True)
class SweepTable:
    """Rows of scalars by column; a column that a row lacks is None there.

    Raises TypeError or ValueError for rows of anything else, and where there is none.
    """

    rows: tuple[dict[str, Scalar], ...]

    def __post_init__(self) -> None:
        rows = [as_scalars(row, f"rows[{number}]") for number, row in enumerate(self.rows)]
        columns = dict.fromkeys(name for row in rows for name in row)
        if not columns:
            raise ValueError("rows is empty; expected at least one row with a column")
        filled = tuple({name: row.get(name) for name in columns} for row in rows)
        object.__setattr__(self, "rows", filled)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in the order in which rows bring them."""
        return tuple(self.rows[0])

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Scalar]]:
        return iter(self.rows)

    def column(self, name: str, /, **where: Any) -> NDArray[Any]:
        """Return the values of a column (n,) in the rows that have these values in others.

        An array of booleans, int64 or float64; of objects where there are strings, None or a mix
        with booleans. Raises ValueError for a name that is no column.
        """
        for wanted in (name, *where):
            if wanted not in self.rows[0]:
                raise ValueError(f"{wanted!r} is no column; expected one of {list(self.columns)}")
        values = [row[name] for row in self.rows if all(row[k] == v for k, v in where.items())]
        kinds = set(map(type, values))
        if kinds == {bool}:
            return np.array(values, dtype=np.bool_)
        if kinds <= {int, float}:
            return np.array(values, dtype=np.int64 if kinds == {int} else np.float64)
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array

    def to_pandas(self) -> "pandas.DataFrame":
        """Return a pandas DataFrame, a row each; in columns of numbers None is NaN.

        Raises ImportError without the extra `tables`.
        """
        return _extra("pandas").DataFrame(list(self.rows), columns=list(self.columns))

    def write(self, path: str | PathLike[str]) -> None:
        """Write a file of the kind that its suffix names; an older one survives a failed write.

        Raises ValueError for another suffix, where a sweep keeps its rows, or for a column that
        Parquet has no type for (strings or booleans among others); ImportError where Parquet
        lacks the extra `tables`.
        """
        data = {".parquet": _to_parquet, ".csv": _to_csv, ".jsonl": _to_jsonl}[_suffix(path)](self)
        _check_no_journal(Path(path))
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as stream:
            stream.write(data)


def read_table(path: str | PathLike[str]) -> SweepTable:
    """Return the table in a file that `SweepTable.write` or a sweep's `save` has written.

    A journal's rows come in the order in which they were finished. Raises ValueError naming the
    file if it is not such a file, OSError if it cannot be read, ImportError for Parquet without the
    extra `tables`.
    """
    suffix, source = _suffix(path), Path(path)
    read = {".parquet": _from_parquet, ".csv": _from_csv, ".jsonl": _from_jsonl}[suffix]
    data = source.read_bytes()
    rows = read(source, data)
    try:
        return SweepTable(tuple(rows))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{source} does not hold a table of results: {error}") from None


def _suffix(path: str | PathLike[str]) -> str:
    try:
        suffix = Path(path).suffix
    except TypeError:
        raise TypeError(f"path is {path!r:.80}; expected the path of a file") from None
    if suffix not in SUFFIXES:
        raise ValueError(f"path is {path}; expected a name that ends in {', '.join(SUFFIXES)}")
    return suffix


def _check_no_journal(path: Path) -> None:
    """Raise ValueError where a sweep that could go on has its rows."""
    if path.suffix == ".jsonl" and path.is_file():
        with path.open("rb") as stream:
            if is_header(decoded(stream.readline())):
                raise ValueError(f"path is {path}, which holds a sweep; expected another file")


def _to_jsonl(table: SweepTable) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in table).encode()


def _from_jsonl(path: Path, data: bytes) -> list[dict[str, Scalar]]:
    rows = []
    for number, line in enumerate(data.splitlines(), start=1):
        row = decoded(line)
        if number == 1 and is_header(row):
            return [case | result for case, result in parse_journal(path, data).rows]
        if not isinstance(row, dict):
            text = line.decode(errors="replace")
            raise Line(path, number, text).error("a row, an object of scalars")
        rows.append(row)
    return rows


def _to_csv(table: SweepTable) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(map(_cell, table.columns))
    writer.writerows([_cell(value) for value in row.values()] for row in table)
    return stream.getvalue().encode()


def _from_csv(path: Path, data: bytes) -> list[dict[str, Scalar]]:
    try:
        # Strictly, or a quote that is never closed swallows the rest.
        names, *lines = list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True)) or [
            []
        ]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no CSV file: {error}") from None
    columns: list[Any] = [_value(name) for name in names]
    if len(set(columns)) < len(columns):
        raise ValueError(f"{path} has two columns of one name; expected different ones")
    for number, line in enumerate(lines, start=1):
        if len(line) != len(columns):
            raise ValueError(f"{path}, row {number}: {len(line)} cells; expected {len(columns)}")
    return [dict(zip(columns, map(_value, line), strict=True)) for line in lines]


def _cell(value: Scalar) -> str:
    if value is None:
        return ""
    if isinstance(value, str) and value.isprintable() and _value(value) == value:
        return value
    return json.dumps(value)


def _value(cell: str) -> Scalar:
    if not cell:
        return None
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError):
        return cell
    # A list or an object is no scalar, so that such a text can only be meant as one.
    return cell if isinstance(value, list | dict) else value


def _to_parquet(table: SweepTable) -> bytes:
    arrow, parquet = _extra("pyarrow"), _extra("pyarrow.parquet")
    columns = {}
    for name in table.columns:
        values = [row[name] for row in table]
        kinds = {type(value).__name__ for value in values if value is not None}
        if kinds == {"int", "float"}:
            values = [_as_float(name, value) for value in values]
        elif len(kinds) > 1:
            raise ValueError(
                f"column {name} has {' and '.join(sorted(kinds))}; expected one type for Parquet, "
                "or a file that ends in .csv or .jsonl"
            )
        columns[name] = arrow.array(values)
    stream = io.BytesIO()
    parquet.write_table(arrow.table(columns), stream)
    return stream.getvalue()


def _from_parquet(path: Path, data: bytes) -> list[dict[str, Scalar]]:
    arrow, parquet = _extra("pyarrow"), _extra("pyarrow.parquet")
    try:
        rows: list[dict[str, Scalar]] = parquet.read_table(io.BytesIO(data)).to_pylist()
    except (arrow.ArrowException, OSError) as error:
        raise ValueError(f"{path} is no Parquet file: {error}") from None
    return rows


def _as_float(name: str, value: Any) -> float | None:
    if value is None or value != value or float(value) == value:
        return value if value is None else float(value)
    raise ValueError(f"column {name} has {value} among floats, of which none equals it")


def _extra(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise ImportError(f"this needs {package}: pip install 'rltheory[tables]'") from None
