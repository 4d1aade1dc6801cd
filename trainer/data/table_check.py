"""The check of a prepared table: what was counted, and what looks as if it would spoil the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.cells import is_missing
from trainer.data.table_scan import Column, ColumnScan

Arrays = Mapping[str, NDArray[Any]]
LEAST_ROWS = 100
"""Training rows below which an order may part two classes by chance."""
SAME_ORDER = 0.999
"""Area under the ROC curve of one column from which it tells two classes apart by itself."""
SAME = 0.9999
"""Correlation from which a column of numbers is the target in another unit."""


def check_table(
    parts: Mapping[str, Arrays],
    about: Mapping[str, Any],
    columns: Sequence[Column],
    scans: Sequence[ColumnScan],
    bad_rows: int,
) -> dict[str, Any]:
    """Return the data check as JSON knows it: counts, columns left out, and `warnings`, sentences to read."""
    rows = {part: len(arrays["target"]) for part, arrays in parts.items()}
    report: dict[str, Any] = {"rows": rows, "bad_rows": bad_rows}
    ignored = {column.name: column.why for column in columns if column.kind == "ignored"}
    report["ignored_columns"] = ignored
    report["missing"] = {
        scan.name: scan.missing for scan in scans if scan.missing and scan.name not in ignored
    }
    warnings = []
    if about["target"]["kind"] == "class":
        classes = about["target"]["classes"]
        report["classes"] = class_counts(parts, "target", classes)
        warnings += rare_classes(report["classes"])
        warnings += [
            f"the target's {name!r} is a class like the others: empty its cells if it says nothing"
            for name in classes
            if is_missing(name)
        ]
    warnings += _leaks(parts["train"], about)
    both = rows_in_both(parts)
    report["duplicates_over_split"] = both
    if both:
        warnings.append(
            f"{both} held-out rows have the same columns as a training row: their score is too good"
        )
    return report | {"warnings": warnings}


def class_counts(
    parts: Mapping[str, Arrays], labels: str, classes: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Return how many items of each class each part has, `labels` being the name of the array of labels."""
    counts = {part: np.bincount(arrays[labels], minlength=len(classes)) for part, arrays in parts.items()}
    return {name: {part: int(each[at]) for part, each in counts.items()} for at, name in enumerate(classes)}


def rare_classes(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return a warning for classes that a part has none of, or hardly any."""
    none = [name for name, each in counts.items() if not each.get("held_out")]
    unknown = [name for name, each in counts.items() if not each.get("train")]
    few = [name for name, each in counts.items() if 0 < each.get("train", 0) < 10]
    warnings = []
    if none:
        warnings.append(f"classes without a held-out item, which nothing can be said of: {_some(none)}")
    if unknown:
        warnings.append(f"classes without an item to train on, which are never right: {_some(unknown)}")
    if few:
        warnings.append(f"classes with fewer than 10 items to train on: {_some(few)}")
    return warnings


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def rows_in_both(parts: Mapping[str, Arrays]) -> int:
    """Return how many held-out rows have the columns of a training row, whatever their targets."""
    keys = {}
    for part in ("train", "held_out"):
        arrays = parts[part]
        blocks = [np.ascontiguousarray(arrays[name]) for name in ("numbers", "categories")]
        as_bytes = [block.view(np.uint8).reshape(len(block), -1) for block in blocks if block.size]
        keys[part] = (
            {row.tobytes() for row in np.hstack(as_bytes)} if part == "train" else np.hstack(as_bytes)
        )
    return sum(row.tobytes() in keys["train"] for row in keys["held_out"])


def _leaks(train: Arrays, about: Mapping[str, Any]) -> list[str]:
    """Return a warning for each column that gives the target away."""
    target = train["target"].astype(np.float64)
    is_class = about["target"]["kind"] == "class"
    numbers = [column["name"] for column in about["columns"] if column["kind"] == "number"]
    categories = [column["name"] for column in about["columns"] if column["kind"] == "category"]
    found = []
    for at, name in enumerate(numbers):
        values = train["numbers"][:, at]
        if is_class:
            classes = len(about["target"]["classes"])
            if _decides(values, target, classes) or (classes == 2 and _parts_two(values, target)):
                found.append(name)
        elif _is_line(values, target):
            found.append(name)
    for at, name in enumerate(categories):
        if is_class and _decides(train["categories"][:, at], target, len(about["target"]["classes"])):
            found.append(name)
    return [
        f"column {name!r} alone gives the target away: is it known before the target is?" for name in found
    ]


def _is_line(values: NDArray[Any], target: NDArray[np.float64]) -> bool:
    if np.isnan(values).any() or not values.std() or not target.std():
        return False
    return bool(abs(np.corrcoef(values, target)[0, 1]) > SAME)


def _parts_two(values: NDArray[Any], target: NDArray[np.float64]) -> bool:
    """Return whether the column's order tells two classes apart almost always."""
    if np.isnan(values).any() or len(values) < LEAST_ROWS or len(np.unique(target)) < 2:
        return False
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[
        inverse.reshape(-1)
    ]  # Mann and Whitney 1947; ties count half
    ones = int((target == 1).sum())
    area = (ranks[target == 1].sum() - ones * (ones + 1) / 2) / (ones * (len(target) - ones))
    return bool(max(area, 1 - area) > SAME_ORDER)


def _decides(values: NDArray[Any], target: NDArray[np.float64], num_classes: int) -> bool:
    """Return whether the column is the target by another name: a value a class, each with one class."""
    different = np.unique(values)
    if len(different) > 2 * num_classes:
        return False
    return all(len(np.unique(target[values == value])) == 1 for value in different if value == value)
