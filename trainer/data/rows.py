"""Reads the rows of CSV, TSV, JSONL and Parquet files, one by one, and names those that are malformed."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from trainer.data.errors import DatasetError, FileError
from trainer.data.quarantine import Quarantine

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
DELIMITERS = ",;\t|"
LONGEST_CELL = 64 * 2**20
"""Characters of a cell of a CSV file; the csv module's own limit is 131,072."""

_SURROGATE = re.compile(rb"\\u[dD]|\xed")

Cell = str | float | int | bool | None
Row = tuple[str, int, dict[str, Cell]]
"""The file's name, the row's number in it, counted from 1 and without the header, and its cells by column."""


def read_rows(files: Sequence[tuple[str, Path]], quarantine: Quarantine) -> Iterator[Row]:
    """Yield every whole row of the files (their names and where they lie); what is malformed is quarantined.

    So is a file that cannot be read at all.
    """
    for name, path in files:
        if quarantine.has(name, None):
            continue
        rows = 0
        try:
            for row in _reader(path)(name, path, quarantine):
                rows += 1
                yield row
            quarantine.read(name, path.stat().st_size, rows)
        except (FileError, OSError) as error:
            what = str(error) if isinstance(error, FileError) else error.strerror or str(error)
            quarantine.lose(name, what, path.stat().st_size if path.exists() else 1)


def _reader(path: Path) -> Callable[[str, Path, Quarantine], Iterator[Row]]:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _read_parquet
    return _read_json_lines if suffix in (".jsonl", ".ndjson") else _read_csv


def _read_csv(name: str, path: Path, quarantine: Quarantine) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_CELL)
    # What is not UTF-8 comes through as lone surrogates, so that one bad byte costs its row alone.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, delimiter=_delimiter(path), strict=True)
        header = _read_header(reader)
        number = 0
        while True:
            number, before = number + 1, reader.line_num
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                # A quote that is never closed swallows every line to the file's end.
                lines = range(before + 1, max(reader.line_num, before + 1) + 1)
                for each, line in enumerate(lines):
                    quarantine.add(name, number + each, f"line {line}: {error}")
                number += len(lines) - 1
                continue
            if not cells:  # an empty line
                number -= 1
            elif len(cells) != len(header):
                quarantine.add(name, number, f"has {len(cells)} cells, the header has {len(header)}")
            elif _has_raw_bytes(",".join(cells)):
                quarantine.add(name, number, "is not UTF-8")
            else:
                yield name, number, dict(zip(header, cells, strict=True))


def _has_raw_bytes(text: str) -> bool:
    return not text.isascii() and any("\udc80" <= character <= "\udcff" for character in text)


def _delimiter(path: Path) -> str:
    """Return what parts the cells: a tab in .tsv files, else whatever the first line has most of."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = file.readline()
    return max(DELIMITERS, key=first.count)


def _read_header(reader: Iterator[list[str]]) -> list[str]:
    try:
        header = [column.strip() for column in next(reader, [])]
    except csv.Error as error:
        raise FileError(f"the header cannot be read ({error}): save it as CSV in UTF-8") from None
    if _has_raw_bytes("".join(header)):
        raise FileError("the header is not UTF-8: save it as CSV in UTF-8")
    if twice := sorted({column for column in header if header.count(column) > 1}):
        raise FileError(f"the header has {', '.join(map(repr, twice))} more than once: rename one")
    if "" in header:
        raise FileError(f"column {header.index('') + 1} has no name in the header: give it one")
    return header


def _read_json_lines(name: str, path: Path, quarantine: Quarantine) -> Iterator[Row]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                if _SURROGATE.search(line):  # half of a pair is no character, and cannot be written again
                    json.dumps(row, ensure_ascii=False).encode()
            except UnicodeEncodeError:
                quarantine.add(name, number, "has half of a surrogate pair, which is no character")
                continue
            except (ValueError, RecursionError) as error:
                quarantine.add(name, number, f"is no JSON: {error}")
                continue
            if isinstance(row, dict):
                yield name, number, {str(key): _cell(value) for key, value in row.items()}
            else:
                quarantine.add(name, number, "is no JSON object")


def _read_parquet(name: str, path: Path, quarantine: Quarantine) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise DatasetError(f"{name}: to read Parquet files: pip install pyarrow") from None
    number, total = 0, 0
    try:
        with parquet.ParquetFile(path) as file:
            total = file.metadata.num_rows
            for batch in file.iter_batches(batch_size=4096):
                for row in batch.to_pylist():
                    number += 1
                    yield name, number, {key: _cell(value) for key, value in row.items()}
    except (ArrowException, OSError, ValueError) as error:
        reason = f"cannot be read as Parquet: {str(error).partition(chr(10))[0]}"
        if not total:  # its footer, which says how many rows there are, stands at the end
            raise FileError(reason) from None
        left = total - number
        quarantine.add(name, number + 1, f"{reason}; {left} rows from here on are lost", count=left)


def _cell(value: Any) -> Cell:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date | time):  # a datetime is a date
        return value.isoformat()
    return json.dumps(value, default=str, sort_keys=True)
