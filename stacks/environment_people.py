"""Member and operator of an environment: what they may do with what is its own, and with nothing else.

They are of one environment and not of a whole team, because the environment's stack makes them: they come and
go with it, the account's stack need not know of it, and a person can be let into one of a team's environments
alone. docs/roles.md has what each may do.
"""

from __future__ import annotations

from typing import Any

from stacks import naming
from stacks.account import AccountSpec
from stacks.aws.layer import Ref
from stacks.boundary import CHECK_DOCUMENT
from stacks.budget_rights import budget_statements
from stacks.cdk import Stack
from stacks.cluster_permissions import CLUSTER, PACKAGES
from stacks.environment import EnvironmentSpec
from stacks.people_roles import PeopleRole, add_people_role, record_statements
from stacks.place import Place
from stacks.policies import statement, variable
from stacks.roles import Storage, environment_boundary
from stacks.session_document import session_document_arn, session_key_statement

WATCH = (
    "autoscaling:DescribeAutoScalingGroups",
    "ec2:DescribeInstances",
    "fsx:DescribeFileSystems",
    "ssm:DescribeInstanceInformation",
    "ssm:GetCommandInvocation",
    "ssm:ListCommands",
)
"""What people look at who run jobs."""


def add_environment_people(
    stack: Stack, account: AccountSpec, spec: EnvironmentSpec, place: Place, storage: Storage
) -> Ref | None:
    """Add both roles to the base stack, where the account's file trusts anybody with them.

    Returns the name of the operators' role, None where there is none.
    """
    if not account.people.trusted:
        return None
    member = {
        "runs": run_statements(spec, place, storage),
        "record": record_statements(account, place),
        "entry": entry_statements(account, spec, place),
    }
    both = {
        naming.ROLE_MEMBER: (f"Runs jobs on {spec.name} and follows them", member),
        naming.ROLE_OPERATOR: (
            f"Runs jobs on {spec.name} and looks after its machines",
            {**member, "machines": machine_statements(spec, place, storage)},
        ),
    }
    made = {}
    for kind, (description, policies) in both.items():
        role = PeopleRole(
            kind=kind,
            name=naming.environment_role(spec.name, kind, spec.region),
            description=description,
            policies={name: statements for name, statements in policies.items() if statements},
            boundary=environment_boundary(account, place),
        )
        made[kind] = add_people_role(stack, account, place, role)
    return made[naming.ROLE_OPERATOR].name


def own(spec: EnvironmentSpec, key: str) -> dict[str, dict[str, str]]:
    """Return the condition that a thing carries the tags of this environment and of its team.

    `key` is the condition key of tags, `aws:ResourceTag`.
    """
    return {
        "StringEquals": {
            f"{key}/{naming.TAG_ENVIRONMENT}": spec.name,
            f"{key}/{naming.TAG_TEAM}": spec.team,
        }
    }


def run_statements(spec: EnvironmentSpec, place: Place, storage: Storage) -> list[dict[str, Any]]:
    """Return what it takes to run a job, to follow it, to fetch what it made, and to cancel it."""
    return [*_file_statements(spec, storage), *_command_statements(spec, place)]


def _file_statements(spec: EnvironmentSpec, storage: Storage) -> list[dict[str, Any]]:
    artifacts, datasets = storage.bucket_arn, storage.datasets_arn
    written = [*(f"{artifacts}/runs/{ids}" for ids in own_runs(spec)), f"{datasets}/*"]
    if spec.scheduler.is_slurm:
        written.append(f"{artifacts}/{PACKAGES}/python/*")
    return [
        statement("List", actions=["s3:ListBucket"], resources=[artifacts, datasets]),
        statement("Read", actions=["s3:GetObject"], resources=[*_read(spec, artifacts), f"{datasets}/*"]),
        statement("Write", actions=["s3:AbortMultipartUpload", "s3:PutObject"], resources=written),
        # What was uploaded for a run that did not start is taken away again; old versions stay.
        statement(
            "TakeBack", actions=["s3:DeleteObject"], resources=[each for each in written if "/runs/" in each]
        ),
        statement(
            "Encrypt",
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            resources=[storage.key_arn],
            conditions={"StringEquals": {"kms:ViaService": f"s3.{spec.region}.amazonaws.com"}},
        ),
    ]


def own_runs(spec: EnvironmentSpec) -> tuple[str, ...]:
    """Return patterns of what the environment's own team has below `runs/`.

    Everything where no other team is; else what begins with a date, as its runs do, the trials, and what is
    held of the budget.
    """
    return ("2*", ".speedup/*", ".budget/*") if spec.further_teams else ("*",)


