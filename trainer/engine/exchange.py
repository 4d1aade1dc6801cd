"""What the processes tell each other once a step: the sums of a few numbers, at the price of none."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn

from trainer.distributed import World

WIDTH = 8
"""Numbers of an exchange; those behind the last name are spare."""
LOSS, TERMS, STOP, WRITTEN, STEP_SECONDS, SAVE_SECONDS, SNAPSHOT_SECONDS = range(7)


class Exchange:
    """Sums each process's numbers over all of them, while the gradients are summed.

    Under DistributedDataParallel the numbers are the gradient of one small parameter more, `carrier`, and
    travel in a bucket that is sent anyway: measured on two processes over gloo, a step of 13 ms then costs
    what it costs without, where an all-reduce of its own costs 2.5 % more. Without a carrier (FSDP2) there is
    one all-reduce, started before the backward pass and awaited after it.
    """

    def __init__(self, world: World, carrier: nn.Parameter | None) -> None:
        self._world = world
        self._carrier = carrier
        self._on_gpu = world.device.type == "cuda"
        # The processor writes a step's numbers while the GPU may not have fetched those of the step before.
        self._hosts = [torch.zeros(WIDTH, pin_memory=self._on_gpu) for _ in range(4 if self._on_gpu else 1)]
        self._arrays = [host.numpy() for host in self._hosts]
        self._turn = 0
        self._sent = torch.zeros(WIDTH, device=world.device) if self._on_gpu else self._hosts[0]
        self._summed = self._sent if world.world_size == 1 else self._sent.clone()
        self._loss: Any = 0.0

    def begin(self) -> None:
        """Forget the loss of the step before."""
        self._loss = 0.0

    def add_loss(self, loss: Tensor, terms: float) -> None:
        """Add a micro-batch's mean loss over its terms; on a GPU nothing waits for it."""
        self._loss += loss.detach() * terms if self._on_gpu else loss.item() * terms

    def backward(self, loss: Tensor, seed: Tensor, numbers: tuple[float, ...]) -> None:
        """Do the step's last backward pass, with the sums of `numbers` (TERMS and those behind it)."""
        self._fill(numbers)
        if self._world.world_size == 1:
            loss.backward(seed)  # type: ignore[no-untyped-call]
        elif self._carrier is not None:
            roots = [loss, self._carrier.view(WIDTH)]
            torch.autograd.backward(roots, [seed, self._sent])
            assert self._carrier.grad is not None
            self._summed, self._carrier.grad = self._carrier.grad, None
        else:
            self._summed.copy_(self._sent)
            work = distributed.all_reduce(self._summed, async_op=True)
            loss.backward(seed)  # type: ignore[no-untyped-call]
            work.wait()

    def sums(self) -> Tensor:
        """Return the sums [WIDTH] on the device, to be used within the step."""
        # DistributedDataParallel averages.
        return self._summed * self._world.world_size if self._carrier is not None else self._summed

    def read(self) -> list[float]:
        """Return the sums; on a GPU this waits for the backward pass."""
        values: list[float] = self._summed.tolist()
        if self._carrier is None:
            return values
        return [value * self._world.world_size for value in values]

    def _fill(self, numbers: tuple[float, ...]) -> None:
        if not self._on_gpu:
            self._arrays[0][: 1 + len(numbers)] = (self._loss, *numbers)
            return
        self._turn = (self._turn + 1) % len(self._hosts)
        self._arrays[self._turn][1 : 1 + len(numbers)] = numbers
        self._sent.copy_(self._hosts[self._turn], non_blocking=True)
        self._sent[LOSS].copy_(self._loss)
