"""The `checkpoints/` of a run directory: which folders are whole, which are set aside, which go."""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

from trainer.checkpoints.manifest import MANIFEST, Manifest, UnreadableError, read_manifest

_STEP_FOLDER = re.compile(r"step-(\d+)")
_PARTIAL = re.compile(r"\.step-\d+\.partial")
_SET_ASIDE = "damaged-"


class CheckpointFolder:
    """Folders `step-<n>`, of which only those count that their manifest fits.

    A checkpoint is written as `.step-<n>.partial` and renamed when it is whole; what is found under its own
    name and does not fit its manifest has been damaged since, and is set aside as `damaged-step-<n>`.
    """

    def __init__(self, root: Path, keep: int) -> None:
        self.root = root
        self.keep = keep
        self._whole: set[Path] = set()

    def path(self, step: int) -> Path:
        """Return the folder of a step's checkpoint."""
        return self.root / f"step-{step}"

    def partial(self, step: int) -> Path:
        """Return the folder in which a step's checkpoint is put together."""
        return self.root / f".step-{step}.partial"

    def publish(self, step: int) -> None:
        """Give the put-together checkpoint its name, for good: it counts from here on."""
        target = self.path(step)
        if target.exists():
            self.set_aside(target)
        self.partial(step).replace(target)
        sync_folder(self.root)
        self._whole.add(target)

    def newest_step(self) -> int:
        """Return the step of the newest checkpoint by its name alone, 0 where there is none."""
        return max(map(_number, self._folders()), default=0)

    def newest(self) -> tuple[Manifest | None, list[str]]:
        """Return the newest whole checkpoint and what was wrong with newer ones, which are set aside.

        Raises UnreadableError where one cannot be read; it, and what is older, stays as it is.
        """
        faults: list[str] = []
        for folder in self._folders():
            try:
                manifest, fault = read_manifest(folder)
            except OSError as error:
                raise UnreadableError(f"checkpoint {folder} cannot be read: {error}") from error
            if manifest is not None:
                self._whole.add(folder)
                return manifest, faults
            self.set_aside(folder)
            faults.append(f"checkpoint {folder} is left out: {fault}")
        return None, faults

    def set_aside(self, folder: Path) -> None:
        """Rename a damaged checkpoint, for whoever wants to look at it. Raises UnreadableError."""
        self._whole.discard(folder)
        aside = folder.with_name(_SET_ASIDE + folder.name)
        _delete(aside)  # an older one of the same step
        try:
            folder.replace(aside)
        except OSError as error:
            raise UnreadableError(f"checkpoint {folder} cannot be set aside: {error}") from error

    def drop_others(self, step: int, *, protected: int = 0) -> list[str]:
        """Delete all but the newest whole checkpoints up to the given one; return what could not be deleted.

        The given one has just been saved and is whole; `protected` is still being read. Later ones are of a
        history that was given up.
        """
        kept, failures = 0, []
        for folder in self._folders():
            try:
                keeps = _number(folder) <= step and kept < self.keep and self._is_whole(folder)
            except OSError as error:  # who knows: it is neither counted nor deleted
                failures.append(f"checkpoint {folder} cannot be read: {error}")
                continue
            if keeps:
                kept += 1
            elif _number(folder) != protected and (failure := _delete(folder)):
                failures.append(failure)
        self.drop_partials(step)
        aside = sorted(self.root.glob(f"{_SET_ASIDE}step-*"), key=lambda path: path.stat().st_mtime)
        for path in aside[:-1]:  # now that there is a whole one
            _delete(path)
        return failures

    def drop_partials(self, below: float = math.inf) -> None:
        """Delete what was left unfinished of steps before the given one.

        While training goes on, other ranks' writers may be at work on a later step already.
        """
        for partial in self._partials():
            if int(partial.name.split("-")[1].removesuffix(".partial")) < below:
                _delete(partial)

    def clear(self) -> None:
        """Delete every checkpoint, finished, damaged or not."""
        for folder in (*self._folders(), *self._partials(), *self.root.glob(f"{_SET_ASIDE}step-*")):
            if failure := _delete(folder):
                warnings.warn(failure, stacklevel=2)
        self._whole.clear()

    def _folders(self) -> list[Path]:
        """Return the step folders, newest first."""
        return sorted(filter(_number, self._entries()), key=_number, reverse=True)

    def _partials(self) -> list[Path]:
        return [path for path in self._entries() if _PARTIAL.fullmatch(path.name)]

    def _entries(self) -> Iterator[Path]:
        return (path for path in (self.root.iterdir() if self.root.is_dir() else ()) if path.is_dir())

    def _is_whole(self, folder: Path) -> bool:
        """Return whether the checkpoint was whole when this process saved it or first looked at it."""
        if folder not in self._whole and read_manifest(folder)[0] is not None:
            self._whole.add(folder)
        return folder in self._whole


def _number(folder: Path) -> int:
    """Return the step of a checkpoint's folder, 0 of any other; no checkpoint is of step 0."""
    match = _STEP_FOLDER.fullmatch(folder.name)
    return int(match[1]) if match else 0


def _delete(folder: Path) -> str:
    """Delete a checkpoint, its manifest first, so that half of one never counts; return why it can't be."""
    try:
        (folder / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(folder)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"checkpoint {folder} cannot be deleted: {error}"
    return ""


def sync_folder(folder: Path) -> None:
    """Have the folder's names on the disk, where its file system can tell."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    with contextlib.suppress(OSError):  # some network file systems refuse
        os.fsync(descriptor)
    os.close(descriptor)
