"""Brings a resumed run's directory back to its node, as the attempt before has left it in the bucket."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from node.config import NodeConfig
from node.layout import attempt_name, log_name, output_name, run_key
from node.log_stream import bring_log
from node.store import Bucket, file_digest
from node.sync import FolderSync

_OTHER_NODE = re.compile(r"node-\d+/")


def prepare_run_dir(config: NodeConfig, run_id: str, rank: int, turn: int = 1) -> bool:
    """Make the folder of the run's n-th execution; return whether what lies there is newer than the bucket's.

    That is so where the execution just before was here, on the same rank, and did not bring all of it home.
    What another rank or an earlier execution did not bring home is set aside beside it; the rest of another
    rank's is deleted, for it would be taken for this one's.
    """
    run_dir = config.run_dir(run_id)
    mark = run_dir.with_name(f"{run_id}.rank")
    known = mark.read_text().split() if mark.is_file() else []
    is_home = "home" in known
    newest = known[:2] == [str(rank), str(turn - 1)]
    if run_dir.is_dir() and not newest and (known[:1] != [str(rank)] or not is_home):
        if is_home or not any(run_dir.iterdir()):
            shutil.rmtree(run_dir)
        else:
            run_dir.rename(_free_name(run_dir, "-".join(["set-aside", *known])))
    run_dir.mkdir(parents=True, exist_ok=True)
    mark.write_text(f"{rank} {turn}")
    return newest and not is_home


def mark_home(config: NodeConfig, run_id: str) -> None:
    """Note that all of the run directory lies in the bucket."""
    mark = config.run_dir(run_id).with_name(f"{run_id}.rank")
    mark.write_text(f"{mark.read_text()} home")


def _free_name(run_dir: Path, what: str) -> Path:
    number = 1
    while (path := run_dir.with_name(f"{run_dir.name}.{what}.{number}")).exists():
        number += 1
    return path


def restore(
    bucket: Bucket,
    run: Mapping[str, Any],
    folder: Path,
    rank: int,
    sync: FolderSync,
    *,
    newer_here: bool,
    before: str | None = None,
) -> int:
    """Bring this rank's files of the executions before, each verified where it was listed; return how many.

    `before` is the folder of the run directory that has the lists of the execution before this, "" for a
    first one; None means that of the last attempt.

    What lies here already is kept, also where it differs if it is `newer_here`. A recipe's checkpoints stay
    in the bucket: the trainer fetches there what each process needs. Raises ValueError where a file is not
    what was uploaded.
    """
    attempt = int(run.get("attempt", 1))
    if before is None:
        before = attempt_name(attempt - 1, "") if attempt > 1 else ""
    if not before:
        return 0
    listed = _listed(bucket, run_id := str(run["run_id"]), before, rank)
    count, keys = 0, sorted(bucket.sizes(run_key(run_id, "")))
    joined = _join_log(bucket, run_id, rank, folder, keys)
    for key in keys:
        name = _name_here(key, run_id, rank, sync)
        if name is None or name == joined or (run["recipe"] and name.startswith("checkpoints/")):
            continue
        path = folder / name
        if key in listed and path.is_file() and file_digest(path) == listed[key]:
            count += 1
        elif newer_here and path.is_file():
            continue  # it is sent as a file that has changed
        else:
            count += _bring(bucket, key, path, listed.get(key))
        sync.adopt(name, key)
    return count


def _join_log(bucket: Bucket, run_id: str, rank: int, folder: Path, keys: Sequence[str]) -> str:
    """Put a log together whose node died before it could send it whole; return its name, "" for no such."""
    name = log_name(rank)
    if not any(key.startswith(f"{run_key(run_id, name)}.part-") for key in keys):
        return ""
    bring_log(bucket, run_id, rank, folder / name)
    return name


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


def _listed(bucket: Bucket, run_id: str, before: str, rank: int) -> dict[str, tuple[int, str]]:
    """Return the size and SHA-256 of what the rank's node said that it uploaded, by key.

    Nothing where the node died and said nothing.
    """
    body = bucket.get(run_key(run_id, before + output_name(rank)))
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
