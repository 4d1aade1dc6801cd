"""File systems that were made for single runs and still stand at a teardown, found by their tags."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from fleet import aws
from fleet.errors import ActError
from fleet.listings.things import tags_of
from fleet.session import Session
from stacks import naming

_GONE_SECONDS = 20 * 60.0
"""FSx takes minutes to delete a file system; until then its interfaces hold the subnet and the groups."""
_PAUSE = 5.0
_ENDED = frozenset({"BadRequest", "DataRepositoryTaskEnded", "DataRepositoryTaskNotFound"})
"""Codes of a cancellation that comes too late."""
_BUSY = frozenset({"BadRequest", "DataRepositoryTaskExecuting", "FileSystemNotFound"})
"""Codes of a deletion that is refused for what goes on on the file system, or that is not needed."""


def find_run_file_systems(session: Session) -> dict[str, str]:
    """Return the id of every such file system that is not being deleted, and its run."""
    found = {}
    for page in session.client("fsx").get_paginator("describe_file_systems").paginate():
        for each in page["FileSystems"]:
            tags = tags_of(each)
            ours = tags.get(naming.TAG_ENVIRONMENT) == session.spec.name and naming.TAG_RUN in tags
            if ours and each["Lifecycle"] != "DELETING":
                found[each["FileSystemId"]] = tags[naming.TAG_RUN]
    return found


def listed_run_file_systems(session: Session) -> dict[str, str]:
    """Return them, or none where the cloud refuses: the sweep says that nobody could look there."""
    try:
        return find_run_file_systems(session)
    except Exception as error:
        if not aws.is_cloud_error(error):
            raise
        return {}


def delete_run_file_systems(session: Session) -> dict[str, str]:
    """Delete them with what is on them, wait until they are gone, and return what was deleted.

    Call it only after everything that speaks against it was told. Raises ActError where one does not go.
    """
    found = listed_run_file_systems(session)
    fsx = session.client("fsx")
    deadline = time.monotonic() + _GONE_SECONDS
    for system in found:
        delete_idle(fsx, system, deadline)
    for system in found:
        while _exists(fsx, system):
            if time.monotonic() > deadline:
                raise ActError(f"FSx has not deleted the file system {system} of the run {found[system]} yet")
            time.sleep(_PAUSE)
    return found


def delete_idle(fsx: Any, system: str, deadline: float) -> None:
    """Ask for the deletion, again while a task of the file system, which is cancelled, is not over.

    `deadline` is of time.monotonic. Raises what FSx answers where it refuses for another reason, or still.
    """
    while True:
        living = [
            {"Name": "file-system-id", "Values": [system]},
            {"Name": "task-lifecycle", "Values": ["PENDING", "EXECUTING", "CANCELING"]},
        ]
        tasks = fsx.describe_data_repository_tasks(Filters=living)["DataRepositoryTasks"]
        for task in tasks:
            _unless(_ENDED, partial(fsx.cancel_data_repository_task, TaskId=task["TaskId"]))
        refused = _unless(_BUSY, partial(fsx.delete_file_system, FileSystemId=system))
        if refused is None or aws.error_code(refused) == "FileSystemNotFound":
            return
        if not tasks or time.monotonic() > deadline:
            raise refused
        time.sleep(_PAUSE)


def _unless(codes: frozenset[str], act: Callable[[], object]) -> Exception | None:
    """Do it and return None, or the error where it is one of these; raise any other."""
    try:
        act()
    except Exception as error:
        if aws.error_code(error) not in codes:
            raise
        return error
    return None


def _exists(fsx: Any, system: str) -> bool:
    try:
        return bool(fsx.describe_file_systems(FileSystemIds=[system])["FileSystems"])
    except Exception as error:
        if aws.error_code(error) != "FileSystemNotFound":
            raise
        return False
