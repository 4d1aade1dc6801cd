"""What environments in the embedded cloud are made of where no Terraform makes them, over the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fleet.run_store import RunStore, open_runs
from fleet.session import Session
from stacks import naming
from stacks.account import AccountSpec
from stacks.bundle import Bundle, build_bundle
from stacks.environment import EnvironmentSpec
from stacks.outputs import EnvironmentOutputs, FleetOutputs
from templates.engine import render
from templates.node_files import UserData
from tests.sandbox_helpers import wait_for

REGION = "us-east-1"
ORGANIZATION = "run-tests"
INSTANCE_TYPE = "g5.xlarge"


@dataclass(frozen=True)
class Environment:
    """A standing environment and the session that acts on it."""

    session: Session
    outputs: EnvironmentOutputs

    @cached_property
    def store(self) -> RunStore:
        """Its runs."""
        return open_runs(self.session)

    def running(self, role: str) -> list[dict[str, Any]]:
        """Return its running machines of that role, as EC2 describes them."""
        filters = [
            {"Name": f"tag:{naming.TAG_ENVIRONMENT}", "Values": [self.session.spec.name]},
            {"Name": f"tag:{naming.TAG_ROLE}", "Values": [role]},
            {"Name": "instance-state-name", "Values": ["running"]},
        ]
        answer = self.session.client("ec2").describe_instances(Filters=filters)
        return [each for group in answer["Reservations"] for each in group["Instances"]]


def make_specs(
    name: str, fleets: Mapping[str, Mapping[str, object]], **more: object
) -> tuple[AccountSpec, EnvironmentSpec]:
    """Return the specs of an account and of an environment of the team `tests`; `more` are its tables."""
    spec = EnvironmentSpec.model_validate(
        {
            "name": name,
            "team": "tests",
            "owner": "tests@example.com",
            "region": REGION,
            "lease_ends": "2030-12-31",
            "network": {"cidr": "10.99.0.0/16"},
            "fleets": {each: {"instance_type": INSTANCE_TYPE, **told} for each, told in fleets.items()},
            **more,
        },
        strict=False,
    )
    return AccountSpec(organization=ORGANIZATION, region=REGION), spec


def bucket_names(name: str) -> dict[str, str]:
    """Return the names of the environment's buckets."""
    return {
        "artifacts": naming.artifact_bucket(ORGANIZATION, name, REGION),
        "datasets": naming.dataset_bucket(ORGANIZATION, name, REGION),
    }


def make_buckets(session: Session) -> dict[str, str]:
    """Make the environment's buckets and the account's of the ledger; return the environment's."""
    found, s3 = bucket_names(session.spec.name), session.client("s3")
    for each in (*found.values(), naming.ledger_bucket(ORGANIZATION, REGION)):
        s3.create_bucket(Bucket=each)
    return found


def put_bundle(session: Session) -> Bundle:
    """Put the node bundle where machines fetch it."""
    bundle, bucket = build_bundle(), bucket_names(session.spec.name)["artifacts"]
    session.client("s3").put_object(Bucket=bucket, Key=bundle.key, Body=bundle.data)
    return bundle


def user_data(session: Session, bundle: Bundle, role: str, fleet: str, **more: Any) -> str:
    """Return what a machine begins with."""
    name = session.spec.name
    buckets = bucket_names(name)
    return render(
        UserData(
            environment=name,
            region=REGION,
            artifact_bucket=buckets["artifacts"],
            dataset_bucket=buckets["datasets"],
            role=role,
            fleet=fleet,
            node_document=naming.node_document(name),
            python="/usr/bin/python3",
            run_as="fleetform",
            scratch=True,
            bundle_key=bundle.key,
            bundle_sha256=bundle.sha256,
            **more,
        )
    )


def publish_outputs(session: Session, **more: Any) -> EnvironmentOutputs:
    """Publish what a fleet stack would; `more` is what differs from one without a queue."""
    name, buckets = session.spec.name, bucket_names(session.spec.name)
    fleets = {
        each: FleetOutputs(
            group=naming.fleet_group(name, each),
            nodes=fleet.nodes,
            max_nodes=fleet.max_nodes,
            instance_type=INSTANCE_TYPE,
            gpus_per_node=1,
            purchase=fleet.purchase,
            elastic=fleet.max_nodes - fleet.nodes,
        )
        for each, fleet in session.spec.fleets.items()
    }
    outputs = EnvironmentOutputs(
        environment=name, region=REGION, vpc_id="vpc-0", subnet_ids=(), artifact_bucket=buckets["artifacts"],
        dataset_bucket=buckets["datasets"], ledger_bucket=naming.ledger_bucket(ORGANIZATION, REGION),
        kms_key_arn="", run_document=naming.run_document(name), node_document=naming.node_document(name),
        head_group=naming.head_group(name), fleets=fleets, **more,
    )  # fmt: skip
    parameter = naming.outputs_parameter(name)
    session.client("ssm").put_parameter(Name=parameter, Value=outputs.to_json(), Type="String")
    return outputs


def await_online(session: Session, count: int) -> None:
    """Wait until so many machines of the environment take commands."""
    filters, ssm = (
        [{"Key": f"tag:{naming.TAG_ENVIRONMENT}", "Values": [session.spec.name]}],
        session.client("ssm"),
    )
    wait_for(
        lambda: len(ssm.describe_instance_information(Filters=filters)["InstanceInformationList"]) >= count,
        90,
    )
