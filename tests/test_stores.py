"""Stores at a teardown: what is to be retained stops it and stays with its key, what is left is found."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet.artifacts import empty, holds_objects
from fleet.bootstrap import ensure_account
from fleet.cloud import Cloud
from fleet.project import Project
from fleet.run_file_systems import delete_idle
from fleet.session import Session
from fleet.stores import find_kept
from fleet.sweep import sweep
from fleet.teardown import down
from fleet.terraform_events import quiet
from fleet.terraform_state import StateResource
from stacks import naming
from stacks.account import load_account
from stacks.environment import load_environment
from stacks.problems import UserError
from tests.sandbox_helpers import admin
from tests.spec_files import ACCOUNT, environment_text, write_folder
from tests.sweep_helpers import open_for_sweeping, tags
from tests.teardown_parts import synthesize_here

pytestmark = pytest.mark.sandbox
NETWORK = ("aws_vpc.main", "aws_subnet.private_0", "aws_security_group.storage")
BASE = (
    "aws_efs_access_point.shared",
    "aws_efs_file_system.shared",
    "aws_efs_file_system_policy.shared",
    "aws_efs_mount_target.shared_0",
    "aws_fsx_data_repository_association.results",
    "aws_fsx_lustre_file_system.fast",
    "aws_iam_role.head",
    "aws_kms_alias.main",
    "aws_kms_key.main",
    "aws_nat_gateway.public_0",
    "aws_s3_bucket.artifacts",
    "aws_s3_bucket.datasets",
    "aws_s3_bucket_policy.artifacts",
    "aws_s3_bucket_policy.datasets",
    *NETWORK,
    "aws_vpc_endpoint.ssm",
    "aws_vpc_security_group_ingress_rule.lustre_988",
)


@pytest.fixture
def session(sandbox: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Return the session of the environment `sweep`, of which nothing exists yet."""
    yield open_for_sweeping(sandbox, tmp_path, monkeypatch)
    admin(sandbox, "DELETE", "faults")


