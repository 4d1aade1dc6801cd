"""A reader of our own checkpoints for torch.distributed.checkpoint, straight from mapped files."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed._shard._utils import narrow_tensor_by_index
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import MetadataIndex, TensorStorageMetadata
from torch.distributed.checkpoint.planner import LoadPlan, LoadPlanner
from torch.distributed.checkpoint.utils import _create_file_view
from torch.futures import Future


class MappedReader(FileSystemReader):
    """Reads what `Layout` has laid out: each tensor contiguous, one record of an archive of its own.

    torch's reader unpickles each tensor into memory of its own first, which takes three times as long.
    """

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        """Copy the numbers that the plan asks for into the planner's tensors."""
        files: dict[str, list[Any]] = {}
        for item in plan.items:
            files.setdefault(self.storage_data[item.storage_index].relative_path, []).append(item)
        for name, items in files.items():
            with (Path(self.path) / name).open("rb") as file:
                if not file.seek(0, 2):
                    continue
                # A private mapping may be written to, which torch asks of memory that it shares.
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
                whole = torch.frombuffer(mapped, dtype=torch.uint8)
                for item in items:
                    numbers = self._numbers(whole, file, item.storage_index, planner)
                    target = planner.resolve_tensor(item).detach()
                    target.copy_(narrow_tensor_by_index(numbers, item.storage_offsets, item.lengths))
                    planner.commit_tensor(item, target)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def _numbers(self, whole: Tensor, file: Any, index: MetadataIndex, planner: Any) -> Tensor:
        """Return the saved numbers of a box, as a view of the mapped file."""
        entry = planner.metadata.state_dict_metadata[index.fqn]
        assert isinstance(entry, TensorStorageMetadata)
        assert index.index is not None
        chunk = entry.chunks[index.index]
        assert chunk.offsets == index.offset, "the plan was made from this very metadata"
        place = self.storage_data[index]
        view: Any = _create_file_view(file, place.offset, place.length)
        reader: Any = torch._C.PyTorchFileReader(view)
        start = place.offset + reader.get_record_offset("data/0")
        dtype, count = entry.properties.dtype, chunk.sizes.numel()
        return whole[start : start + count * dtype.itemsize].view(dtype).view(chunk.sizes)
