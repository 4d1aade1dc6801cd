"""What holds data: buckets and file systems."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from fleet import aws
from fleet.listings.listed import Item, Link, Listed, Lister, links
from fleet.listings.names import stack_names
from fleet.listings.things import Look, NotLooked, Thing, ask, is_gone, name_of, price, stack_of, tags_of
from stacks import naming

_GOING = ("deleting", "deleted")


def buckets(look: Look) -> Iterator[Listed | NotLooked]:
    """Yield the buckets that bear the organization's name, wherever they are."""
    s3, made = look.client("s3"), stack_names(look, "S3 bucket")
    for item in look.pages("s3", "list_buckets", "Buckets"):
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
        tags = tags_of(answer or {}, "TagSet")
        if answer is None or not look.wants(name, tags, made):
            continue
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
    """Yield the FSx file systems, those of single runs among them."""
    for item in look.pages("fsx", "describe_file_systems", "FileSystems"):
        tags = tags_of(item)
        if item.get("Lifecycle") == "DELETING" or not look.wants("", tags):
            continue
        run, size = (
            tags.get(naming.TAG_RUN),
            f"{item['StorageCapacity']} GiB {item.get('FileSystemType', '')}",
        )
        thing = Thing(
            kind="FSx file system",
            id=item["FileSystemId"],
            name=name_of(item),
            stack=stack_of(item),
            usd_per_hour=price(lustre_price(item), item["StorageCapacity"]),
            created=item.get("CreationTime"),
            note=f"{size} of the run {run}" if run else size,
        )
        places = (
            *links("lies in", "VPC", item.get("VpcId")),
            *links("lies in", "subnet", *item.get("SubnetIds", ())),
        )
        found = _stored(look, item, thing, places)
        yield replace(found, brings=tuple(item.get("NetworkInterfaceIds", ())))


def lustre_price(system: Item) -> str:
    """Return the catalog's name of what a gigabyte of the file system costs."""
    lustre = system.get("LustreConfiguration", {})
    kind = str(lustre.get("DeploymentType", "SCRATCH_2")).lower()
    if kind.startswith("scratch"):
        return "fsx_lustre_scratch"
    speed = lustre.get("PerUnitStorageThroughput", 0)
    return f"fsx_lustre_{kind}_{system.get('StorageType', 'SSD').lower()}_{speed}"


def lustre_backups(look: Look) -> Iterator[Listed]:
    """Yield the backups of FSx file systems, which outlive them; our stacks ask for none."""
    for item in look.pages("fsx", "describe_backups", "Backups"):
        if item.get("Lifecycle") == "DELETED" or not look.wants("", tags_of(item)):
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
    for item in look.pages("efs", "describe_file_systems", "FileSystems"):
        if item.get("LifeCycleState") in _GOING or not look.wants("", tags_of(item)):
            continue
        parts = list(_parts(look, item["FileSystemId"], stack_of(item)))
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


def _parts(look: Look, system: str, stack: str) -> Iterator[Listed]:
    """Yield the parts of a stack's EFS file system; neither kind costs anything, both hold it back."""
    for operation, field, identity, kind in (
        ("describe_mount_targets", "MountTargets", "MountTargetId", "EFS mount target"),
        ("describe_access_points", "AccessPoints", "AccessPointId", "EFS access point"),
    ):
        for item in _of_system(look, operation, field, system):
            if item.get("LifeCycleState") in _GOING:
                continue
            yield Listed(
                thing=Thing(kind=kind, id=item[identity], stack=stack_of(item) or stack, note=f"of {system}"),
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


def _of_system(look: Look, operation: str, field: str, system: str) -> Iterator[Item]:
    """Yield what a listing has of one EFS file system; nothing where that is gone meanwhile."""
    try:
        yield from look.pages("efs", operation, field, FileSystemId=system)
    except Exception as error:
        if not is_gone(error):
            raise


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
