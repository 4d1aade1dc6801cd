"""What the benchmarks of the cluster stand on: an embedded cloud of their own, and runs that leave traces."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fleet.cloud import Cloud, choose_cloud
from fleet.project import Project
from sandbox import daemon


@contextmanager
def embedded_cloud(scheduler: str = "plain") -> Iterator[tuple[Project, Cloud]]:
    """Start an embedded cloud in a folder of its own, and end it with everything in it."""
    with tempfile.TemporaryDirectory(prefix="ffb-") as name:
        project = Project(root=Path(name), home=Path(name) / ".fleetform")
        project.home.mkdir()
        daemon.start(project.home, scheduler=scheduler)
        try:
            yield project, choose_cloud(project, "sandbox")
        finally:
            daemon.stop(project.home)


def tracing_script(file: Path, seconds: float = 0.0) -> str:
    """Return a program that appends a line with its run and the time to the file, and then takes its time."""
    return f'echo "$FLEETFORM_RUN_ID $(date +%s.%N)" >> "{file}"\nsleep {seconds}\n'


def traces(file: Path) -> list[tuple[str, float]]:
    """Return the run and the time (seconds since the epoch) of each execution of a tracing script."""
    lines = file.read_text().splitlines() if file.is_file() else []
    return [(run, float(moment)) for run, moment in (line.split() for line in lines)]
