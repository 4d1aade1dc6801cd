"""Prepares big data in units, each written whole: a preparation that is killed goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from trainer.files.durable import write_durably

Note = dict[str, Any]
"""What a unit came to, as JSON knows it; its `files` are the entries of the files that it wrote."""


def do_units(folder: Path, count: int, work: Callable[[int], Note]) -> Iterator[Note]:
    """Yield each unit's note, doing only those that the folder does not have yet.

    The folder belongs to exactly this data and these settings: its name says so (trainer/data/find.py).
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        path = folder / f".unit-{number:05d}.json"
        note = _done(path)
        if note is None:
            note = work(number)
            write_durably(path, json.dumps(note))
        yield note


def forget_units(folder: Path) -> None:
    """Remove the notes, once about.json has what they say."""
    for path in (*folder.glob(".unit-*.json"), folder / ".tokenizer.json"):
        path.unlink(missing_ok=True)


def _done(path: Path) -> Note | None:
    """Return the note of a unit whose files are all there, of the size that they had."""
    try:
        note: Note = json.loads(path.read_text(encoding="utf-8"))
        whole = all((path.parent / file["name"]).stat().st_size == file["bytes"] for file in note["files"])
    except (OSError, ValueError, KeyError):
        return None
    return note if whole else None
