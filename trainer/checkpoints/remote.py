"""Checkpoints in S3: below `<url>/step-<n>/`, where only what a manifest lists counts, as on a disk."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from trainer.aws import aws_errors, client
from trainer.checkpoints.image_files import Throttle
from trainer.checkpoints.manifest import MANIFEST, Manifest, parse_manifest
from trainer.configs.settings import ConfigError

PART_BYTES = 64 << 20
"""Larger files go in parts of this size; S3 takes 10,000 parts, so a file may have 625 GiB."""
_SIDE_BY_SIDE = 4
_TAG = "fleetform=checkpoint"
"""What the bucket's lifecycle rule finds checkpoints by."""


class RemoteError(Exception):
    """What was sent is not what arrived, or what lies there is not what its manifest says."""


def remote_failures() -> tuple[type[Exception], ...]:
    """Return the exceptions of an unreachable, refusing or damaged remote."""
    return (RemoteError, OSError, *aws_errors())


class Remote:
    """The checkpoints of one run in a bucket. Methods raise `remote_failures`, after bounded retries."""

    def __init__(self, url: str, throttle: Throttle | None = None) -> None:
        """`url` is `s3://bucket/prefix`; see `check_url`."""
        self._bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self._prefix = prefix.strip("/")
        self._s3 = client("s3")
        self._throttle = throttle or Throttle(None)

    def newest(self, below: int | None = None) -> Manifest | None:
        """Return the manifest of the newest checkpoint (before step `below`) whose files have their sizes."""
        sizes: dict[str, dict[str, int]] = {}
        for key, size in self._list("step-"):
            folder, _, name = key.partition("/")
            sizes.setdefault(folder, {})[name] = size
        for folder in sorted(sizes, key=_number, reverse=True):
            if MANIFEST in sizes[folder] and (below is None or _number(folder) < below):
                text = self._s3.get_object(**self._at(f"{folder}/{MANIFEST}"))["Body"].read()
                manifest, _ = parse_manifest(text, folder)
                if manifest and all(sizes[folder].get(n) == e["bytes"] for n, e in manifest.files.items()):
                    return manifest
        return None

    def download(self, step: int, files: Mapping[str, Mapping[str, Any]], folder: Path) -> None:
        """Fetch files of a checkpoint into a folder, each checked against its SHA-256."""
        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as threads:
            tasks = [threads.submit(self._fetch, step, name, files[name]["sha256"], folder) for name in files]
            for task in tasks:
                task.result()

    def upload(self, step: int, path: Path, name: str, sha256: str) -> None:
        """Send a file; S3 refuses what does not arrive as it was read, and the whole is checked here."""
        size = path.stat().st_size
        if size <= PART_BYTES:
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != sha256:
                raise RemoteError(f"{path} is not what was written")
            self._throttle.take(size)
            self._put(f"step-{step}/{name}", content, sha256)
        else:
            self._upload_parts(path, f"step-{step}/{name}", sha256)

    def publish(self, manifest: Mapping[str, Any], metadata: bytes) -> None:
        """Make a checkpoint of what all ranks have sent: look at each file once more, manifest last."""
        folder = f"step-{manifest['step']}"
        for name, entry in manifest["files"].items():
            if name.startswith("."):
                self._put(f"{folder}/{name}", metadata, entry["sha256"])
            head = self._s3.head_object(**self._at(f"{folder}/{name}"))
            found = (head["ContentLength"], head["Metadata"].get("sha256"))
            if found != (entry["bytes"], entry["sha256"]):
                raise RemoteError(f"{folder}/{name} has not arrived as it was sent")
        text = json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n"
        self._put(f"{folder}/{MANIFEST}", text, hashlib.sha256(text).hexdigest())

    def drop_others(self, step: int, keep: int) -> None:
        """Delete all but the newest `keep` checkpoints up to that step, each one's manifest first."""
        folders = {key.partition("/")[0] for key, _ in self._list("step-")}
        steps = sorted(map(_number, folders), reverse=True)
        kept = [each for each in steps if each <= step][:keep]
        for each in steps:
            if each not in kept:
                self._delete(f"step-{each}/")

    def clear(self) -> None:
        """Delete every checkpoint of the run."""
        self._delete("step-")

    def _delete(self, prefix: str) -> None:
        keys = sorted((key for key, _ in self._list(prefix)), key=lambda key: not key.endswith(MANIFEST))
        for key in keys:
            self._s3.delete_object(**self._at(key))

    def _put(self, key: str, content: bytes, sha256: str) -> None:
        about = {"Metadata": {"sha256": sha256}, "Tagging": _TAG, "ChecksumSHA256": _base64(sha256)}
        self._s3.put_object(Body=content, **about, **self._at(key))

    def _upload_parts(self, path: Path, key: str, sha256: str) -> None:
        """Send a large file in parts, some side by side; parts of one that fails are taken back."""
        place = self._at(key)
        about = {"Metadata": {"sha256": sha256}, "Tagging": _TAG, "ChecksumAlgorithm": "SHA256"}
        place["UploadId"] = self._s3.create_multipart_upload(**about, **place)["UploadId"]
        try:
            with path.open("rb") as file, ThreadPoolExecutor(_SIDE_BY_SIDE) as threads:
                parts = list(self._send_parts(file.fileno(), path, sha256, place, threads))
            self._s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **place)
        except BaseException:
            self._s3.abort_multipart_upload(**place)
            raise

    def _send_parts(
        self, descriptor: int, path: Path, sha256: str, place: dict[str, Any], threads: ThreadPoolExecutor
    ) -> Iterator[dict[str, Any]]:
        digest, size = hashlib.sha256(), os.fstat(descriptor).st_size
        waiting: list[Any] = []
        for number, start in enumerate(range(0, size, PART_BYTES), 1):
            content = os.pread(descriptor, PART_BYTES, start)
            digest.update(content)
            self._throttle.take(len(content))
            waiting.append(threads.submit(self._send_part, number, content, place))
            if len(waiting) >= _SIDE_BY_SIDE:
                yield waiting.pop(0).result()
        for task in waiting:
            yield task.result()
        if digest.hexdigest() != sha256:
            raise RemoteError(f"{path} is not what was written")

    def _send_part(self, number: int, content: bytes, place: dict[str, Any]) -> dict[str, Any]:
        checksum = _base64(hashlib.sha256(content).hexdigest())
        answer = self._s3.upload_part(PartNumber=number, Body=content, ChecksumSHA256=checksum, **place)
        return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}

    def _fetch(self, step: int, name: str, sha256: str, folder: Path) -> None:
        digest = hashlib.sha256()
        body = self._s3.get_object(**self._at(f"step-{step}/{name}"))["Body"]
        with (folder / name).open("wb") as file:
            for block in body.iter_chunks(4 << 20):
                digest.update(block)
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        if digest.hexdigest() != sha256:
            raise RemoteError(f"step-{step}/{name} is not what was sent")

    def _list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield the keys below the run's prefix that begin so, without that prefix, and their sizes."""
        start = f"{self._prefix}/" if self._prefix else ""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=start + prefix)
        for page in pages:
            for entry in page.get("Contents", ()):
                yield entry["Key"].removeprefix(start), entry["Size"]

    def _at(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": f"{self._prefix}/{key}" if self._prefix else key}


def check_url(url: str) -> None:
    """Raise ConfigError where there is no remote of that name to be had: on every process, asking nobody."""
    if not re.fullmatch(r"s3://[^/]+(/.*)?", url):
        raise ConfigError([f"FLEETFORM_CHECKPOINTS_URL: {url!r} is not of the form s3://bucket/prefix"])
    if importlib.util.find_spec("botocore") is None:
        raise ConfigError([f"FLEETFORM_CHECKPOINTS_URL: to keep checkpoints at {url}: pip install boto3"])


def _number(folder: str) -> int:
    """Return the step of a folder's name, 0 of any other."""
    number = folder.removeprefix("step-")
    return int(number) if number.isdigit() else 0


def _base64(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()
