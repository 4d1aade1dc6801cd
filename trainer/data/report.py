"""The data check as text to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MOST_CLASSES = 20
"""Classes that are listed one by one."""
NAMES = {
    "rows": "rows",
    "pictures": "pictures",
    "documents": "documents",
    "tokens": "tokens",
    "bad_rows": "broken and left out",
    "bad_files": "broken and left out",
    "copies": "copies within a part",
    "duplicates_over_split": "held out and also in training",
}


def report_lines(name: str, digest: str, report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines that tell somebody what a prepared data set holds and what to look at."""
    yield f"{name}  sha256 {digest[:12]}"
    if source := report.get("source"):
        yield f"  from {source}"
    for key, words in NAMES.items():
        if isinstance(count := report.get(key), Mapping):
            yield f"  {words}: {count['train']:,} to train on, {count['held_out']:,} held out"
        elif count:
            yield f"  {words}: {count:,}"
    yield from _classes(report.get("classes", {}))
    for column, why in report.get("ignored_columns", {}).items():
        yield f"  column {column!r} is not used: {why}"
    if missing := report.get("missing"):
        listed = ", ".join(f"{column} {count:,}" for column, count in list(missing.items())[:MOST_CLASSES])
        yield f"  cells that say nothing: {listed}"
    for warning in report.get("warnings", ()):
        yield f"  warning: {warning}"


def _classes(classes: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    if not classes:
        return
    largest = sorted(classes.items(), key=lambda item: -item[1]["train"])[:MOST_CLASSES]
    listed = ", ".join(f"{name} {count['train']:,}+{count['held_out']:,}" for name, count in largest)
    rest = f" and {len(classes) - MOST_CLASSES} more" if len(classes) > MOST_CLASSES else ""
    yield f"  {len(classes)} classes (to train on + held out): {listed}{rest}"
