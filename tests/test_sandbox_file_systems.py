"""File systems of the embedded cloud: shared among nodes that mount them, and linked to buckets."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from fleet.cloud import Cloud
from tests.sandbox_helpers import admin, api, run_instances, run_script, wait_for

pytestmark = pytest.mark.sandbox


def make_lustre(cloud: Cloud, **more: Any) -> str:
    """Make a scratch file system and return its id."""
    subnet = api(cloud, "ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    made = api(cloud, "fsx").create_file_system(
        FileSystemType="LUSTRE",
        StorageCapacity=1200,
        SubnetIds=[subnet],
        LustreConfiguration={"DeploymentType": "SCRATCH_2"},
        **more,
    )
    return str(made["FileSystem"]["FileSystemId"])


def make_bucket(cloud: Cloud, **objects: str) -> str:
    name, s3 = f"linked-{uuid.uuid4().hex[:10]}", api(cloud, "s3")
    s3.create_bucket(Bucket=name)
    for key, text in objects.items():
        s3.put_object(Bucket=name, Key=key.replace("__", "/"), Body=text.encode())
    return name


def link(cloud: Cloud, system: str, path: str, target: str, **more: Any) -> None:
    """Link a folder of the file system to `s3://target` and wait until it is available."""
    fsx = api(cloud, "fsx")
    made = fsx.create_data_repository_association(
        FileSystemId=system, FileSystemPath=path, DataRepositoryPath=f"s3://{target}", **more
    )
    wanted = {"AssociationIds": [made["Association"]["AssociationId"]]}

    def available() -> bool:
        (found,) = fsx.describe_data_repository_associations(**wanted)["Associations"]
        return bool(found["Lifecycle"] == "AVAILABLE")

    wait_for(available)


def folder(home: Path, system: str) -> Path:
    return home / "sandbox" / "file-systems" / system


def export(cloud: Cloud, system: str, path: str) -> dict[str, Any]:
    """Export a folder of the file system and return the task as it ended."""
    fsx = api(cloud, "fsx")
    task = fsx.create_data_repository_task(
        Type="EXPORT_TO_REPOSITORY", FileSystemId=system, Paths=[path], Report={"Enabled": False}
    )["DataRepositoryTask"]

    def ended() -> dict[str, Any] | None:
        (found,) = fsx.describe_data_repository_tasks(TaskIds=[task["TaskId"]])["DataRepositoryTasks"]
        return None if found["Lifecycle"] in ("PENDING", "EXECUTING") else found

    return wait_for(ended)


def test_what_one_node_writes_on_a_mounted_file_system_another_reads(sandbox: Cloud) -> None:
    system = make_lustre(sandbox)
    writer, reader = run_instances(sandbox, 2)
    source = f"{system}.fsx.us-east-1.amazonaws.com@tcp:/fsx"
    mount = (
        f'mkdir -p "$FLEETFORM_ROOT/fsx" && mount -t lustre -o relatime,flock {source} "$FLEETFORM_ROOT/fsx" '
    )
    done = run_script(sandbox, writer, f'{mount} && echo shared > "$FLEETFORM_ROOT/fsx/word"')
    assert done["Status"] == "Success", done
    seen = run_script(sandbox, reader, f'{mount} && cat "$FLEETFORM_ROOT/fsx/word"')
    assert seen["StandardOutputContent"] == "shared\n"
    gone = run_script(sandbox, reader, 'umount -l "$FLEETFORM_ROOT/fsx" && ls "$FLEETFORM_ROOT/fsx"')
    assert (gone["Status"], gone["StandardOutputContent"]) == ("Success", "")
    api(sandbox, "ec2").terminate_instances(InstanceIds=[writer, reader])


def test_a_file_system_that_is_not_there_cannot_be_mounted(sandbox: Cloud) -> None:
    (node,) = run_instances(sandbox, 1)
    script = 'mkdir "$FLEETFORM_ROOT/shared"; mount -t efs -o tls fs-0:/ "$FLEETFORM_ROOT/shared"'
    done = run_script(sandbox, node, script)
    assert done["ResponseCode"] == 32 and "no file system fs-0" in done["StandardErrorContent"]
    api(sandbox, "ec2").terminate_instances(InstanceIds=[node])


def test_a_linked_folder_shows_the_bucket_at_its_creation_and_follows_it(
    sandbox: Cloud, sandbox_home: Path
) -> None:
    bucket, s3 = make_bucket(sandbox, set__a="1", set__b="2", other="3"), api(sandbox, "s3")
    system = make_lustre(sandbox)
    events = {"AutoImportPolicy": {"Events": ["NEW", "CHANGED", "DELETED"]}}
    link(sandbox, system, "/data", f"{bucket}/set/", BatchImportMetaDataOnCreate=True, S3=events)
    data = folder(sandbox_home, system) / "data"
    assert {file.name: file.read_text() for file in data.iterdir()} == {"a": "1", "b": "2"}
    s3.put_object(Bucket=bucket, Key="set/a", Body=b"new")
    s3.delete_object(Bucket=bucket, Key="set/b")
    wait_for(lambda: (data / "a").read_text() == "new" and not (data / "b").exists())
    api(sandbox, "fsx").delete_file_system(FileSystemId=system)
    assert not data.exists()
    assert s3.head_object(Bucket=bucket, Key="set/a")


def test_what_is_written_to_an_exporting_folder_goes_to_the_bucket_by_itself(
    sandbox: Cloud, sandbox_home: Path
) -> None:
    bucket, s3 = make_bucket(sandbox), api(sandbox, "s3")
    system = make_lustre(sandbox)
    events = {"AutoExportPolicy": {"Events": ["NEW", "CHANGED", "DELETED"]}}
    link(sandbox, system, "/results", f"{bucket}/fsx/", S3=events)
    file = folder(sandbox_home, system) / "results" / "deep" / "x"
    file.parent.mkdir(parents=True)
    file.write_text("result")

    def keys() -> list[str]:
        return [each["Key"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]

    wait_for(lambda: keys() == ["fsx/deep/x"])
    file.unlink()
    wait_for(lambda: keys() == [])
    api(sandbox, "fsx").delete_file_system(FileSystemId=system)


def test_an_export_task_copies_what_is_there_and_says_what_it_could_not(
    sandbox: Cloud, sandbox_home: Path
) -> None:
    bucket, s3 = make_bucket(sandbox), api(sandbox, "s3")
    system = make_lustre(sandbox)
    link(sandbox, system, "/results", f"{bucket}/out")
    results = folder(sandbox_home, system) / "results"
    assert results.is_dir(), "FSx makes the folder that it links"
    (results / "good").write_text("g")
    (results / "bad").write_text("b")
    fault = {"service": "s3", "action": "PutObject", "resource": f"{bucket}/out/bad", "code": "AccessDenied"}
    admin(sandbox, "POST", "faults", {**fault, "status": 403})
    try:
        failed = export(sandbox, system, "results")
    finally:
        admin(sandbox, "DELETE", "faults")
    assert failed["Lifecycle"] == "FAILED"
    assert failed["Status"] == {"TotalCount": 2, "SucceededCount": 1, "FailedCount": 1}
    assert export(sandbox, system, "results")["Lifecycle"] == "SUCCEEDED"
    assert s3.get_object(Bucket=bucket, Key="out/bad")["Body"].read() == b"b"
    api(sandbox, "fsx").delete_file_system(FileSystemId=system)


def test_a_backup_that_was_switched_off_is_shown_so_and_a_policy_can_be_taken_away(sandbox: Cloud) -> None:
    efs = api(sandbox, "efs")
    system = efs.create_file_system(CreationToken="backed-up")["FileSystemId"]
    for status in ("ENABLED", "DISABLED"):
        efs.put_backup_policy(FileSystemId=system, BackupPolicy={"Status": status})
        assert efs.describe_backup_policy(FileSystemId=system)["BackupPolicy"]["Status"] == status
    efs.put_file_system_policy(FileSystemId=system, Policy="{}")
    efs.delete_file_system_policy(FileSystemId=system)
    with pytest.raises(efs.exceptions.PolicyNotFound):
        efs.describe_file_system_policy(FileSystemId=system)
    efs.delete_file_system(FileSystemId=system)


def test_the_same_request_makes_one_file_system_and_an_impossible_size_none(sandbox: Cloud) -> None:
    first, second = (make_lustre(sandbox, ClientRequestToken="once") for _ in range(2))
    assert first == second
    fsx = api(sandbox, "fsx")
    with pytest.raises(fsx.exceptions.BadRequest, match="1300"):
        fsx.create_file_system(FileSystemType="LUSTRE", StorageCapacity=1300, SubnetIds=["subnet-00000000"])
    fsx.delete_file_system(FileSystemId=first)
