"""Prepares a table in two passes over its rows: arrays for both parts, what its columns are, a check."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.configs.data import Split, TableConfig
from trainer.data.cells import is_empty, is_missing, number_of, text_of
from trainer.data.dataset import PARTS, merged
from trainer.data.errors import DatasetError
from trainer.data.progress import Progress
from trainer.data.quarantine import Quarantine
from trainer.data.rows import Cell, Row
from trainer.data.split import is_held_out
from trainer.data.table_check import check_table
from trainer.data.table_encoder import LARGEST, CellError, TableEncoder, standardised
from trainer.data.table_scan import Column, ColumnScan, categories, choose_columns, target_kind

Arrays = dict[str, NDArray[Any]]
ROWS_AT_ONCE = 4096
"""Rows whose columns are looked at together."""
HELD_OUT_WORDS = frozenset({"held_out", "test", "valid", "validation", "val", "true", "yes", "1"})
"""What `held_out_column` may say, in lower case, of a row that is held out."""
TRAINING_WORDS = frozenset({"train", "training", "false", "no", "0"})
"""What it may say of the others."""
UNKNOWN = 2
"""Stands in place of a row's part where nobody can tell it."""


def prepare_table(
    rows: Callable[[], Iterator[Row]], config: TableConfig, quarantine: Quarantine
) -> tuple[dict[str, Arrays], dict[str, Any], dict[str, Any]]:
    """Return both parts' arrays, what about.json says of the columns, and the data check.

    `rows` begins anew each time that it is called. Arrays: numbers float32 [n, N], categories int64 [n, C],
    target int64, or float64 [n] in its own unit. Raises DatasetError.
    """
    seen = _scan(rows(), config, quarantine)
    quarantine.check(len(seen.held_out) - seen.held_out.count(UNKNOWN))
    scans = list(seen.scans.values())
    columns = choose_columns(scans, config)
    kind = target_kind(seen.scans[config.target], config)
    described = [_described(column, seen.trained) for column in columns if column.kind != "ignored"]
    target = seen.trained[config.target]
    classes = sorted({*target.values, *target.markers}) if kind == "class" else []
    parts = _encode(rows(), config, TableEncoder(described), classes, seen.held_out, quarantine)
    quarantine.check(sum(len(part["target"]) for part in parts.values()))
    for part, arrays in parts.items():
        if not len(arrays["target"]):
            raise DatasetError(f"the {part} part has no rows: change data.held_out, or bring more rows")
    about = {"columns": described, "target": _standardise(parts, described, config.target, classes)}
    report = check_table(parts, about, columns, scans, len(quarantine))
    return parts, about, report


class _Parts:
    """Tells which part each row is of."""

    def __init__(self, config: TableConfig) -> None:
        self._config = config
        self._names: dict[tuple[str, ...], tuple[list[str], str]] = {}

    def held_out(self, row: Mapping[str, Cell], number: int) -> bool:
        """Return whether a row is held out; `number` counts all rows from 0. Raises CellError."""
        config = self._config
        split: Split = config.split
        if config.held_out_column:
            word = text_of(row.get(config.held_out_column)).lower()
            if word not in HELD_OUT_WORDS | TRAINING_WORDS:
                said = "is empty" if word in ("", "none") else f"says {word!r}"
                raise CellError(f"{config.held_out_column!r} {said}, which is neither train nor held_out")
            return word in HELD_OUT_WORDS
        content = ""
        if config.group_column:
            content, split = text_of(row.get(config.group_column)), "content"
        elif split == "content":
            key = tuple(row)
            if key not in self._names:
                kept = sorted(set(key) - set(config.ignore))
                self._names[key] = kept, "\x1e".join(kept)
            names, joined = self._names[key]
            content = "\x1f".join([joined, *(text_of(row[name]) for name in names)])
        return is_held_out(split, config.held_out, number, content.encode(errors="replace"))


def _chunks(rows: Iterator[Row], total: int | None = None) -> Iterator[list[Row]]:
    progress = Progress("rows looked at" if total is None else "rows encoded", total)
    while chunk := list(itertools.islice(rows, ROWS_AT_ONCE)):
        yield chunk
        progress.add(len(chunk))
    progress.close()


@dataclass
class _Seen:
    """What the first pass saw of a table."""

    scans: dict[str, ColumnScan]
    trained: dict[str, ColumnScan]
    """The same of the training part alone."""
    held_out: bytearray
    """Whether each row is held out, 0 or 1, in order; or UNKNOWN."""


