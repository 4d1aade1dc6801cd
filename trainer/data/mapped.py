"""Maps the arrays of prepared files into memory: nothing is read before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.errors import DatasetError
from trainer.files.safetensors import read_header

NUMPY_KINDS = {
    "F64": "<f8",
    "I64": "<i8",
    "U64": "<u8",
    "F32": "<f4",
    "I32": "<i4",
    "U32": "<u4",
    "F16": "<f2",
    "I16": "<i2",
    "U16": "<u2",
    "I8": "|i1",
    "U8": "|u1",
    "BOOL": "|b1",
}
"""numpy's name of each kind of number of a safetensors file that numpy has."""


def map_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """Return the file's arrays by name; raises DatasetError where it is not whole or numpy lacks its kind."""
    try:
        entries, _ = read_header(path)
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing: prepare the data again") from None
    except ValueError:
        raise DatasetError(f"{path} is damaged: remove it, or prepare it again") from None
    arrays: dict[str, NDArray[Any]] = {}
    for name, entry in entries.items():
        if entry.dtype not in NUMPY_KINDS:
            raise DatasetError(f"{path}: {name} holds {entry.dtype} numbers, which training data cannot")
        arrays[name] = map_array(path, NUMPY_KINDS[entry.dtype], entry.shape, entry.offset)
    return arrays


def map_array(path: Path, kind: str, shape: tuple[int, ...], offset: int = 0) -> NDArray[Any]:
    """Return `shape` numbers of that kind, which lie in the file from the byte `offset` on."""
    if 0 in shape:
        return np.empty(shape, kind)  # there is nothing to map
    # A plain array: slices of numpy's own class for maps cost a microsecond each.
    return np.asarray(np.memmap(path, dtype=kind, mode="r", offset=offset, shape=shape))
