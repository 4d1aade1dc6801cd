"""Copies a run directory to this machine: only what is not here yet, each file whole and verified."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fleet.errors import ActError
from fleet.run_logs import LOGS, is_part, log_pieces, read_from
from fleet.run_store import RunStore
from fleet.runs import read_run


@dataclass(frozen=True)
class Fetched:
    """What a fetch did."""

    folder: Path
    files: int
    """Files that are here now."""
    copied: int
    """Of these, the ones that were not here before."""
    copied_bytes: int
    verified: int
    """Files whose SHA-256 is the one that the node recorded when it uploaded them."""


def fetch(
    store: RunStore,
    run_id: str,
    folder: Path,
    on_file: Callable[[str, int], None] = lambda name, size: None,
    only: str = "",
) -> Fetched:
    """Copy the run to `folder`, or what of it begins with `only`; `on_file` hears of each name and size.

    A file that is here with the recorded digest is not copied again. Raises ActError where a file is not what
    its node uploaded.
    """
    read_run(store, run_id)
    digests = recorded_digests(store, run_id)
    # FSx writes a folder of its results as an empty object whose name ends in a slash.
    found = {name: size for name, size in store.sizes(run_id, only).items() if not name.endswith("/")}
    sizes = {name: size for name, size in found.items() if not is_part(name)}
    folder.mkdir(parents=True, exist_ok=True)

    def bring(name: str) -> int:
        path = _inside(folder, name)
        if name in digests and path.is_file() and _digest(path) == digests[name]:
            return 0
        size = _copy(store, run_id, name, path, digests.get(name))
        on_file(name, size)
        return 1

    with ThreadPoolExecutor(max_workers=8) as pool:
        copied = dict(zip(sizes, pool.map(bring, sizes), strict=True))
    _join_logs(store, run_id, folder, found)
    return Fetched(
        folder=folder,
        files=len(sizes),
        copied=sum(copied.values()),
        copied_bytes=sum(sizes[name] for name, count in copied.items() if count),
        verified=sum(name in digests for name in sizes),
    )


def _join_logs(store: RunStore, run_id: str, folder: Path, sizes: Mapping[str, int]) -> None:
    """Put together the logs of nodes that died, or are still at work: what they have sent in parts."""
    for rank, pieces in log_pieces(sizes).items():
        if any(is_part(piece.name) for piece in pieces):
            path = _inside(folder, f"{LOGS}node-{rank}.log")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(read_from(store, run_id, pieces, 0))


def recorded_digests(store: RunStore, run_id: str) -> dict[str, str]:
    """Return the SHA-256 of every file that a node says it uploaded, by its name in the run."""
    root = f"runs/{run_id}/"
    found: dict[str, str] = {}
    for name in store.sizes(run_id, "outputs/"):
        report = store.get_json(run_id, name) or {"files": []}
        found |= {str(file["key"]).removeprefix(root): str(file["sha256"]) for file in report["files"]}
    return found


def _inside(folder: Path, name: str) -> Path:
    """Return the file's place; a key that would leave the folder is refused (ActError)."""
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or name.startswith("/"):
        raise ActError(f"the bucket holds a file with the name {name!r}, which is not copied")
    return folder.joinpath(*parts)


def _copy(store: RunStore, run_id: str, name: str, path: Path, digest: str | None) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    found, size = hashlib.sha256(), 0
    try:
        body = store.s3.get_object(Bucket=store.bucket, Key=f"runs/{run_id}/{name}")["Body"]
        with part.open("wb") as file:
            for chunk in body.iter_chunks(1 << 20):
                found.update(chunk)
                size += file.write(chunk)
        if digest is not None and found.hexdigest() != digest:
            raise ActError(f"{name} of the run {run_id} is damaged: its SHA-256 is not the one recorded")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return size


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
