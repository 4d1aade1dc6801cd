"""Checkpoints read into the live tensors, whatever number of processes wrote them and whatever reads."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load, load_state_dict

from trainer.checkpoints.layout import pieces_of
from trainer.checkpoints.mapped_reader import MappedReader
from trainer.checkpoints.spreading import Saved, tensors_of, whole_of
from trainer.distributed import World


def read_folder(state: Mapping[str, Any], folder: Path, world: World, reader: int) -> None:
    """Read what this process has to of a checkpoint into the state's tensors, in place, asking nobody.

    Each reads its own shards, and `reader` the tensors that all hold whole; `spread_whole` gives them on.
    """
    flat = tensors_of(state)
    shards = {piece.name for piece, _ in pieces_of(flat) if piece.sharded}
    wanted = {name: tensor for name, tensor in flat.items() if name in shards}
    if world.rank == reader:
        wanted |= whole_of(flat)
    if wanted:
        _load_alone(wanted, folder)


def inventory(folder: Path) -> Saved:
    """Return the shape and the type of each tensor of a checkpoint."""
    saved = FileSystemReader(folder).read_metadata().state_dict_metadata
    return {
        name: (tuple(entry.size), entry.properties.dtype)
        for name, entry in saved.items()
        if isinstance(entry, TensorStorageMetadata)
    }


def mismatches(state: Mapping[str, Any], saved: Saved, folder: Path) -> list[str]:
    """Return a problem for each tensor that only the state or only the checkpoint has, or in another shape.

    What only the checkpoint has of an object that is tracked no longer is no problem.
    """
    flat = tensors_of(state)
    problems = []
    for name, tensor in flat.items():
        if name not in saved:
            problems.append(f"{name}: is not in the checkpoint {folder}")
        elif tuple(saved[name][0]) != tuple(tensor.shape):
            then = tuple(saved[name][0])
            problems.append(f"{name}: has the shape {tuple(tensor.shape)}, in the checkpoint {folder} {then}")
    lost = [name for name in saved if name not in flat and not name.startswith("tracked.")]
    return problems + [f"{name}: is in the checkpoint {folder} and not in this run" for name in lost]


def _load_alone(state: dict[str, Any], folder: Path) -> None:
    """Read the folder's tensors into those of `state`, in place, without asking other processes.

    `load` of torch 2.6 cannot be told that this process is alone and would wait; the older function can.
    """
    with _quiet():
        if "no_dist" in inspect.signature(load).parameters:
            load(state, storage_reader=MappedReader(folder), no_dist=True)
        else:
            load_state_dict(state, MappedReader(folder), no_dist=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out the warnings that one process alone loads, and that older torch uses what is older still."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is ", category=UserWarning)
        warnings.filterwarnings("ignore", message="TypedStorage is deprecated", category=UserWarning)
        warnings.filterwarnings("ignore", message=".*_state_dict` is deprecated", category=FutureWarning)
        yield
