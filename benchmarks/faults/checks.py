"""What must hold after every fault: a whole ledger, no run lost or doubled, no money kept for nothing."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.faults.ground import NAME, REGION, Ground
from fleet import aws
from fleet.account_sweep import sweep_account
from fleet.budget import read_budget
from fleet.orphans.report import LEFT
from fleet.run_store import RunStore, open_runs
from fleet.runs import RunStatus, outputs_safe, read_run
from fleet.session import open_account

_SETTLE_SECONDS = 240.0
"""How long it may take until runs that nobody carries out any more are found and ended."""
_POLL_SECONDS = 3.0
_LISTINGS = {
    "describe_vpcs": ("Vpcs", "VpcId"),
    "describe_subnets": ("Subnets", "SubnetId"),
    "describe_security_groups": ("SecurityGroups", "GroupId"),
    "describe_route_tables": ("RouteTables", "RouteTableId"),
    "describe_internet_gateways": ("InternetGateways", "InternetGatewayId"),
    "describe_nat_gateways": ("NatGateways", "NatGatewayId"),
    "describe_network_interfaces": ("NetworkInterfaces", "NetworkInterfaceId"),
    "describe_addresses": ("Addresses", "AllocationId"),
    "describe_vpc_endpoints": ("VpcEndpoints", "VpcEndpointId"),
    "describe_volumes": ("Volumes", "VolumeId"),
    "describe_launch_templates": ("LaunchTemplates", "LaunchTemplateId"),
    "describe_placement_groups": ("PlacementGroups", "GroupId"),
    "describe_flow_logs": ("FlowLogs", "FlowLogId"),
}
"""Listings of EC2, each with the key of what it lists and that of an id."""
_GONE = frozenset({"deleted", "deleting"})


@dataclass
class Findings:
    """What was found wrong; nothing where all is well."""

    ledger: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """Of runs that reported success, and runs that never end."""
    doubled: list[str] = field(default_factory=list)
    """Runs that ran twice, money that is kept for a run that has ended."""


def inventory(ground: Ground) -> set[str]:
    """Return the ids of all that EC2 and Auto Scaling list, whoever it belongs to; no tags are asked."""
    ec2 = aws.client(ground.cloud, "ec2", REGION)
    found = set()
    for operation, (key, name) in _LISTINGS.items():
        for page in (
            ec2.get_paginator(operation).paginate()
            if ec2.can_paginate(operation)
            else [getattr(ec2, operation)()]
        ):
            found |= {str(each[name]) for each in page[key] if each.get("State") not in _GONE}
    for page in ec2.get_paginator("describe_instances").paginate():
        for group in page["Reservations"]:
            states = {each["InstanceId"]: each["State"]["Name"] for each in group["Instances"]}
            found |= {each for each, state in states.items() if state not in ("terminated", "shutting-down")}
    scaling = aws.client(ground.cloud, "autoscaling", REGION)
    groups = scaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    return found | {str(each["AutoScalingGroupName"]) for each in groups}


def check_standing(ground: Ground, succeeded: set[str]) -> Findings:
    """Return what is wrong while the environment stands; add runs that report success to `succeeded`."""
    found = Findings()
    found.ledger += check_ledger(ground)
    runs = _settled(ground)
    if runs is None:
        found.lost.append("the runs could not be listed")
        return found
    found.lost += [f"{run['run_id']} is {run['state']} still" for run in runs if run["active"]]
    succeeded |= {str(run["run_id"]) for run in runs if run["state"] == "SUCCEEDED"}
    store, session = open_runs(ground.session()), ground.session()
    recorded = _recorded(ground, succeeded)
    for run_id in sorted(succeeded):
        found.lost += _lost(store, read_run(store, run_id), recorded[run_id])
    found.doubled += _doubled(ground)
    active = {str(run["run_id"]) for run in runs if run["active"]}
    known = {str(run["run_id"]) for run in runs}
    # What a submit holds that was killed lapses by itself (fleet/holds.py); a reservation would not.
    for run_id, usd in read_budget(session).reservations.items():
        if run_id in known - active:
            found.doubled.append(f"{usd:.2f} USD are still kept for {run_id}, which has ended")
    return found


def check_ledger(ground: Ground) -> list[str]:
    """Return what is wrong with the ledger's chain."""
    report = ground.session().ledger.verify()
    return [str(each) for each in report.findings]


def _recorded(ground: Ground, succeeded: set[str]) -> Counter[str]:
    """Return how often the ledger has the end of each run that succeeded, once it has all of them.

    Who was killed while it recorded one is waited for: for two minutes nobody else does it.
    """
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        found = Counter(
            str(entry["target"])
            for entry in ground.session().ledger.entries()
            if entry["event"] == "run.ended" and entry["details"].get("state") == "SUCCEEDED"
        )
        if succeeded <= set(found) or time.monotonic() > deadline:
            return found
        time.sleep(_POLL_SECONDS)
        ground.run("runs", NAME, "--json")


def check_account(ground: Ground) -> list[str]:
    """Return what `fleetform sweep` finds in the whole account of what is ours, or looks like it."""
    found = sweep_account(open_account("sandbox", project=ground.project))
    left = [f"{each.verdict}: {each.listed.thing.kind} {each.listed.thing.id}" for each in found.of(*LEFT)]
    return left + [f"not looked at: {each.title}" for each in found.not_looked]


def _settled(ground: Ground) -> list[dict[str, object]] | None:
    """Return the runs once none is active, or as they stand after too long; None without a listing."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        done = ground.run("runs", NAME, "--json")
        listed = re.search(r"^\[\]$|^\[$.*^\]$", done.said, re.DOTALL | re.MULTILINE)
        runs = json.loads(listed.group()) if listed and done.code == 0 else None
        if time.monotonic() > deadline or (runs is not None and not any(run["active"] for run in runs)):
            return runs
        time.sleep(_POLL_SECONDS)


def _lost(store: RunStore, run: RunStatus, recorded: int) -> Iterator[str]:
    """Yield what is lost of a run that has reported success."""
    if run.state != "SUCCEEDED":
        yield f"{run.run_id} had succeeded and is {run.state} now"
    if not recorded:
        yield f"{run.run_id} has succeeded, and the ledger has no end of it"
    yield from outputs_safe(store, run)
    if "outputs/node-0.json" not in store.sizes(run.run_id):
        yield f"{run.run_id} has succeeded, and nobody says what its outputs are"


def _doubled(ground: Ground) -> Iterator[str]:
    """Yield the starts of runs that were carried out more than once."""
    lines = ground.traces.read_text().splitlines() if ground.traces.is_file() else []
    for line, times in Counter(lines).items():
        if times > 1:
            run_id, start = line.split()
            yield f"{run_id} was carried out {times} times as its start {start}"
