"""A run's own file system and the lasting ones, on emulated nodes: shared, brought home, never unseen."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet.cloud import Cloud
from fleet.project import Project
from fleet.run_control import settle_all
from fleet.runs import outputs_safe, read_events, read_run
from fleet.submit import new_run_id
from node.config import NodeConfig
from node.lustre import FileSystemError
from node.run_file_system import RunFileSystem
from node.store import Bucket
from sandbox.processes import NODE_VARIABLE, marked
from stacks import naming
from stacks.place import Place
from stacks.policies import policy
from stacks.storage_permissions import run_file_system_statements
from stacks.tags import environment_tags
from tests.run_environment import REGION, RunEnvironment, build
from tests.sandbox_helpers import admin, api, wait_for
from tests.test_node_dispatch import NoLedger, wait_for_end

pytestmark = pytest.mark.sandbox
NAME = "files"
DATA = b"the dataset"
SHARE = """\
echo "rank $FLEETFORM_NODE_RANK" >"$FLEETFORM_FSX_DIR/results/from-$FLEETFORM_NODE_RANK"
echo "seen by all" >>"$FLEETFORM_SHARED_DIR/word-$FLEETFORM_NODE_RANK"
for rank in 0 1; do
  until [ -s "$FLEETFORM_FSX_DIR/results/from-$rank" ] && [ -s "$FLEETFORM_SHARED_DIR/word-$rank" ]; do
    sleep 0.1
  done
