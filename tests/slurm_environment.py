"""An environment with Slurm in the embedded cloud, without Terraform: what the stacks make, over the API.

The description of the cluster, the texts and the machines' rights are the stacks' own; what Terraform would
do in a minute stands here in seconds.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleet.cloud import Cloud
from fleet.project import Project
from fleet.session import Session
from sandbox import daemon
from stacks import naming
from stacks.account import AccountSpec
from stacks.bundle import Bundle
from stacks.cluster import FleetPlaces, cluster_facts, slurm_texts
from stacks.environment import EnvironmentSpec
from stacks.machines import machine_tags
from templates.engine import render
from templates.ssm_documents import (
    OWN_RUN_ID_PATTERN,
    RUN_ID_PATTERN,
    QueueDocument,
    RunJobDocument,
    RunNodeDocument,
    team_run_id_pattern,
)
from tests import environment_parts as parts
from tests.environment_parts import INSTANCE_TYPE
from tests.node_profiles import make_profiles, make_run_roles
from tests.sandbox_helpers import IMAGE, run_script, wait_for

READY_SECONDS = 240.0


@dataclass(frozen=True)
class SlurmEnvironment(parts.Environment):
    """A standing environment with a queue."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.session.spec.name

    def machines(self, role: str) -> dict[str, str]:
        """Return the running machines of a role: instance id by name in Slurm, or by itself."""
        tags = {
            each["InstanceId"]: {tag["Key"]: tag["Value"] for tag in each.get("Tags", [])}
            for each in self.running(role)
        }
        return {tags[each].get("fleetform:node", each): each for each in tags}

    def on_head(self, script: str) -> str:
        """Run a script on the head, as root would there, and return what it prints."""
        [head] = self.machines("head").values()
        done = run_script(
            self.session.cloud, head, f'export SLURM_CONF="$FLEETFORM_ROOT/etc/slurm/slurm.conf"\n{script}'
        )
        assert done["Status"] == "Success", done["StandardOutputContent"] + done["StandardErrorContent"]
        return str(done["StandardOutputContent"])

    def states(self) -> dict[str, str]:
        """Return each node's state as `sinfo` has it (`idle`, `down~`); nothing while it can't be asked."""
        try:
            said = self.on_head("sinfo --noheader --Node --format='%N %t'")
        except (AssertionError, ValueError):
            return {}
        return dict(line.split()[:2] for line in said.splitlines())

    def wait_idle(self, *names: str, seconds: float = READY_SECONDS) -> None:
        """Wait until those nodes can take jobs."""
        wait_for(lambda: all(self.states().get(name) == "idle" for name in names), seconds)

    def kill(self, machine: str) -> str:
        """Take a machine's power, by its name in Slurm or `head`; return its instance."""
        return daemon.kill(self.session.project.home, machine, self.name)

    def remove(self) -> None:
        """End its machines, and with them everything that runs there."""
        groups = [naming.head_group(self.name)]
        groups += [naming.fleet_group(self.name, fleet) for fleet in self.session.spec.fleets]
        scaling = self.session.client("autoscaling")
        for group in groups:
            scaling.delete_auto_scaling_group(AutoScalingGroupName=group, ForceDelete=True)
        left = [*self.machines("head").values(), *self.machines("node").values()]
        if left:
            self.session.client("ec2").terminate_instances(InstanceIds=left)


def make_specs(
    name: str,
    fleets: Mapping[str, Mapping[str, object]],
    teams: Mapping[str, int] | None = None,
    **scheduler: object,
) -> tuple[AccountSpec, EnvironmentSpec]:
    """Return the specs of an account and of an environment of the team `tests` with those fleets."""
    shares = {team: {"share": share} for team, share in (teams or {}).items()}
    return parts.make_specs(name, fleets, scheduler={"teams": shares, **scheduler})


def build(
    cloud: Cloud,
    project: Project,
    name: str,
    fleets: Mapping[str, Mapping[str, object]],
    teams: Mapping[str, int] | None = None,
    *,
    wait: bool = True,
    **scheduler: object,
) -> SlurmEnvironment:
    """Make the environment; where `wait`, until all of its standing nodes can take jobs.

    `fleets` has each fleet's `nodes` and `max_nodes`; `scheduler` settings of `[scheduler]`.
    """
    account, spec = make_specs(name, fleets, teams, **scheduler)
    session = Session(project, cloud, account, spec)
    buckets, bundle = parts.make_buckets(session), parts.put_bundle(session)
    _make_documents(session)
    subnet = session.client("ec2").describe_subnets()["Subnets"][0]
    _publish_cluster(session, buckets["artifacts"], subnet)
    profiles = make_profiles(cloud, name, buckets)
    make_run_roles(cloud, account, spec, buckets)
    for machine, told in {"head": None, **spec.fleets}.items():
        role = "head" if told is None else "node"
        _start_group(
            session, bundle, profiles[role], role, machine, 1 if told is None else told.nodes, subnet
        )
    queue = {
        "default_team": spec.own_team,
        "teams": (spec.own_team, *spec.further_teams),
        "accounting": spec.scheduler.accounting,
        "longest_minutes": spec.scheduler.longest_hours * 60,
    }
    environment = SlurmEnvironment(session, parts.publish_outputs(session, scheduler="slurm", **queue))
    if wait:
        environment.wait_idle(
            *(f"{each}-{n + 1}" for each, told in spec.fleets.items() for n in range(told.nodes))
        )
    return environment


