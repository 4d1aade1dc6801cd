"""What a file system needs before it can be made, and what must be safe before it is destroyed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet.final_export import export_results
from fleet.project import Project
from fleet.service_roles import ensure_service_roles
from fleet.session import Session
from fleet.terraform_events import ProgressEvent, quiet
from fleet.terraform_state import StateResource
from stacks.account import load_account
from stacks.environment import load_environment
from stacks.problems import UserError
from tests.spec_files import ACCOUNT, environment_text, write_folder

FAST = StateResource(address="aws_fsx_lustre_file_system.fast", kind="aws_fsx_lustre_file_system", id="fs-1")
OTHER = StateResource(address="aws_vpc.main", kind="aws_vpc", id="vpc-1")


class _Cloud:
    """FSx and IAM, as far as they are asked here."""

    def __init__(self, *, linked: bool = True, ends: str = "SUCCEEDED", role: str = "") -> None:
        self.linked, self.ends, self.role = linked, ends, role
        self.exports, self.looks = list[dict[str, Any]](), 0

    def describe_file_systems(self, **request: Any) -> Any:
        return {"FileSystems": [{"Lifecycle": "AVAILABLE"}]}

    def describe_data_repository_associations(self, **request: Any) -> Any:
        paths = ["/datasets", "/results"] if self.linked else []
        return {"Associations": [{"FileSystemPath": path} for path in paths]}

    def create_data_repository_task(self, **request: Any) -> Any:
        self.exports.append(request)
        return {"DataRepositoryTask": {"TaskId": "task-1"}}

    def describe_data_repository_tasks(self, **request: Any) -> Any:
        if "Filters" in request:
            return {"DataRepositoryTasks": []}
        self.looks += 1
        failure = {"FailureDetails": {"Message": "2 of 3 files"}} if self.ends == "FAILED" else {}
        state = self.ends if self.looks > 1 else "EXECUTING"
        return {"DataRepositoryTasks": [{"Lifecycle": state, **failure}]}

    def create_service_linked_role(self, **request: Any) -> Any:
        if request != {"AWSServiceName": "fsx.amazonaws.com"}:
            return  # a fleet that grows with the queue has other services' roles made
        self.looks += 1
        if self.role:
            raise ClientError({"Error": {"Code": self.role, "Message": "no"}}, "CreateServiceLinkedRole")


def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cloud: _Cloud, text: str = "") -> Session:
    """Return the session of an environment in that cloud."""
    folder = write_folder(tmp_path, ACCOUNT, vision=environment_text() + text)
    spec = load_environment(folder / "vision.toml")
    session = Session(Project(tmp_path, tmp_path), None, load_account(folder), spec)  # type: ignore[arg-type]
    monkeypatch.setattr(Session, "client", lambda self, service: cloud)
    monkeypatch.setattr("fleet.final_export._PAUSE", 0.0)
    return session


def test_results_are_exported_before_their_file_system_is_destroyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = _Cloud()
    assert export_results(opened(tmp_path, monkeypatch, cloud), quiet, [OTHER, FAST], None) == []
    (export,) = cloud.exports
    assert (export["Type"], export["FileSystemId"], export["Paths"]) == (
        "EXPORT_TO_REPOSITORY",
        "fs-1",
        ["results"],
    )
    assert cloud.looks == 2, "it is waited for"


def test_results_that_could_not_be_exported_are_given_up_for_a_reason_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = opened(tmp_path, monkeypatch, _Cloud(ends="FAILED"))
    with pytest.raises(UserError, match=r"fs-1 could not all be written back: 2 of 3 files"):
        export_results(session, quiet, [FAST], None)
    (overridden,) = export_results(session, quiet, [FAST], "they are elsewhere")
    assert "fs-1" in overridden


def test_a_file_system_that_is_linked_to_nothing_is_not_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = _Cloud(linked=False)
    assert export_results(opened(tmp_path, monkeypatch, cloud), quiet, [FAST], None) == []
    assert cloud.exports == []


@pytest.mark.parametrize(
    ("text", "role", "asked", "told"),
    [
        ("", "", 0, 0),
        ("[fsx]\nrun_max_gib = 1200\n", "", 1, 0),
        ("[fsx]\nrun_max_gib = 1200\n", "InvalidInput", 1, 0),
        ('[fsx]\nkind = "scratch"\n', "AccessDenied", 1, 1),
    ],
)
def test_fsx_has_its_role_before_a_head_node_asks_for_a_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, role: str, asked: int, told: int
) -> None:
    cloud, events = _Cloud(role=role), list[ProgressEvent]()
    ensure_service_roles(opened(tmp_path, monkeypatch, cloud, text), events.append)
    assert (cloud.looks, len(events)) == (asked, told)
