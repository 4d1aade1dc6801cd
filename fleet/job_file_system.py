"""What can be wrong with the file system that a job asks for, before anything is contacted."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.lustre_sizes import is_lustre_size, lustre_sizes_around
from stacks.problems import Problem


def file_system_problems(environment: str, gib: int, most: int) -> Iterator[Problem]:
    """Yield what is wrong with a size for a run's own file system; 0 GiB ask for none.

    `most` is the largest that the environment makes for a run, 0 for none.
    """
    if not gib:
        return
    if not most:
        yield Problem(
            what=f"the environment {environment} makes no file systems for single runs",
            do="leave it out, or set fsx.run_max_gib in the environment's file and run "
            f"`fleetform up {environment}`",
            path="--fsx-gib",
        )
    elif not is_lustre_size(gib):
        near = " or ".join(str(size) for size in lustre_sizes_around(gib))
        yield Problem(what=f"FSx makes no file system of {gib} GiB", do=f"take {near}", path="--fsx-gib")
    elif gib > most:
        yield Problem(
            what=f"{gib} GiB are asked for where {most} are allowed",
            do=f"ask for at most {most}, or raise fsx.run_max_gib in the environment's file",
            path="--fsx-gib",
        )
