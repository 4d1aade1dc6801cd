"""Writes prepared data sets: shards first, about.json last, the same bytes for the same data."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.configs.data import Shape
from trainer.data.dataset import ABOUT, FORMAT, PARTS
from trainer.data.mapped import NUMPY_KINDS
from trainer.files.digests import file_sha256
from trainer.files.durable import write_durably
from trainer.files.safetensors import Array, write_safetensors

_KIND_OF_NUMPY = {np.dtype(numpy): kind for kind, numpy in NUMPY_KINDS.items()}
FileEntry = dict[str, Any]
"""A file in about.json: name, part, items, bytes, sha256, and for raw tokens their dtype."""


def write_arrays(folder: Path, part: str, number: int, arrays: Mapping[str, NDArray[Any]]) -> FileEntry:
    """Write one shard of a part as safetensors, whole or not at all, and return its entry."""
    path = folder / f"{part}-{number:05d}.safetensors"
    blocks = {name: safetensors_block(array) for name, array in arrays.items()}
    write_safetensors(path, blocks, {"part": part})
    return file_entry(path, part, len(next(iter(arrays.values()))))


def write_tokens(folder: Path, part: str, number: int, tokens: NDArray[Any]) -> FileEntry:
    """Write one shard of a part as raw little-endian tokens, whole or not at all, and return its entry."""
    path = folder / f"{part}-{number:05d}.bin"
    assert tokens.ndim == 1, "tokens follow each other"
    assert tokens.dtype.kind == "u", "tokens are counted from 0"
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    tokens.astype(tokens.dtype.newbyteorder("<"), copy=False).tofile(partial)
    partial.replace(path)
    return file_entry(path, part, len(tokens)) | {"dtype": tokens.dtype.name}


def file_entry(path: Path, part: str, items: int) -> FileEntry:
    """Return what about.json says of a file that is written."""
    about = {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
    return {"name": path.name, "part": part, "items": items, **about}


def finish(
    folder: Path,
    *,
    name: str,
    kind: Shape,
    files: Sequence[FileEntry],
    about: Mapping[str, Any],
    report: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> Path:
    """Write about.json, which makes the data set exist, and return the folder."""
    assert {file["part"] for file in files} <= set(PARTS), "a file belongs to a part"
    table = {
        "format": FORMAT,
        "name": name,
        "kind": kind,
        "settings": dict(settings),
        "about": dict(about),
        "report": {**({"source": settings["path"]} if "path" in settings else {}), **report},
        "files": sorted(files, key=lambda file: str(file["name"])),
    }
    write_durably(folder / ABOUT, json.dumps(table, indent=1, sort_keys=True) + "\n")
    return folder


def safetensors_block(array: NDArray[Any]) -> Array:
    """Return the array as a block of a safetensors file."""
    little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
    return Array(array.shape, little.tobytes(), _KIND_OF_NUMPY[little.dtype])
