"""An environment in the embedded cloud without Terraform: what a run needs of the fleet stack, over the API.

The round trip with real stacks is tests of its own; here a head node and its nodes stand within seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from fleet.cloud import Cloud
from fleet.project import Project
from fleet.session import Session
from stacks import naming
from stacks.account import AccountSpec
from stacks.bundle import Bundle
from stacks.environment import EnvironmentSpec
from templates.engine import render
from templates.ssm_documents import RunJobDocument, RunNodeDocument
from tests import environment_parts as parts
from tests.environment_parts import INSTANCE_TYPE, REGION
from tests.node_profiles import make_profiles
from tests.sandbox_helpers import IMAGE

__all__ = ["INSTANCE_TYPE", "REGION", "RunEnvironment", "build", "make_specs"]


@dataclass(frozen=True)
class RunEnvironment(parts.Environment):
    """A standing environment of the plain engine."""

    def instances(self, role: str) -> list[str]:
        """Return the ids of its running machines of that role, sorted."""
        return sorted(each["InstanceId"] for each in self.running(role))

    def remove(self) -> None:
        """End its machines; the sandbox ends their processes with them."""
        ids = self.instances("head") + self.instances("node")
        if ids:
            self.session.client("ec2").terminate_instances(InstanceIds=ids)


def make_specs(name: str, nodes: int, **fleet: object) -> tuple[AccountSpec, EnvironmentSpec]:
    """Return the specs of an account and of an environment with one fleet, `gpu`."""
    return parts.make_specs(name, {"gpu": {"nodes": nodes, "max_nodes": nodes, **fleet}})


def build(cloud: Cloud, project: Project, name: str, nodes: int, *, spot: bool = False) -> RunEnvironment:
    """Make the environment and wait until its machines take commands; its nodes are spot if asked for."""
    account, spec = make_specs(name, nodes, purchase="spot" if spot else "on_demand")
    session = Session(project, cloud, account, spec)
    buckets, bundle = parts.make_buckets(session), parts.put_bundle(session)
    for document, text in (
        (naming.run_document(name), RunJobDocument(environment=name, team="tests")),
        (naming.node_document(name), RunNodeDocument(environment=name)),
    ):
        session.client("ssm").create_document(
            Name=document, Content=render(text), DocumentType="Command", DocumentFormat="YAML"
        )
    profiles = make_profiles(cloud, name, buckets)
    _start(session, bundle, profiles["head"], "head", "", 1)
    _start(session, bundle, profiles["node"], "node", "gpu", nodes, spot=spot)
    parts.await_online(session, 1 + nodes)
    return RunEnvironment(session, parts.publish_outputs(session, run_max_gib=2400))


def _start(
    session: Session, bundle: Bundle, profile: str, role: str, fleet: str, count: int, *, spot: bool = False
) -> None:
    ec2 = session.client("ec2")
    tags = {naming.TAG_ENVIRONMENT: session.spec.name, naming.TAG_ROLE: role, naming.TAG_FLEET: fleet}
    ec2.run_instances(
        **({"InstanceMarketOptions": {"MarketType": "spot"}} if spot else {}),
        ImageId=IMAGE,
        InstanceType="m6i.large" if role == "head" else INSTANCE_TYPE,
        MinCount=count,
        MaxCount=count,
        # A test that needs file systems describes them at that key; for the others there are none.
        UserData=parts.user_data(session, bundle, role, fleet, storage_key="node/storage.json"),
        IamInstanceProfile={"Name": profile},
        TagSpecifications=[
            {
                "ResourceType": "instance",
                "Tags": [{"Key": tag, "Value": value} for tag, value in tags.items()],
            }
        ],
    )
