"""What files hold, and a few items as they are: pictures made small, the first rows, beginnings of texts."""

from __future__ import annotations

import base64
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from trainer.configs.data import PicturesConfig, TableConfig
from trainer.data import documents, rows
from trainer.data.decode import SUFFIXES as PICTURE_SUFFIXES
from trainer.data.decode import PictureError, shrink_picture
from trainer.data.errors import DatasetError, FileError
from trainer.data.pictures_prepare import Picture, find_pictures
from trainer.data.places import Place, list_places, on_this_machine
from trainer.data.quarantine import Quarantine
from trainer.data.rows import Cell, Row, read_rows
from trainer.data.table_scan import ColumnScan, choose_column, target_kind

LONGEST_SIDE = 96
"""Pixels of the longer side of a picture that is shown."""
CELL, EXCERPT = 200, 1000
"""Characters that are shown of a cell, and of a text."""
MOST_VALUES = 20
"""Values of a column that are listed."""
MOST_BROKEN = 100
"""Broken things that are named."""
ROWS_LOOKED_AT = 100_000
"""Rows that decide what a column is taken for here; preparing the table asks all of them."""
_ROWS_AT_ONCE = 4096
_NOTHING_SAID = TableConfig(path="", target="")

Item = TypeVar("Item")


def look_at(kind: str, path: str, count: int) -> dict[str, Any]:
    """Return what the files of a path hold when taken for `pictures`, a `table` or `text`, as JSON knows it.

    `kind`, `files`, `bytes`, `broken` (at most MOST_BROKEN of them, `broken_count` says how many there are)
    and `count` items at most: docs/data.md has them. Raises DatasetError where there is nothing of that kind.
    """
    quarantine = Quarantine(1)
    if kind == "pictures":
        places = list_places(path, PICTURE_SUFFIXES)
        told = _pictures(path, count, quarantine)
    else:
        suffixes = rows.SUFFIXES if kind == "table" else documents.SUFFIXES
        places = list_places(path, suffixes)
        tables = [place for place in places if place.name.lower().endswith(rows.SUFFIXES)]
        told = _tables(tables, count, quarantine) if tables else _documents(places, count, quarantine)
    return {
        "kind": kind,
        "files": len(places),
        "bytes": sum(place.size for place in places),
        **told,
        "broken": [asdict(each) for each in itertools.islice(quarantine, MOST_BROKEN)],
        "broken_count": len(quarantine),
    }


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """Return `count` of the items at most, taken from the beginning to the end of them alike."""
    number = min(count, len(items))
    return [items[len(items) * each // number] for each in range(number)]


def _pictures(path: str, count: int, quarantine: Quarantine) -> dict[str, Any]:
    pictures = find_pictures(PicturesConfig(path=path), quarantine)
    by_class: dict[str, list[Picture]] = {}
    for picture in pictures:
        by_class.setdefault(picture.label, []).append(picture)
    columns = [spread(group, -(-count // len(by_class))) for group in by_class.values()]
    chosen = [each for row in itertools.zip_longest(*columns) for each in row if each is not None]
    return {
        "classes": {name: len(group) for name, group in sorted(by_class.items())},
        "items": [_picture(each, quarantine) for each in chosen[:count]],
    }


def _picture(picture: Picture, quarantine: Quarantine) -> dict[str, Any]:
    """Return a picture as a small PNG in base64, or without one where it is broken, which is noted."""
    item: dict[str, Any] = {"file": picture.place.name, "class": picture.label}
    try:
        small = shrink_picture(picture.place.read(), LONGEST_SIDE)
    except (PictureError, FileError, OSError) as error:
        quarantine.add(picture.place.name, None, str(error))
        return item
    return item | {"width": small.width, "height": small.height, "png": base64.b64encode(small.png).decode()}


def _tables(places: Sequence[Place], count: int, quarantine: Quarantine) -> dict[str, Any]:
    with on_this_machine(places, quarantine) as files:
        told = look_at_rows(read_rows(files, quarantine), count)
    if not told["rows"]:
        first = next(iter(quarantine), None)
        raise DatasetError(str(first) if first else "there are no rows in the data")
    return told


def look_at_rows(found: Iterator[Row], count: int) -> dict[str, Any]:
    """Return the columns of the rows, each with what it would be taken for, and the first `count` rows."""
    scans: dict[str, ColumnScan] = {}
    shown: list[dict[str, Any]] = []
    seen, limited = 0, itertools.islice(found, ROWS_LOOKED_AT)
    while chunk := [row for _, _, row in itertools.islice(limited, _ROWS_AT_ONCE)]:
        for name in dict.fromkeys(itertools.chain.from_iterable(chunk)):
            scans.setdefault(name, ColumnScan(name)).add([row.get(name) for row in chunk])
        shown += [{name: _cut(cell) for name, cell in row.items()} for row in chunk[: count - len(shown)]]
        seen += len(chunk)
    for scan in scans.values():
        scan.missing = seen - scan.seen
    return {
        "rows": seen,
        "more": next(found, None) is not None,
        "columns": [_column(scan) for scan in scans.values()],
        "items": shown,
    }


def _column(scan: ColumnScan) -> dict[str, Any]:
    """Return what a column is taken for as a feature, and as the target: `class`, `number`, or "" and why."""
    feature, target, why = choose_column(scan, _NOTHING_SAID), "", ""
    if scan.counts_rows:
        why = "it counts the rows"
    else:
        try:
            target = target_kind(scan, _NOTHING_SAID)
        except DatasetError as error:
            why = str(error).removeprefix("data.target: ")
    return {
        "name": scan.name,
        "kind": feature.kind,
        "why": feature.why,
        "target": target,
        "why_no_target": why,
        "missing": scan.missing,
        "different": None if scan.many else len(scan.values),
        "values": [[_cut(value), number] for value, number in _common(scan.values)],
    }


def _common(values: Counter[str]) -> list[tuple[str, int]]:
    return values.most_common(MOST_VALUES) if len(values) <= MOST_VALUES else []


def _cut(cell: Cell) -> Cell:
    return cell[:CELL] if isinstance(cell, str) else cell


def _documents(places: Sequence[Place], count: int, quarantine: Quarantine) -> dict[str, Any]:
    with on_this_machine(spread(places, count), quarantine) as files:
        items = []
        for name, path in files:
            try:
                with path.open(encoding="utf-8-sig") as file:
                    items.append({"file": name, "text": file.read(EXCERPT), "more": bool(file.read(1))})
            except UnicodeDecodeError:
                quarantine.add(name, None, "is not UTF-8")
            except OSError as error:
                quarantine.add(name, None, error.strerror or str(error))
    return {"items": items}
