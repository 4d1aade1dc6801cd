"""Two teams' environments in one account of the embedded cloud, as their stacks are, with all their roles."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet.cloud import Cloud
from stacks import naming
from stacks.account import load_account
from stacks.app import synthesize
from stacks.environment import EnvironmentSpec, load_environment
from stacks.machines import machine_tags
from stacks.tags import environment_tags
from tests.api_stacks import ApiStacks
from tests.golden_synth import BUNDLE
from tests.iam_helpers import ACCOUNT, allow, assume, make_role, with_keys
from tests.sandbox_helpers import IMAGE, REGION, api, run_script, wait_for
from tests.spec_files import environment_text, write_folder

ORGANIZATION = "twoteams"
PERSON = "ann"
ACCOUNT_TEXT = f"""\
organization = "{ORGANIZATION}"
region = "{REGION}"

[ledger]
retention_days = 1

[people]
trusted = ["arn:aws:iam::{ACCOUNT}:role/twoteams-console"]
"""
ENVIRONMENTS = {"twovision": ("vision", "10.91.0.0/16"), "twospeech": ("speech", "10.92.0.0/16")}


@dataclass
class Team:
    """One team's environment: what there is in it, and the cloud as each of its roles sees it."""

    environment: str
    tags: Mapping[str, str]
    artifacts: str = ""
    datasets: str = ""
    key: str = ""
    machines: dict[str, str] = field(default_factory=dict)
    """Instance ids of `head` and `node`."""
    group: str = ""
    """Auto Scaling group of its fleet."""
    log_group: str = ""
    queue: str = ""
    """URL of a queue with its tags."""
    secret: str = ""
    lustre: str = ""
    shared: str = ""
    command: str = ""
    """Id of a command on its node."""
    roles: dict[str, Cloud] = field(default_factory=dict)

    @property
    def pairs(self) -> list[dict[str, str]]:
        """Its tags as most services take them."""
        return [{"Key": key, "Value": value} for key, value in self.tags.items()]


@dataclass(frozen=True)
class World:
    """The account, with both teams."""

    cloud: Cloud
    """As its root user sees it."""
    console: Cloud
    """As what is trusted with the people's roles sees it, in Ann's name."""
    vision: Team
    speech: Team
    auditor: Cloud
    deployer: Cloud
    trail: str
    ledger: str
    out: Path
    """Where the stacks were synthesized."""


def build_world(cloud: Cloud, root: Path) -> World:
    """Synthesize the account and both environments, and make them."""
    texts = {
        name: environment_text(name, block, team=f'team = "{team}"').replace(
            "[network]\n", '[network]\nflow_logs = "rejected"\n'
        )
        for name, (team, block) in ENVIRONMENTS.items()
    }
    folder = write_folder(root, ACCOUNT_TEXT, **texts)
    account = load_account(folder)
    specs = [load_environment(folder / f"{name}.toml") for name in ENVIRONMENTS]
    synthesize(account, specs, BUNDLE, root / "out")
    made = ApiStacks(cloud, account)
    stacks = root / "out" / "stacks"
    made.make(stacks / naming.ACCOUNT_STACK)
    make_role(cloud, "twoteams-console", allow(["sts:AssumeRole", "sts:SetSourceIdentity"]))
    console = assume(cloud, f"arn:aws:iam::{ACCOUNT}:role/twoteams-console")
    teams = [_make(cloud, made, stacks, spec) for spec in specs]
    for team in teams:
        _enter(cloud, console, team)
    people = {
        kind: take_on(console, naming.account_name(ORGANIZATION, kind))
        for kind in (naming.ROLE_AUDITOR, naming.ROLE_DEPLOYER)
    }
    ledger = naming.ledger_bucket(ORGANIZATION, REGION)
    api(cloud, "s3").put_object(Bucket=ledger, Key="ledger/000000000001.json", Body=b"{}")
    return World(
        cloud=cloud,
        console=console,
        vision=teams[0],
        speech=teams[1],
        auditor=people[naming.ROLE_AUDITOR],
        deployer=people[naming.ROLE_DEPLOYER],
        trail=naming.account_name(ORGANIZATION, naming.TRAIL),
        ledger=ledger,
        out=root / "out",
    )


def _make(cloud: Cloud, made: ApiStacks, stacks: Path, spec: EnvironmentSpec) -> Team:
    """Make one environment of its two stacks, and fill it."""
    team = Team(spec.name, environment_tags(spec, naming.base_stack(spec.name)))
    values = made.make(stacks / naming.base_stack(spec.name))
    team.artifacts, team.datasets = (
        values[f"aws_s3_bucket.{each}.bucket"] for each in ("artifacts", "datasets")
    )
    team.key = values["aws_kms_key.main.arn"]
    team.log_group = values["aws_cloudwatch_log_group.flow_logs.name"]
    made.make(stacks / naming.fleet_stack(spec.name))
    _fill(cloud, team)
    return team


def synthesize_texts(root: Path, account_text: str, **edits: str) -> Path:
    """Synthesize one environment (`name` and `region` may be given) in such an account; return the stacks."""
    name, region = edits.get("name", "vision"), edits.get("region", REGION)
    text = environment_text(name, region=f'region = "{region}"')
    folder = write_folder(root, account_text, **{name: text})
    spec = load_environment(folder / f"{name}.toml")
    synthesize(load_account(folder), [spec], BUNDLE, root / "out")
    return root / "out" / "stacks"


