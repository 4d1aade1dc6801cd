"""What the processes say to each other about checkpoints."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, distributed

from trainer.distributed import World

T = TypeVar("T")
_BUCKET_BYTES = 32 << 20


def gather(mine: T, world: World) -> list[T]:
    """Return what each process brought, by rank; waits for all of them."""
    if world.world_size == 1:
        return [mine]
    everyone: list[T | None] = [None] * world.world_size
    distributed.all_gather_object(everyone, mine)
    return everyone  # type: ignore[return-value]


def broadcast(numbers: Sequence[Tensor], source: int, world: World) -> None:
    """Give the tensors of every process the values that they have on one, in place and bit for bit.

    Small ones travel together. They go as bytes, for gloo knows few types of numbers.
    """
    if world.world_size == 1:
        return
    bucket: list[Tensor] = []
    filled = 0
    for tensor in numbers:
        bucket.append(tensor)
        filled += tensor.nbytes
        if filled >= _BUCKET_BYTES:
            _broadcast_bucket(bucket, source, world)
            bucket, filled = [], 0
    if bucket:
        _broadcast_bucket(bucket, source, world)


def share_folder(folder: Path, machines: Sequence[int], world: World) -> bool:
    """Return whether all machines see one and the same folder there, which one file tells.

    `machines` names the machine of each rank.
    """
    if len(set(machines)) == 1:
        return True
    token = folder / f".seen-by-all-{gather(uuid.uuid4().hex, world)[0]}"
    if world.is_main:
        folder.mkdir(parents=True, exist_ok=True)
        token.touch()
    world.barrier()
    seen = all(gather(token.exists(), world))
    if world.is_main:
        token.unlink()
    return seen


def _broadcast_bucket(bucket: Sequence[Tensor], source: int, world: World) -> None:
    sent = torch.cat([_bytes_of(tensor).to(world.device) for tensor in bucket])
    distributed.broadcast(sent, src=source)
    if world.rank == source:
        return
    position = 0
    for tensor in bucket:
        values = sent[position : position + tensor.nbytes].clone().view(tensor.dtype).view(tensor.shape)
        tensor.copy_(values)
        position += tensor.nbytes


def _bytes_of(tensor: Tensor) -> Tensor:
    return tensor.detach().contiguous().view(-1).view(torch.uint8)
