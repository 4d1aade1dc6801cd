"""How the cloud's machines are emulated: with the plain engine or with Slurm, and in which layout."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.layouts.base import Layout, LayoutError
from sandbox.layouts.loopback import Loopback
from sandbox.layouts.namespaces import Namespaces, obstacle
from sandbox.place import Place
from sandbox.slurm_packages import unpacked_variables

PLAIN, SLURM = "plain", "slurm"
SCHEDULERS = (PLAIN, SLURM)
LAYOUT_VARIABLE = "FLEETFORM_SANDBOX_LAYOUT"
"""Set by a user or a test that wants one layout for Slurm and no other: `namespaces` or `ports`."""
_ADMINISTRATORS = ("/usr/local/sbin", "/usr/sbin", "/sbin")


@dataclass(frozen=True)
class Engine:
    """What all machines of a cloud have in common."""

    scheduler: str
    layout: Layout
    variables: Mapping[str, str] = field(default_factory=dict)
    """What every machine is told of it."""
    search: tuple[str, ...] = ()
    """Folders of programs beside a user's own: those of daemons."""

    @property
    def is_slurm(self) -> bool:
        """Whether runs are Slurm's jobs, in every environment of this cloud."""
        return self.scheduler == SLURM


def choose_engine(
    scheduler: str, place: Place, marks: Mapping[str, str], slurm_prefix: Path | None = None
) -> Engine:
    """Return the engine; `slurm_prefix` is where Slurm was unpacked, None where it is installed.

    Raises LayoutError where the layout that the user wants is none or cannot be had.
    """
    told = {"FLEETFORM_SCHEDULER": scheduler}
    if scheduler == PLAIN:
        return Engine(scheduler, Loopback(place), told)
    layout = _choose_layout(place, marks)
    told["FLEETFORM_LAYOUT"] = layout.name
    if slurm_prefix is None:
        return Engine(scheduler, layout, told, _ADMINISTRATORS)
    unpacked = (str(slurm_prefix / "usr/sbin"), str(slurm_prefix / "usr/bin"))
    return Engine(
        scheduler, layout, {**told, **unpacked_variables(slurm_prefix)}, (*unpacked, *_ADMINISTRATORS)
    )


def _choose_layout(place: Place, marks: Mapping[str, str]) -> Layout:
    """Return namespaces where they can be had, else ports; the one that is wanted where one is."""
    wanted = os.environ.get(LAYOUT_VARIABLE, "")
    if wanted not in ("", "namespaces", "ports"):
        raise LayoutError(f"{LAYOUT_VARIABLE}={wanted}: there are `namespaces` and `ports`")
    if wanted == "ports":
        return Loopback(place, "ports")
    why_not = obstacle()
    if not why_not:
        return Namespaces(place, marks)
    if wanted:
        raise LayoutError(f"{LAYOUT_VARIABLE}={wanted}: {why_not}")
    return Loopback(place, "ports")
