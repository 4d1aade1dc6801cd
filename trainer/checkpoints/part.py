"""What a writer does with its rank's copy: files, and on rank 0 the checkpoint that all files make."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import shutil
import time
from pathlib import Path
from typing import Any

from trainer.checkpoints.folder import CheckpointFolder, sync_folder
from trainer.checkpoints.image_files import Extent, Throttle, write_extent
from trainer.checkpoints.manifest import MANIFEST, METADATA, files_fault
from trainer.files.durable import write_durably


class Part:
    """One rank's share of every save, as the plan says that its trainer sent once."""

    def __init__(self, plan: dict[str, Any], metadata: bytes, descriptor: int) -> None:
        self._plan, self._metadata = plan, metadata
        self._extents = [Extent(**extent) for extent in plan["extents"]]
        self._memory = memoryview(mmap.mmap(descriptor, plan["memory_bytes"], prot=mmap.PROT_READ))
        self._throttle = Throttle(plan["bytes_per_second"])
        self._folder = CheckpointFolder(Path(plan["root"]), plan["keep"])

    def do(self, message: dict[str, Any]) -> dict[str, Any]:
        """Carry out what the trainer asks for; return the answer, `error` in it where it went wrong."""
        begun = time.monotonic()
        answer: dict[str, Any] = {"did": message["do"], "step": message["step"], "error": ""}
        acts = {
            "write": self._write,
            "commit": self._commit,
            "discard": self._discard,
            "forget": self._forget,
            "upload": self._upload,
            "publish": self._publish,
        }
        try:
            answer |= acts[message["do"]](message)
        except Exception as error:  # whatever it is, training goes on and is told
            answer["error"] = f"{type(error).__name__}: {error}"
        return answer | {"seconds": time.monotonic() - begun}

    def _write(self, message: dict[str, Any]) -> dict[str, Any]:
        """Write this rank's files from the image that begins there in the memory."""
        folder = self._folder.partial(message["step"])
        folder.mkdir(parents=True, exist_ok=True)
        files = {}
        for extent in self._extents:
            digest = write_extent(self._memory, message["image"], extent, folder, self._throttle)
            files[extent.name] = {"bytes": extent.length, "sha256": digest}
        sync_folder(folder)
        return {"files": files}

    def _commit(self, message: dict[str, Any]) -> dict[str, Any]:
        """Make a checkpoint of everybody's files; answer its size and which older ones cannot be deleted."""
        manifest = self._complete(message["manifest"])
        folder = self._folder.partial(manifest["step"])
        folder.mkdir(parents=True, exist_ok=True)  # a state without a single tensor has no other file
        write_file(folder / METADATA, self._metadata)
        if fault := files_fault(folder, manifest["files"], digests=False):
            raise OSError(f"{folder}: {fault}")
        write_durably(folder / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True) + "\n")
        sync_folder(folder)
        self._folder.publish(manifest["step"])
        left = self._folder.drop_others(manifest["step"], protected=message["protected"])
        return {"bytes": total_bytes(manifest), "left": left}

    def _discard(self, message: dict[str, Any]) -> dict[str, Any]:
        """Delete what was written of a save that is given up."""
        shutil.rmtree(self._folder.partial(message["step"]), ignore_errors=True)
        return {}

    def _forget(self, message: dict[str, Any]) -> dict[str, Any]:
        """Delete the parts of checkpoints that this machine has, for the remote has a whole one."""
        self._folder.clear()
        return {}

    def _upload(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send this rank's files of a save to the remote, wherever the commit has put them by then."""
        from trainer.checkpoints.remote import Remote  # it brings botocore's half second

        step = message["step"]
        remote = Remote(self._plan["remote"], self._throttle)
        for name, entry in message["files"].items():
            places = (self._folder.path(step), self._folder.partial(step), self._folder.path(step))
            folder = next((place for place in places if (place / name).is_file()), places[0])
            try:
                remote.upload(step, folder / name, name, entry["sha256"])
            except FileNotFoundError:  # renamed between the two looks
                remote.upload(step, self._folder.path(step) / name, name, entry["sha256"])
        return {}

    def _publish(self, message: dict[str, Any]) -> dict[str, Any]:
        """Make a checkpoint at the remote of what everybody has sent."""
        from trainer.checkpoints.remote import Remote, remote_failures

        remote = Remote(self._plan["remote"], self._throttle)
        manifest, left = self._complete(message["manifest"]), []
        remote.publish(manifest, self._metadata)
        try:
            remote.drop_others(manifest["step"], self._plan["keep"])
        except remote_failures() as error:
            left.append(f"an older checkpoint at {self._plan['remote']} cannot be deleted: {error}")
        return {"bytes": total_bytes(manifest), "left": left}

    def _complete(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Return the manifest with the one file that no rank's writer has written."""
        entry = {"bytes": len(self._metadata), "sha256": hashlib.sha256(self._metadata).hexdigest()}
        return manifest | {"files": {**manifest["files"], METADATA: entry}}


def total_bytes(manifest: dict[str, Any]) -> int:
    """Return the size of a checkpoint's files, without the manifest itself."""
    return sum(entry["bytes"] for entry in manifest["files"].values())


def write_file(path: Path, content: bytes) -> None:
    """Write a file and have it on the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