def take_on(console: Cloud, role: str, person: str = PERSON) -> Cloud:
    """Return the cloud as that person in a role of people sees it."""
    return assume(console, f"arn:aws:iam::{ACCOUNT}:role/{role}", person, SourceIdentity=person)


def _fill(cloud: Cloud, team: Team) -> None:
    """Make what permissions are asked about and the stacks' JSON alone does not make over the API."""
    name = team.environment
    s3, ssm = api(cloud, "s3"), api(cloud, "ssm")
    encrypted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": team.key}
    for key in ("runs/r1/run.json", "nodes/i-0.json", "node/bundle.tar.gz"):
        s3.put_object(Bucket=team.artifacts, Key=key, Body=b"{}", **encrypted)
    s3.put_object(Bucket=team.datasets, Key="digest/data", Body=b"1", **encrypted)
    outputs = naming.outputs_parameter(name)
    ssm.put_parameter(Name=outputs, Value="{}", Type="String", Tags=team.pairs)
    team.queue = api(cloud, "sqs").create_queue(QueueName=f"{name}-jobs", tags=dict(team.tags))["QueueUrl"]
    team.secret = api(cloud, "secretsmanager").create_secret(
        Name=f"{name}/token", SecretString="s", Tags=team.pairs
    )["ARN"]
    api(cloud, "logs").create_log_stream(logGroupName=team.log_group, logStreamName="eni-1")
    _file_systems(cloud, team)
    _machines(cloud, team)
    wait_for(lambda: set(team.machines.values()) <= _online(cloud), 60)
    team.command = ssm.send_command(
        DocumentName="AWS-RunShellScript",
        InstanceIds=[team.machines["node"]],
        Parameters={"commands": ["true"]},
    )["Command"]["CommandId"]


def _file_systems(cloud: Cloud, team: Team) -> None:
    subnet = api(cloud, "ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    made = api(cloud, "fsx").create_file_system(
        FileSystemType="LUSTRE", StorageCapacity=1200, SubnetIds=[subnet], Tags=team.pairs,
        LustreConfiguration={"DeploymentType": "SCRATCH_2"},
    )  # fmt: skip
    team.lustre = made["FileSystem"]["FileSystemId"]
    token = f"{team.environment}-shared"
    team.shared = api(cloud, "efs").create_file_system(CreationToken=token, Tags=team.pairs)["FileSystemId"]


def _machines(cloud: Cloud, team: Team) -> None:
    """Start a head and a node as their launch templates would, and an empty group beside them."""
    ec2, name = api(cloud, "ec2"), team.environment
    for role in ("head", "node"):
        fleet = "gpu" if role == "node" else ""
        tags = machine_tags(dict(team.tags), f"{name}-{role}", role, fleet)
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        (instance,) = ec2.run_instances(
            ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType="g5.xlarge",
            IamInstanceProfile={"Name": naming.environment_role(name, role, REGION)},
            TagSpecifications=[{"ResourceType": "instance", "Tags": pairs}],
        )["Instances"]  # fmt: skip
        team.machines[role] = instance["InstanceId"]
    team.group = naming.fleet_group(name, "gpu")
    ec2.create_launch_template(
        LaunchTemplateName=team.group, LaunchTemplateData={"ImageId": IMAGE, "InstanceType": "g5.xlarge"}
    )
    api(cloud, "autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=team.group,
        MinSize=0,
        MaxSize=2,
        DesiredCapacity=0,
        AvailabilityZones=[f"{REGION}a"],
        LaunchTemplate={"LaunchTemplateName": team.group},
        Tags=[{**each, "PropagateAtLaunch": True} for each in team.pairs],
    )


def _online(cloud: Cloud) -> set[str]:
    pages = api(cloud, "ssm").get_paginator("describe_instance_information").paginate()
    return {
        each["InstanceId"]
        for page in pages
        for each in page["InstanceInformationList"]
        if each["PingStatus"] == "Online"
    }


def _enter(cloud: Cloud, console: Cloud, team: Team) -> None:
    """Take on each of the environment's roles: the machines' where they run, the people's as people do."""
    for role, machine in team.machines.items():
        team.roles[role] = with_keys(cloud, machine_credentials(cloud, machine))
    for role in (naming.ROLE_MEMBER, naming.ROLE_OPERATOR):
        team.roles[role] = take_on(console, naming.environment_role(team.environment, role, REGION))


def machine_credentials(cloud: Cloud, machine: str) -> dict[str, Any]:
    """Return the credentials that a machine's metadata service gives to what runs on it."""
    asked = run_script(cloud, machine, 'echo "$AWS_EC2_METADATA_SERVICE_ENDPOINT"')
    base = f"{asked['StandardOutputContent'].strip()}/latest"

    def ask(path: str, method: str = "GET", **headers: str) -> str:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        request = urllib.request.Request(f"{base}/{path}", method=method, headers=named)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())

    token = ask("api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="300")
    path = "meta-data/iam/security-credentials/"
    role = ask(path, X_aws_ec2_metadata_token=token)
    found = json.loads(ask(path + role, X_aws_ec2_metadata_token=token))
    return {**found, "SessionToken": found["Token"]}