def _make_documents(session: Session) -> None:
    spec, ssm = session.spec, session.client("ssm")
    texts: dict[str, Any] = {naming.node_document(spec.name): RunNodeDocument(environment=spec.name)}
    own = OWN_RUN_ID_PATTERN if spec.further_teams else RUN_ID_PATTERN
    for team, ids in [("", own), *((each, team_run_id_pattern(each)) for each in spec.further_teams)]:
        named = team or spec.own_team
        texts[naming.run_document(spec.name, team)] = RunJobDocument(
            environment=spec.name, team=named, run_id_pattern=ids
        )
        texts[naming.queue_document(spec.name, team)] = QueueDocument(
            environment=spec.name, team=named, run_id_pattern=ids
        )
    for document, text in texts.items():
        ssm.create_document(
            Name=document, Content=render(text), DocumentType="Command", DocumentFormat="YAML"
        )


def _publish_cluster(session: Session, bucket: str, subnet: Mapping[str, Any]) -> None:
    """Make the cluster's disk and its key's secret, and describe it in the bucket."""
    spec = session.spec
    volume = session.client("ec2").create_volume(
        AvailabilityZone=subnet["AvailabilityZone"],
        Size=spec.scheduler.state_volume_gib,
        TagSpecifications=[{"ResourceType": "volume", "Tags": _aws_tags(_tags(session))}],
    )
    session.client("secretsmanager").create_secret(Name=naming.munge_secret(spec.name))
    places = {
        name: FleetPlaces(
            (subnet["SubnetId"],), {way: naming.fleet_group(spec.name, name) for way in fleet.purchases}
        )
        for name, fleet in spec.fleets.items()
    }
    facts = cluster_facts(spec, volume["VolumeId"], places)
    s3 = session.client("s3")
    for name, text in {**slurm_texts(spec), "cluster.json": json.dumps(facts)}.items():
        s3.put_object(Bucket=bucket, Key=f"cluster/{name}", Body=text.encode())


def _tags(session: Session) -> dict[str, str]:
    return {naming.TAG_ENVIRONMENT: session.spec.name}


def _aws_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _start_group(
    session: Session,
    bundle: Bundle,
    profile: str,
    role: str,
    name: str,
    count: int,
    subnet: Mapping[str, Any],
) -> None:
    """Make a launch template and its Auto Scaling group, of the head or of a fleet."""
    ec2, spec = session.client("ec2"), session.spec
    fleet = "" if role == "head" else name
    spot = bool(fleet) and spec.fleets[name].purchase == "spot"
    title = naming.fleet_group(spec.name, fleet) if fleet else naming.head_group(spec.name)
    tags = _aws_tags(machine_tags(_tags(session), title, role, fleet))
    script = parts.user_data(session, bundle, role, fleet, scheduler="slurm")
    ec2.create_launch_template(
        LaunchTemplateName=title,
        LaunchTemplateData={
            "ImageId": IMAGE,
            "InstanceType": "m6i.large" if role == "head" else INSTANCE_TYPE,
            "UserData": base64.b64encode(script.encode()).decode(),
            "IamInstanceProfile": {"Name": profile},
            "TagSpecifications": [{"ResourceType": "instance", "Tags": tags}],
        },
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": _aws_tags(_tags(session))}],
    )
    template = {"LaunchTemplateName": title, "Version": "$Latest"}
    mixed = {
        "LaunchTemplate": {"LaunchTemplateSpecification": template},
        "InstancesDistribution": {"OnDemandPercentageAboveBaseCapacity": 0},
    }
    started_from = {"MixedInstancesPolicy": mixed} if spot else {"LaunchTemplate": template}
    session.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=title,
        **started_from,
        MinSize=0,
        MaxSize=count,
        DesiredCapacity=count,
        VPCZoneIdentifier=subnet["SubnetId"],
    )