@pytest.fixture
def declared(sandbox: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Return the session of an environment `vision` that is declared, in an account of its own."""
    monkeypatch.setattr("fleet.sweep._PAUSES", (0.01, 0.01))
    account = ACCOUNT.replace("acme-ai", f"o{uuid.uuid4().hex[:10]}")
    folder = write_folder(tmp_path, account, vision=environment_text())
    project = Project(root=tmp_path, home=tmp_path / "home")
    session = Session(project, sandbox, load_account(folder), load_environment(folder / "vision.toml"))
    monkeypatch.setattr("fleet.estate.synthesize", synthesize_here)
    ensure_account(session.cloud, session.account)
    return session


def standing(*addresses: str) -> list[StateResource]:
    """Return what a state says of these."""
    return [StateResource(address=each, kind=each.split(".")[0], id=f"id-of-{each}") for each in addresses]


def kept_of(session: Session, *addresses: str) -> list[str]:
    """Return which of the base's resources a teardown would leave standing."""
    resources = standing(*addresses)
    stores = find_kept(session, resources)
    return [each.address for each in resources if any(store.keeps(each) for store in stores)]


def with_settings(session: Session, **tables: dict[str, Any]) -> Session:
    """Return the session of the environment with other settings in these tables."""
    changed = {name: getattr(session.spec, name).model_copy(update=values) for name, values in tables.items()}
    spec = session.spec.model_copy(update=changed)
    return Session(session.project, session.cloud, session.account, spec)


def test_a_bucket_with_data_stays_with_its_settings_and_the_key_and_without_the_other(
    session: Session,
) -> None:
    bucket = naming.dataset_bucket("run-tests", "sweep", "us-east-1")
    s3 = session.client("s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="abc/d.bin", Body=b"x")
    buckets = [each for each in BASE if each.startswith(("aws_s3", "aws_kms", "aws_iam"))]
    try:
        assert kept_of(session, *buckets) == [
            "aws_kms_alias.main",
            "aws_kms_key.main",
            "aws_s3_bucket.datasets",
            "aws_s3_bucket_policy.datasets",
        ]
        assert kept_of(with_settings(session, datasets={"on_teardown": "delete"}), *buckets) == []
        assert empty(session, bucket) == 1 and not holds_objects(session, bucket)
    finally:
        s3.delete_bucket(Bucket=bucket)
    assert kept_of(session, *buckets) == [], "an empty or missing bucket is nothing to keep"


def test_a_shared_file_system_stays_without_its_mount_targets(session: Session) -> None:
    only = with_settings(session, fsx={"on_teardown": "delete"})
    assert kept_of(only, *BASE) == [
        "aws_efs_file_system.shared",
        "aws_efs_file_system_policy.shared",
        "aws_kms_alias.main",
        "aws_kms_key.main",
    ]


def test_a_fast_file_system_keeps_the_network_that_it_cannot_leave_but_nothing_that_costs(
    session: Session,
) -> None:
    kept = kept_of(with_settings(session, efs={"on_teardown": "delete"}), *BASE)
    assert set(NETWORK) <= set(kept) and "aws_fsx_lustre_file_system.fast" in kept
    assert not {"aws_nat_gateway.public_0", "aws_vpc_endpoint.ssm", "aws_iam_role.head"} & set(kept)


def test_a_base_with_file_systems_to_be_retained_is_not_torn_down(declared: Session) -> None:
    resources = [
        {
            "mode": "managed",
            "type": kind,
            "name": name,
            "instances": [{"attributes": {"id": f"fs-{name}"}}],
        }
        for kind, name in (("aws_efs_file_system", "shared"), ("aws_fsx_lustre_file_system", "fast"))
    ]
    organization = declared.account.organization
    state = naming.state_bucket(organization, "us-east-1"), naming.state_key("vision-base")
    s3 = declared.client("s3")
    s3.put_object(
        Bucket=state[0], Key=state[1], Body=json.dumps({"version": 4, "resources": resources}).encode()
    )
    try:
        with pytest.raises(UserError) as caught:
            down(declared, quiet, base=True)
    finally:
        s3.delete_object(Bucket=state[0], Key=state[1])
    found = {problem.path: problem.what for problem in caught.value.problems}
    assert found == {
        "efs.on_teardown": "the shared file system fs-shared holds files, which are to be retained",
        "fsx.on_teardown": "the fast file system fs-fast holds files, which are to be retained",
    }


def test_file_systems_are_found_with_their_parts_and_what_they_cost(session: Session) -> None:
    ec2, efs, fsx = (session.client(name) for name in ("ec2", "efs", "fsx"))
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    shared = efs.create_file_system(CreationToken="sweep-shared", Tags=tags())["FileSystemId"]
    target = efs.create_mount_target(FileSystemId=shared, SubnetId=subnet)["MountTargetId"]
    point = efs.create_access_point(FileSystemId=shared, Tags=tags())["AccessPointId"]
    lustre = {"DeploymentType": "PERSISTENT_2", "PerUnitStorageThroughput": 250}
    common = {"FileSystemType": "LUSTRE", "SubnetIds": [subnet]}
    fast = fsx.create_file_system(**common, StorageCapacity=2400, LustreConfiguration=lustre, Tags=tags())[
        "FileSystem"
    ]["FileSystemId"]
    own = fsx.create_file_system(
        **common,
        StorageCapacity=1200,
        LustreConfiguration={"DeploymentType": "SCRATCH_2"},
        Tags=[*tags(), {"Key": naming.TAG_RUN, "Value": "20260101-run"}],
    )["FileSystem"]["FileSystemId"]
    backup = fsx.create_backup(FileSystemId=fast, Tags=tags())["Backup"]["BackupId"]
    try:
        found = sweep(session)
        by_id = {thing.id: thing for thing in found.things}
        assert found.not_looked == () and set(by_id) == {shared, target, point, fast, own, backup}
        assert by_id[fast].usd_per_hour == pytest.approx(2400 * 0.21 / 730)
        assert by_id[own].usd_per_hour == pytest.approx(1200 * 0.14 / 730)
        assert by_id[own].note == "1200 GiB LUSTRE of the run 20260101-run"
        assert by_id[backup].usd_per_hour is None
        assert {by_id[each].kind for each in (target, point)} == {"EFS mount target", "EFS access point"}
    finally:
        fsx.delete_backup(BackupId=backup)
        for each in (fast, own):
            fsx.delete_file_system(FileSystemId=each)
        efs.delete_mount_target(MountTargetId=target)
        efs.delete_access_point(AccessPointId=point)
        efs.delete_file_system(FileSystemId=shared)


def test_a_teardown_deletes_what_single_runs_left_once_nothing_speaks_against_it(declared: Session) -> None:
    fsx, ec2 = declared.client("fsx"), declared.client("ec2")
    made = fsx.create_file_system(
        FileSystemType="LUSTRE",
        StorageCapacity=1200,
        SubnetIds=[ec2.describe_subnets()["Subnets"][0]["SubnetId"]],
        Tags=[*tags("vision", "vision-fleet"), {"Key": naming.TAG_RUN, "Value": "20260101-run"}],
    )["FileSystem"]["FileSystemId"]
    receipt, _ = down(declared, quiet, base=False)
    assert receipt.left == () and receipt.not_looked == ()
    assert declared.ledger.entries()[-1]["details"]["run_file_systems"] == {made: "20260101-run"}
    assert made not in [each["FileSystemId"] for each in fsx.describe_file_systems()["FileSystems"]]


class _BusyFsx:
    """FSx with a file system that a task goes on on, until two looks after it was cancelled."""

    def __init__(self) -> None:
        self.cancelled, self.looks, self.deleted = list[str](), 0, False

    def describe_data_repository_tasks(self, **request: Any) -> Any:
        self.looks += 1
        return {"DataRepositoryTasks": [] if self.looks > 2 else [{"TaskId": "task-1"}]}

    def cancel_data_repository_task(self, **request: Any) -> None:
        if self.cancelled:
            raise ClientError({"Error": {"Code": "DataRepositoryTaskEnded", "Message": "over"}}, "Cancel")
        self.cancelled.append(request["TaskId"])

    def delete_file_system(self, **request: Any) -> None:
        if self.looks <= 2:
            raise ClientError({"Error": {"Code": "BadRequest", "Message": "a task is executing"}}, "Delete")
        self.deleted = True


def test_a_teardown_ends_the_tasks_of_a_runs_file_system_before_it_deletes_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fleet.run_file_systems._PAUSE", 0.0)
    fsx = _BusyFsx()
    delete_idle(fsx, "fs-1", time.monotonic() + 60)
    assert fsx.cancelled == ["task-1"] and fsx.deleted
