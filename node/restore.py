"""Brings a resumed run's directory back to its node, as the attempt before has left it in the bucket."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from node.config import NodeConfig
from node.layout import attempt_name, log_name, output_name, run_key
from node.store import Bucket, file_digest
from node.sync import FolderSync

_OTHER_NODE = re.compile(r"node-\d+/")


def prepare_run_dir(config: NodeConfig, run_id: str, rank: int) -> None:
    """Clear what an attempt of another rank has left on this machine: it would be taken for this one's."""
    run_dir = config.run_dir(run_id)
    mark = run_dir.with_name(f"{run_id}.rank")
    if run_dir.is_dir() and (not mark.is_file() or mark.read_text() != str(rank)):
        shutil.rmtree(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    mark.write_text(str(rank))


def restore(bucket: Bucket, run: Mapping[str, Any], folder: Path, rank: int, sync: FolderSync) -> int:
    """Bring this rank's files of the attempts before, each verified where it was listed; return how many.

    What lies here already is kept. A recipe's checkpoints stay in the bucket: the trainer fetches there what
    each process needs. Raises ValueError where a file is not what was uploaded.
    """
    attempt = int(run.get("attempt", 1))
    if attempt == 1:
        return 0
    run_id = str(run["run_id"])
    listed = _listed(bucket, run_id, attempt - 1, rank)
    count = 0
    for key in sorted(bucket.sizes(run_key(run_id, ""))):
        name = _name_here(key, run_id, rank, sync)
        if name is None or (run["recipe"] and name.startswith("checkpoints/")):
            continue
        path = folder / name
        if key in listed and path.is_file() and file_digest(path) == listed[key]:
            count += 1
        else:
            count += _bring(bucket, key, path, listed.get(key))
        sync.adopt(name, key)
    return count


def _bring(bucket: Bucket, key: str, path: Path, listed: tuple[int, str] | None) -> int:
    if listed is not None:
        bucket.download(key, path, listed[1])
        return 1
    body = bucket.get(key)
    if body is None:
        return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return 1


def _listed(bucket: Bucket, run_id: str, attempt: int, rank: int) -> dict[str, tuple[int, str]]:
    """Return the size and SHA-256 of what the rank's node said that it uploaded, by key."""
    body = bucket.get(run_key(run_id, attempt_name(attempt, output_name(rank))))
    report = json.loads(body) if body else {"files": []}
    return {file["key"]: (int(file["size"]), str(file["sha256"])) for file in report["files"]}


def _name_here(key: str, run_id: str, rank: int, sync: FolderSync) -> str | None:
    """Return the name in the run directory of that rank's file, or None for anything else in the bucket."""
    stored = key.removeprefix(run_key(run_id, ""))
    mine = f"node-{rank}/"
    name = stored.removeprefix(mine) if stored.startswith(mine) else stored
    if _OTHER_NODE.match(name) or ".." in PurePosixPath(name).parts or name.endswith("/"):
        return None
    if stored != log_name(rank) and (stored.startswith("logs/") or sync.key(name) != key):
        return None
    return name
