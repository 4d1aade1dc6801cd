"""The ledger: every act's before and after, appended to the write-once bucket as a hash chain."""

from __future__ import annotations

import copy
import datetime
import json
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet import aws, chain
from fleet.cloud import Cloud
from fleet.errors import ActError
from fleet.identity import os_user, person
from stacks.problems import UserError

PREFIX = "ledger/"
_TAKEN = {"PreconditionFailed", "ConditionalRequestConflict"}
_APPEND_ATTEMPTS = 100
"""Bound on lost races for the next number; each loss means that another writer got an entry in."""


class LedgerError(ActError):
    """The ledger can't be written or read; whatever it was to record does not start."""


@dataclass
class Act:
    """An act under way: what is put into `details` is part of its closing entry."""

    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Overwrite:
    """An entry of the live bucket with more than its one version: written over, or hidden by a delete."""

    name: str
    versions: int
    deleted: bool


class Ledger:
    """The chain in one bucket, written in the name of one actor."""

    def __init__(self, cloud: Cloud, bucket: str, region: str, actor: str) -> None:
        """Prepare to write to `bucket`, which must exist before the first append."""
        self.bucket = bucket
        self.actor: dict[str, Any] = {
            "identity": actor,
            "os_user": os_user(),
            "host": socket.gethostname(),
        }
        if who := person(actor):
            self.actor["person"] = who
        self._s3 = aws.client(cloud, "s3", region)
        self._tail: tuple[int, str] = (0, chain.GENESIS)

    def asked_by(self, who: Mapping[str, str]) -> Ledger:
        """Return the same ledger, whose entries say who asked for the act: somebody signed in to the console.

        That is the console's word; a person that the cloud itself vouches for is `person`.
        """
        ledger = copy.copy(self)
        ledger.actor = {**self.actor, "asked_by": dict(who)}
        return ledger

    # ------------------------------------------------------------------------------------------- writing

    def append(self, event: str, target: str, outcome: str, details: Mapping[str, Any]) -> dict[str, Any]:
        """Write the next entry and return it; raises LedgerError where the bucket refuses it.

        `event` is `noun.verb` (`environment.up`), `outcome` one of started, succeeded, failed, refused,
        interrupted, recorded. `details` must be JSON and hold no secret.
        """
        for _ in range(_APPEND_ATTEMPTS):
            try:
                sequence, previous = self._find_tail()
                entry = self._entry(sequence + 1, previous, event, target, outcome, details)
                if self._put(entry):
                    self._tail = (sequence + 1, entry["hash"])
                    return entry
            except Exception as error:
                raise LedgerError(f"the ledger s3://{self.bucket} can't be written ({error})") from error
        raise LedgerError(
            f"the ledger s3://{self.bucket} is too busy: {_APPEND_ATTEMPTS} appends lost their race"
        )

    @contextmanager
    def act(self, event: str, target: str, **details: Any) -> Iterator[Act]:
        """Bracket an act with two entries: `started`, then how it ended.

        Raises LedgerError before the act where the first can't be written: an act that would not be on
        record does not start.
        """
        self.append(event, target, "started", details)
        act = Act()
        try:
            yield act
        except UserError as error:
            problems = [problem.what for problem in error.problems]
            self.append(event, target, "refused", {**act.details, "problems": problems})
            raise
        except BaseException as error:
            outcome = "failed" if isinstance(error, Exception) else "interrupted"
            cause = str(error) or type(error).__name__
            self.append(event, target, outcome, {**act.details, "cause": cause[:2000]})
            raise
        self.append(event, target, "succeeded", act.details)

    def _entry(
        self, sequence: int, previous: str, event: str, target: str, outcome: str, details: Mapping[str, Any]
    ) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "sequence": sequence,
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
            "event": event,
            "actor": self.actor,
            "target": target,
            "outcome": outcome,
            "details": json.loads(json.dumps(details, default=str)),
            "prev_hash": previous,
        }
        return {**entry, "hash": chain.entry_hash(entry)}

    def _put(self, entry: Mapping[str, Any]) -> bool:
        """Write the entry unless its number is taken; return whether it was written."""
        body = json.dumps(entry, indent=2, ensure_ascii=False).encode()
        key = PREFIX + chain.entry_name(entry["sequence"])
        try:
            self._s3.put_object(
                Bucket=self.bucket, Key=key, Body=body, IfNoneMatch="*", ChecksumAlgorithm="SHA256",
                ContentType="application/json",
            )  # fmt: skip
        except Exception as error:
            if aws.error_code(error) in _TAKEN:
                return False
            raise
        return True

    def _find_tail(self) -> tuple[int, str]:
        """Return the last entry's number and hash, searching upwards from the last one that we know."""
        last = chain.find_tail(self._exists_after, self._tail[0])
        if last != self._tail[0]:
            self._tail = (last, json.loads(self._get(chain.entry_name(last)))["hash"])
        return self._tail

    def _exists_after(self, sequence: int) -> bool:
        start = PREFIX + chain.entry_name(sequence)
        answer = self._s3.list_objects_v2(Bucket=self.bucket, Prefix=PREFIX, StartAfter=start, MaxKeys=1)
        return bool(answer.get("KeyCount", 0))

    # ------------------------------------------------------------------------------------------- reading

    def read(self) -> dict[str, bytes]:
        """Return every entry's file name and bytes as they were first written, in order.

        Of an entry that was written over, the oldest version is the entry; `overwrites` tells of the rest.
        """
        oldest: dict[str, str] = {}
        for version in self._versions("Versions"):
            oldest[version["Key"]] = version["VersionId"]  # newest first: the last one seen is the oldest
        with ThreadPoolExecutor(max_workers=8) as pool:
            names = [key.removeprefix(PREFIX) for key in sorted(oldest)]
            bodies = pool.map(lambda name: self._get(name, oldest[PREFIX + name]), names)
            return dict(zip(names, bodies, strict=True))

    def entries(self) -> list[dict[str, Any]]:
        """Return every entry that is JSON, in order."""
        return [json.loads(data) for data in self.read().values()]

    def overwrites(self) -> list[Overwrite]:
        """Return the entries that somebody wrote over or deleted; the lock keeps the originals."""
        versions: dict[str, int] = {}
        for version in self._versions("Versions"):
            versions[version["Key"]] = versions.get(version["Key"], 0) + 1
        deleted = {marker["Key"] for marker in self._versions("DeleteMarkers")}
        suspects = sorted({key for key, count in versions.items() if count > 1} | deleted)
        return [Overwrite(key.removeprefix(PREFIX), versions.get(key, 0), key in deleted) for key in suspects]

    def verify(self, head: str | None = None) -> chain.Report:
        """Check the live chain, and that no entry was written over or deleted."""
        return self._verify(self.read(), head)

    def _verify(self, files: Mapping[str, bytes], head: str | None) -> chain.Report:
        report = chain.verify(files, head=head)
        tampered = tuple(
            chain.Finding(
                name=each.name,
                kind="missing" if each.deleted else "changed",
                what="somebody deleted it; the lock keeps the original"
                if each.deleted
                else f"somebody wrote over it ({each.versions} versions); the lock keeps the original",
            )
            for each in self.overwrites()
        )
        return chain.Report(report.entries, report.head, report.findings + tampered)

    def export(self, folder: Path) -> chain.Report:
        """Write the whole chain to `folder` with the program that verifies it, and return its verification.

        The folder gets `ledger/*.json`, `export.json` and `chain.py`. Raises UserError if it is not empty.
        """
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError.of(f"{folder} is not an empty folder", "name a new one", path="--to")
        files = self.read()  # once: an entry that is appended meanwhile belongs to the next export
        report = self._verify(files, None)
        (folder / "ledger").mkdir(parents=True)
        for name, data in files.items():
            (folder / "ledger" / name).write_bytes(data)
        about = {"bucket": self.bucket, "first": 1, "last": report.entries, "head": report.head}
        (folder / chain.EXPORT_FILE).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        (folder / "chain.py").write_bytes(Path(chain.__file__).read_bytes())
        return report

    def _get(self, name: str, version: str | None = None) -> bytes:
        which = {"VersionId": version} if version else {}
        return bytes(self._s3.get_object(Bucket=self.bucket, Key=PREFIX + name, **which)["Body"].read())

    def _versions(self, kind: str) -> Iterator[dict[str, Any]]:
        try:
            for page in self._s3.get_paginator("list_object_versions").paginate(
                Bucket=self.bucket, Prefix=PREFIX
            ):
                yield from page.get(kind, [])
        except Exception as error:
            raise LedgerError(f"the ledger s3://{self.bucket} can't be read ({error})") from error
