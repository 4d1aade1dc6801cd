"""Shows a few items of data before anything is said of what to learn from it: one's own, or a known set's."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fleet.data_check import KINDS, Broken, data_folder
from fleet.trainer_process import Share, ask_trainer
from stacks.problems import UserError

Cell = str | float | int | bool | None


@dataclass(frozen=True, kw_only=True)
class ShownPicture:
    """A picture made small, at most 96 pixels to a side."""

    file: str
    """Its name; "" in a known set."""
    label: str
    """Its class."""
    png: bytes
    """Empty where the picture is broken."""
    width: int = 0
    """Pixels of the picture itself."""
    height: int = 0


@dataclass(frozen=True, kw_only=True)
class ShownText:
    """The beginning of a text."""

    file: str
    label: str
    text: str
    more: bool
    """Whether it goes on."""


@dataclass(frozen=True, kw_only=True)
class ShownColumn:
    """A column of a table: what it would be used for, and whether it can be what is predicted."""

    name: str
    kind: Literal["number", "category", "ignored"]
    why: str
    """Why it would be left out."""
    target: Literal["class", "number", ""]
    """What predicting it would mean; "" where it cannot be predicted."""
    why_no_target: str
    missing: int
    different: int | None
    """How many different values it has; None where they are too many to count."""
    values: tuple[tuple[str, int], ...]
    """Its values and how often they are there, where they are few."""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What there is, and a few items; those of the two other kinds are empty."""

    kind: str
    files: int
    bytes: int
    classes: Mapping[str, int]
    """How many items each class has, where that can be told before anything is said."""
    pictures: tuple[ShownPicture, ...]
    texts: tuple[ShownText, ...]
    columns: tuple[ShownColumn, ...]
    """Also of text that comes as a table: then one of them is the text, and another may be its class."""
    rows: tuple[Mapping[str, Cell], ...]
    rows_seen: int
    """Rows that the columns were judged by."""
    more_rows: bool
    """Whether there are more than those."""
    broken: tuple[Broken, ...]
    """The first hundred of what is left out, as far as was looked."""
    broken_count: int
    target: str
    """The column that is predicted, of a known table."""
    source: str
    """Where a known set is from."""
    train: int = 0
    """How many items of a known set are trained on, the rest being held out; 0 of data of one's own."""


def preview(folder: Path, kind: str, count: int = 12, share: Share | None = None) -> Preview:
    """Look at the files of a folder as data of a kind, and return `count` items of it at most.

    Raises UserError where there is nothing of that kind, ActError where looking fails.
    """
    assert kind in KINDS, "the kinds are those of KINDS"
    return _look([kind, str(data_folder(folder))], count, share)


def preview_known(name: str, count: int = 12, share: Share | None = None) -> Preview:
    """Return `count` items of a known set at most; raises UserError where it can't be made."""
    return _look(["known", name], count, share)


def _look(what: Sequence[str], count: int, share: Share | None) -> Preview:
    told = ask_trainer("trainer.look", [*what, "--count", str(count)], share or Share(seconds=120))
    if told.problems:
        raise UserError.of("; ".join(told.problems), "bring other files, or say what else they are")
    return _read(told.answer)


def _read(table: Mapping[str, Any]) -> Preview:
    items = table["items"]
    as_table = "columns" in table
    return Preview(
        kind=table["kind"],
        files=table.get("files", 0),
        bytes=table.get("bytes", 0),
        classes=table.get("classes", {}),
        pictures=tuple(map(_picture, items)) if table["kind"] == "pictures" else (),
        texts=tuple(map(_text, items)) if table["kind"] == "text" and not as_table else (),
        columns=tuple(map(_column, table.get("columns", ()))),
        rows=tuple(items) if as_table else (),
        rows_seen=table.get("rows", 0),
        more_rows=table.get("more", False),
        broken=tuple(Broken(**each) for each in table.get("broken", ())),
        broken_count=table.get("broken_count", 0),
        target=table.get("target", ""),
        source=table.get("source", ""),
        train=table.get("train", 0),
    )


def _picture(item: Mapping[str, Any]) -> ShownPicture:
    return ShownPicture(
        file=item.get("file", ""),
        label=item["class"],
        png=base64.b64decode(item.get("png", "")),
        width=item.get("width", 0),
        height=item.get("height", 0),
    )


def _text(item: Mapping[str, Any]) -> ShownText:
    label, file = item.get("class", ""), item.get("file", "")
    return ShownText(file=file, label=label, text=item["text"], more=item["more"])


def _column(item: Mapping[str, Any]) -> ShownColumn:
    return ShownColumn(**{**item, "values": tuple((value, number) for value, number in item["values"])})
