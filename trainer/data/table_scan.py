"""Looks a table's columns through once, and decides what each of them is."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from trainer.configs.data import TableConfig
from trainer.configs.tables import nearest_hint
from trainer.data.cells import comma_hint, is_empty, is_missing, number_of, numbers_of, text_of
from trainer.data.errors import DatasetError
from trainer.data.rows import Cell

MOST_VALUES = 10_000
"""Different values of a column that are counted; of more it is enough to know that they are many."""
MOST_CATEGORIES = 1000
"""Categories of a column that get a code; the rarest share that of the unknown."""
MOST_CLASSES = 1000
MOST_NUMBERS_AS_CLASSES = 20
"""Different whole numbers up to which a target is taken for classes."""
NUMERIC_SHARE = 0.95
"""Share of a column's values that must be numbers for it to be a column of numbers; the others are broken."""


@dataclass
class ColumnScan:
    """What was seen of one column."""

    name: str
    missing: int = 0
    seen: int = 0
    """Cells that say something."""
    numeric: int = 0
    decimals: bool = False
    rising: bool = True
    """Whether each cell is a whole number above the one before."""
    values: Counter[str] = field(default_factory=Counter)
    """How often each value was seen, until there were more than MOST_VALUES different ones."""
    markers: Counter[str] = field(default_factory=Counter)
    """How often each text was seen that says nothing in a column of features, but may name a class."""
    many: bool = False
    """Whether there are more different values than are counted."""
    _first: float | None = None
    _last: float | None = None

    def add(self, cells: Sequence[Cell]) -> None:
        """Count the column's cells of the next rows."""
        numbers: Sequence[float | None] | None = numbers_of(cells)
        if numbers is None:
            markers = [text_of(cell) for cell in cells if is_missing(cell) and not is_empty(cell)]
            self.markers.update(markers)
            cells = [cell for cell in cells if not is_missing(cell)]
            numbers = [number_of(cell) for cell in cells]
        self.seen += len(cells)
        if not self.many:
            self._count(Counter(map(text_of, cells)))
        known = [number for number in numbers if number is not None]
        self.numeric += len(known)
        self.rising &= len(known) == len(numbers)
        if self.rising or not self.decimals:
            whole = all(map(float.is_integer, known))
            self.decimals |= not whole
            self.rising &= whole
        if self.rising and known:
            before = known if self._last is None else [self._last, *known]
            self.rising = all(a < b for a, b in itertools.pairwise(before))
            self._first = known[0] if self._first is None else self._first
            self._last = known[-1]

    def _count(self, counted: Counter[str]) -> None:
        for text, count in counted.items():
            if text in self.values or len(self.values) < MOST_VALUES:
                self.values[text] += count
            else:
                self.many = True

    @property
    def looks_numeric(self) -> bool:
        """Whether nearly all cells are numbers."""
        return self.seen > 0 and self.numeric >= NUMERIC_SHARE * self.seen

    @property
    def counts_rows(self) -> bool:
        """Whether it is the number of a row, which says nothing; a few numbers may have been left out."""
        if not self.rising or self.seen < 3 or self._first is None or self._last is None:
            return False
        return self._last - self._first < 1.5 * self.seen

    @property
    def constant(self) -> bool:
        """Whether there is at most one value."""
        return len(self.values) <= 1 and not (self.values and self.missing)


@dataclass(frozen=True)
class Column:
    """What a column is taken for."""

    name: str
    kind: Literal["number", "category", "ignored"]
    why: str = ""
    """Why it is ignored."""


def choose_columns(scans: Sequence[ColumnScan], config: TableConfig) -> list[Column]:
    """Return what each column but the target is; raises DatasetError where a column named is not there."""
    names = [scan.name for scan in scans]
    wanted = [("target", config.target), ("group_column", config.group_column)]
    wanted += [("held_out_column", config.held_out_column)]
    for key in ("numbers", "categories", "ignore"):
        wanted += [(key, name) for name in getattr(config, key)]
    for key, name in wanted:
        if name and name not in names:
            raise DatasetError(f"data.{key}: the table has no column {name!r}{nearest_hint(name, names)}")
    columns = [choose_column(scan, config) for scan in scans if scan.name != config.target]
    if all(column.kind == "ignored" for column in columns):
        raise DatasetError(f"the table has no column to predict {config.target!r} from")
    return columns


def choose_column(scan: ColumnScan, config: TableConfig) -> Column:
    """Return what a column is as a feature."""
    name = scan.name
    if name in config.ignore:
        return Column(name, "ignored", "data.ignore names it")
    if name in (config.group_column, config.held_out_column):
        return Column(name, "ignored", "it decides the split")
    if not scan.seen:
        return Column(name, "ignored", "it is empty")
    if scan.constant:
        return Column(name, "ignored", f"it is always {next(iter(scan.values))!r}")
    if name in config.numbers:
        return Column(name, "number")
    if name in config.categories:
        return Column(name, "category")
    if scan.looks_numeric:
        if scan.counts_rows:
            return Column(name, "ignored", "it counts the rows; data.numbers = [...] keeps it")
        return Column(name, "number")
    if scan.many or len(scan.values) > max(50, scan.seen // 2):
        hint = comma_hint(next(iter(scan.values), ""))
        why = "nearly every row has its own text; data.categories = [...] keeps it"
        return Column(name, "ignored", why + hint.replace(":", ";", 1))
    return Column(name, "category")


def target_kind(scan: ColumnScan, config: TableConfig) -> Literal["class", "number"]:
    """Return what the target is; raises DatasetError where it cannot be what was asked for."""
    kind: Literal["class", "number"]
    if config.predict == "auto":
        many = scan.decimals or scan.many or len(scan.values) > MOST_NUMBERS_AS_CLASSES
        kind = "number" if scan.looks_numeric and many else "class"
    else:
        kind = config.predict
    if kind == "number" and not scan.looks_numeric:
        odd = next((value for value in scan.values if number_of(value) is None), "")
        raise DatasetError(
            f"data.predict: the target {scan.name!r} has values that are no number, as {odd!r}"
            + comma_hint(odd)
        )
    if kind == "class" and (scan.many or len(scan.values) > MOST_CLASSES):
        raise DatasetError(
            f"data.target: {scan.name!r} has more than {MOST_CLASSES} different values: too many for classes"
        )
    if len(scan.values) + (len(scan.markers) if kind == "class" else 0) < 2:
        raise DatasetError(f"data.target: {scan.name!r} has the same value in every row: nothing to learn")
    return kind


def categories(counts: Mapping[str, int]) -> list[str]:
    """Return the values that get a code: the most frequent of the training part, sorted by name."""
    common = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_CATEGORIES]
    return sorted(value for value, _ in common)
