"""What a cell of a table means: nothing, a number, or a category; for training and prediction alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

from trainer.data.rows import Cell

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-"})
"""Texts that stand for nothing, in lower case."""


def is_missing(cell: Cell) -> bool:
    """Return whether the cell says nothing."""
    if isinstance(cell, str):
        return cell.strip().lower() in MISSING
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def is_empty(cell: Cell) -> bool:
    """Return whether there is nothing at all in the cell: a label or a text may be NA or None."""
    if isinstance(cell, str):
        return not cell.strip()
    return is_missing(cell)


def number_of(cell: Cell) -> float | None:
    """Return the cell as a finite number, None where it is none; true and false are categories."""
    if cell is None or isinstance(cell, bool):
        return None
    try:
        number = float(cell)
    except (ValueError, OverflowError):
        return None
    # Python reads 1_000 as a number, which nobody writes into a table.
    return number if math.isfinite(number) and not (isinstance(cell, str) and "_" in cell) else None


def comma_hint(cell: Cell) -> str:
    """Return what to do where the cell is a number that has a comma for a point."""
    if isinstance(cell, str) and cell.count(",") == 1 and number_of(cell.replace(",", ".")) is not None:
        return ": write its decimal comma as a point"
    return ""


def text_of(cell: Cell) -> str:
    """Return the cell as the name of a category: 3.0 and 3 are the same one, and True and true.

    A CSV file has texts where Parquet and JSON have numbers, so it is the same for the text of a number.
    """
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    text = str(cell).strip()
    if text.endswith(".0") and text[:-2].removeprefix("-").isdecimal():
        return text[:-2]
    return text.lower() if text in ("True", "TRUE", "False", "FALSE") else text


def numbers_of(cells: Sequence[Cell]) -> list[float] | None:
    """Return the cells as numbers where number_of finds one in each of them, else None; quick for many."""
    kinds = set(map(type, cells))
    if not kinds <= {str, int, float}:
        return None
    try:
        numbers = list(map(float, cells))  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        return None
    if not all(map(math.isfinite, numbers)) or (str in kinds and "_" in "".join(map(str, cells))):
        return None
    return numbers
