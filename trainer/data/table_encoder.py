"""Turns a table's rows into numbers and codes, by what about.json says of its columns.

The predictor encodes its input by the same class, so that it sees what training saw.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.cells import is_missing, number_of, text_of
from trainer.data.rows import Cell


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
                    raise CellError(f"column {name!r}: {cell!r} is no number")
                number = math.nan
            numbers.append(number)
        codes = []
        for name, known in self._codes:
            cell = row.get(name)
            codes.append(0 if is_missing(cell) else known.get(text_of(cell), 0))
        return numbers, codes

    def encode(self, rows: Sequence[Mapping[str, Cell]]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the rows' standardised numbers [n, numbers] and codes [n, categories]; raises CellError."""
        encoded = [self.encode_row(row) for row in rows]
        numbers = np.array([each for each, _ in encoded], np.float64).reshape(len(rows), -1)
        codes = np.array([each for _, each in encoded], np.int64).reshape(len(rows), -1)
        return standardised(numbers, self.numbers), codes


def standardised(numbers: NDArray[np.float64], columns: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
    """Return each column less its mean and over its standard deviation, both of the training part [n, N]."""
    means = np.array([column["mean"] for column in columns])
    deviations = np.array([column["std"] for column in columns])
    result: NDArray[np.float32] = ((numbers - means) / deviations).astype(np.float32)
    return result
