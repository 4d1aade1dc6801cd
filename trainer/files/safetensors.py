"""Writes and reads safetensors files with the standard library alone, as the submitting machine and nodes do.

Format: https://huggingface.co/docs/safetensors#format - the header's length (8 bytes, little-endian), a JSON
header, the arrays' bytes one behind the other.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ITEM_BYTES = {
    **{"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4},
    **{"F16": 2, "BF16": 2, "I16": 2, "U16": 2, "I8": 1, "U8": 1, "BOOL": 1},
}
"""Bytes of one number, by the format's name of its kind."""


@dataclass(frozen=True)
class Array:
    """A block of numbers to write: its bytes in row-major order, little-endian."""

    shape: tuple[int, ...]
    data: bytes | memoryview
    dtype: str = "U8"
    """A key of ITEM_BYTES."""


@dataclass(frozen=True)
class Entry:
    """Where a file has a block of numbers, and of what kind they are."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    """Place of the first byte in the file."""
    size: int
    """Bytes."""


def write_safetensors(path: Path, arrays: Mapping[str, Array], about: Mapping[str, str]) -> None:
    """Write the file, the same bytes for the same arrays; a reader never sees it half written."""
    header: dict[str, object] = {"__metadata__": dict(about)} if about else {}
    # Widest numbers first, as each kind may only begin at a multiple of its own size.
    ordered = sorted(arrays.items(), key=lambda item: -ITEM_BYTES[item[1].dtype])
    offset = 0
    for name, array in ordered:
        end = offset + len(array.data)
        assert len(array.data) == math.prod(array.shape) * ITEM_BYTES[array.dtype], (
            f"{name}: bytes of its shape"
        )
        header[name] = {"dtype": array.dtype, "shape": list(array.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, sort_keys=True).encode()
    text += b" " * (-len(text) % 8)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with partial.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, array in ordered:
            file.write(array.data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read_header(path: Path) -> tuple[dict[str, Entry], dict[str, str]]:
    """Return the file's entries by name and what it says about itself; ValueError where it is not whole."""
    size = path.stat().st_size
    with path.open("rb") as file:
        header_size = int.from_bytes(file.read(8), "little")
        text = file.read(header_size) if header_size <= size else b""
    try:
        header = json.loads(text)
        about = header.pop("__metadata__", {})
        entries = {name: _entry(entry, 8 + header_size, size) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no whole safetensors file: {error}") from None
    return entries, about


def _entry(entry: Mapping[str, object], data_offset: int, file_size: int) -> Entry:
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not (isinstance(dtype, str) and isinstance(shape, list) and isinstance(offsets, list)):
        raise ValueError("an entry is not of the format")
    begin, end = offsets
    if end - begin != math.prod(shape) * ITEM_BYTES[dtype] or begin < 0 or data_offset + end > file_size:
        raise ValueError("an entry's bytes are not all there")
    return Entry(dtype, tuple(shape), data_offset + begin, end - begin)
