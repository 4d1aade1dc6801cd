"""Prepares pictures: finds them with their classes, decodes them side by side, writes shards of bytes."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.configs.data import PicturesConfig
from trainer.configs.tables import nearest_hint
from trainer.data.cells import is_empty, text_of
from trainer.data.dataset import PARTS
from trainer.data.dataset_writer import write_arrays
from trainer.data.decode import SUFFIXES, PictureError, decode_picture
from trainer.data.errors import DatasetError, FileError
from trainer.data.places import Place, list_places, on_this_machine
from trainer.data.progress import Progress
from trainer.data.quarantine import Quarantine
from trainer.data.rows import SUFFIXES as TABLE_SUFFIXES
from trainer.data.rows import read_rows
from trainer.data.split import is_held_out
from trainer.data.table_check import rare_classes
from trainer.data.units import Note, do_units

BYTES_PER_UNIT = 2**27
"""Bytes of the pictures that are decoded into memory together; a shard of a part has at most as many."""

TRAINING_FOLDERS = frozenset({"train", "training"})
HELD_OUT_FOLDERS = frozenset({"val", "valid", "validation", "test", "testing", "held_out", "dev", "eval"})
"""Folders that are no classes where all are of these: they say what is held out."""


@dataclass(frozen=True)
class Picture:
    """A picture and its class."""

    place: Place
    label: str
    held_out: bool | None = None
    """Whether its folder says that it is held out; None where the split decides."""


def find_pictures(config: PicturesConfig, quarantine: Quarantine) -> list[Picture]:
    """Return the pictures that the configuration names, in the order of their names; raises DatasetError."""
    places = list_places(config.path, SUFFIXES)
    pictures = _labelled(config, places, quarantine) if config.labels else _by_folder(config, places)
    if len({picture.label for picture in pictures}) < 2:
        raise DatasetError(f"data.path: {config.path} has pictures of fewer than two classes")
    return pictures


def _by_folder(config: PicturesConfig, places: Sequence[Place]) -> list[Picture]:
    parts = {place.name.partition("/")[0].lower() for place in places}
    if parts & TRAINING_FOLDERS and parts & HELD_OUT_FOLDERS and parts <= TRAINING_FOLDERS | HELD_OUT_FOLDERS:
        return _by_part(config, places)
    pictures = [Picture(place, place.name.partition("/")[0]) for place in places if "/" in place.name]
    if len(pictures) < len(places):
        loose = next(place.name for place in places if "/" not in place.name)
        raise DatasetError(
            f"data.path: {config.path} has {len(places) - len(pictures)} pictures in no folder of a class, as"
            f" {loose}: move them, or name a table of files and labels in data.labels"
        )
    return pictures


def _by_part(config: PicturesConfig, places: Sequence[Place]) -> list[Picture]:
    """Return the pictures of train/CLASS/ and val/CLASS/, each in the part that its folder says."""
    pictures = []
    for place in places:
        part, *classes, _ = place.name.split("/")
        if not classes:
            raise DatasetError(
                f"data.path: {place.name} is in the part {part}, but in no folder of a class: move it, or"
                " name a table of files and labels in data.labels"
            )
        pictures.append(Picture(place, classes[0], part.lower() in HELD_OUT_FOLDERS))
    return pictures


def _labelled(config: PicturesConfig, places: Sequence[Place], quarantine: Quarantine) -> list[Picture]:
    known = {place.name: place for place in places}
    pictures: dict[str, str] = {}
    with on_this_machine(list_places(config.labels, TABLE_SUFFIXES), quarantine) as files:
        for file, number, row in read_rows(files, quarantine):
            for column in (config.file_column, config.label_column):
                if column not in row:
                    hint = nearest_hint(column, row)
                    raise DatasetError(f"data.labels: {file} has no column {column!r}{hint}")
            name = str(row[config.file_column]).strip().removeprefix("./")
            if is_empty(row[config.label_column]):
                quarantine.add(file, number, f"{name} has no label")
            elif name not in known:
                quarantine.add(file, number, f"there is no picture {name} in {config.path}")
            elif pictures.setdefault(name, label := text_of(row[config.label_column])) != label:
                quarantine.add(file, number, f"{name} has another label in an earlier row")
    return [Picture(known[name], label) for name, label in sorted(pictures.items())]


def prepare_pictures(
    folder: Path,
    config: PicturesConfig,
    pictures: Sequence[Picture],
    quarantine: Quarantine,
    unlisted: int = 0,
) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    """Write the shards into the folder; return their entries, what about.json says, and the data check.

    `unlisted` pictures lie beside them, of which no class is known.
    """
    classes = sorted({picture.label for picture in pictures})
    channels = 3 if config.colour == "rgb" else 1
    per_unit = max(BYTES_PER_UNIT // (config.height * config.width * channels), 1)
    units = [pictures[start : start + per_unit] for start in range(0, len(pictures), per_unit)]
    progress = Progress("pictures", len(pictures))

    def work(number: int) -> Note:
        return _decode_unit(folder, config, units[number], number, number * per_unit, classes)

    files: list[Any] = []
    found = _Found(classes)
    for number, note in enumerate(do_units(folder, len(units), work)):
        files += note["files"]
        found.add(note, quarantine)
        progress.add(len(units[number]))
    progress.close()
    quarantine.check(sum(found.pictures.values()))
    for part, count in found.pictures.items():
        if not count:
            raise DatasetError(
                f"the {part} part has no pictures: change data.held_out, or bring more pictures"
            )
    about = {"classes": classes, "height": config.height, "width": config.width, "channels": channels}
    about |= {"brightest": 255, "colour": config.colour, "resize": config.resize, "source": config.path}
    report = found.report(len(quarantine))
    if unlisted:
        report["warnings"].append(f"{unlisted} pictures are not in data.labels, and not used")
    return files, about, report


class _Found:
    """What the units came to."""

    def __init__(self, classes: Sequence[str]) -> None:
        self.pictures = dict.fromkeys(PARTS, 0)
        self._classes = {name: dict.fromkeys(PARTS, 0) for name in classes}
        self._names = classes
        self._digests: dict[str, Counter[str]] = {part: Counter() for part in PARTS}

    def add(self, note: Note, quarantine: Quarantine) -> None:
        """Count what one unit came to."""
        for name, what in note["broken"]:
            quarantine.add(name, None, what)
        for part, label, digest in note["decoded"]:
            self.pictures[part] += 1
            self._classes[self._names[label]][part] += 1
            self._digests[part][digest] += 1

    def report(self, bad_files: int) -> dict[str, Any]:
        """Return the data check as JSON knows it."""
        warnings = rare_classes(self._classes)
        train, held_out = self._digests["train"], self._digests["held_out"]
        both = sum(count for digest, count in held_out.items() if digest in train)
        if both:
            warnings.append(
                f"{both} held-out pictures are copies of training pictures: their score is too good"
            )
        copies = sum(count - 1 for each in self._digests.values() for count in each.values())
        report: dict[str, Any] = {"pictures": self.pictures, "bad_files": bad_files, "classes": self._classes}
        return report | {"copies": copies, "duplicates_over_split": both, "warnings": warnings}


def _decode_unit(
    folder: Path,
    config: PicturesConfig,
    pictures: Sequence[Picture],
    number: int,
    first: int,
    classes: Sequence[str],
) -> Note:
    """Decode the pictures, of which the first has the number `first`, and write them as a shard a part."""
    label_of = {name: label for label, name in enumerate(classes)}
    results = _decode_all(pictures, config)
    rows: dict[str, list[tuple[NDArray[np.uint8], int]]] = {part: [] for part in PARTS}
    decoded, broken = [], []
    for place, (picture, result) in enumerate(zip(pictures, results, strict=True)):
        if isinstance(result, str):
            broken.append((picture.place.name, result))
            continue
        pixels, digest = result
        held = picture.held_out
        if held is None:
            held = is_held_out(config.split, config.held_out, first + place, digest)
        part, label = "held_out" if held else "train", label_of[picture.label]
        rows[part].append((pixels, label))
        decoded.append((part, label, digest.hex()[:16]))
    files = [
        write_arrays(
            folder,
            part,
            number,
            {
                "pictures": np.stack([pixels for pixels, _ in each]),
                "labels": np.array([label for _, label in each], np.int64),
            },
        )
        for part, each in rows.items()
        if each
    ]
    return {"files": files, "broken": broken, "decoded": decoded}


def _decode_all(
    pictures: Sequence[Picture], config: PicturesConfig
) -> list[tuple[NDArray[np.uint8], bytes] | str]:
    """Return what _decode does for each picture, on all cores: Pillow decodes outside of the GIL."""
    # Filters are of the whole process: set here and not by each thread.
    with warnings.catch_warnings(), ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        warnings.simplefilter("ignore")  # of metadata that is not looked at; what is too large is refused
        return list(pool.map(lambda picture: _decode(picture, config), pictures))


def _decode(picture: Picture, config: PicturesConfig) -> tuple[NDArray[np.uint8], bytes] | str:
    """Return the pixels and the digest of the file, or what is wrong with it."""
    try:
        data = picture.place.read()
        pixels = decode_picture(data, config.height, config.width, config.colour, config.resize)
    except (PictureError, FileError, OSError) as error:
        return str(error)
    return pixels, hashlib.sha256(data).digest()
