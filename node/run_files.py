"""Which files of a run directory go to the bucket, which wait for the job's end, and which never go."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

MANIFEST = "manifest.json"
_CHECKPOINT_INDEX = ".metadata"
"""The one hidden file that is sent while the job runs: torch.distributed.checkpoint's list of tensors."""
_RUBBISH = (
    "*.tmp", ".*.part", ".*.partial", ".*.sw?", ".nfs*", ".DS_Store", ".cache", ".ipynb_checkpoints",
)  # fmt: skip
"""Names of what no job means to keep: files that were being written, and caches."""


@dataclass(frozen=True)
class LeftOut:
    """Something in the run directory that stays on its node."""

    path: str
    """Below the run directory; a folder's ends in `/`."""
    why: str
    data: bool
    """Whether it would be missed: it is no rubbish, and it is nowhere else in the run directory."""


class _Walk:
    """One look at a run directory."""

    def __init__(self, root: Path, final: bool) -> None:
        self.root, self.final = root.resolve(), final
        self.names: list[str] = []
        self.left_out: list[LeftOut] = []

    def folder(self, path: Path, prefix: str) -> None:
        try:
            with os.scandir(path) as found:
                entries = list(found)
        except FileNotFoundError:  # the job may remove it at any moment
            return
        except OSError as error:
            self._leave(prefix, f"it cannot be read: {error.strerror}", data=True)
            return
        for entry in entries:
            self._entry(entry, prefix + entry.name)

    def _entry(self, entry: os.DirEntry[str], name: str) -> None:
        hidden = entry.name.startswith(".") and entry.name != _CHECKPOINT_INDEX
        if any(fnmatch(entry.name, pattern) for pattern in _RUBBISH):
            # A link to a folder is no folder here: nothing behind it is looked at.
            slash = "/" if entry.is_dir(follow_symlinks=False) else ""
            self._leave(name + slash, "it was being written, or is a cache", data=False)
        elif hidden and not self.final:
            return
        elif entry.is_dir(follow_symlinks=False):
            self.folder(Path(entry.path), f"{name}/")
        elif entry.is_file(follow_symlinks=False) and not self.final:
            self.names.append(name)  # by far the most frequent case, four times a second
        else:
            self._file(Path(entry.path), name)

    def _file(self, path: Path, name: str) -> None:
        try:
            mode = path.stat().st_mode
        except OSError:
            if path.is_symlink():
                self._leave(name, "it is a link to nothing", data=False)
            return
        if stat.S_ISDIR(mode):
            inside = path.resolve().is_relative_to(self.root)
            why = "which goes by its own name" if inside else "outside the run directory"
            self._leave(name, f"it is a link to a folder {why}", data=not inside)
        elif not stat.S_ISREG(mode):
            self._leave(name, "it is no plain file", data=False)
        elif self.final and not os.access(path, os.R_OK):
            self._leave(name, "it cannot be read", data=True)
        else:
            self.names.append(name)

    def _leave(self, path: str, why: str, *, data: bool) -> None:
        self.left_out.append(LeftOut(path, why, data))


def files_to_send(root: Path, *, final: bool) -> tuple[list[str], list[LeftOut]]:
    """Return the names of the files that may be sent now, each manifest behind its checkpoint, and the rest.

    A link to a file counts as that file. While the job runs, these wait because they may be half written:
    hidden files, the model directory, and a folder in `checkpoints/` until it has its manifest, which not
    every program writes. With the job at its end (`final`), nothing waits any more.
    """
    walk = _Walk(root, final)
    walk.folder(root, "")
    whole = {str(Path(name).parent) for name in walk.names if Path(name).name == MANIFEST}

    def ready(name: str) -> bool:
        top, _, rest = name.partition("/")
        if top == "checkpoints" and "/" in rest:
            return f"{top}/{rest.split('/')[0]}" in whole
        return top != "model"

    names = [name for name in walk.names if final or ready(name)]
    names.sort(key=lambda name: (Path(name).name == MANIFEST, name))
    return names, sorted(walk.left_out, key=lambda left: left.path)
