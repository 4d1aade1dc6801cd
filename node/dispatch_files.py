"""The file system of the run that a dispatcher carries out, and those that others left behind."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from typing import Any

from node.aws import aws_errors, client
from node.config import NodeConfig
from node.events import is_over
from node.layout import (
    CANCELLED,
    FAILED,
    SUCCEEDED,
    TAG_ENVIRONMENT,
    TAG_RUN,
    epoch_seconds,
    run_key,
    utc_now,
)
from node.lustre import FileSystemError, tagged_systems
from node.mounts import read_storage
from node.patience import persist
from node.run_file_system import RunFileSystem, has_file_system
from node.store import Bucket
from node.watch import Verdict

_REAPING = "fsx-reaper.json"
"""In a run's directory: which dispatcher looks after the file system that the run left, and since when."""
_REAP_SECONDS = 7 * 3600.0
"""After so long a reaper is taken for dead: longer than an export may take."""


class _CancelledError(Exception):
    """Somebody cancelled the run while its file system was being made."""


class DispatchFiles:
    """What a dispatcher does about its run's own file system; nothing, where the run asked for none."""

    def __init__(self, config: NodeConfig, bucket: Bucket, run: Mapping[str, Any]) -> None:
        self._config, self._bucket, self._run = config, bucket, run
        self._system: RunFileSystem | None = None

    @property
    def wanted(self) -> bool:
        """Whether the run asked for one."""
        return has_file_system(self._run)

    def provide(self, subnet_id: str) -> Verdict | None:
        """Make it in that subnet; a verdict says why the run can't go on."""
        gib = self._run["fsx_gib"]
        settings = persist(lambda: read_storage(self._bucket, self._config)).get("run_file_systems")
        if settings is None or gib > settings["max_gib"]:
            allowed = settings["max_gib"] if settings else 0
            return Verdict(FAILED, f"it asks for a file system of {gib} GiB where {allowed} are allowed")
        self._system = RunFileSystem(self._fsx(), self._bucket, self._config, settings, self._run)
        try:
            self._system.make(subnet_id, self._give_up)
        except FileSystemError as error:
            return Verdict(FAILED, f"its file system of {gib} GiB could not be made: {error}")
        except _CancelledError as cancelled:
            return Verdict(CANCELLED, f"cancelled by {cancelled}")
        return None

    def bring_home(self, verdict: Verdict) -> Verdict:
        """Write the results back and delete the file system; return how the run ends with that.

        A run whose results could not be brought home has not succeeded, and its file system is kept.
        """
        if self._system is None:
            return verdict
        try:
            self._system.bring_home()
        except _troubles() as error:
            where = f"its file system {self._system.state.get('file_system_id')} is kept, for its results"
            cause = f"{where} could not all be written back: {str(error).splitlines()[0]}"
            print(cause, file=sys.stderr)
            event = FAILED if verdict.event == SUCCEEDED else verdict.event
            return Verdict(event, f"{verdict.cause}; {cause}" if verdict.cause else cause)
        return verdict

    def receipt(self) -> dict[str, Any] | None:
        """Return what the run's receipt says of it; None where none was made."""
        return self._system.receipt() if self._system else None

    def reap_others(self) -> None:
        """Bring home, beside this run, what runs that are over left: their dispatchers died or failed."""
        if self._config.storage_key:
            threading.Thread(target=self._reap, daemon=True).start()

    def _reap(self) -> None:
        try:
            settings = read_storage(self._bucket, self._config).get("run_file_systems")
            if settings is not None:
                reap(self._fsx(), self._bucket, self._config, settings)
        except _troubles() as error:
            print(f"file systems of other runs were not looked after: {error}", file=sys.stderr)

    def _give_up(self) -> None:
        request = persist(lambda: self._bucket.get(run_key(self._run["run_id"], "cancel.json")))
        if request is not None:
            raise _CancelledError(json.loads(request).get("actor", "somebody"))

    def _fsx(self) -> Any:
        return client("fsx", self._config.region)


def _troubles() -> tuple[type[Exception], ...]:
    return (FileSystemError, *aws_errors())


def reap(fsx: Any, bucket: Bucket, config: NodeConfig, settings: Mapping[str, Any]) -> list[str]:
    """Write back and delete the file systems of runs that are over; return the runs.

    One that can't be written back is kept.
    """
    done = []
    for system_id, tags in tagged_systems(fsx, {TAG_ENVIRONMENT: config.environment}):
        run_id = tags.get(TAG_RUN)
        if run_id is None or not is_over(bucket, run_id) or not _take(bucket, run_id):
            continue
        body = bucket.get(run_key(run_id, "run.json"))
        run = json.loads(body) if body else {"run_id": run_id, "fsx_gib": 0, "nodes": 1}
        system = RunFileSystem(fsx, bucket, config, settings, run)
        system.adopt(system_id)
        try:
            system.bring_home()
            done.append(run_id)
        except FileSystemError as error:
            print(f"the file system {system_id} of {run_id} is kept: {error}", file=sys.stderr)
        bucket.delete(run_key(run_id, _REAPING))
    return done


def _take(bucket: Bucket, run_id: str) -> bool:
    """Return whether we are the one to look after that run's file system now."""
    key, mine = run_key(run_id, _REAPING), json.dumps({"time": utc_now()}).encode()
    if bucket.put_new(key, mine):
        return True
    held = bucket.read(key)
    if held is None:
        return False
    age = epoch_seconds(utc_now()) - epoch_seconds(json.loads(held.body)["time"])
    return age > _REAP_SECONDS and bucket.replace(key, mine, held.etag) is not None