done
cat "$FLEETFORM_DATA_DIR/d.bin" "$FLEETFORM_FSX_DIR"/results/from-*
"""


@pytest.fixture(scope="module")
def lab(sandbox: Cloud, sandbox_home: Path) -> Iterator[RunEnvironment]:
    """A head and two nodes, a shared file system, and leave for runs to have one of their own."""
    environment = build(sandbox, Project(root=sandbox_home, home=sandbox_home), NAME, nodes=2)
    shared = api(sandbox, "efs").create_file_system(CreationToken=NAME)["FileSystemId"]
    storage = {
        "mounts": [{"kind": "efs", "at": "/shared", "file_system": shared, "access_point": "fsap-0"}],
        "run_file_systems": {
            "max_gib": 2400,
            "security_group_id": "sg-00000000",
            "tags": environment_tags(environment.session.spec, f"{NAME}-fleet"),
        },
    }
    store = environment.store
    store.s3.put_object(Bucket=store.bucket, Key="node/storage.json", Body=json.dumps(storage).encode())
    store.s3.put_object(Bucket=environment.outputs.dataset_bucket, Key="abc/d.bin", Body=DATA)
    _give_rights(environment)
    yield environment
    environment.remove()


def _give_rights(environment: RunEnvironment) -> None:
    """Give the head what the base stack gives it where a run may have a file system."""
    fsx = environment.session.spec.fsx.model_copy(update={"run_max_gib": 2400})
    spec = environment.session.spec.model_copy(update={"fsx": fsx})
    place = Place(partition="aws", region=REGION, account_id="123456789012")
    buckets = (
        f"arn:aws:s3:::{environment.store.bucket}",
        f"arn:aws:s3:::{environment.outputs.dataset_bucket}",
    )
    iam = environment.session.client("iam")
    document = policy(*run_file_system_statements(spec, place, *buckets))
    for role in iam.list_roles()["Roles"]:
        if role["RoleName"] == f"{NAME}-head-{REGION}":
            iam.put_role_policy(
                RoleName=role["RoleName"], PolicyName="run-file-systems", PolicyDocument=document
            )


def start(environment: RunEnvironment, script: str, nodes: int = 1, fsx_gib: int = 1200) -> str:
    """Start a run of a bare shell script with a file system of its own."""
    run_id, store = new_run_id(), environment.store
    files = [{"name": "d.bin", "size": len(DATA), "sha256": hashlib.sha256(DATA).hexdigest()}]
    run = {
        "run_id": run_id, "environment": NAME, "fleet": "gpu", "recipe": "", "script": "test.sh",
        "nodes": nodes, "procs_per_node": 1, "max_minutes": 5, "price_usd_per_hour": 3.6,
        "code": None, "dataset": {"name": "d", "sha256": "abc", "files": files}, "actor": "tests",
        "submitted": "2026-01-01T00:00:00.000Z", "fsx_gib": fsx_gib, "fsx_usd_per_gib_hour": 0.001,
    }  # fmt: skip
    store.s3.put_object(Bucket=store.bucket, Key=f"runs/{run_id}/launch.sh", Body=script.encode())
    store.put(run_id, "run.json", run)
    head = environment.instances("head")[0]
    answer = store.ssm.send_command(
        DocumentName=environment.outputs.run_document, InstanceIds=[head], Parameters={"RunId": [run_id]}
    )
    submission = {"instance_id": head, "command_id": answer["Command"]["CommandId"]}
    store.put(run_id, "submission.json", submission)
    return run_id


def standing(environment: RunEnvironment) -> list[str]:
    """Return the runs whose file systems stand."""
    found = environment.session.client("fsx").describe_file_systems()["FileSystems"]
    tags = [{tag["Key"]: tag["Value"] for tag in each["Tags"]} for each in found if each.get("Tags")]
    return [each["fleetform:run"] for each in tags if each.get(naming.TAG_ENVIRONMENT) == NAME]


def test_two_nodes_share_a_runs_file_system_that_comes_from_s3_and_goes_back_there(
    lab: RunEnvironment,
) -> None:
    run_id = start(lab, SHARE, nodes=2)
    run = wait_for_end(lab, run_id)
    assert run.state == "SUCCEEDED", run.cause
    log = (lab.store.get(run_id, "logs/node-1.log") or b"").decode()
    assert log == f"{DATA.decode()}rank 0\nrank 1\n"
    home = {name: lab.store.get(run_id, f"fsx/{name}") for name in ("from-0", "from-1")}
    assert home == {"from-0": b"rank 0\n", "from-1": b"rank 1\n"}
    assert standing(lab) == [] and outputs_safe(lab.store, run) == []
    said = [event["detail"].get("reason", "") for event in read_events(lab.store, run_id)]
    assert "making a file system of 1200 GiB" in said
    receipt = lab.store.get_json(run_id, "receipt.json") or {}
    own = receipt["file_system"]
    assert (own["state"], own["gib"], own["files"]) == ("deleted", 1200, 2)
    assert own["usd"] == pytest.approx(1.2 * own["seconds"] / 3600, abs=1e-4)
    nodes_usd = receipt["cost"]["node_seconds"] * 3.6 / 3600
    assert receipt["cost"]["usd"] == pytest.approx(nodes_usd + own["usd"], abs=2e-4)


def test_results_that_cannot_be_written_back_are_kept_until_they_can(
    lab: RunEnvironment, sandbox: Cloud
) -> None:
    fault = {"service": "s3", "action": "PutObject", "resource": "/fsx/precious", "code": "AccessDenied"}
    admin(sandbox, "POST", "faults", {**fault, "status": 403})
    try:
        run_id = start(lab, 'echo gold >"$FLEETFORM_FSX_DIR/results/precious"')
        run = wait_for_end(lab, run_id)
    finally:
        admin(sandbox, "DELETE", "faults")
    assert run.state == "FAILED" and "is kept, for its results could not all be written back" in run.cause
    assert standing(lab) == [run_id]
    (unsafe,) = outputs_safe(lab.store, run)
    assert "1 of 1 files could not be exported" in unsafe and run_id in unsafe
    receipt = lab.store.get_json(run_id, "receipt.json") or {}
    assert receipt["file_system"]["state"] == "kept"
    # The next dispatch looks after it.
    wait_for_end(lab, start(lab, "true", fsx_gib=0))
    wait_for(lambda: standing(lab) == [], 30)
    assert lab.store.get(run_id, "fsx/precious") == b"gold\n"
    wait_for(lambda: (lab.store.get_json(run_id, "fsx.json") or {})["state"] == "deleted")
    assert outputs_safe(lab.store, run) == []


def test_a_dispatcher_that_dies_leaves_its_file_system_to_the_next(lab: RunEnvironment) -> None:
    script = 'echo work >"$FLEETFORM_FSX_DIR/results/work"; touch "$FLEETFORM_RUN_DIR/on"; sleep 600'
    run_id = start(lab, script)
    wait_for(lambda: lab.store.get(run_id, "on") is not None, 60)
    head = lab.instances("head")[0]
    for pid in marked(NODE_VARIABLE, head):
        if b"node.dispatch" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    wait_for(
        lambda: [run for run in settle_all(lab.store, NoLedger()) if run.run_id == run_id and not run.active],
        90,
    )
    assert standing(lab) == [run_id]
    assert any(
        "was never written back" in each for each in outputs_safe(lab.store, read_run(lab.store, run_id))
    )
    wait_for_end(lab, start(lab, "true", fsx_gib=0))
    wait_for(lambda: standing(lab) == [], 30)
    assert lab.store.get(run_id, "fsx/work") == b"work\n"


def test_a_run_whose_file_system_fsx_refuses_fails_with_its_word_and_leaves_nothing(
    lab: RunEnvironment, sandbox: Cloud
) -> None:
    fault = {"service": "fsx", "action": "CreateFileSystem", "code": "ServiceLimitExceeded"}
    admin(sandbox, "POST", "faults", {**fault, "message": "the storage quota is used up"})
    try:
        run_id = start(lab, "true")
        run = wait_for_end(lab, run_id)
    finally:
        admin(sandbox, "DELETE", "faults")
    assert run.state == "FAILED" and "the storage quota is used up" in run.cause
    assert "file_system" not in (lab.store.get_json(run_id, "receipt.json") or {})
    assert standing(lab) == [] and lab.store.holders() == set()


def test_a_link_that_fails_takes_the_half_made_file_system_with_it(
    lab: RunEnvironment, sandbox: Cloud
) -> None:
    fault = {"service": "fsx", "action": "CreateDataRepositoryAssociation", "code": "BadRequest", "skip": 1}
    admin(sandbox, "POST", "faults", fault)
    try:
        run = wait_for_end(lab, start(lab, "true"))
    finally:
        admin(sandbox, "DELETE", "faults")
    assert run.state == "FAILED" and "could not be made" in run.cause
    assert standing(lab) == []


def test_a_size_over_the_environments_limit_is_refused_by_the_head_too(lab: RunEnvironment) -> None:
    run = wait_for_end(lab, start(lab, "true", fsx_gib=4800))
    assert (run.state, run.cause) == (
        "FAILED",
        "it asks for a file system of 4800 GiB where 2400 are allowed",
    )


class _Fsx:
    """FSx without capacity: it takes the request, and says later that it could not."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    def create_file_system(self, **request: Any) -> Any:
        return {"FileSystem": {"FileSystemId": "fs-1"}}

    def describe_file_systems(self, **request: Any) -> Any:
        details = {"Message": "insufficient capacity in the zone"}
        return {"FileSystems": [{"Lifecycle": "FAILED", "FailureDetails": details}]}

    def describe_data_repository_tasks(self, **request: Any) -> Any:
        return {"DataRepositoryTasks": []}

    def delete_file_system(self, **request: Any) -> None:
        self.deleted.append(request["FileSystemId"])


