"""The project folder that a command works in, and where it keeps what it may forget."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from stacks.problems import UserError


@dataclass(frozen=True)
class Project:
    """A folder with `environments/` in it, and fleetform's own working folder beside it."""

    root: Path
    home: Path
    """Working folder (`.fleetform`): synthesized stacks, provider caches, the choice of cloud. It holds
    nothing that cannot be made again; what must last lies in the cloud."""

    @property
    def environments(self) -> Path:
        """The folder of the TOML files."""
        return self.root / "environments"

    def environment_file(self, name: str) -> Path:
        """Return the file that declares the environment, whether or not it exists."""
        return self.environments / f"{name}.toml"

    def work(self, cloud: str, environment: str) -> Path:
        """Return the folder where this environment's stacks are synthesized and Terraform runs."""
        return self.home / "work" / cloud / environment


def find_project(start: Path | None = None) -> Project:
    """Return the project of the nearest folder, upwards from `start`, that has `environments/` in it.

    FLEETFORM_HOME moves the working folder elsewhere. Raises UserError where there is no project.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "environments").is_dir():
            return _project(folder)
    raise UserError.of(
        f"no folder named environments/ here or above {here}",
        "change to your project's folder, or start one with `fleetform init NAME`",
    )


def find_folder() -> Project:
    """Return the project as `find_project` does, or else this folder as one that is yet to be begun in it.

    The embedded cloud can be started before `fleetform init` writes the first environment here.
    """
    try:
        return find_project()
    except UserError:
        return _project(Path.cwd().resolve())


def _project(folder: Path) -> Project:
    home = Path(os.environ.get("FLEETFORM_HOME") or folder / ".fleetform").resolve()
    return Project(root=folder, home=home)
