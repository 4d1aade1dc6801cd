"""Teams that share one environment: each tries what it can on another's runs, and all of it is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet.cloud import Cloud
from node.store import CHECKPOINT_TAGGING, Bucket
from stacks import naming
from stacks.account import load_account
from stacks.app import synthesize
from stacks.environment import load_environment
from stacks.machines import machine_tags
from stacks.tags import environment_tags
from tests.api_stacks import ApiStacks
from tests.golden_synth import BUNDLE
from tests.iam_helpers import ACCOUNT, allow, assume, make_role, refusal, service
from tests.sandbox_helpers import IMAGE, REGION, api, wait_for
from tests.spec_files import environment_text, write_folder
from tests.two_teams import machine_credentials, take_on, with_keys

pytestmark = pytest.mark.sandbox
NAME, ORGANIZATION = "sharedby", "threeteams"
TEAMS = ("blue", "green")
RUNS = {
    "": "20261122-120000-abcde",
    "blue": "blue-20261122-120000-abcde",
    "green": "green-20261122-120000-xyzab",
}
"""A run of each team by its name, "" for the environment's own."""
REFUSED = frozenset(("AccessDenied", "AccessDeniedException", "UnauthorizedOperation"))
ACCOUNT_TEXT = f"""\
organization = "{ORGANIZATION}"
region = "{REGION}"

[ledger]
retention_days = 1

[people]
trusted = ["arn:aws:iam::{ACCOUNT}:role/threeteams-console"]
"""
TABLES = """
[scheduler.teams.blue]
[scheduler.teams.green]
members = ["arn:aws:iam::{account}:role/threeteams-green"]
"""


@dataclass(frozen=True)
class Shared:
    """The environment that the teams share."""

    cloud: Cloud
    """As its root user sees it."""
    bucket: str
    head: str
    members: dict[str, Cloud]
    """The cloud as a member of each team sees it, "" for the environment's own."""
    machines: dict[str, Cloud]
    """The cloud as `head` and `node` see it."""
    secret: str
    console: Cloud


_MADE: dict[str, Shared] = {}


@pytest.fixture(scope="module")
def shared(sandbox: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """Return the environment, made once in each embedded cloud: tests/test_team_client.py is in it, too."""
    where = sandbox.variables["AWS_ENDPOINT_URL"]
    if where not in _MADE:
        _MADE[where] = make_shared(sandbox, tmp_path_factory.mktemp("three-teams"))
    return _MADE[where]


def make_shared(sandbox: Cloud, root: Path) -> Shared:
    """Make the environment of its synthesized stacks, with a head, a node, and a run of each team."""
    text = environment_text(NAME, "10.93.0.0/16") + TABLES.format(account=ACCOUNT)
    folder = write_folder(root, ACCOUNT_TEXT, **{NAME: text})
    account, spec = load_account(folder), load_environment(folder / f"{NAME}.toml")
    synthesize(account, [spec], BUNDLE, root / "out")
    made, stacks = ApiStacks(sandbox, account), root / "out" / "stacks"
    made.make(stacks / naming.ACCOUNT_STACK)
    for name in ("console", "green"):
        make_role(sandbox, f"threeteams-{name}", allow(["sts:AssumeRole", "sts:SetSourceIdentity"]))
    values = made.make(stacks / naming.base_stack(NAME))
    made.make(stacks / naming.fleet_stack(NAME))
    bucket, key = values["aws_s3_bucket.artifacts.bucket"], values["aws_kms_key.main.arn"]
    for name in (*(f"runs/{run}/run.json" for run in RUNS.values()), "cluster/queue.json"):
        api(sandbox, "s3").put_object(Bucket=bucket, Key=name, Body=b"{}")
    secret = api(sandbox, "secretsmanager").create_secret(
        Name=naming.munge_secret(NAME), KmsKeyId=key, SecretString="s", Tags=pairs(spec)
    )["ARN"]
    machines = start_machines(sandbox, environment_tags(spec, naming.fleet_stack(NAME)))
    consoles = {
        name: assume(sandbox, f"arn:aws:iam::{ACCOUNT}:role/threeteams-{name}")
        for name in ("console", "green")
    }
    members = {
        "": take_on(consoles["console"], naming.environment_role(NAME, naming.ROLE_MEMBER, REGION)),
        "blue": take_on(consoles["console"], naming.team_role(NAME, "blue", REGION)),
        "green": take_on(consoles["green"], naming.team_role(NAME, "green", REGION)),
    }
    entered = {
        role: with_keys(sandbox, machine_credentials(sandbox, instance))
        for role, instance in machines.items()
    }
    return Shared(sandbox, bucket, machines["head"], members, entered, secret, consoles["console"])


def pairs(spec: Any) -> list[dict[str, str]]:
    """Return the environment's tags as most services take them."""
    tags = environment_tags(spec, naming.fleet_stack(NAME))
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def start_machines(cloud: Cloud, tags: dict[str, str]) -> dict[str, str]:
    """Start a head and a node with their roles, and wait until they take commands."""
    found = {}
    for role in ("head", "node"):
        own = machine_tags(tags, f"{NAME}-{role}", role, "gpu" if role == "node" else "")
        (instance,) = api(cloud, "ec2").run_instances(
            ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType="g5.xlarge",
            IamInstanceProfile={"Name": naming.environment_role(NAME, role, REGION)},
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in own.items()]}
            ],
        )["Instances"]  # fmt: skip
        found[role] = instance["InstanceId"]

    def online() -> bool:
        listed = api(cloud, "ssm").describe_instance_information()["InstanceInformationList"]
        return {each["InstanceId"] for each in listed if each["PingStatus"] == "Online"} >= set(
            found.values()
        )

    wait_for(online, 60)
    return found


