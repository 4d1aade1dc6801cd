"""The members of a team that shares an environment: their own runs, their own documents, and nothing else.

Unlike the environment's own members they open no session: on a machine that teams share, a shell would show
what others do. docs/roles.md says what of each other teams still see.
"""

from __future__ import annotations

from typing import Any

from stacks import naming
from stacks.account import AccountSpec
from stacks.budget_rights import budget_statements
from stacks.cdk import Stack
from stacks.cluster_permissions import CLUSTER, PACKAGES
from stacks.environment import EnvironmentSpec
from stacks.environment_people import WATCH, own
from stacks.people_roles import PeopleRole, add_people_role, record_statements
from stacks.place import Place
from stacks.policies import statement
from stacks.roles import Storage, environment_boundary


def add_team_people(
    stack: Stack, account: AccountSpec, spec: EnvironmentSpec, place: Place, storage: Storage
) -> None:
    """Add a member role for each further team that somebody is trusted with, here or for the account."""
    for team in spec.further_teams:
        trusted = spec.scheduler.teams[team].members or account.people.trusted
        if not trusted:
            continue
        role = PeopleRole(
            kind=naming.ROLE_MEMBER,
            address=f"{naming.ROLE_MEMBER}_{team}",
            name=naming.team_role(spec.name, team, spec.region),
            description=f"Runs jobs of the team {team} on {spec.name} and follows them",
            policies={
                "runs": [*_file_statements(spec, storage, team), *_command_statements(spec, place, team)],
                "record": record_statements(account, place),
            },
            boundary=environment_boundary(account, place),
            trusted=trusted,
        )
        add_people_role(stack, account, place, role)


def _file_statements(spec: EnvironmentSpec, storage: Storage, team: str) -> list[dict[str, Any]]:
    artifacts, datasets = storage.bucket_arn, storage.datasets_arn
    runs, held = f"{artifacts}/runs/{team}-*", "runs/.budget/*"
    told = [f"{CLUSTER}/{name}" for name in ("queue.json", "nodes.json", "stats/*")]
    # Without the right to list it, S3 refuses to say of an object that it is not there yet.
    listed = {"StringLike": {"s3:prefix": [f"runs/{team}-*", held, *told, f"{PACKAGES}/*"]}}
    return [
        statement("ListOwn", actions=["s3:ListBucket"], resources=[artifacts], conditions=listed),
        statement("ListData", actions=["s3:ListBucket"], resources=[datasets]),
        statement(
            "Read",
            actions=["s3:GetObject"],
            resources=[
                runs,
                f"{artifacts}/{held}",
                f"{artifacts}/runs/.speedup/*",
                *(f"{artifacts}/{each}" for each in told),
                f"{artifacts}/{PACKAGES}/*",
                f"{datasets}/*",
            ],
        ),
        statement(
            "Write",
            actions=["s3:AbortMultipartUpload", "s3:PutObject"],
            resources=[runs, f"{artifacts}/{held}", f"{artifacts}/{PACKAGES}/python/*", f"{datasets}/*"],
        ),
        # What was uploaded for a run that did not start is taken away again; old versions stay.
        statement("TakeBack", actions=["s3:DeleteObject"], resources=[runs]),
        statement(
            "Encrypt",
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            resources=[storage.key_arn],
            conditions={"StringEquals": {"kms:ViaService": f"s3.{spec.region}.amazonaws.com"}},
        ),
    ]


def _command_statements(spec: EnvironmentSpec, place: Place, team: str) -> list[dict[str, Any]]:
    head = own(spec, "ssm:resourceTag")
    head["StringEquals"][f"ssm:resourceTag/{naming.TAG_ROLE}"] = naming.ROLE_HEAD
    documents = (naming.run_document(spec.name, team), naming.queue_document(spec.name, team))
    return [
        statement(
            "Outputs",
            actions=["ssm:GetParameter"],
            resources=[place.arn("ssm", f"parameter{naming.outputs_parameter(spec.name)}")],
        ),
        statement(
            "OwnDocuments",
            actions=["ssm:SendCommand"],
            resources=[place.arn("ssm", f"document/{each}") for each in documents],
        ),
        statement(
            "TellHead",
            actions=["ssm:SendCommand"],
            resources=[place.arn("ec2", "instance/*")],
            conditions=head,
        ),
        *budget_statements(spec, place),
        # These cannot be narrowed to single resources.
        statement("Watch", actions=WATCH, resources=["*"]),
    ]
