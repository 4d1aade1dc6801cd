"""Where data lies: buckets and file systems."""

from __future__ import annotations

from collections.abc import Iterator

from fleet import aws
from fleet.sweepers.things import Look, Sweeper, Thing, ask, name_of, price, stack_of, tags_of
from stacks import naming


def buckets(look: Look) -> Iterator[Thing]:
    """Yield the buckets with the environment's tag, or with its name and no tag."""
    s3 = look.client("s3")
    made = naming.artifact_bucket(look.organization, look.environment, look.region)
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
        if look.owns(name, tags, (made,)):
            yield Thing(
                kind="S3 bucket",
                id=name,
                stack=tags.get(naming.TAG_STACK, ""),
                usd_per_hour=None,
                created=each.get("CreationDate"),
                note="costs by what is in it",
            )


def lustre(look: Look) -> Iterator[Thing]:
    """Yield the FSx file systems with the environment's tag; our stacks make none."""
    for each in look.pages("fsx", "describe_file_systems", "FileSystems"):
        if each.get("Lifecycle") != "DELETING" and look.owns(name_of(each), tags_of(each)):
            yield Thing(
                kind="FSx file system",
                id=each["FileSystemId"],
                name=name_of(each),
                stack=stack_of(each),
                usd_per_hour=price("fsx_lustre_scratch", each["StorageCapacity"]),
                created=each.get("CreationTime"),
                note=f"{each['StorageCapacity']} GiB {each.get('FileSystemType', '')}",
            )


def elastic(look: Look) -> Iterator[Thing]:
    """Yield the EFS file systems with the environment's tag; our stacks make none."""
    for each in look.pages("efs", "describe_file_systems", "FileSystems"):
        if each.get("LifeCycleState") not in ("deleting", "deleted") and look.owns(
            each.get("Name", ""), tags_of(each)
        ):
            gigabytes = each.get("SizeInBytes", {}).get("Value", 0) / 1e9
            yield Thing(
                kind="EFS file system",
                id=each["FileSystemId"],
                name=each.get("Name", ""),
                stack=stack_of(each),
                usd_per_hour=price("efs_standard", gigabytes),
                created=each.get("CreationTime"),
            )


SWEEPERS = (
    Sweeper(title="S3 buckets", covers=("s3:",), look=buckets),
    Sweeper(title="FSx file systems", covers=("fsx:file-system",), look=lustre),
    Sweeper(title="EFS file systems", covers=("elasticfilesystem:file-system",), look=elastic),
)
