"""What a resumed run finds on its node: the bucket's files, unless those on the node are newer."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from node.restore import mark_home, prepare_run_dir, restore
from node.sync import FolderSync


class Bucket:
    """A bucket in memory, with what the node's first attempt had brought home."""

    def __init__(self) -> None:
        self.objects = {
            "runs/r/metrics.jsonl": b"old",
            "runs/r/gone.txt": b"kept in the bucket",
            "runs/r/attempts/1/outputs/node-0.json": json.dumps({"files": []}).encode(),
        }

    def get(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def sizes(self, prefix: str) -> dict[str, int]:
        return {key: len(body) for key, body in self.objects.items() if key.startswith(prefix)}

    def upload(self, path: Path, key: str) -> tuple[int, str]:
        self.objects[key] = path.read_bytes()
        return len(self.objects[key]), ""


def resumed(tmp_path: Path, *, rank: int = 0, attempt: int = 2, home: bool = False) -> tuple[Path, Bucket]:
    """Return the run directory of a second attempt where the first, on rank 0, has left newer files."""
    config: Any = SimpleNamespace(run_dir=lambda run_id: tmp_path / run_id)
    assert not prepare_run_dir(config, "r", 0, 1)
    folder, bucket = tmp_path / "r", Bucket()
    (folder / "metrics.jsonl").write_text("old and newer")
    if home:
        mark_home(config, "r")
    newer = prepare_run_dir(config, "r", rank, attempt)
    sync = FolderSync(bucket, "r", folder, rank)  # type: ignore[arg-type]
    run = {"run_id": "r", "attempt": attempt, "recipe": ""}
    restore(bucket, run, folder, rank, sync, newer_here=newer)  # type: ignore[arg-type]
    sync.finish(1.0)
    return folder, bucket


def test_what_could_not_be_brought_home_is_kept_and_sent_after_a_resume(tmp_path: Path) -> None:
    folder, bucket = resumed(tmp_path)
    assert (folder / "metrics.jsonl").read_text() == "old and newer"
    assert bucket.objects["runs/r/metrics.jsonl"] == b"old and newer"
    assert (folder / "gone.txt").read_text() == "kept in the bucket"


def test_files_of_an_attempt_that_came_home_give_way_to_the_bucket_s(tmp_path: Path) -> None:
    folder, _ = resumed(tmp_path, attempt=3, home=True)
    assert (folder / "metrics.jsonl").read_text() == "old"
    assert not list(tmp_path.glob("r.set-aside*"))


def test_what_another_rank_or_an_older_attempt_did_not_bring_home_is_set_aside(tmp_path: Path) -> None:
    for number, (rank, attempt) in enumerate(((0, 3), (1, 2))):
        place = tmp_path / str(number)
        place.mkdir()
        folder, _ = resumed(place, rank=rank, attempt=attempt)
        assert not (folder / "metrics.jsonl").exists() or (folder / "metrics.jsonl").read_text() == "old"
        assert (place / "r.set-aside-0-1.1/metrics.jsonl").read_text() == "old and newer"
