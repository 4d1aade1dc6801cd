"""The `.metadata` file of torch.distributed.checkpoint, written without importing it.

That import takes most of a second, as long as a small run's whole start. The file is a pickle of a few small
classes (torch/distributed/checkpoint/metadata.py), which is put together here from its instructions; what
torch makes of it is what the tests compare.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.checkpoints.layout import Layout

_CLASSES = "torch.distributed.checkpoint.metadata"
_DCP_VERSION = "1.0.0"  # torch/distributed/checkpoint/filesystem.py, CURRENT_DCP_VERSION


@dataclass(frozen=True)
class _Name:
    """Something that the reader's Python has under this name."""

    module: str
    name: str


@dataclass(frozen=True)
class _Call:
    """What a function makes of its arguments."""

    function: _Name
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class _Instance:
    """An object of a class, with the state that `__setstate__` or its dictionary gets."""

    of: _Name
    state: Any


def metadata(layouts: Mapping[int, Layout], paths: Mapping[str, tuple[str, ...]]) -> bytes:
    """Return the `.metadata` of all ranks' files; `paths` says where in the state each tensor belongs."""
    tensors: dict[str, _Instance] = {}
    places: list[tuple[Any, Any]] = []
    for layout in layouts.values():
        starts = {extent.name: extent.start for extent in layout.extents}
        for placed in layout.placed:
            if not placed.file:
                continue
            piece = placed.piece
            if piece.name not in tensors:
                tensors[piece.name] = _tensor(piece.dtype, piece.shape)
            chunks = tensors[piece.name].state["chunks"]
            box = {"offsets": _size(piece.offsets), "sizes": _size(piece.sizes)}
            index = {"fqn": piece.name, "index": len(chunks), "offset": _size(piece.offsets)}
            place = {
                "relative_path": placed.file,
                "offset": placed.start - starts[placed.file],
                "length": placed.stop - placed.start,
            }
            chunks.append(_Instance(_Name(_CLASSES, "ChunkStorageMetadata"), box))
            places.append(
                (
                    _Instance(_Name(_CLASSES, "MetadataIndex"), index),
                    _Instance(_Name("torch.distributed.checkpoint.filesystem", "_StorageInfo"), place),
                )
            )
    state = {
        "state_dict_metadata": tensors,
        "planner_data": dict(paths),
        "storage_data": _Pairs(places),
        "storage_meta": None,
        "version": _DCP_VERSION,
    }
    return _Pickle().dump(_Instance(_Name(_CLASSES, "Metadata"), state))


def _tensor(dtype: str, shape: Sequence[int]) -> _Instance:
    strided = _Call(_Name("torch.serialization", "_get_layout"), ("torch.strided",))
    contiguous = _Call(_Name(_CLASSES, "_MEM_FORMAT_ENCODING"), (0,))
    # dtype, layout, requires_grad, memory format, pinned
    properties = (_Name("torch", dtype), strided, False, contiguous, False)
    state = {
        "properties": _Instance(_Name(_CLASSES, "TensorProperties"), properties),
        "size": _size(shape),
        "chunks": [],
    }
    return _Instance(_Name(_CLASSES, "TensorStorageMetadata"), state)


def _size(sizes: Sequence[int]) -> _Call:
    return _Call(_Name("torch", "Size"), (tuple(sizes),))


@dataclass(frozen=True)
class _Pairs:
    """A dictionary whose keys Python cannot hash before they are unpickled."""

    items: list[tuple[Any, Any]]


class _Pickle:
    """Writes the instructions of a pickle, protocol 2 (Python's Lib/pickletools.py describes each)."""

    def __init__(self) -> None:
        self._out = bytearray()
        self._known: dict[_Name, int] = {}

    def dump(self, value: Any) -> bytes:
        """Return the pickle of a value."""
        self._out += pickle.PROTO + b"\x02"
        self._put(value)
        return bytes(self._out + pickle.STOP)

    def _put(self, value: Any) -> None:
        match value:
            case None:
                self._out += pickle.NONE
            case bool():
                self._out += pickle.NEWTRUE if value else pickle.NEWFALSE
            case int():
                self._out += pickle.dumps(value, protocol=2)[2:-1]
            case str():
                text = value.encode("utf-8", "surrogatepass")
                self._out += pickle.BINUNICODE + struct.pack("<I", len(text)) + text
            case _Name():
                self._put_name(value)
            case _Call():
                self._put_all(value.function, value.arguments, pickle.REDUCE)
            case _Instance():
                self._put_all(value.of, (), pickle.NEWOBJ)
                self._put(value.state)
                self._out += pickle.BUILD
            case _:
                self._put_many(value)

    def _put_many(self, value: Any) -> None:
        match value:
            case tuple():
                self._out += pickle.MARK
                self._put_each(value, pickle.TUPLE)
            case list():
                self._out += pickle.EMPTY_LIST + pickle.MARK
                self._put_each(value, pickle.APPENDS)
            case dict() | _Pairs():
                self._out += pickle.EMPTY_DICT + pickle.MARK
                items = value.items() if isinstance(value, dict) else value.items
                self._put_each([each for item in items for each in item], pickle.SETITEMS)
            case _:
                raise AssertionError(f"no instruction for {value!r}")

    def _put_name(self, name: _Name) -> None:
        if name in self._known:
            self._out += pickle.LONG_BINGET + struct.pack("<I", self._known[name])
            return
        number = self._known[name] = len(self._known)
        self._out += pickle.GLOBAL + f"{name.module}\n{name.name}\n".encode()
        self._out += pickle.LONG_BINPUT + struct.pack("<I", number)

    def _put_all(self, name: _Name, arguments: tuple[Any, ...], instruction: bytes) -> None:
        self._put_name(name)
        self._put(arguments)
        self._out += instruction

    def _put_each(self, values: Sequence[Any], instruction: bytes) -> None:
        for value in values:
            self._put(value)
        self._out += instruction