def _read(spec: EnvironmentSpec, artifacts: str) -> list[str]:
    """Return what of the artifact bucket the members read: all of it but other teams' runs."""
    if not spec.further_teams:
        return [f"{artifacts}/*"]
    folders = (CLUSTER, "node", "nodes", PACKAGES)
    return [
        *(f"{artifacts}/runs/{ids}" for ids in own_runs(spec)),
        *(f"{artifacts}/{folder}/*" for folder in folders),
    ]


def _command_statements(spec: EnvironmentSpec, place: Place) -> list[dict[str, Any]]:
    head = own(spec, "ssm:resourceTag")
    head["StringEquals"][f"ssm:resourceTag/{naming.TAG_ROLE}"] = naming.ROLE_HEAD
    groups = place.arn("logs", f"log-group:{naming.log_group(spec.name, '*')}")
    return [
        statement(
            "Outputs",
            actions=["ssm:GetParameter"],
            resources=[place.arn("ssm", f"parameter{naming.outputs_parameter(spec.name)}")],
        ),
        statement(
            "RunDocument",
            actions=["ssm:SendCommand"],
            resources=[place.arn("ssm", f"document/{each}") for each in _documents(spec)],
        ),
        *budget_statements(spec, place),
        statement(
            "TellHead",
            actions=["ssm:SendCommand"],
            resources=[place.arn("ec2", "instance/*")],
            conditions=head,
        ),
        # These cannot be narrowed to single resources: who may look at one environment's machines and
        # commands sees that there are others, and the ids of their runs.
        statement(
            "Watch",
            actions=WATCH,
            resources=["*"],
        ),
        statement(
            "Logs",
            actions=["logs:DescribeLogStreams", "logs:FilterLogEvents", "logs:GetLogEvents"],
            resources=[groups, f"{groups}:log-stream:*"],
        ),
    ]


def _documents(spec: EnvironmentSpec) -> list[str]:
    """Return the documents that the environment's own team sends."""
    queue = [naming.queue_document(spec.name)] if spec.scheduler.is_slurm else []
    return [naming.run_document(spec.name), *queue]


def entry_statements(account: AccountSpec, spec: EnvironmentSpec, place: Place) -> list[dict[str, Any]]:
    """Return what it takes to get a shell on a machine, on record; and to see when all of it ends.

    No entry where the environment stands in another region than the account, and its session document.
    """
    lease = naming.lease_name(spec.name, spec.region)
    home = Place(partition=place.partition, region=account.region, account_id=place.account_id)
    shown = statement(
        "Lease",
        actions=["scheduler:GetSchedule"],
        resources=[home.arn("scheduler", f"schedule/{lease}/{lease}")],
    )
    if place.region != account.region:
        return [shown]
    person = variable("aws:userid")
    return [
        shown,
        statement(
            "SessionDocument",
            actions=["ssm:StartSession"],
            resources=[session_document_arn(account, place)],
            conditions=CHECK_DOCUMENT,
        ),
        statement(
            "EnterMachines",
            actions=["ssm:StartSession"],
            resources=[place.arn("ec2", "instance/*")],
            conditions={**own(spec, "ssm:resourceTag"), **CHECK_DOCUMENT},
        ),
        # A session carries whose it is as a tag (Session Manager's guide, "Sample IAM policies").
        statement(
            "OwnSessions",
            actions=["ssm:ResumeSession", "ssm:TerminateSession"],
            resources=[place.arn("ssm", "session/*")],
            conditions={"StringLike": {"ssm:resourceTag/aws:ssmmessages:session-id": person}},
        ),
        session_key_statement(account, place, ["kms:Decrypt", "kms:GenerateDataKey"]),
    ]


def machine_statements(spec: EnvironmentSpec, place: Place, storage: Storage) -> list[dict[str, Any]]:
    """Return what an operator may do beyond a member: machines and fleets, within what is declared.

    A group stays below its maximum, which only the deployer sets: under Slurm the nodes that always stand,
    for the head starts and ends the others. Deleting a node's claim frees the node of the plain engine.
    The lease can be looked at and not be put off: its end is no environment's own to move.
    """
    return [
        statement(
            "Scale",
            actions=["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"],
            resources=[place.arn("autoscaling", "autoScalingGroup:*:autoScalingGroupName/*")],
            conditions=own(spec, "aws:ResourceTag"),
        ),
        statement(
            "Machines",
            actions=[
                "ec2:RebootInstances",
                "ec2:StartInstances",
                "ec2:StopInstances",
                "ec2:TerminateInstances",
            ],
            resources=[place.arn("ec2", "instance/*")],
            conditions=own(spec, "aws:ResourceTag"),
        ),
        statement("FreeNodes", actions=["s3:DeleteObject"], resources=[f"{storage.bucket_arn}/nodes/*"]),
    ]
