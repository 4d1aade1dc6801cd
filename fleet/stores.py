"""Where an environment keeps data, and what a teardown of its base leaves standing of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from fleet.artifacts import empty, holds_objects
from fleet.session import Session
from fleet.terraform_state import StateResource
from stacks import naming
from stacks.problems import Problem

RETAIN = "retain"
_KEY = "aws_kms_"
"""What is encrypted is lost without its key."""
_BUCKET = (
    "aws_s3_bucket",
    "aws_s3_bucket_logging",
    "aws_s3_bucket_ownership_controls",
    "aws_s3_bucket_policy",
    "aws_s3_bucket_public_access_block",
    "aws_s3_bucket_server_side_encryption_configuration",
    "aws_s3_bucket_versioning",
)
_LOSES = {
    "aws_s3_bucket": "bucket",
    "aws_efs_file_system": "shared file system",
    "aws_fsx_lustre_file_system": "fast file system",
}
"""What is lost with all that is in it."""
_SHARED = ("aws_efs_file_system", "aws_efs_file_system_policy", "aws_efs_backup_policy")
"""A shared file system needs no mount targets and access points to last: those can be made anew."""
_FAST = (
    "aws_fsx_",
    # It cannot leave the network that it is in: the network stays, but not what costs money in it.
    "aws_vpc.",
    "aws_subnet.",
    "aws_security_group.",
    "aws_vpc_security_group_",
)


@dataclass(frozen=True)
class Kept:
    """A store that holds data and is to be retained."""

    what: str
    """In words: "the bucket x holds objects"."""
    setting: str
    """Path of the setting that says so."""
    prefixes: tuple[str, ...]
    """Beginnings of the addresses of what it consists of in the base stack."""

    def problem(self, session: Session) -> Problem:
        """Return it as a reason against tearing the base down."""
        return Problem(
            what=f"{self.what}, which are to be retained",
            do=f"leave the base standing (without --base), set {self.setting} to delete, or say --anyway "
            "REASON, which tears the rest down and leaves that and its key",
            file=f"environments/{session.spec.name}.toml",
            path=self.setting,
        )

    def keeps(self, resource: StateResource) -> bool:
        """Return whether the resource is part of it."""
        return resource.address.startswith((*self.prefixes, _KEY))


def find_kept(session: Session, base: Iterable[StateResource]) -> list[Kept]:
    """Return the stores that hold data and are to be retained; `base` is what stands of the base stack."""
    return [*_buckets(session), *_file_systems(session, tuple(base))]


def find_lost(session: Session, going: Iterable[StateResource]) -> list[str]:
    """Return, in words, the stores with data among what is going to be destroyed."""
    return [
        f"the {_LOSES[each.kind]} {each.id} with all that is in it"
        for each in going
        if each.kind in _LOSES and (each.kind != "aws_s3_bucket" or holds_objects(session, each.id))
    ]


def _buckets(session: Session) -> Iterator[Kept]:
    names = (session.account.organization, session.spec.name, session.spec.region)
    for table, bucket, wanted in (
        ("artifacts", naming.artifact_bucket(*names), session.spec.artifacts.on_teardown),
        ("datasets", naming.dataset_bucket(*names), session.spec.datasets.on_teardown),
    ):
        if wanted == RETAIN and holds_objects(session, bucket):
            prefixes = tuple(f"{kind}.{table}" for kind in _BUCKET)
            yield Kept(f"the bucket {bucket} holds objects", f"{table}.on_teardown", prefixes)


def _file_systems(session: Session, base: Sequence[StateResource]) -> Iterator[Kept]:
    for kind, title, table, wanted, prefixes in (
        ("aws_efs_file_system", "shared", "efs", session.spec.efs.on_teardown, _SHARED),
        ("aws_fsx_lustre_file_system", "fast", "fsx", session.spec.fsx.on_teardown, _FAST),
    ):
        for each in base:
            if each.kind == kind and wanted == RETAIN:
                what = f"the {title} file system {each.id} holds files"
                yield Kept(what, f"{table}.on_teardown", prefixes)


def empty_buckets(
    session: Session, kept: Iterable[Kept], tell: Callable[[str], None] = lambda text: None
) -> None:
    """Empty the buckets that are not kept, so that they can be deleted; `tell` hears of what takes long."""
    names = (session.account.organization, session.spec.name, session.spec.region)
    settings = {each.setting for each in kept}
    for setting, bucket in (
        ("artifacts.on_teardown", naming.artifact_bucket(*names)),
        ("datasets.on_teardown", naming.dataset_bucket(*names)),
    ):
        if setting not in settings:
            empty(session, bucket, tell)
