"""The six golden environments through their life in the embedded cloud: up, a second plan, down, proof.

`python -m benchmarks.cycles [NAME ...] [--json]`. Each gets a fresh embedded cloud and goes through the
commands as a user types them. What exists before an environment (a VPC, a capacity reservation) is made over
the API and must still stand at the end. A second plan that is not empty, or a teardown that is not proven,
fails it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fleet import aws
from fleet.cloud import Cloud, choose_cloud
from fleet.project import Project
from fleet.terraform_find import child_environment
from sandbox import daemon
from stacks.environment import EnvironmentSpec, load_environment
from stacks.fleet_spec import FleetSpec

ROOT = Path(__file__).resolve().parent.parent
DECLARED = ROOT / "tests" / "golden" / "environments" / "declared"
TARGET_SECONDS = 180.0
"""What the slowest may take, in the embedded cloud."""


@dataclass(frozen=True, kw_only=True)
class Life:
    """One environment's way through."""

    name: str
    resources: int
    """What Terraform made for it, the account's stack left out."""
    up_s: float
    plan_s: float
    down_s: float
    faults: tuple[str, ...]
    """What went wrong; none where it was built, stood without a difference and is gone without a rest."""

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.up_s + self.plan_s + self.down_s


@dataclass(frozen=True)
class Before:
    """What stands in the cloud before the environment and is none of its business to delete."""

    vpc_id: str = ""
    reservation: str = ""

    def gone(self, cloud: Cloud, region: str) -> list[str]:
        """Return what of it the teardown took along."""
        ec2 = aws.client(cloud, "ec2", region)
        vpcs = {each["VpcId"] for each in ec2.describe_vpcs()["Vpcs"]}
        held = {
            each["CapacityReservationId"]
            for each in ec2.describe_capacity_reservations()["CapacityReservations"]
            if each["State"] == "active"
        }
        kept = vpcs | held
        return [each for each in (self.vpc_id, self.reservation) if each and each not in kept]


def make_before(cloud: Cloud, spec: EnvironmentSpec, file: Path) -> Before:
    """Make the VPC and the reservation that the file names, and write their real ids into it."""
    ec2, text = aws.client(cloud, "ec2", spec.region), file.read_text(encoding="utf-8")
    vpc_id, reserved = "", ""
    if spec.network.vpc_id:
        vpc_id = ec2.create_vpc(CidrBlock=str(spec.network.cidr))["Vpc"]["VpcId"]
        for name in ("EnableDnsSupport", "EnableDnsHostnames"):
            ec2.modify_vpc_attribute(VpcId=vpc_id, **{name: {"Value": True}})
        text = text.replace(spec.network.vpc_id, vpc_id)
        zones = [each["ZoneName"] for each in ec2.describe_availability_zones()["AvailabilityZones"]]
        blocks = spec.network.cidr.subnets(prefixlen_diff=2)
        for declared, zone, block in zip(spec.network.subnet_ids, zones, blocks, strict=False):
            made = ec2.create_subnet(VpcId=vpc_id, CidrBlock=str(block), AvailabilityZone=zone)["Subnet"]
            table = ec2.create_route_table(VpcId=vpc_id)["RouteTable"]["RouteTableId"]
            ec2.associate_route_table(RouteTableId=table, SubnetId=made["SubnetId"])
            text = text.replace(declared, made["SubnetId"])
    for fleet in spec.fleets.values():
        if fleet.reservation:
            found = reserve(ec2, fleet)
            reserved = found["CapacityReservationId"]
            text = text.replace(fleet.reservation, reserved)
            text = text.replace(f'zone = "{fleet.zone}"', f'zone = "{found["AvailabilityZone"]}"')
    file.write_text(text, encoding="utf-8")
    return Before(vpc_id, reserved)


def reserve(ec2: Any, fleet: FleetSpec) -> dict[str, Any]:
    """Make the reservation that the fleet is to start in, or buy its capacity block, which picks its zone."""
    if fleet.purchase == "capacity_block":
        [offer] = ec2.describe_capacity_block_offerings(
            InstanceType=fleet.instance_type, InstanceCount=fleet.max_nodes, CapacityDurationHours=24
        )["CapacityBlockOfferings"]
        answer = ec2.purchase_capacity_block(
            CapacityBlockOfferingId=offer["CapacityBlockOfferingId"], InstancePlatform="Linux/UNIX"
        )
    else:
        answer = ec2.create_capacity_reservation(
            InstanceType=fleet.instance_type,
            InstancePlatform="Linux/UNIX",
            AvailabilityZone=fleet.zone,
            InstanceCount=fleet.max_nodes,
            InstanceMatchCriteria="targeted",
        )
    found: dict[str, Any] = answer["CapacityReservation"]
    return found


