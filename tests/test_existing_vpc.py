"""An environment in somebody else's VPC by the real terraform: told where it does not fit, and gone again."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fleet.aws import client
from fleet.bootstrap import ensure_account
from fleet.cloud import Cloud
from fleet.terraform_find import child_environment, find_plugin_dir
from stacks.account import load_account
from stacks.aws.generated.provider import VERSION
from tests.real_stacks import ACCOUNT, ENVIRONMENT, RealStacks
from tests.spec_files import write_folder

pytestmark = [pytest.mark.sandbox, pytest.mark.terraform]
NAME = "lodger"
BASE = f"{NAME}-base"
BLOCK = "10.78.0.0/16"


@dataclass(frozen=True)
class Theirs:
    """The VPC: a subnet with a route table of its own, one with the VPC's main one, and a public one."""

    ec2: Any
    vpc: str
    private: tuple[str, str]
    public: str

    def looks(self) -> dict[str, Any]:
        """Return all that its owner would see of it, in an order that does not change."""
        inside = [{"Name": "vpc-id", "Values": [self.vpc]}]
        answers = {
            "vpc": self.ec2.describe_vpcs(VpcIds=[self.vpc])["Vpcs"],
            "subnets": [
                {**each, "AvailableIpAddressCount": None}  # falls while something stands there
                for each in self.ec2.describe_subnets(Filters=inside)["Subnets"]
            ],
            "tables": self.ec2.describe_route_tables(Filters=inside)["RouteTables"],
            "groups": self.ec2.describe_security_groups(Filters=inside)["SecurityGroups"],
            "interfaces": self.ec2.describe_network_interfaces(Filters=inside)["NetworkInterfaces"],
            "endpoints": [
                each
                for each in self.ec2.describe_vpc_endpoints(Filters=inside)["VpcEndpoints"]
                if each["State"] != "deleted"
            ],
        }
        return {name: sorted(found, key=repr) for name, found in answers.items()}


@pytest.fixture(scope="module")
def theirs(sandbox: Cloud) -> Theirs:
    """Somebody else's VPC."""
    ec2 = client(sandbox, "ec2", "us-east-1")
    vpc = ec2.create_vpc(CidrBlock=BLOCK)["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.78.{index}.0/24", AvailabilityZone=f"us-east-1{zone}")[
            "Subnet"
        ]["SubnetId"]
        for index, zone in enumerate("aba")
    ]
    tables = [ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"] for _ in range(2)]
    ec2.associate_route_table(RouteTableId=tables[0], SubnetId=subnets[0])
    ec2.associate_route_table(RouteTableId=tables[1], SubnetId=subnets[2])
    internet = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=internet, VpcId=vpc)
    ec2.create_route(RouteTableId=tables[1], DestinationCidrBlock="0.0.0.0/0", GatewayId=internet)
    ec2.modify_subnet_attribute(SubnetId=subnets[2], MapPublicIpOnLaunch={"Value": True})
    return Theirs(ec2, vpc, (subnets[0], subnets[1]), subnets[2])


def declare(folder: Path, cloud: Cloud, theirs: Theirs, block: str, *subnets: str) -> RealStacks:
    """Declare the environment in these subnets of the VPC, and synthesize it."""
    named = ", ".join(f'"{subnet}"' for subnet in subnets)
    network = f'cidr = "{block}"\nvpc_id = "{theirs.vpc}"\nsubnet_ids = [{named}]'
    text = ENVIRONMENT.format(name=NAME).replace('cidr = "10.77.0.0/16"', network)
    text = text.replace("2099-12-31", "2035-12-31") + '[datasets]\non_teardown = "delete"\n'
    environments = write_folder(folder, ACCOUNT.format(organization="existing-vpc"), **{NAME: text})
    ensure_account(cloud, load_account(environments))
    plugins = find_plugin_dir(folder / "plugins.json", VERSION, child_environment(os.environ))
    real = RealStacks(folder, cloud, plugins)
    made = real.run(sys.executable, "-m", "stacks.app")
    assert made.returncode == 0, made.stderr
    return real


def test_a_vpc_that_does_not_fit_is_told_by_the_plan(tmp_path: Path, sandbox: Cloud, theirs: Theirs) -> None:
    real = declare(tmp_path, sandbox, theirs, BLOCK, theirs.private[0], theirs.public)
    assert real.terraform(BASE, "init").returncode == 0
    refused = real.terraform(BASE, "plan", "-lock=false")
    told = " ".join(refused.stderr.replace("│", " ").split())
    assert refused.returncode == 1
    for what in (
        f"{theirs.public} gives public addresses to what starts in it",
        f"{theirs.public} is in the zone of another",
        f"{theirs.public} has a route to an internet gateway",
    ):
        assert what in told
    assert f"{theirs.private[0]} " not in told


def test_a_vpc_is_left_as_it_was_found(tmp_path: Path, sandbox: Cloud, theirs: Theirs) -> None:
    before = theirs.looks()
    real = declare(tmp_path, sandbox, theirs, BLOCK, *theirs.private)
    assert real.terraform(BASE, "init").returncode == 0
    try:
        applied = real.terraform(BASE, "apply", "-auto-approve", "-parallelism=30")
        assert applied.returncode == 0, applied.stdout + applied.stderr
        during = theirs.looks()
        for name in ("vpc", "subnets"):
            assert during[name] == before[name]
        assert len(during["tables"]) == len(before["tables"])
        assert len(during["endpoints"]) > 3 and len(during["groups"]) > len(before["groups"])
    finally:
        destroyed = real.terraform(BASE, "destroy", "-auto-approve", "-parallelism=30")
    assert destroyed.returncode == 0, destroyed.stderr
    assert theirs.looks() == before
