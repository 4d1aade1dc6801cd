"""A bundled data set's file: where it lies on this machine, and its arrays mapped into memory."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data.bundled import dataset_file_name, prepare
from trainer.data.errors import DatasetError
from trainer.safetensors_file import read_header


@dataclass(frozen=True)
class DataFile:
    """A data set's file: its arrays, mapped and not read, and what its header says."""

    arrays: dict[str, NDArray[np.uint8]]
    about: dict[str, str]


def find_data(name: str, *, may_prepare: bool) -> Path | None:
    """Return the data set's file: below $FLEETFORM_DATA_DIR, else from this machine's cache.

    Where neither holds it, it is prepared into the cache if `may_prepare`, else the answer is None.
    """
    file_name = dataset_file_name(name)
    if given := os.environ.get("FLEETFORM_DATA_DIR"):
        for path in (Path(given) / file_name, Path(given) / name / file_name):
            if path.is_file():
                return path
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fleetform" / "datasets"
    # The text is that of this Python's own library, so the cache keeps one file a version.
    folder = cache / f"python-{platform.python_version()}"
    if (folder / file_name).is_file():
        return folder / file_name
    return prepare(name, folder) if may_prepare else None


def open_data(path: Path) -> DataFile:
    """Map the safetensors file's arrays; raises DatasetError where it is not a whole one of bytes."""
    try:
        entries, about = read_header(path)
        if any(entry.dtype != "U8" for entry in entries.values()):
            raise ValueError("not all of it is bytes")
    except ValueError:
        raise DatasetError(f"{path} is damaged: remove it, or prepare it again") from None
    arrays: dict[str, NDArray[np.uint8]] = {
        name: np.memmap(path, dtype=np.uint8, mode="r", offset=entry.offset, shape=entry.shape)
        for name, entry in entries.items()
    }
    return DataFile(arrays=arrays, about=about)
