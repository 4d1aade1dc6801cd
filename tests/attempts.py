"""Everything that one team's roles try on what belongs to another, and who of the owner's may do it.

The order is that in which the owner can do them all: what ends a thing comes after what uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fleet.cloud import Cloud
from stacks import naming
from tests.iam_helpers import ACCOUNT, allow, document, service
from tests.sandbox_helpers import REGION
from tests.two_teams import ORGANIZATION, Team, World

MEMBER, OPERATOR, HEAD, NODE = "member", "operator", "head", "node"
AUDITOR, DEPLOYER, NOBODY = "auditor", "deployer", ""
SESSION_DOCUMENT = naming.account_name(ORGANIZATION, naming.SESSION_DOCUMENT)
RUN = "20261122-120000-abcde"
_RANK = {"NodeRank": ["0"], "NodeCount": ["1"], "MasterAddress": ["10.0.0.1"], "MasterPort": ["29500"]}
Call = Callable[[Cloud, Team, World], Any]


@dataclass(frozen=True)
class Attempt:
    """One call on something of a team's."""

    thing: str
    """A row of docs/roles.md."""
    what: str
    owner: str
    """The role of the owner's, or of the account, that may do it; "" where no role may."""
    call: Call
    """Makes the call as somebody, on the things of a team."""


def _s3(what: str, owner: str, method: str, **arguments: Any) -> Attempt:
    def call(cloud: Cloud, team: Team, world: World) -> Any:
        return getattr(service(cloud, "s3"), method)(Bucket=team.artifacts, **arguments)

    return Attempt("bucket", what, owner, call)


def _call(
    thing: str,
    what: str,
    owner: str,
    name: str,
    method: str,
    arguments: Callable[[Team, World], dict[str, Any]],
) -> Attempt:
    def call(cloud: Cloud, team: Team, world: World) -> Any:
        return getattr(service(cloud, name), method)(**arguments(team, world))

    return Attempt(thing, what, owner, call)


def _instance(what: str, owner: str, method: str, **more: Any) -> Attempt:
    def arguments(team: Team, world: World) -> dict[str, Any]:
        return {"InstanceIds": [team.machines["node"]], **more}

    return _call("instance", what, owner, "ec2", method, arguments)


def _session(what: str, owner: str, title: str, machine: str = "node") -> Attempt:
    def arguments(team: Team, world: World) -> dict[str, Any]:
        named = {"DocumentName": title} if title else {}
        return {"Target": team.machines[machine], **named}

    return _call("session", what, owner, "ssm", "start_session", arguments)


def _command(what: str, owner: str, named: Callable[[Team], str], machine: str) -> Attempt:
    def arguments(team: Team, world: World) -> dict[str, Any]:
        name = named(team)
        parameters = {"commands": ["true"]} if name.startswith("AWS-") else {"RunId": [RUN]}
        if name.endswith("-run-node"):
            parameters |= _RANK
        return {"DocumentName": name, "InstanceIds": [team.machines[machine]], "Parameters": parameters}

    return _call("command", what, owner, "ssm", "send_command", arguments)


def _role(kind: str) -> Callable[[Team, World], dict[str, Any]]:
    def arguments(team: Team, world: World) -> dict[str, Any]:
        name = naming.environment_role(team.environment, kind, REGION)
        return {
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/{name}",
            "RoleSessionName": "ann",
            "SourceIdentity": "ann",
        }

    return arguments


def _decrypt(cloud: Cloud, team: Team, world: World) -> Any:
    """Decrypt, by way of no service, what the account's root user encrypted with the team's key."""
    made = service(world.cloud, "kms").encrypt(KeyId=team.key, Plaintext=b"x")
    return service(cloud, "kms").decrypt(KeyId=team.key, CiphertextBlob=made["CiphertextBlob"])


def _pass_profile(cloud: Cloud, team: Team, world: World) -> Any:
    """Run a machine with the profile of the team's head node."""
    profile = naming.environment_role(team.environment, HEAD, REGION)
    return service(cloud, "ec2").run_instances(
        ImageId="ami-12c6146b",
        MinCount=1,
        MaxCount=1,
        InstanceType="t3.micro",
        IamInstanceProfile={"Name": profile},
    )


def _end_own_session(cloud: Cloud, team: Team, world: World) -> Any:
    """End the session that the team's member has."""
    member = service(team.roles[MEMBER], "ssm")
    begun = member.start_session(Target=team.machines["node"], DocumentName=SESSION_DOCUMENT)
    return service(cloud, "ssm").terminate_session(SessionId=begun["SessionId"])


def _shell_on_own_node(cloud: Cloud, team: Team, world: World) -> Any:
    return service(cloud, "ssm").send_command(
        DocumentName="AWS-RunShellScript",
        InstanceIds=[world.vision.machines[NODE]],
        Parameters={"commands": ["true"]},
    )


