"""Folders of file systems that are linked to S3, kept as FSx keeps them: imports, exports, and tasks.

One thread does all of it over the cloud's own API, so that a fault put on S3 hits it as it would a program.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sandbox.file_systems import FileSystems

_TICK_SECONDS = 1.0
"""How soon a change on one side shows on the other; FSx takes a little longer."""


@dataclass
class Link:
    """One association: a folder of a file system and a prefix of a bucket."""

    association: dict[str, Any]
    imported: dict[str, str] = field(default_factory=dict)
    """ETag of each object that is on the file system, by its name below the prefix."""
    exported: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Time and size of each file that is in the bucket."""

    @property
    def place(self) -> tuple[str, str]:
        """File system and path."""
        return self.association["FileSystemId"], self.association["FileSystemPath"]

    @property
    def target(self) -> tuple[str, str]:
        """Bucket and prefix, which ends in `/` unless it is empty."""
        bucket, _, prefix = self.association["DataRepositoryPath"].removeprefix("s3://").partition("/")
        return bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def events(self, direction: str) -> list[str]:
        """Return what is carried over by itself: NEW, CHANGED, DELETED; `direction` is Import or Export."""
        wanted: list[str] = self.association.get("S3", {}).get(f"Auto{direction}Policy", {}).get("Events", [])
        return wanted


class Repositories:
    """All links, and the thread that serves them."""

    def __init__(self, folders: FileSystems, make_client: Callable[[], Any]) -> None:
        self._folders, self._make_client = folders, make_client
        self._links: dict[str, Link] = {}
        self._jobs: list[Callable[[], None]] = []
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def link(self, association: dict[str, Any]) -> None:
        """Begin to keep a link; what is imported at its creation makes it AVAILABLE when it is there."""
        link = Link(association)
        if (folder := self._folders.inside(*link.place)) is not None:
            folder.mkdir(parents=True, exist_ok=True)
        with self._lock:
            self._links[association["AssociationId"]] = link
        if association.get("BatchImportMetaDataOnCreate"):
            association["Lifecycle"] = "CREATING"

            def first_import() -> None:
                self._import(link, ["NEW"])
                association["Lifecycle"] = "AVAILABLE"

            self._do(first_import)
        else:
            self._do(lambda: None)

    def unlink(self, association_id: str) -> None:
        """End a link; both sides stay as they are."""
        with self._lock:
            self._links.pop(association_id, None)

    def export(self, task: dict[str, Any]) -> None:
        """Carry out a task that exports the paths that it names; its record tells how it goes."""
        self._do(lambda: self._run_export(task))

    def load(self, task: dict[str, Any]) -> None:
        """Carry out a task that shows what the bucket holds at the paths that it names."""
        self._do(lambda: self._run_import(task))

    def _do(self, job: Callable[[], None]) -> None:
        with self._lock:
            self._jobs.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, daemon=True)
                self._thread.start()
        self._wake.set()

    def _serve(self) -> None:
        while True:
            self._wake.wait(_TICK_SECONDS if self._links else None)
            self._wake.clear()
            with self._lock:
                jobs, self._jobs = self._jobs, []
                links = list(self._links.values())
            for job in jobs:
                self._try(job)
            for link in links:
                self._try(partial(self._import, link, link.events("Import")))
                self._try(partial(self._export, link, link.events("Export")))

    def _try(self, job: Callable[[], object]) -> None:
        try:
            job()
        except Exception as error:  # a bucket that refuses, or is gone: the next round tries again
            print(f"data repositories: {type(error).__name__}: {error}", file=sys.stderr)

    def _import(self, link: Link, events: list[str]) -> None:
        """Bring what is new or changed in the bucket to the file system, and take away what is gone."""
        if not events:
            return
        (file_system, path), (bucket, prefix) = link.place, link.target
        client, found = self._make_client(), dict[str, str]()
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            found |= {item["Key"].removeprefix(prefix): item["ETag"] for item in page.get("Contents", [])}
        for name, etag in found.items():
            file = self._folders.inside(file_system, f"{path}/{name}")
            if name and not name.endswith("/") and file is not None and link.imported.get(name) != etag:
                body = client.get_object(Bucket=bucket, Key=prefix + name)["Body"].read()
                _write(file, body)
                link.imported[name] = etag
                link.exported[name] = _stamp(file)
        for name in set(link.imported) - set(found) if "DELETED" in events else ():
            del link.imported[name]
            if (file := self._folders.inside(file_system, f"{path}/{name}")) is not None:
                file.unlink(missing_ok=True)

    def _export(self, link: Link, events: list[str]) -> tuple[int, int]:
        """Bring new and changed files to the bucket; return how many there were and how many failed."""
        if not events:
            return 0, 0
        (file_system, path), (bucket, prefix) = link.place, link.target
        client, present, failed, sent = self._make_client(), set(), 0, 0
        for name, file in self._folders.files(file_system, path):
            present.add(name)
            with contextlib.suppress(FileNotFoundError):  # a job may remove it at any moment
                if link.exported.get(name) == _stamp(file):
                    continue
                sent += 1
                stamp, body = _stamp(file), file.read_bytes()
                try:
                    answer = client.put_object(Bucket=bucket, Key=prefix + name, Body=body)
                except Exception as error:
                    print(f"data repositories: {name}: {error}", file=sys.stderr)
                    failed += 1
                else:
                    link.exported[name], link.imported[name] = stamp, answer["ETag"]
        for name in set(link.exported) - present if "DELETED" in events else ():
            del link.exported[name]
            client.delete_object(Bucket=bucket, Key=prefix + name)
        return sent, failed

    def _run_export(self, task: dict[str, Any]) -> None:
        _begin(task)
        sent = failed = 0
        for link in self._named(task):
            counts = self._export(link, ["NEW", "CHANGED"])
            sent, failed = sent + counts[0], failed + counts[1]
        task["Status"] = {"TotalCount": sent, "SucceededCount": sent - failed, "FailedCount": failed}
        if failed:
            task["FailureDetails"] = {"Message": f"{failed} of {sent} files could not be exported"}
        _end(task, "FAILED" if failed else "SUCCEEDED")

    def _run_import(self, task: dict[str, Any]) -> None:
        """Fetch the objects too, where FSx only shows them: a job that reads them finds the same."""
        _begin(task)
        try:
            for link in self._named(task):
                self._import(link, ["NEW", "CHANGED"])
        except Exception as error:
            task["FailureDetails"] = {"Message": str(error)}
            _end(task, "FAILED")
            raise
        _end(task, "SUCCEEDED")

    def _named(self, task: dict[str, Any]) -> list[Link]:
        """Return the links of the task's file system at the paths that it names."""
        paths = {wanted.strip("/") for wanted in task["Paths"]}
        return [
            link
            for link in list(self._links.values())
            if link.place[0] == task["FileSystemId"] and link.place[1].strip("/") in paths
        ]


def _begin(task: dict[str, Any]) -> None:
    if task["Lifecycle"] == "PENDING":
        task["Lifecycle"] = "EXECUTING"


def _end(task: dict[str, Any], lifecycle: str) -> None:
    """End a task, unless somebody cancelled it."""
    if task["Lifecycle"] != "CANCELED":
        task["Lifecycle"] = lifecycle


def _write(file: Path, body: bytes) -> None:
    """Write the file so that it appears whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    part.write_bytes(body)
    part.replace(file)


def _stamp(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_mtime_ns, status.st_size