def _marks(parts: _Parts, chunk: Sequence[Row], first: int, quarantine: Quarantine) -> bytearray:
    """Return whether each of the rows is held out; where nobody can tell, the row is broken."""
    marks = bytearray()
    for place, (file, number, row) in enumerate(chunk, start=first):
        try:
            marks.append(parts.held_out(row, place))
        except CellError as error:
            quarantine.add(file, number, str(error))
            marks.append(UNKNOWN)
    return marks


def _scan(rows: Iterator[Row], config: TableConfig, quarantine: Quarantine) -> _Seen:
    seen, parts = _Seen({}, {}, bytearray()), _Parts(config)
    for chunk in _chunks(rows):
        table = [row for _, _, row in chunk]
        held = _marks(parts, chunk, len(seen.held_out), quarantine)
        training = [row for row, out in zip(table, held, strict=True) if not out]
        seen.held_out.extend(held)
        for name in dict.fromkeys(itertools.chain.from_iterable(table)):
            if name not in seen.scans:
                seen.scans[name], seen.trained[name] = ColumnScan(name), ColumnScan(name)
            seen.scans[name].add([row.get(name) for row in table])
            # Of the training part only its values are asked for, and of many values none are.
            if not seen.trained[name].many:
                seen.trained[name].add([row.get(name) for row in training])
    for scan in seen.scans.values():
        scan.missing = len(seen.held_out) - scan.seen
    return seen


def _described(column: Column, trained: Mapping[str, ColumnScan]) -> dict[str, Any]:
    if column.kind == "number":
        return {"name": column.name, "kind": "number"}
    return {"name": column.name, "kind": "category", "values": categories(trained[column.name].values)}


def _encode(
    rows: Iterator[Row],
    config: TableConfig,
    encoder: TableEncoder,
    classes: Sequence[str],
    held_out: bytearray,
    quarantine: Quarantine,
) -> dict[str, Arrays]:
    """Return both parts' arrays, their numbers not yet standardised; broken rows are quarantined."""
    label_of = {name: label for label, name in enumerate(classes)}
    blocks: dict[str, list[Arrays]] = {part: [] for part in PARTS}
    done = 0
    for chunk in _chunks(rows, len(held_out)):
        numbers, codes, faults = encoder.encode_raw([row for _, _, row in chunk])
        targets = np.zeros(len(chunk))
        for place, (_, _, row) in enumerate(chunk):
            try:
                targets[place] = _target(row.get(config.target), config.target, label_of)
            except CellError as error:
                faults.setdefault(place, str(error))
        for place, what in sorted(faults.items()):
            quarantine.add(chunk[place][0], chunk[place][1], what)
        whole = np.ones(len(chunk), bool)
        whole[list(faults)] = False
        marks = np.frombuffer(held_out, np.uint8, len(chunk), done)
        held, whole = marks == 1, whole & (marks != UNKNOWN)
        done += len(chunk)
        for part, chosen in (("train", whole & ~held), ("held_out", whole & held)):
            block = {"numbers": numbers[chosen], "categories": codes[chosen], "target": targets[chosen]}
            blocks[part].append(block)
    kind = np.int64 if classes else np.float64
    empty = {"numbers": np.empty((0, 0)), "categories": np.empty((0, 0), np.int64), "target": np.empty(0)}
    parts = {part: dict(merged(each or [empty])) for part, each in blocks.items()}
    return {part: arrays | {"target": arrays["target"].astype(kind)} for part, arrays in parts.items()}


def _target(cell: Cell, name: str, label_of: Mapping[str, int]) -> float:
    """Return the number, or the label, that a row's target is; raises CellError where it is none."""
    if is_empty(cell) if label_of else is_missing(cell):
        raise CellError(f"the target {name!r} is missing")
    target = label_of.get(text_of(cell)) if label_of else number_of(cell)
    if target is None:
        what = "is a class that no training row has" if label_of else "is no number"
        raise CellError(f"the target {name!r}: {cell!r} {what}")
    if abs(target) > LARGEST:
        raise CellError(f"the target {name!r}: {cell!r} is too large")
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
    return {"name": target, "kind": "number"} | _statistics(parts["train"]["target"])


def _statistics(values: NDArray[np.float64]) -> dict[str, float]:
    deviation = float(values.std())
    return {
        "mean": float(values.mean()),
        "std": deviation if deviation > 0 else 1.0,
        "min": float(values.min()),
        "max": float(values.max()),
    }
