"""Where an emulated machine's processes run, and at which address: one interface for every way."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from sandbox.processes import NODE_VARIABLE, end_marked, kill_marked

Word = str | Path


class LayoutError(Exception):
    """This computer cannot lay machines out so; the message says why."""


class Seat(Protocol):
    """One machine's place on this computer, from its launch to its termination."""

    @property
    def address(self) -> str:
        """The private address that EC2 gives."""
        ...

    @property
    def variables(self) -> Mapping[str, str]:
        """What the machine's processes are told of the place."""
        ...

    @property
    def is_ready(self) -> bool:
        """Whether `power_on` has nothing to do that takes time."""
        ...

    def power_on(self) -> None:
        """Make the place, empty. Raises LayoutError where that fails."""
        ...

    def command(self, command: Sequence[Word], folder: Path) -> list[Word]:
        """Return what runs a command there, in that folder, when started on this computer."""
        ...

    def shut_down(self, grace_s: float) -> None:
        """End every process there: asked first, killed after so many seconds."""
        ...

    def lose_power(self) -> None:
        """Kill every process there at once."""
        ...


class Layout(Protocol):
    """A way of laying machines out."""

    @property
    def name(self) -> str:
        """`loopback`, `namespaces` or `ports`."""
        ...

    @property
    def has_own_ports(self) -> bool:
        """Whether each machine has all ports for itself; else machines share this computer's."""
        ...

    def open(self, port: int) -> socket.socket | None:
        """Make ready; `port` is the cloud's on this computer.

        Returns a listening socket at `gateway` and that port, on which the machines reach the cloud; None
        where they reach it as everybody does. Raises LayoutError.
        """
        ...

    @property
    def gateway(self) -> str:
        """The address at which machines reach the cloud."""
        ...

    def seat(self, instance_id: str) -> Seat:
        """Return a place for a new machine."""
        ...

    def close(self) -> None:
        """End everything that `open` began."""
        ...


class SharedSeat:
    """A place that is no more than an address: the machine's processes are told by a mark."""

    is_ready = True

    def __init__(self, instance_id: str, address: str) -> None:
        self._id = instance_id
        self.address = address
        # All machines are on this computer, so whatever picks a network interface must pick this one.
        self.variables = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}

    def power_on(self) -> None:
        """There is nothing to make."""

    def command(self, command: Sequence[Word], folder: Path) -> list[Word]:
        """Run it as any other."""
        return list(command)

    def shut_down(self, grace_s: float) -> None:
        """End what has the machine's mark, and what such a process has started and stripped of it."""
        end_marked(NODE_VARIABLE, self._id, grace_s=grace_s)

    def lose_power(self) -> None:
        """Kill the same at once."""
        kill_marked(NODE_VARIABLE, self._id)
