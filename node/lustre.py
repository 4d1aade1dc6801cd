"""FSx for Lustre as the head node uses it: file systems, links to buckets, imports and exports."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from node.aws import aws_errors, error_code
from node.patience import persist

MAKE_SECONDS = 45 * 60.0
"""FSx takes 5 to 15 minutes for a file system, and some for each link."""
TASK_SECONDS = 6 * 3600.0
"""An import lists some thousand objects a second; an export copies what the job wrote."""
_DELETE_SECONDS = 15 * 60.0
"""How long a file system may refuse to be deleted, while a task that was cancelled winds up."""
_LIVING_TASKS = ("PENDING", "EXECUTING", "CANCELING")
_FIRST_LOOK, _LONGEST_LOOK = 0.5, 10.0
_PASSING = frozenset({"", "InternalServerError", "Throttling", "ThrottlingException", "ServiceUnavailable"})
"""Codes of what is worth another try; "" is a call that did not arrive."""
_BUSY = frozenset({"BadRequest", "DataRepositoryTaskExecuting"})
"""Codes of a deletion that is refused for what goes on on the file system."""
LUSTRE_VERSION = "2.15"


class FileSystemError(Exception):
    """FSx refused, failed or took too long; the message is one line."""


@dataclass(frozen=True)
class Lustre:
    """One file system, by its id."""

    fsx: Any
    system_id: str

    def describe(self) -> dict[str, Any] | None:
        """Return how it stands, or None where it is gone."""
        try:
            answer = call(lambda: self.fsx.describe_file_systems(FileSystemIds=[self.system_id]))
        except FileSystemError as error:
            if "FileSystemNotFound" in str(error):
                return None
            raise
        return answer["FileSystems"][0] if answer["FileSystems"] else None

    def wait_until_made(self, give_up: Callable[[], None]) -> dict[str, Any]:
        """Return its description once it is available; `give_up` raises where nobody wants it any more."""

        def look() -> tuple[str, dict[str, Any], str]:
            found: dict[str, Any] = self.describe() or {"Lifecycle": "FAILED"}
            return found["Lifecycle"], found, found.get("FailureDetails", {}).get("Message", "")

        return _wait(look, "AVAILABLE", ("FAILED", "MISCONFIGURED", "DELETING"), MAKE_SECONDS, give_up)

    def link(
        self, path: str, target: str, token: str, tags: Sequence[Mapping[str, str]], give_up: Any
    ) -> None:
        """Show `s3://...` at the path, and wait until it is there."""
        made = call(
            lambda: self.fsx.create_data_repository_association(
                FileSystemId=self.system_id,
                FileSystemPath=path,
                DataRepositoryPath=target,
                # An import of its own would carry no tags, so the head could not end it, and the link says
                # AVAILABLE long before it is over: see `load`.
                BatchImportMetaDataOnCreate=False,
                ClientRequestToken=token,
                Tags=tags,
            )
        )["Association"]["AssociationId"]

        def look() -> tuple[str, dict[str, Any], str]:
            answer = call(lambda: self.fsx.describe_data_repository_associations(AssociationIds=[made]))[
                "Associations"
            ]
            found: dict[str, Any] = answer[0] if answer else {"Lifecycle": "FAILED"}
            return found["Lifecycle"], found, found.get("FailureDetails", {}).get("Message", "")

        _wait(look, "AVAILABLE", ("FAILED", "MISCONFIGURED", "DELETING"), MAKE_SECONDS, give_up)

    def links(self) -> list[str]:
        """Return the paths that are linked to a bucket."""
        asked = [{"Name": "file-system-id", "Values": [self.system_id]}]
        answer = call(lambda: self.fsx.describe_data_repository_associations(Filters=asked))
        return [each["FileSystemPath"] for each in answer["Associations"]]

    def load(self, path: str, tags: Sequence[Mapping[str, str]], give_up: Callable[[], None]) -> None:
        """Show at a linked path every object that its bucket holds now, and wait until all are shown."""
        self._carry_out("IMPORT_METADATA_FROM_REPOSITORY", path, tags, give_up)

    def export(self, path: str, tags: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        """Write what is at the path back to its bucket, and return the task's counts when all of it is there.

        Raises FileSystemError where a single file could not be written.
        """
        self._wait_until_idle()  # of a dispatcher that died, say: FSx carries out one task at a time
        counts: dict[str, Any] = self._carry_out("EXPORT_TO_REPOSITORY", path, tags, _never).get("Status", {})
        return counts

    def delete(self) -> None:
        """Delete it with all that is on it; one that is gone is no error.

        FSx refuses while a task is pending or executing, so those are cancelled first.
        """
        deadline = time.monotonic() + _DELETE_SECONDS
        while True:
            self._cancel_tasks()
            try:
                call(lambda: self.fsx.delete_file_system(FileSystemId=self.system_id))
                return
            except FileSystemError as error:
                code = error_code(error.__cause__) if isinstance(error.__cause__, Exception) else ""
                if code == "FileSystemNotFound":
                    return
                if code not in _BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(_FIRST_LOOK)

    def _carry_out(
        self, kind: str, path: str, tags: Sequence[Mapping[str, str]], give_up: Callable[[], None]
    ) -> dict[str, Any]:
        """Have FSx carry out a task on the path, and return its description once it has succeeded."""
        task = call(
            lambda: self.fsx.create_data_repository_task(
                Type=kind,
                FileSystemId=self.system_id,
                Paths=[path.strip("/")],
                Report={"Enabled": False},
                Tags=tags,
            )
        )["DataRepositoryTask"]["TaskId"]

        def look() -> tuple[str, dict[str, Any], str]:
            found = call(lambda: self.fsx.describe_data_repository_tasks(TaskIds=[task]))[
                "DataRepositoryTasks"
            ][0]
            return found["Lifecycle"], found, found.get("FailureDetails", {}).get("Message", "")

        return _wait(look, "SUCCEEDED", ("FAILED", "CANCELED"), TASK_SECONDS, give_up)

    def _living_tasks(self) -> list[dict[str, Any]]:
        asked = [
            {"Name": "file-system-id", "Values": [self.system_id]},
            {"Name": "task-lifecycle", "Values": list(_LIVING_TASKS)},
        ]
        answer = call(lambda: self.fsx.describe_data_repository_tasks(Filters=asked))
        found: list[dict[str, Any]] = answer["DataRepositoryTasks"]
        return found

    def _wait_until_idle(self) -> None:
        def look() -> tuple[str, dict[str, Any], str]:
            living = self._living_tasks()
            return living[0]["Lifecycle"] if living else "IDLE", {}, ""

        _wait(look, "IDLE", (), TASK_SECONDS, _never)

    def _cancel_tasks(self) -> None:
        """Ask FSx to end what it does with the file system; the deletion tells whether that was enough."""
        with contextlib.suppress(FileSystemError):
            for task in self._living_tasks():
                if task["Lifecycle"] != "CANCELING":
                    call(partial(self.fsx.cancel_data_repository_task, TaskId=task["TaskId"]))


def tagged_systems(fsx: Any, tags: Mapping[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield id and tags of the living file systems that carry all these tags."""
    for page in fsx.get_paginator("describe_file_systems").paginate():
        for found in page["FileSystems"]:
            own = {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}
            if found["Lifecycle"] != "DELETING" and tags.items() <= own.items():
                yield found["FileSystemId"], own


def call(act: Callable[[], Any]) -> Any:
    """Return what FSx answers; what passes is tried again, and a refusal becomes a FileSystemError."""
    try:
        return persist(act, worth=lambda error: error_code(error) in _PASSING)
    except aws_errors() as error:
        raise FileSystemError(str(error).splitlines()[0]) from error


def _never() -> None:
    """Nobody gives up."""


def _wait(
    look: Callable[[], tuple[str, dict[str, Any], str]],
    wanted: str,
    lost: Sequence[str],
    seconds: float,
    give_up: Callable[[], None],
) -> dict[str, Any]:
    """Look until the lifecycle is the wanted one, and return the description.

    Raises FileSystemError where it will never be, or not within so many seconds.
    """
    deadline, pause = time.monotonic() + seconds, _FIRST_LOOK
    while True:
        lifecycle, found, why = look()
        if lifecycle == wanted:
            return found
        if lifecycle in lost:
            raise FileSystemError(f"FSx says {lifecycle}{f': {why}' if why else ''}")
        if time.monotonic() > deadline:
            raise FileSystemError(f"FSx still says {lifecycle} after {seconds / 60:g} minutes")
        give_up()
        time.sleep(pause)
        pause = min(_LONGEST_LOOK, pause * 1.5)
