"""What a team's runs may do in the cloud under Slurm: a role for each team, which the nodes lend to its runs.

A node's own role is for all who share the machine: with it one reads every team's runs and the cluster's
key. So the teams' programs never get it (node/metadata/rule.py closes the way there). What runs need,
their batch step and their runners among it, they do as their team's role; node/metadata/ takes it on for
them.
"""

from __future__ import annotations

from typing import Any

from stacks import naming
from stacks.account import AccountSpec
from stacks.aws.generated import iam
from stacks.aws.layer import Ref
from stacks.cdk import Stack
from stacks.cluster_permissions import PACKAGES
from stacks.environment import EnvironmentSpec
from stacks.environment_people import own_runs
from stacks.place import Place
from stacks.policies import policy, statement
from stacks.roles import Storage, environment_boundary
from stacks.storage import storage_key

_OWN_RUNS = 0
"""The first pattern of what the own team has below `runs/`; the others are records that the head makes."""


def add_run_roles(
    stack: Stack, account: AccountSpec, spec: EnvironmentSpec, place: Place, storage: Storage, node_role: Ref
) -> None:
    """Add the role of each team's runs to the base stack; none without Slurm. `node_role` is an ARN."""
    if not spec.scheduler.is_slurm:
        return
    for team in ("", *spec.further_teams):
        address = f"{naming.ROLE_RUN}_{team}" if team else naming.ROLE_RUN
        trust = statement("Nodes", principal={"AWS": node_role}, actions=["sts:AssumeRole"])
        made = iam.IamRole(
            stack,
            address,
            name=naming.run_role(spec.name, team, spec.region),
            description=f"What the runs of the team {team or spec.own_team} may on {spec.name}",
            assume_role_policy=policy(trust),
            permissions_boundary=environment_boundary(account, place),
        )
        statements = run_statements(spec, storage, team)
        iam.IamRolePolicy(stack, address, name="fleetform", role=made.id, policy=policy(*statements))


def run_statements(spec: EnvironmentSpec, storage: Storage, team: str) -> list[dict[str, Any]]:
    """Return what runs of a team may do, "" for the environment's own: with that team's runs and no others.

    They read datasets and packages, as every team may, and nothing of the cluster's.
    """
    artifacts = storage.bucket_arn
    ids = f"{team}-*" if team else own_runs(spec)[_OWN_RUNS]
    runs = f"{artifacts}/runs/{ids}"
    mounts = [f"{artifacts}/{storage_key(spec)}"] if storage_key(spec) else []
    listed = [f"runs/{ids}", f"{PACKAGES}/*"]
    return [
        # Without the right to list it, S3 refuses to say of an object that it is not there.
        statement(
            "ListOwn",
            actions=["s3:ListBucket"],
            resources=[artifacts],
            conditions={"StringLike": {"s3:prefix": listed}},
        ),
        statement(
            "Read",
            actions=["s3:GetObject"],
            resources=[runs, f"{artifacts}/{PACKAGES}/*", *mounts, f"{storage.datasets_arn}/*"],
        ),
        statement(
            "Write",
            # The lifecycle rule knows checkpoints by their tag.
            actions=["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:PutObject", "s3:PutObjectTagging"],
            resources=[runs],
        ),
        statement(
            "Encrypt",
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            resources=[storage.key_arn],
            conditions={"StringEquals": {"kms:ViaService": f"s3.{spec.region}.amazonaws.com"}},
        ),
    ]
