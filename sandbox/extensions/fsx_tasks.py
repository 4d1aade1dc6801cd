"""Data repository tasks of FSx for Lustre: imports and exports that really copy, and can fail.

Seam: methods on `FSxResponse`, which moto finds by the action's name. moto has none of the actions; drop this
when it has them and something that copies. The types that only release data are not emulated: none is used.
"""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from moto.fsx.exceptions import FileSystemNotFound
from moto.fsx.responses import FSxResponse

from sandbox.extensions.fsx_data_repositories import AssociationError, repositories
from sandbox.parts import Parts, store

_LIVING = ("PENDING", "EXECUTING")


def install(parts: Parts) -> None:
    """Give FSx the three actions."""
    links = repositories(parts)

    def create_data_repository_task(request: Any) -> str:
        """CreateDataRepositoryTask; one at a time for each file system, as in the cloud."""
        wanted, backend = json.loads(request.body), request.fsx_backend
        system = wanted["FileSystemId"]
        if system not in backend.file_systems:
            raise FileSystemNotFound(system)
        tasks = store(backend, "data_repository_tasks")
        if is_busy(backend, system):
            raise AssociationError("DataRepositoryTaskExecuting", f"a task of {system} is executing")
        carry_out = {"EXPORT_TO_REPOSITORY": links.export, "IMPORT_METADATA_FROM_REPOSITORY": links.load}
        if wanted["Type"] not in carry_out:
            raise AssociationError("UnsupportedOperation", f"no tasks of type {wanted['Type']} here")
        task_id = f"task-{uuid.uuid4().hex[:17]}"
        arn = f"arn:aws:fsx:{backend.region_name}:{backend.account_id}:task/{system}/{task_id}"
        backend.tag_resource(arn, {tag["Key"]: tag["Value"] for tag in wanted.get("Tags", [])})
        tasks[task_id] = {
            "TaskId": task_id,
            "ResourceARN": arn,
            "Type": wanted["Type"],
            "FileSystemId": system,
            "Paths": wanted.get("Paths", []),
            "Report": wanted["Report"],
            "CreationTime": time.time(),
            "Lifecycle": "PENDING",
            "Tags": wanted.get("Tags", []),
        }
        answer = json.dumps({"DataRepositoryTask": tasks[task_id]})
        carry_out[wanted["Type"]](tasks[task_id])
        return answer

    FSxResponse.create_data_repository_task = create_data_repository_task
    FSxResponse.cancel_data_repository_task = cancel_data_repository_task
    FSxResponse.describe_data_repository_tasks = describe_data_repository_tasks


def is_busy(backend: Any, file_system_id: str) -> bool:
    """Return whether a task of the file system is not over, so that it cannot be deleted."""
    tasks = store(backend, "data_repository_tasks").values()
    return any(each["FileSystemId"] == file_system_id and each["Lifecycle"] in _LIVING for each in tasks)


def cancel_data_repository_task(request: Any) -> str:
    """CancelDataRepositoryTask; at once, and what it still does is no part of it."""
    task_id = json.loads(request.body)["TaskId"]
    task = store(request.fsx_backend, "data_repository_tasks").get(task_id)
    if task is None:
        raise AssociationError("DataRepositoryTaskNotFound", f"there is no task {task_id}")
    if task["Lifecycle"] not in _LIVING:
        raise AssociationError("DataRepositoryTaskEnded", f"the task {task_id} has ended")
    task["Lifecycle"] = "CANCELED"
    return json.dumps({"Lifecycle": "CANCELING", "TaskId": task_id})


def describe_data_repository_tasks(request: Any) -> str:
    """DescribeDataRepositoryTasks, by id or by file system."""
    asked = json.loads(request.body)
    filters = {each["Name"]: each["Values"] for each in asked.get("Filters") or []}
    found = [
        task
        for task_id, task in store(request.fsx_backend, "data_repository_tasks").items()
        if task_id in (asked.get("TaskIds") or [task_id])
        and task["Lifecycle"] in filters.get("task-lifecycle", [task["Lifecycle"]])
        and task["FileSystemId"] in filters.get("file-system-id", [task["FileSystemId"]])
    ]
    return json.dumps({"DataRepositoryTasks": found})
