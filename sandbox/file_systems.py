"""The embedded cloud's file systems: a folder each, which emulated nodes mount as a link and so share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from sandbox.place import Place

PROGRAMS = Path(__file__).parent / "programs"
"""`mount`, `systemctl` and others, as an emulated node has them."""
UNITS = Path(__file__).parent / "units.py"
"""What `systemctl` is among them."""
FOLDER_VARIABLE = "FLEETFORM_FILE_SYSTEMS"
"""Tells those programs where the file systems' folders are."""


class FileSystems:
    """The folders of all file systems, EFS and FSx alike, by their ids."""

    def __init__(self, place: Place) -> None:
        self._folder = place.file_systems

    def make(self, file_system_id: str) -> None:
        """Make an empty file system."""
        (self._folder / file_system_id).mkdir(parents=True, exist_ok=True)

    def remove(self, file_system_id: str) -> None:
        """Remove a file system with all that is on it."""
        shutil.rmtree(self._folder / file_system_id, ignore_errors=True)

    def inside(self, file_system_id: str, path: str) -> Path | None:
        """Return the place of a path on the file system, or None for one that leads out of it."""
        root = (self._folder / file_system_id).resolve()
        found = (root / path.lstrip("/")).resolve()
        return found if found.is_relative_to(root) else None

    def files(self, file_system_id: str, path: str) -> Iterator[tuple[str, Path]]:
        """Yield name below the path, and place, of every file there."""
        root = self.inside(file_system_id, path)
        if root is None or not root.is_dir():
            return
        for file in sorted(root.rglob("*")):
            if file.is_file() and not file.is_symlink():
                yield file.relative_to(root).as_posix(), file


def install_programs(place: Place) -> None:
    """Put the programs where nodes find them; an installed package may have lost their permissions."""
    shutil.rmtree(place.programs, ignore_errors=True)
    shutil.copytree(PROGRAMS, place.programs)
    shutil.copy(UNITS, place.programs)
    for program in place.programs.iterdir():
        program.chmod(0o755)
