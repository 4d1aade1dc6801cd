"""Where each tensor lies in a rank's image: byte for byte as torch.distributed.checkpoint's files have it.

A `.distcp` file is a row of what torch.save makes of each tensor: a zip archive of which all but the numbers
is a function of their type and shape. So the archives' heads and tails are made once, and a save copies the
numbers in between: no pickling, no planning, and the writer needs no torch.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Any, cast

import torch
from torch import Tensor

from trainer.checkpoints.image_files import Extent
from trainer.checkpoints.slots import PAGE

_ALIGNMENT = 64
"""What torch.save aligns numbers to within an archive, so archives begin on a multiple of it."""
_FILE_BYTES = 1 << 30
"""Where a rank's next file begins, so that files can be read, hashed and sent side by side."""
_SMALL = 4096
"""Larger than anything that torch.save writes besides the numbers of one tensor."""


@dataclass(frozen=True)
class Piece:
    """A box of a tensor: all of it, or the shard that a process holds."""

    name: str
    shape: tuple[int, ...]
    """Of the whole tensor."""
    offsets: tuple[int, ...]
    """Where in the whole tensor the box begins."""
    sizes: tuple[int, ...]
    dtype: str
    sharded: bool
    """False where every process holds the whole tensor."""

    @property
    def num_bytes(self) -> int:
        """Size of the box's numbers."""
        return math.prod(self.sizes) * torch_dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Placed:
    """A piece and its place."""

    piece: Piece
    file: str
    """Name of the file that it goes to, "" where it is kept in memory alone."""
    start: int
    """Where in the image its archive begins."""
    numbers: int
    """Where in the image its numbers begin."""
    stop: int
    """Where in the image its archive ends."""


@dataclass(frozen=True)
class Layout:
    """The image of one rank."""

    placed: tuple[Placed, ...]
    extents: tuple[Extent, ...]
    image_bytes: int

    def fill(self, image: memoryview) -> None:
        """Write the heads and tails of all archives, which no save changes."""
        for each in self.placed:
            head, tail = _frame(each.piece.dtype, each.piece.sizes)
            image[each.start : each.numbers] = head
            image[each.stop - len(tail) : each.stop] = tail

    def views(self, image: Tensor) -> list[Tensor]:
        """Return the places of the pieces' numbers in the image (uint8), each as a tensor of its kind."""
        return [
            image[each.numbers : each.numbers + each.piece.num_bytes]
            .view(torch_dtype(each.piece.dtype))
            .view(each.piece.sizes)
            for each in self.placed
        ]


Path = tuple[str, ...]
"""The keys that lead to a tensor in nested dictionaries."""


def flatten(state: Mapping[str, Any], path: Path = ()) -> dict[str, tuple[Path, Tensor]]:
    """Return the path and the tensor of each name in nested dictionaries; names are paths with dots.

    So does torch.distributed.checkpoint, whose import this spares.
    """
    found: dict[str, tuple[Path, Tensor]] = {}
    for key, value in state.items():
        inner = (*path, str(key))
        if isinstance(value, Mapping):
            found |= flatten(value, inner)
        else:
            assert isinstance(value, Tensor), f"{'.'.join(inner)} is no tensor"
            found[".".join(inner)] = (inner, value)
    return found


def pieces_of(tensors: Mapping[str, Tensor]) -> Iterator[tuple[Piece, Tensor]]:
    """Yield the piece of each tensor that this process holds, and its local numbers."""
    for name, tensor in tensors.items():
        local, offsets, sharded = tensor, (0,) * tensor.dim(), False
        if hasattr(tensor, "__create_chunk_list__"):  # DTensor
            (chunk,) = tensor.__create_chunk_list__()
            local, offsets, sharded = tensor.to_local(), tuple(chunk.offsets), True  # type: ignore[attr-defined]
            if local.numel() == 0 and tensor.numel():
                continue  # fewer rows than processes
        assert local.layout is torch.strided, f"{name}: sparse tensors are not saved"
        dtype = str(tensor.dtype).removeprefix("torch.")
        yield Piece(name, tuple(tensor.shape), offsets, tuple(local.shape), dtype, sharded), local.detach()


def lay_out(rank: int, written: Sequence[Piece], kept: Sequence[Piece]) -> Layout:
    """Return the image of a rank that writes some pieces and keeps others in memory alone."""
    placed: list[Placed] = []
    extents: list[Extent] = []
    position = begun = 0
    for number, piece in enumerate((*written, *kept)):
        to_file = number < len(written)
        full = extents and position - begun >= _FILE_BYTES
        if to_file and (full or not extents):
            begun = position = _round_up(position, PAGE)
            extents.append(Extent(f"__{rank}_{len(extents)}.distcp", begun, 0))
        start = _round_up(position, _ALIGNMENT)
        head, tail = _frame(piece.dtype, piece.sizes)
        numbers = start + len(head)
        position = numbers + piece.num_bytes + len(tail)
        placed.append(Placed(piece, extents[-1].name if to_file else "", start, numbers, position))
        if to_file:
            extents[-1] = Extent(extents[-1].name, begun, position - begun)
        if number == len(written) - 1:
            position = _round_up(position, PAGE)  # the last page of a file is written whole
    return Layout(tuple(placed), tuple(extents), _round_up(position, PAGE))


def digest_of(layout: Layout, *about: Any) -> str:
    """Return the SHA-256 of a layout and what else decides whether an image can be read back."""
    return hashlib.sha256(repr((layout, *about)).encode()).hexdigest()


@lru_cache(maxsize=4096)
def torch_dtype(name: str) -> torch.dtype:
    """Return the type of that name, as `bfloat16`."""
    dtype = getattr(torch, name)
    assert isinstance(dtype, torch.dtype)
    return dtype


@lru_cache(maxsize=4096)
def _frame(dtype: str, sizes: tuple[int, ...]) -> tuple[bytes, bytes]:
    """Return what torch.save writes before and after the numbers of such a tensor."""
    sink = _Sink()
    tensor = torch.empty(sizes, dtype=torch_dtype(dtype))  # its memory is never touched, so it costs none
    with _no_crc():
        torch.save(tensor, cast(IO[bytes], sink))
    if sink.gap:
        head, tail = sink.parts
        return bytes(head), bytes(tail)
    whole = bytes(sink.parts[0])
    reader: Any = torch._C.PyTorchFileReader(io.BytesIO(whole))
    numbers = reader.get_record_offset("data/0")
    return whole[:numbers], whole[numbers + tensor.nbytes :]


class _Sink:
    """A file that torch.save writes to, which leaves large numbers out."""

    def __init__(self) -> None:
        self.parts = [bytearray()]
        self.gap = 0

    def write(self, data: Any) -> int:
        count = memoryview(data).nbytes
        if count > _SMALL:
            assert not self.gap, "one tensor is one record"
            self.gap = count
            self.parts.append(bytearray())
        else:
            self.parts[-1] += data
        return count

    def flush(self) -> None:
        """There is nothing to flush."""


@contextmanager
def _no_crc() -> Iterator[None]:
    """Leave out the archives' CRC, which torch.load does not look at; the manifest has SHA-256."""
    serialization: Any = torch.serialization
    if not hasattr(serialization, "set_crc32_options"):
        yield
        return
    before = serialization.get_crc32_options()
    serialization.set_crc32_options(False)
    try:
        yield
    finally:
        serialization.set_crc32_options(before)


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