def command(folder: Path, variables: Mapping[str, str], *words: str) -> tuple[float, int, str]:
    """Run a fleetform command; return its seconds, exit code and output."""
    begin = time.monotonic()
    argv = [sys.executable, "-m", "scripts.cli", *words]
    done = subprocess.run(
        argv,
        cwd=folder,
        env=dict(variables),
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    return time.monotonic() - begin, done.returncode, done.stdout + done.stderr


def live(name: str, folder: Path) -> Life:
    """Lead one environment through its life in a fresh embedded cloud."""
    environments = folder / "environments"
    environments.mkdir()
    for file in (f"{name}.toml", "account.toml"):
        (environments / file).write_text((DECLARED / file).read_text(encoding="utf-8"), encoding="utf-8")
    project = Project(root=folder, home=folder / ".fleetform")
    daemon.start(project.home)
    try:
        return _live(name, project)
    finally:
        daemon.stop(project.home)


def _live(name: str, project: Project) -> Life:
    cloud = choose_cloud(project, "sandbox")
    spec = load_environment(project.environment_file(name))
    before = make_before(cloud, spec, project.environment_file(name))
    variables = child_environment({**os.environ, **cloud.process_environment()})
    variables |= {"FLEETFORM_HOME": str(project.home), "PYTHONPATH": str(ROOT), "FLEETFORM_CLOUD": "sandbox"}
    faults: list[str] = []
    up_s, up_code, up_text = command(project.root, variables, "up", name, "--yes")
    plan_s = 0.0
    if up_code:
        faults.append(f"up ended with {up_code}: {up_text.strip()[-2000:]}")
    else:
        plan_s, code, text = command(project.root, variables, "plan", name, "--detailed-exitcode")
        if code:
            faults.append(f"the second plan is not empty ({code}): {text.strip()[-2000:]}")
    down_s, code, text = command(project.root, variables, "down", name, "--base", "--yes", "--json")
    if code:
        faults.append(f"down ended with {code}: {text.strip()[-2000:]}")
    faults += [f"the teardown took {each} along" for each in before.gone(cloud, spec.region)]
    made = sum(len(stack["resources"]) for stack in _receipt(text).get("stacks", []))
    return Life(name=name, resources=made, up_s=up_s, plan_s=plan_s, down_s=down_s, faults=tuple(faults))


def _receipt(text: str) -> dict[str, Any]:
    """Return the receipt in the output, empty where there is none."""
    found = re.search(r"^\{.*^\}", text, re.DOTALL | re.MULTILINE)
    return dict(json.loads(found.group())) if found else {}


def main() -> int:
    """Run the benchmark; the exit code is 1 where one of them failed or the slowest was too slow."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = sorted(file.stem for file in DECLARED.glob("*.toml") if file.stem != "account")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; all by default")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    if unknown := sorted({*arguments.names} - {*names}):
        parser.error(f"no golden environment is called {', '.join(unknown)}: choose from {', '.join(names)}")
    lives = []
    for name in arguments.names or names:
        with tempfile.TemporaryDirectory() as folder:
            lives.append(live(name, Path(folder)))
        print(f"{name}: {lives[-1].seconds:.0f} s, {len(lives[-1].faults)} faults", file=sys.stderr)
    slowest = max(life.seconds for life in lives)
    if arguments.json:
        print(json.dumps([asdict(life) for life in lives], indent=2))
    else:
        print(f"{'environment':12}  resources  {'up s':>6}  {'plan s':>6}  {'down s':>6}  {'all s':>6}")
        for life in lives:
            figures = (life.up_s, life.plan_s, life.down_s, life.seconds)
            print(f"{life.name:12}  {life.resources:9}  " + "  ".join(f"{each:6.1f}" for each in figures))
            for fault in life.faults:
                print(f"  {fault}")
        verdict = "met" if slowest <= TARGET_SECONDS else "missed"
        print(f"slowest: {slowest:.0f} s (target {TARGET_SECONDS:.0f}): {verdict}")
        clean = not any(life.faults for life in lives)
        print(f"no difference in a second plan, nothing left: {'yes' if clean else 'no'}")
    return 1 if slowest > TARGET_SECONDS or any(life.faults for life in lives) else 0


if __name__ == "__main__":
    sys.exit(main())
