"""What holds stores: objects in a bucket, mount targets, tasks, backups, and a deletion under way."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from fleet.artifacts import empty, holds_anything, holds_objects
from fleet.holders.holder import Holder, Teardown
from fleet.listings.things import Thing, ask
from fleet.stores import RETAIN
from fleet.terraform_state import StateResource
from stacks import naming

_CHANGING = ("CREATING", "UPDATING", "DELETING")
_BACKING_UP = ("PENDING", "CREATING", "TRANSFERRING")
"""Lifecycles of a backup that FSx still makes: https://docs.aws.amazon.com/fsx/latest/APIReference/API_Backup.html"""
_TASK_AT_WORK = ("PENDING", "EXECUTING")


def on_bucket(teardown: Teardown, resource: StateResource) -> Iterator[Holder]:
    """Yield what is in the bucket; nothing of the users' in one that is to be retained is cleared."""
    session, on = teardown.session, f"{resource.address} ({resource.id})"
    names = (session.account.organization, session.spec.name, session.spec.region)
    wanted = {
        naming.artifact_bucket(*names): session.spec.artifacts.on_teardown,
        naming.dataset_bucket(*names): session.spec.datasets.on_teardown,
    }
    about = partial(Holder, kind="objects", id=f"s3://{resource.id}", on=on)
    if not holds_anything(teardown.client("s3"), resource.id):
        return
    if resource.id not in wanted:
        yield about(why="fleetform does not empty it: look whose they are, then repeat", fate="stop")
    elif wanted[resource.id] == RETAIN and holds_objects(session, resource.id):
        why = "they came while the teardown was under way, and are to be retained: look at them, then repeat"
        yield about(why=why, fate="stop")
    else:
        clear = partial(empty, session, resource.id, teardown.tell)
        yield about(why="versions, delete markers or uploads", fate="clear", clear=clear)


def on_shared_files(teardown: Teardown, resource: StateResource) -> Iterator[Holder]:
    """Yield the mount targets of an EFS file system; one that no state knows is a part of it all the same."""
    answer = ask(teardown.client("efs").describe_mount_targets, FileSystemId=resource.id)
    for each in (answer or {}).get("MountTargets", ()):
        identity = str(each["MountTargetId"])
        about = partial(
            Holder, kind="EFS mount target", id=identity, on=f"{resource.address} ({resource.id})"
        )
        if each["LifeCycleState"] in ("deleting", "deleted") or identity in teardown.managed:
            yield about(why=f"it is {each['LifeCycleState']}", fate="wait")
        else:
            remove = teardown.removal(Thing(kind="EFS mount target", id=identity))
            yield about(why="in no state", fate="clear", clear=remove)


def on_fast_files(teardown: Teardown, resource: StateResource) -> Iterator[Holder]:
    """Yield what an FSx file system is busy with: its own change or deletion, tasks, backups being made."""
    fsx, on = teardown.client("fsx"), f"{resource.address} ({resource.id})"
    answer = ask(fsx.describe_file_systems, FileSystemIds=[resource.id]) or {"FileSystems": ()}
    for each in answer["FileSystems"]:
        if each["Lifecycle"] in _CHANGING:
            why = f"FSx says {each['Lifecycle']}"
            yield Holder(kind="FSx file system", id=resource.id, on=on, why=why, fate="wait")
    of_it = [{"Name": "file-system-id", "Values": [resource.id]}]
    for task in fsx.describe_data_repository_tasks(Filters=of_it)["DataRepositoryTasks"]:
        yield from _task(fsx, task, on)
    pages = teardown.look.pages("fsx", "describe_backups", "Backups")
    for each in pages:
        of = each.get("FileSystem", {}).get("FileSystemId")
        if of == resource.id and each["Lifecycle"] in _BACKING_UP:
            why = f"it is still being made ({each['Lifecycle']})"
            yield Holder(kind="FSx backup", id=each["BackupId"], on=on, why=why, fate="wait")


def _task(fsx: Any, task: dict[str, Any], on: str) -> Iterator[Holder]:
    about = partial(Holder, kind="FSx task", id=str(task["TaskId"]), on=on)
    if task["Lifecycle"] in _TASK_AT_WORK:
        cancel = partial(fsx.cancel_data_repository_task, TaskId=task["TaskId"])
        yield about(why="it still copies, and what it copies goes", fate="clear", clear=cancel)
    elif task["Lifecycle"] == "CANCELING":
        yield about(why="it is being cancelled", fate="wait")
