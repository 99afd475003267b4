"""Cells of a rectangular board, numbered row by row."""


def cell_name(cell: int, columns: int) -> str:
    """The column as a letter and the row as a number from 1, as in `a1`."""
    return f"{chr(ord('a') + cell % columns)}{cell // columns + 1}"


def cell_names(rows: int, columns: int) -> list[str]:
    """The names of all cells in their order."""
    return [cell_name(cell, columns) for cell in range(rows * columns)]
