"""The last export of a linked file system before it is destroyed: what is not in the bucket by then is lost.

FSx writes `/results` back by itself, but some time after a file was closed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from fleet import aws
from fleet.session import Session
from fleet.terraform_events import ProgressEvent, Report
from fleet.terraform_state import StateResource
from stacks import naming
from stacks.problems import Problem, UserError

_EXPORT_SECONDS = 3600.0
_PAUSE = 2.0
_RESULTS = "/results"


def export_results(
    session: Session, report: Report, going: Iterable[StateResource], anyway: str | None
) -> list[str]:
    """Export the results of the linked file systems among what is going to be destroyed.

    Raises UserError where some could not be exported, unless `anyway` gives a reason; returns what was
    overridden.
    """
    problems = [
        Problem(
            what=f"the results on the file system {each.id} could not all be written back: {why}",
            do="look at what is on it, or say --anyway REASON, which gives them up",
        )
        for each in going
        if each.kind == "aws_fsx_lustre_file_system"
        for why in _export(session, report, each.id)
    ]
    if problems and not anyway:
        raise UserError(problems)
    return [problem.what for problem in problems]


def _export(session: Session, report: Report, system: str) -> Iterator[str]:
    """Export, and yield why that failed; nothing where it is not linked, not there, or going already.

    One that is being deleted was exported by the teardown that began it, and takes no task any more.
    """
    fsx = session.client("fsx")
    try:
        (found,) = fsx.describe_file_systems(FileSystemIds=[system])["FileSystems"]
        if found["Lifecycle"] == "DELETING":
            return
        asked = [{"Name": "file-system-id", "Values": [system]}]
        links = fsx.describe_data_repository_associations(Filters=asked)["Associations"]
        if all(link.get("FileSystemPath") != _RESULTS for link in links):
            return
        text = f"exporting the results of {system}"
        report(ProgressEvent(kind="note", stack=session.spec.name, text=text))
        task = (
            _under_way(fsx, system)
            or fsx.create_data_repository_task(
                Type="EXPORT_TO_REPOSITORY",
                FileSystemId=system,
                Paths=[_RESULTS.strip("/")],
                Report={"Enabled": False},
                Tags=[{"Key": naming.TAG_ENVIRONMENT, "Value": session.spec.name}],
            )["DataRepositoryTask"]["TaskId"]
        )
        yield from _wait(fsx, task)
    except Exception as error:
        if not aws.is_cloud_error(error):
            raise
        if aws.error_code(error) != "FileSystemNotFound":
            yield str(error).splitlines()[0]


def _under_way(fsx: Any, system: str) -> str:
    """Return the export that a killed teardown had begun and that has yet to start, "" where there is none.

    One that copies already may have passed by what was written since.
    """
    waiting = [
        {"Name": "file-system-id", "Values": [system]},
        {"Name": "task-lifecycle", "Values": ["PENDING"]},
    ]
    tasks = fsx.describe_data_repository_tasks(Filters=waiting)["DataRepositoryTasks"]
    wanted = {"Type": "EXPORT_TO_REPOSITORY", "Paths": [_RESULTS.strip("/")]}
    return next((str(each["TaskId"]) for each in tasks if wanted.items() <= each.items()), "")


def _wait(fsx: Any, task: str) -> Iterator[str]:
    """Wait for the task, and yield why it did not succeed."""
    deadline = time.monotonic() + _EXPORT_SECONDS
    while True:
        found = fsx.describe_data_repository_tasks(TaskIds=[task])["DataRepositoryTasks"][0]
        lifecycle = found["Lifecycle"]
        if lifecycle == "SUCCEEDED":
            return
        if lifecycle in ("FAILED", "CANCELED"):
            yield found.get("FailureDetails", {}).get("Message", f"FSx says {lifecycle}")
            return
        if time.monotonic() > deadline:
            yield f"FSx still says {lifecycle} after {_EXPORT_SECONDS / 60:g} minutes"
            return
        time.sleep(_PAUSE)
