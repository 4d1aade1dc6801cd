"""Checkpoints that can be trusted: a folder counts only when its manifest, written last, fits its files."""

from __future__ import annotations

import json
import os
import re
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainer.dcp import load_alone, save_alone
from trainer.digests import file_sha256

MANIFEST = "manifest.json"
MANIFEST_FORMAT = 1
_STEP_FOLDER = re.compile(r"step-(\d+)")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a checkpoint holds and where training goes on from it."""

    step: int
    """Optimizer steps done."""
    data_cursor: int
    """Training samples consumed; the next step begins with this one."""
    random: dict[str, Any]
    """How random numbers go on. Here they are a function of seed, step and rank, so the seed is all."""
    settings: dict[str, Any]
    """The settings that decide the weights (`Config.result_settings`)."""
    config_digest: str
    """SHA-256 of `settings` (`Config.digest`)."""
    torch_version: str
    files: dict[str, dict[str, Any]]
    """Every other file of the folder: its size in bytes and its SHA-256."""
    train_seconds: float = 0.0
    """Seconds of training that led here, over all attempts; what was lost and done again counts once."""
    first_step_time: str | None = None
    """When the first attempt that led here had done its first step, ISO 8601 in UTC."""
    format: int = MANIFEST_FORMAT


class CheckpointFolder:
    """The `checkpoints/` of a run directory; one process writes it."""

    def __init__(self, root: Path, keep: int) -> None:
        self.root = root
        self.keep = keep
        self._known_whole: set[Path] = set()

    def save(self, step: int, state: dict[str, Any], **about: Any) -> Path:
        """Write the state (nested dictionaries of tensors) as `step-<n>/`, drop all but the last whole ones.

        `about` are the manifest's fields that are neither `step` nor `files`. The folder is in the format of
        torch.distributed.checkpoint. When this returns, the checkpoint is on the disk and valid.
        """
        folder = self.root / f"step-{step}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        save_alone(state, folder)
        files = {
            path.name: {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
            for path in sorted(folder.iterdir())
        }
        manifest = Manifest(step=step, files=files, **about)
        write_durably(folder / MANIFEST, json.dumps(asdict(manifest), indent=1, sort_keys=True) + "\n")
        self._known_whole.add(folder)
        self._drop_others(step)
        return folder

    def load(self, manifest: Manifest, state: dict[str, Any]) -> None:
        """Read the checkpoint's tensors into those of `state`, in place."""
        load_alone(state, self.root / f"step-{manifest.step}")

    def newest_valid(self) -> Manifest | None:
        """Return the manifest of the newest whole checkpoint; each newer, damaged one costs a warning."""
        for folder in self._folders():
            manifest, fault = read_manifest(folder)
            if manifest is not None:
                self._known_whole.add(folder)
                return manifest
            warnings.warn(f"checkpoint {folder} is left out: {fault}", stacklevel=2)
        return None

    def clear(self) -> None:
        """Delete every checkpoint."""
        for folder in self._folders():
            _delete(folder)

    def _folders(self) -> list[Path]:
        """Return the step folders, newest first."""
        return [folder for _, folder in sorted(self._numbered(), reverse=True)]

    def _numbered(self) -> Iterator[tuple[int, Path]]:
        for path in self.root.iterdir() if self.root.is_dir() else ():
            if (match := _STEP_FOLDER.fullmatch(path.name)) and path.is_dir():
                yield int(match[1]), path

    def _drop_others(self, step: int) -> None:
        """Delete all but the newest whole checkpoints up to the step that was just saved.

        What is of a later step was judged damaged when this run was resumed from before it.
        """
        kept = 0
        for folder in self._folders():
            if int(folder.name.removeprefix("step-")) <= step and kept < self.keep and self._is_whole(folder):
                kept += 1
            else:
                _delete(folder)

    def _is_whole(self, folder: Path) -> bool:
        """Return whether the checkpoint was whole when this process saved it or first looked at it."""
        if folder not in self._known_whole and read_manifest(folder)[0] is not None:
            self._known_whole.add(folder)
        return folder in self._known_whole


def read_manifest(folder: Path) -> tuple[Manifest | None, str]:
    """Return the folder's manifest if all of its files are as it says, else None and what is wrong."""
    try:
        manifest = Manifest(**json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None, "it was not finished"
    except (OSError, ValueError, TypeError) as error:
        return None, f"its manifest cannot be read ({error})"
    if manifest.format != MANIFEST_FORMAT or f"step-{manifest.step}" != folder.name:
        return None, f"its manifest is of format {manifest.format}, step {manifest.step}"
    for name, entry in manifest.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != entry["bytes"]:
            return None, f"{name} is missing or of another size"
        if file_sha256(path) != entry["sha256"]:
            return None, f"{name} is not what was written"
    return manifest, ""


def write_durably(path: Path, text: str) -> None:
    """Write the file so that after a crash it is either whole or as it was before."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _delete(folder: Path) -> None:
    """Delete a checkpoint, its manifest first, so that half of one never counts; a failure is a warning."""
    try:
        (folder / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(folder)
    except OSError as error:
        warnings.warn(f"checkpoint {folder} cannot be deleted: {error}", stacklevel=2)