class _SlowImport(_Fsx):
    """FSx that has the link at once and shows the objects long after; it deletes nothing while it does."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks, self.tasks, self.refused = looks, dict[str, str](), 0

    def describe_file_systems(self, **request: Any) -> Any:
        lustre = {"MountName": "m"}
        made = {"Lifecycle": "AVAILABLE", "DNSName": "fs-1.fsx", "LustreConfiguration": lustre}
        return {"FileSystems": [made]}

    def create_data_repository_association(self, **request: Any) -> Any:
        return {"Association": {"AssociationId": request["FileSystemPath"]}}

    def describe_data_repository_associations(self, **request: Any) -> Any:
        return {"Associations": [{"Lifecycle": "AVAILABLE"}]}

    def create_data_repository_task(self, **request: Any) -> Any:
        assert (request["Type"], request["Paths"]) == ("IMPORT_METADATA_FROM_REPOSITORY", ["data"])
        self.tasks["task-1"] = "EXECUTING"
        return {"DataRepositoryTask": {"TaskId": "task-1"}}

    def describe_data_repository_tasks(self, **request: Any) -> Any:
        if "TaskIds" in request:
            self.looks -= 1
            if self.looks <= 0:
                self.tasks["task-1"] = "SUCCEEDED"
        living = [
            {"TaskId": task, "Lifecycle": state}
            for task, state in self.tasks.items()
            if "TaskIds" in request or state in ("EXECUTING", "CANCELING")
        ]
        return {"DataRepositoryTasks": living}

    def cancel_data_repository_task(self, **request: Any) -> None:
        self.tasks[request["TaskId"]] = "CANCELING"

    def delete_file_system(self, **request: Any) -> None:
        if "EXECUTING" in self.tasks.values() or self.refused < 2:
            self.refused += 1
            raise ClientError({"Error": {"Code": "BadRequest", "Message": "busy"}}, "DeleteFileSystem")
        super().delete_file_system(**request)


class _EnoughError(Exception):
    """Somebody cancelled the run."""


def own_system(lab: RunEnvironment, root: Path, fsx: _Fsx, run_id: str) -> RunFileSystem:
    """Return the file system of a run that nobody submitted."""
    bucket = Bucket(lab.store.s3, lab.store.bucket)
    config = NodeConfig(NAME, REGION, bucket.name, "d", "head", "", "doc", "", "python3", root)
    settings = {"max_gib": 1200, "security_group_id": "sg-0", "tags": {naming.TAG_ENVIRONMENT: NAME}}
    run = {"run_id": run_id, "fsx_gib": 1200, "nodes": 1, "dataset": None}
    return RunFileSystem(fsx, bucket, config, settings, run)


def test_a_zone_without_capacity_leaves_nothing_half_made(lab: RunEnvironment, tmp_path: Path) -> None:
    fsx = _Fsx()
    with pytest.raises(FileSystemError, match="insufficient capacity in the zone"):
        own_system(lab, tmp_path, fsx, "no-capacity").make("subnet-0", lambda: None)
    assert fsx.deleted == ["fs-1"]
    assert (lab.store.get_json("no-capacity", "fsx.json") or {})["state"] == "deleted"
    lab.store.delete("no-capacity", "fsx.json")


def test_no_node_starts_before_the_file_system_shows_every_object(
    lab: RunEnvironment, tmp_path: Path
) -> None:
    fsx = _SlowImport(looks=3)
    own_system(lab, tmp_path, fsx, "slow").make("subnet-0", lambda: None)
    assert fsx.tasks == {"task-1": "SUCCEEDED"}
    assert (lab.store.get_json("slow", "fsx.json") or {})["state"] == "made"
    lab.store.delete("slow", "fsx.json")


def test_a_run_cancelled_during_the_import_ends_that_before_the_file_system_is_deleted(
    lab: RunEnvironment, tmp_path: Path
) -> None:
    fsx = _SlowImport(looks=1000)

    def give_up() -> None:
        if fsx.tasks:
            raise _EnoughError

    with pytest.raises(_EnoughError):
        own_system(lab, tmp_path, fsx, "enough").make("subnet-0", give_up)
    assert fsx.tasks == {"task-1": "CANCELING"} and fsx.refused == 2 and fsx.deleted == ["fs-1"]
    lab.store.delete("enough", "fsx.json")


def test_a_deletion_that_is_refused_too_hides_not_why_it_came_to_that(
    lab: RunEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.lustre._DELETE_SECONDS", 0.0)
    fsx = _SlowImport(looks=1000)
    fsx.refused = -1000

    def give_up() -> None:
        if fsx.tasks:
            raise _EnoughError

    with pytest.raises(_EnoughError):
        own_system(lab, tmp_path, fsx, "stuck").make("subnet-0", give_up)
    assert fsx.deleted == []
    assert (lab.store.get_json("stuck", "fsx.json") or {})["state"] == "making", "the next dispatch finds it"
    lab.store.delete("stuck", "fsx.json")
