"""Slurm's packages: can machines that reach no package source install what their image lacks?"""

from __future__ import annotations

from collections.abc import Iterator

from fleet import aws
from fleet.preflights.case import LiveCase
from stacks import naming
from stacks.problems import Problem

_FOLDER = "packages/slurm/"
"""Where machines look for packages of Slurm in the artifact bucket, before any package source."""
_QUESTION = "the packages of Slurm in the artifact bucket"


def machines_can_install_slurm(case: LiveCase) -> Iterator[Problem]:
    """Machines without a way out find the packages of Slurm in the artifact bucket, if their image lacks it.

    Machines of an embedded cloud use what the computer has.
    """
    spec = case.spec
    if not spec.scheduler.is_slurm or spec.network.reaches_out or case.cloud.endpoint is not None:
        return
    bucket = naming.artifact_bucket(case.account.organization, spec.name, spec.region)
    if not case.ask(_QUESTION, "s3:ListBucket", lambda: _are_there(case, bucket)):
        yield case.problem(
            "scheduler.kind",
            f"machines reach no package source, and s3://{bucket}/{_FOLDER} holds no package of Slurm: they "
            "join the cluster only if their image has it",
            "put Debian's packages of Slurm there (docs/cluster.md), take an image that has it, let nodes "
            'out (`network.nat`), or set `kind` to "plain"',
        )


def _are_there(case: LiveCase, bucket: str) -> bool:
    try:
        answer = case.client("s3").list_objects_v2(Bucket=bucket, Prefix=_FOLDER, MaxKeys=20)
    except Exception as error:
        if aws.error_code(error) != "NoSuchBucket":
            raise
        return False
    return any(str(each["Key"]).endswith(".deb") for each in answer.get("Contents", ()))