def code(call: Callable[[], Any]) -> str:
    """Return the error code of a call, "" where it went through."""
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def attempts(shared: Shared, member: Cloud, team: str) -> dict[str, Callable[[], Any]]:
    """Return what a member may try on a team's things, by what it is."""
    s3, ssm, run = service(member, "s3"), service(member, "ssm"), RUNS[team]
    key = {"Bucket": shared.bucket, "Key": f"runs/{run}/run.json"}
    other = {"Bucket": shared.bucket, "Key": f"runs/{run}/cancel.json"}

    def send(document: str, **parameters: str) -> Callable[[], Any]:
        given = {name: [value] for name, value in {"RunId": run, **parameters}.items()}
        return lambda: ssm.send_command(DocumentName=document, InstanceIds=[shared.head], Parameters=given)

    return {
        "read its run": lambda: s3.get_object(**key),
        "list its run": lambda: s3.list_objects_v2(Bucket=shared.bucket, Prefix=f"runs/{run}/"),
        "write into its run": lambda: s3.put_object(**other, Body=b"{}"),
        "delete from its run": lambda: s3.delete_object(**other),
        "submit by its document": send(naming.run_document(NAME, team)),
        **{
            f"{act} by its document": send(naming.queue_document(NAME, team), Act=act)
            for act in ("cancel", "hold", "release", "requeue")
        },
    }


@pytest.mark.parametrize("team", TEAMS)
def test_a_member_may_all_that_a_run_of_the_own_team_takes(shared: Shared, team: str) -> None:
    for what, call in attempts(shared, shared.members[team], team).items():
        assert code(call) == "", f"{team}: {what}"


@pytest.mark.parametrize(
    ("team", "other"), [("blue", "green"), ("green", "blue"), ("blue", ""), ("green", "")]
)
def test_a_member_may_nothing_with_another_teams_runs(shared: Shared, team: str, other: str) -> None:
    tried = attempts(shared, shared.members[team], other)
    for what, call in tried.items():
        assert code(call) in REFUSED, f"{team} on {other or 'the own team'}: {what}"
    assert len(tried) == 9


@pytest.mark.parametrize("other", TEAMS)
def test_the_environments_own_members_see_names_of_other_teams_runs_and_nothing_of_them(
    shared: Shared, other: str
) -> None:
    member = shared.members[""]
    for what, call in attempts(shared, member, other).items():
        assert (code(call) in REFUSED) is (what != "list its run"), what
    for what, call in attempts(shared, member, "").items():
        assert code(call) == "", what


