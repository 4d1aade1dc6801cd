"""The systemd unit of a console."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class ConsoleUnit:
    """A console that is served whenever the machine runs; its fields are plain words of a unit file."""

    template: ClassVar[str] = "systemd/console.service.j2"

    user: str
    root: str
    """The project's folder."""
    python: str
    """The Python that has fleetform, by its absolute path."""
    cloud: str
    """Name of the cloud, "" for the project's choice."""