def _document_on_own_head(cloud: Cloud, team: Team, world: World) -> Any:
    """Send the team's document to a head of the caller's own; for the owner it is its own document."""
    machine = world.vision.machines[HEAD] if cloud in world.vision.roles.values() else team.machines[HEAD]
    return service(cloud, "ssm").send_command(
        DocumentName=naming.run_document(team.environment),
        InstanceIds=[machine],
        Parameters={"RunId": [RUN]},
    )


def attempts() -> Iterator[Attempt]:
    """Yield every attempt."""
    yield from _reading()
    yield from _entering()
    yield from _sharing()
    yield from _acting()
    yield from _record()
    yield from _ending()


def _reading() -> Iterator[Attempt]:
    yield _s3("list", MEMBER, "list_objects_v2")
    yield _s3("get", MEMBER, "get_object", Key="runs/r1/run.json")
    yield _s3("get a claim", MEMBER, "get_object", Key="nodes/i-0.json")
    yield _s3("put", MEMBER, "put_object", Key="runs/r1/cancel.json", Body=b"{}")
    yield _s3("put a claim", HEAD, "put_object", Key="nodes/i-1.json", Body=b"{}")
    yield _s3("put the node bundle", DEPLOYER, "put_object", Key="node/bundle.tar.gz", Body=b"")
    yield _s3("delete", MEMBER, "delete_object", Key="runs/r1/cancel.json")
    yield _s3("free a claim", OPERATOR, "delete_object", Key="nodes/i-1.json")
    yield _s3("see the policy", AUDITOR, "get_bucket_policy")
    yield _call(
        "bucket", "get a dataset", MEMBER, "s3", "get_object",
        lambda team, world: {"Bucket": team.datasets, "Key": "digest/data"},
    )  # fmt: skip
    yield _call("key", "describe", DEPLOYER, "kms", "describe_key", lambda team, world: {"KeyId": team.key})
    yield Attempt("key", "decrypt", NOBODY, _decrypt)
    yield _call(
        "log group", "read", MEMBER, "logs", "filter_log_events",
        lambda team, world: {"logGroupName": team.log_group},
    )  # fmt: skip
    yield _call(
        "log group", "write", NOBODY, "logs", "put_log_events",
        lambda team, world: {
            "logGroupName": team.log_group, "logStreamName": "eni-1",
            "logEvents": [{"timestamp": 1_700_000_000_000, "message": "x"}],
        },
    )  # fmt: skip
    yield _call(
        "parameter", "read", MEMBER, "ssm", "get_parameter",
        lambda team, world: {"Name": naming.outputs_parameter(team.environment)},
    )  # fmt: skip
    yield _call(
        "secret", "read", NOBODY, "secretsmanager", "get_secret_value",
        lambda team, world: {"SecretId": team.secret},
    )  # fmt: skip


def _entering() -> Iterator[Attempt]:
    yield _session("by our document", MEMBER, SESSION_DOCUMENT)
    yield _session("on the head", MEMBER, SESSION_DOCUMENT, HEAD)
    yield _session("by the default document", NOBODY, "")
    yield _session("an SSH tunnel", NOBODY, "AWS-StartSSHSession")
    yield _session("port forwarding", NOBODY, "AWS-StartPortForwardingSession")
    yield _session("a command", NOBODY, "AWS-StartInteractiveCommand")
    yield Attempt("session", "end another's", MEMBER, _end_own_session)
    yield _command("the run document", MEMBER, lambda team: naming.run_document(team.environment), HEAD)
    yield _command("the node document", HEAD, lambda team: naming.node_document(team.environment), NODE)
    yield _command("a shell script", NOBODY, lambda team: "AWS-RunShellScript", NODE)
    yield Attempt("command", "a shell script on one's own node", NOBODY, _shell_on_own_node)
    yield Attempt("command", "another's document on one's own head", MEMBER, _document_on_own_head)


def _sharing() -> Iterator[Attempt]:
    yield _call(
        "queue", "send", NOBODY, "sqs", "send_message",
        lambda team, world: {"QueueUrl": team.queue, "MessageBody": "x"},
    )  # fmt: skip
    yield _call(
        "queue", "receive", NOBODY, "sqs", "receive_message", lambda team, world: {"QueueUrl": team.queue}
    )
    yield _call("queue", "purge", NOBODY, "sqs", "purge_queue", lambda team, world: {"QueueUrl": team.queue})
    yield _call("role", "take on the member's", NOBODY, "sts", "assume_role", _role(MEMBER))
    yield _call("role", "take on the head's", NOBODY, "sts", "assume_role", _role(HEAD))
    yield Attempt("role", "run a machine with its profile", DEPLOYER, _pass_profile)
    yield _call(
        "role", "give it more", DEPLOYER, "iam", "put_role_policy",
        lambda team, world: {
            "RoleName": naming.environment_role(team.environment, NODE, REGION), "PolicyName": "fleetform",
            "PolicyDocument": document(allow("s3:ListBucket")),
        },
    )  # fmt: skip