@pytest.mark.parametrize("team", TEAMS)
def test_nobody_gets_another_teams_run_through_the_own_document(shared: Shared, team: str) -> None:
    """The document's own pattern refuses what IAM cannot see: parameters."""
    ssm = service(shared.members[team], "ssm")
    for run in (
        RUNS["blue" if team == "green" else "green"],
        RUNS[""],
        f"{team}-$(id)",
        f"{team}-a;b",
        "../x",
    ):
        for name, parameters in (
            (naming.run_document(NAME, team), {}),
            (naming.queue_document(NAME, team), {"Act": ["cancel"]}),
        ):
            sent = {"DocumentName": name, "InstanceIds": [shared.head]}
            given = {"Parameters": {"RunId": [run], **parameters}}
            assert refusal(ssm.send_command, **sent, **given)[0] == "InvalidParameters", run


@pytest.mark.parametrize("team", TEAMS)
def test_a_member_of_a_team_reads_the_queue_and_touches_nothing_of_the_cluster(
    shared: Shared, team: str
) -> None:
    member = shared.members[team]
    s3, ssm, ec2 = (service(member, name) for name in ("s3", "ssm", "ec2"))
    queue = {"Bucket": shared.bucket, "Key": "cluster/queue.json"}
    assert s3.get_object(**queue)
    for key in ("cluster/queue.json", "cluster/nodes.json", "cluster/stats/gpu-1.json"):
        # Without this S3 refuses what is not there yet, as if it were forbidden.
        s3.list_objects_v2(Bucket=shared.bucket, Prefix=key)
    document = naming.account_name(ORGANIZATION, naming.SESSION_DOCUMENT)
    rank = {"NodeRank": ["0"], "NodeCount": ["1"], "MasterAddress": ["10.0.0.1"], "MasterPort": ["29500"]}
    refused: dict[str, Callable[[], Any]] = {
        "write the queue": lambda: s3.put_object(**queue, Body=b"{}"),
        "list all runs": lambda: s3.list_objects_v2(Bucket=shared.bucket, Prefix="runs/"),
        "read the node bundle": lambda: s3.get_object(Bucket=shared.bucket, Key="node/x"),
        "enter a machine": lambda: ssm.start_session(Target=shared.head, DocumentName=document),
        "start a node's part": lambda: ssm.send_command(
            DocumentName=naming.node_document(NAME), InstanceIds=[shared.head],
            Parameters={"RunId": [RUNS[team]], **rank},
        ),
        "run a shell": lambda: ssm.send_command(
            DocumentName="AWS-RunShellScript", InstanceIds=[shared.head], Parameters={"commands": ["id"]}
        ),
        "read the cluster's key": lambda: service(member, "secretsmanager").get_secret_value(
            SecretId=shared.secret
        ),
        "end a machine": lambda: ec2.terminate_instances(InstanceIds=[shared.head]),
    }  # fmt: skip
    for what, call in refused.items():
        assert code(call) in REFUSED, what


def test_a_teams_role_is_taken_on_by_whom_its_table_names_alone(shared: Shared) -> None:
    green = naming.team_role(NAME, "green", REGION)
    arn = f"arn:aws:iam::{ACCOUNT}:role/{green}"
    asked = {"RoleArn": arn, "RoleSessionName": "ann", "SourceIdentity": "ann"}
    assert refusal(service(shared.console, "sts").assume_role, **asked)[0] == "AccessDenied"


def test_the_cluster_s_key_is_read_by_its_machines_and_made_by_the_head_alone(shared: Shared) -> None:
    head, node = (service(shared.machines[role], "secretsmanager") for role in ("head", "node"))
    assert head.put_secret_value(SecretId=shared.secret, SecretString="made")
    assert node.get_secret_value(SecretId=shared.secret)["SecretString"] == "made"
    assert refusal(node.put_secret_value, SecretId=shared.secret, SecretString="x")[0] in REFUSED
    other = api(shared.cloud, "secretsmanager").create_secret(Name="fleetform/other/munge", SecretString="s")
    assert refusal(head.get_secret_value, SecretId=other["ARN"])[0] in REFUSED


# ------------------------------------------------------------------------------ what a team's programs may do


def run_role(team: str) -> str:
    """Return the ARN of the role that nodes take on for a team's runs."""
    return f"arn:aws:iam::{ACCOUNT}:role/{naming.run_role(NAME, team, REGION)}"


@pytest.fixture(scope="module")
def programs(shared: Shared) -> dict[str, Cloud]:
    """The cloud as programs of each team's run see it: by the role that their node has taken on for them."""
    return {team: assume(shared.machines["node"], run_role(team), run) for team, run in RUNS.items()}


