"""An environment in the embedded cloud without Terraform: what a run needs of the fleet stack, over the API.

The round trip with real stacks is tests of its own; here a head node and its nodes stand within seconds.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fleet.cloud import Cloud
from fleet.project import Project
from fleet.run_store import RunStore, open_runs
from fleet.session import Session
from stacks import naming
from stacks.account import AccountSpec
from stacks.bundle import Bundle, build_bundle
from stacks.environment import EnvironmentSpec
from stacks.outputs import EnvironmentOutputs, FleetOutputs
from templates.engine import render
from templates.node_files import UserData
from templates.ssm_documents import RunJobDocument, RunNodeDocument
from tests.node_profiles import make_profiles

REGION = "us-east-1"
INSTANCE_TYPE = "g5.xlarge"


@dataclass(frozen=True)
class RunEnvironment:
    """A standing environment and the session that acts on it."""

    session: Session
    outputs: EnvironmentOutputs

    @cached_property
    def store(self) -> RunStore:
        """Its runs."""
        return open_runs(self.session)

    def instances(self, role: str) -> list[str]:
        """Return the ids of its running machines of that role, sorted."""
        filters = [
            {"Name": f"tag:{naming.TAG_ENVIRONMENT}", "Values": [self.session.spec.name]},
            {"Name": f"tag:{naming.TAG_ROLE}", "Values": [role]},
            {"Name": "instance-state-name", "Values": ["running"]},
        ]
        answer = self.session.client("ec2").describe_instances(Filters=filters)
        return sorted(each["InstanceId"] for group in answer["Reservations"] for each in group["Instances"])

    def remove(self) -> None:
        """End its machines; the sandbox ends their processes with them."""
        ids = self.instances("head") + self.instances("node")
        if ids:
            self.session.client("ec2").terminate_instances(InstanceIds=ids)


def make_specs(name: str, nodes: int) -> tuple[AccountSpec, EnvironmentSpec]:
    """Return the specs of an account and of an environment with one fleet, `gpu`."""
    account = AccountSpec(organization="run-tests", region=REGION)
    spec = EnvironmentSpec.model_validate(
        {
            "name": name,
            "team": "tests",
            "owner": "tests@example.com",
            "region": REGION,
            "lease_ends": "2030-12-31",
            "network": {"cidr": "10.99.0.0/16"},
            "fleets": {"gpu": {"instance_type": INSTANCE_TYPE, "nodes": nodes, "max_nodes": nodes}},
        },
        strict=False,
    )
    return account, spec


def build(cloud: Cloud, project: Project, name: str, nodes: int, *, spot: bool = False) -> RunEnvironment:
    """Make the environment and wait until its machines take commands; its nodes are spot if asked for."""
    account, spec = make_specs(name, nodes)
    session = Session(project, cloud, account, spec)
    bucket = naming.artifact_bucket(account.organization, name, REGION)
    s3 = session.client("s3")
    datasets = naming.dataset_bucket(account.organization, name, REGION)
    for each in (bucket, datasets, naming.ledger_bucket(account.organization, REGION)):
        s3.create_bucket(Bucket=each)
    bundle = build_bundle()
    s3.put_object(Bucket=bucket, Key=bundle.key, Body=bundle.data)
    ssm = session.client("ssm")
    for document, text in (
        (naming.run_document(name), RunJobDocument(environment=name, team="tests")),
        (naming.node_document(name), RunNodeDocument(environment=name)),
    ):
        ssm.create_document(
            Name=document, Content=render(text), DocumentType="Command", DocumentFormat="YAML"
        )
    profiles = make_profiles(cloud, name, {"artifacts": bucket, "datasets": datasets})
    _start(session, bucket, bundle, profiles["head"], "head", "", 1)
    _start(session, bucket, bundle, profiles["node"], "node", "gpu", nodes, spot=spot)
    _wait_until_online(ssm, session, 1 + nodes)
    outputs = _outputs(name, bucket, nodes, "spot" if spot else "on_demand")
    ssm.put_parameter(Name=naming.outputs_parameter(name), Value=outputs.to_json(), Type="String")
    return RunEnvironment(session, outputs)


def _start(
    session: Session,
    bucket: str,
    bundle: Bundle,
    profile: str,
    role: str,
    fleet: str,
    count: int,
    *,
    spot: bool = False,
) -> None:
    name = session.spec.name
    user_data = render(
        UserData(
            environment=name,
            region=REGION,
            artifact_bucket=bucket,
            dataset_bucket=naming.dataset_bucket("run-tests", name, REGION),
            role=role,
            fleet=fleet,
            node_document=naming.node_document(name),
            python="/usr/bin/python3",
            run_as="fleetform",
            scratch=True,
            # A test that needs file systems puts it there; for the others there are none.
            storage_key="node/storage.json",
            bundle_key=bundle.key,
            bundle_sha256=bundle.sha256,
        )
    )
    ec2 = session.client("ec2")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    tags = {naming.TAG_ENVIRONMENT: name, naming.TAG_ROLE: role, naming.TAG_FLEET: fleet}
    ec2.run_instances(
        **({"InstanceMarketOptions": {"MarketType": "spot"}} if spot else {}),
        ImageId=image,
        InstanceType="m6i.large" if role == "head" else INSTANCE_TYPE,
        MinCount=count,
        MaxCount=count,
        UserData=user_data,
        IamInstanceProfile={"Name": profile},
        TagSpecifications=[
            {
                "ResourceType": "instance",
                "Tags": [{"Key": tag, "Value": value} for tag, value in tags.items()],
            }
        ],
    )


def _wait_until_online(ssm: Any, session: Session, count: int) -> None:
    filters = [{"Key": f"tag:{naming.TAG_ENVIRONMENT}", "Values": [session.spec.name]}]
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if len(ssm.describe_instance_information(Filters=filters)["InstanceInformationList"]) >= count:
            return
        time.sleep(0.2)
    raise TimeoutError(f"{session.spec.name}: the machines did not come online")


def _outputs(name: str, bucket: str, nodes: int, purchase: str) -> EnvironmentOutputs:
    return EnvironmentOutputs(
        environment=name,
        region=REGION,
        vpc_id="vpc-0",
        subnet_ids=(),
        artifact_bucket=bucket,
        dataset_bucket=naming.dataset_bucket("run-tests", name, REGION),
        ledger_bucket=naming.ledger_bucket("run-tests", REGION),
        kms_key_arn="",
        run_document=naming.run_document(name),
        node_document=naming.node_document(name),
        head_group=naming.head_group(name),
        run_max_gib=2400,
        fleets={
            "gpu": FleetOutputs(
                group=naming.fleet_group(name, "gpu"),
                nodes=nodes,
                max_nodes=nodes,
                instance_type=INSTANCE_TYPE,
                gpus_per_node=1,
                purchase=purchase,
            )
        },
    )
