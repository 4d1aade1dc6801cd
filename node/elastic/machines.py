"""The machines of an environment's fleets as EC2 sees them: found by tags, named by tags, ended."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from node.aws import aws_errors, error_code
from node.idle_marks import TAG_WORK
from node.instances import describe
from node.layout import ROLE_NODE, TAG_ENVIRONMENT, TAG_FLEET, TAG_NODE, TAG_ROLE

TAG_LAUNCH = "fleetform:launch"
"""On a machine that was started for jobs: the attempt that did. What stands for good has no such tag."""
ALIVE = ("pending", "running")
THROTTLED = frozenset(
    {
        "RequestLimitExceeded", "Throttling", "ThrottlingException", "RequestThrottled", "Unavailable",
        "ServiceUnavailable", "InternalError", "InternalFailure", "",
    }
)  # fmt: skip
"""Refusals that say nothing of the request: it is made again. "" is no answer at all."""
_LONGEST_PAUSE_S = 20.0
_AT_ONCE = 100
"""Most machines that one call names; EC2's own advice for TerminateInstances."""
_THREADS = 8

Result = TypeVar("Result")


@dataclass(frozen=True)
class FleetMachine:
    """One machine of a fleet, standing or ended a while ago."""

    instance_id: str
    name: str
    """Slurm's name for it, "" before the head has given it one."""
    fleet: str
    state: str
    """EC2's: `pending`, `running`, `shutting-down`, `terminated`, ..."""
    address: str
    """Private IPv4 address, "" where it has none any more."""
    launch: str
    """The attempt that started it, "" of one that stands for good."""
    market: str
    """`on-demand`, `spot` or `capacity-block`."""
    launched: float
    """Seconds since the epoch."""
    work: str = ""
    """What it says of having a run (node/idle_marks.py), "" for nothing."""

    @property
    def alive(self) -> bool:
        """Whether it runs or is about to."""
        return self.state in ALIVE

    @property
    def elastic(self) -> bool:
        """Whether it was started for jobs and is ours to end."""
        return bool(self.launch)


def steadily(act: Callable[[], Result], seconds: float = 120.0) -> Result:
    """Return what `act` returns; where EC2 asks for patience, do it again with growing pauses, drawn by lot.

    `act` must be one that may be done twice. Each call has been tried several times by then: node/aws.py.
    """
    deadline, pause = time.monotonic() + seconds, 1.0
    while True:
        try:
            return act()
        except aws_errors() as error:
            if error_code(error) not in THROTTLED or time.monotonic() + pause > deadline:
                raise
        time.sleep(random.SystemRandom().uniform(0.1, pause))
        pause = min(2 * pause, _LONGEST_PAUSE_S)


def find_machines(ec2: Any, environment: str, *, launch: str = "") -> list[FleetMachine]:
    """Return the machines of all fleets, those that an attempt started if `launch` is given; sorted by id.

    Machines that have ended are among them for as long as EC2 tells of them.
    """
    filters = [
        {"Name": f"tag:{TAG_ENVIRONMENT}", "Values": [environment]},
        {"Name": f"tag:{TAG_ROLE}", "Values": [ROLE_NODE]},
        *([{"Name": f"tag:{TAG_LAUNCH}", "Values": [launch]}] if launch else []),
    ]
    found = steadily(lambda: describe(ec2, filters))
    return sorted((_machine(each) for each in found), key=lambda each: each.instance_id)


def _machine(told: Mapping[str, Any]) -> FleetMachine:
    tags = {tag["Key"]: tag["Value"] for tag in told.get("Tags", [])}
    return FleetMachine(
        instance_id=told["InstanceId"],
        name=tags.get(TAG_NODE, ""),
        fleet=tags.get(TAG_FLEET, ""),
        state=told["State"]["Name"],
        address=told.get("PrivateIpAddress") or "",
        launch=tags.get(TAG_LAUNCH, ""),
        market=told.get("InstanceLifecycle") or "on-demand",
        launched=told["LaunchTime"].timestamp(),
        work=tags.get(TAG_WORK, ""),
    )


def give_names(ec2: Any, names: Mapping[str, str]) -> None:
    """Tag machines, by their ids, with their names in Slurm."""

    def give(item: tuple[str, str]) -> None:
        instance_id, name = item
        tags = [{"Key": TAG_NODE, "Value": name}]
        steadily(lambda: ec2.create_tags(Resources=[instance_id], Tags=tags))

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(give, names.items()))


def end_machines(ec2: Any, instance_ids: Iterable[str]) -> None:
    """End the machines; one that is not there any more is no error."""
    ids = sorted(set(instance_ids))
    for start in range(0, len(ids), _AT_ONCE):
        _end(ec2, ids[start : start + _AT_ONCE])


def _end(ec2: Any, ids: Sequence[str]) -> None:
    try:
        steadily(lambda: ec2.terminate_instances(InstanceIds=list(ids)))
    except aws_errors() as error:
        if error_code(error) != "InvalidInstanceID.NotFound":
            raise
        if len(ids) > 1:  # one unknown id spoils the whole call
            for each in ids:
                _end(ec2, [each])