@pytest.mark.parametrize("team", RUNS)
def test_a_teams_programs_read_and_write_their_own_teams_runs(
    shared: Shared, programs: dict[str, Cloud], team: str
) -> None:
    s3 = service(programs[team], "s3")
    bucket, folder = Bucket(s3, shared.bucket), f"runs/{RUNS[team]}"
    assert bucket.get(f"{folder}/run.json") == b"{}"
    s3.put_object(
        Bucket=shared.bucket, Key=f"{folder}/checkpoints/step-1/x", Body=b"1", Tagging=CHECKPOINT_TAGGING
    )
    assert f"{folder}/run.json" in bucket.sizes(f"{folder}/")
    bucket.delete(f"{folder}/checkpoints/step-1/x")
    # S3 says of what is not there that it is refused, to who may not list the whole bucket.
    missing = {"Bucket": shared.bucket, "Key": f"{folder}/stop.json"}
    assert refusal(s3.get_object, **missing)[0] == "AccessDenied"
    assert bucket.get(f"{folder}/stop.json") is None
    assert bucket.get_end(f"{folder}/stop.json", 5) is None
    assert bucket.noted_digest(f"{folder}/stop.json") is None


@pytest.mark.parametrize(
    ("team", "other"), [(team, other) for team in RUNS for other in RUNS if team != other]
)
def test_a_teams_programs_are_refused_another_teams_runs(
    shared: Shared, programs: dict[str, Cloud], team: str, other: str
) -> None:
    s3, folder = service(programs[team], "s3"), f"runs/{RUNS[other]}"
    bucket = Bucket(s3, shared.bucket)
    tried: dict[str, Callable[[], Any]] = {
        "read": lambda: bucket.get(f"{folder}/run.json"),
        "ask for what is not there": lambda: bucket.get(f"{folder}/stop.json"),
        "list": lambda: bucket.sizes(f"{folder}/"),
        "list all": lambda: bucket.sizes("runs/"),
        "write": lambda: bucket.put(f"{folder}/cancel.json", b"{}"),
        "delete": lambda: bucket.delete(f"{folder}/run.json"),
        "copy": lambda: s3.copy_object(
            Bucket=shared.bucket, Key=f"runs/{RUNS[team]}/stolen",
            CopySource={"Bucket": shared.bucket, "Key": f"{folder}/run.json"},
        ),
        "take on its role": lambda: assume(programs[team], run_role(other)),
    }  # fmt: skip
    for what, call in tried.items():
        assert code(call) in REFUSED, what


@pytest.mark.parametrize("team", RUNS)
def test_a_teams_programs_reach_nothing_of_the_cluster(
    shared: Shared, programs: dict[str, Cloud], team: str
) -> None:
    s3, ec2, ssm = (service(programs[team], name) for name in ("s3", "ec2", "ssm"))
    key = service(programs[team], "secretsmanager")
    node = f"arn:aws:iam::{ACCOUNT}:role/{naming.environment_role(NAME, naming.ROLE_NODE, REGION)}"
    tried: dict[str, Callable[[], Any]] = {
        "read the cluster's key": lambda: key.get_secret_value(SecretId=shared.secret),
        "read the queue": lambda: s3.get_object(Bucket=shared.bucket, Key="cluster/queue.json"),
        "write the queue": lambda: s3.put_object(Bucket=shared.bucket, Key="cluster/queue.json", Body=b""),
        "list machines": ec2.describe_instances,
        "end a machine": lambda: ec2.terminate_instances(InstanceIds=[shared.head]),
        "submit": lambda: ssm.send_command(
            DocumentName=naming.run_document(NAME, team), InstanceIds=[shared.head],
            Parameters={"RunId": [RUNS[team]]},
        ),
        "take on the node's role": lambda: assume(programs[team], node),
    }  # fmt: skip
    for what, call in tried.items():
        assert code(call) in REFUSED, what


@pytest.mark.parametrize("team", RUNS)
def test_nobody_but_the_nodes_takes_on_the_role_of_a_teams_runs(shared: Shared, team: str) -> None:
    others = {"head": shared.machines["head"], "console": shared.console, **shared.members}
    for who, cloud in others.items():
        assert code(lambda: assume(cloud, run_role(team))) in REFUSED, who  # noqa: B023
