"""Prepares any data that a configuration can name, bundled or the user's own, into a folder."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from trainer.configs.data import (
    DataConfig,
    DocumentsConfig,
    PicturesConfig,
    TextConfig,
    TokensConfig,
    prepared_name,
)
from trainer.data import rows
from trainer.data.bundled_sets import make_bundled
from trainer.data.dataset import ABOUT, open_dataset
from trainer.data.decode import SUFFIXES as PICTURE_SUFFIXES
from trainer.data.documents import SUFFIXES as TEXT_SUFFIXES
from trainer.data.errors import DatasetError
from trainer.data.places import Place, fingerprint, list_places
from trainer.data.prepare_own import prepare_own
from trainer.data.prepared import write_prepared
from trainer.data.quarantine import Quarantine
from trainer.data.references import references
from trainer.files.durable import write_durably

VERSION = 3
"""Raised whenever the same data and settings would be prepared otherwise than before."""


THINGS = {"pictures": "files", "table": "rows"}
"""What is counted as broken or whole, where it is not documents."""
VERSION_FILE = ".prepared"
"""Says, beside the data set, what it was prepared from and by."""


@dataclass(frozen=True)
class Request:
    """The data that a configuration names: a bundled data set, or the user's own."""

    dataset: str = ""
    data: DataConfig | None = None

    @property
    def name(self) -> str:
        """The name of the folder that it is prepared in."""
        return self.dataset if self.data is None else prepared_name(self.data)

    @cached_property
    def places(self) -> list[Place]:
        """The files of the user's data; raises DatasetError where there are none."""
        assert self.data is not None, "bundled data has no files of the user's"
        if isinstance(self.data, TokensConfig):
            return list_places(self.data.path, (".bin",))
        if isinstance(self.data, TextConfig | DocumentsConfig):
            labelled = isinstance(self.data, TextConfig) and self.data.label_column
            prompted = isinstance(self.data, DocumentsConfig) and self.data.prompt_column
            return list_places(self.data.path, rows.SUFFIXES if labelled or prompted else TEXT_SUFFIXES)
        if isinstance(self.data, PicturesConfig):
            places = list_places(self.data.path, PICTURE_SUFFIXES)
            return places + (list_places(self.data.labels, rows.SUFFIXES) if self.data.labels else [])
        return list_places(self.data.path, rows.SUFFIXES)

    def version(self) -> str:
        """Return what changes when the prepared data would: 12 hexadecimal digits."""
        if self.data is None:
            digest = hashlib.sha256(platform.python_version().encode())
            for file in _code_of_bundled():
                digest.update(file.read_bytes())
            return digest.hexdigest()[:12]
        return hashlib.sha256(f"{VERSION} {fingerprint(self.places)}".encode()).hexdigest()[:12]


def prepare_data(request: Request, folder: Path) -> Path:
    """Prepare the data into the folder, unless it is there as it is now, and return the folder.

    What was killed in the middle goes on. Raises DatasetError; the folder's quarantine.jsonl then names all
    that is broken.
    """
    version = request.version()
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        if not _is_of(folder, version):
            _clear(folder)
        elif (folder / ABOUT).is_file():
            try:
                opened = open_dataset(folder)
            except DatasetError:
                _clear(folder)
            else:
                _check_share(opened.report, request.data)
                return folder
        write_durably(folder / VERSION_FILE, version)
        return _prepare(request, folder)


def _check_share(report: Mapping[str, Any], data: DataConfig | None) -> None:
    """Raise DatasetError where what is there has more broken things than are allowed by now."""
    bad = report.get("bad_rows", report.get("bad_files", 0))
    found = (report[key] for key in ("rows", "pictures", "documents") if key in report)
    counts: Mapping[str, int] = next(found, {})
    total = bad + sum(counts.values())
    if data is not None and bad > data.max_bad_share * total:
        allowed = f"data.max_bad_share = {data.max_bad_share:g} allows fewer: mend them, or raise it"
        raise DatasetError(f"{bad} of {total} are broken, as quarantine.jsonl names them ({allowed})")


def _prepare(request: Request, folder: Path) -> Path:
    if request.data is None:
        made = make_bundled(request.dataset)
        made = replace(made, about={**made.about, **references(made.shape, made.about, made.parts)})
        return write_prepared(folder, made, request.dataset, {})
    quarantine = Quarantine(request.data.max_bad_share, THINGS.get(request.data.kind, "documents"))
    try:
        return prepare_own(request.name, request.data, request.places, folder, quarantine)
    finally:
        quarantine.write(folder)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process prepares into the folder; the kernel forgets one that was killed."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _is_of(folder: Path, version: str) -> bool:
    try:
        return (folder / VERSION_FILE).read_text(encoding="utf-8") == version
    except OSError:
        return False


def _clear(folder: Path) -> None:
    """Take away what an earlier preparation left; about.json first, so that the rest is no data set."""
    (folder / ABOUT).unlink(missing_ok=True)
    for pattern in ("*.safetensors", "*.bin", ".unit-*.json", ".tokenizer.json", ".*.partial"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


def _code_of_bundled() -> list[Path]:
    """Return the modules that decide what the bundled data sets are made into."""
    trainer = Path(__file__).parents[1]
    names = ("bundled_sets", "bundled_tables", "cells", "prepared", "split", "table_check", "table_encoder")
    here = [trainer / "data" / f"{name}.py" for name in (*names, "table_prepare", "table_scan")]
    return [
        *here,
        trainer / "text/sets.py",
        trainer / "text/tokenizer.py",
        trainer / "evaluation/references.py",
    ]
