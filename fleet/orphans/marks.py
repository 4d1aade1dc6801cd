"""How something that stays gets the tags of its environment, by which the next look knows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from fleet import aws
from fleet.listings.things import Thing, is_gone, tags_of
from fleet.orphans.judge import Found
from fleet.orphans.removals import Clients
from stacks import naming

_Marking = Callable[[Clients, Thing, list[dict[str, str]]], object]


def tags_for(found: Found) -> dict[str, str]:
    """Return the tags that say what the proof said: whose it is, and by its stack when it is left over."""
    told = {
        naming.TAG_ENVIRONMENT: found.environment,
        naming.TAG_STACK: found.stack,
        naming.TAG_TEAM: found.team,
    }
    return {key: value for key, value in told.items() if value}


def mark(clients: Clients, found: Found) -> str:
    """Give something the tags; return why that failed, "" where it has them or is gone meanwhile."""
    pairs = [{"Key": key, "Value": value} for key, value in tags_for(found).items()]
    try:
        MARKS[found.listed.thing.kind](clients, found.listed.thing, pairs)
    except Exception as error:
        if not aws.is_cloud_error(error):
            raise
        return "" if is_gone(error) else str(error).splitlines()[0]
    return ""


def _of_ec2(clients: Clients, thing: Thing, pairs: list[dict[str, str]]) -> None:
    clients("ec2").create_tags(Resources=[thing.id], Tags=pairs)


def _bucket(clients: Clients, thing: Thing, pairs: list[dict[str, str]]) -> None:
    """A bucket, whose tags are set all at once: those that it has stay."""
    s3 = clients("s3")
    try:
        has = tags_of(s3.get_bucket_tagging(Bucket=thing.id), "TagSet")
    except Exception as error:
        if aws.error_code(error) != "NoSuchTagSet":
            raise
        has = {}
    new = {each["Key"] for each in pairs}
    kept = [{"Key": key, "Value": value} for key, value in has.items() if key not in new]
    s3.put_bucket_tagging(Bucket=thing.id, Tagging={"TagSet": [*kept, *pairs]})


def _elastic(clients: Clients, thing: Thing, pairs: list[dict[str, str]]) -> None:
    clients("efs").tag_resource(ResourceId=thing.id, Tags=pairs)


def _lustre(clients: Clients, thing: Thing, pairs: list[dict[str, str]]) -> None:
    fsx = clients("fsx")
    (found,) = fsx.describe_file_systems(FileSystemIds=[thing.id])["FileSystems"]
    fsx.tag_resource(ResourceARN=found["ResourceARN"], Tags=pairs)


def _backup(clients: Clients, thing: Thing, pairs: list[dict[str, str]]) -> None:
    fsx = clients("fsx")
    (found,) = fsx.describe_backups(BackupIds=[thing.id])["Backups"]
    fsx.tag_resource(ResourceARN=found["ResourceARN"], Tags=pairs)


_KINDS_OF_EC2 = ("EBS volume", "EBS snapshot", "machine image", "security group", "subnet", "VPC")
MARKS: Final[Mapping[str, _Marking]] = {
    **dict.fromkeys(_KINDS_OF_EC2, _of_ec2),
    "S3 bucket": _bucket,
    "EFS file system": _elastic,
    "FSx file system": _lustre,
    "FSx backup": _backup,
}
"""Kind -> how it is tagged, of what may stay without a tag of its own; parts of these hang on them."""
