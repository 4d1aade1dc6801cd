"""Prepares a table in two passes over its rows: arrays for both parts, what its columns are, a check."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.cells import is_missing, number_of, text_of
from trainer.data.dataset import PARTS
from trainer.data.errors import DatasetError
from trainer.data.quarantine import Quarantine
from trainer.data.rows import Cell, Row
from trainer.data.split import is_held_out
from trainer.data.table_check import check_table
from trainer.data.table_encoder import CellError, TableEncoder, standardised
from trainer.data.table_scan import Column, ColumnScan, categories, choose_columns, target_kind
from trainer.data_configs import Split, TableConfig

Arrays = dict[str, NDArray[Any]]
HELD_OUT_WORDS = frozenset({"held_out", "test", "valid", "validation", "val", "true", "yes", "1"})
"""What `held_out_column` may say, in lower case, of a row that is held out."""


def prepare_table(
    rows: Callable[[], Iterator[Row]], config: TableConfig, quarantine: Quarantine
) -> tuple[dict[str, Arrays], dict[str, Any], dict[str, Any]]:
    """Return both parts' arrays, what about.json says of the columns, and the data check.

    `rows` begins anew each time that it is called. Arrays: numbers float32 [n, N], categories int64 [n, C],
    target int64 or float32 [n]. Raises DatasetError.
    """
    scans, trained = _scan(rows(), config)
    columns = choose_columns(scans, config)
    target = next(scan for scan in scans if scan.name == config.target)
    kind = target_kind(target, config)
    described = [_described(column, trained) for column in columns if column.kind != "ignored"]
    classes = sorted(trained[config.target]) if kind == "class" else []
    parts = _encode(rows(), config, TableEncoder(described), classes, quarantine)
    quarantine.check(sum(len(part["target"]) for part in parts.values()))
    for part, arrays in parts.items():
        if not len(arrays["target"]):
            raise DatasetError(f"the {part} part has no rows: change data.held_out, or bring more rows")
    about = {"columns": described, "target": _standardise(parts, described, config.target, classes)}
    report = check_table(parts, about, columns, scans, len(quarantine))
    return parts, about, report


def part_of(row: Mapping[str, Cell], number: int, config: TableConfig) -> str:
    """Return the part that a row belongs to; `number` counts all rows from 0."""
    if config.held_out_column:
        said = text_of(row.get(config.held_out_column)).lower()
        return "held_out" if said in HELD_OUT_WORDS else "train"
    if config.group_column:
        content = text_of(row.get(config.group_column))
        split: Split = "content"
    else:
        content = "\x1f".join(f"{name}\x1e{text_of(cell)}" for name, cell in sorted(row.items()))
        split = config.split
    held = is_held_out(split, config.held_out, number, content.encode(errors="replace"))
    return "held_out" if held else "train"


def _scan(rows: Iterator[Row], config: TableConfig) -> tuple[list[ColumnScan], dict[str, Mapping[str, int]]]:
    """Return what was seen of each column, and how often the training part has each of its values."""
    scans: dict[str, ColumnScan] = {}
    trained: dict[str, ColumnScan] = {}
    number = -1
    for number, (_, _, row) in enumerate(rows):
        training = part_of(row, number, config) == "train"
        for name, cell in row.items():
            if name not in scans:
                scans[name], trained[name] = ColumnScan(name), ColumnScan(name)
            scans[name].add(cell)
            if training:
                trained[name].add(cell)
    for scan in scans.values():
        scan.missing = number + 1 - scan.seen  # a row of JSON may lack the column
    return list(scans.values()), {name: scan.values for name, scan in trained.items()}


def _described(column: Column, trained: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    if column.kind == "number":
        return {"name": column.name, "kind": "number"}
    return {"name": column.name, "kind": "category", "values": categories(trained[column.name])}


def _encode(
    rows: Iterator[Row],
    config: TableConfig,
    encoder: TableEncoder,
    classes: Sequence[str],
    quarantine: Quarantine,
) -> dict[str, Arrays]:
    """Return both parts' arrays, their numbers not yet standardised; broken rows are quarantined."""
    label_of = {name: label for label, name in enumerate(classes)}
    cells = {part: (array("d"), array("q"), array("d")) for part in PARTS}
    for number, (file, line, row) in enumerate(rows):
        try:
            numbers, codes = encoder.encode_row(row)
            target = _target(row.get(config.target), config.target, label_of)
        except CellError as error:
            quarantine.add(file, line, str(error))
            continue
        of_numbers, of_codes, of_targets = cells[part_of(row, number, config)]
        of_numbers.extend(numbers)
        of_codes.extend(codes)
        of_targets.append(target)
    parts: dict[str, Arrays] = {}
    for part, (of_numbers, of_codes, of_targets) in cells.items():
        shape = (len(of_targets), -1) if of_targets else (0, 0)
        parts[part] = {
            "numbers": np.array(of_numbers, np.float64).reshape(shape),
            "categories": np.array(of_codes, np.int64).reshape(shape),
            "target": np.array(of_targets, np.int64 if classes else np.float32),
        }
    return parts


def _target(cell: Cell, name: str, label_of: Mapping[str, int]) -> float:
    """Return the number, or the label, that a row's target is; raises CellError where it is none."""
    if is_missing(cell):
        raise CellError(f"the target {name!r} is missing")
    target = label_of.get(text_of(cell)) if label_of else number_of(cell)
    if target is None:
        what = "is a class that no training row has" if label_of else "is no number"
        raise CellError(f"the target {name!r}: {cell!r} {what}")
    return target


def _standardise(
    parts: dict[str, Arrays], columns: Sequence[dict[str, Any]], target: str, classes: Sequence[str]
) -> dict[str, Any]:
    """Standardise the numbers by the training part, note by what in `columns`; return the target's entry."""
    numbers = parts["train"]["numbers"]
    for at, column in enumerate(each for each in columns if each["kind"] == "number"):
        known = numbers[:, at][~np.isnan(numbers[:, at])]
        column |= _statistics(known if len(known) else np.zeros(1))
    for arrays in parts.values():
        of_numbers = [column for column in columns if column["kind"] == "number"]
        arrays["numbers"] = standardised(arrays["numbers"], of_numbers)
    if classes:
        return {"name": target, "kind": "class", "classes": list(classes)}
    return {"name": target, "kind": "number"} | _statistics(parts["train"]["target"].astype(np.float64))


def _statistics(values: NDArray[np.float64]) -> dict[str, float]:
    deviation = float(values.std())
    return {
        "mean": float(values.mean()),
        "std": deviation if deviation > 0 else 1.0,
        "min": float(values.min()),
        "max": float(values.max()),
    }
