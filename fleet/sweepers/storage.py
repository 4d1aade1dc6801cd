"""Where data lies: buckets and file systems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fleet import aws
from fleet.sweepers.things import Look, Sweeper, Thing, ask, name_of, price, stack_of, tags_of
from stacks import naming


def buckets(look: Look) -> Iterator[Thing]:
    """Yield the buckets with the environment's tag, or with one of its names and no tag."""
    s3 = look.client("s3")
    names = (look.organization, look.environment, look.region)
    made = (naming.artifact_bucket(*names), naming.dataset_bucket(*names))
    for each in s3.list_buckets()["Buckets"]:
        name = each["Name"]
        if not name.startswith(f"{look.organization}-"):
            continue
        try:
            answer = ask(s3.get_bucket_tagging, Bucket=name)
        except Exception as error:
            if aws.error_code(error) != "NoSuchTagSet":
                raise
            answer = {}
        if answer is None:
            continue
        tags = tags_of(answer, "TagSet")
        if look.owns(name, tags, made):
            yield Thing(
                kind="S3 bucket",
                id=name,
                stack=tags.get(naming.TAG_STACK, ""),
                usd_per_hour=None,
                created=each.get("CreationDate"),
                note="costs by what is in it",
            )


def lustre(look: Look) -> Iterator[Thing]:
    """Yield the FSx file systems with the environment's tag, those of single runs among them."""
    for each in look.pages("fsx", "describe_file_systems", "FileSystems"):
        tags = tags_of(each)
        if each.get("Lifecycle") != "DELETING" and look.owns(name_of(each), tags):
            run = tags.get(naming.TAG_RUN)
            size = f"{each['StorageCapacity']} GiB {each.get('FileSystemType', '')}"
            yield Thing(
                kind="FSx file system",
                id=each["FileSystemId"],
                name=name_of(each),
                stack=stack_of(each),
                usd_per_hour=price(lustre_price(each), each["StorageCapacity"]),
                created=each.get("CreationTime"),
                note=f"{size} of the run {run}" if run else size,
            )


def lustre_price(system: Mapping[str, Any]) -> str:
    """Return the catalog's name of what a gigabyte of the file system costs."""
    lustre = system.get("LustreConfiguration", {})
    kind = str(lustre.get("DeploymentType", "SCRATCH_2")).lower()
    if kind.startswith("scratch"):
        return "fsx_lustre_scratch"
    speed = lustre.get("PerUnitStorageThroughput", 0)
    return f"fsx_lustre_{kind}_{system.get('StorageType', 'SSD').lower()}_{speed}"


def lustre_backups(look: Look) -> Iterator[Thing]:
    """Yield the backups of FSx file systems, which outlive them; our stacks ask for none."""
    for each in look.pages("fsx", "describe_backups", "Backups"):
        if each.get("Lifecycle") != "DELETED" and look.owns(name_of(each), tags_of(each)):
            system = each.get("FileSystem", {})
            yield Thing(
                kind="FSx backup",
                id=each["BackupId"],
                name=name_of(each),
                stack=stack_of(each),
                usd_per_hour=None,
                created=each.get("CreationTime"),
                note=f"of {system.get('FileSystemId', 'a file system')}, costs by what is in it",
            )


def elastic(look: Look) -> Iterator[Thing]:
    """Yield the EFS file systems with the environment's tag, their mount targets and access points."""
    for each in look.pages("efs", "describe_file_systems", "FileSystems"):
        if each.get("LifeCycleState") in _GOING or not look.owns(each.get("Name", ""), tags_of(each)):
            continue
        system = each["FileSystemId"]
        yield Thing(
            kind="EFS file system",
            id=system,
            name=each.get("Name", ""),
            stack=stack_of(each),
            usd_per_hour=price("efs_standard", each.get("SizeInBytes", {}).get("Value", 0) / 1e9),
            created=each.get("CreationTime"),
        )
        yield from _parts(look, system, stack_of(each))


def _parts(look: Look, system: str, stack: str) -> Iterator[Thing]:
    """Yield what belongs to one EFS file system; neither kind costs anything, both hold it back."""
    for operation, key, identity, kind in (
        ("describe_mount_targets", "MountTargets", "MountTargetId", "EFS mount target"),
        ("describe_access_points", "AccessPoints", "AccessPointId", "EFS access point"),
    ):
        answer = ask(getattr(look.client("efs"), operation), FileSystemId=system)
        for each in (answer or {}).get(key, ()):
            if each.get("LifeCycleState") not in _GOING:
                yield Thing(kind=kind, id=each[identity], stack=stack, note=f"of {system}")


_GOING = ("deleting", "deleted")
SWEEPERS = (
    Sweeper(title="S3 buckets", covers=("s3:",), look=buckets),
    # Links go with their file system, and of a task only the record is left.
    Sweeper(title="FSx file systems", covers=("fsx:file-system", "fsx:association", "fsx:task"), look=lustre),
    Sweeper(title="FSx backups", covers=("fsx:backup",), look=lustre_backups),
    Sweeper(
        title="EFS file systems",
        covers=("elasticfilesystem:file-system", "elasticfilesystem:access-point"),
        look=elastic,
    ),
)
