"""Turns a table's rows into numbers and codes, by what about.json says of its columns.

The predictor encodes its input by the same class, so that it sees what training saw.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.cells import comma_hint, is_missing, number_of, numbers_of, text_of
from trainer.data.rows import Cell

LARGEST = float(np.finfo(np.float32).max)
"""Numbers beyond are broken: a deviation squares them, and a model computes in float32."""


class CellError(ValueError):
    """A cell that is not what its column holds; says which and why."""


class TableEncoder:
    """Encodes rows by the `columns` of about.json: numbers as they are, categories as their codes."""

    def __init__(self, columns: Sequence[Mapping[str, Any]]) -> None:
        self.numbers = [column for column in columns if column["kind"] == "number"]
        categories = [column for column in columns if column["kind"] == "category"]
        self._number_names = [column["name"] for column in self.numbers]
        self._codes = [
            (column["name"], {value: code for code, value in enumerate(column["values"], start=1)})
            for column in categories
        ]

    def encode_row(self, row: Mapping[str, Cell]) -> tuple[list[float], list[int]]:
        """Return a row's numbers, NaN where missing, and codes, 0 where missing or unknown.

        Raises CellError where a number is none.
        """
        numbers = []
        for name in self._number_names:
            cell = row.get(name)
            number = number_of(cell)
            if number is None:
                if not is_missing(cell):
                    raise CellError(f"column {name!r}: {cell!r} is no number{comma_hint(cell)}")
                number = math.nan
            elif abs(number) > LARGEST:
                raise CellError(f"column {name!r}: {cell!r} is too large")
            numbers.append(number)
        codes = []
        for name, known in self._codes:
            cell = row.get(name)
            codes.append(0 if is_missing(cell) else known.get(text_of(cell), 0))
        return numbers, codes

    def encode(self, rows: Sequence[Mapping[str, Cell]]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the rows' standardised numbers [n, numbers] and codes [n, categories]; raises CellError."""
        numbers, codes, faults = self.encode_raw(rows)
        if faults:
            raise CellError(next(iter(faults.values())))
        return standardised(numbers, self.numbers), codes

    def encode_raw(
        self, rows: Sequence[Mapping[str, Cell]]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], dict[int, str]]:
        """Return the rows' numbers as they are, their codes, and what is wrong with which of the rows."""
        faults: dict[int, str] = {}
        numbers = np.empty((len(rows), len(self._number_names)), np.float64)
        for at, name in enumerate(self._number_names):
            cells = [row.get(name) for row in rows]
            numbers[:, at] = numbers_of(cells) or [
                _number(cell, name, place, faults) for place, cell in enumerate(cells)
            ]
            for place in np.flatnonzero(np.abs(numbers[:, at]) > LARGEST).tolist():
                faults.setdefault(place, f"column {name!r}: {cells[place]!r} is too large")
        codes = np.empty((len(rows), len(self._codes)), np.int64)
        for at, (name, known) in enumerate(self._codes):
            texts = ["" if is_missing(cell) else text_of(cell) for cell in (row.get(name) for row in rows)]
            codes[:, at] = [known.get(text, 0) for text in texts]
        return numbers, codes, dict(sorted(faults.items()))


def _number(cell: Cell, name: str, place: int, faults: dict[int, str]) -> float:
    number = number_of(cell)
    if number is None and not is_missing(cell):
        faults.setdefault(place, f"column {name!r}: {cell!r} is no number{comma_hint(cell)}")
    return math.nan if number is None else number


def standardised(numbers: NDArray[np.float64], columns: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
    """Return each column less its mean and over its standard deviation, both of the training part [n, N]."""
    means = np.array([column["mean"] for column in columns])
    deviations = np.array([column["std"] for column in columns])
    result: NDArray[np.float32] = ((numbers - means) / deviations).astype(np.float32)
    return result
