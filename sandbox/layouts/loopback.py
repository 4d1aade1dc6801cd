"""Machines that share this computer's network: each has a loopback address of its own, all its ports."""

from __future__ import annotations

import ipaddress
import itertools
import socket
import zlib

from sandbox.layouts.base import SharedSeat
from sandbox.place import Place
from sandbox.variables import LOOPBACK

_NETWORK = ipaddress.ip_network("127.77.0.0/16")
"""Machines reach each other by the address that the API gives."""


class Loopback:
    """The layout of the plain engine, and `ports`, that of Slurm where there are no user namespaces."""

    has_own_ports = False
    gateway = LOOPBACK

    def __init__(self, place: Place, name: str = "loopback") -> None:
        self.name = name
        # Clouds of different folders run on one computer, so each begins at another address.
        self._addresses = itertools.count(zlib.crc32(str(place.folder).encode()) % 60_000)

    def open(self, port: int) -> socket.socket | None:
        """There is nothing to make ready: loopback reaches the cloud."""
        return None

    def seat(self, instance_id: str) -> SharedSeat:
        """Return the next address."""
        offset = 1 + next(self._addresses) % (_NETWORK.num_addresses - 2)
        return SharedSeat(instance_id, str(_NETWORK[offset]))

    def close(self) -> None:
        """There is nothing to end."""