def _acting() -> Iterator[Attempt]:
    def group(**more: Any) -> Callable[[Team, World], dict[str, Any]]:
        return lambda team, world: {"AutoScalingGroupName": team.group, **more}

    yield _call("group", "scale", OPERATOR, "autoscaling", "set_desired_capacity", group(DesiredCapacity=0))
    yield _call(
        "group", "raise its maximum", DEPLOYER, "autoscaling", "update_auto_scaling_group", group(MaxSize=3)
    )
    yield _instance("stop", OPERATOR, "stop_instances")
    yield _instance("start", OPERATOR, "start_instances")
    yield _call(
        "instance", "see its console", NOBODY, "ec2", "get_console_output",
        lambda team, world: {"InstanceId": team.machines["node"]},
    )  # fmt: skip
    yield _call(
        "instance", "take its owner's tag", NOBODY, "ec2", "create_tags",
        lambda team, world: {
            "Resources": [team.machines["node"]], "Tags": [{"Key": naming.TAG_ENVIRONMENT, "Value": "mine"}]
        },
    )  # fmt: skip


def _record() -> Iterator[Attempt]:
    """What is everybody's: the account's record, which each can add to and none can change."""
    entry = "ledger/000000000001.json"

    def ledger(**more: Any) -> Callable[[Team, World], dict[str, Any]]:
        return lambda team, world: {"Bucket": world.ledger, "Key": entry, **more}

    yield _call("trail", "stop", NOBODY, "cloudtrail", "stop_logging", lambda t, world: {"Name": world.trail})
    yield _call(
        "trail", "delete", NOBODY, "cloudtrail", "delete_trail", lambda t, world: {"Name": world.trail}
    )
    yield _call("ledger", "write over an entry", NOBODY, "s3", "put_object", ledger(Body=b"{}"))
    yield _call("ledger", "delete an entry", NOBODY, "s3", "delete_object", ledger())
    yield _call(
        "ledger", "shorten its retention", NOBODY, "s3", "put_object_retention",
        ledger(
            Retention={"Mode": "GOVERNANCE", "RetainUntilDate": "2030-01-01T00:00:00Z"},
            BypassGovernanceRetention=True,
        ),
    )  # fmt: skip
    yield _call(
        "transcripts", "read", AUDITOR, "s3", "list_objects_v2",
        lambda team, world: {"Bucket": world.ledger, "Prefix": naming.SESSIONS_PREFIX},
    )  # fmt: skip


def _ending() -> Iterator[Attempt]:
    """What ends a thing for good."""

    def lease(team: Team, world: World) -> dict[str, Any]:
        name = naming.lease_name(team.environment, REGION)
        return {"Name": name, "GroupName": name}

    yield _instance("terminate", OPERATOR, "terminate_instances")
    yield _s3("change the policy", DEPLOYER, "delete_bucket_policy")
    yield _call("lease", "end its schedule", DEPLOYER, "scheduler", "delete_schedule", lease)
    yield _call(
        "log group", "delete", DEPLOYER, "logs", "delete_log_group",
        lambda team, world: {"logGroupName": team.log_group},
    )  # fmt: skip
    yield _call(
        "parameter", "delete", DEPLOYER, "ssm", "delete_parameter",
        lambda team, world: {"Name": naming.outputs_parameter(team.environment)},
    )  # fmt: skip
    yield _call(
        "document", "delete", DEPLOYER, "ssm", "delete_document",
        lambda team, world: {"Name": naming.run_document(team.environment)},
    )  # fmt: skip
    yield _call(
        "file system", "delete a Lustre one", DEPLOYER, "fsx", "delete_file_system",
        lambda team, world: {"FileSystemId": team.lustre},
    )  # fmt: skip
    yield _call(
        "file system", "delete a shared one", DEPLOYER, "efs", "delete_file_system",
        lambda team, world: {"FileSystemId": team.shared},
    )  # fmt: skip
    yield _call(
        "key", "end it", DEPLOYER, "kms", "schedule_key_deletion",
        lambda team, world: {"KeyId": team.key.rpartition("/")[2], "PendingWindowInDays": 7},
    )  # fmt: skip


def as_table() -> str:
    """Return the table of docs/roles.md: what is tried on another team's things, and who of its own may."""
    things: dict[str, list[Attempt]] = {}
    for attempt in attempts():
        things.setdefault(attempt.thing, []).append(attempt)
    lines = ["| another team's | tried | of its own roles may |", "|---|---|---|"]
    for thing, tried in things.items():
        by_owner: dict[str, list[str]] = {}
        for each in tried:
            by_owner.setdefault(each.owner, []).append(each.what)
        may = "; ".join(f"{owner or 'nobody'}: {', '.join(what)}" for owner, what in by_owner.items())
        lines.append(f"| {thing} | {len(tried)} | {may} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(as_table(), end="")
