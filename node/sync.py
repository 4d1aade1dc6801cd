"""Streams a node's run directory to the artifact bucket while the job writes it."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.aws import failures
from node.layout import log_name, run_key
from node.log_stream import LogStream
from node.patience import growing
from node.run_files import MANIFEST, LeftOut, files_to_send
from node.store import Bucket, file_digest

FRESH_SECONDS = 1.0
"""A small file that grows is sent again this long after it was sent."""
BYTES_PER_SECOND = 1024 * 1024
"""A growing file is sent whole each time, so a large one rests between two sends: its size over this."""
_FIRST_RETRY_SECONDS, _RETRY_SECONDS = 1.0, 5.0
_TICK = 0.25
_TAKEN = re.compile(
    r"(run|submission|cancel|stop|receipt|settled(-\d+)?|fsx|fsx-reaper|batch)\.json|fsx/.*|events\.jsonl|launch\.sh"
    r"|code\.tar\.gz|(logs|outputs|alive)/node-\d+\.\w+(\.part-\d+)?|(node-\d+|attempts|turns)/.*",
    re.DOTALL,
)
"""Names in a run's directory that are not the job's: docs/architecture.md, "The run directory"."""


@dataclass(frozen=True)
class Sent:
    """One file as it was last sent."""

    key: str
    size: int
    sha256: str
    stamp: tuple[int, int]
    """Size and modification time (ns) before it was read: another one now means that it has changed."""
    at: float
    """time.monotonic() of the sending."""


class FolderSync:
    """One node's run directory and what the bucket already has of it."""

    def __init__(
        self, bucket: Bucket, run_id: str, folder: Path, rank: int, checkpoint_seconds: float = 0.0
    ) -> None:
        """Leave a checkpoint, which the trainer sends itself, until its manifest is so many seconds old."""
        self._bucket, self._run_id, self._folder, self._rank = bucket, run_id, folder, rank
        self._checkpoint_seconds = checkpoint_seconds
        self._sent: dict[str, Sent] = {}
        self._resume_at = 0.0
        self._log: LogStream | None = None

    def key(self, name: str) -> str:
        """Return where a file goes: the log and rank 0's files by their names, others below `node-<rank>/`.

        There, too, goes what has a name that the bucket uses for something else.
        """
        plain = name == log_name(self._rank) or (self._rank == 0 and not _TAKEN.fullmatch(name))
        return run_key(self._run_id, name if plain else f"node-{self._rank}/{name}")

    def adopt(self, name: str, key: str) -> None:
        """Take a file here for what lies in the bucket under that key, where it was just brought from."""
        path = self._folder / name
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            stamp = (status.st_size, status.st_mtime_ns)
            self._sent[name] = Sent(key, *file_digest(path), stamp, time.monotonic())

    def left_out(self) -> list[LeftOut]:
        """Return what `finish` would leave on this node, if it were called now."""
        return files_to_send(self._folder, final=True)[1]

    def step(self) -> None:
        """Send what has changed and is due; a bucket that refuses is tried again a little later."""
        now = time.monotonic()
        if now < self._resume_at:
            return
        try:
            names, _ = files_to_send(self._folder, final=False)
            for name in names:
                streamed = self._log is not None and name == log_name(self._rank)
                if not streamed and not self._is_fresh_checkpoint(name):
                    self._send(name, now, final=False)
            self._forget_removed_checkpoints(set(names))
        except failures() as error:
            print(f"uploading the run directory failed, trying again: {error}", file=sys.stderr)
            self._resume_at = now + _RETRY_SECONDS

    def keep_up(self, over: threading.Event) -> threading.Thread:
        """Step again and again in a thread of its own, which ends soon after `over` is set; return it.

        So an upload of minutes keeps nobody from hearing that the job has to stop. Join it before `finish`.
        The log has a thread of its own, so that such an upload does not keep its lines back.
        """
        if self._log is None:
            log = self._folder / log_name(self._rank)
            self._log = LogStream(self._bucket, self._run_id, self._rank, log)
        log_thread = self._log.keep_up(over)

        def steps() -> None:
            while not over.wait(_TICK):
                self.step()
            log_thread.join()

        thread = threading.Thread(target=steps, daemon=True)
        thread.start()
        return thread

    def finish(self, patience: float) -> list[dict[str, Any]]:
        """Send everything that is left and return what lies in the bucket: key, size, sha256.

        A bucket that refuses is tried again for `patience` seconds; then its error is raised.
        """
        deadline = time.monotonic() + patience
        pauses = growing(*(min(each, patience / 4) for each in (_FIRST_RETRY_SECONDS, _RETRY_SECONDS)))
        while True:
            try:
                names, _ = files_to_send(self._folder, final=True)
                for name in names:
                    self._send(name, time.monotonic(), final=True)
                self._forget_removed_checkpoints(set(names))
                if self._log is not None:
                    self._log.remove_parts()
                break
            except failures():
                if time.monotonic() > deadline:
                    raise
                time.sleep(next(pauses))
        return [
            {"key": sent.key, "size": sent.size, "sha256": sent.sha256}
            for _, sent in sorted(self._sent.items())
        ]

    def _send(self, name: str, now: float, *, final: bool) -> None:
        path, last = self._folder / name, self._sent.get(name)
        with contextlib.suppress(FileNotFoundError):  # the job may remove it at any moment
            status = path.stat()
            stamp = (status.st_size, status.st_mtime_ns)
            if last is not None:
                rest = max(FRESH_SECONDS, status.st_size / BYTES_PER_SECOND)
                if stamp == last.stamp or (not final and now - last.at < rest):
                    return
            if (there := self._sent_by_trainer(name)) is not None:
                self._sent[name] = Sent(*there, stamp, now)
                return
            key = self.key(name)
            size, sha256 = self._bucket.upload(path, key)
            self._sent[name] = Sent(key, size, sha256, stamp, now)

    def _is_fresh_checkpoint(self, name: str) -> bool:
        """Return whether the file is of a checkpoint that the trainer may still be sending."""
        if not name.startswith("checkpoints/") or name in self._sent or not self._checkpoint_seconds:
            return False
        manifest = self._folder / "checkpoints" / name.split("/")[1] / MANIFEST
        with contextlib.suppress(FileNotFoundError):
            return time.time() - manifest.stat().st_mtime < self._checkpoint_seconds
        return False

    def _sent_by_trainer(self, name: str) -> tuple[str, int, str] | None:
        """Return key, size and SHA-256 of a checkpoint's file that lies in the bucket as it is here, or None.

        The trainer of every rank sends to the run's one `checkpoints/`, and notes what it has verified.
        """
        if not name.startswith("checkpoints/"):
            return None
        path, key = self._folder / name, run_key(self._run_id, name)
        noted = self._bucket.noted_digest(key)
        if noted is None or noted[0] != path.stat().st_size:
            return None
        found = file_digest(path)
        return (key, *found) if found == noted else None

    def _forget_removed_checkpoints(self, present: set[str]) -> None:
        """Remove from the bucket what the trainer has removed here to keep its last checkpoints only."""
        removed = [name for name in self._sent if name.startswith("checkpoints/") and name not in present]
        for name in sorted(removed, key=lambda name: Path(name).name != MANIFEST):
            self._bucket.delete(self._sent[name].key)
            del self._sent[name]
