"""Small states, and processes of their own that save and resume them."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed
from torch.distributed.checkpoint._nested_dict import flatten_state_dict

from trainer.checkpoints.checkpointer import MEMORY_VARIABLE, Checkpointer
from trainer.distributed import World
from trainer.state import Progress

SETTINGS = {"seed": 1, "model.width": 32}
FORK = multiprocessing.get_context("fork")


class Numbers:
    """A state of tensors that are a function of their name and the step, where the real one trains."""

    def __init__(self, tensors: dict[str, dict[str, Tensor]]) -> None:
        self._tensors = tensors

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        return {group: dict(inner) for group, inner in self._tensors.items()}

    def parameters(self) -> frozenset[str]:
        return frozenset()

    def fit(self, saved: Any) -> None:
        """The tensors are given."""

    def set(self, step: int) -> None:
        """Give every tensor its values of a step."""
        flat, _ = flatten_state_dict(self.tensors())
        with torch.no_grad():
            for name, tensor in flat.items():
                seed = int.from_bytes(hashlib.sha256(f"{name} {step}".encode()).digest()[:7], "big")
                values = torch.rand(tensor.shape, generator=torch.Generator().manual_seed(seed))
                whole = (values * 100).to(tensor.dtype)
                if hasattr(tensor, "device_mesh"):
                    whole = distributed.tensor.distribute_tensor(whole, tensor.device_mesh, tensor.placements)
                tensor.copy_(whole)

    def digest(self) -> str:
        """Return a digest of all values, the same however they are sharded."""
        flat, _ = flatten_state_dict(self.tensors())
        digest = hashlib.sha256()
        for name, tensor in sorted(flat.items()):
            whole = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
            digest.update(name.encode() + bytes(whole.contiguous().view(-1).view(torch.uint8).tolist()))
        return digest.hexdigest()


def small_state() -> Numbers:
    """Return a state with every kind of tensor that a checkpoint can meet."""
    tied = torch.zeros(7, 3)
    return Numbers(
        {
            "model": {
                "weight": torch.zeros(33, 65),
                "tied": tied,
                "tied_again": tied.t(),
                "bf16": torch.zeros(5, 4, dtype=torch.bfloat16),
                "half": torch.zeros(3, dtype=torch.float16),
                "transposed": torch.zeros(6, 9).t(),
                "every_other": torch.zeros(20)[::2],
                "scalar": torch.zeros(()),
                "empty": torch.zeros(0, 4),
                "flag": torch.zeros(2, dtype=torch.bool),
                "count": torch.zeros((), dtype=torch.int64),
                "bytes": torch.zeros(11, dtype=torch.uint8),
                "complex": torch.zeros(3, dtype=torch.complex64),
                "double": torch.zeros(2, 2, dtype=torch.float64),
            },
            "optimizer": {"weight.exp_avg": torch.zeros(33, 65), "weight.step": torch.zeros(())},
        }
    )


def digest_at(step: int, state: Numbers | None = None) -> str:
    """Return the digest of a state at a step."""
    state = state or small_state()
    state.set(step)
    return state.digest()


@dataclass
class Rank:
    """A rank's process and what it has sent home."""

    process: Any
    told: Connection

    def result(self, seconds: float = 60) -> Any:
        """Return what its function returned, None where it was killed."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, "the rank hangs"
        return self.told.recv() if self.told.poll() else None


def start_ranks(
    function: Callable[..., Any],
    num_ranks: int,
    folder: Path,
    *arguments: Any,
    memories: Sequence[int] = (),
    machines: bool = False,
) -> list[Rank]:
    """Start `function(world, folder, *arguments)` on so many ranks, joined over gloo.

    They are of one machine, or each of a machine of its own with a folder of its own below the given one.
    """
    folder.mkdir(exist_ok=True)
    number = len(list(folder.glob("store-*")))
    store = folder / f"store-{number}"
    store.touch()
    ranks = []
    for rank in range(num_ranks):
        ours, theirs = FORK.Pipe()
        memory = memories[rank] if memories else None
        place = folder / f"machine-{rank}" if machines else folder
        world = World(
            rank=rank,
            local_rank=0 if machines else rank,
            world_size=num_ranks,
            device=torch.device("cpu"),
        )
        process = FORK.Process(target=_rank, args=(theirs, function, world, store, place, memory, arguments))
        process.start()
        theirs.close()
        ranks.append(Rank(process, ours))
    return ranks


def run_ranks(
    function: Callable[..., Any], num_ranks: int, folder: Path, *arguments: Any, **more: Any
) -> list[Any]:
    """Return what each of those ranks returned."""
    return [rank.result() for rank in start_ranks(function, num_ranks, folder, *arguments, **more)]


def _rank(
    told: Connection,
    function: Callable[..., Any],
    world: World,
    store: Path,
    folder: Path,
    memory: int | None,
    arguments: tuple[Any, ...],
) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    os.environ.pop(MEMORY_VARIABLE, None)
    if memory is not None:
        os.environ[MEMORY_VARIABLE] = str(memory)
    if world.world_size > 1:
        distributed.init_process_group(
            "gloo", init_method=f"file://{store}", rank=world.rank, world_size=world.world_size
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            told.send((function(world, folder, *arguments), [str(each.message) for each in caught]))
        except Exception as error:
            told.send((error, [str(each.message) for each in caught]))
    os._exit(0)


def new_checkpointer(world: World, folder: Path, **more: Any) -> Checkpointer:
    """Return a checkpointer of the tests' settings."""
    settings: dict[str, Any] = {
        "keep": 2,
        "settings": SETTINGS,
        "config_digest": "digest",
        "memory": "every_step",
    } | more
    return Checkpointer(folder / "checkpoints", world, **settings)


def progress(step: int) -> Progress:
    """Return where a run stands after a step."""
    return Progress(step=step, samples=10 * step, data={"at": [step, "x"]}, extras={"lr": 0.1 * step})
