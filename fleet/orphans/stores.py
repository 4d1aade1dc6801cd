"""Everything of an account that holds data: buckets and file systems."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from fleet import aws
from fleet.orphans.listed import Item, Link, Listed, Lister, every, links
from fleet.sweepers.storage import lustre_price
from fleet.sweepers.things import Look, NotLooked, Thing, ask, name_of, price, stack_of, tags_of
from stacks import naming

_GOING = ("deleting", "deleted")


def buckets(look: Look) -> Iterator[Listed | NotLooked]:
    """Yield the buckets that bear the organization's name, wherever they are."""
    s3 = look.client("s3")
    for item in every(look, "s3", "list_buckets", "Buckets"):
        name = item["Name"]
        if not name.startswith(f"{look.organization}-"):
            continue
        try:
            answer = ask(s3.get_bucket_tagging, Bucket=name)
        except Exception as error:
            if not aws.is_cloud_error(error):
                raise
            if aws.error_code(error) != "NoSuchTagSet":
                yield NotLooked(title=f"S3 bucket {name}", why=str(error).splitlines()[0])
                continue
            answer = {}
        if answer is None:
            continue
        tags = tags_of(answer, "TagSet")
        thing = Thing(
            kind="S3 bucket",
            id=name,
            stack=tags.get(naming.TAG_STACK, ""),
            usd_per_hour=None,
            created=item.get("CreationDate"),
            note="costs by what is in it",
        )
        yield Listed(thing=thing, tags=tags, holds_data=True)


def lustre(look: Look) -> Iterator[Listed]:
    """Yield the FSx file systems."""
    for item in every(look, "fsx", "describe_file_systems", "FileSystems"):
        if item.get("Lifecycle") == "DELETING":
            continue
        thing = Thing(
            kind="FSx file system",
            id=item["FileSystemId"],
            name=name_of(item),
            stack=stack_of(item),
            usd_per_hour=price(lustre_price(item), item["StorageCapacity"]),
            created=item.get("CreationTime"),
            note=f"{item['StorageCapacity']} GiB {item.get('FileSystemType', '')}",
        )
        places = (
            *links("lies in", "VPC", item.get("VpcId")),
            *links("lies in", "subnet", *item.get("SubnetIds", ())),
        )
        found = _stored(look, item, thing, places)
        yield replace(found, brings=tuple(item.get("NetworkInterfaceIds", ())))


def lustre_backups(look: Look) -> Iterator[Listed]:
    """Yield the backups of FSx file systems, which outlive them."""
    for item in every(look, "fsx", "describe_backups", "Backups"):
        if item.get("Lifecycle") == "DELETED":
            continue
        system = item.get("FileSystem", {})
        thing = Thing(
            kind="FSx backup",
            id=item["BackupId"],
            name=name_of(item),
            stack=stack_of(item),
            usd_per_hour=None,
            created=item.get("CreationTime"),
            note=f"of {system.get('FileSystemId', 'a file system')}, costs by what is in it",
        )
        yield _stored(look, item, thing, links("is of", "FSx file system", system.get("FileSystemId")))


def elastic(look: Look) -> Iterator[Listed]:
    """Yield the EFS file systems, their mount targets and access points.

    A file system has its mount targets in one VPC, so one in our own network is ours.
    """
    for item in every(look, "efs", "describe_file_systems", "FileSystems"):
        if item.get("LifeCycleState") in _GOING:
            continue
        parts = list(_parts(look, item["FileSystemId"]))
        places = dict.fromkeys(
            Link("is mounted in", link.to) for each in parts for link in each.links if link.to.kind == "VPC"
        )
        thing = Thing(
            kind="EFS file system",
            id=item["FileSystemId"],
            name=item.get("Name", ""),
            stack=stack_of(item),
            usd_per_hour=price("efs_standard", item.get("SizeInBytes", {}).get("Value", 0) / 1e9),
            created=item.get("CreationTime"),
        )
        yield _stored(look, item, thing, tuple(places))
        yield from parts


def _parts(look: Look, system: str) -> Iterator[Listed]:
    """Yield what belongs to one EFS file system; neither kind costs anything, both hold it back."""
    for operation, field, identity, kind in (
        ("describe_mount_targets", "MountTargets", "MountTargetId", "EFS mount target"),
        ("describe_access_points", "AccessPoints", "AccessPointId", "EFS access point"),
    ):
        for item in every(look, "efs", operation, field, FileSystemId=system):
            if item.get("LifeCycleState") in _GOING:
                continue
            yield Listed(
                thing=Thing(kind=kind, id=item[identity], stack=stack_of(item), note=f"of {system}"),
                region=look.region,
                tags=tags_of(item),
                links=(
                    *links("is of", "EFS file system", system),
                    *links("lies in", "VPC", item.get("VpcId")),
                    *links("lies in", "subnet", item.get("SubnetId")),
                ),
                comes_along=True,
                brings=tuple(filter(None, (item.get("NetworkInterfaceId"),))),
            )


def _stored(look: Look, item: Item, thing: Thing, hangs_on: tuple[Link, ...]) -> Listed:
    return Listed(
        thing=thing,
        region=look.region,
        tags=tags_of(item),
        links=hangs_on,
        owner=str(item.get("OwnerId", "")),
        holds_data=True,
    )


EVERYWHERE = (Lister(title="S3 buckets", covers=("s3:",), look=buckets),)
"""Listed once for the account."""
LISTERS = (
    Lister(title="FSx file systems", covers=("fsx:file-system", "fsx:association", "fsx:task"), look=lustre),
    Lister(title="FSx backups", covers=("fsx:backup",), look=lustre_backups),
    Lister(
        title="EFS file systems",
        covers=("elasticfilesystem:file-system", "elasticfilesystem:access-point"),
        look=elastic,
    ),
)
