"""The manifest of a checkpoint: written last, and only the folder that fits it is a checkpoint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
MANIFEST_FORMAT = 2
METADATA = ".metadata"
"""The file by which torch.distributed.checkpoint finds each tensor in the others."""
_READ_BYTES = 4 << 20


class UnreadableError(OSError):
    """A checkpoint cannot be read just now. That says nothing of whether it is whole: it is left as it is."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a checkpoint holds and where training goes on from it."""

    step: int
    """Optimizer steps done."""
    data_cursor: int
    """Training samples consumed; the next step begins with this one."""
    random: dict[str, Any]
    """How random numbers go on."""
    settings: dict[str, Any]
    """The settings that decide the weights."""
    config_digest: str
    """SHA-256 of `settings`."""
    torch_version: str
    files: dict[str, dict[str, Any]]
    """Every other file of the folder: its size in bytes and its SHA-256."""
    world_size: int = 1
    """Processes that trained; any other number can go on."""
    train_seconds: float = 0.0
    """Seconds of training that led here, over all attempts; what was lost and done again counts once."""
    first_step_time: str | None = None
    """When the first attempt that led here had done its first step, ISO 8601 in UTC."""
    data: dict[str, Any] = field(default_factory=dict)
    """State of the data beyond its cursor."""
    extras: dict[str, Any] = field(default_factory=dict)
    """Small states of other things that the run keeps track of."""
    format: int = MANIFEST_FORMAT


def parse_manifest(text: str | bytes, folder_name: str) -> tuple[Manifest | None, str]:
    """Return the manifest of a folder `step-<n>`, else None and what is wrong with it."""
    try:
        manifest = Manifest(**json.loads(text))
    except (ValueError, TypeError) as error:
        return None, f"its manifest cannot be read ({error})"
    if manifest.format != MANIFEST_FORMAT or f"step-{manifest.step}" != folder_name:
        return None, f"its manifest is of format {manifest.format}, step {manifest.step}"
    return manifest, ""


def read_manifest(folder: Path, *, digests: bool = True) -> tuple[Manifest | None, str]:
    """Return the folder's manifest if all of its files are as it says, else None and what is wrong.

    Without `digests` only the files' sizes are looked at, which takes no time. Raises OSError where a file is
    there and cannot be read.
    """
    try:
        text = (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        return None, "it was not finished"
    manifest, fault = parse_manifest(text, folder.name)
    if manifest is not None and (fault := files_fault(folder, manifest.files, digests=digests)):
        return None, fault
    return manifest, fault


def files_fault(folder: Path, files: Mapping[str, Mapping[str, Any]], *, digests: bool) -> str:
    """Return what is wrong with the first of the files that is not as it should be, "" where none is.

    Raises OSError where one is there and cannot be read.
    """
    for name, entry in files.items():
        try:
            size = (folder / name).stat().st_size
        except FileNotFoundError:
            size = -1
        if size != entry["bytes"]:
            return f"{name} is missing or of another size"
    if not digests:
        return ""
    from concurrent.futures import ThreadPoolExecutor  # which a writer that only writes does not need

    with ThreadPoolExecutor(max_workers=4) as threads:
        found = threads.map(_digest, [folder / name for name in files])
        for (name, entry), digest in zip(files.items(), found, strict=True):
            if digest != entry["sha256"]:
                return f"{name} is not what was written"
    return ""


def _digest(path: Path) -> str:
    """Return the SHA-256 of the file."""
    digest = hashlib.sha256()
    block = bytearray(_READ_BYTES)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(block):
            digest.update(memoryview(block)[:count])
    return digest.hexdigest()
