"""Tells the class or the number of rows of a table, prepared as the training rows were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainer.configs.tables import nearest_hint
from trainer.data.cells import is_missing, number_of, text_of
from trainer.data.table_encoder import CellError, TableEncoder
from trainer.predictors.contract import Answer, InputError, check_text, class_answer
from trainer.tasks.table import mean_of_members

BLOCK = 4096
"""Rows of one forward pass."""


class TablePredictor:
    """A table model with its columns, its target, and how far its numbers are to be trusted."""

    def __init__(self, model: nn.Module, description: dict[str, Any]) -> None:
        about = description["about"]
        self.columns: list[dict[str, Any]] = about["columns"]
        self.target: dict[str, Any] = about["target"]
        self.interval: dict[str, Any] | None = description.get("interval")
        self.names = [column["name"] for column in self.columns]
        self.encoder = TableEncoder(self.columns)
        self.model = model.eval()

    def describe(self) -> dict[str, Any]:
        """Return a field for each column, with its range or its choices, and the form of the answer."""
        answer: dict[str, Any] = {"kind": self.target["kind"], "name": self.target["name"]}
        if self.target["kind"] == "class":
            answer["classes"] = self.target["classes"]
        elif self.interval and self.interval["reach"] is not None:
            answer["interval_share"] = self.interval["share"]
        return {"kind": "table", "fields": [_field(column) for column in self.columns], "answer": answer}

    def predict(self, inputs: Sequence[Any]) -> list[Answer]:
        """Return the class or the number for each row, a dict of column to value.

        A column that is not given or empty counts as missing and a category that training did not have as
        unknown, as in training; `notes` tells of each. A number that is none is an InputError.
        """
        answers: list[Answer] = []
        for begin in range(0, len(inputs), BLOCK):
            rows = [self._row(row, begin + place) for place, row in enumerate(inputs[begin : begin + BLOCK])]
            try:
                with np.errstate(over="ignore"):
                    numbers, codes = self.encoder.encode(rows)
            except CellError:
                raise InputError(self._faulty(rows, begin)) from None
            if len(strange := np.argwhere(np.isinf(numbers))):
                place, column = strange[0].tolist()
                raise InputError(
                    f"input {begin + place}: {self.encoder.numbers[column]['name']!r} is too large"
                )
            notes = [self._notes(row) for row in rows]
            answers += self.predict_encoded(torch.from_numpy(numbers), torch.from_numpy(codes), notes)
        return answers

    def predict_encoded(
        self, numbers: Tensor, codes: Tensor, notes: Sequence[list[str]] | None = None
    ) -> list[Answer]:
        """Return answers to standardised numbers [n, N] and codes [n, C], with each row's notes."""
        with torch.no_grad():
            found = mean_of_members(self.model(numbers, codes), self.target)
        return self._answers(found, notes or [[] for _ in range(len(numbers))])

    def _answers(self, found: Tensor, notes: Sequence[list[str]]) -> list[Answer]:
        if self.target["kind"] == "class":
            classes = self.target["classes"]
            return [
                class_answer(shares, classes, each)
                for shares, each in zip(found.tolist(), notes, strict=True)
            ]
        answers: list[Answer] = []
        for number, each in zip(found.tolist(), notes, strict=True):
            answer: Answer = {"number": number}
            if self.interval and (reach := self.interval["reach"]) is not None:
                answer |= {
                    "low": number - reach,
                    "high": number + reach,
                    "interval_share": self.interval["share"],
                }
            answers.append(answer | ({"notes": each} if each else {}))
        return answers

    def _row(self, row: Any, place: int) -> Mapping[str, Any]:
        """Return the input if it is a row of the table at all."""
        if not isinstance(row, Mapping):
            raise InputError(f"input {place}: is {type(row).__name__}, not a row of column and value")
        if not any(name in row for name in self.names):
            raise InputError(f"input {place}: has none of the columns {', '.join(self.names)}")
        for name, cell in row.items():
            if isinstance(cell, str):
                check_text(cell, f"input {place}: column {name!r}")
            elif cell is not None and not isinstance(cell, Real):
                raise InputError(
                    f"input {place}: column {name!r}: {type(cell).__name__} is no cell of a table"
                )
        return {str(name): cell for name, cell in row.items()}

    def _faulty(self, rows: Sequence[Mapping[str, Any]], begin: int) -> str:
        """Return what is wrong with the first of the rows that cannot be encoded."""
        for place, row in enumerate(rows, start=begin):
            try:
                self.encoder.encode_row(row)
            except CellError as error:
                return f"input {place}: {error}"
        raise AssertionError("one of the rows cannot be encoded")

    def _notes(self, row: Mapping[str, Any]) -> list[str]:
        """Return what a reader has to know of how the row was taken."""
        notes = [
            f"{name}: is no column of the training data, ignored{nearest_hint(name, self.names)}"
            for name in row
            if name not in self.names and name != self.target["name"]
        ]
        if missing := [name for name in self.names if is_missing(row.get(name))]:
            notes.append(f"missing: {', '.join(missing)}")
        for column in self.columns:
            name, cell = column["name"], row.get(column["name"])
            if is_missing(cell):
                continue
            if column["kind"] == "category":
                if text_of(cell) not in column["values"]:
                    notes.append(f"{name}: {cell!r} is a category that training did not have")
            elif (number := number_of(cell)) is not None and not column["min"] <= number <= column["max"]:
                seen = f"{column['min']:g} to {column['max']:g}"
                notes.append(f"{name}: {number:g} is outside of what training saw, {seen}")
        return notes


def _field(column: Mapping[str, Any]) -> dict[str, Any]:
    field = {"name": column["name"], "required": False}
    if column["kind"] == "number":
        return field | {
            "type": "number",
            "min": column["min"],
            "max": column["max"],
            "example": column["mean"],
        }
    return field | {"type": "choice", "choices": list(column["values"])}
